"""引用文献的中文写法：“Reimers 与 Gurevych [2019]”“[Devlin 等，2019；Vaswani 等，2017]”。

在 _config.yml 里写 ``bibtex_reference_style: author_year_zh`` 使用。
"""

from dataclasses import dataclass, field

from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle, PersonStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle


def brackets():
    """几条文献写在一起时，用中文分号隔开。"""
    return BracketStyle(sep="；")


def persons():
    """两位作者用“与”，三位以上写第一位加“等”。"""
    return PersonStyle(sep="、", sep2=" 与 ", last_sep=" 与 ", other=" 等")


@dataclass
class ChineseAuthorYearStyle(AuthorYearReferenceStyle):
    """著者-出版年引用，连接词和标点用中文。"""

    bracket_textual: BracketStyle = field(default_factory=brackets)
    bracket_parenthetical: BracketStyle = field(default_factory=brackets)
    bracket_author: BracketStyle = field(default_factory=brackets)
    bracket_label: BracketStyle = field(default_factory=brackets)
    bracket_year: BracketStyle = field(default_factory=brackets)
    person: PersonStyle = field(default_factory=persons)
    author_year_sep: str = "，"
    post_text_sep: str = "，"


def setup(app):
    """登记这种写法。"""
    register_plugin(
        "sphinxcontrib.bibtex.style.referencing", "author_year_zh", ChineseAuthorYearStyle
    )
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
