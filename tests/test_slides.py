"""幻灯片的测试：每章一份，自足，图、公式、代码都在，毛病报得清楚，真的浏览器里放得下、翻得动。"""

import base64
import re

import pytest
from bs4 import BeautifulSoup

import make_slides
from make_slides import SlideError, make_deck, read_figures, split_pages, to_mathml
from mystdoc import BOOK, load_notebook
from textlint import check_prose

DECKS = sorted(BOOK.glob("slides/[0-9][0-9]_*.md"))
each_deck = pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
FIGURES = {"fig-a": PIXEL, "fig-flow": ""}
WORKED = {  # 幻灯片自己的例子和算式里的小数
    "00": {"0.01"}, "04": {"0.88"}, "07": {"0.93"}, "11": {"1.2", "3.7"}, "12": {"95.2"},
}
GOOD = "\n\n---\n\n".join([
    "# 题目\n\n一句话。\n\n???\n讲一分钟。",
    "## 公式\n\n$$\n\\mathbf s=\\frac{1}{n}\\sum_i h_i\n$$\n\n行内 $x^2$。",
    "## 代码\n\n```python\nx = 1\n\n---\n\ny = 2\n```\n\n```text\n1\n```",
    "## 图 {.split}\n\n![一条线](figure:fig-a)\n\n- 左边",
    "## 表\n\n| 甲 | 乙 |\n|---|---|\n| 1 | 2 |",
    "## 引文\n\n> 原话。\n\n**判定：错**",
    "## 练习\n\n1. 一\n2. 二", "## 小结\n\n[链接](https://example.org)",
])


