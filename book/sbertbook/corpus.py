"""没有标注的中文句子，给蒸馏用：随 pip 包而来的文章，加上模板造的问句；也可以换成自己的文件。"""

import csv
import re
from pathlib import Path

import numpy as np

from .data import DATA, load_hsk, load_news, load_reviews

SHORTEST, LONGEST = 5, 60  # 一句最少、最多几个字符
HELD_OUT = 5  # HSK 例句每几句留出一句
QUESTIONS = 35_000  # 用模板造多少个问句
FREQUENT = 300  # 填进模板的词，在 jieba 的词典里至少出现多少次
HALF_WIDTH = {ord(c) + 0xFEE0: c for c in map(chr, range(0x30, 0x7B)) if c.isalnum()}


class CorpusError(Exception):
    """语料文件读不了、没有那一列、没有句子；信息里写明办法。"""


def load_corpus(limit: int, path: Path | None = None, column: str | None = None) -> dict:
    """训练用的 ``chinese``、``english``，测量用的 ``held``、``held_english``（一一对应的两列）。

    ``chinese`` 至多 ``limit`` 句，``everything`` 是没有截断的全部，数词频用。给了 ``path`` 就用那个
    文件里的句子；否则是《人民日报》、评论、造的问句和 HSK 例句，打乱了，次序固定，所以少取是多取的
    开头一段。
    """
    hsk = load_hsk().drop_duplicates("sentence").drop_duplicates("english")
    is_held = np.arange(len(hsk)) % HELD_OUT == 0
    if path is not None:
        chinese = read_sentences(path, column)
    else:
        known = set(load_hsk()["sentence"])
        found = split_sentences([*load_news()["text"], *load_reviews()["text"]])
        found = [sentence for sentence in [*found, *make_questions()] if sentence not in known]
        found += hsk["sentence"][~is_held].tolist()
        chinese = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
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


def make_questions() -> list[str]:
    """把常用词填进 ``book/data`` 里的问句模板；词来自 jieba 的词典，搭配是随机的，多半不通顺。"""
    import jieba

    nouns, verbs = [], []
    with open(Path(jieba.__file__).parent / "dict.txt", encoding="utf-8") as file:
        for word, count, tag in (line.split() for line in file):
            if int(count) >= FREQUENT and 2 <= len(word) <= 4:
                if tag == "v":
                    verbs.append(word)
                elif tag in ("n", "vn", "nz", "ns", "l", "i"):
                    nouns.append(word)
    templates = (DATA / "question_templates.txt").read_text(encoding="utf-8").split()
    random = np.random.default_rng(0)
    ends = ["", "", "？", "?"]
    picks = [random.integers(len(kind), size=QUESTIONS)
             for kind in (templates, nouns, nouns, verbs, ends)]
    return list(dict.fromkeys(
        templates[t].replace("{名}", nouns[n]).replace("{又}", nouns[m]).replace("{动}", verbs[v])
        + ends[e] for t, n, m, v, e in zip(*picks, strict=True)))


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
