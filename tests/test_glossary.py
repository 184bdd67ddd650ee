"""术语表：每条写全了，章里真的讲到，别名正文不用；章里的释义加在该加的地方。"""

import re
import sys
from functools import cache

import pytest
from docutils import nodes
from sphinx.util.docutils import new_document

from mystdoc import BOOK, HAN, HIDDEN, pages, parse, parts
from textlint import EVERYDAY, PART_OF_WORD, line_problems

sys.path.append(str(BOOK / "_ext"))
from glossary_hints import (  # noqa: E402
    HINT_CLASS,
    TOO_COMMON,
    compile_names,
    first_mentions,
    link_first_mentions,
    read_glossary,
)

ENTRIES = read_glossary((BOOK / "glossary.md").read_text(encoding="utf-8"))
NAMES = [name for entry in ENTRIES for name in entry.names]
CHAPTERS = {path.name: path for path in pages() if path.suffix == ".ipynb"}
NO_ENGLISH = {"答对率"}  # 英文没有通行的叫法
NOT_AN_ENTRY = {  # 章里加粗、括注英文，却不另立一条的
    "召回率@10": "见“召回率”",
    "维特比": "见“维特比算法”",
}
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.names[0])


@cache
def prose(chapter):
    """一章里读者看得见的文字。"""
    texts = [text.text for part in parts(CHAPTERS[chapter]) for text in parse(part.source).texts]
    return "\n".join(texts).replace(HIDDEN, "")


@each_entry
def test_entry_is_complete(entry):
    name = entry.names[0]
    assert entry.english or re.match("[A-Za-z]", name) or name in NO_ENGLISH
    assert 8 <= len(entry.gist) <= 80, f"释义有 {len(entry.gist)} 字：{entry.gist}"
    for chapter in entry.chapters:
        assert chapter in CHAPTERS, f"没有 {chapter} 这一章"
        assert any(one.lower() in prose(chapter).lower() for one in entry.names), (
            f"{chapter} 里没有出现“{name}”"
        )


def test_names_and_aliases_do_not_clash():
    aliases = [alias for entry in ENTRIES for alias in entry.aliases]
    everything = NAMES + aliases
    assert len(set(everything)) == len(everything)
    assert EVERYDAY.keys() | PART_OF_WORD.keys() <= set(aliases)
    assert all(EVERYDAY.values())
    assert TOO_COMMON <= set(NAMES)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_terms_introduced_with_english_have_an_entry(chapter):
    """章里“**池化**（pooling）”这样引出的术语，术语表里都要有。"""
    source = "\n".join(part.source for part in parts(CHAPTERS[chapter]))
    found = re.findall(r"\*\*([^*\n，]+)\*\*（[A-Za-z][^（）]*）", source)
    chinese = {name for name in found if re.search(f"[{HAN}]", name)}
    assert chinese - set(NAMES) - NOT_AN_ENTRY.keys() == set()


@each_entry
def test_aliases_are_caught_in_prose(entry):
    for alias in entry.aliases:
        space = " " if alias.isascii() or alias[0].isascii() else ""
        problems = list(line_problems(f"先看{space}{alias}。"))
        caught = f"“{alias}”本书写作“{entry.names[0]}”" in problems
        assert caught != (alias in EVERYDAY), alias


def test_parts_of_other_words_are_not_aliases():
    for text in ("加上句段嵌入。", "它更早停手。"):
        assert list(line_problems(text)) == []


def glossary(definition):
    """只有一条的术语表的源文。"""
    return f"```{{glossary}}\n甲\nJia\n    {definition}\n```\n"


def test_entry_is_read():
    [entry] = read_glossary(glossary(
        "英文 first one，FO；又译子、丑 x。天干的`第一`位。再说。见[第 3 章](03_pooling.ipynb)。"
    ))
    assert entry.names == ("甲", "Jia")
    assert entry.aliases == ("子", "丑 x")
    assert entry.hint == "甲（first one，FO）：天干的第一位。"
    assert entry.chapters == ("03_pooling.ipynb",)
    [entry] = read_glossary(glossary("英文名沿用。天干的第一位。见[第 3 章](03_pooling.ipynb)。"))
    assert entry.hint == "甲：天干的第一位。"


@pytest.mark.parametrize("definition, message", [
    ("天干的第一位。见[第 3 章](03_pooling.ipynb)。", "要以“英文"),
    ("英文 first。见[第 3 章](03_pooling.ipynb)。", "第二句"),
    ("英文 first。等于 $x$ 的那个。见[第 3 章](03_pooling.ipynb)。", "第二句"),
    ("英文 first。天干的第一位。", "见哪一章"),
])
def test_bad_entry_is_refused(definition, message):
    with pytest.raises(ValueError, match=f"甲.*{message}"):
        read_glossary(glossary(definition))


BY_NAME = {name: entry for entry in ENTRIES for name in entry.names}
PATTERN = compile_names(NAMES)


def mentions(text):
    """一段文字里会加上释义的词。"""
    return [text[start:end] for start, end, _ in first_mentions(text, PATTERN, BY_NAME, set())]


@pytest.mark.parametrize("text, expected", [
    ("池化就是平均池化，不是池化。", ["池化", "平均池化"]),  # 长的优先，一词一次
    ("平均池化是一种池化，分词器不做分词", ["平均池化", "池化", "分词器", "分词"]),
    ("用 Sentence-BERT，不用 RoBERTa、BERT-base", ["Sentence-BERT"]),  # 西文要是完整的词
    ("BERT 与 E5-base，F1 与 F10", ["BERT", "F1"]),
    ("他说“池化”，又说词元（token）", ["词元"]),  # 引号里不算，同一条只一次
    ("遮住一部分词元", []),  # 不是“分词”
    ("多语言模型的正反例", []),
    ("一批查询", []),
])
def test_mentions(text, expected):
    assert mentions(text) == expected


def test_hints_stay_out_of_other_elements():
    """标题、链接、代码、表格和提示框里的术语不加释义；正文里第一次出现的才加。"""
    document = new_document("x")
    section = nodes.section("", nodes.title("", "池化"))
    document += section
    section += nodes.paragraph("", "", nodes.literal("", "池化"), nodes.math("", "池化"))
    section += nodes.paragraph("", "", nodes.reference("", "池化", refuri="x"))
    section += nodes.note("", nodes.paragraph("", "池化"))
    item = nodes.list_item("", nodes.paragraph("", "说", nodes.strong("", "池化")))
    section += nodes.bullet_list("", item)
    section += nodes.paragraph("", "再说池化。")
    before = document.astext()
    link_first_mentions(document, ENTRIES, lambda entry: f"glossary.html#{entry.names[0]}")
    links = [link for link in document.findall(nodes.reference) if HINT_CLASS in link["classes"]]
    assert [link["refuri"] for link in links] == ["glossary.html#池化"]
    assert links[0].parent.parent.parent is item
    assert links[0]["reftitle"] == BY_NAME["池化"].hint
    assert document.astext() == before
