"""评测的指标：句对的相关系数、AUC、F1，检索的召回率、MRR、nDCG，以及它们的自助法区间。

相似度一律是余弦（零向量与谁都是 0），取六位小数，免得舍入误差分出高下。区间是对行有放回地重抽
1,000 次的 95% 百分位区间。F1 与准确率的阈值在随机一半上选、在另一半上用，两半互换再平均。检索中
同分的文档，次序当作随机的，对各种排法取平均，所以分不出高下的模型占不到便宜。
"""

import numpy as np
from scipy.sparse import issparse

from .tasks import Task

BLOCK = 256  # 检索时一次算多少个问题
RESAMPLES = 1000


def evaluate(task: Task, first, second) -> tuple[dict, dict]:
    """由单位向量算指标。``first``、``second``：(n, d) 的数组或稀疏矩阵，与任务里的文本一一对应。

    返回 {名字: 指标} 和 {名字: [区间下限, 上限]}；算不出的（例如分数全都一样）是 None。
    """
    if task.kind == "retrieval":
        ahead, tied = count_ahead(first, second, task.labels)
        gains = retrieval_gains(ahead, tied, second.shape[0])
        metrics = {name: values.mean() for name, values in gains.items()}
        statistics = {
            name: lambda weights, values=gains[name]: weights @ values / len(values)
            for name in ("mrr@10", "recall@1")
        }
    else:
        product = first.multiply(second) if issparse(first) else first * second
        scores = np.round(np.asarray(product.sum(axis=1), dtype=float).ravel(), 6)
        metrics, statistics = pair_metrics(scores, task.labels, task.kind == "binary")
    rows = len(task.labels)
    intervals = {name: bootstrap(statistic, rows) for name, statistic in statistics.items()}
    return _rounded(metrics), _rounded(intervals)


def pair_metrics(scores, labels, binary):
    """返回 {名字: 指标}，和 {名字: 函数}；函数由每行的权重（重抽时被抽中几次）算出指标。"""
    by_score = np.unique(scores, return_inverse=True)[1]
    by_label = np.unique(labels, return_inverse=True)[1]

    def spearman(weights):
        ranks = weighted_ranks(by_score, weights), weighted_ranks(by_label, weights)
        return correlation(*ranks, weights)

    def auc(weights):  # 正例的名次之和减去它可能的最小值，再除以正负例的对数
        positive = labels == 1
        count = weights[positive].sum()
        total = (weights * weighted_ranks(by_score, weights))[positive].sum()
        with np.errstate(invalid="ignore"):
            return (total - count * (count + 1) / 2) / (count * (weights.sum() - count))

    once = np.ones(len(scores))
    pearson = correlation(scores, labels, once) if np.ptp(scores) else np.nan
    metrics, statistics = {"spearman": spearman(once), "pearson": pearson}, {"spearman": spearman}
    if binary:
        from sklearn.metrics import average_precision_score

        metrics |= {"auc": auc(once), "average_precision": average_precision_score(labels, scores)}
        metrics |= threshold_metrics(scores, labels)
        statistics["auc"] = auc
    return metrics, statistics


def weighted_ranks(groups, weights):
    """每行重复 ``weights`` 次以后的名次，从 1 起，并列的取平均。``groups``：每行的值排第几种。"""
    counts = np.bincount(groups, weights)
    return (np.cumsum(counts) - (counts - 1) / 2)[groups]


def correlation(x, y, weights):
    """加权的皮尔逊相关系数；有一边全都一样时是 NaN。"""
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    with np.errstate(invalid="ignore"):
        return (weights * x * y).sum() / np.sqrt((weights * x * x).sum() * (weights * y * y).sum())


def threshold_metrics(scores, labels):
    """随机分两半（正负例各半）：在一半上选 F1 最高的阈值，用在另一半上；互换，平均。"""
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_curve

    random = np.random.default_rng(0)
    half = np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        rows = random.permutation(np.flatnonzero(labels == label))
        half[rows[: len(rows) // 2]] = True
    thresholds, f1, accuracy = [], [], []
    for chosen, tested in ((half, ~half), (~half, half)):
        precision, recall, cuts = precision_recall_curve(labels[chosen], scores[chosen])
        candidates = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        thresholds.append(cuts[candidates[:-1].argmax()])
        predicted = scores[tested] >= thresholds[-1]
        f1.append(f1_score(labels[tested], predicted))
        accuracy.append(accuracy_score(labels[tested], predicted))
    return {"f1": np.mean(f1), "accuracy": np.mean(accuracy), "thresholds": thresholds}


def count_ahead(questions, documents, answers):
    """逐块精确检索：每个问题有几篇文档的分数高于答案，有几篇与答案同分（不算答案自己）。"""
    ahead, tied = [], []
    for start in range(0, len(answers), BLOCK):
        scores = questions[start : start + BLOCK] @ documents.T
        scores = np.round(scores.toarray() if issparse(scores) else scores, 6)
        own = scores[np.arange(len(scores)), answers[start : start + BLOCK]][:, None]
        ahead.append((scores > own).sum(axis=1))
        tied.append((scores == own).sum(axis=1) - 1)
    return np.concatenate(ahead), np.concatenate(tied)


def retrieval_gains(ahead, tied, documents):
    """每个问题的各项得分 {名字: (n,) 的数组}；答案的名次在同分的几篇里等可能，取平均。"""
    rank = np.arange(1, documents + 1)
    gains = {f"recall@{k}": rank <= k for k in (1, 5, 10)}
    gains |= {"mrr@10": (rank <= 10) / rank, "ndcg@10": (rank <= 10) / np.log2(rank + 1)}
    sums = {name: np.concatenate([[0], np.cumsum(gain)]) for name, gain in gains.items()}
    last = ahead + tied + 1
    return {name: (total[last] - total[ahead]) / (tied + 1) for name, total in sums.items()}


def bootstrap(statistic, rows):
    """对行有放回地重抽，返回 95% 百分位区间 [下限, 上限]。``statistic``：由各行的次数算出指标。"""
    random = np.random.default_rng(0)
    draws = [
        statistic(np.bincount(random.integers(rows, size=rows), minlength=rows))
        for _ in range(RESAMPLES)
    ]
    kept = [value for value in draws if np.isfinite(value)]
    return list(np.percentile(kept, [2.5, 97.5])) if kept else [np.nan, np.nan]


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(float(value), 6) if np.isfinite(value) else None
