"""第 9–14 章手算的例子，以及单元格里教的函数：与定义、穷举或参考实现核对。"""

import math
import random
import re
import zlib
from collections import Counter, defaultdict
from functools import cache
from itertools import combinations, pairwise, product
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from pypinyin import lazy_pinyin
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import softmax
from scipy.stats import binomtest, rankdata
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    adjusted_rand_score,
    average_precision_score,
    f1_score,
    normalized_mutual_info_score,
    recall_score,
    roc_auc_score,
    silhouette_samples,
)
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import NearestCentroid
from torch import nn

from mystdoc import BOOK, load_notebook
from test_math import taught

SEARCH, CLASSES, CLUSTERS, ENTITIES, PICTURES, SPEECH = (
    "09_search_qa.ipynb", "10_classification.ipynb", "11_clustering_recommendation.ipynb",
    "12_ner_relations.ipynb", "13_image_text.ipynb", "14_speech_generation_summary.ipynb",
)


def taught_with(page, markers, **names):
    """与 ``taught`` 相同，单元里要用的其他名字由 names 给出。"""
    names |= {"np": np, "pd": pd, "torch": torch, "F": F, "nn": nn}
    cells = [c["source"] for c in load_notebook(BOOK / page)["cells"] if c["cell_type"] == "code"]
    for marker in markers:
        (source,) = [cell for cell in cells if marker in cell]
        exec(source, names)
    return names


def unit_rows(seed, *shape):
    vectors = np.random.default_rng(seed).normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def greedy_mmr(relevance, similarity, weight, count):
    """照公式一条一条地挑；先后与 max 一致，同分取编号小的。"""
    chosen = []
    while len(chosen) < count:
        rest = [i for i in range(len(relevance)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: weight * relevance[i] - (1 - weight) * max(
            (similarity[i][j] for j in chosen), default=0)))
    return chosen


# ---------------------------------------------------------------- 第 9 章


def test_rrf_by_hand():
    rrf = taught(SEARCH, "def rrf(")["rrf"]
    scores = rrf(np.array([[3, 2, 1]]), np.array([[1, 3, 2]]))
    assert scores[0].round(5).tolist() == [0.03227, 0.03252, 0.03200]
    first, second = np.array([[4, 3, 2, 1]]), np.array([[2, 3, 1, 4]])
    assert rrf(first, second)[0, :2].round(5).tolist() == [0.03227, 0.03226]
    assert rrf(first, second, k=0)[0] == pytest.approx([4 / 3, 1, 1 / 3 + 1 / 4, 5 / 4])


def test_rrf_equals_the_definition_and_ignores_scale():
    rrf = taught(SEARCH, "def rrf(")["rrf"]
    a, b = np.random.default_rng(0).normal(size=(2, 4, 9))
    expected = [[sum(1 / (60 + 1 + sum(other > row[d] for other in row)) for row in (x, y))
                 for d in range(9)] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rrf(a, b), expected)
    np.testing.assert_allclose(rrf(1000 * a + 7, np.exp(b)), expected)


def test_ranks_average_ties_and_take_the_best_right_document():
    ranks = taught(SEARCH, "def ranks(")["ranks"]
    rng = np.random.default_rng(0)
    scores, right = rng.integers(5, size=(50, 12)).astype(float), rng.random((50, 12)) < 0.2
    right[:, 0] |= ~right.any(axis=1)
    expected = [rankdata(-s)[r].min() for s, r in zip(scores, right, strict=True)]
    np.testing.assert_allclose(ranks(scores, right), expected)


def test_recall_and_mrr_by_hand(capsys):
    names = taught_with(SEARCH, ["def report(", "def mrr("], binomtest=binomtest,
                        same_meaning={}, crossing={}, full={}, pooled={})
    rank = np.array([1, 2, 4, 11])
    assert names["mrr"](rank) == pytest.approx((1 + 1 / 2 + 1 / 4 + 0) / 4)
    names["report"]("甲", rank)
    low, high = binomtest(1, 4).proportion_ci(method="wilson")
    assert capsys.readouterr().out == (
        f"召回率@1 0.25（{low:.2f}–{high:.2f}），@10 0.75，MRR@10 0.438　甲\n")


def test_sign_test_counts_only_differences(capsys):
    versus = taught_with(SEARCH, ["def versus("], binomtest=binomtest)["versus"]
    versus("甲", "乙", {"甲": np.array([1, 1, 1, 1, 1, 9, 5]),
                      "乙": np.array([2, 3, 4, 8, 2, 1, 5])})
    assert "“甲”名次更好的 5 题，“乙”更好的 1 题，p = 0.219" in capsys.readouterr().out


def test_accept_adds_what_the_explanations_call_the_same():
    idioms = pd.DataFrame([("甲乙", "一种意思。"), ("丙丁", "同“甲乙”。"), ("戊己", "犹甲乙。"),
                           ("庚辛", "与甲乙无关。")], columns=["idiom", "explanation"])
    idioms["explanation"] = idioms["explanation"].str.replace("“", "")
    queries = pd.DataFrame({"idioms": [("甲乙",), ("庚辛", "戊己")]})
    names = taught_with(SEARCH, ["def accept("], idioms=idioms, queries=queries)
    assert names["accepted"].tolist() == [[True, True, True, False], [False, False, True, True]]


def test_maxsim_by_hand_and_by_brute_force():
    cosines = np.array([[0.9, 0.2, 0.1], [0.3, 0.4, 0.8]])
    assert cosines.max(axis=1).mean() == pytest.approx(0.85)
    rng = np.random.default_rng(0)
    asked, stored = ([rng.normal(size=(n, 4)) for n in sizes] for sizes in [(2, 5), (3, 1, 4)])
    names = taught_with(SEARCH, ["maxsim = np.array"], asked_tokens=asked, stored_tokens=stored,
                        unit=lambda v: v / np.linalg.norm(v, axis=1, keepdims=True))
    centre = np.concatenate(stored).mean(axis=0)
    for i, j in product(range(2), range(3)):
        best = [max((q - centre) @ (d - centre) / np.linalg.norm(q - centre)
                    / np.linalg.norm(d - centre) for d in stored[j]) for q in asked[i]]
        assert names["maxsim"][i, j] == pytest.approx(np.mean(best))


@pytest.fixture
def refusing():
    """40 个问法、6 条答案的分数，一半有答案。"""
    rng = np.random.default_rng(0)
    chosen = rng.random((40, 6))
    has, valid = np.arange(40) % 2 == 0, np.arange(40) < 24
    correct = (np.arange(6) == rng.integers(6, size=40)[:, None]) & has[:, None]
    ways = {"学着合分数": rng.random((40, 6)), "字 TF-IDF，问接答": rng.random((40, 6))}
    tops = {"余弦": chosen.max(axis=1), "概率": rng.random(40), "字面": rng.random(40)}
    return taught_with(SEARCH, ["def judge(", "def first_is_right("], chosen=chosen, has=has,
                       valid=valid, correct=correct, ways=ways, tops=tops)


def test_first_is_right(refusing):
    expected = [row[scores.argmax()] for row, scores
                in zip(refusing["correct"], refusing["chosen"], strict=True)]
    assert refusing["hits"]["余弦"].tolist() == expected and any(expected)


def test_judge_counts_answers_and_refusals(refusing):
    top, hit, has = refusing["tops"]["余弦"], refusing["hits"]["余弦"], refusing["has"]
    rows = np.arange(40) >= 24
    done, refused = refusing["judge"](top, hit, rows, 0.8)
    for i, (right, no) in enumerate(zip(done, refused, strict=True), 24):
        assert no == (top[i] < 0.8)
        assert right == (not has[i] if top[i] < 0.8 else hit[i])
    for name, share in [("从不拒绝", 0), ("一律拒绝", 1)]:
        assert refusing["judge"](*refusing["refusing"][name][:2], rows,
                                 refusing["refusing"][name][2])[1].mean() == share


