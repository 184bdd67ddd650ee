"""教师指南的测试：大纲的分钟数、先修关系、试卷与答案、要点卡。"""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy.special import softmax

import make_exam
from mystdoc import BOOK, HAN, ROOT, load_notebook, pages
from textlint import check_links, check_prose, prose_problems, role_problem

sys.path.append(str(BOOK / "_ext"))
import syllabus  # noqa: E402

TEACHING = BOOK / "teaching"
EXAM = (TEACHING / "exam.md").read_text(encoding="utf-8")
CARDS = (TEACHING / "cards.md").read_text(encoding="utf-8")
QUESTIONS = {question.number: question for question in make_exam.read_questions(EXAM)}
CHAPTERS = {int(page.name[:2]): page for page in pages() if re.match(r"\d\d_", page.name)}
COURSE = syllabus.load_course(BOOK)
TEXTS = {name: syllabus.syllabus_text(COURSE, name) for name in COURSE["syllabi"]}
TEXTS["modules"] = syllabus.modules_text(COURSE)


def fences(source, language):
    """Markdown 里某种语言的代码块的内容。"""
    tokens = MarkdownIt().parse(source)
    return [token.content for token in tokens if token.type == "fence" and token.info == language]


def outputs(notebook):
    """笔记本保存的全部文字输出，一行一项。"""
    cells = [cell for cell in load_notebook(notebook)["cells"] if cell["cell_type"] == "code"]
    kept = [output for cell in cells for output in cell["outputs"]]
    texts = ["".join(output.get("text", "")) for output in kept]
    return {line.strip() for text in texts for line in text.splitlines()}


# ---------- 分钟数与大纲 ----------


def test_minutes_by_hand(tmp_path):
    cells = [
        ("markdown", "# 题"), ("markdown", "## 甲\n" + "字" * 599), ("code", "1"),
        ("markdown", "接着"), ("code", "2"), ("markdown", "完。\n\n## 乙\n字"),
        ("code", "3"), ("code", "4"),
    ]
    content = {"cells": [{"cell_type": kind, "source": source} for kind, source in cells]}
    notebook, times = tmp_path / "00_x.ipynb", tmp_path / "results" / "run_times.json"
    notebook.write_text(json.dumps(content), encoding="utf-8")
    times.parent.mkdir()
    times.write_text('{"00_x": {"seconds": 120}}', encoding="utf-8")
    counts = syllabus.read_sections(notebook)
    assert counts["甲"] == [603, 2] and counts["乙"] == [2, 2]
    # 甲：603 / 300 + 2 + 运行 2 分钟的一半 = 5.01，进成 6
    assert syllabus.lecture_minutes(notebook, ["甲"]) == 6
    assert syllabus.lecture_minutes(notebook, ["乙"]) == 4
    assert syllabus.lecture_minutes(notebook, ["甲", "乙"]) == 9
    with pytest.raises(ValueError, match="没有小节：丙"):
        syllabus.lecture_minutes(notebook, ["甲", "丙"])
    with pytest.raises(ValueError, match="没有 99_x 的运行时间"):
        syllabus.run_minutes(tmp_path / "99_x.ipynb")


def test_three_syllabi():
    sizes = {name: len(plan["sessions"]) for name, plan in COURSE["syllabi"].items()}
    assert sizes == {"day": 6, "weeks8": 8, "weeks16": 16}


@pytest.mark.parametrize("name", COURSE["syllabi"])
def test_every_session_leaves_time_to_practise(name):
    for place, (lecture, practice, _) in enumerate(syllabus.prepared(COURSE, name), 1):
        spent = f"{name} 第 {place} 次：讲 {lecture}，练 {practice}"
        assert lecture >= 20 and practice >= 15, spent


@pytest.mark.parametrize("name", COURSE["syllabi"])
def test_nothing_is_taught_twice_or_out_of_order(name):
    taught = [n for session in COURSE["syllabi"][name]["sessions"] for n in session["modules"]]
    assert len(taught) == len(set(taught))
    order = list(COURSE["modules"])
    for earlier, later in zip(taught, taught[1:], strict=False):
        assert later not in COURSE["modules"][earlier]["needs"], f"{later} 要排在 {earlier} 之前"
    assert all(order.index(need) < order.index(number)
               for number, module in COURSE["modules"].items() for need in module["needs"])


