"""常见问题与资源两页：问题齐全，回答里的数出自所链的代码格；文献都有人引用。"""

import re
from functools import cache

import pytest

from mystdoc import BOOK, load_notebook

FAQ = (BOOK / "faq.md").read_text(encoding="utf-8")
RESOURCES = (BOOK / "resources.md").read_text(encoding="utf-8")
LISTING, ANSWERS = FAQ.split("## 原文的五个问题", 1)
ENTRY = re.compile(r"^\((faq-[a-z-]+)\)=\n### ([^\n]+)\n(.*?)(?=^\(faq-|^## |\Z)", re.M | re.S)
QUESTIONS = {label: (title, answer) for label, title, answer in ENTRY.findall(ANSWERS)}
NOTEBOOKS = sorted(BOOK.glob("[0-9]*.ipynb"))

NOT_MEASURED = [  # 回答里不是量出来的数：引用与链接、行内代码、章号、原文的节号
    r"\{[\w:]+\}`[^`]*`",
    r"\[[^\]]*\]\([^)]*\)",
    r"`[^`]*`",
    r"第 \d+ 章",
    r"（9\.\d）",
]
NUMBER = r"(?<![A-Za-z\d.])\d[\d,]*(?:\.\d+)?(?![A-Za-z\d])"


def text_of(output):
    """一个输出里的文字。"""
    text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue")
    return "".join(text or "")


@cache
def cells():
    """{代码格的标签：源文和输出的文字}。"""
    return {
        tag: "\n".join([cell["source"], *map(text_of, cell["outputs"])])
        for path in NOTEBOOKS
        for cell in load_notebook(path)["cells"]
        for tag in cell["metadata"].get("tags", [])
        if tag.startswith("cell-")
    }


def linked_cells(answer):
    """回答里链到的代码格的标签。"""
    return re.findall(r"<(cell-[a-z0-9-]+)>", answer)


def numbers(answer):
    """回答里应当有出处的数。"""
    for pattern in NOT_MEASURED:
        answer = re.sub(pattern, "", answer)
    return re.findall(NUMBER, answer)


def unsupported(answer):
    """在所链的代码格里找不到的数。"""
    evidence = "\n".join(cells()[label] for label in linked_cells(answer))
    return [
        number for number in numbers(answer)
        if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d|\.\d)", evidence)
    ]


def test_all_thirty_questions_are_listed():
    listed = re.findall(r"^- \[(.+)\]\(#(faq-[a-z-]+)\)$", LISTING, re.M)
    assert listed == [(title, label) for label, (title, _) in QUESTIONS.items()]
    assert len(listed) == 30
    assert ANSWERS.count("\n### ") == 30


@pytest.mark.parametrize("label", QUESTIONS)
def test_answer_rests_on_cells(label):
    answer = QUESTIONS[label][1]
    found = linked_cells(answer)
    assert found, "没有链到代码格"
    assert not set(found) - set(cells()), "没有这样的代码格"
    assert not unsupported(answer), "这些数不在所链的代码格里"


def test_invented_number_is_caught():
    answer = "对 91 题，不是 92 题。{ref}`第 5 章 <cell-prefixes>`"
    assert unsupported(answer) == ["92"]


@pytest.mark.parametrize("label", list(QUESTIONS)[:5])
def test_article_question_quotes_both(label):
    answer = QUESTIONS[label][1]
    assert answer.index("**原文怎么答**（9.") < answer.index("**本书怎么答**")
    assert "errata.md#e-9-" in answer


def entries():
    """资源页的每一条：### 的小节，和没有小节的部分里的列表项。"""
    for section in re.split(r"^## ", RESOURCES, flags=re.M)[1:]:
        title, *named = re.split(r"^### ", section, flags=re.M)
        yield from named or re.findall(r"^- .+", title, re.M)


def test_every_resource_has_a_reference_and_a_chapter():
    found = list(entries())
    assert len(found) > 50
    for entry in found:
        assert re.search(r"\{cite(:\w+)?\}`\w+", entry), entry
        assert re.search(r"\]\(\d\d_\w+\.ipynb\)", entry), entry


def test_every_reference_is_cited_in_a_chapter():
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),", bibliography, re.M)
    assert len(keys) == len(set(keys)) == bibliography.count("\n@")
    text = "\n".join(cell["source"] for path in NOTEBOOKS for cell in load_notebook(path)["cells"])
    cited = {key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
             for key in keys.split(",")}
    assert not set(keys) - cited
