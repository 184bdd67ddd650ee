"""中文搜索：建立索引与切分查询用同一种切法。

Sphinx 自带的中文搜索用 jieba 切索引，却完全不切查询，所以“余弦相似度”什么也找不到。
这里把每一串汉字切成相邻的两字片段（余弦、弦相、相似、似度），其余文字按词切开。
"""

import re

import snowballstemmer
from sphinx.search.zh import SearchChinese

HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
PIECES = re.compile(rf"[{HAN}]+|[^\W{HAN}]+")
IS_HAN = re.compile(rf"[{HAN}]")

JS_SPLITTER = r"""
var splitQuery = (query) => {
  const pieces = query.match(/[HAN]+|(?:(?![HAN])[\p{L}\p{N}_])+/gu) || [];
  return pieces.flatMap((piece) => {
    if (!/[HAN]/.test(piece) || piece.length === 1) return [piece];
    return Array.from({length: piece.length - 1}, (_, i) => piece.slice(i, i + 2));
  });
};
""".replace("HAN", HAN)


def bigrams(text):
    """返回一串文字的全部相邻两字片段；只有一个字时返回它自己。"""
    if len(text) == 1:
        return [text]
    return [text[i : i + 2] for i in range(len(text) - 1)]


def split_query(text):
    """把查询切成片段，结果与浏览器里的 splitQuery 相同。"""
    pieces = []
    for piece in PIECES.findall(text):
        pieces += bigrams(piece) if IS_HAN.match(piece) else [piece]
    return pieces


class SearchChineseBigrams(SearchChinese):
    """按两字片段建立索引的中文搜索。"""

    lang = "zh_CN"
    js_splitter_code = JS_SPLITTER

    def init(self, options):
        """英文词干用 Porter 算法，与浏览器里的一致。"""
        self.stemmer = snowballstemmer.stemmer("porter")

    def split(self, text):
        """除了两字片段，单个汉字也进入索引，这样只查一个字也有结果。"""
        return split_query(text) + IS_HAN.findall(text)

    def stem(self, word):
        """英文取词干并转为小写；汉字原样返回。"""
        return word if IS_HAN.match(word) else self.stemmer.stemWord(word.lower())

    def word_filter(self, word):
        """舍去停用词和单个拉丁字母。"""
        return bool(IS_HAN.match(word)) or (len(word) > 1 and word not in self.stopwords)


def add_search_script(app, pagename, templatename, context, doctree):
    """只在搜索页加载 search_zh.js。"""
    if pagename == "search":
        app.add_js_file("search_zh.js", loading_method="defer")


def setup(app):
    """注册这种搜索语言。"""
    app.add_search_language(SearchChineseBigrams)
    app.connect("html-page-context", add_search_script)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
