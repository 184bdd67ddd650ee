"""正文的检查：加粗、空格、标点、用词、链接。也可以单独运行：

python tests/textlint.py [文件 …]
"""

import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from mystdoc import BOOK, HAN, HIDDEN, ROOT, Problem, load_notebook, pages, parse, parts

ALLOWED = re.compile(r"T恤|A股|U盘|卡拉OK|维生素[A-Z]|AA制|X光|B超|Q版")  # 习惯上不空格的词
CLOSING = "，。；：？！、）》”’】」"
CHARACTER_RULES = [
    (rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9][{HAN}]", "中文与西文、数字之间要空一格"),
    (rf"[{HAN}”》）] ?[,;:?!]|[,;:?!] ?[{HAN}“《（]", "中文句子里要用全角标点"),
    (rf"[{HAN}”》）]\.(?![A-Za-z0-9])|(?<![\d.])\.[{HAN}]", "中文句子里要用全角句号，省略号是“……”"),
    (rf"[{HAN}][()]|[()][{HAN}]", "挨着汉字的括号要用全角"),
    (r"[，。；：、][，。；：、！？]|[！？][，。；：、]", "标点重复"),
    (rf"\S +[{CLOSING}]|[（《“‘【「] ", "全角标点里侧不要空格"),
    (rf"[{HAN}]'|'[{HAN}]", "中文的引号要用“”"),
]
STAR = re.compile(rf"\*\*|[{HAN}{CLOSING}（《“]\*|\*[{HAN}{CLOSING}（《“]")
TERMS = {  # 写错的、不用的词；术语表里“又译”“又叫”后面的由 glossary_terms 补上
    "标记符": "词元",
    "掩膜|遮罩": "掩码",
    "数据集合(?![并成])": "数据集",
    "命名体": "命名实体",
    "缺省": "默认",
    "登陆": "登录",
    "阀值": "阈值",
    "其它": "其他",
    "做为": "作为",
    "帐号": "账号",
    "Github": "GitHub",
    "Pytorch": "PyTorch",
    "Numpy": "NumPy",
    "Hugging[Ff]ace|Hugging face": "Hugging Face",
    "Sentence-Bert|SentenceBERT|Sentence BERT": "Sentence-BERT",
}
EVERYDAY = {  # 术语表里的别名当中不禁止的，和不禁止的理由
    "标记": "平常的词，如“实体标记”",
    "子词": "也泛指词的一部分",
    "提示": "平常的词，如“照提示补齐”",
    "补齐": "平常的词，如“照提示补齐”",
    "听写": "平常的词，第 14 章说的是识别器做的事",
}
PART_OF_WORD = {"段嵌入": "(?<!句)段嵌入", "早停": "早停(?!手)"}


def glossary_terms():
    """术语表里的别名，写成 TERMS 的样子：{正则表达式：本书的名字}。"""
    sys.path.append(str(BOOK / "_ext"))
    from glossary_hints import read_glossary

    entries = read_glossary((BOOK / "glossary.md").read_text(encoding="utf-8"))
    return {
        PART_OF_WORD.get(alias, re.escape(alias)): entry.names[0]
        for entry in entries for alias in entry.aliases if alias not in EVERYDAY
    }


TERMS |= glossary_terms()


def line_problems(text, quoted=""):
    """一行看得见的文字有哪些毛病；quoted 的含义见 mystdoc.Text。"""
    def excerpt(match):
        return text[max(0, match.start() - 8):match.end() + 8].replace(HIDDEN, "□")

    if match := STAR.search(text):
        yield f"星号没有变成加粗（CommonMark 在全角标点旁的规则）：{excerpt(match)}"
    if quoted == "quote":
        return
    readable = ALLOWED.sub(HIDDEN, text)
    for pattern, message in CHARACTER_RULES:
        if match := re.search(pattern, readable):
            found = readable[max(0, match.start() - 8):match.end() + 8].replace(HIDDEN, "□")
            yield f"{message}：{found}"
    for words in re.findall(r'"[^"]*"', text):
        if re.search(f"[{HAN}]", words):
            yield f"中文的引号要用“”：{words}"
    if quoted != "article":
        for pattern, preferred in TERMS.items():
            if match := re.search(pattern, re.sub("“[^”]*”", HIDDEN, text)):
                yield f"“{match[0]}”本书写作“{preferred}”"


def prose_problems(source, terms=True, quotations_free=False):
    """一段 MyST 源文的 (行号, 毛病)。

    terms=False 时不查用词（术语表要列出别的译法）；quotations_free=True 时“”里的话一字不查
    （勘误表大量引用原文）。
    """
    document = parse(source)
    yield from document.mistakes
    for text in document.texts:
        visible = re.sub("“[^”]*”", f"“{HIDDEN}”", text.text) if quotations_free else text.text
        quoted = text.quoted or ("" if terms else "article")
        for message in line_problems(visible, quoted):
            yield text.line, message
    for image in document.images:
        if not image.name.strip():
            yield image.line, f"图片没有替代文字：{image.target}"
    for directive in document.directives:
        if directive.name in ("image", "figure"):
            if not directive.options.get("alt"):
                yield directive.line, f"{directive.name} 没有 :alt:"
            if directive.name == "figure" and not directive.body.strip():
                yield directive.line, "figure 没有图题"
    for number, line in enumerate(source.split("\n"), 1):
        if re.search(r"<img\b(?![^>]*\balt=\"[^\"])", line):
            yield number, "<img> 没有 alt"
        if match := re.search(r"式 ?\{eq\}|图 ?\{numref\}", line):
            yield number, f"引用自己会写出“式”“图”，前面不要再写：{match[0]}"