def deck(folder, text, name="03_pooling.md"):
    """造一份幻灯片，返回它的 HTML。"""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return make_deck(path, FIGURES)[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """造好的全部幻灯片的文件夹；不合格式的，里面没有。"""
    folder = tmp_path_factory.mktemp("slides")
    make_slides.main(["--output", str(folder)])
    return folder


# ---------- 全书的幻灯片 ----------


def test_every_chapter_has_a_deck():
    assert [path.stem for path in DECKS] == [path.stem for path in sorted(BOOK.glob("*.ipynb"))]


@each_deck
def test_prose(path):
    assert list(check_prose(path)) == []


@each_deck
def test_numbers_come_from_the_notebook(path):
    """幻灯片里的小数，笔记本的正文、代码或输出里都有；笔记本改了数，这里会报。"""
    words = []
    for cell in load_notebook(BOOK / f"{path.stem}.ipynb")["cells"]:
        shown = [output.get("text") or output.get("data", {}).get("text/plain", "")
                 for output in cell.get("outputs", [])]
        words += ["".join(cell["source"]), *map("".join, shown)]
    prose = re.sub("```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    known = set(re.findall(r"\d+\.\d+", " ".join(words))) | WORKED.get(path.stem[:2], set())
    assert sorted(set(re.findall(r"\d+\.\d+", prose)) - known) == []


@each_deck
def test_deck_is_complete_and_self_contained(made, path):
    source = path.read_text(encoding="utf-8")
    make_deck(path, read_figures())  # 不合格式时，这里就报出每一处毛病
    page = (made / f"{path.stem}.html").read_text(encoding="utf-8")
    tree = BeautifulSoup(page, "html.parser")
    assert len(tree.select(".slide")) == len(split_pages(source))
    assert len(tree.select("img")) == source.count("](figure:")
    assert len(tree.select("math")) > 0 or "$" not in source
    assert len(tree.select("pre")) == len(re.findall(r"^```\w+$", source, re.M))
    assert "$" not in " ".join(
        text for text in tree.select_one("main").find_all(string=True)
        if not text.find_parent(["code", "math"])
    )
    for tag in tree.select("[src], link[href]"):
        assert (tag.get("src") or tag["href"]).startswith("data:")
    assert not re.search(r"url\(|@import|fetch\(", page)


def test_index_lists_every_deck(made):
    tree = BeautifulSoup((made / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert [link["href"] for link in tree.select("li a")] == [f"{p.stem}.html" for p in DECKS]


# ---------- 格式 ----------


def test_good_deck(tmp_path):
    tree = BeautifulSoup(deck(tmp_path, GOOD), "html.parser")
    slides = tree.select(".slide")
    assert [slide.select_one("h1, h2").get_text() for slide in slides][:2] == ["题目", "公式"]
    assert slides[0].select_one(".notes").get_text(strip=True) == "讲一分钟。"
    assert tree.title.get_text() == "题目 · 第 3 章幻灯片"
    assert slides[1].select_one("math[display=block] mi.bold").get_text() == "s"
    assert slides[2].select_one("pre.code").get_text() == "x = 1\n\n---\n\ny = 2\n"
    assert slides[2].select_one("pre.code span")  # 有高亮
    image = slides[3].select_one(".right figure img")
    assert image["src"] == f"data:image/png;base64,{PIXEL}" and image["alt"] == "一条线"
    assert slides[3].select_one(".left li")


BAD = {
    "第 4 页：fig-gone：哪一章都没有这幅图": ("figure:fig-a", "figure:fig-gone"),
    "第 4 页：fig-flow：是 Mermaid 图，没有 PNG": ("figure:fig-a", "figure:fig-flow"),
    "第 4 页：图只能写成 figure:fig-…，现在是：a.png": ("figure:fig-a", "a.png"),
    "第 4 页：图没有中文的替代文字": ("![一条线]", "![]"),
    "第 4 页：图要单独成段": ("![一条线]", "看 ![一条线]"),
    "第 4 页：标题后写了 {.split}，这一页却没有图": ("![一条线](figure:fig-a)", "无"),
    "第 2 页：公式里有不认识的 \\foo": ("x^2", "\\foo x"),
    "第 2 页：公式的花括号不成对": ("x^2", "x^{2"),
    "第 3 页：代码有 71 列": ("y = 2", f"y = '{'汉' * 31}' # "),
    "第 3 页：代码有 25 行": ("y = 2", "y = 2\n" * 20),
    "第 3 页：不认识的代码语言：pythn": ("python", "pythn"),
    "第 5 页：要以标题开头": ("## 表", "表"),
    "第 5 页：一页只能有一个标题": ("| 甲", "### 小标题\n\n| 甲"),
    "第 5 页：第 1 页用一级标题": ("## 表", "# 表"),
    "第 1 页：不支持 HTML：<b>": ("一句话", "<b>一句话</b>"),
    "第 1 页：不支持 MyST": ("一句话", "{ref}`cell-a`"),
    "第 8 页：链接只能是 https://：faq.md": ("https://example.org", "faq.md"),
    "有 7 页": ("\n\n---\n\n## 表", "\n\n## 表"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_deck_is_refused(tmp_path, message):
    old, new = BAD[message]
    assert old in GOOD
    with pytest.raises(SlideError) as error:
        deck(tmp_path, GOOD.replace(old, new))
    assert f"03_pooling.md：{message}" in str(error.value)


def test_deck_with_a_wrong_name_is_refused(tmp_path):
    with pytest.raises(SlideError, match="文件名要与笔记本相同"):
        deck(tmp_path, GOOD, "pooling.md")


def test_bad_deck_leaves_no_file(tmp_path, capsys):
    bad = tmp_path / "03_pooling.md"
    bad.write_text(GOOD.replace("fig-a", "fig-gone"), encoding="utf-8")
    output = tmp_path / "out"
    assert make_slides.main(["--output", str(output), str(bad), str(tmp_path / "04_x.md")]) == 1
    assert not list(output.iterdir())
    printed = capsys.readouterr().err
    assert "fig-gone：哪一章都没有这幅图" in printed and "没有这个文件" in printed


@pytest.mark.parametrize("latex, pieces", [
    (r"\mathbf h_{i}", ['<mi mathvariant="normal" class="bold">h</mi>']),
    (r"x\in\mathbb R^d", ["<mi mathvariant=\"normal\">ℝ</mi>"]),
    (r"\arg\max_k s_k", ["arg", "max"]),
    (r"\begin{aligned}a&=b\\c&=d\end{aligned}", ["<mtable", "<mtr>"]),
    (r"\text{平均}", ["<mtext>平均</mtext>"]),
])
def test_formulas(latex, pieces):
    mathml = to_mathml(latex)
    assert all(piece in mathml for piece in pieces)
    assert "\\" not in mathml


@pytest.mark.parametrize("latex", [r"\nosuch x", r"\mathbb{1}", r"\left(x", r"\frac{1}{2"])
def test_bad_formulas_are_refused(latex):
    with pytest.raises(ValueError):
        to_mathml(latex)


def test_figures_come_from_the_notebooks():
    figures = read_figures()
    assert base64.b64decode(figures["fig-padding"]).startswith(b"\x89PNG")
    assert figures["fig-bert"] == ""


# ---------- 浏览器 ----------


# 当前一页里越出页面的东西：内容比格子高或宽，或者正文伸到页码那一条里
OVERFLOW = """
() => {
  const slide = document.querySelector(".slide.current"), body = slide.querySelector(".body");
  const bottom = slide.getBoundingClientRect().bottom - 20;
  const found = [];
  for (const box of [body, ...body.querySelectorAll(".left, .right")]) {
    if (box.scrollHeight > box.clientHeight + 2) found.push("太高");
  }
  for (const block of body.querySelectorAll("p, ul, ol, pre, table, figure, .formula")) {
    const place = block.getBoundingClientRect(), around = body.getBoundingClientRect();
    if (place.right > around.right + 2 || block.scrollWidth > block.clientWidth + 2) {
      found.push("太宽：" + block.textContent.slice(0, 30));
    }
    if (place.bottom > bottom || place.top < around.top - 2) {
      found.push("出界：" + block.textContent.slice(0, 30));
    }
  }
  for (const image of body.querySelectorAll("img")) {
    if (!image.naturalWidth || image.clientHeight < 150) found.push("图太小：" + image.alt);
  }
  return found;
}
"""


@each_deck
def test_every_page_fits(browser, made, path):
    requests, errors, overflow = [], [], {}
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((made / f"{path.stem}.html").as_uri())
    count = tab.locator(".slide").count()
    for number in range(1, count + 1):
        assert tab.locator(".slide.current").get_attribute("id") == str(number)
        if found := tab.evaluate(OVERFLOW):
            overflow[f"第 {number} 页"] = found
        tab.keyboard.press("ArrowRight")
    tab.close()
    assert not overflow
    assert not errors
    assert not [url for url in requests if not url.startswith(("file://", "data:"))]


@pytest.fixture
def tab(browser, tmp_path):
    """打开一份小的幻灯片。"""
    page = tmp_path / "03_pooling.html"
    page.write_text(deck(tmp_path, GOOD), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 720}, has_touch=True)
    tab = context.new_page()
    tab.goto(page.as_uri())
    yield tab
    context.close()


def current(tab):
    """当前页的页码；别的页都不该看得见。"""
    visible = [slide for slide in tab.locator(".slide").all() if slide.is_visible()]
    assert len(visible) == 1
    return int(visible[0].get_attribute("id"))


def test_keys(tab):
    for key, expected in [
        ("ArrowRight", 2), ("PageDown", 3), (" ", 4), ("ArrowDown", 5), ("ArrowLeft", 4),
        ("Shift+ ", 3), ("PageUp", 2), ("ArrowUp", 1), ("ArrowUp", 1), ("End", 8),
        ("ArrowRight", 8), ("Home", 1),
    ]:
        tab.keyboard.press(key)
        assert current(tab) == expected
        assert tab.locator("[role=status]").inner_text() == f"{expected} / 8"
    assert tab.url.endswith("#1")


def test_buttons_and_focus(tab):
    tab.keyboard.press("Tab")
    while tab.evaluate("document.activeElement.id") != "next":
        style = "() => getComputedStyle(document.activeElement).outlineWidth"
        assert tab.evaluate(style) == "3px"
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.keyboard.press(" ")
    assert current(tab) == 3


def test_address_opens_a_page(tab):
    tab.goto(tab.url.split("#")[0] + "#5")
    assert current(tab) == 5


def test_notes_and_theme(tab):
    notes = tab.locator(".slide.current .notes")
    assert not notes.is_visible()
    tab.keyboard.press("n")
    assert notes.is_visible() and notes.inner_text().strip() == "讲一分钟。"
    paper = "() => getComputedStyle(document.documentElement).backgroundColor"
    assert tab.evaluate(paper) == "rgb(255, 255, 255)"
    tab.keyboard.press("t")
    assert tab.evaluate(paper) == "rgb(20, 24, 29)"


SWIPE = """
([x, y]) => {
  const touch = (x, y) =>
    new Touch({identifier: 1, target: document.body, clientX: 640 + x, clientY: 360 + y});
  const send = (name, touches) =>
    document.body.dispatchEvent(new TouchEvent(name, {...touches, bubbles: true}));
  send("touchstart", {touches: [touch(0, 0)]});
  send("touchend", {changedTouches: [touch(x, y)]});
}
"""


def test_touch(tab):
    """左划下一页，右划上一页；划得太短，或者其实是上下划，都不翻。"""
    for x, y, expected in [(-300, 100, 2), (-20, 0, 2), (-100, 200, 2), (300, -100, 1)]:
        tab.evaluate(SWIPE, [x, y])
        assert current(tab) == expected


def test_print_has_one_page_for_each_slide(tab):
    tab.keyboard.press("t")
    tab.keyboard.press("n")
    pages = re.findall(rb"/Type\s*/Page\b", tab.pdf(prefer_css_page_size=True))
    assert len(pages) == 8
    tab.emulate_media(media="print")
    assert tab.locator(".slide:visible").count() == 8
    assert not tab.locator(".bar, .notes").first.is_visible()
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    assert tab.evaluate(background) == "rgb(255, 255, 255)"


def test_phone(tab):
    tab.set_viewport_size({"width": 390, "height": 844})
    for _ in range(8):
        wider = "() => document.scrollingElement.scrollWidth - innerWidth"
        assert tab.evaluate(wider) <= 0
        tab.keyboard.press("ArrowRight")
