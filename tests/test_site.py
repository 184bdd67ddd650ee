"""站点测试：构建一次全书网站，再用真实的浏览器逐页检查。

浏览器见 conftest.py。
SBERTBOOK_BUILD_LIMIT 是构建时间上限（秒），默认 60：测试并行时几个进程共用处理器。
"""

import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
BUILD_LIMIT = float(os.environ.get("SBERTBOOK_BUILD_LIMIT", "60"))
PAGE_LIMIT = 400 * 1024  # 一页经 gzip 压缩后的字节数，全书中位数的上限
PHONE = {"width": 390, "height": 844}
ZIP_NAME = "_downloads/sbert-book-notebooks.zip"
ROOTS = ["http", "file"]


def toc_files(entry):
    """依次给出目录里的每个文件名（不带扩展名）。"""
    for key in ("root", "file"):
        if key in entry:
            yield str(Path(entry[key]).with_suffix("")) if "." in entry[key] else entry[key]
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            yield from toc_files(child)


TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [f"{name}.html" for name in toc_files(TOC)]
each_page = pytest.mark.parametrize("page", PAGES)
each_root = pytest.mark.parametrize("root", ROOTS)


# ---------- 构建 ----------


def build(output):
    """构建全书到 output 文件夹，返回完成的进程。"""
    code = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", code, "build", str(ROOT), "--path-output", str(output)]
    return subprocess.run(
        [*command, "-W", "--keep-going", "-n"], capture_output=True, text=True, encoding="utf-8"
    )


@dataclass
class Site:
    """建好的网站。"""

    output: Path
    seconds: float

    @property
    def html(self):
        """网站的根目录。"""
        return self.output / "_build" / "html"

    def parse(self, page):
        """返回一页的语法树。"""
        return BeautifulSoup((self.html / page).read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """构建一次网站，不许有任何警告。"""
    output = tmp_path_factory.mktemp("site")
    start = time.perf_counter()
    process = build(output)
    seconds = time.perf_counter() - start
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    assert "WARNING" not in process.stderr, process.stderr[-3000:]
    return Site(output, seconds)


@pytest.fixture(scope="module")
def trees(site):
    """字典：页面 → 语法树。"""
    return {page: site.parse(page) for page in [*PAGES, "search.html"]}


def test_build_is_quick(site):
    print(f"构建用了 {site.seconds:.1f} 秒")
    assert site.seconds <= BUILD_LIMIT


# ---------- 不用浏览器的检查 ----------


def test_entry_page_leads_to_the_book(site):
    refresh = site.parse("index.html").find("meta", {"http-equiv": "refresh"})
    assert refresh["content"].endswith(f"url={PAGES[0]}")
    assert (site.html / PAGES[0]).exists()


@each_page
def test_page_basics(trees, page):
    tree = trees[page]
    assert tree.html["lang"] == "zh-CN"
    assert tree.title.get_text(strip=True)
    description = tree.find("meta", {"name": "description"})["content"]
    assert 10 <= len(description) <= 150, description


def test_titles_and_descriptions_are_unique(trees):
    titles = [tree.title.get_text() for tree in trees.values()]
    descriptions = [
        tree.find("meta", {"name": "description"})["content"] for tree in trees.values()
    ]
    assert sorted(set(titles)) == sorted(titles)
    assert sorted(set(descriptions)) == sorted(descriptions)


@each_page
def test_images(trees, page):
    for image in trees[page].select("article img"):
        alt = image.get("alt", "").strip()
        assert alt and not alt.endswith((".png", ".svg", ".jpg")), f"缺少替代文字：{image}"
        assert image.get("loading") == "lazy", image


@each_page
def test_no_icon_script(trees, page):
    assert not trees[page].select('script[src*="fontawesome"]')
    assert not trees[page].select("i[class*=fa-]")


def test_internal_links(site, trees):
    ids = {
        page: {tag.get("id") or tag.get("name") for tag in tree.select("[id], a[name]")}
        for page, tree in trees.items()
    }
    broken = []
    for page, tree in trees.items():
        for tag in tree.select("[href], [src]"):
            link = urlsplit(tag.get("href") or tag.get("src") or "")
            if link.scheme or link.netloc:
                continue
            target = unquote(urljoin(page, link.path)) if link.path else page
            fragment = unquote(link.fragment)
            if not (site.html / target).is_file():
                broken.append(f"{page} → {tag.get('href') or tag.get('src')}")
            elif fragment and target in ids and fragment not in ids[target]:
                broken.append(f"{page} → {tag['href']}（没有这个锚点）")
    assert not broken, "\n".join(broken)


def test_notebook_zip(site):
    """压缩包里有全部笔记本和它们要读的文件；再构建一次，字节不变。"""
    first = (site.html / ZIP_NAME).read_bytes()
    with zipfile.ZipFile(site.html / ZIP_NAME) as archive:
        names = set(archive.namelist())
    for notebook in (ROOT / "book").glob("*.ipynb"):
        if f"book/{notebook.stem}.html" in PAGES:
            assert f"sbert-book/book/{notebook.name}" in names
            for opened in re.findall(r"(?:data|results)/\w+\.\w+", notebook.read_text("utf-8")):
                assert f"sbert-book/book/{opened}" in names or "mine" in opened
    assert "sbert-book/说明.txt" in names
    assert "sbert-book/requirements.txt" in names
    assert any(name.startswith("sbert-book/book/sbertbook/") for name in names)
    time.sleep(2)  # zip 的时间戳以两秒为单位
    process = build(site.output)
    assert process.returncode == 0, process.stderr[-3000:]
    assert (site.html / ZIP_NAME).read_bytes() == first


# ---------- 浏览器 ----------


class QuietHandler(SimpleHTTPRequestHandler):
    """不打印日志的文件服务。"""

    def log_message(self, *args):
        """什么也不打印。"""


@pytest.fixture(scope="module")
def addresses(site):
    """字典：http 与 file → 网站根目录的地址。"""
    handler = partial(QuietHandler, directory=str(site.html))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "http": f"http://127.0.0.1:{server.server_port}/",
        "file": site.html.as_uri() + "/",
    }
    server.shutdown()
    server.server_close()


