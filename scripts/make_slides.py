"""把 book/slides 里的幻灯片（Markdown）造成自足的 HTML：

python scripts/make_slides.py --output 文件夹 [book/slides/03_pooling.md …]

每份一个文件，图、公式、样式、脚本都在里面，不联网也能放映、打印。格式见 book/slides/README.md。
"""

import argparse
import html
import json
import re
import sys
from itertools import chain
from pathlib import Path
from string import Template

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
PAGES = range(8, 21)  # 一份的页数
MOST_COLUMNS = 62  # 一行代码的宽度，汉字算 2 列
MOST_LINES = 14  # 一页代码的行数
BOARD = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "Q": "ℚ", "C": "ℂ", "P": "ℙ", "E": "𝔼"}
BOLD = {
    "bold": 'mathvariant="normal" class="bold"',
    "bold-italic": 'class="bold"',
    "double-struck": 'mathvariant="normal"',
}


class SlideError(Exception):
    """幻灯片不合格式；信息里一行一处毛病。"""


# ---------- 公式 ----------


def to_mathml(latex, display="inline"):
    """把 LaTeX 公式转成浏览器自己会画的 MathML；有不认识的命令时抛出 ValueError。

    display 是 "inline" 或 "block"。浏览器只认 mathvariant="normal"，所以粗体改用样式，
    空心体改用 Unicode 里的字（ℝ）。
    """
    source = re.sub(r"\\arg\b", r"\\operatorname{arg}", latex)
    source = re.sub(r"\{(aligned|split)\}", "{align*}", source)
    if source.count("{") != source.count("}"):
        raise ValueError(f"公式的花括号不成对：{latex}")
    try:
        mathml = convert(source, display=display)
    except Exception as error:  # latex2mathml 对坏公式抛出的异常种类很多
        raise ValueError(f"公式转不成 MathML（{type(error).__name__}）：{latex}") from None
    if unknown := re.search(r">(\\[A-Za-z]+|&)</", mathml):
        raise ValueError(f"公式里有不认识的 {unknown[1]}：{latex}")
    return re.sub(r'<(\w+) mathvariant="([\w-]+)">(.*?)</', _letter, mathml)


def _letter(match):
    """一个带字体的字母改成各家浏览器都认的写法。"""
    tag, variant, letter = match.groups()
    if variant in ("normal", "italic"):
        return match[0]
    if variant not in BOLD or variant == "double-struck" and letter not in BOARD:
        raise ValueError(f"浏览器画不出这种字体（{variant}）：{letter}")
    if variant == "double-struck":
        letter = BOARD[letter]
    return f"<{tag} {BOLD[variant]}>{letter}</"


# ---------- 图 ----------