def test_minutes_on_the_page_are_the_minutes_of_the_notebooks():
    times = json.loads((BOOK / "results" / "run_times.json").read_text(encoding="utf-8"))
    for module in COURSE["modules"].values():
        title, every, lines = "", 0, []  # lines：这些小节的正文行，代码格记作 None
        for cell in load_notebook(BOOK / f"{module['chapter']}.ipynb")["cells"]:
            is_code = cell["cell_type"] == "code"
            every += is_code
            for line in [None] if is_code else cell["source"].splitlines():
                title = line[3:].strip() if line and line.startswith("## ") else title
                lines += [line] if title in module["sections"] else []
        code, text = lines.count(None), "".join(filter(None, lines))
        seconds = times[module["chapter"]]["seconds"] * code / every
        minutes = math.ceil(len(re.findall(f"[{HAN}]", text)) / 300 + code + seconds / 60)
        assert f"**{module['title']}** · {minutes} 分钟" in TEXTS["modules"]


def test_modules_cover_every_chapter():
    assert {module["chapter"] for module in COURSE["modules"].values()} == {
        page.stem for page in CHAPTERS.values()
    }
    for module in COURSE["modules"].values():
        assert "<cell-" in module["live"], f"{module['id']} 没有写演示哪一格"


@pytest.mark.parametrize("name", TEXTS)
def test_generated_text_is_good_prose(name):
    assert list(prose_problems(TEXTS[name])) == []


@pytest.mark.parametrize("name", TEXTS)
def test_generated_links_resolve(name):
    known = {f"mod-{number}" for number in COURSE["modules"]}
    for role, target in re.findall(r"\{(\w+)\}`([^`]*)`", TEXTS[name]):
        label = re.search(r"<(.*)>", target)[1]
        assert label in known or role_problem(role, target, BOOK) == "", target


# ---------- 先修图 ----------


def closure(edges):
    """由先修关系推出的全部（先, 后）。"""
    found = set(edges)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


def reduction(edges):
    """去掉能由别的推出来的。"""
    return {edge for edge in edges if edge not in closure(edges - {edge})}


def test_goal_graph_agrees_with_the_chapter_headers():
    guide = (BOOK / "teaching.md").read_text(encoding="utf-8")
    found = re.findall(r"^ *C(\d\d).* --+> C(\d\d)", guide, re.M)
    drawn = {(int(before), int(after)) for before, after in found}
    needed = set()
    for number, page in CHAPTERS.items():
        source = "\n".join(cell["source"] for cell in load_notebook(page)["cells"][:2])
        row = re.search(r"\| 先修 \|.*\n.*\n\|(.*?)\|", source)[1]
        needed |= {(int(before), number) for before in re.findall(r"\((\d\d)_\w+\.ipynb", row)}
    assert drawn == reduction(needed)


# ---------- 试卷 ----------


@pytest.mark.parametrize("name", ["exam.md", "cards.md"])
def test_teaching_sources_are_good_prose(name):
    path = TEACHING / name
    assert [*map(str, check_prose(path)), *map(str, check_links(path))] == []


def test_points_add_up():
    assert len(QUESTIONS) == 22
    assert sum(question.points for question in QUESTIONS.values()) == 100
    assert "试卷 22 题，100 分" in (BOOK / "teaching.md").read_text(encoding="utf-8")
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", EXAM, re.M | re.S):
        each = re.search(r"每题 (\d+) 分", body)
        points = re.findall(r"### 第 \d+ 题（(\d+) 分）", body)
        assert each is None or set(points) == {each[1]}, title


@pytest.mark.parametrize("number", range(7, 14))
def test_points_inside_an_answer_add_up(number):
    given = re.findall(r"（([\d.]+) 分）", QUESTIONS[number].answer)
    assert sum(map(float, given)) == QUESTIONS[number].points


def test_topics_name_chapters():
    for question in QUESTIONS.values():
        for number, name in re.findall(r"\[第 (\d+) 章\]\(\.\./(\w+)\.ipynb\)", question.topic):
            assert CHAPTERS[int(number)].stem == name
        assert "](../" in question.topic, f"第 {question.number} 题的考点没有链到章"