CONTRAST_SCRIPT = r"""
() => {
  const parse = (text) => {
    const numbers = text.match(/-?[\d.]+(e-?\d+)?/g).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    const [r, g, b, a = 1] = numbers;
    return [r * scale, g * scale, b * scale, a];
  };
  const over = (top, below) =>
    [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = (element) => {
    if (!element) return [255, 255, 255, 1];
    const color = parse(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color : over(color, background(element.parentElement));
  };
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const c = value / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const selectors = [
    "article p", "article li", "article a", "article td", "article th", "article summary",
    "article figcaption", "article pre span", "article pre", "article code",
    ".admonition-title", ".bd-sidebar-primary a", ".bd-toc a", ".bd-footer-content p",
    ".prev-next-area p",
  ];
  const poor = new Set();
  for (const selector of selectors) {
    for (const element of document.querySelectorAll(selector)) {
      const hasText = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      if (!hasText || !element.checkVisibility({visibilityProperty: true})) continue;
      const below = background(element);
      const color = over(parse(getComputedStyle(element).color), below);
      const [high, low] = [luminance(color), luminance(below)].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < 4.5) {
        poor.add(`${selector} ${element.className} “${element.textContent.trim().slice(0, 20)}” `
          + `${color.slice(0, 3).map(Math.round)} / ${below.slice(0, 3).map(Math.round)} `
          + ratio.toFixed(2));
      }
    }
  }
  return [...poor];
}
"""

OPEN_EVERYTHING = """
() => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  document.querySelectorAll(".toggle-hidden").forEach((box) => {
    box.classList.remove("toggle-hidden");
  });
  document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
}
"""

HIDDEN_IN_PRINT = """
() => [...document.querySelectorAll("details > :not(summary), .admonition.dropdown > *")]
  .filter((element) => element.textContent.trim() && !element.matches("script, style"))
  .filter((element) => {
    const visible = element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    return !visible || element.getBoundingClientRect().height < 5;
  })
  .map((element) => element.outerHTML.slice(0, 120))
"""

WIDER_THAN_SCREEN = "() => document.scrollingElement.scrollWidth - window.innerWidth"


