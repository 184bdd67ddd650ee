"""在一份中文 STS-B 测试集上量两个模型和一个字面基线；pytest 不收集本文件。

用法：python tests/measure_models.py 文件
文件是 UTF-8 文本，每行三列，用制表符隔开：句子、句子、人打的相似度分数。数据不随书分发，请自备。
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book"))


def read_pairs(path):
    """读出 [(句子, 句子, 分数)]；文件读不了或格式不对时抛 ValueError。"""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"读不了文件 {path}：没有这个文件，或者没有读它的权限") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"文件 {path} 不是 UTF-8 编码的文本") from error
    pairs = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            first, second, score = line.split("\t")
            pairs.append((first, second, float(score)))
        except ValueError as error:
            raise ValueError(
                f"第 {number} 行应当是“句子、句子、分数”三列，用制表符隔开：{line[:60]!r}"
            ) from error
    if len(pairs) < 2:
        raise ValueError(f"文件 {path} 里只有 {len(pairs)} 行，算不出相关系数")
    return pairs


def paired_cosine(first, second):
    """两个矩阵逐行的余弦相似度。"""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(norms, 1e-12)


def measure(pairs):
    """逐个算出 (方法名, 斯皮尔曼相关系数)。"""
    from scipy.stats import spearmanr
    from sklearn.feature_extraction.text import TfidfVectorizer

    from sbertbook import load_encoder

    first, second, scores = map(list, zip(*pairs, strict=True))
    tfidf = TfidfVectorizer(analyzer="char", ngram_range=(1, 2)).fit(first + second)
    cosine = paired_cosine(tfidf.transform(first).toarray(), tfidf.transform(second).toarray())
    yield "TF-IDF（单字与二字组）", spearmanr(cosine, scores).statistic
    for name in ("all-MiniLM-L6-v2", "multilingual-e5-small"):
        model = load_encoder(name)
        cosine = paired_cosine(model.encode(first), model.encode(second))
        yield name, spearmanr(cosine, scores).statistic


def main():
    if len(sys.argv) != 2:
        sys.exit("用法：python tests/measure_models.py 文件（每行：句子、句子、分数，制表符隔开）")
    try:
        pairs = read_pairs(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    path = Path(sys.argv[1])
    print(f"{path.name}：{len(pairs)} 对，sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    for name, correlation in measure(pairs):
        print(f"{name}：斯皮尔曼相关系数 {correlation:.3f}")


if __name__ == "__main__":
    main()
