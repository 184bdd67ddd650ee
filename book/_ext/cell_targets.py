"""代码格的标签 ``cell-…`` 就是可以引用的目标：{ref}`文字 <cell-argmax-diagonal>`。

在 Notebook 里给代码格加上 ``cell-`` 开头的标签（tag），全书就能这样链到那一格；
写 Markdown 链接也行：``[文字](05_find_similar_sentences.ipynb#cell-argmax-diagonal)``。
"""

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)

PREFIX = "cell-"


def add_targets(app, doctree):
    """把刚读完的一页里带 cell- 标签的代码格登记成标签，并给它们写上同名的 id。"""
    page = app.env.docname
    labels = app.env.get_domain("std").anonlabels
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        for tag in cell["cell_metadata"].get("tags", []):
            if not tag.startswith(PREFIX):
                continue
            if tag in labels:
                logger.warning("代码格的标签 %s 与 %s 里的重复", tag, labels[tag][0], location=page)
            cell["ids"].append(tag)
            labels[tag] = (page, tag)


def setup(app):
    """接上读完一页的事件；要排在 link_labels 之前，它才看得见这些标签。"""
    app.connect("doctree-read", add_targets, priority=400)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