@dataclass
class Visit:
    """打开一页以后看到的一切。"""

    requests: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    first_requests: list = field(default_factory=list)
    formulas: int = 0
    drawn_formulas: int = 0
    bad_formulas: list = field(default_factory=list)
    diagrams: int = 0
    drawn_diagrams: int = 0
    overflow: dict = field(default_factory=dict)
    poor_contrast: dict = field(default_factory=dict)
    sidebars_in_print: int = 0
    hidden_in_print: list = field(default_factory=list)


def watch(tab, visit):
    """把一个标签页的请求和错误记到 visit 里。"""
    tab.on("request", lambda request: visit.requests.append(request.url))
    tab.on("requestfailed", lambda request: visit.failures.append(request.url))
    tab.on(
        "response",
        lambda reply: reply.status >= 400 and visit.failures.append(f"{reply.status} {reply.url}"),
    )
    tab.on("pageerror", lambda error: visit.errors.append(str(error)))
    tab.on(
        "console",
        lambda message: message.type == "error" and visit.errors.append(message.text),
    )


def wait_until_drawn(tab):
    """等公式和图画完。"""
    tab.wait_for_load_state("networkidle")
    tab.evaluate("() => window.MathJax?.startup?.promise")
    tab.wait_for_function("() => !document.querySelector('pre.mermaid:not([data-drawn])')")


def visit_page(browser, address):
    """用手机宽度打开一页，看请求、错误、公式和图；经 http 打开时再看打印和明暗两种主题。"""
    visit = Visit()
    tab = browser.new_page(viewport=PHONE, color_scheme="light")
    watch(tab, visit)
    tab.goto(address)
    wait_until_drawn(tab)
    visit.first_requests = list(visit.requests)
    visit.formulas = tab.locator(".math").count()
    visit.drawn_formulas = tab.locator(".math mjx-container").count()
    visit.bad_formulas = tab.locator("mjx-merror").all_inner_texts()
    visit.diagrams = tab.locator("pre.mermaid").count()
    visit.drawn_diagrams = tab.locator("pre.mermaid svg").count()
    if address.startswith("http"):
        look_at_print(tab, visit)
        look_at_themes(tab, visit)
    tab.close()
    return visit


def look_at_print(tab, visit):
    """记下打印时还看得见的侧栏和看不见的折叠内容。"""
    tab.set_viewport_size({"width": 1280, "height": 900})  # 手机宽度下侧栏本来就收着
    tab.emulate_media(media="print")
    sidebars = tab.locator(".bd-sidebar-primary, .bd-sidebar-secondary").all()
    visit.sidebars_in_print = sum(sidebar.is_visible() for sidebar in sidebars)
    visit.hidden_in_print = tab.evaluate(HIDDEN_IN_PRINT)
    tab.emulate_media(media="screen")
    tab.set_viewport_size(PHONE)


def look_at_themes(tab, visit):
    """展开全部内容，记下明暗两种主题下的横向溢出与对比度不足。"""
    tab.evaluate(OPEN_EVERYTHING)
    tab.wait_for_load_state("networkidle")
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        tab.wait_for_function(f"() => document.documentElement.dataset.theme === '{theme}'")
        tab.wait_for_timeout(400)  # 等颜色过渡完
        visit.overflow[theme] = tab.evaluate(WIDER_THAN_SCREEN)
        visit.poor_contrast[theme] = tab.evaluate(CONTRAST_SCRIPT)


@pytest.fixture(scope="module")
def visits(browser, addresses):
    """函数：给出页面与打开方式，返回 Visit；同一页只打开一次。"""
    seen = {}

    def look(page, root="http"):
        if (page, root) not in seen:
            seen[page, root] = visit_page(browser, addresses[root] + page)
        return seen[page, root]

    return look


@each_root
@each_page
def test_requests_stay_inside(visits, addresses, page, root):
    visit = visits(page, root)
    inside = (addresses[root], "data:", "blob:")
    assert not [url for url in visit.requests if not url.startswith(inside)]
    assert not visit.failures


@each_root
@each_page
def test_no_script_errors(visits, page, root):
    assert not visits(page, root).errors


