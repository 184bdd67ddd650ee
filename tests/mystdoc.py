"""把 MyST 源文件拆成检查用得着的零件：读者看得见的文字、标题、指令、角色、链接、图片、标签。

用的是本书建站时的同一个解析器，因此“看得见的文字”就是读者将要看见的文字。
"""

import json
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
sys.path.append(str(BOOK / "_ext"))
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
HIDDEN = "\ufffc"  # 代替代码、公式、角色：占一个位置，但既不是汉字也不是字母

NOT_PROSE = {  # 内容不是正文的指令
    "bibliography", "code", "code-block", "code-cell", "csv-table", "eval-rst", "image", "include",
    "literalinclude", "math", "mermaid", "raw", "sourcecode", "tableofcontents", "toctree",
}
ARGUMENT_NOT_PROSE = {"figure", "solution", "solution-start", "solution-end", "list-table"}
EXTENSIONS = {"amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath", "linkify"}


class Text(NamedTuple):
    line: int
    text: str
    quoted: str  # "quote"：引文，一字不改；"article"：谈论原文的方框；"alt"：替代文字；其余为空


class Heading(NamedTuple):
    line: int
    level: int
    text: str


class Directive(NamedTuple):
    line: int
    name: str
    title: str
    options: dict
    body: str

    @property
    def classes(self):
        return self.options.get("class", "").split()


class Mark(NamedTuple):
    """角色（名字、内容）、链接（空、地址）或图片（替代文字、地址）。"""
    line: int
    name: str
    target: str


@dataclass
class Document:
    """一个 Markdown 文件或单元的零件；行号从 1 起。"""
    texts: list = field(default_factory=list)
    headings: list = field(default_factory=list)
    directives: list = field(default_factory=list)
    roles: list = field(default_factory=list)
    links: list = field(default_factory=list)
    images: list = field(default_factory=list)
    labels: set = field(default_factory=set)
    equations: set = field(default_factory=set)
    mistakes: list = field(default_factory=list)  # (行号, 说明)


@cache
def parser():
    """与 _config.yml 一致的 MyST 解析器。"""
    config = ROOT / "_config.yml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else {}
    chosen = settings.get("parse", {}).get("myst_enable_extensions", [])
    settings = MdParserConfig(enable_extensions=EXTENSIONS | set(chosen))
    return create_md_parser(settings, RendererHTML)


@cache
def parse(source):
    """拆开一段 MyST 源文，返回 Document。"""
    document = Document()
    _collect(source, 0, "", document)
    return document


def _collect(source, offset, quoted, document):
    """把 source 的零件加进 document；offset 是它之前的行数。"""
    depth = 0  # 在几层引用（>）里
    level = 0  # 正在标题里时，标题的级别
    for token in parser().parse(source.rstrip("\n") + "\n"):
        line = offset + (token.map[0] if token.map else 0) + 1
        if token.type in ("blockquote_open", "blockquote_close"):
            depth += 1 if token.type == "blockquote_open" else -1
        elif token.type in ("heading_open", "heading_close"):
            level = int(token.tag[1]) if token.type == "heading_open" else 0
        elif token.type == "inline":
            text = _inline(token, line, document)
            if level:
                document.headings.append(Heading(line, level, text))
            _add_texts(text, line, "quote" if depth else quoted, document)
        elif token.type == "myst_target":
            document.labels.add(token.content.lower())
        elif token.type == "math_block_label":
            document.equations.add(token.info.lower())
        elif token.type in ("fence", "colon_fence"):
            if token.type == "colon_fence" and not token.info.strip():
                document.mistakes.append((line, "多余的 :::；嵌套时外层的冒号要比里层多"))
            elif token.map[1] - token.map[0] < token.content.count("\n") + 2:
                document.mistakes.append((line, f"{token.markup} 没有结束"))
            if match := re.match(r"\{([\w:+-]+)\}\s*(.*)", token.info.strip()):
                _directive(*match.groups(), token.content, line, quoted, document)