def test_best_line_is_the_best_of_all_thresholds_on_the_validation_part(refusing):
    judge, valid = refusing["judge"], refusing["valid"]
    for name in ("余弦", "概率", "字面"):
        top, hit = refusing["tops"][name], refusing["hits"][name]
        line = refusing["best_line"](top, hit)
        every = [judge(top, hit, valid, x)[0].mean() for x in np.linspace(0, top[valid].max(), 999)]
        assert judge(top, hit, valid, line)[0].mean() == pytest.approx(max(every))


def test_rerank_moves_only_the_top_ten():
    rng = np.random.default_rng(0)
    chosen = rng.random((5, 30))
    top = np.argsort(-chosen, axis=1)[:, :10]
    mixer = SimpleNamespace(predict_proba=lambda x: np.c_[1 - x[:, 0], x[:, 0]])
    features, other = rng.random((5, 10, 4)), rng.random((5, 30))
    names = taught_with(SEARCH, ["def rerank("], chosen=chosen, top=top, mixer=mixer,
                        features=features, maxsim=rng.random((5, 30)), rrf=lambda a, b: a + b,
                        ways={"字 TF-IDF，问接答": other})
    result = names["ways"]["学着合分数"]
    for i in range(5):
        assert result[i, top[i]].tolist() == features[i, :, 0].tolist()
        rest = np.delete(result[i], top[i])
        assert rest.max() < result[i, top[i]].min()
        assert (np.argsort(rest) == np.argsort(np.delete(chosen[i], top[i]))).all()  # 次序照旧
    best = names["ways"]["MaxSim 重排"].argmax(axis=1)
    assert [t[names["maxsim"][i, t].argmax()] for i, t in enumerate(top)] == best.tolist()


# ---------------------------------------------------------------- 第 10 章


def test_head_by_hand():
    names = taught_with(CLASSES, ["v = np.array([0.6, 0.8])"], softmax=softmax)
    assert (names["w"] @ names["v"]).round(1).tolist() == [1.2, 0.8, 0.2]
    assert names["p"].round(3).tolist() == [0.491, 0.329, 0.180]
    assert np.exp([1.2, 0.8, 0.2]).sum() == pytest.approx(6.767, abs=5e-4)
    assert (-np.log(names["p"])).round(3).tolist()[:2] == [0.712, 1.112]
    assert softmax([1.5, 0.5])[0] == pytest.approx(0.731, abs=5e-4)
    assert softmax([0.75, 0.25])[0] == pytest.approx(0.622, abs=5e-4)
    p = 1 / 11  # 回访与不回访的期望损失在这里相等
    assert 1 - p == pytest.approx(10 * p)


@pytest.mark.parametrize("form", [np.asarray, csr_matrix])
def test_centroid_equals_sklearn_after_normalisation(form):
    vectors = unit_rows(0, 90, 5) + [1, 0, 0, 0, 0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array(list("甲乙丙"))[np.random.default_rng(1).integers(3, size=90)]
    ours = taught(CLASSES, "class Centroid")["Centroid"]().fit(form(vectors[:60]), labels[:60])
    theirs = NearestCentroid().fit(vectors[:60], labels[:60])
    theirs.centroids_ /= np.linalg.norm(theirs.centroids_, axis=1, keepdims=True)
    np.testing.assert_allclose(ours.means, theirs.centroids_)
    found = ours.predict(form(vectors[60:]))
    assert found.tolist() == theirs.predict(vectors[60:]).tolist()
    assert len(set(found)) == 3


def test_represent_learns_its_words_from_the_training_part_only():
    represent = taught_with(CLASSES, ["def represent("], TfidfVectorizer=TfidfVectorizer)[
        "represent"]
    sentences = np.array(["甲乙", "乙丙", "丁丁丁"])
    found = represent("字 TF-IDF", {}, sentences, np.array([0, 1])).toarray()
    assert found.shape == (3, 5) and not found[2].any() and found[:2].any(axis=1).all()
    assert represent("E5", {"E5": "原样"}, sentences, [0]) == "原样"


def test_split_keeps_groups_together():
    split = taught(CLASSES, "def split(groups")["split"]
    groups = np.random.default_rng(0).integers(300, size=1200)
    groups = np.unique(groups, return_inverse=True)[1]
    rows, held = split(groups, 3)
    assert len(held) == 400 and sorted([*rows, *held]) == list(range(1200))
    assert len(set(groups[rows]) & set(groups[held])) <= 1
    assert split(groups, 4)[1].tolist() != held.tolist()


def test_ece_by_hand_and_by_definition():
    names = taught(CLASSES, "def reliability", "def ece")
    confidence, right = np.repeat([0.9, 0.6], 50), np.repeat([1, 0, 1, 0], [35, 15, 25, 25])
    parts = names["reliability"](confidence, right, bins=2)
    np.testing.assert_allclose(parts, [[0.6, 0.5], [0.9, 0.7]])
    assert np.abs(parts[:, 0] - parts[:, 1]).mean() == pytest.approx(0.15)
    rng = np.random.default_rng(0)
    confidence, right = rng.random(80), rng.random(80) < 0.5
    order = sorted(range(80), key=confidence.__getitem__)
    expected = sum(abs(sum(confidence[i] - right[i] for i in order[m:m + 10])) for m in
                   range(0, 80, 10)) / 80
    assert names["ece"](confidence, right) == pytest.approx(expected)


def test_temperature_minimises_cross_entropy_and_keeps_the_order():
    """考出的 logit 放大 3 倍，选出的温度也放大 3 倍；判法不变。"""
    X = unit_rows(0, 120, 4)
    y = np.array(list("甲乙丙"))[(X[:, :3] + unit_rows(1, 120, 3) / 2).argmax(axis=1)]
    names = taught_with(
        CLASSES, ["def logistic(", "def temperature("], LogisticRegression=LogisticRegression,
        softmax=softmax, cross_val_predict=cross_val_predict, minimize_scalar=minimize_scalar,
        study=np.arange(120), hsk_vectors={"E5": X}, topics=y, classes=np.array(sorted(set(y))))
    T = names["temperature"](100)
    logits = cross_val_predict(names["logistic"](100), X, y, cv=3, method="decision_function")
    target = np.searchsorted(names["classes"], y)

    def entropy(t):
        return -np.log(softmax(logits / t, axis=1)[np.arange(120), target]).mean()

    assert entropy(T) <= min(map(entropy, np.geomspace(0.05, 20, 400))) + 1e-6
    names["cross_val_predict"] = lambda *_, **__: 3 * logits
    assert names["temperature"](100) == pytest.approx(3 * T, rel=0.01)
    np.testing.assert_array_equal(rankdata(softmax(logits / T, axis=1), axis=1),
                                  rankdata(logits, axis=1))


def test_centred_zero_shot_ignores_what_all_descriptions_share():
    anchors = unit_rows(0, 4, 6)
    names = taught_with(CLASSES, ["def zero_shot("],
                        e5=SimpleNamespace(encode=lambda d: anchors + d))
    vectors, shared = unit_rows(1, 50, 6), 5 * unit_rows(2, 6)
    expected = [max(range(4), key=lambda k, v=v: v @ anchors[k]) for v in vectors]
    assert names["zero_shot"](vectors, 0, None, False).tolist() == expected
    assert names["zero_shot"](vectors, shared, None, False).tolist() != expected
    for moved, common in [(0, 0), (0, shared), (shared, 0)]:
        found = names["zero_shot"](vectors + moved, common, vectors + moved, True)
        assert found.tolist() == names["zero_shot"](vectors, 0, vectors, True).tolist()


def test_learning_curve_trains_on_n_per_class_of_the_pool():
    learned = []

    class Head:
        def fit(self, X, y):
            learned.append((X[:, 0].tolist(), Counter(y.tolist())))
            return self

        def predict(self, X):
            return np.array(["甲"] * len(X))

    labels = np.array(list("甲乙丙丙") * 10)
    curve = taught(CLASSES, "def learning_curve")["learning_curve"](
        np.arange(40)[:, None], labels, np.arange(32), np.arange(32, 40), [2, 50], Head())
    assert curve.shape == (2, 10) and (curve == 0.25).all()
    assert all(counts == {"甲": 2, "乙": 2, "丙": 2} for _, counts in learned[:10])
    assert all(sorted(rows) == list(range(32)) for rows, _ in learned[10:])
    assert max(max(rows) for rows, _ in learned) < 32 and learned[0] != learned[1]


def test_weights_make_bad_reviews_one_in_twenty():
    positive = np.arange(400) % 3 > 0
    names = taught_with(
        CLASSES, ["weight = np.where(bad[test]", "def measure("], positive=positive,
        test=np.arange(400), accuracy_score=accuracy_score, f1_score=f1_score,
        recall_score=recall_score, average_precision_score=average_precision_score)
    accuracy, macro, recall, ap = names["measure"](np.zeros(400, bool), np.zeros(400))
    assert accuracy == pytest.approx(0.95) and ap == pytest.approx(0.05) and recall == 0
    assert macro == pytest.approx((2 * 0.95 / 1.95 + 0) / 2)
    assert names["measure"](~positive, ~positive) == pytest.approx((1, 1, 1, 1))


def test_threshold_by_cv_finds_the_line_for_the_rare_class():
    X = unit_rows(0, 300, 3)
    y = X[:, 0] + 0.3 * unit_rows(1, 300, 1)[:, 0] > 0.9
    names = taught_with(
        CLASSES, ["def logistic(", "def threshold_by_cv"], LogisticRegression=LogisticRegression,
        cross_val_predict=cross_val_predict, f1_score=f1_score)
    line = names["threshold_by_cv"](X, y)
    p = cross_val_predict(names["logistic"](10), X, y, cv=3, method="predict_proba")[:, 1]

    def score(t):
        return f1_score(y, p >= t, average="macro")

    best = max(score(t) for t in np.quantile(p, np.linspace(0.5, 0.99, 200)))
    assert best - 0.03 < score(line) and score(0.5) < score(line)


# ---------------------------------------------------------------- 第 11 章


def test_k_means_by_hand_and_against_sklearn():
    k_means = taught(CLUSTERS, "def k_means")["k_means"]
    points, start = np.array([[1.0], [2], [9], [10]]), np.array([[1.0], [2]])
    for rounds, groups, centers in [(1, [0, 1, 1, 1], [1, 7]), (2, [0, 0, 1, 1], [1.5, 9.5]),
                                    (100, [0, 0, 1, 1], [1.5, 9.5])]:
        group, center = k_means(points, start, rounds)
        assert group.tolist() == groups and center.ravel().tolist() == centers
    points = unit_rows(0, 200, 4)
    ours, center = k_means(points, points[:5])
    theirs = KMeans(5, init=points[:5], n_init=1, tol=0, algorithm="lloyd").fit(points)
    assert ours.tolist() == theirs.labels_.tolist()
    np.testing.assert_allclose(center, theirs.cluster_centers_)


@pytest.fixture(scope="module")
def ari():
    return taught_with(CLUSTERS, ["def ari("], topic=[0, 0, 1], ours=[0, 1, 1],
                       adjusted_rand_score=adjusted_rand_score,
                       normalized_mutual_info_score=normalized_mutual_info_score)["ari"]


def test_ari_and_nmi_by_hand(ari):
    labels, clusters = list("甲甲甲乙乙乙"), [1, 1, 2, 2, 2, 2]
    assert ari(labels, clusters) == pytest.approx((4 - 2.8) / (6.5 - 2.8))
    assert round(ari(labels, clusters), 3) == 0.324
    information = math.log(2) / 3 - math.log(2) / 6 + math.log(1.5) / 2
    entropies = math.log(2), -math.log(1 / 3) / 3 - 2 * math.log(2 / 3) / 3
    assert [round(x, 3) for x in (information, *entropies)] == [0.318, 0.693, 0.637]
    nmi = normalized_mutual_info_score(labels, clusters)
    assert nmi == pytest.approx(information / (sum(entropies) / 2)) and round(nmi, 3) == 0.479


def test_ari_equals_sklearn_and_pair_counting(ari):
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=60)
    clusters = np.where(rng.random(60) < 0.5, labels, rng.integers(6, size=60))
    assert ari(labels, clusters) == pytest.approx(adjusted_rand_score(labels, clusters))
    pairs = list(combinations(range(60), 2))
    same = np.array([[x[i] == x[j] for i, j in pairs] for x in (labels, clusters)])
    S, A, B = (same[0] & same[1]).sum(), *same.sum(axis=1)
    E = A * B / len(pairs)
    assert ari(labels, clusters) == pytest.approx((S - E) / ((A + B) / 2 - E))
    assert ari(labels, labels + 7) == 1


