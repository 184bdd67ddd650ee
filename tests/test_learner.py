"""学习者版的测试：与教师版一一对应，没有残留的答案，不依赖答案，能从头跑到尾。"""

import copy
import json
import re
import sys

import nbformat
import pytest

import execute
import make_learner
from make_learner import CODE_GAP, QUIZ_GAP, LearnerError, answer_cells, leaks, without_answers
from mystdoc import BOOK, load_notebook, parse
from outputs import difference, set_kernel_environment

NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
QUICK = ["00_getting_started.ipynb", "03_pooling.ipynb", "04_similarity.ipynb"]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    """造好的学习者版的文件夹。"""
    folder = tmp_path_factory.mktemp("learner") / "book-for-class"
    assert make_learner.main(["--output", str(folder)]) == 0
    return folder


def answer_spans(cells):
    """(单元, 是否在答案里)：另写一遍，不用 make_learner 的办法；只看 MyST 解析出的指令。"""
    inside = False
    for cell in cells:
        yield cell, inside
        if cell["cell_type"] == "markdown":
            for directive in parse(cell["source"]).directives:
                if directive.name in ("solution-start", "solution-end"):
                    inside = directive.name == "solution-start"


@each_notebook
def test_both_versions_are_in_step(learner, path):
    teacher, student = load_notebook(path), load_notebook(learner / "book" / path.name)
    assert [c["id"] for c in student["cells"]] == [c["id"] for c in teacher["cells"]]
    nbformat.validate(nbformat.from_dict(student))
    for (old, inside), new in zip(answer_spans(teacher["cells"]), student["cells"], strict=True):
        assert new["cell_type"] == old["cell_type"]
        if old["cell_type"] == "code":
            assert new["source"] == (CODE_GAP if inside else old["source"])
            assert new["outputs"] == [] and new["execution_count"] is None
            assert new["metadata"].get("tags") == old["metadata"].get("tags")
        else:
            kept = set(new["source"].split("\n")) - {make_learner.TEXT_GAP, QUIZ_GAP}
            assert kept <= set(old["source"].split("\n"))
            if not inside and "solution-start" not in old["source"] and ":{dropdown}" not in (
                old["source"]
            ):
                assert new["source"] == old["source"]


@each_notebook
def test_exercises_stay_and_answers_go(learner, path):
    teacher, student = load_notebook(path), load_notebook(learner / "book" / path.name)

    def directives(notebook, *names):
        return [(d.name, d.title, d.options, d.body)
                for c in notebook["cells"] if c["cell_type"] == "markdown"
                for d in parse(c["source"]).directives if d.name in names]

    kept = ("exercise", "exercise-start", "solution-start", "solution-end")
    assert directives(student, *kept) == directives(teacher, *kept)
    quiz = directives(student, "dropdown")
    assert not [body for *_, body in quiz if re.match("[✓✗]", body.strip())]
    text = "\n".join(cell["source"] for cell in student["cells"])
    for cell, inside in answer_spans(teacher["cells"]):
        if inside and cell["cell_type"] == "code":
            assert cell["source"].strip() not in text
        elif inside:
            answer = re.split(r"^:+\{solution-end\}", cell["source"], flags=re.M)[0].strip()
            assert not answer or answer not in text


@each_notebook
def test_nothing_depends_on_the_answers(path):
    assert leaks(load_notebook(path)) == []


def test_there_are_answers_to_remove():
    counts = {path.name: len(answer_cells(load_notebook(path))) for path in NOTEBOOKS}
    assert sum(counts.values()) >= 4 * (len(NOTEBOOKS) - 1)
    assert [name for name, count in counts.items() if not count] == ["00_getting_started.ipynb"]


def notebook(*cells):
    """最小的笔记本：以“# ”开头的是文字，其余是代码。"""
    new = nbformat.v4.new_notebook()
    for source in cells:
        make = nbformat.v4.new_markdown_cell if source.startswith("#") else (
            nbformat.v4.new_code_cell)
        new.cells.append(make(source))
    return new


START = "# 题\n:::{solution-start} ex-a\n:class: dropdown\n:::\n\n答案是三。"
END = "# 说明\n:::{solution-end}\n:::\n\n后面的话。"


@pytest.mark.parametrize("answer, later, found", [
    ("x = 1", "print(x)", ["x"]),
    ("x = 1", "x = 2\nprint(x)", []),
    ("x = 1", "[y + x for y in range(3)]", ["x"]),
    ("x = 1", "def f():\n    return x", ["x"]),
    ("def f():\n    y = 1", "f()", ["f"]),
    ("import math", "print(math.pi)", ["math"]),
    ("start = 2", "print(start)", ["start"]),
    ("x = 1", "x = x + 1", ["x"]),
    ("x = 1", "x += 1", ["x"]),
    ("for x in range(3):\n    pass", "for x in range(2):\n    print(x)", []),
    ("print([x for x in range(3)])", "x = 1", []),
])
def test_leaks_are_found(answer, later, found):
    example = notebook("start = 1", START, answer, END, later, "pass")
    assert leaks(example) == [(4, name) for name in found]