@each_root
@each_page
def test_formulas_are_drawn(visits, page, root):
    visit = visits(page, root)
    assert not visit.bad_formulas
    assert visit.drawn_formulas == visit.formulas


@each_root
@each_page
def test_diagrams_are_drawn(visits, page, root):
    visit = visits(page, root)
    assert visit.drawn_diagrams == visit.diagrams
    loads_mermaid = any("mermaid.min.js" in url for url in visit.requests)
    assert loads_mermaid == (visit.diagrams > 0)


@each_page
def test_fits_a_phone(visits, page):
    assert all(extra <= 0 for extra in visits(page).overflow.values()), visits(page).overflow


@each_page
def test_contrast(visits, page):
    poor = visits(page).poor_contrast
    assert poor == {"light": [], "dark": []}


@each_page
def test_print(visits, page):
    visit = visits(page)
    assert visit.sidebars_in_print == 0
    assert not visit.hidden_in_print


def compressed_size(site, addresses, urls):
    """这些地址对应的文件经 gzip 压缩后的总字节数。"""
    paths = {urlsplit(url).path.lstrip("/") for url in urls if url.startswith(addresses["http"])}
    contents = [(site.html / unquote(path)).read_bytes() for path in paths]
    return sum(min(len(data), len(gzip.compress(data, 6))) for data in contents)


def test_page_weight(site, visits, addresses):
    sizes = {}
    for page in PAGES:
        urls = visits(page).first_requests
        sizes[page] = compressed_size(
            site, addresses, [url for url in urls if "mermaid.min.js" not in url]
        )
        print(f"{sizes[page]:>9,} {page}")
    assert statistics.median(sizes.values()) <= PAGE_LIMIT


# ---------- 搜索、键盘、主题 ----------


def search(browser, address, query):
    """在搜索页上查询，返回（结果数，脚本错误）。"""
    visit = Visit()
    tab = browser.new_page()
    watch(tab, visit)
    tab.goto(f"{address}search.html?q={query}")
    tab.wait_for_function("() => document.querySelector('.search-summary')?.textContent")
    tab.wait_for_load_state("networkidle")
    count = tab.locator("ul.search > li").count()
    tab.close()
    return count, visit.errors + visit.failures


@each_root
@pytest.mark.parametrize(
    "query", ["余弦相似度", "池化", "掩码", "句向量", "各向异性", "mean pooling", "锥"]
)
def test_search_hits(browser, addresses, root, query):
    count, errors = search(browser, addresses[root], query)
    assert count > 0
    assert not errors


@each_root
def test_search_misses(browser, addresses, root):
    count, errors = search(browser, addresses[root], "量子纠缠火锅")
    assert count == 0
    assert not errors


def test_query_is_cut_like_the_index(browser, addresses):
    """浏览器里的 splitQuery 与 Python 里的 split_query 切法相同。"""
    sys.path.append(str(ROOT / "book" / "_ext"))
    from zh_search import split_query

    tab = browser.new_page()
    tab.goto(addresses["http"] + "search.html")
    for text in ["余弦相似度", "BERT 的 mean_pooling（池化）", "词", "e5-base，768 维", "，。"]:
        assert tab.evaluate("text => splitQuery(text)", text) == split_query(text)
    tab.close()


FOCUS = """
() => {
  const element = document.activeElement;
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  return {
    href: element.getAttribute("href"),
    onScreen: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}
"""


def test_keyboard(browser, addresses):
    """第一次按 Tab 到“跳到正文”，以后每个焦点都看得见。"""
    tab = browser.new_page()
    tab.goto(addresses["http"] + PAGES[0])
    wait_until_drawn(tab)
    stops = []
    for _ in range(8):
        tab.keyboard.press("Tab")
        tab.wait_for_timeout(300)  # 等焦点框的过渡完
        stops.append(tab.evaluate(FOCUS))
    assert stops[0]["href"] == "#main-content"
    assert all(stop["onScreen"] and stop["marked"] for stop in stops), stops
    tab.close()


def test_print_uses_the_light_theme(browser, addresses):
    """深色主题下打印用浅色，打印完换回深色。"""
    tab = browser.new_page(color_scheme="dark")
    tab.goto(addresses["http"] + PAGES[0])
    theme = "() => document.documentElement.dataset.theme"
    assert tab.evaluate(theme) == "dark"
    tab.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate(theme) == "light"
    tab.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(theme) == "dark"
    tab.close()


