"""勘误的数据：每条齐全，链得到，演示它的那一格真的算出了它；章里的方框与数据两头一致。"""

import re
from functools import cache

import pytest

import pagelint
from errata import VERDICTS, chapter_of, label_pages, load_errata, load_headings
from mystdoc import BOOK, load_notebook, pages, parse, parts
from textlint import targets

ENTRIES = load_errata()
HEADINGS = load_headings()
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])


@cache
def boxes():
    """字典：各章“原文怎么说”里方框的标签 → 它的 Directive。"""
    documents = [parse(part.source) for path in pages() for part in parts(path)]
    found = [d for document in documents for d in document.directives if "article" in d.classes]
    return {box.options["name"]: box for box in found}


@cache
def outputs():
    """字典：代码格的标签 → 它保存的输出里的文字。"""
    found = {}
    for path in pages():
        for cell in load_notebook(path)["cells"] if path.suffix == ".ipynb" else []:
            names = [tag for tag in cell["metadata"].get("tags", []) if tag.startswith("cell-")]
            found |= dict.fromkeys(names, "\n".join(map(text_of, cell.get("outputs", []))))
    return found


def text_of(output):
    """一段输出里的文字；出错的输出写成“名字: 说明”。"""
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))


def is_shown(wanted, text):
    """wanted 是原样的文字，或者写在两条斜线之间的正则表达式。"""
    if wanted.startswith("/"):
        return re.search(wanted.strip("/"), text) is not None
    return wanted in text


def linked_entries(box):
    """一个方框的“见”链到的条目。"""
    return set(re.findall(r"errata\.md#(e-[\w-]+)", box.body))


def test_enough_entries():
    assert len(ENTRIES) >= 75
    ids = [entry["id"] for entry in ENTRIES]
    assert len(set(ids)) == len(ids)
    assert {chapter_of(entry["sections"][0]) for entry in ENTRIES} >= set("123456789")
    assert {entry["verdict"] for entry in ENTRIES} == set(VERDICTS) == set(pagelint.VERDICTS)


@each_entry
def test_entry(entry):
    """每条的各项：节在原文目录里，判定是四种之一，有演示或文献，标签和文献都存在。"""
    assert set(entry["sections"]) <= {heading.number for heading in HEADINGS}
    assert entry["verdict"] in VERDICTS
    assert entry["why"].startswith("对") == (entry["verdict"] == "对"), "“对”的条目要先说对"
    assert entry["cell"] or entry["source"], "既没有演示的代码格，也没有文献"
    assert set(entry["source"]) <= targets()["cite"]
    assert set(entry["box"]) <= set(boxes())
    labels = {*entry["box"], *entry["see"], *filter(None, [entry["cell"]])}
    assert not labels - targets()["ref"]


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry["cell"]], ids=lambda entry: entry["id"]
)
def test_cell_shows_it(entry):
    """代码格保存的输出里，有证明这一条的文字。"""
    text = outputs()[entry["cell"]]
    assert entry["shows"]
    assert not [wanted for wanted in entry["shows"] if not is_shown(wanted, text)], text


@each_entry
def test_boxes_agree(entry):
    """章里的方框链回这一条，判定也相同。"""
    for name in entry["box"]:
        assert entry["id"] in linked_entries(boxes()[name]), name
        assert f"**判定**：{entry['verdict']}" in boxes()[name].body, name


def test_every_box_has_its_entry():
    known = {entry["id"]: entry for entry in ENTRIES}
    for name, box in boxes().items():
        for target in linked_entries(box):
            assert name in known[target]["box"], f"{name} 链到 {target}，数据里却没有它"


def test_pages_link_back():
    """演示条目的每一页，都有“原文怎么说”一节，补的链接写在那里。"""
    for page in {label_pages()[entry["cell"]] for entry in ENTRIES if entry["cell"]}:
        headings = [h.text for part in parts(BOOK / f"{page}.ipynb") for h in
                    parse(part.source).headings]
        assert "原文怎么说" in headings, page


def test_headings():
    """原文的 58 个标题都在，编号不重复，每个都有去处。"""
    numbers = [heading.number for heading in HEADINGS]
    assert len(set(numbers)) == len(numbers) == 58
    for chapter, count in zip("123456789", [3, 5, 4, 3, 4, 9, 3, 4, 5], strict=True):
        sections = [n for n in numbers if re.fullmatch(rf"{chapter}\.\d+", n)]
        assert sections == [f"{chapter}.{i}" for i in range(1, count + 1)]
    known = targets()["ref"] | {page.stem for page in pages()}
    for heading in HEADINGS:
        assert heading.title and heading.targets, heading
        assert not set(heading.targets) - known, heading


def test_every_key_is_known():
    """数据里没有写错的键。"""
    keys = {"id", "sections", "claim", "quote", "verdict", "why", "source", "box", "see", "cell",
            "shows"}
    assert {key for entry in ENTRIES for key in entry} == keys
