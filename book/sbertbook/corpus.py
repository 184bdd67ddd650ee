"""没有标注的中文句子，给蒸馏用：随 pip 包而来的文章，加上本书写的搜索问句；也可以用自己的文件。"""

import csv
import re
from pathlib import Path

import numpy as np

from .data import DATA, load_hsk, load_news, load_reviews

SHORTEST, LONGEST = 5, 60  # 一句最少、最多几个字符
HELD_OUT = 5  # HSK 例句每几句留出一句
QUESTIONS = DATA / "search_questions.txt"
HALF_WIDTH = {ord(c) + 0xFEE0: c for c in map(chr, range(0x30, 0x7B)) if c.isalnum()}


class CorpusError(Exception):
    """语料文件读不了、没有那一列、没有句子；信息里写明办法。"""


def load_corpus(limit: int, path: Path | None = None, column: str | None = None,
                questions: bool = True) -> dict:
    """训练用的 ``chinese``、``english``，测量用的 ``held``、``held_english``（一一对应的两列）。

    ``chinese`` 至多 ``limit`` 句，``everything`` 是没有截断的全部，数词频用。给了 ``path`` 就用那个
    文件里的句子；否则一句本书写的搜索问句，一句《人民日报》、评论或 HSK 例句，相间排列，问句用完了
    （``questions`` 为假，就是一开始）只有后者。两边各自打乱，次序固定，所以少取是多取的开头一段。
    """
    hsk = load_hsk().drop_duplicates("sentence").drop_duplicates("english")
    is_held = np.arange(len(hsk)) % HELD_OUT == 0
    if path is not None:
        chinese = read_sentences(path, column)
    else:
        random, known = np.random.default_rng(0), set(load_hsk()["sentence"])
        asked = read_sentences(QUESTIONS, None) if questions else []
        asked = [sentence for sentence in asked if sentence not in known]
        found = split_sentences([*load_news()["text"], *load_reviews()["text"]])
        found = [sentence for sentence in found if sentence not in known]
        found += hsk["sentence"][~is_held].tolist()
        for sentences in (asked, found):
            random.shuffle(sentences)
        pairs = zip(asked, found, strict=False)
        chinese = [sentence for pair in pairs for sentence in pair] + found[len(asked):]
    return {
        "chinese": chinese[:limit],
        "everything": chinese,
        "english": hsk["english"][~is_held].tolist(),
        "held": hsk["sentence"][is_held].tolist(),
        "held_english": hsk["english"][is_held].tolist(),
    }


def split_sentences(texts) -> list[str]:
    """在句末标点处切开，全角的数字和字母换成半角，留下长短合适、一半以上是汉字的，去掉重复。"""
    pattern = re.compile(r"[^。！？!?；;\s]+[。！？!?；;]*")
    sentences = dict.fromkeys(s for t in texts for s in pattern.findall(t.translate(HALF_WIDTH)))
    return [s for s in sentences
            if SHORTEST <= len(s) <= LONGEST and 2 * len(re.findall("[一-鿿]", s)) >= len(s)]


def read_sentences(path: Path, column: str | None) -> list[str]:
    """自己的语料：``.csv``、``.tsv`` 取 ``column`` 列（第一行是列名），别的文件一行一句；去重。"""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in (".csv", ".tsv"):
                comma = "\t" if path.suffix.lower() == ".tsv" else ","
                table = csv.DictReader(file, delimiter=comma)
                names = table.fieldnames or []
                if column not in names:
                    raise CorpusError(f"{path} 没有 {column!r} 列。请用 --column 指明哪一列是句子，"
                                      f"有的是：{'、'.join(names) or '（空文件）'}。")
                lines = [row[column] or "" for row in table]
            else:
                lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} 不是 UTF-8 编码的文本，请另存为 UTF-8。") from error
    except OSError as error:
        raise CorpusError(f"读不了 {path}：{error.strerror or error}。") from error
    sentences = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not sentences:
        raise CorpusError(f"{path} 里没有句子。")
    return sentences