def test_theme_switch_redraws_diagrams(browser, addresses, trees):
    page = next((page for page in PAGES if trees[page].select("pre.mermaid")), None)
    if page is None:
        pytest.skip("全书没有 Mermaid 图。")
    tab = browser.new_page(color_scheme="light")
    tab.goto(addresses["file"] + page)
    wait_until_drawn(tab)
    before = tab.locator("pre.mermaid").first.inner_html()
    for _ in range(3):
        tab.locator(".theme-switch-button:visible").first.click()
        if tab.evaluate("() => document.documentElement.dataset.theme") == "dark":
            break
    tab.wait_for_selector('pre.mermaid[data-drawn="dark"]')
    assert tab.locator("pre.mermaid").first.inner_html() != before
    tab.close()


# ---------- 术语的释义 ----------

CHAPTERS = [page for page in PAGES if re.match(r"book/\d\d_", page)]
NOT_PROSE = ["h1", "h2", "h3", "pre", "code", "table", "figcaption", ".admonition", ".math"]


@pytest.mark.parametrize("page", CHAPTERS)
def test_hints(trees, page):
    """每章都有释义，一条只加一次，不在标题、代码、公式、表格、图题和提示框里。"""
    hints = trees[page].select("a.glossary-hint")
    assert len(hints) >= 3
    assert all(hint["title"].endswith("。") for hint in hints)
    assert len({hint["href"] for hint in hints}) == len(hints)
    assert not trees[page].select(", ".join(f"{place} a.glossary-hint" for place in NOT_PROSE))


def test_glossary_links_to_definitions(trees):
    """术语表里多数链接直接通到章里引出术语的地方（锚点在不在，由 test_internal_links 检查）。"""
    links = [link["href"] for link in trees["book/glossary.html"].select("dl.glossary dd a")]
    assert sum("#def-" in link for link in links) > len(links) / 2


def test_hints_are_not_searched(site, trees):
    """释义不进搜索索引：只在释义里才有的片段，搜不到这一章。"""
    sys.path.append(str(ROOT / "book" / "_ext"))
    from zh_search import split_query

    source = (site.html / "searchindex.js").read_text("utf-8")
    index = json.loads(source.removeprefix("Search.setIndex(").removesuffix(")"))
    page = "book/03_pooling"
    article = trees[f"{page}.html"].article
    hints = " ".join(hint["title"] for hint in article.select("a.glossary-hint"))
    only_in_hints = {word for word in split_query(hints) if word not in article.get_text()}
    found = {word: np.atleast_1d(index["terms"].get(word, [])) for word in only_in_hints}
    assert only_in_hints
    assert not [word for word in found if index["docnames"].index(page) in found[word]]


def check_tip(tab, hint):
    """这个词的释义正显示着，不出屏幕，也不盖住这个词。"""
    tip = tab.locator("#glossary-tip")
    assert hint.get_attribute("aria-describedby") == "glossary-tip"
    assert tip.inner_text().startswith(hint.inner_text()[:1]) and tip.is_visible()
    assert tab.evaluate(WIDER_THAN_SCREEN) <= 0
    box, word, screen = tip.bounding_box(), hint.bounding_box(), tab.viewport_size
    assert 0 <= box["x"] and box["x"] + box["width"] <= screen["width"]
    assert 0 <= box["y"] and box["y"] + box["height"] <= screen["height"]
    assert box["y"] >= word["y"] + word["height"] or box["y"] + box["height"] <= word["y"]


