"""让 Markdown 链接能写“文件#标签”，如 ``[勘误](errata.md#e-4-3-mean)``。

MyST 自己只认“#标签”和“文件#标题”；这里把每一页的标签也登记成那一页的锚点。
"""


def add_labels(app, doctree):
    """把刚读完的一页的标签，补进 MyST 的锚点表（标签 → 行号、id、默认的链接文字）。"""
    page = app.env.docname
    domain = app.env.get_domain("std")
    anchors = app.env.metadata[page].setdefault("myst_slugs", {})
    for label, (docname, target) in domain.anonlabels.items():
        if docname == page:
            title = domain.labels[label][2] if label in domain.labels else label
            anchors.setdefault(label, (None, target, title))


def setup(app):
    """接上读完一页的事件。"""
    app.connect("doctree-read", add_labels)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
