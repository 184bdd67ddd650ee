"""术语的释义：章里一个术语第一次出现时成为指向术语表的链接，悬停、聚焦或点按就看到一句话的释义。

术语表（book/glossary.md）里一条的写法::

    平均池化
        英文 mean pooling；又译均值池化。对词元向量逐维取平均。见[第 3 章](03_pooling.ipynb)。

第一句写英文和本书不用的叫法，第二句就是释义，里面不写公式；至少要有一个到章的链接。
章里用加粗引出术语的地方另有一个锚点，术语表里“第 3 章”这样的链接直接通到那里。
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

GLOSSARY = "book/glossary"
CHAPTER = re.compile(r"book/\d\d_\w+")
HINT_CLASS = "glossary-hint"

BLOCK = re.compile(r"^```\{glossary\}\n(.*?)^```", re.M | re.S)
FIRST_SENTENCE = re.compile(
    r"英文(?:名沿用|没有通行的叫法)?(?:，全称)?(?P<english>[^。；]*)"
    r"(?:；又[译叫] ?(?P<aliases>[^。]*))?。"
)
LINK = re.compile(r"\[[^\]]*\]\((\w+\.ipynb)\)")
# 引号里是例句或别人的话；后三个只是看上去含有“分词”“语言模型”“反例”
NOT_TERMS = re.compile("“[^”]*”|部分词|多语言模型|正反例")

# 日常也用的词，满篇都是，不加释义的链接
TOO_COMMON = {"批", "参数", "查询", "文档", "把握", "标签", "特征", "留出", "余弦"}
# 正文：只在这些节点里面的文字（不在标题、链接、代码、公式、图题、表格和提示框里）
PROSE = (
    addnodes.document, nodes.section, nodes.paragraph, nodes.strong, nodes.emphasis,
    nodes.bullet_list, nodes.enumerated_list, nodes.list_item,
)


@dataclass(frozen=True)
class Entry:
    """术语表里的一条：本书用的名字、英文（沿用或没有时为空）、不用的叫法、释义、讲到它的章。"""

    names: tuple
    english: str
    aliases: tuple
    gist: str
    chapters: tuple

    @property
    def hint(self):
        """悬停时显示的一句话。"""
        english = f"（{self.english}）" if self.english else ""
        return f"{self.names[0]}{english}：{self.gist}"


def read_glossary(source):
    """读术语表的源文，返回 Entry 的列表；有一条不合写法就抛出 ValueError。"""
    entries = []
    for block in BLOCK.findall(source):
        for item in block.strip().split("\n\n"):
            lines = item.split("\n")
            names = tuple(line for line in lines if not line.startswith(" "))
            entries.append(read_entry(names, "".join(lines[len(names):]).strip()))
    return entries


def read_entry(names, definition):
    """由名字和定义的源文得到一条 Entry。"""
    first = FIRST_SENTENCE.match(definition)
    if not first:
        raise ValueError(f"术语“{names[0]}”的定义要以“英文 ……。”或“英文名沿用。”开头。")
    gist, found, _ = definition[first.end():].partition("。")
    chapters = tuple(LINK.findall(definition))
    if not found or gist.startswith("见[") or "$" in gist:
        raise ValueError(f"术语“{names[0]}”的第二句要是没有公式的释义。")
    if not chapters:
        raise ValueError(f"术语“{names[0]}”没有写见哪一章。")
    return Entry(
        names=names,
        english=first["english"].strip(),
        aliases=tuple(first["aliases"].split("、")) if first["aliases"] else (),
        gist=gist.replace("`", "") + "。",
        chapters=chapters,
    )


def compile_names(names):
    """认出这些名字的正则表达式：长的优先，西文的名字要是完整的词。"""
    def whole(name):
        before = r"(?<![A-Za-z0-9-])" if re.match(r"[A-Za-z0-9]", name) else ""
        after = r"(?![A-Za-z0-9-])" if re.search(r"[A-Za-z0-9]$", name) else ""
        return before + re.escape(name) + after

    return re.compile("|".join(map(whole, sorted(names, key=len, reverse=True))))


def first_mentions(text, pattern, entries, seen):
    """text 里第一次出现的术语：依次给出（起，止，Entry），并记进集合 seen。

    entries 是字典：名字 → Entry；pattern 由 compile_names 得来。
    """
    visible = NOT_TERMS.sub(lambda match: "\n" * len(match[0]), text)
    for match in pattern.finditer(visible):
        entry = entries[match[0]]
        if entry not in seen and match[0] not in TOO_COMMON:
            seen.add(entry)
            yield match.start(), match.end(), entry


def is_prose(node):
    """这个文字节点是不是正文。"""
    while node.parent is not None:
        node = node.parent
        if type(node) not in PROSE:
            return False
    return True


def link_first_mentions(doctree, entries, locate):
    """把一页里各个术语的第一次出现换成链接；locate 由 Entry 给出地址。"""
    by_name = {name: entry for entry in entries for name in entry.names}
    pattern = compile_names(by_name)
    seen = set()
    for text in list(doctree.findall(nodes.Text)):
        if not is_prose(text):
            continue
        pieces, done = [], 0
        for start, end, entry in first_mentions(text, pattern, by_name, seen):
            word = nodes.Text(text[start:end])
            link = nodes.reference("", "", word, internal=True, classes=[HINT_CLASS])
            link["refuri"], link["reftitle"] = locate(entry), entry.hint
            pieces += [nodes.Text(text[done:start]), link]
            done = end
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[done:])])


def definition_id(name):
    """章里引出术语的地方的锚点。"""
    return "def-" + re.sub(r"\W+", "-", name)  # 主题把它当选择器用，不能有 @ 之类


def load_entries(app):
    """读本书的术语表。"""
    return read_glossary(Path(app.srcdir, f"{GLOSSARY}.md").read_text("utf-8"))


def mark_definitions(app, doctree):
    """读完一章：给加粗的术语加上锚点；术语表变了，这一章也要重做。"""
    if not CHAPTER.fullmatch(app.env.docname):
        return
    app.env.note_dependency(f"{GLOSSARY}.md")
    names = {name for entry in load_entries(app) for name in entry.names}
    for strong in doctree.findall(nodes.strong):
        if strong.astext() in names:
            names.remove(strong.astext())
            strong["ids"].append(definition_id(strong.astext()))


def link_definitions(app, doctree):
    """术语表里到章的链接，直接通到那一章引出这个术语的地方。"""
    @cache
    def marked(page):
        strongs = app.env.get_doctree(page).findall(nodes.strong)
        return {name for strong in strongs for name in strong["ids"]}

    for item in doctree.findall(nodes.definition_list_item):
        wanted = [definition_id(term.astext()) for term in item.findall(nodes.term)]
        for link in item.findall(nodes.reference):
            page = str(Path(GLOSSARY).parent / Path(link.get("refuri", "")).stem)
            if CHAPTER.fullmatch(page):
                link["refuri"] += next((f"#{name}" for name in wanted if name in marked(page)), "")


def add_hints(app, doctree, docname):
    """一页的引用都已解析：章里加上释义，术语表里加上锚点。"""
    if app.builder.format != "html":
        return
    if docname == GLOSSARY:
        link_definitions(app, doctree)
    elif CHAPTER.fullmatch(docname):
        terms = app.env.get_domain("std").objects
        page = app.builder.get_relative_uri(docname, GLOSSARY)
        link_first_mentions(
            doctree, load_entries(app), lambda entry: f"{page}#{terms['term', entry.names[0]][1]}"
        )


def add_script(app, pagename, templatename, context, doctree):
    """只在有释义的页面上加载 glossary.js。"""
    links = doctree.findall(nodes.reference) if doctree is not None else ()
    if any(HINT_CLASS in link["classes"] for link in links):
        app.add_js_file("glossary.js", loading_method="defer")


def setup(app):
    """接上各个事件；术语表的链接取决于各章，所以每次都重写它。"""
    app.connect("doctree-read", mark_definitions)
    app.connect("env-updated", lambda app, env: [GLOSSARY])
    app.connect("doctree-resolved", add_hints)
    app.connect("html-page-context", add_script)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