def test_a_name_defined_again_is_no_leak():
    assert leaks(notebook(START, "x = 1", END, "x = 2", "print(x)")) == []


def test_gaps_are_where_the_answers_were():
    example = notebook(START, "x = 1", "# 中间的话", "y = 2", END, "z = 3")
    before = copy.deepcopy(example)
    sources = [cell["source"] for cell in without_answers(example)["cells"]]
    assert sources[0].startswith(START.removesuffix("答案是三。")) and "三" not in sources[0]
    assert sources[1] == sources[3] == CODE_GAP
    assert "中间的话" not in sources[2]
    assert sources[4] == ":::{solution-end}\n:::\n\n后面的话。"
    assert sources[5] == "z = 3"
    assert example == before


def test_quiz_keeps_only_the_options():
    source = "# 自测\n:::{dropdown} 甲\n✓ 因为。\n\n还因为。\n:::\n\n:::{dropdown} 别的\n说明\n:::"
    text = without_answers(notebook(source))["cells"][0]["source"]
    assert text == f"# 自测\n:::{{dropdown}} 甲\n{QUIZ_GAP}\n:::\n\n:::{{dropdown}} 别的\n说明\n:::"


def test_unfinished_answer_is_refused():
    with pytest.raises(LearnerError, match="solution-end"):
        without_answers(notebook(START, "x = 1"))


def test_outputs_can_be_kept():
    teacher = load_notebook(BOOK / "03_pooling.ipynb")
    student, answers = without_answers(teacher, keep_outputs=True), answer_cells(teacher)
    for number, (old, new) in enumerate(zip(teacher["cells"], student["cells"], strict=True)):
        if old["cell_type"] == "code":
            assert new["outputs"] == ([] if number in answers else old["outputs"])


def test_existing_folder_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("我的答案", encoding="utf-8")
    assert make_learner.main(["--output", str(tmp_path)]) == 1
    assert "已经存在" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_output_inside_the_book_is_refused(capsys):
    inside = BOOK / "results" / "learner"
    assert make_learner.main(["--output", str(inside)]) == 1
    assert "请换一个文件夹" in capsys.readouterr().err
    assert not inside.exists()


def test_a_leak_stops_everything(tmp_path, capsys, monkeypatch):
    (tmp_path / "book").mkdir()
    bad = notebook(START, "x = 1", END, "print(x)")
    (tmp_path / "book" / "01_a.ipynb").write_text(json.dumps(bad), encoding="utf-8")
    monkeypatch.setattr(make_learner, "ROOT", tmp_path)
    assert make_learner.main(["--output", str(tmp_path / "out")]) == 1
    assert "01_a.ipynb：答案以外的单元用到了答案里的名字：单元 3 的 x" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_everything_to_run_is_there(learner):
    text = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS)
    for name in re.findall(r"(?:data|results)/\w+\.\w+", text):
        assert (learner / "book" / name).exists() or "mine" in name
    for name in ("book/sbertbook/models.py", "requirements.txt", "LICENSE", "说明.txt"):
        assert (learner / name).is_file()
    assert not list(learner.rglob("__pycache__"))


def test_download_is_the_same(learner):
    """网站上的压缩包里的学习者版，与命令造出的一字不差。"""
    sys.path.append(str(BOOK / "_ext"))
    from notebook_zip import learner_contents

    files = [*NOTEBOOKS, BOOK / "index.md"]
    contents = {f"book/{path.name}": path.read_bytes() for path in files}
    for name, content in learner_contents(contents).items():
        assert (learner / name).read_bytes() == content


@pytest.mark.parametrize("name", QUICK)
def test_learner_version_runs(learner, name):
    """空着答案从头跑到尾：没有错误，答案以外的输出与教师版保存的相同。"""
    set_kernel_environment()
    teacher = nbformat.from_dict(load_notebook(BOOK / name))
    student = nbformat.read(learner / "book" / name, as_version=4)
    execute.run(student, learner / "book", timeout=600)
    answers = answer_cells(teacher)
    for number, (old, new) in enumerate(zip(teacher.cells, student.cells, strict=True)):
        if old.cell_type != "code" or "nbval-ignore-output" in execute.tags(old):
            continue
        expected = [] if number in answers else nbformat.v4.rwbase.rejoin_lines(
            nbformat.v4.new_notebook(cells=[old])).cells[0].outputs
        assert difference(expected, new.outputs) == "", f"单元 {number}"
