"""勘误页：errata.md 里的 ``{errata}`` 换成总表、逐条的说明和原文目录的对照表。

它们由 book/data 里的 errata.yaml 和 article_headings.tsv 写成 MyST 源文，
所以检查正文用的是同一份源文（见 tests/mystdoc.py），搜索也找得到条目里的字。
各章“原文怎么说”的末尾，会补一段指向“由本页的单元演示、但本页没有方框”的条目。
没有脚本时筛选的表单不出现，全部条目照样看得到；有脚本时由 errata.js 打开它。
"""

import csv
import html
import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

BOOK = Path(__file__).resolve().parent.parent
DATA = BOOK / "data"
PLACEHOLDER = "```{errata}\n```\n"
FILTER = "```{errata-filter}\n```"
VERDICTS = {"错": "wrong", "不准确": "inexact", "无法复现": "unrepeatable", "对": "right"}
PAGE_NAMES = {"resources": "资源页", "faq": "常见问题", "references": "参考文献", "errata": "本页"}


class Heading(NamedTuple):
    """原文的一个标题：编号、文字、书里讲到它的地方（标签或页名，可以有几个）。"""

    number: str
    title: str
    targets: list


def load_errata():
    """读入 errata.yaml，返回条目（字典）的列表；省略的键补上空值。"""
    entries = yaml.safe_load((DATA / "errata.yaml").read_text("utf-8"))
    empty = {"source": [], "box": [], "see": [], "cell": "", "shows": []}
    return [empty | entry for entry in entries]