def test_every_choice_is_explained():
    keys = []
    for number in range(1, 7):
        options = re.findall(r"^- （([A-D])）", QUESTIONS[number].text, re.M)
        key, rest = re.match(r"\*\*([A-D])\*\*。(.*)", QUESTIONS[number].answer, re.S).groups()
        keys.append(key)
        explained = set(re.findall("(?<![A-Za-z])[A-D](?![A-Za-z])", rest))
        assert options == ["A", "B", "C", "D"]
        assert explained == set(options) - {key}, f"第 {number} 题要解释每个错的选项"
    assert set(keys) == {"A", "B", "C", "D"}


def four(value):
    """写成答案里的样子：四位小数。"""
    return f"{value:.4f}"


def masked_mean_answer():
    h = np.array([[0.2, 0.6], [0.4, 0], [0.6, 0.9], [2, -2]])
    naive, masked = h.mean(axis=0), h[:3].mean(axis=0)
    share = np.array([3, 6]) / 3
    return [f"({a:g}, {b:g})" for a, b in (naive, masked, share)]


def measures_answer():
    a, b = np.array([1, 2, 2]), np.array([2, 1, 2])
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return [f"={a @ b}", four(u @ v), four((u - v) @ (u - v)), four(np.linalg.norm(u - v))]


def attention_answer():
    q, k = np.array([2 * np.log(3), 0, 0, 0]), np.eye(3, 4) * [[1], [0], [0]]
    v, found = np.array([[5, 0], [0, 5], [5, 5]]), []
    for mask in ([0, 0, 0], [0, 0, -np.inf]):
        weights = softmax(k @ q / np.sqrt(4) + mask)
        found.append("、".join(f"{w:g}" for w in weights.round(9)))
        found.append("({:g}, {:g})".format(*weights @ v))
    return found


def infonce_answer():
    p = softmax(np.array([[0.8, 0.6], [0.5, 0.9]]) / 0.1, axis=1)
    each = -np.log(p.diagonal())
    return [*map(four, each), four(each.mean()), four(p[0, 1]), four(p[0, 1] / (2 * 0.1))]


def rrf_answer():
    places, found = {"甲": (1, 5), "乙": (2, 2), "丙": (4, 1)}, []
    for k, style in ((60, ".4f"), (0, "g")):
        scores = {name: sum(1 / (k + r) for r in ranks) for name, ranks in places.items()}
        order = sorted(scores, key=scores.get, reverse=True)
        found += [f"{score:{style}}" for score in scores.values()] + ["次序是" + "、".join(order)]
    return found


def kappa_answer():
    both, neither, only_a, only_b = 6, 8, 4, 2
    n = both + neither + only_a + only_b
    a, b, agreed = (both + only_a) / n, (both + only_b) / n, (both + neither) / n
    chance = a * b + (1 - a) * (1 - b)
    kappa = (agreed - chance) / (1 - chance)
    return [f"{n}={agreed:g}", f"占 {a:g}", f"占 {b:g}", f"={chance:g}", f"={kappa:.3g}$"]


def storage_answer():
    n, d = 2000, 384
    return [f"={n * (n - 1) // 2}", f"双编码器 {n} 遍", f"={n * d * 4}", f"{n * d} 字节",
            f"{n * d // 8} 字节"]


RECOMPUTED = {
    7: masked_mean_answer, 8: measures_answer, 9: attention_answer, 10: infonce_answer,
    11: rrf_answer, 12: kappa_answer, 13: storage_answer,
}


@pytest.mark.parametrize("number", RECOMPUTED)
def test_hand_answers_are_right(number):
    for value in RECOMPUTED[number]():
        assert value in QUESTIONS[number].answer, f"第 {number} 题的答案里没有 {value}"


def test_printed_outputs_come_from_the_chapters():
    found = re.findall(r"<!-- 输出：(\w+) -->\n\n```text\n(.*?)```", EXAM, re.S)
    assert len(found) == len(fences(EXAM, "text")) == 3
    for chapter, text in found:
        missing = {line.strip() for line in text.splitlines()} - outputs(BOOK / f"{chapter}.ipynb")
        assert not missing, f"{chapter} 里没有这样的输出：{missing}"


def test_argmax_question_behaves_as_described():
    sentences = ["甲", "乙", "丙", "丁"]
    printed = np.array([[1, 0.78, 0.8, 0.63], [0.78, 1, 0.61, 0.41],
                        [0.8, 0.61, 1, 0.52], [0.63, 0.41, 0.52, 1]])
    assert sentences[printed.argmax()] == "甲"
    assert (printed + np.diag([0, 1e-7, 0, 0])).argmax() == 5
    names = {"np": np, "matrix": printed.copy()}
    exec(fences(QUESTIONS[14].answer, "python")[0], names)
    assert names["nearest"].tolist() == [2, 0, 0, 0]


