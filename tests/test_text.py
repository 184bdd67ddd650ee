"""全书正文与页面结构的检查，以及“检查本身确实会失败”的样例。"""

import json
import re
from itertools import chain

import nbformat
import pytest

import pagelint
from mystdoc import BOOK, ROOT, pages
from pagelint import check_page
from textlint import (
    cell_names,
    check_links,
    check_prose,
    figure_names,
    link_problem,
    prose_problems,
)

NOTEBOOKS = [path for path in pages() if path.suffix == ".ipynb"]
README = [path for path in [ROOT / "README.md"] if path.exists()]
PROSE = sorted({*BOOK.glob("*.md"), *NOTEBOOKS, *README})


def report(problems):
    """把毛病排成一段，没有毛病时是空串。"""
    return "\n".join(map(str, problems))


def expect_none(problems):
    """有毛病时测试失败，并把它们全部列出来。"""
    if text := report(problems):
        pytest.fail(text, pytrace=False)


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_prose(path):
    expect_none(check_prose(path))


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_links(path):
    expect_none(check_links(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_page(path):
    expect_none(check_page(path))


def test_figure_names_are_unique():
    names = list(chain.from_iterable(map(figure_names, NOTEBOOKS)))
    assert len(names) == len(set(names))


def test_cell_names_are_unique():
    """代码格的标签是全书可用的链接目标：小写 ASCII 与连字符，不重复。"""
    names = list(chain.from_iterable(map(cell_names, NOTEBOOKS)))
    assert sorted(set(names)) == sorted(names)
    assert not [name for name in names if not re.fullmatch(r"cell(-[a-z0-9]+)+", name)]


GOOD = [
    "**池化**：把词元向量变成一个句向量。",
    "所谓“**句向量**”问题，见 `model.encode(x)` 和 $f(x)$。",
    "准确率是 90%的样子；温度 20°以上；`中文abc` 不查，$中文a$ 也不查。",
    "“你好，世界！”——他说……好吧？！",
    "模型（base）有 12 层，见 Reimers et al. 的论文，时间 12:30，比例 3:1。",
    "1. 第一步\n2. 第二步，A, B 与 C, D\n",
    "数据集合并之后再去重，常有人把它译作“令牌”。",
    "```python\nx=1 # 中文abc,中文\n```\n\n<!-- 注释abc -->",
    "网址 https://example.org/a中 与 <https://example.org>，链接 [文档](https://e.org/a,b(c))。",
    "> 原文是BERT,照录。\n",
    ":::{admonition} 标题\n:class: article\n**原文**：“BERT是令牌,词”。\n\n**判定**：不对。\n:::",
    "| 名称 | 值 |\n|---|---|\n| BERT | 3 个 |\n",
    "```{figure} a.png\n:alt: 一张图\n图题在这里。\n```",
]
BAD = {
    "这是**池化：**把它平均。": "星号",
    "所谓**“句向量”**问题。": "星号",
    "- 列表里**也要查：**对": "星号",
    "| 表 |\n|---|\n| **也要查：**对 |": "星号",
    ":::{note}\n里面**也要查：**对\n:::": "星号",
    "这是*强调：*对": "星号",
    "使用BERT 模型": "空一格",
    "使用 BERT模型": "空一格",
    "使用**BERT**模型": "空一格",
    "使用[BERT](https://example.org)模型": "空一格",
    "共3 个": "空一格",
    "# 标题BERT": "空一格",
    ":::{admonition} 标题BERT\n:::": "空一格",
    ":::{admonition} 标题\n:class: article\n**原文**：“对”。\n\n**判定**：用BERT。\n:::": "空一格",
    "对,错": "全角标点",
    "对, 错": "全角标点",
    "`x`, 然后": "全角标点",
    "问题: 答案": "全角标点",
    "好!": "全角标点",
    "完了.": "全角句号",
    "等等...": "全角句号",
    "模型(base)": "括号",
    "完了。。": "重复",
    "完了，。": "重复",
    "向量 ，句子": "不要空格",
    "`x` 。": "不要空格",
    "（ 注": "不要空格",
    '他说"你好"。': "引号",
    "他说'你好'。": "引号",
    "这是句嵌入。": "句向量",
    "这是令牌。": "词元",
    "注意力掩膜": "掩码",
    "余弦相似性": "余弦相似度",
    "![](a.png)": "替代文字",
    "![共3个](a.png)": "空一格",
    "```{figure} a.png\n图题\n```": "alt",
    "```{figure} a.png\n:alt: 图\n```": "图题",
    '<img src="a.png">': "alt",
    ":::{note}\n一\n:::{tip}\n二\n:::\n:::": "多余的 :::",
    "见式 {eq}`eq-a`。": "不要再写",
    "看图 {numref}`fig-a`。": "不要再写",
    "```python\nx": "没有结束",
    ":::{note}\n没有关上": "没有结束",
}


@pytest.mark.parametrize("source", GOOD)
def test_good_prose_passes(source):
    assert list(prose_problems(source)) == []


@pytest.mark.parametrize("source", BAD)
def test_bad_prose_is_caught(source):
    assert BAD[source] in "；".join(message for _, message in prose_problems(source))


def test_line_numbers_are_right():
    source = "好\n\n::::{note}\n:class: x\n好\n\n:::{tip}\n坏BERT\n:::\n::::\n好\n坏,"
    assert [line for line, _ in prose_problems(source)] == [8, 12]


def test_bad_links_are_caught(tmp_path):
    page = tmp_path / "a.md"
    page.write_text(
        "(here)=\n# 标题 A\n[x](#here) [x](#标题-a) [x](b.md) [x](#gone) [x](https://e.org)\n"
        "{ref}`gone` {eq}`gone` {cite:p}`gone` {doc}`gone` {term}`gone`\n",
        encoding="utf-8",
    )
    messages = [problem.message for problem in check_links(page)]
    assert len(messages) == 7 and all("gone" in m or "b.md" in m for m in messages)
    assert link_problem("#here", page) == ""


def markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source="1 + 1", *tags):
    metadata = {"tags": list(tags)} if tags else {}
    return nbformat.v4.new_code_cell(source, execution_count=1, metadata=metadata)


def good_page():
    """一份合乎全部要求的最小页面。"""
    exercises = [
        cell for name in "abc" for cell in (
            markdown(f"```{{exercise}} ★★\n:label: {name}\n做一做。\n```\n\n"
                     f"````{{solution-start}} {name}\n:class: dropdown\n````"),
            code(), markdown("```{solution-end}\n```"),
        )
    ]
    options = "".join(
        f":::{{dropdown}} {title}\n{mark} 因为这样那样的理由所以如此。\n:::\n"
        for title, mark in (("甲", "✓"), ("乙", "✗"), ("丙", "✗"))
    )
    quiz = "".join(f"### 第 {number} 题\n{options}\n" for number in "123")
    figure = code("plot()")
    figure.outputs = [nbformat.v4.new_output("display_data", {"image/png": "AAAA"})]
    figure.metadata["mystnb"] = {
        "figure": {"caption": "看出趋势。", "name": "fig-a"}, "image": {"alt": "一条折线。"},
    }
    cells = [
        markdown(
            "# 标题\n\n**本页回答的问题**：为什么？\n\n"
            ":::{admonition} 学完本页，你能\n- 一\n- 二\n- 三\n:::\n\n"
            f"{pagelint.HEADER}\n|---|---|---|---|\n| 无 | 5 分钟 | 1 分钟 | 1.1 |\n"
        ),
        code("import numpy as np\nrng = np.random.default_rng(0)"),
        markdown("## 正文\n" + "字" * 1500), figure,
        markdown(
            "## 原文怎么说\n:::{admonition} 其一\n:class: article\n**原文**：“是”。\n\n"
            "**判定**：错。\n\n**见**：[勘误](errata.md#x)\n:::\n\n## 常见误区\n### 甲"
        ),
        code(), markdown("### 乙"), code(), markdown("## 换成你的数据\n改这里。"),
        code("x = 1", "your-data"), markdown("## 练习"), *exercises,
        markdown(f"## 自测\n{quiz}\n## 小结\n完。\n\n## 延伸阅读\n{{cite:p}}`x`"),
    ]
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"
    kernel = {"name": "python3", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def page_report(notebook, folder, name="99_x.ipynb"):
    path = folder / name
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return report(check_page(path))


def replace(old, new, count=-1):
    """返回一个把各单元里 old 换成 new 的函数。"""
    def change(notebook):
        cells = [cell for cell in notebook.cells if old in cell.source]
        assert cells, old
        for cell in cells[:count if count > 0 else None]:
            cell.source = cell.source.replace(old, new, count)
    return change


def output(kind, **content):
    """返回一个给第一个代码单元加上输出的函数。"""
    new = nbformat.v4.new_output(kind, **content)
    return lambda notebook: notebook.cells[1].outputs.append(new)


def edit_figure(group, **values):
    return lambda notebook: notebook.cells[3].metadata["mystnb"][group].update(values)


def drop(index):
    return lambda notebook: notebook.cells.pop(index)


BAD_PAGES = {
    "一级标题": replace("# 标题", "标题"),
    "本页回答的问题": replace("**本页回答的问题**", "本页的问题"),
    "学完本页": replace("- 三\n", ""),
    "没有表格": replace("先修", "先"),
    "没有定随机种子": replace("rng = np.random.default_rng(0)", ""),
    "别的语句": replace("rng =", "x = 3\nrng ="),
    "二级标题应当": replace("## 小结", "## 总结"),
    "没有 class 为 article": replace(":class: article", ":class: tip"),
    "要有 **原文**": replace("**判定**", "判定"),
    "的判定不是错、": replace("**判定**：错。", "**判定**：错误。"),
    "到 errata.md#": replace("errata.md#x", "faq.md"),
    "至少要有 2 条": replace("### 乙", "乙"),
    "没有代码单元": lambda notebook: notebook.cells.insert(5, markdown("### 丙")),
    "your-data": lambda notebook: notebook.cells[9].metadata.pop("tags"),
    "要有 3–5 题": replace("```{exercise} ★★\n:label: a", "```{note}\n:class: a"),
    "没有标难度": replace("★★", "", 1),
    "没有折叠": replace(":class: dropdown", ":class: x", 1),
    "对不上": replace("{solution-start} a", "{solution-start} z"),
    "答案里没有代码单元": drop(12),
    "没有 solution-end": lambda notebook: notebook.cells.pop(19),
    "现在 2 题": replace("### 第 3 题", "第 3 题"),
    "以 ✓ 开头": replace("✗", "✓", 1),
    "没有说明理由": replace("因为这样那样的理由所以如此", "不对", 1),
    "没有引用文献": replace("{cite:p}`x`", "无"),
    "之间没有文字": drop(6),
    "超过 30 行": replace("plot()", "plot()\n" * 31),
    "中位数": replace("1 + 1", "1 + 1\n" * 7),
    "15 行以内": replace("1 + 1", "1 + 1\n" * 16, 2),
    "还没有运行过": lambda notebook: notebook.cells[1].update(execution_count=None),
    "标准错误": output("stream", name="stderr", text="警告"),
    "本机路径": output("stream", name="stdout", text="/home/me/x"),
    "进度条": output("stream", name="stdout", text=" 50%|███"),
    "交互控件": output(
        "display_data", data={"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    ),
    "出错": output("error", ename="ValueError", evalue="x", traceback=[]),
    "藏起警告": replace("1 + 1", "warnings.filterwarnings('ignore')", 1),
    "跳过运行": replace("1 + 1", "# NBVAL_SKIP", 1),
    "过时的接口": replace("1 + 1", "util.pytorch_cos_sim(a, b)", 1),
    "图题 figure.caption": edit_figure("figure", caption=""),
    "fig- 开头": edit_figure("figure", name="a"),
    "替代文字 image.alt": edit_figure("image", alt=""),
    "照抄": edit_figure("image", alt="看出趋势。"),
    "不到 1500": replace("字" * 1500, "字" * 1000),
    "id 缺失或重复": lambda notebook: notebook.cells[2].update(id="cell-1"),
    "不是 python3": lambda notebook: notebook.metadata.kernelspec.update(name="conda"),
    "不合 nbformat": lambda notebook: notebook.cells[0].update(outputs=[]),
    "控件状态": lambda notebook: notebook.metadata.update(widgets={}),
}


def test_good_page_passes(tmp_path):
    assert page_report(good_page(), tmp_path) == ""


@pytest.mark.parametrize("message", BAD_PAGES)
def test_bad_page_is_caught(message, tmp_path):
    notebook = good_page()
    BAD_PAGES[message](notebook)
    assert message in page_report(notebook, tmp_path)


def test_missing_link_to_next_page_is_caught(tmp_path, monkeypatch):
    chapters = [tmp_path / "98_x.ipynb", tmp_path / "99_next.ipynb"]
    monkeypatch.setattr(pagelint, "pages", lambda: chapters)
    assert "没有到下一页 99_next" in page_report(good_page(), tmp_path, "98_x.ipynb")
    assert page_report(good_page(), tmp_path, "99_next.ipynb") == ""


def test_expected_error_may_use_outdated_code(tmp_path):
    notebook = good_page()
    cell = notebook.cells[5]
    cell.source, cell.metadata["tags"] = "model.encode_multi_process()", ["raises-exception"]
    cell.outputs = [nbformat.v4.new_output("error", ename="E", evalue="x", traceback=[])]
    assert page_report(notebook, tmp_path) == ""