def _inline(token, line, document):
    """返回行内记号看得见的文字，顺便记下角色、链接和图片。"""
    parts, bare_link = [], False
    for child in token.children:
        here = line + "".join(parts).count("\n")
        if child.type == "text":
            parts.append(HIDDEN if bare_link else child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "link_open":
            bare_link = child.info == "auto"  # 直接写出来的网址
            document.links.append(Mark(here, "", child.attrs["href"]))
        elif child.type == "link_close":
            bare_link = False
        elif child.type == "image":
            document.images.append(Mark(here, child.content, child.attrs["src"]))
            document.texts.append(Text(here, child.content, "alt"))
            parts.append(HIDDEN)
        elif child.type == "myst_role":
            document.roles.append(Mark(here, child.meta["name"], child.content))
            parts.append(HIDDEN)
        elif not child.type.endswith(("_open", "_close")):
            parts.append(HIDDEN)
    return "".join(parts)


def _add_texts(text, line, quoted, document):
    """逐行记下文字；原文方框里，从“原文”到“判定”之间是引文。"""
    for number, part in enumerate(text.split("\n"), line):
        if quoted in ("article", "article-quote"):
            if part.startswith(("原文", "判定", "见")):
                quoted = "article-quote" if part.startswith("原文") else "article"
        document.texts.append(Text(number, part, quoted.replace("article-quote", "quote")))


def _directive(name, title, content, line, quoted, document):
    """记下一个指令，并继续拆它的内容。"""
    lines = content.split("\n")
    options, start = {}, 0
    if lines[0].strip() == "---":
        start = lines.index("---", 1) + 1
        values = yaml.safe_load("\n".join(lines[1:start - 1])) or {}
        options = {key: str(value) for key, value in values.items()}
    while start < len(lines) and (match := re.match(r":([\w-]+):\s*(.*)", lines[start])):
        options[match[1]] = match[2].strip()
        start += 1
    body = "\n".join(lines[start:])
    directive = Directive(line, name, title, options, body)
    document.directives.append(directive)
    target = document.equations if name == "math" else document.labels
    target |= {options[key].lower() for key in ("name", "label") if key in options}
    if name in NOT_PROSE:
        return
    if "article" in directive.classes:
        quoted = "article"
    elif name in ("epigraph", "pull-quote"):
        quoted = "quote"
    if title and name not in ARGUMENT_NOT_PROSE:
        _collect(title, line - 1, quoted, document)
    _collect(body, line + start, quoted, document)


class Part(NamedTuple):
    """文件里的一段正文；cell 是它在 Notebook 里的单元号（从 0 起），Markdown 文件为 None。"""
    cell: int | None
    source: str


class Problem(NamedTuple):
    """一处毛病；cell 为 None 表示不在 Notebook 里，line 为 0 表示说的是整个单元。"""
    path: Path
    cell: int | None
    line: int
    message: str

    def __str__(self):
        place = [self.path.name]
        if self.cell is not None:
            place.append(f"单元 {self.cell}")
        if self.line:
            place.append(f"第 {self.line} 行")
        return f"{'：'.join(place)}：{self.message}"


def load_notebook(path):
    """读入 Notebook 的 JSON，把各处的行列表接成字符串。"""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def parts(path):
    """一个文件的所有正文；代码画出的图的图题和替代文字、勘误页由数据生成的部分也算。"""
    if path.suffix == ".md":
        source = path.read_text(encoding="utf-8")
        if path.name == "errata.md":
            from errata import expand

            source = expand(source)
        return [Part(None, source)]
    found = []
    for number, cell in enumerate(load_notebook(path)["cells"]):
        if cell["cell_type"] == "markdown":
            found.append(Part(number, cell["source"]))
        elif "mystnb" in cell["metadata"]:
            settings = cell["metadata"]["mystnb"]
            found.append(Part(number, settings.get("figure", {}).get("caption", "")))
            found.append(Part(number, settings.get("image", {}).get("alt", "")))
    return found


def pages():
    """_toc.yml 里的所有文件，按目录次序；还没有目录时是 book 里的全部文件。"""
    toc = ROOT / "_toc.yml"
    if not toc.exists():
        return sorted([*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")])
    names = re.findall(r"^[\s-]*(?:file|root):\s*(\S+)", toc.read_text(encoding="utf-8"), re.M)
    found = []
    for name in names:
        stem = ROOT / name.strip("\"'")
        candidates = [stem, stem.with_name(f"{stem.name}.md"), stem.with_name(f"{stem.name}.ipynb")]
        found += [path for path in candidates if path.is_file()][:1]
    return found