def test_silhouette_by_hand():
    found = silhouette_samples([[1.0], [2], [9], [10]], [0, 0, 1, 1])
    assert found[0] == pytest.approx(7.5 / 8.5) == pytest.approx(0.88, abs=5e-3)


def test_jaccard_by_hand():
    names = taught(CLUSTERS, "def jaccard")
    a, b = names["pieces"]("房间很大也干净"), names["pieces"]("房间很大但不干净")
    assert a == {"房间很", "间很大", "很大也", "大也干", "也干净"}
    assert names["jaccard"](a, b) == 2 / (5 + 6 - 2)
    assert names["jaccard"](a, a) == 1 and names["jaccard"](a, {"无"}) == 0


def test_minhash_is_unbiased():
    """换成 4,000 个散列函数，相同的最小值所占的比例就是 Jaccard 系数。"""
    names = taught_with(CLUSTERS, ["def jaccard", "def signature"], zlib=zlib)
    prime = names["prime"]
    names["factor"], names["shift"] = np.random.default_rng(1).integers(1, prime, (2, 4000))
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 200)))
    for start in (5, 20, 40, 80):
        a, b = letters[:80], letters[start:start + 80]
        share = (names["signature"](a) == names["signature"](b)).mean()
        exact = names["jaccard"](names["pieces"](a), names["pieces"](b))
        assert share == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 4000))
    assert names["signature"]("甲乙丙丁").max() < prime


@pytest.mark.parametrize("J, in_text", [(0.2, 0.03), (0.5, None), (0.8, 0.9998)])
def test_bands_find_pairs_as_often_as_the_formula_says(J, in_text):
    expected = 1 - (1 - J**4) ** 16
    assert in_text is None or expected == pytest.approx(in_text, rel=0.2 if J == 0.2 else 1e-4)
    rng = np.random.default_rng(0)
    one = rng.integers(2**31, size=(2000, 64))
    other = np.where(rng.random((2000, 64)) < J, one, rng.integers(2**31, size=(2000, 64)))
    names = taught_with(CLUSTERS, ["candidates = set()"], signatures=np.vstack([one, other]))
    assert all(j == i + 2000 for i, j in names["candidates"])
    assert len(names["candidates"]) / 2000 == pytest.approx(expected, abs=0.04)


def test_band_search_equals_brute_force():
    signatures = np.random.default_rng(0).integers(3, size=(40, 64))
    names = taught_with(CLUSTERS, ["def search(width)"], signatures=signatures)
    for width in (4, 8):
        bands = signatures.reshape(40, -1, width)
        expected = {(i, j) for i, j in combinations(range(40), 2)
                    if (bands[i] == bands[j]).all(axis=1).any()}
        assert names["search"](width) == expected
    assert names["search"](4) > names["search"](8)