@each_root
def test_hints_appear_on_hover_and_focus(browser, addresses, root):
    """鼠标停在词上就显示释义，移开收起；键盘聚焦时显示，按 Esc 收起。"""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(addresses[root] + "book/03_pooling.html")
    wait_until_drawn(tab)
    tip, hints = tab.locator("#glossary-tip"), tab.locator("a.glossary-hint").all()
    title = hints[1].get_attribute("title")
    hints[1].hover()
    check_tip(tab, hints[1])
    assert tip.inner_text() == title and hints[1].get_attribute("title") is None
    tip.hover()  # 指针移到释义上，它不消失
    tab.wait_for_timeout(400)
    assert tip.is_visible()
    tab.mouse.move(5, 5)
    tip.wait_for(state="hidden")
    assert hints[1].get_attribute("title") == title
    hints[0].focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Shift+Tab")
    check_tip(tab, hints[0])
    tab.keyboard.press("Escape")
    assert tip.is_hidden()
    tab.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hints_on_a_phone(browser, addresses, theme):
    """手指点第一下显示释义，不出屏幕，字看得清；再点一下到术语表。"""
    context = browser.new_context(
        viewport=PHONE, has_touch=True, is_mobile=True, color_scheme=theme
    )
    tab = context.new_page()
    tab.goto(addresses["http"] + "book/03_pooling.html")
    wait_until_drawn(tab)
    hints = tab.locator("a.glossary-hint").all()
    for hint in hints:
        tab.keyboard.press("Escape")  # 上一条释义可能正盖着这个词
        hint.tap()
        check_tip(tab, hint)
    assert tab.url.endswith("03_pooling.html")
    poor = tab.evaluate(CONTRAST_SCRIPT.replace('"article p",', '"#glossary-tip",'))
    assert not [line for line in poor if line.startswith("#glossary-tip")]
    tab.emulate_media(media="print")
    assert tab.locator("#glossary-tip").is_hidden()
    tab.emulate_media(media="screen")
    hints[-1].tap()
    tab.wait_for_url("**/glossary.html#*")
    context.close()


# ---------- 勘误 ----------

ONE_ERRATUM = "section[id^='e-'], section:has(> span[id^='e-'])"


def visible_errata(tab):
    """勘误页上看得见的条目：(总表的行数, 下文的小节数)。"""
    rows = tab.locator("form.errata-filter ~ * tbody tr:visible")
    return rows.count(), tab.locator(ONE_ERRATUM).filter(visible=True).count()


@each_root
def test_errata_filter(browser, addresses, root):
    """按判定和节筛选，条件进地址栏；筛到 0 条时说一句；键盘可用；带条目的地址照样看得见。"""
    address = addresses[root] + "book/errata.html"
    tab = browser.new_page(viewport=PHONE)
    tab.goto(address)
    output, form = tab.locator("form.errata-filter output"), tab.locator("form.errata-filter")
    everything = visible_errata(tab)
    assert everything[0] == everything[1] >= 75

    form.locator("[name=section]").focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowDown")
    assert unquote(urlsplit(tab.url).fragment) == "verdict=错"
    wrong = visible_errata(tab)
    assert wrong[0] == wrong[1] and 0 < wrong[0] < everything[0]
    assert output.inner_text() == f"共 {wrong[0]} 条"

    tab.goto(f"{address}#section=4&verdict=无法复现")
    tab.wait_for_function("() => document.querySelector('output').textContent.includes('没有')")
    assert visible_errata(tab) == (0, 0)
    tab.goto(f"{address}#e-4-3-mean")
    tab.wait_for_function("() => document.querySelector('output').textContent.startsWith('共')")
    assert visible_errata(tab) == everything
    assert tab.locator("#e-4-3-mean").locator("xpath=ancestor-or-self::section[1]").is_visible()
    tab.close()


def test_errata_without_scripts(browser, addresses):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(addresses["http"] + "book/errata.html")
    assert not tab.locator("form.errata-filter").is_visible()
    assert visible_errata(tab)[1] >= 75
    context.close()


def test_errata_and_cells_link_both_ways(trees):
    """条目的“演示”链到哪一页的代码格，那一页就有链回这一条的链接。"""
    missing, checked = [], 0
    for entry in trees["book/errata.html"].select(ONE_ERRATUM):
        name = next(tag["id"] for tag in [entry, *entry.select("[id]")] if tag["id"][:2] == "e-")
        for link in entry.select('a[href*="#cell-"]'):
            page = urljoin("book/errata.html", link["href"]).partition("#")[0]
            if "演示" in link.get_text():
                checked += 1
                if not trees[page].select(f'a[href="errata.html#{name}"]'):
                    missing.append(f"{page} 没有链回 {name}")
    assert checked >= 75 and not missing, missing
