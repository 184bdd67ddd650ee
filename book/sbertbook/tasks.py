"""评测用的考题文件：读进来，从头到尾查一遍，有错就指出在哪一行。

文件有两种，都是 UTF-8：

- 句对：每行“句子、句子、标签”三列，用制表符隔开，可以有表头，引号不作特殊处理。标签是数字时，
  恰有两种就当作是非判断（大的算正例），更多就当作打分；标签是名字时，要另外指出哪些算正例；
- 检索：SQuAD 格式的 ``.json``。互不相同的段落是文档，每个问题只有它所在的段落算对。
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MIN_ROWS = 10


class BenchmarkError(Exception):
    """数据文件有错，或者结果读不出、写不进；信息里写明在哪里。"""


@dataclass(frozen=True)
class Task:
    """一份读好、查过的数据。"""

    kind: str  # graded 打分的句对，binary 判断是非的句对，retrieval 检索
    file: str  # 文件名，不带路径
    sha256: str
    positive: list[str] | None  # 算作正例的标签名
    first: list[str]  # 句对的前一句；检索的问题
    second: list[str]  # 句对的后一句；检索的文档，互不相同
    labels: np.ndarray  # 句对的分数或 0、1；检索中每个问题的答案是第几篇文档


def read_task(path: Path, positive: list[str]) -> Task:
    """读一个文件，从头到尾查一遍；有错就抛 BenchmarkError，写明文件名和行号。"""
    name = path.name
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BenchmarkError(f"没有这个文件：{path}") from error
    except OSError as error:
        raise BenchmarkError(f"读不了文件 {path}：{error.strerror or error}") from error
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise BenchmarkError(f"{name} 第 {number} 行：不是 UTF-8 编码的文本。") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() == ".json":
        return Task("retrieval", name, sha256, None, *_read_squad(name, text))
    first, second, labels, named = _read_pairs(name, text, positive)
    kind = "binary" if len(np.unique(labels)) == 2 else "graded"
    return Task(kind, name, sha256, sorted(set(positive)) if named else None, first, second, labels)


def _read_pairs(name, text, positive):
    """返回前句、后句、标签（只有两种时换成 0 和 1），以及标签是不是名字。"""
    rows = []  # (第几行, 三列)
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip("\r"):
            where, cells = f"{name} 第 {number} 行", line.split("\t")
            if len(cells) != 3:
                need = "应当是“句子、句子、标签”三列，用制表符隔开"
                raise BenchmarkError(f"{where}：{need}，这一行有 {len(cells)} 列。")
            rows.append((where, cells))
    labels = [cells[2].strip() for _, cells in rows]
    numbers = [_number(label) for label in labels]
    named = sum(number is None for number in numbers[1:]) > len(numbers[1:]) / 2
    if labels and labels[0] and (labels[0] not in labels[1:] if named else numbers[0] is None):
        rows, labels, numbers = rows[1:], labels[1:], numbers[1:]  # 第一行是表头
    for (where, cells), label, number in zip(rows, labels, numbers, strict=True):
        _check_text(cells[0], f"{where}：第 1 列的句子")
        _check_text(cells[1], f"{where}：第 2 列的句子")
        if not label:
            raise BenchmarkError(f"{where}：没有标签。")
        if not named and (number is None or not np.isfinite(number)):
            raise BenchmarkError(f"{where}：标签 {label!r} 不是有限的数字。")
    if len(rows) < MIN_ROWS:
        raise BenchmarkError(f"{name}：只有 {len(rows)} 行，至少要 {MIN_ROWS} 行。")
    if named:
        _check_positive(name, positive, list(dict.fromkeys(labels)))
        numbers = [label in positive for label in labels]
    values, codes = np.unique(np.array(numbers, dtype=float), return_inverse=True)
    if len(values) == 1:
        raise BenchmarkError(f"{name}：标签只有一种（{labels[0]} 等），没有可比的，无法评测。")
    if len(values) == 2 and np.bincount(codes).min() < 2:
        raise BenchmarkError(f"{name}：正例和负例各至少要 2 行。")
    first, second = [cells[0] for _, cells in rows], [cells[1] for _, cells in rows]
    return first, second, codes if len(values) == 2 else values[codes], named


def _check_positive(name, positive, found):
    listed = "、".join(found[:10]) + (f" 等 {len(found)} 种" if len(found) > 10 else "")
    if not positive:
        raise BenchmarkError(
            f"{name}：标签是名字（{listed}）。请用 --positive 指出哪些算正例，"
            f"如 --positive {found[0]}，其余算负例。"
        )
    for label in positive:
        if label not in found:
            raise BenchmarkError(f"{name}：没有 --positive 指的标签 {label!r}，有的是 {listed}。")


def _read_squad(name, text):
    """返回问题、互不相同的文档、每个问题的答案是第几篇文档。"""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise BenchmarkError(f"{name} 第 {error.lineno} 行：不是 JSON（{error.msg}）。") from error
    except (RecursionError, ValueError) as error:  # 括号套得太深，数字太长
        raise BenchmarkError(f"{name}：不是 SQuAD 格式（{error}）。") from error
    questions, documents, answers = [], {}, []
    for i, article in enumerate(_get(content, "data", list, name), 1):
        for j, paragraph in enumerate(_get(article, "paragraphs", list, f"{name} 第 {i} 篇"), 1):
            where = f"{name} 第 {i} 篇第 {j} 段"
            answer = documents.setdefault(_get(paragraph, "context", str, where), len(documents))
            for k, question in enumerate(_get(paragraph, "qas", list, where), 1):
                questions.append(_get(question, "question", str, f"{where}第 {k} 个问题"))
                answers.append(answer)
    if len(questions) < MIN_ROWS or len(documents) <= MIN_ROWS:
        raise BenchmarkError(
            f"{name}：只有 {len(questions)} 个问题、{len(documents)} 段不同的文档，"
            f"至少要 {MIN_ROWS} 个问题、{MIN_ROWS + 1} 段文档。"
        )
    return questions, list(documents), np.array(answers)


def _get(record, key, kind, where):
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        wanted = "文字" if kind is str else "列表"
        raise BenchmarkError(f"{where}：缺少 {key}，或者它不是{wanted}。")
    if kind is str:
        _check_text(value, f"{where}：{key} ")
    return value


def _check_text(text, what):
    if not text.strip():
        raise BenchmarkError(f"{what}是空的。")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BenchmarkError(f"{what}里有半个字符（不成对的代理码位），不是合法的文字。")


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None