def load_headings():
    """读入 article_headings.tsv，返回 Heading 的列表，次序与原文相同。"""
    with open(DATA / "article_headings.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Heading(row["number"], row["title"], row["target"].split()) for row in rows]


@cache
def label_pages():
    """字典：代码格的标签、方框和图等的标签 → 所在的页（文件名，不含扩展名）。"""
    pages = {}
    for path in [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")]:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            tags = [tag for cell in cells for tag in cell["metadata"].get("tags", [])]
            figures = (cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells)
            tags += [figure["name"] for figure in figures if "name" in figure]
            text = "\n".join("".join(cell["source"]) for cell in cells)
            pages |= dict.fromkeys(tags, path.stem)
        labels = re.findall(r"^(?::name: |\()([\w-]+)(?:\)=)?$", text, re.M)
        pages |= dict.fromkeys(labels, path.stem)
    return pages


def chapter_of(number):
    """原文的编号 → 它属于哪一章：“3.2 步骤 1” → “3”，“后记” → “后记”。"""
    return re.match(r"\d*", number)[0] or number


def place_name(label):
    """一个标签所在的页（或一页）怎样称呼：“第 3 章”“资源页”；都不是就抛出 ValueError。"""
    page = label_pages().get(label, "errata" if label.startswith("e-") else label)
    if number := re.match(r"\d\d(?=_)", page):
        return f"第 {int(number[0])} 章"
    if page not in PAGE_NAMES:
        raise ValueError(f"勘误的数据里写了 {label}，书里没有这个标签，也没有这一页。")
    return PAGE_NAMES[page]


def link_to(label, words):
    """指向一个标签或一页的 MyST 链接。"""
    if label in label_pages() or label.startswith("e-"):
        return f"{{ref}}`{words} <{label}>`"
    return f"{{doc}}`{words} <{label}>`"


def section_names(numbers):
    """["1", "3.1", "后记"] → “§1、§3.1、后记”。"""
    return "、".join(f"§{number}" if number[0].isdigit() else number for number in numbers)


def verdict_mark(verdict):
    """判定的 MyST 源文，带上样式用的类。"""
    return f"[{verdict}]{{.verdict .verdict-{VERDICTS[verdict]}}}"


def entry_source(entry):
    """一条勘误的 MyST 源文。"""
    first, *rest = entry["sections"]
    others = f"，{section_names(rest)} 也有" if rest else ""
    quote = entry["quote"].translate(str.maketrans("“”", "‘’"))
    labels = [(entry["cell"], "演示")] if entry["cell"] else []
    labels += [(label, "讨论") for label in entry["box"] + entry["see"]]
    places = [link_to(label, f"{place_name(label)}的{what}") for label, what in labels]
    missing = [key for key in entry["source"] if key not in entry["why"]]
    if missing:
        places.append(f"文献 {{cite:t}}`{','.join(missing)}`")
    lines = [
        f"({entry['id']})=", f"### {entry['claim']}", "",
        f"**原文**（{section_names([first])}{others}）：“{quote}”", "",
        f"**判定**：{verdict_mark(entry['verdict'])}", "",
        f"**为什么**：{entry['why']}", "",
    ]
    return "\n".join([*lines, f"**见**：{'；'.join(places)}", ""] if places else lines)


def summary_source(entries):
    """总表的 MyST 源文：节、说法（链到条目）、判定。"""
    rows = ["| 原文 | 说法 | 判定 |", "|---|---|---|"]
    for entry in entries:
        claim = f"[{entry['claim']}](#{entry['id']})"
        mark = verdict_mark(entry["verdict"])
        rows.append(f"| {section_names(entry['sections'])} | {claim} | {mark} |")
    return "\n".join(rows)


def headings_source(headings, entries):
    """原文目录的对照表：编号、标题、书里哪里、勘误几条。"""
    rows = ["| 编号 | 原文的标题 | 书里讲到它的地方 | 勘误 |", "|---|---|---|---|"]
    for heading in headings:
        count = sum(heading.number in entry["sections"] for entry in entries)
        places = "、".join(link_to(label, place_name(label)) for label in heading.targets)
        rows.append(f"| {heading.number} | “{heading.title}” | {places} | {count or '—'} |")
    return "\n".join(rows)


def page_source():
    """勘误页由数据生成的那一部分，MyST 源文。"""
    entries, headings = load_errata(), load_headings()
    counts = "，".join(
        f"{name} {sum(entry['verdict'] == name for entry in entries)} 条" for name in VERDICTS
    )
    parts = [f"## 总表\n\n共 {len(entries)} 条：{counts}。", FILTER, summary_source(entries)]
    for heading in headings:
        inside = [e for e in entries if chapter_of(e["sections"][0]) == heading.number]
        if inside:
            number = f"第 {heading.number} 章 " if heading.number.isdigit() else ""
            parts += [f"## {number}{heading.title}", *map(entry_source, inside)]
    parts += [
        "(article-contents)=\n## 原文的目录，书里的去处",
        "原文的每一个标题，书里从哪里读起，有几条勘误：",
        headings_source(headings, entries),
    ]
    return "\n\n".join(parts) + "\n"


def expand(source):
    """勘误页的源文，其中 ``{errata}`` 换成由数据生成的部分。"""
    return source.replace(PLACEHOLDER, page_source())


class FilterForm(nodes.General, nodes.Element):
    """筛选的表单；默认隐藏，由 errata.js 打开。"""


def visit_form(translator, node):
    """写出表单：节与判定两个下拉框，和一行结果。"""
    sections = ['<option value="">全部</option>']
    used = {number for entry in load_errata() for number in entry["sections"]}
    for heading in load_headings():
        if heading.number in used or chapter_of(heading.number) == heading.number:
            words = html.escape(f"{heading.number} {heading.title}")
            sections.append(f'<option value="{heading.number}">{words}</option>')
    verdicts = [f"<option>{name}</option>" for name in VERDICTS]
    translator.body.append(
        '<form class="errata-filter" hidden>\n'
        f'<label>原文的节 <select name="section">{"".join(sections)}</select></label>\n'
        '<label>判定 <select name="verdict"><option value="">全部</option>'
        f'{"".join(verdicts)}</select></label>\n'
        '<button type="reset">全部显示</button>\n<output></output>\n</form>\n'
    )
    raise nodes.SkipNode


class FilterDirective(SphinxDirective):
    """筛选的表单，放在总表前面。"""

    def run(self):
        """返回表单的节点。"""
        return [FilterForm()]


def expand_page(app, docname, source):
    """读入勘误页时，把 ``{errata}`` 换成由数据生成的源文。"""
    if PLACEHOLDER in source[0]:
        source[0] = expand(source[0])
        for name in ("errata.yaml", "article_headings.tsv"):
            app.env.note_dependency(str(DATA / name))


def add_backlinks(app, doctree):
    """各章“原文怎么说”的末尾，指向由本页的单元演示、而本页没有方框的条目。"""
    page = Path(app.env.docname).name
    entries = [entry for entry in load_errata() if label_pages().get(entry["cell"]) == page]
    entries = [e for e in entries if page not in map(label_pages().get, e["box"])]
    section = next((s for s in doctree.findall(nodes.section)
                    if s.next_node(nodes.title).astext() == "原文怎么说"), None)
    if section is None or not entries:
        return
    app.env.note_dependency(str(DATA / "errata.yaml"))
    paragraph = nodes.paragraph("", "勘误里还有这几条，也由本页的单元演示：")
    for number, entry in enumerate(entries):
        words = f"{entry['claim']}（{section_names(entry['sections'][:1])}）"
        link = addnodes.pending_xref(
            "", nodes.inline("", words), refdoc=app.env.docname, refdomain="std", reftype="ref",
            reftarget=entry["id"], refexplicit=True, refwarn=True,
        )
        paragraph += [nodes.Text("；")] * bool(number) + [link]
    paragraph += nodes.Text("。")
    section += paragraph


def add_script(app, pagename, templatename, context, doctree):
    """只在有筛选表单的页面上加载脚本。"""
    if doctree is not None and next(doctree.findall(FilterForm), None):
        app.add_js_file("errata.js", loading_method="defer")


def setup(app):
    """注册指令和节点，接上各个事件。"""
    app.add_node(FilterForm, html=(visit_form, None))
    app.add_directive("errata-filter", FilterDirective)
    app.connect("source-read", expand_page)
    app.connect("doctree-read", add_backlinks)
    app.connect("html-page-context", add_script)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