def test_top_pairs_equals_brute_force():
    short = pd.Series("", index=np.arange(10, 22))
    matrix = unit_rows(0, 12, 4) @ unit_rows(0, 12, 4).T
    found = taught_with(CLUSTERS, ["def top_pairs"], short=short)["top_pairs"](matrix, 9)
    expected = sorted(combinations(range(12), 2), key=lambda pair: -matrix[pair])[:9]
    assert found.to_numpy().tolist() == [[i + 10, j + 10] for i, j in expected]


def test_questions_hide_one_item_and_mix_two_interests():
    names = taught(CLUSTERS, "def make_questions")
    assert not set(names["valid"]) & set(names["test"])
    for each in (1, 2, 4):
        questions = names["make_questions"](names["test"], each, seed=1)
        assert sorted(hidden for _, hidden in questions) == sorted(
            6 * report + i for report in names["test"] for i in range(6))
        for history, hidden in questions:
            assert len(set(history)) == 2 * each and hidden not in history
            reports = Counter((np.array(history) // 6).tolist())
            assert reports[hidden // 6] == each and set(reports.values()) == {each}
            assert set(reports) <= set(names["test"].tolist())


@pytest.mark.parametrize("name, score", [
    ("by_mean", lambda v, past: np.mean([v @ h for h in past])),
    ("by_best", lambda v, past: max(v @ h for h in past)),
    ("by_last", lambda v, past: v @ past[-1]),
])
def test_rank_of_hidden_equals_sorting(name, score):
    names, space = taught(CLUSTERS, "def by_mean"), unit_rows(0, 30, 5)
    for hidden in range(8, 30):
        history = np.array([3, 0, 7])
        scores = [score(v, space[history]) for v in space]
        order = sorted(set(range(30)) - {3, 0, 7}, key=lambda i, s=scores: -s[i])
        rank = names["rank_of_hidden"](names[name], space, history, hidden)
        assert rank == order.index(hidden) + 1


def test_mmr_of_recommendations_by_hand_and_by_brute_force():
    mmr = taught(CLUSTERS, "def mmr(")["mmr"]
    by_hand = np.array([[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]])
    assert mmr(np.array([0.9, 0.8, 0.5]), by_hand, 0.5, 2) == [0, 2]
    assert [0.5 * 0.8 - 0.5 * 0.9, 0.5 * 0.5 - 0.5 * 0.1] == pytest.approx([-0.05, 0.2])
    vectors = unit_rows(0, 25, 6)
    relevance, similarity = vectors @ vectors[0] + 2, vectors @ vectors.T
    for weight in (1, 0.7, 0.3):
        assert mmr(relevance, similarity, weight) == greedy_mmr(relevance, similarity, weight, 10)
    assert mmr(relevance, similarity, 1) == np.argsort(-relevance)[:10].tolist()


def test_hit_and_diversity_equals_the_definition():
    vectors = unit_rows(0, 40, 6)
    names = taught_with(CLUSTERS, ["def by_mean", "def mmr(", "def lists(",
                                   "def hit_and_diversity"], item_vectors=vectors)
    questions = [(np.array([0, 1]), 2), (np.array([3, 4]), 5), (np.array([6, 7]), 8)]
    hits, gaps = [], []
    for history, hidden in questions:
        relevance = np.array([max(v @ vectors[h] for h in history) for v in vectors])
        relevance[history] = -np.inf
        chosen = greedy_mmr(relevance, vectors @ vectors.T, 0.6, 10)
        hits.append(hidden in chosen)
        gaps.append(np.mean([1 - vectors[i] @ vectors[j] for i, j in combinations(chosen, 2)]))
    assert names["hit_and_diversity"](questions, 0.6) == pytest.approx(
        [np.mean(hits), np.mean(gaps)])


def test_round_robin_takes_turns():
    similarity = unit_rows(0, 30, 5) @ unit_rows(0, 30, 5).T
    round_robin = taught_with(CLUSTERS, ["def round_robin"], similarity=similarity)["round_robin"]
    history = np.array([4, 9, 2])
    chosen = []
    for turn in range(10):
        rest = [i for i in range(30) if i not in chosen and i not in (4, 9, 2)]
        chosen.append(max(rest, key=lambda i, h=history[turn % 3]: similarity[h, i]))
    assert round_robin(history) == chosen and round_robin(history, 4) == chosen[:4]


def test_simulated_readers_click_two_topics():
    topics = list("甲乙丙丁")
    topic = np.repeat(topics, 20)
    simulate = taught_with(CLUSTERS, ["def simulate"], hsk=range(80), topic=topic,
                           TOPICS=topics)["simulate"]
    clicks, hidden = simulate(200)
    assert (clicks.sum(axis=1) == 11).all() and not clicks[np.arange(200), hidden].any()
    assert all(len({*topic[row > 0], topic[h]}) <= 2 for row, h in zip(clicks, hidden, strict=True))
    counts = np.sort(clicks.sum(axis=0))
    assert counts[-20:].sum() > 2 * counts[:40].sum()  # 质量悬殊


def test_hit_at_10_leaves_out_what_is_blocked_and_shares_ties():
    """同分的次序随机：藏的那篇落在前十各个位置的机会相等。"""
    hit_at_10 = taught(CLUSTERS, "def hit_at_10")["hit_at_10"]
    rng = np.random.default_rng(0)
    scores, blocked = rng.integers(9, size=(60, 40)).astype(float), rng.random((60, 40)) < 0.3
    hidden = np.array([rng.choice(np.flatnonzero(~row)) for row in blocked])
    hits = []
    for row, gone, h in zip(scores, blocked, hidden, strict=True):
        order = sorted(row[~gone], reverse=True)
        hits.append(np.mean([place < 10 for place, s in enumerate(order) if s == row[h]]))
    assert 0 < np.mean(hits) < 1
    assert hit_at_10(scores, blocked, hidden) == pytest.approx(np.mean(hits))


def test_toy_clouds_are_as_the_text_says():
    names = taught(CLUSTERS, "middles = {", "def sizes_and_gaps")
    width, gap = names["sizes_and_gaps"](names["blobs"])
    assert width == pytest.approx(10, rel=0.1) and gap == pytest.approx(10, rel=0.1)


# ---------------------------------------------------------------- 第 12 章


@pytest.fixture(scope="module")
def bio():
    """到维特比为止的函数；``greedy`` 所在的单元还核对手算的例子。"""
    return taught_with(ENTITIES, ["def find_entities", "def sentences(", "def to_labels",
                                  "def from_labels", "def to_characters", "def legal_steps",
                                  "def viterbi", "def greedy"])


def test_find_entities_joins_surname_and_name(bio):
    words, tags = ["江", "泽民", "在", "北京", "会见", "李", "同志"], "nr nr p ns v nr n".split()
    assert bio["find_entities"](words, tags) == [(0, 3, "人名"), (4, 6, "地名"), (8, 9, "人名")]
    assert bio["find_entities"](["新华社", "江", "泽", "民"], ["nt", "nr", "nr", "nr"]) == [
        (0, 3, "机构"), (3, 5, "人名"), (5, 6, "人名")]
    assert bio["find_entities"](["约翰", "李"], ["nr", "nr"]) == [(0, 2, "人名"), (2, 3, "人名")]


def test_sentences_lose_nothing(bio):
    words = ["甲", "。", "乙", "丙", "！", "丁"]
    found = list(bio["sentences"](7, words, list("abcdef")))
    assert found == [(7, ["甲", "。"], ["a", "b"]), (7, ["乙", "丙", "！"], ["c", "d", "e"]),
                     (7, ["丁"], ["f"])]


def random_entities(rng, length):
    """互不重叠、可以紧挨着的几段。"""
    cuts = sorted(rng.sample(range(length + 1), rng.randrange(2, length // 2)))
    return [(a, b, rng.choice(["人名", "地名", "机构"])) for a, b in pairwise(cuts)
            if rng.random() < 0.7]


def test_bio_round_trip(bio):
    assert bio["to_labels"](5, [(0, 2, "人名"), (3, 5, "地名")]) == [
        "B-人名", "I-人名", "O", "B-地名", "I-地名"]
    rng = random.Random(0)
    for _ in range(300):
        entities = random_entities(rng, 12)
        labels = bio["to_labels"](12, entities)
        assert len(labels) == 12 and bio["from_labels"](labels) == entities
    assert bio["from_labels"](["I-人名", "I-人名", "I-地名", "O", "I-地名"]) == [
        (0, 2, "人名"), (2, 3, "地名"), (4, 5, "地名")]


def test_characters_of_tokens(bio):
    token, position = bio["to_characters"](9, np.array([[0, 1], [1, 2], [2, 5], [5, 9]]))
    assert token.tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 3]
    assert position.tolist() == [0, 0, 1, 3, 2, 1, 3, 3, 2]


def test_characters_shared_by_two_tokens_go_to_the_last(bio):
    token, position = bio["to_characters"](4, np.array([[0, 2], [1, 3], [3, 4], [3, 4]]))
    assert token.tolist() == [0, 1, 1, 3] and position.tolist() == [1, 1, 2, 0]


def test_legal_steps_are_the_rule_of_bio(bio):
    for labels in (bio["LABELS"], ["O", "B-人名", "I-人名"]):
        legal = bio["legal_steps"](labels)
        for (i, a), (j, b) in product(enumerate(labels), repeat=2):
            kind = b.split("-")[-1]
            assert legal[i, j] == (b[0] != "I" or a in (f"B-{kind}", f"I-{kind}"))


def test_viterbi_by_hand(bio):
    scores = np.array([[-0.5, -1, -3], [-2, -3, -0.4]])
    labels = ["O", "B-人名", "I-人名"]
    totals = {a[0] + b[0]: scores[0, labels.index(a)] + scores[1, labels.index(b)]
              for a, b in product(labels[:2], labels) if a + b != "OI-人名"}
    assert totals == pytest.approx({"OO": -2.5, "OB": -3.5, "BI": -1.4, "BO": -3, "BB": -4})
    assert bio["viterbi"](scores, labels) == ["B-人名", "I-人名"]


def test_viterbi_equals_the_best_of_all_legal_labellings(bio):
    labels, rng = bio["LABELS"], np.random.default_rng(0)

    def legal(path):
        return all(b[0] != "I" or a in ("B" + b[1:], b)
                   for a, b in zip(("O", *path), path, strict=False))

    differ = 0
    for length in (1, 2, 3, 4):
        every = [path for path in product(labels, repeat=length) if legal(path)]
        for _ in range(5):
            scores = rng.normal(size=(length, 7))
            best = max(every, key=lambda path, s=scores: sum(
                s[c, labels.index(label)] for c, label in enumerate(path)))
            assert bio["viterbi"](scores) == list(best)
            differ += bio["greedy"](scores) != list(best)
    assert differ  # 贪心并不总是合法
    assert bio["greedy"](np.eye(7)) == labels


@pytest.fixture(scope="module")
def entity_f1():
    return taught_with(ENTITIES, ["def counts(part"])


def test_entity_f1_by_hand(entity_f1):
    assert entity_f1["f1"](np.array([[3, 5, 4]])) == pytest.approx(2 / 3)
    assert 2 * 0.6 * 0.75 / (0.6 + 0.75) == pytest.approx(2 / 3)
    gold = pd.DataFrame({"entities": [[(0, 2, "人名"), (3, 5, "地名")], [(1, 4, "机构")], []]})
    found = [[(0, 2, "人名"), (3, 5, "人名")], [(1, 3, "机构")], [(0, 1, "地名")]]
    table = entity_f1["counts"](gold, found)
    assert table.tolist() == [[1, 2, 2], [0, 1, 1], [0, 1, 0]]
    assert entity_f1["f1"](table) == pytest.approx(2 * 1 / (4 + 3))


def test_head_is_a_shared_line_plus_one_for_each_place():
    torch.manual_seed(0)
    x, labels = torch.randn(20, 6) * 3 + 1, list("零一二三四五六")
    head = taught_with(ENTITIES, ["class Head("], LABELS=labels)["Head"](x)
    position = torch.arange(20) % 4
    weight, bias = head.linear.weight.view(5, 7, 6), head.linear.bias.view(5, 7)
    h = (x - x.mean(dim=0)) / x.std(dim=0)
    expected = torch.stack([(weight[0] + weight[p + 1]) @ v + bias[0] + bias[p + 1]
                            for v, p in zip(h, position.tolist(), strict=True)])
    torch.testing.assert_close(head(x, position), expected)


def test_units_and_tags_are_in_characters(bio):
    """两个词元“李明”“在北京”：按词元的单位有两个，按字的有五个；答案都换算成字的起止。"""
    x = np.arange(4, dtype=np.float16).reshape(2, 2)
    names = taught_with(ENTITIES, ["作答的单位", "def tag(head"], viterbi=None,
                        to_characters=bio["to_characters"], from_labels=bio["from_labels"],
                        memory={"李明在北京": ({6: x}, np.array([[0, 2], [2, 5]]), None)})
    for way, rows, places in [("词元", [0, 1], [0, 0]), ("字", [0, 0, 1, 1, 1], [0] * 5),
                              ("字和位置", [0, 0, 1, 1, 1], [1, 2, 1, 3, 2])]:
        vectors, position, _ = names["units"]("李明在北京", 6, way)
        assert vectors.tolist() == x[rows].tolist() and position.tolist() == places
    for way, labels, found in [
        ("词元", ["B-人名", "B-地名"], [(0, 2, "人名"), (2, 5, "地名")]),
        ("字", ["B-人名", "I-人名", "O", "B-地名", "I-地名"], [(0, 2, "人名"), (3, 5, "地名")]),
    ]:
        answer = names["tag"](lambda x, position: x, ["李明在北京"], 6, way,
                              lambda scores, labels=labels: labels)
        assert answer == [found]


def test_aligned_entities_begin_and_end_with_tokens(bio):
    rows = pd.DataFrame({"text": ["李明在北京"], "entities": [
        [(0, 2, "人名"), (3, 5, "地名"), (2, 5, "地名"), (0, 1, "人名")]]})
    names = taught_with(ENTITIES, ["def aligned("], train=rows, valid=rows[:0],
                        memory={"李明在北京": (None, np.array([[0, 2], [2, 5]]), None)})
    assert names["fits"].tolist() == [True, False, True, False]


def test_lexicon_takes_the_commonest_kind_and_the_longest_match():
    names = taught_with(ENTITIES, ["def lexicon", "def look_up"], defaultdict=defaultdict,
                        Counter=Counter)
    part = pd.DataFrame([("江西江", [(0, 2, "地名"), (2, 3, "人名")]), ("江西", [(0, 2, "机构")]),
                         ("在江西", [(1, 3, "地名")])], columns=["text", "entities"])
    assert names["lexicon"](part) == {"江西": "地名", "江": "人名"}
    assert names["lexicon"](part, shortest=2) == {"江西": "地名"}
    found = names["look_up"]("江西省江边江西", {"江西": "地名", "江": "人名", "江西省": "机构"})
    assert found == [(0, 3, "机构"), (3, 4, "人名"), (5, 7, "地名")]
    assert names["look_up"]("甲乙丙", {"甲乙丙": "人名"}, longest=2) == []


def test_nouns_are_where_they_say():
    nouns = taught(ENTITIES, "def nouns(")["nouns"]
    assert nouns(["他", "看", "电视", "人", "报纸"], ["r", "v", "n", "n", "n"]) == [
        (2, 4, "名词"), (5, 7, "名词")]


def test_span_vector_is_the_mean_of_overlapping_tokens():
    vectors = np.arange(8, dtype=np.float16).reshape(4, 2)
    spans = np.array([[0, 1], [1, 3], [3, 4], [4, 6]])
    span_vector = taught_with(ENTITIES, ["def span_vector"], LAYER=6,
                              memory={"句": ({6: vectors}, spans, None)})["span_vector"]
    for (start, end), tokens in {(0, 1): [0], (1, 2): [1], (2, 4): [1, 2], (0, 6): [0, 1, 2, 3],
                                 (3, 5): [2, 3]}.items():
        assert span_vector("句", start, end).tolist() == vectors[tokens].mean(axis=0).tolist()


@pytest.mark.parametrize("sentence, head, tail, places", [
    ("周砚在恒泰厂当会计", "周砚", "恒泰厂", [(0, 2), (3, 6), (2, 3)]),
    ("恒泰厂是周砚办的", "周砚", "恒泰厂", [(4, 6), (0, 3), (3, 4)]),
    ("周砚恒泰厂", "周砚", "恒泰厂", [(0, 2), (2, 5), (1, 2)]),
])
def test_pair_vectors_look_at_both_names_and_between(sentence, head, tail, places):
    names = taught_with(ENTITIES, ["def pair_vectors"],
                        span_vector=lambda text, start, end: (start, end))
    row = SimpleNamespace(sentence=sentence, head=head, tail=tail)
    assert names["pair_vectors"](row) == places


def test_marked_names_keep_the_rest():
    row = pd.DataFrame([("恒泰厂是周砚办的", "周砚", "恒泰厂")],
                       columns=["sentence", "head", "tail"])
    names = taught_with(ENTITIES, ["def marked("], relations=row, memory={}, LAYER=6,
                        encode_tokens=lambda *_: {}, encoder=SimpleNamespace(
                            encode=lambda texts, batch_size: texts))
    assert names["marked_vectors"] == ["〔乙〕恒泰厂是〔甲〕周砚办的"]


def test_cross_validation_never_learns_from_the_sentence_it_asks_about():
    group, y = np.repeat(np.arange(24), 2), np.arange(48) % 3
    among, asked = group % 4 > 0, []

    class Memory:
        """只背训练过的句子；考到没背过的，答对；背过的，答错。"""
        def __init__(self, alpha):
            pass

        def fit(self, x, y):
            self.known = set(x[:, 0])
            return self

        def predict(self, x):
            asked.extend(x[:, 1])
            return np.where(np.isin(x[:, 0], list(self.known)), -1, y[x[:, 1]])

    names = taught_with(ENTITIES, ["def cross_validate"], RidgeClassifier=Memory, y=y, group=group,
                        GroupKFold=GroupKFold)
    hits = names["cross_validate"](np.c_[group, np.arange(48)], 1, among,
                                   extra=np.flatnonzero(~among))
    assert hits.shape == (36,) and hits.all()
    assert sorted(asked) == np.flatnonzero(among).tolist()


def test_upper_bound_of_whole_sentence_methods():
    assert (210 + 150) / 510 == pytest.approx(0.71, abs=5e-3) and 210 + 2 * 150 == 510


# ---------------------------------------------------------------- 第 13 章


@pytest.fixture(scope="module")
def towers():
    return taught_with(PICTURES, ["def hits_at", "def symmetric_infonce", "def whitener",
                                  "def new_towers", "def ridge_towers", "def project("],
                       Ridge=Ridge)


def test_hits_at_equals_sorting(towers):
    queries, candidates = unit_rows(0, 30, 4), unit_rows(1, 30, 4)
    for k in (1, 5):
        expected = [i in np.argsort(-candidates @ q)[:k] for i, q in enumerate(queries)]
        assert towers["hits_at"](queries, candidates, k).tolist() == expected
    assert towers["hits_at"](queries, queries, 1).all()


def with_products(s, tau):
    """造出单位向量 u、v，使 v·u/τ 恰为矩阵 s。"""
    u, v = torch.eye(2, 4), torch.zeros(2, 4)
    v[:, :2] = torch.tensor(s) * tau
    v[[0, 1], [2, 3]] = (1 - v.square().sum(dim=1)).sqrt()
    return u, v


@pytest.mark.parametrize("s, rows, columns", [
    ([[2.0, 0.0], [1.0, 1.0]], 0.410, 0.313), ([[1.0, 0.0], [2.0, 1.0]], 0.813, 0.813),
])
def test_symmetric_infonce_by_hand(towers, s, rows, columns):
    (a, b), (c, d) = s
    assert (math.log(1 + math.exp(b - a)) + math.log(1 + math.exp(c - d))) / 2 == pytest.approx(
        rows, abs=5e-4)
    assert (math.log(1 + math.exp(c - a)) + math.log(1 + math.exp(b - d))) / 2 == pytest.approx(
        columns, abs=5e-4)
    u, v = with_products(s, 0.2)
    loss = towers["symmetric_infonce"](3 * u, 7 * v, tau=0.2).item()  # 长短不影响
    assert loss == pytest.approx((rows + columns) / 2, abs=1e-3)


def test_symmetric_infonce_equals_cross_entropy(towers):
    u, v = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
    s = F.cosine_similarity(v[:, None], u[None], dim=2) / 0.07
    terms = [s.exp()[i, i] / s.exp()[i].sum() * s.exp()[i, i] / s.exp()[:, i].sum()
             for i in range(9)]
    expected = -torch.stack(terms).log().mean() / 2
    torch.testing.assert_close(towers["symmetric_infonce"](u, v), expected)
    torch.testing.assert_close(towers["symmetric_infonce"](v, u), expected)
    answer = torch.arange(9)
    both = F.cross_entropy(s, answer) + F.cross_entropy(s.T, answer)
    torch.testing.assert_close(towers["symmetric_infonce"](u, v), both / 2)


def test_whitener_halves_the_spread_in_the_leading_directions(towers):
    x = np.random.default_rng(0).normal(size=(80, 6)) * [9, 5, 3, 2, 1, 0.5] + 4
    pca = PCA(3).fit(x)
    scaled = pca.transform(x) / np.sqrt(pca.singular_values_ / np.sqrt(80))
    expected = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    found = towers["whitener"](x, 3)(x).numpy()
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)


def test_ridge_towers_equal_sklearn(towers):
    x, y = np.random.default_rng(0).normal(size=(2, 30, 4))
    picture, caption = towers["ridge_towers"](x, y, 10)
    expected = Ridge(alpha=10).fit(x, y).predict(x)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = towers["project"](picture, torch.tensor(x).float())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert caption(picture) is picture


def test_training_brings_pairs_together_and_shuffled_pairs_do_not(towers):
    x = torch.randn(60, 12, generator=torch.Generator().manual_seed(0))
    y = x @ torch.randn(12, 8, generator=torch.Generator().manual_seed(1))

    def batch(rng):
        return np.arange(40), np.arange(40)

    scores = []
    for captions in (y[:40], y[:40].flip(0)):
        seen = []
        trained = towers["fit"](x[:40], captions, batch, steps=60,
                                watch=lambda step, _, seen=seen: seen.append(step))
        assert seen == [20, 40, 60] and not trained.training
        u, v = towers["project"](trained[0], x[40:]), towers["project"](trained[1], y[40:])
        scores.append(towers["hits_at"](v, u, 3).mean())
    assert scores[0] > 0.8 and scores[1] < 0.5


def test_spoken_titles_stay_with_their_pictures():
    names = taught_with(PICTURES, ["def pairs(rng", "def spoken("], train=np.arange(300))
    rows, titles = names["spoken"](np.random.default_rng(0))
    assert len(set(rows)) == 256 and max(rows) < 300
    assert (titles % 300 == rows).all() and set(titles // 300) == {0, 1, 2}


def test_concatenation_ranks_the_same_for_every_query():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(20, 512)), rng.normal(size=(20, 256)), rng.normal(size=(1, 768))
    names = taught_with(PICTURES, ["w = judge.coef_[0]"], x=x, y=y, test=range(20), chance=5 / 20,
                        judge=SimpleNamespace(coef_=w), roc_auc_score=roc_auc_score)
    for i, j in product(range(20), repeat=2):
        assert names["scores"][i, j] == pytest.approx(w[0] @ np.r_[x[j], y[i]])
    assert (names["top"] == names["top"][0]).all() and sum(names["hits"]) == 5


# ---------------------------------------------------------------- 第 14 章


@pytest.fixture(scope="module")
def speech():
    return taught_with(SPEECH, ["def edits", "def cer", "def blur", "def readings"], re=re,
                       cache=cache, lazy_pinyin=lazy_pinyin)


@cache
def levenshtein(a, b):
    """编辑距离的递归定义。"""
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1,
               levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


def test_cer_by_hand(speech):
    edits, cer = speech["edits"], speech["cer"]
    assert cer(["明天下五开个会"], ["明天下午开会"]) == pytest.approx(2 / 6)
    a, b = "请把空条关", "请把空调关掉"
    assert cer([a], [b]) == pytest.approx(2 / 6) and cer([b], [a]) == pytest.approx(2 / 5)
    assert edits("", "甲乙") == 2 and edits("甲乙", "") == 2 and edits("", "") == 0
    assert cer(["甲乙丙丁"], ["戊"]) == 4  # 可以超过 1
    assert cer(["甲", "甲乙丙"], ["乙", "甲乙丙"]) == 1 / 4  # 加总再除，不是各句平均


def test_edits_equal_the_recursive_definition(speech):
    rng = random.Random(0)
    for _ in range(200):
        a, b = ("".join(rng.choices("甲乙丙", k=rng.randrange(7))) for _ in range(2))
        assert speech["edits"](a, b) == levenshtein(a, b) == speech["edits"](b, a)


def test_blur_merges_what_is_easily_misheard(speech):
    for one, other in [("zhong", "zong"), ("chi", "ci"), ("shan", "sang"), ("xing", "xin"),
                       ("neng", "len"), ("nan", "lan")]:
        assert speech["blur"](one) == speech["blur"](other), (one, other)
    for one, other in [("zhong", "chong"), ("an", "en"), ("ba", "pa"), ("zong", "zon")]:
        assert speech["blur"](one) != speech["blur"](other), (one, other)
    assert speech["readings"]("中心") == (("zhong", "xin"), ("zong", "xin"))


@pytest.fixture(scope="module")
def mishearing(speech):
    same, near = defaultdict(list), defaultdict(list)
    for word in ["公式", "公事", "攻势", "工丝", "蚣死"]:
        exact, blurred = speech["readings"](word)
        same[exact].append(word)
        near[blurred].append(word)
    return taught_with(SPEECH, ["def mishear_word", "def mishear(text"], same=same, near=near,
                       readings=speech["readings"], jieba=SimpleNamespace(cut=str.split))


def test_each_way_of_mishearing_does_what_it_says(mishearing, speech):
    rng, readings = np.random.default_rng(0), speech["readings"]
    results = {kind: set() for kind in mishearing["KINDS"]}
    for kind, found in results.items():
        fixed = SimpleNamespace(choice=lambda options, p=None, kind=kind: kind if p else
                                rng.choice(options), integers=rng.integers)
        found.update(str(mishearing["mishear_word"]("公式", fixed)) for _ in range(60))
    assert results["漏字"] == {"公", "式"}
    assert results["多字"] == {word + "公式" for word in ("嗯", "那个", "就是", "呃")}
    assert results["同音"] == {"公事", "攻势"}
    assert results["近音"] == {"公事", "攻势", "工丝", "蚣死"}
    assert all(readings(word)[1] == readings("公式")[1] for word in results["近音"])
    assert sum(mishearing["SHARES"]) == pytest.approx(1)


def test_mishearing_at_rate_zero_changes_nothing(mishearing):
    assert mishearing["mishear"]("公式 公式", 0, np.random.default_rng(0)) == "公式公式"
    heard = {mishearing["mishear"]("公式 公式", 1, np.random.default_rng(i)) for i in range(9)}
    assert "公式公式" not in heard


def test_ranks_of_equal_scores_are_shared(speech):
    names = taught_with(SPEECH, ["def tfidf_scores"], rankdata=rankdata,
                        readings=speech["readings"], TfidfVectorizer=TfidfVectorizer)
    found = names["reciprocal_rank"](np.array([[0.5, 0, 0, 0.9]]))
    assert found[0] == pytest.approx([1 / 62, 1 / 63.5, 1 / 63.5, 1 / 61])
    assert names["syllables"]("中心") == "zong xin"
    scores = names["tfidf_scores"](["zong xin"], ["zong xin", "xin zong", "ba"],
                                   token_pattern=r"\S+")
    assert scores[0, 0] == pytest.approx(1) and 0 < scores[0, 1] < 1 and scores[0, 2] == 0


def test_sign_test_of_scores():
    sign_test = taught_with(SPEECH, ["def sign_test"], binomtest=binomtest)["sign_test"]
    assert sign_test(np.array([1, 1, 0.5, 0.2]), np.array([0, 0, 0.1, 0.2])) == "3 : 0，p = 0.250"
    assert sign_test(np.ones(3), np.ones(3)) == "0 : 0，p = 1.000"
    assert sign_test(np.zeros(20, bool), np.ones(20, bool)) == "0 : 20，p < 0.001"


TEXTS = ["我爱吃苹果", "我爱吃梨", "我想吃苹果", "他爱我", "你想他吗", "吃"]


@pytest.fixture(scope="module")
def writer():
    names = taught_with(SPEECH, ["ORDER = 4", "def train(texts", "def probability(",
                                 "tiny = train(", "counts = train(corpus)", "def log_probability",
                                 "def next_character", "def write(start", "def write_many"],
                        Counter=Counter, defaultdict=defaultdict, random=random, corpus=TEXTS)
    return names


def witten_bell(character, context, texts):
    """照公式直接数字符串。"""
    padded = ["^^^" + text + "$" for text in texts]
    after = [text[i] for text in padded for i in range(3, len(text))
             if text[i - len(context):i] == context]
    shorter = witten_bell(character, context[1:], texts) if context else 1 / 3000
    if not after:
        return shorter
    kinds = len(set(after))
    return (after.count(character) + kinds * shorter) / (len(after) + kinds)


def test_witten_bell_by_hand(writer):
    assert (1 + 2 * 0.1) / (3 + 2) == pytest.approx(0.24)
    assert (0 + 2 * 0.05) / 5 == pytest.approx(0.02)
    tiny = writer["tiny"]
    assert (sum(tiny["我"].values()), len(tiny["我"])) == (3, 2)
    shorter = writer["probability"]("想", "", tiny)
    assert writer["probability"]("想", "我", tiny) == pytest.approx((1 + 2 * shorter) / 5)


CONTEXTS = ["", "我", "爱吃", "我爱吃", "^^我", "^^^", "没见过", "果果吃", "想"]


@pytest.mark.parametrize("context", CONTEXTS)
def test_probabilities_equal_the_formula_and_sum_to_one(writer, context):
    """三千个字的词表：出现过的字、句末，和没有出现过的。"""
    counts = writer["counts"]
    vocabulary = sorted(set("".join(TEXTS) + "$"))
    for character in [*vocabulary, "龘"]:
        assert writer["probability"](character, context, counts) == pytest.approx(
            witten_bell(character, context, TEXTS))
    unseen = (3000 - len(vocabulary)) * writer["probability"]("龘", context, counts)
    seen = sum(writer["probability"](character, context, counts) for character in vocabulary)
    assert seen + unseen == pytest.approx(1)


@pytest.mark.parametrize("order, skip", [(1, 0), (2, 0), (4, 0), (4, 2)])
def test_log_probability_is_the_mean_over_characters(writer, order, skip):
    padded = "^^^我爱梨$"
    terms = [math.log(witten_bell(padded[i], padded[i - order + 1:i], TEXTS))
             for i in range(3 + skip, len(padded))]
    assert writer["log_probability"]("我爱梨", skip, order) == pytest.approx(np.mean(terms))


def test_writing_draws_from_the_same_probabilities(writer):
    rng = random.Random(0)
    for context in ("^^我", "我爱吃", "没有爱"):
        drawn = Counter(writer["next_character"](context, rng) for _ in range(20000))
        for character in set("".join(TEXTS) + "$"):
            p = witten_bell(character, context, TEXTS)
            assert drawn[character] / 20000 == pytest.approx(p, abs=0.02)


def test_written_sentences_keep_their_start_and_differ(writer):
    texts = writer["write_many"]("我爱", 0, 10)
    assert len(set(texts)) == 10 and all(text.startswith("我爱") for text in texts)
    assert texts == writer["write_many"]("我爱", 0, 10) != writer["write_many"]("我爱", 1, 10)
    assert not any(set(text) & set("^$") for text in texts) and max(map(len, texts)) <= 21


@pytest.fixture(scope="module")
def scores():
    return taught_with(SPEECH, ["def pieces(text, n)", "def overlap", "def chrf",
                                "def common_length", "def rouge"], Counter=Counter)


def ngram_f1(a, b, n):
    """把片段一个一个划掉来数共有的。"""
    left, right = ([t[i:i + n] for i in range(len(t) - n + 1)] for t in (a, b))
    total, common = len(left) + len(right), 0
    for piece in left:
        if piece in right:
            right.remove(piece)
            common += 1
    return 2 * common / total if total else 0


def longest_common(a, b):
    return max(len(s) for k in range(len(a) + 1) for s in combinations(a, k)
               if all(c in it for it in [iter(b)] for c in s))


def test_chrf_and_rouge_by_hand(scores):
    assert [scores["overlap"]("他喜欢画画", "他喜欢摄影", n) for n in (1, 2, 3)] == pytest.approx(
        [0.6, 0.5, 1 / 3])
    assert scores["chrf"]("他喜欢画画", "他喜欢摄影") == pytest.approx(0.478, abs=5e-4)
    found = scores["rouge"]("今天大桥正式通车", "大桥今天通车")
    assert found == pytest.approx([12 / 14, 0.5, 8 / 14])
    assert [round(x, 3) for x in found] == [0.857, 0.5, 0.571]


def test_chrf_and_rouge_equal_brute_force(scores):
    rng = random.Random(0)
    for _ in range(60):
        a, b = ("".join(rng.choices("甲乙丙丁", k=rng.randrange(1, 9))) for _ in range(2))
        f1 = [ngram_f1(a, b, n) for n in (1, 2, 3)]
        assert scores["chrf"](a, b) == pytest.approx(np.mean(f1))
        longest = longest_common(a, b)
        assert scores["common_length"](a, b) == longest
        assert scores["rouge"](a, b) == pytest.approx([*f1[:2], 2 * longest / (len(a) + len(b))])


def test_bootstrap_interval_covers_the_mean():
    interval = taught(SPEECH, "def interval(")["interval"]
    assert interval(np.full(10, 0.5)) == "（0.50–0.50）"
    values = np.random.default_rng(1).normal(0.5, 1, size=400)
    low, high = map(float, re.findall(r"-?[\d.]+", interval(values)))
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


@pytest.fixture(scope="module")
def extract():
    return taught_with(SPEECH, ["def textrank", "toy = np.array", "def unit(v)", "def mmr(",
                                "def links(", "WAYS = {", "def exam_hits", "def spread_out"],
                       nx=nx, re=re, defaultdict=defaultdict, TfidfVectorizer=TfidfVectorizer)


def test_textrank_by_hand(extract):
    rank = extract["textrank"](extract["toy"], steps=1)
    received = [0.6 / 0.7 + 0.4 / 0.5, 0.6 / 1.0 + 0.1 / 0.5, 0.4 / 1.0 + 0.1 / 0.7]
    assert [round(x, 3) for x in received] == [1.657, 0.8, 0.543]
    assert rank == pytest.approx([0.05 + 0.85 * x / 3 for x in received])
    assert rank.round(3).tolist() == [0.52, 0.277, 0.204]


def test_textrank_equals_networkx():
    textrank = taught_with(SPEECH, ["def textrank"], nx=nx)["textrank"]
    weights = np.random.default_rng(0).random((8, 8)) + np.eye(8)
    weights += weights.T
    graph = nx.from_numpy_array(weights - np.diag(np.diag(weights)))
    theirs = list(nx.pagerank(graph, tol=1e-12).values())
    assert textrank(weights) == pytest.approx(theirs, abs=1e-8)


def test_textrank_with_an_isolated_sentence_is_networkx_up_to_scale():
    """孤立的句子不把地位分给谁，networkx 替它平分给大家：差一个倍数，名次不变。"""
    textrank = taught_with(SPEECH, ["def textrank"], nx=nx)["textrank"]
    weights = np.random.default_rng(0).random((7, 7)) / 50
    weights += weights.T
    np.fill_diagonal(weights, 0)
    weights[3] = weights[:, 3] = 0
    ours = textrank(weights)
    theirs = list(nx.pagerank(nx.from_numpy_array(weights), tol=1e-12).values())
    assert ours[3] == pytest.approx(0.15 / 7) and ours.argmin() == 3
    assert ours / ours.sum() == pytest.approx(theirs, abs=1e-8)


def test_mmr_of_sentences_by_hand_and_by_brute_force(extract):
    assert [0.7 * 0.9 - 0.3 * x for x in (0.95, 0.80)] == pytest.approx([0.345, 0.39])
    v = unit_rows(0, 12, 4) + 0.3
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    centre = v.mean(axis=0) / np.linalg.norm(v.mean(axis=0))
    for balance in (0.3, 0.7, 1):
        expected = greedy_mmr(v @ centre, v @ v.T, balance, 5)
        assert extract["mmr"](v, 5, balance) == sorted(expected)
    assert extract["mmr"](v, 5, 1) == extract["top"](v @ v.mean(axis=0), 5)


def test_links_are_centred_and_never_negative(extract):
    v, mean = unit_rows(0, 6, 3), np.array([0.2, 0.1, 0.0])
    found = extract["links"](v, mean)
    for i, j in product(range(6), repeat=2):
        a, b = v[i] - mean, v[j] - mean
        assert found[i, j] == pytest.approx(
            max(0, a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert (found == 0).any()


def test_exam_counts_hits_in_each_group(extract):
    table = pd.DataFrame({
        "篇": [1, 1, 1, 1, 2, 2, 2], "句": ["甲", "乙乙", "丙丙丙", "丁", "戊戊", "己", "庚庚庚"],
        "key": [True, True, False, False, False, False, True]})
    hits = extract["exam_hits"](table, abs(unit_rows(0, 7, 3)), "句", "篇", 2)
    expected = {"随机": [1, 2 / 3], "开头": [2, 0], "结尾": [0, 1], "最长": [1, 1]}
    for name, values in expected.items():
        assert hits[name].tolist() == pytest.approx(values), name
    assert set(extract["WAYS"]) | {"随机"} == set(hits)


def test_boundaries_are_kept_apart(extract):
    chosen = extract["spread_out"]([20, 22, 30, 24, 25, *range(40, 100)])
    assert chosen.tolist() == [20, 30, 25, 40, 45, 50, 55, 60, 65]
    truth = np.array([21, 28, 70])
    found = taught_with(SPEECH, ["def found(chosen)"], truth=truth)["found"]
    assert found(chosen) == 2 and found(np.array([70])) == 1
