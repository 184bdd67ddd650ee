"""每一页的基本信息：标题、摘要、延迟加载的图片，以及站点入口。"""

import html
import re
import struct
from pathlib import Path

from docutils import nodes

DESCRIPTION_LENGTH = 150
FIXED_DESCRIPTIONS = {"search": "在《Sentence-BERT 实战》全书中搜索。"}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

ENTRY_PAGE = """<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={url}">
<title>{title}</title>
<meta name="description" content="{title}：正在转到首页。">
</head>
<body><p><a href="{url}">打开首页</a></p></body>
</html>
"""


def first_paragraph(doctree):
    """返回页面的第一段正文（提示框、列表和图里的段落不算），没有则返回空字符串。"""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if isinstance(paragraph.parent, nodes.section) and len(text) >= 10:
            return text
    return ""


def shorten(text, length=DESCRIPTION_LENGTH):
    """截到 length 个字以内，截断处加省略号。"""
    return text if len(text) <= length else text[: length - 1] + "…"


def png_size(path):
    """返回 PNG 图的（宽，高），单位像素；不是 PNG 时返回 None。"""
    with open(path, "rb") as file:
        head = file.read(24)
    if not head.startswith(PNG_SIGNATURE):
        return None
    return struct.unpack(">II", head[16:24])


def add_image_attributes(body, images):
    """给正文里的 <img> 加上延迟加载；PNG 图再加上宽高，免得载入时页面跳动。

    images 是字典：页面里的文件名 → 图片文件的路径。
    """

    def add(match):
        attributes = 'loading="lazy" decoding="async"'
        path = images.get(Path(match["src"]).name)
        size = path and png_size(path)
        if size and "width" not in match[0]:
            attributes += f' width="{size[0]}" height="{size[1]}"'
        return f"<img {attributes} " + match[0][len("<img ") :]

    return re.sub(r'<img [^>]*?src="(?P<src>[^"]*)"[^>]*>', add, body)


def complete_page(app, pagename, templatename, context, doctree):
    """补全一页的 HTML 信息。"""
    if context.get("title") == context["docstitle"]:
        context["docstitle"] = ""  # 首页的标题就是书名，不再写两遍
    description = FIXED_DESCRIPTIONS.get(pagename, "")
    if doctree is not None:
        description = first_paragraph(doctree) or context["title"]
        images = {
            name: Path(app.srcdir, source) for source, name in app.builder.images.items()
        }
        context["body"] = add_image_attributes(context["body"], images)
    if description:
        content = html.escape(shorten(description))
        tag = f'<meta name="description" content="{content}">'
        context["metatags"] = context.get("metatags", "") + tag


def write_entry_page(app, exception):
    """在站点根目录写一个转到首页的 index.html。"""
    if exception is None and app.builder.name == "html":
        page = ENTRY_PAGE.format(
            url=app.config.root_doc + ".html", title=html.escape(app.config.html_title)
        )
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app):
    """接上各个事件。"""
    app.connect("html-page-context", complete_page)
    app.connect("build-finished", write_entry_page)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