def check_prose(path):
    """一个文件的正文毛病。"""
    settings = {"terms": path.name != "glossary.md", "quotations_free": path.name == "errata.md"}
    for part in parts(path):
        for line, message in prose_problems(part.source, **settings):
            yield Problem(path, part.cell, line, message)


def slug(heading):
    """标题的锚点，与 MyST 默认的规则一致：小写，去标点，空格变连字符。"""
    return re.sub(r"[^\w\u4e00-\u9fff\- ]", "", heading.strip().lower()).replace(" ", "-")


@cache
def anchors(path):
    """一个文件里可以链接到的锚点：标签和标题。"""
    documents = [parse(part.source) for part in parts(path)]
    found = set().union(*(d.labels | d.equations for d in documents))
    headings = {slug(h.text) for d in documents for h in d.headings}
    return found | headings | figure_names(path) | set(cell_names(path))


def figure_names(path):
    """Notebook 里由代码画出的图的标签。"""
    if path.suffix != ".ipynb":
        return set()
    cells = load_notebook(path)["cells"]
    figures = (cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells)
    return {figure["name"].lower() for figure in figures if "name" in figure}


def cell_names(path):
    """Notebook 里代码格的标签 cell-…（见 book/_ext/cell_targets.py）。"""
    if path.suffix != ".ipynb":
        return []
    code = [cell for cell in load_notebook(path)["cells"] if cell["cell_type"] == "code"]
    found = [tag for cell in code for tag in cell["metadata"].get("tags", [])]
    return [tag for tag in found if tag.startswith("cell-")]


@cache
def targets():
    """全书可以引用的标签：{"ref"、"eq"、"cite"、"term"：集合}。"""
    documents = [parse(part.source) for path in pages() for part in parts(path)]
    bibliography = BOOK / "references.bib"
    entries = bibliography.read_text(encoding="utf-8") if bibliography.exists() else ""
    glossary = "\n".join(
        d.body for doc in documents for d in doc.directives if d.name == "glossary"
    )
    return {
        "ref": set().union(
            *(d.labels for d in documents), *map(figure_names, pages()), *map(cell_names, pages())
        ),
        "eq": set().union(*(d.equations for d in documents)),
        "cite": set(re.findall(r"^\s*@\w+\{\s*([^,\s]+)", entries, re.M)),
        "term": {line.strip() for line in re.findall(r"^\S.*", glossary, re.M)},
    }


def role_problem(name, content, folder):
    """一个角色引用的目标若不存在，返回一句说明。"""
    target = re.sub(r"^.*<(.*)>$", r"\1", content, flags=re.S).strip()
    if name.startswith("cite"):
        missing = {key.strip() for key in target.split(",")} - targets()["cite"]
        return f"参考文献里没有 {'、'.join(sorted(missing))}" if missing else ""
    if name in ("ref", "numref", "prf:ref", "eq"):
        known = targets()["eq" if name == "eq" else "ref"]
        return "" if target.lower() in known else f"没有标签 {target}"
    if name == "term":
        return "" if target in targets()["term"] else f"术语表里没有“{target}”"
    if name in ("doc", "download"):
        base = ROOT if target.startswith("/") else folder
        return file_problem(base / target.lstrip("/"))
    return ""


def file_problem(path):
    """path（可以省略扩展名）若不存在，返回一句说明。"""
    names = (path.name, f"{path.name}.md", f"{path.name}.ipynb")
    return "" if any(path.with_name(name).exists() for name in names) else f"没有文件 {path.name}"


def link_problem(href, path):
    """path 里的站内链接若指不到东西，返回一句说明。"""
    if re.match(r"[a-z][a-z0-9+.-]*:|//", href) or href.endswith(".html"):
        return ""
    name, _, anchor = unquote(href).partition("#")
    target = (path.parent / name).resolve() if name else path
    if name and (problem := file_problem(target)):
        return problem
    if anchor and target.suffix in (".md", ".ipynb"):
        known = anchors(target) | (set() if name else targets()["ref"])
        if anchor.lower() not in known:
            return f"{target.name} 里没有锚点 #{anchor}"
    return ""


def check_links(path):
    """一个文件里的引用和站内链接，目标都要存在。"""
    for part in parts(path):
        document = parse(part.source)
        for role in document.roles:
            if problem := role_problem(role.name, role.target, path.parent):
                yield Problem(path, part.cell, role.line, problem)
        for link in [*document.links, *document.images]:
            if problem := link_problem(link.target, path):
                yield Problem(path, part.cell, link.line, problem)


def main(names):
    """检查给出的文件（默认全书），打印毛病；有毛病时返回 1。"""
    sys.path.append(str(ROOT / "scripts"))
    from pagelint import check_page

    paths = [Path(name).resolve() for name in names] or [*pages(), ROOT / "README.md"]
    count = 0
    for path in paths:
        checks = [check_prose, check_links] + [check_page] * (path.suffix == ".ipynb")
        for problem in (problem for check in checks for problem in check(path)):
            print(problem)
            count += 1
    print(f"{len(paths)} 个文件，{count} 处毛病")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