def test_numbers_in_the_reading_answers():
    text = "\n".join(fences(EXAM, "text"))
    random_cut, by_group = ([float(x) for x in re.findall(rf"{way}.*?全部 ([\d.]+)%", text)]
                            for way in ("随机切", "按组切"))
    for before, after in zip(random_cut, by_group, strict=True):
        assert f"{before - after:.1f} 个" in QUESTIONS[16].answer
    floor = np.log(1 + 63 * np.exp(-1 / 63 - 1))
    assert f"={floor:.2f}$" in QUESTIONS[17].answer and f"下限 {floor:.2f}" in text


def solution(number):
    """执行一道代码题的答案，返回其中的函数。"""
    names = {"np": np}
    code, = fences(QUESTIONS[number].answer, "python")
    exec(code, names)
    return names[re.search(r"def (\w+)", code)[1]]


def test_masked_mean_solution():
    rng = np.random.default_rng(0)
    h, lengths = rng.normal(size=(4, 5, 3)), [5, 3, 1, 0]
    mask = np.array([[1] * n + [0] * (5 - n) for n in lengths])
    expected = [h[i, :n].sum(axis=0) / max(n, 1) for i, n in enumerate(lengths)]
    np.testing.assert_allclose(solution(20)(h, mask), expected)


def test_mrr_solution():
    rng = np.random.default_rng(0)
    scores, right = rng.random((30, 40)), rng.random((30, 40)) < 0.05
    right[:, 0] |= ~right.any(axis=1)
    total = 0
    for row, answers in zip(scores, right, strict=True):
        place = next(i for i, j in enumerate(np.argsort(-row), 1) if answers[j])
        total += 1 / place if place <= 10 else 0
    assert solution(21)(scores, right) == pytest.approx(total / 30)
    tied = np.array([[0.5, 0.5, 0.1]]), np.array([[False, True, False]])
    assert solution(21)(*tied) == 1
    falling = -np.arange(12.0)[None]
    assert solution(21)(falling, np.arange(12)[None] == 9) == pytest.approx(0.1)
    assert solution(21)(falling, np.arange(12)[None] == 10) == 0


def test_split_solution():
    texts = np.array([f"句 {i}" for i in np.random.default_rng(0).integers(50, size=200)])
    test = solution(22)(texts, 0.3, seed=1)
    assert test.dtype == bool and test.shape == (200,)
    assert not set(texts[test]) & set(texts[~test])
    assert len(set(texts[test])) == round(0.3 * len(set(texts)))
    assert (test == solution(22)(texts, 0.3, seed=1)).all()
    assert (test != solution(22)(texts, 0.3, seed=2)).any()
    assert solution(22)(np.array(list("甲乙丙丁戊")), 0.5, seed=0).sum() == 3     # 2.5 四舍五入


# ---------- 造出来的文件 ----------


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """造好的全部文件：文件名 → 内容。"""
    folder = tmp_path_factory.mktemp("exam")
    return {path.name: path.read_text(encoding="utf-8") for path in make_exam.build(folder)}


def plain(text):
    """去掉网页标记、空白和转义，便于比较。"""
    return re.sub(r"<[^>]+>|&\w+;|[\s*`$\\]", "", text)


def test_paper_has_no_answers(printed):
    for name in ("exam.md", "exam.html"):
        text = plain(printed[name])
        for question in QUESTIONS.values():
            for line in question.answer.splitlines():
                line = plain(line)
                assert len(line) < 12 or line not in text, f"{name} 泄漏了：{line}"
        assert "参考答案" not in text and "<!--" not in printed[name]
        assert "考点" not in text, "考点会泄漏答案"


def test_answer_sheet_has_everything(printed):
    text = printed["answers.md"]
    for question in QUESTIONS.values():
        assert make_exam.without_links(question.text) in text and question.answer in text
    assert printed["answers.html"].count('<div class="answer">') == len(QUESTIONS)


