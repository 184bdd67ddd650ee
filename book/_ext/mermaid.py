"""Mermaid 图：指令 ``{mermaid}`` 把文字描述画成流程图。

用法::

    ```{mermaid}
    :caption: 图的说明
    :alt: 给看不见图的读者的文字
    :name: fig-pipeline

    flowchart TD
      A[句子] --> B[句向量]
    ```

脚本只在有图的页面上加载；没有脚本时读者看到的是图的文字描述。
"""

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class Diagram(nodes.General, nodes.FixedTextElement):
    """一张 Mermaid 图；子节点是它的源文字，alt 属性是替代文字。"""


class MermaidDirective(SphinxDirective):
    """把指令内容变成一张带说明、可以被引用的图。"""

    has_content = True
    option_spec = {
        "caption": directives.unchanged,
        "alt": directives.unchanged_required,
        "name": directives.unchanged,
    }

    def run(self):
        """返回一个 figure 节点；没有替代文字就报错。"""
        self.assert_has_content()
        if not self.options.get("alt"):
            raise self.error("mermaid 图必须用 :alt: 写明替代文字。")
        source = "\n".join(self.content)
        figure = nodes.figure("", Diagram(source, source, alt=self.options["alt"]))
        figure["classes"].append("mermaid-figure")
        self.set_source_info(figure)
        if caption := self.options.get("caption"):
            inline, messages = self.parse_inline(caption, lineno=self.lineno)
            figure += nodes.caption(caption, "", *inline)
            figure += messages
        self.add_name(figure)
        return [figure]


def visit_diagram(translator, node):
    """写出 <pre class="mermaid">，里面是图的源文字。"""
    alt = translator.attval(node["alt"])
    translator.body.append(f'<pre class="mermaid" role="img" aria-label="{alt}">')


def depart_diagram(translator, node):
    """结束 <pre>。"""
    translator.body.append("</pre>\n")


def add_scripts(app, pagename, templatename, context, doctree):
    """只在有图的页面上加载 Mermaid。"""
    if doctree is not None and next(doctree.findall(Diagram), None):
        app.add_js_file("mermaid/mermaid.min.js", loading_method="defer")
        app.add_js_file("draw_mermaid.js", loading_method="defer")


def setup(app):
    """注册指令、节点和脚本。"""
    app.add_node(Diagram, html=(visit_diagram, depart_diagram))
    app.add_directive("mermaid", MermaidDirective)
    app.connect("html-page-context", add_scripts)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