def read_figures(folder=BOOK):
    """返回字典：图的名字 → PNG 的 base64。

    取自各笔记本保存的输出；Mermaid 图没有 PNG，值为空串。
    """
    figures = {}
    for path in sorted(folder.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            figures |= dict.fromkeys(re.findall(r"^:name: (fig-\S+)", source, re.M), "")
            name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
            for output in cell.get("outputs", []):
                if name and "image/png" in output.get("data", {}):
                    figures[name] = "".join(output["data"]["image/png"]).replace("\n", "")
    return figures


# ---------- 一份幻灯片 ----------


def split_pages(source):
    """按单独成行的 --- 分页；代码块里的不算。返回每页的源文。"""
    pages, fence = [[]], ""
    for line in source.splitlines():
        if match := re.match(r"(`{3,}|~{3,})", line):
            if not fence:
                fence = match[1]
            elif line.strip().startswith(fence):
                fence = ""
        if line.strip() == "---" and not fence and not "".join(pages[-1][-1:]).strip():
            pages.append([])
        else:
            pages[-1].append(line)
    return ["\n".join(page).strip() for page in pages]


def width(text):
    """一行文字占几列，汉字和全角标点算 2 列。"""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


class Renderer:
    """把一页 Markdown 变成 HTML，一边记下毛病。"""

    def __init__(self, figures):
        """figures：图的名字 → base64（见 read_figures）。"""
        self.figures = figures
        self.problems = []
        self.parser = MarkdownIt("commonmark").enable("table")
        self.parser.use(dollarmath_plugin, double_inline=True, allow_labels=False)
        rules = {
            "fence": self.code, "code_block": self.code, "image": self.image,
            "math_inline": self.formula, "math_inline_double": self.block_formula,
            "math_block": self.block_formula, "html_block": self.refuse_html,
            "html_inline": self.refuse_html,
        }
        self.parser.renderer.rules |= {
            name: lambda tokens, index, options, env, rule=rule: rule(tokens[index])
            for name, rule in rules.items()
        }

    def page(self, source):
        """返回（标题，标题级别，是否左右排，正文 HTML，备注 HTML）。"""
        body, _, notes = re.sub(r"^\?\?\?\s*$", "\0", source, count=1, flags=re.M).partition("\0")
        heading, _, rest = body.partition("\n")
        match = re.match(r"(#{1,2}) (.+?)(\s*\{\.split\})?\s*$", heading)
        if match is None:
            self.problems.append(f"要以标题开头，现在是：{heading[:30]!r}")
            return "", 0, False, "", ""
        tokens = self.tokens(rest)
        if match[3]:
            figures = [block for block in blocks(tokens) if block[0].tag == "figure"]
            others = [block for block in blocks(tokens) if block[0].tag != "figure"]
            left, right = self.html(chain(*others)), self.html(chain(*figures))
            content = f'<div class="left">{left}</div><div class="right">{right}</div>'
            if not figures:
                self.problems.append("标题后写了 {.split}，这一页却没有图")
        else:
            content = self.html(tokens)
        code = [token.content.rstrip("\n") for token in tokens if token.type == "fence"]
        if (count := sum(text.count("\n") + 1 for text in code)) > MOST_LINES:
            self.problems.append(f"代码有 {count} 行，一页不要超过 {MOST_LINES} 行")
        notes = self.html(self.tokens(notes))
        return match[2], len(match[1]), bool(match[3]), content, notes

    def html(self, tokens):
        """把词法单元画成 HTML。"""
        return self.parser.renderer.render(list(tokens), self.parser.options, {})

    def tokens(self, source):
        """拆成词法单元，检查不支持的写法；只有一幅图的段落改成 figure。"""
        tokens = self.parser.parse(source)
        for index, token in enumerate(tokens):
            if token.type == "heading_open":
                self.problems.append(f"一页只能有一个标题：{tokens[index + 1].content}")
            children = token.children or []
            if [child.type for child in children] == ["image"]:
                tokens[index - 1].tag = tokens[index + 1].tag = "figure"
            elif any(child.type == "image" for child in children):
                self.problems.append("图要单独成段")
            for child in children:
                href = child.attrs.get("href", "https://")
                if not str(href).startswith("https://"):
                    self.problems.append(f"链接只能是 https://：{href}")
            if token.type == "inline" and re.search(r"^:::|\{[\w:]+\}`", token.content, re.M):
                self.problems.append(f"不支持 MyST 的指令和角色：{token.content[:30]}")
        return tokens

    def code(self, token):
        """代码块：有语言名就高亮。"""
        language = token.info.strip() or "text"
        for line in token.content.splitlines():
            if width(line) > MOST_COLUMNS:
                self.problems.append(f"代码有 {width(line)} 列，不要超过 {MOST_COLUMNS} 列：{line}")
        try:
            lexer = get_lexer_by_name(language)
        except ClassNotFound:
            self.problems.append(f"不认识的代码语言：{language}")
            return ""
        code = highlight(token.content, lexer, HtmlFormatter(nowrap=True))
        kind = "output" if language == "text" else "code"
        return f'<pre class="{kind}" tabindex="0"><code>{code}</code></pre>\n'

    def image(self, token):
        """图：从笔记本保存的输出里取来，写进页面。"""
        scheme, _, name = token.attrs["src"].partition(":")
        if scheme != "figure":
            self.problems.append(f"图只能写成 figure:fig-…，现在是：{token.attrs['src']}")
        elif not self.figures.get(name):
            reason = "是 Mermaid 图，没有 PNG" if name in self.figures else "哪一章都没有这幅图"
            self.problems.append(f"{name}：{reason}")
        if not re.search("[\u4e00-\u9fff]", token.content):
            self.problems.append(f"图没有中文的替代文字：{token.attrs['src']}")
        data = self.figures.get(name, "")
        return f'<img src="data:image/png;base64,{data}" alt="{html.escape(token.content)}">'

    def formula(self, token, display="inline"):
        """公式。"""
        try:
            return to_mathml(token.content.strip(), display)
        except ValueError as error:
            self.problems.append(str(error))
            return ""

    def block_formula(self, token):
        """单独成段的公式。"""
        return f'<div class="formula">{self.formula(token, "block")}</div>\n'

    def refuse_html(self, token):
        """不许写 HTML。"""
        self.problems.append(f"不支持 HTML：{token.content.strip()[:40]}")
        return ""


def blocks(tokens):
    """把词法单元分成一个个顶层的块（一段、一个列表、一块代码……）。"""
    found, depth = [[]], 0
    for token in tokens:
        if depth == 0 and found[-1]:
            found.append([])
        found[-1].append(token)
        depth += token.nesting
    return found


def make_deck(path, figures):
    """返回 path 的（章题，页数，HTML）；有毛病时抛出 SlideError，列出每一处。"""
    sources = split_pages(path.read_text(encoding="utf-8"))
    chapter, title, sections, problems = chapter_name(path), "", [], []
    book = f'<p class="book">《Sentence-BERT 实战》{chapter}</p>\n'
    if len(sources) not in PAGES:
        problems.append(f"有 {len(sources)} 页，应在 {PAGES[0]} 到 {PAGES[-1]} 页之间")
    for number, source in enumerate(sources, 1):
        renderer = Renderer(figures)
        heading, level, is_split, content, notes = renderer.page(source)
        if level and level != (1 if number == 1 else 2):
            renderer.problems.append("第 1 页用一级标题（#），其余各页用二级标题（##）")
        problems += [f"第 {number} 页：{problem}" for problem in renderer.problems]
        heading = renderer.parser.renderInline(heading)
        if number == 1:
            title = html.unescape(re.sub(r"<[^>]+>", "", heading))
        kinds = " ".join(["slide"] + ["cover"] * (number == 1) + ["split"] * is_split)
        sections.append(
            f'<section class="{kinds}" id="{number}" '
            f'aria-label="第 {number} 页，共 {len(sources)} 页">\n'
            f"{book if number == 1 else ''}<h{level or 2}>{heading}</h{level or 2}>\n"
            f'<div class="body">{content}</div>\n'
            f'<aside class="notes" aria-label="备注">{notes or "<p>（没有备注）</p>"}</aside>\n'
            f'<p class="number" aria-hidden="true">{number} / {len(sources)}</p>\n</section>\n'
        )
    if problems:
        raise SlideError("\n".join(f"{path.name}：{problem}" for problem in problems))
    page = DECK.substitute(
        title=html.escape(title), chapter=chapter, style=STYLE + code_style(), script=SCRIPT,
        sections="".join(sections),
    )
    return title, len(sources), page


def chapter_name(path):
    """“03_pooling.md”→“第 3 章”；第 0 章没有编号，叫“开始”。"""
    match = re.match(r"(\d\d)_", path.name)
    if match is None:
        raise SlideError(f"{path.name}：文件名要与笔记本相同，如 03_pooling.md")
    return f"第 {int(match[1])} 章" if int(match[1]) else "开始"


def code_style():
    """代码高亮的样式：浅色与深色各一套，与网站相同。"""
    light = HtmlFormatter(style="a11y-high-contrast-light").get_style_defs("pre")
    dark = HtmlFormatter(style="a11y-high-contrast-dark").get_style_defs("[data-theme=dark] pre")
    def keep(style):  # 只留词的颜色，背景由 STYLE 决定
        return "\n".join(line for line in style.splitlines() if re.search(r"pre \.\w+ \{", line))
    return f"\n{keep(light)}\n@media screen {{\n{keep(dark)}\n}}\n"


def make_index(decks):
    """目录页；decks 是（文件名，章，题目，页数）的列表。"""
    items = "".join(
        f'<li><a href="{name}">{chapter}　{html.escape(title)}</a>（{count} 页）</li>\n'
        for name, chapter, title, count in decks
    )
    return INDEX.substitute(items=items)


# ---------- 页面的样子 ----------

STYLE = """
:root { --u: min(1vw, 1.7778vh); --ink: #1b1f24; --soft: #57606a; --paper: #fff; --shade: #f3f5f7;
  --line: #c9d1d9; --accent: #0b5cad; color-scheme: light; }
@media screen { [data-theme=dark] { --ink: #e8ecf1; --soft: #a9b4c0; --paper: #14181d;
  --shade: #20262d; --line: #434c56; --accent: #7cc0ff; color-scheme: dark; } }
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); line-height: 1.5; font-family: system-ui,
  "Noto Sans SC", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
body { margin: 0; }
.slide { position: relative; display: flex; flex-direction: column; width: calc(100 * var(--u));
  height: calc(56.25 * var(--u)); margin: 0 auto; padding: calc(3 * var(--u)) calc(5 * var(--u))
  calc(4.2 * var(--u)); overflow: hidden; font-size: calc(2.5 * var(--u));
  border-bottom: 1px solid var(--line); }
.js .slide { border: 0; margin: max(0px, (100vh - 56.25 * var(--u)) / 2) auto 0; }
.js .slide:not(.current) { display: none; }
h1, h2 { margin: 0 0 0.5em; line-height: 1.25; text-wrap: balance; }
h1 { font-size: 2em; } h2 { font-size: 1.5em; color: var(--accent); }
.cover { justify-content: center; } .cover .body { flex: none; }
.book { margin: 0 0 0.8em; color: var(--soft); font-size: 0.85em; }
.body { flex: 1; min-height: 0; display: flex; flex-direction: column; gap: 0.7em;
  justify-content: safe center; }
.body > *, .left > *, .right > * { margin: 0; flex: none; }
.split .body { flex-direction: row; align-items: stretch; gap: 1.5em; }
.split .left { flex: 1 1 45%; min-width: 0; display: flex; flex-direction: column; gap: 0.7em;
  justify-content: safe center; }
.split .right { flex: 1 1 55%; min-width: 0; display: flex; flex-direction: column; gap: 0.7em; }
p, li { text-wrap: pretty; } ul, ol { padding-left: 1.3em; } li + li { margin-top: 0.35em; }
.body > figure, .right > figure { flex: 1 1 0; min-height: 0; display: flex;
  justify-content: center; align-items: center; }
img { height: 100%; max-width: 100%; object-fit: contain; background: #fff; border-radius: 4px; }
.formula { text-align: center; font-size: 1.15em; padding: 0.2em 0; overflow: auto hidden; }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "DejaVu Math TeX Gyre",
  "DejaVu Serif", math, serif; }
mtd[columnalign=right] { text-align: -webkit-right; }
mtd[columnalign=left] { text-align: -webkit-left; }
.bold { font-weight: bold; }
pre { margin: 0; padding: 0.6em 0.8em; background: var(--shade); border-radius: 6px;
  overflow-x: auto; line-height: 1.4; font-size: 0.75em; color: var(--ink); }
pre.output { border-left: 4px solid var(--line); }
code { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, Menlo, monospace; }
:not(pre) > code { font-size: 0.9em; background: var(--shade); padding: 0 0.25em;
  border-radius: 4px; }
blockquote { border-left: 4px solid var(--accent); padding-left: 0.8em; color: var(--soft); }
blockquote p { margin: 0; }
table { border-collapse: collapse; align-self: center; font-size: 0.9em; }
th, td { border-bottom: 1px solid var(--line); padding: 0.25em 0.8em; }
a { color: var(--accent); }
.number { position: absolute; right: 2em; bottom: 0.8em; margin: 0; font-size: 0.6em;
  color: var(--soft); }
.js .number { display: none; }
.notes { display: none; }
.show-notes .notes { display: block; position: absolute; inset: auto 0 0; max-height: 55%;
  overflow-y: auto; padding: 0.8em 2em 2.6em; background: var(--shade);
  border-top: 3px solid var(--accent); font-size: 0.75em; }
.bar { display: none; position: fixed; right: 12px; bottom: 8px; gap: 6px; align-items: center;
  font-size: 14px; color: var(--soft); }
.js .bar { display: flex; }
.bar button { font: inherit; color: var(--ink); background: var(--shade); min-width: 32px;
  min-height: 32px; border: 1px solid var(--line); border-radius: 6px; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media screen and (max-width: 700px) and (orientation: portrait) {
  .slide, .js .slide { width: 100%; height: auto; min-height: 100vh; margin: 0;
    padding: 20px 18px 64px; font-size: 17px; overflow: visible; }
  .split .body { flex-direction: column; justify-content: center; }
  .body > figure, .right > figure, .split .left, .split .right { flex: none; }
  img { width: 100%; height: auto; } h1 { font-size: 1.6em; }
  .body > table { display: block; max-width: 100%; overflow-x: auto; }
  .show-notes .notes { position: static; margin-top: 1em; max-height: none; padding: 0.8em; }
}
@media print {
  @page { size: 254mm 142.875mm; margin: 0; }
  :root { --u: 2.54mm; }
  html { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .slide, .js .slide { display: flex !important; margin: 0; border: 0; break-after: page;
    break-inside: avoid; height: 142.8mm; }
  .slide:last-of-type { break-after: auto; }
  .js .bar, .show-notes .notes { display: none; } .js .number { display: block; }
}
"""

SCRIPT = """
const root = document.documentElement;
const slides = [...document.querySelectorAll(".slide")];
const status = document.querySelector("[role=status]");
let current = -1;
const show = (index) => {
  index = Math.max(0, Math.min(slides.length - 1, index));
  if (index === current) return;
  current = index;
  slides.forEach((slide, i) => slide.classList.toggle("current", i === index));
  status.textContent = `${index + 1} / ${slides.length}`;
  status.setAttribute("aria-label", slides[index].getAttribute("aria-label") + "："
    + slides[index].querySelector("h1, h2").textContent);
  history.replaceState(null, "", "#" + (index + 1));
  scrollTo(0, 0);
};
const move = (step) => show(current + step);
const toggleNotes = () => {
  const on = root.classList.toggle("show-notes");
  document.querySelector("#notes").setAttribute("aria-pressed", on);
};
const toggleTheme = () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
};
const toggleFull = () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else root.requestFullscreen?.();
};
const keys = {
  ArrowRight: () => move(1), ArrowDown: () => move(1), PageDown: () => move(1),
  ArrowLeft: () => move(-1), ArrowUp: () => move(-1), PageUp: () => move(-1),
  Home: () => show(0), End: () => show(slides.length - 1),
  n: toggleNotes, t: toggleTheme, f: toggleFull,
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  let action = keys[event.key] || keys[event.key.toLowerCase()];
  if (event.key === " " && !event.target.closest("button")) {
    action = () => move(event.shiftKey ? -1 : 1);
  }
  if (action) { event.preventDefault(); action(); }
});
let start = null;
addEventListener("touchstart", (event) => { start = event.touches[0]; }, {passive: true});
addEventListener("touchend", (event) => {
  if (!start) return;
  const x = event.changedTouches[0].clientX - start.clientX;
  const y = event.changedTouches[0].clientY - start.clientY;
  if (Math.abs(x) > 50 && Math.abs(x) > 2 * Math.abs(y)) move(x < 0 ? 1 : -1);
  start = null;
}, {passive: true});
document.querySelector("#back").addEventListener("click", () => move(-1));
document.querySelector("#next").addEventListener("click", () => move(1));
document.querySelector("#notes").addEventListener("click", toggleNotes);
addEventListener("hashchange", () => show((parseInt(location.hash.slice(1)) || 1) - 1));
if (matchMedia("(prefers-color-scheme: dark)").matches) root.dataset.theme = "dark";
root.classList.add("js");
show((parseInt(location.hash.slice(1)) || 1) - 1);
"""

DECK = Template("""<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · $chapter幻灯片</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<main>
$sections</main>
<nav class="bar" aria-label="翻页">
<button id="notes" aria-pressed="false" title="备注（N）">备注</button>
<button id="back" title="上一页（←）" aria-label="上一页">‹</button>
<span role="status"></span>
<button id="next" title="下一页（→）" aria-label="下一页">›</button>
</nav>
<script>$script</script>
</body>
</html>
""")

INDEX = Template("""<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>《Sentence-BERT 实战》幻灯片</title>
<link rel="icon" href="data:,">
<style>
html { color-scheme: light dark; line-height: 1.7; font-family: system-ui, "Noto Sans SC",
  "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
body { max-width: 46em; margin: 2em auto; padding: 0 1em; }
ul { list-style: none; padding: 0; }
</style>
</head>
<body>
<h1>《Sentence-BERT 实战》幻灯片</h1>
<p>→ 或空格下一页，← 上一页，N 看备注，T 换深浅色，F 全屏；浏览器打印时一页一张。</p>
<ul>
$items</ul>
</body>
</html>
""")


def main(arguments=None):
    """造出幻灯片，返回退出码。"""
    parser = argparse.ArgumentParser(description="把幻灯片造成自足的 HTML。")
    parser.add_argument("decks", nargs="*", type=Path, help="默认是 book/slides 里的全部")
    parser.add_argument("--output", type=Path, required=True, help="放 HTML 的文件夹")
    options = parser.parse_args(arguments)
    figures, made, failed = read_figures(), [], False
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        print(f"{options.output} 不是文件夹", file=sys.stderr)
        return 1
    for path in options.decks or sorted(BOOK.glob("slides/[0-9][0-9]_*.md")):
        try:
            title, count, page = make_deck(path, figures)
        except (SlideError, FileNotFoundError) as error:
            failed = True
            print(f"{path}：没有这个文件" if isinstance(error, FileNotFoundError) else error,
                  file=sys.stderr)
            continue
        target = options.output / f"{path.stem}.html"
        target.write_text(page, encoding="utf-8", newline="\n")
        made.append((target.name, chapter_name(path), title, count))
        print(f"{target.name}：{count} 页，{len(page.encode()) / 1024:.0f} KB")
    if not options.decks:
        (options.output / "index.html").write_text(
            make_index(made), encoding="utf-8", newline="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
