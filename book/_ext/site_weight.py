"""减轻页面：图标写进页面，样式表只留用得到的规则，图用 256 色，没有公式就不加载 MathJax。

主题自带的 fontawesome.js 有 1.5 MB，而全书只用到十来个图标；样式表里多数规则也用不到。
每次都从主题的原始文件做起，所以增量构建的结果与从头构建相同。
"""

import re
import shutil
from pathlib import Path

import pydata_sphinx_theme
import sphinx_design
from docutils import nodes
from PIL import Image
from sphinx.util import logging

logger = logging.getLogger(__name__)

THEME_STATIC = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
ICON_FILE = "scripts/fontawesome.js"
STYLE_FILE = "styles/pydata-sphinx-theme.css"
DESIGN_STYLE = Path(sphinx_design.__file__).parent / "static/sphinx-design.min.css"

# fontawesome.js 里的一个图标：名字:[宽,高,[别名…],"编码",路径]
ICON = re.compile(
    r'(?P<name>"[a-z0-9-]+"|[a-z0-9]+):'
    r'\[(?P<width>\d+),(?P<height>\d+),\[(?P<aliases>[^\[\]]*)\],"[0-9a-f]+","(?P<path>[^"]*)"\]'
)
# 页面里的一个图标：<i class="fa-solid fa-名字 …"></i>，也可能是 span
ICON_TAG = re.compile(
    r'<(?P<tag>i|span) class="(?P<classes>[^"]*\bfa-[a-z][^"]*)"(?P<rest>[^>]*)>\s*</(?P=tag)>'
)
ICON_SCRIPT = re.compile(r'\s*<script src="[^"]*/fontawesome\.js[^"]*"></script>')
SOLID = {"fas", "fa-solid"}

FONT_FACE = re.compile(r"@font-face\{[^{}]*fontawesome[^{}]*\}")
RULE = re.compile(r"(?P<selectors>[^{}@;]+)\{[^{}]*\}")
NEGATION = re.compile(r":not\([^()]*\)")
CLASS = re.compile(r"\.([A-Za-z_-][\w-]*)")
WORD = re.compile(r"[A-Za-z_-][\w-]*")
# 由脚本拼出来的类名的开头，不能只凭页面里有没有出现来判断
DYNAMIC_CLASSES = ("bs-", "tooltip", "popover", "modal", "admonition", "sd-", "tb-")

MOST_COLORS = 5000  # 统计图通常只有一两千种颜色


def read_icons(script):
    """从 fontawesome.js 读出图标，返回字典：名字 → 匹配结果（实心图标排在最后，优先）。"""
    icons = {}
    for match in ICON.finditer(script):
        for name in [match["name"].strip('"'), *re.findall(r'"([^"]+)"', match["aliases"])]:
            icons[name] = match
    return icons


def draw_icon(tag, icons):
    """把一个图标标签换成 SVG；不认识这个图标时抛出 KeyError。"""
    classes = tag["classes"].split()
    names = [name.removeprefix("fa-") for name in classes if name.startswith("fa-")]
    known = [icons[name] for name in names if name in icons]
    if not known or not SOLID & set(classes):
        raise KeyError(tag["classes"])
    kept = " ".join(name for name in classes if name not in SOLID)
    mode = re.search(r' data-mode="\w+"', tag["rest"])
    return (
        f'<svg class="svg-inline--fa {kept}"{mode[0] if mode else ""} '
        f'viewBox="0 0 {known[0]["width"]} {known[0]["height"]}" aria-hidden="true">'
        f'<path fill="currentColor" d="{known[0]["path"]}"/></svg>'
    )


def inline_icons(pages):
    """把页面（字典：路径 → HTML）里的图标写成 SVG；有一个认不出来，就原样返回。"""
    icons = read_icons((THEME_STATIC / ICON_FILE).read_text("utf-8"))
    try:
        drawn = {
            path: ICON_TAG.sub(lambda tag: draw_icon(tag, icons), page)
            for path, page in pages.items()
        }
    except KeyError as error:
        logger.info("认不出图标 %s，仍用 fontawesome.js。", error)
        return pages
    return {path: ICON_SCRIPT.sub("", page) for path, page in drawn.items()}


def prune_style(style, words, dynamic=()):
    """删去只用于没出现过的类名的规则；words 是页面和脚本里出现过的词，dynamic 开头的类名都留。"""

    def is_used(selector):
        names = CLASS.findall(selector)
        return all(name in words or name.startswith(dynamic) for name in names)

    def keep(match):
        selectors = match["selectors"]
        if "\\" in selectors or any(map(is_used, NEGATION.sub("", selectors).split(","))):
            return match[0]
        return ""

    return RULE.sub(keep, FONT_FACE.sub("", style))


def shrink_figure(path):
    """把颜色不多的不透明 PNG 图改成 256 色；照片等颜色很多的图不动。"""
    with Image.open(path) as image:
        picture = image.convert("RGBA")
        is_opaque = picture.getextrema()[3] == (255, 255)
        colors = picture.getcolors(MOST_COLORS)
        if image.mode == "P" or not is_opaque or colors is None:
            return
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def lighten_site(app, exception):
    """构建成功后改写页面与样式表，删去读者用不到的文件。"""
    if exception is not None or app.builder.name != "html":
        return
    static = Path(app.outdir, "_static")
    pages = {path: path.read_text("utf-8") for path in Path(app.outdir).rglob("*.html")}
    pages = inline_icons(pages)
    for path, page in pages.items():
        path.write_text(page, "utf-8")

    scripts = [path.read_text("utf-8") for path in static.rglob("*.js")]
    words = set(WORD.findall("\n".join([*pages.values(), *scripts])))
    style = (THEME_STATIC / STYLE_FILE).read_text("utf-8")
    (static / STYLE_FILE).write_text(prune_style(style, words, DYNAMIC_CLASSES), "utf-8")
    if (static / DESIGN_STYLE.name).exists():
        style = DESIGN_STYLE.read_text("utf-8")
        (static / DESIGN_STYLE.name).write_text(prune_style(style, words), "utf-8")

    if not any(ICON_SCRIPT.search(page) for page in pages.values()):
        (static / ICON_FILE).unlink(missing_ok=True)
        shutil.rmtree(static / "vendor/fontawesome", ignore_errors=True)
    for path in static.rglob("*.map"):
        path.unlink()
    for path in Path(app.outdir, "_images").glob("*.png"):
        shrink_figure(path)


def drop_unused_scripts(app, pagename, templatename, context, doctree):
    """没有公式的页面不加载 MathJax，没有标签页的不加载切换标签的脚本（默认每页都加上）。"""
    if doctree is None:
        return
    found = list(doctree.findall())
    unused = set()
    if not any(isinstance(node, (nodes.math, nodes.math_block)) for node in found):
        unused.add("mathjax")
    if not any(isinstance(node, nodes.container) and node.get("design_component") == "tab-set"
               for node in found):
        unused.add("design-tabs")
    context["script_files"][:] = [
        script
        for script in context["script_files"]
        if not any(name in str(getattr(script, "filename", script)) for name in unused)
    ]


def setup(app):
    """接上各个事件。"""
    app.connect("html-page-context", drop_unused_scripts, priority=900)
    app.connect("build-finished", lighten_site)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