@pytest.mark.parametrize("name", ["exam.html", "answers.html", "cards.html"])
def test_html_stands_alone(printed, name):
    text = printed[name]
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\(|(src|href)=", text)
    assert "<math" in text and "$" not in re.sub(r"<pre.*?</pre>", "", text, flags=re.S)
    assert "size: A4" in text and "@media print" in text and 'lang="zh-CN"' in text


def test_answers_stay_off_the_site():
    assert not any(TEACHING in page.parents for page in pages())
    guide = (BOOK / "teaching.md").read_text(encoding="utf-8")
    assert not re.search(r"\(teaching/|\{(download|include|literalinclude)\}", guide)


def test_source_folder_is_not_overwritten(monkeypatch, capsys):
    before = (TEACHING / "exam.md").read_bytes()
    monkeypatch.setattr("sys.argv", ["make_exam.py", "--output", str(TEACHING)])
    assert make_exam.main() == 1
    assert "请换一个" in capsys.readouterr().err
    assert (TEACHING / "exam.md").read_bytes() == before


def test_building_twice_changes_nothing(printed, tmp_path):
    again = {path.name: path.read_text(encoding="utf-8") for path in make_exam.build(tmp_path)}
    assert again == printed


GOOD = (
    "# 卷\n\n### 第 1 题（5 分）\n\n考点：甲\n\n题。\n\n"
    f"{make_exam.OPEN}\n\n答。\n\n{make_exam.CLOSE}\n"
)


@pytest.mark.parametrize("old, new, message", [
    ("第 1 题", "第 2 题", "号码应当是 1"),
    ("考点：甲", "", "没有写考点"),
    (make_exam.CLOSE, "", "要有一份"),
    ("答。", "", "要有一份"),
])
def test_bad_exam_is_refused(old, new, message):
    assert len(make_exam.read_questions(GOOD)) == 1
    with pytest.raises(make_exam.ExamError, match=message):
        make_exam.paper(GOOD.replace(old, new))


def test_bad_formula_is_refused():
    with pytest.raises(ValueError, match="公式"):
        make_exam.to_html("# 题\n\n$\\nosuchcommand{x}$\n")


def test_command_line(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "make_exam.py"), "--output"]
    done = subprocess.run([*command, str(tmp_path / "新")], capture_output=True, text=True,
                          encoding="utf-8")
    assert done.returncode == 0 and len(list((tmp_path / "新").iterdir())) == 6, done.stderr
    (tmp_path / "文件").write_text("", encoding="utf-8")
    done = subprocess.run([*command, str(tmp_path / "文件")], capture_output=True, text=True,
                          encoding="utf-8")
    assert done.returncode == 1 and "不是文件夹" in done.stderr and "Traceback" not in done.stderr


# ---------- 要点卡 ----------


def cards():
    """章号 → 这一章的要点卡。"""
    parts = re.split(r"^## 第 (\d+) 章　.*\n", CARDS, flags=re.M)[1:]
    return {int(number): body for number, body in zip(parts[::2], parts[1::2], strict=True)}


def test_one_card_for_each_chapter():
    assert list(cards()) == sorted(CHAPTERS)
    for number, body in cards().items():
        assert re.findall(r"^### (.+)", body, re.M) == ["公式", "代码", "常见的错"], number
        assert "$" in body and 3 <= len(re.findall("^- ", body, re.M)) <= 5


@pytest.mark.parametrize("number", cards())
def test_card_agrees_with_its_chapter(number):
    cells = load_notebook(CHAPTERS[number])["cells"]
    code, = fences(cards()[number], "python")
    lines = {line.rstrip() for cell in cells if cell["cell_type"] == "code"
             for line in cell["source"].splitlines()}
    assert 3 <= len([line for line in code.splitlines() if line]) <= 8
    assert not {line.rstrip() for line in code.splitlines()} - lines - {""}
    source = CHAPTERS[number].read_text(encoding="utf-8")
    words = re.sub(r"```.*?```|\$.*?\$", "", cards()[number], flags=re.S)
    for value in re.findall(r"\d+\.\d+%?", words):
        assert value in source, f"第 {number} 章里没有 {value}"


def test_cards_print_one_page_each(printed, browser, tmp_path):
    page = tmp_path / "cards.html"
    page.write_text(printed["cards.html"], encoding="utf-8")
    tab = browser.new_page()
    tab.goto(page.as_uri())
    pdf = tab.pdf(prefer_css_page_size=True)
    tab.close()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == len(cards())
