"""各章手算的例子，以及单元格里教的函数：取出源代码来运行，与定义、穷举或参考实现核对。"""

import heapq
import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score, ndcg_score, roc_auc_score
from torch import nn
from transformers import BertConfig, BertModel

from mystdoc import BOOK, load_notebook


def taught(page, *markers):
    """执行 page 里含有各 marker 的代码单元，返回其中定义的名字。"""
    names = {"np": np, "torch": torch, "F": F, "nn": nn, "math": math, "heapq": heapq,
             "rankdata": rankdata}
    cells = [c["source"] for c in load_notebook(BOOK / page)["cells"] if c["cell_type"] == "code"]
    for marker in markers:
        (source,) = [cell for cell in cells if marker in cell]
        exec(source, names)
    return names


@pytest.fixture(scope="module")
def pooling():
    return taught("03_pooling.ipynb", "def masked_mean", "def cls(")


@pytest.fixture
def batch():
    """随机的词元向量 (4, 6, 5)，掩码长短不一；填充处放很大的数，漏掉掩码就会露馅。"""
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(4, 6, 5, generator=generator) - 2
    lengths = torch.tensor([6, 1, 3, 5])
    mask = (torch.arange(6) < lengths[:, None]).long()
    return h.masked_fill(mask[..., None] == 0, 1e3), mask, lengths.tolist()


def test_article_mean_is_not_what_it_prints():
    columns = [["0.3", "0.6", "0.9"], ["0.4", "0.8", "1.0"]]
    mean = [sum(map(Fraction, column)) / 3 for column in columns]
    assert mean == [Fraction(3, 5), Fraction(11, 15)]  # [0.6, 0.7333…]，不是 [0.5, 0.6]


def test_padding_by_hand(pooling):
    h = torch.tensor([[[0.3, 0.4], [0.6, 0.8], [0.9, 1.0], [1.0, -1.0], [1.0, -1.0]]])
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    torch.testing.assert_close(pooling["masked_mean"](h, mask), torch.tensor([[0.6, 2.2 / 3]]))
    torch.testing.assert_close(pooling["naive_mean"](h, mask), torch.tensor([[0.76, 0.04]]))


@pytest.mark.parametrize("name, one_sentence", [
    ("masked_mean", lambda h: h.mean(dim=0)),
    ("cls", lambda h: h[0]),
    ("maximum", lambda h: h.max(dim=0).values),
    ("last", lambda h: h[-1]),
    ("weighted_mean", lambda h: sum((t + 1) * v for t, v in enumerate(h))
     / sum(range(1, len(h) + 1))),
])
def test_pooling_of_a_padded_batch_equals_each_sentence_alone(pooling, batch, name, one_sentence):
    h, mask, lengths = batch
    expected = torch.stack([one_sentence(v[:n]) for v, n in zip(h, lengths, strict=True)])
    torch.testing.assert_close(pooling[name](h, mask), expected)


def test_masked_mean_of_nothing_is_zero_not_nan(pooling):
    assert pooling["masked_mean"](torch.ones(1, 3, 2), torch.zeros(1, 3)).tolist() == [[0, 0]]


def test_gradient_of_the_masked_mean(pooling, batch):
    h, mask, lengths = batch
    h = h.clone().requires_grad_()
    pooling["masked_mean"](h, mask).sum().backward()
    expected = mask / torch.tensor(lengths)[:, None]
    torch.testing.assert_close(h.grad, expected[..., None].expand_as(h))


def test_attention_by_hand():
    attention = taught("02_bert.ipynb", "def attention(")["attention"]
    q = torch.tensor([[2 * math.log(2), 0, 0, 0]])
    k = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    v = torch.tensor([[4.0, 0], [0, 4], [4, 4]])
    for mask, weights, output in [
        ([1, 1, 1], [1 / 2, 1 / 4, 1 / 4], [3, 2]),
        ([1, 1, 0], [2 / 3, 1 / 3, 0], [8 / 3, 4 / 3]),
    ]:
        got_output, got_weights = attention(q, k, v, torch.tensor(mask))
        torch.testing.assert_close(got_weights, torch.tensor([weights]))
        torch.testing.assert_close(got_output, torch.tensor([output], dtype=torch.float32))


def test_handwritten_bert_equals_transformers():
    """随机参数、三种形状不同的小模型；带填充的一批。"""
    names = taught(
        "02_bert.ipynb", "class Embeddings", "def attention(", "class SelfAttention",
        "class Layer", "class Bert(", "RENAME =", "def with_weights_of",
    )
    for heads, layers in [(1, 1), (2, 3), (4, 2)]:
        torch.manual_seed(heads)
        config = BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=24, max_position_embeddings=12,
        )
        reference = BertModel(config).eval()
        for parameter in reference.parameters():  # 默认的偏置是 0，漏写也看不出来
            nn.init.normal_(parameter, std=0.5)
        ids = torch.randint(1, 50, (3, 8))
        mask = (torch.arange(8) < torch.tensor([8, 5, 2])[:, None]).long()
        with torch.no_grad():
            theirs = reference(ids, attention_mask=mask).last_hidden_state
            ours = names["with_weights_of"](reference)(ids, mask)
        torch.testing.assert_close(ours[mask.bool()], theirs[mask.bool()], atol=1e-5, rtol=1e-5)


def test_normalised_distance_and_dot_product():
    a, b = np.array([3, 4]) / 5, np.array([4, 3]) / 5
    assert a @ b == pytest.approx(0.96)
    assert np.linalg.norm(a - b) ** 2 == pytest.approx(2 - 2 * 0.96)


def test_f1_equals_sklearn():
    scores = np.random.default_rng(0).random(50)
    labels = np.random.default_rng(1).random(50) < 0.3
    f1 = taught("04_similarity.ipynb", "def f1(")["f1"]
    for threshold in (-1, 0.3, 0.7):
        assert f1(scores, labels, threshold) == pytest.approx(f1_score(labels, scores > threshold))


@pytest.mark.parametrize("k, block", [(5, 3), (5, 100), (45, 4), (200, 4)])
def test_blocked_pairs_equal_brute_force(k, block):
    """余弦有正有负；k 大于句对总数时，给出全部 45 对，不多不少。"""
    most_similar_pairs = taught("05_find_similar_sentences.ipynb", "def most_similar_pairs")[
        "most_similar_pairs"
    ]
    vectors = np.random.default_rng(0).normal(size=(10, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    every = sorted(((vectors[i] @ vectors[j], i, j) for i, j in combinations(range(10), 2)),
                   reverse=True)
    found = most_similar_pairs(vectors, k, block)
    assert [(i, j) for _, i, j in found] == [(i, j) for _, i, j in every[:k]]
    np.testing.assert_allclose([s for s, _, _ in found], [s for s, _, _ in every[:k]])


def scores_with_ties(seed, n=60):
    return np.random.default_rng(seed).integers(8, size=n).astype(float)


@pytest.mark.parametrize("name, reference", [("pearson", pearsonr), ("spearman", spearmanr)])
def test_correlations_equal_scipy(name, reference):
    correlation = taught("07_choose_evaluate.ipynb", "def pearson")[name]
    x, y = scores_with_ties(0), scores_with_ties(1) + scores_with_ties(0) / 2
    assert correlation(x, y) == pytest.approx(reference(x, y).statistic)


def test_correlations_by_hand():
    names = taught("07_choose_evaluate.ipynb", "def pearson")
    x, y = np.array([1, 2, 5]), np.array([0.80, 0.84, 0.86])
    assert names["spearman"](x, y) == pytest.approx(1)
    assert names["pearson"](x, y) == pytest.approx(0.113 / (2.94 * 0.0432), abs=0.01)


def test_auc_equals_sklearn():
    auc = taught("07_choose_evaluate.ipynb", "def auc(")["auc"]
    scores, labels = scores_with_ties(0), scores_with_ties(1) > 4
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_ndcg_by_hand_equals_sklearn():
    dcg = taught("07_choose_evaluate.ipynb", "def dcg(")["dcg"]
    gains = np.array([2, 0, 3, 1])
    by_hand = (2 + 3 / 2 + 1 / math.log2(5)) / (3 + 2 / math.log2(3) + 1 / 2)
    ours = dcg(gains) / dcg(np.sort(gains)[::-1])
    assert ours == pytest.approx(by_hand) == pytest.approx(ndcg_score([gains], [[4, 3, 2, 1]]))


def test_kappa_equals_sklearn():
    kappa = taught("07_choose_evaluate.ipynb", "def kappa(")["kappa"]
    a, b = scores_with_ties(0), np.where(scores_with_ties(2) > 2, scores_with_ties(0), 3)
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    small = np.repeat([[1, 1], [0, 0], [1, 0]], [4, 3, 3], axis=0).T
    assert kappa(*small) == pytest.approx((0.7 - 0.46) / (1 - 0.46))


def test_segmentation_f1_by_hand():
    import pandas as pd

    names = taught("06_chinese_text.ipynb", "def segmentation_f1")
    assert names["spans"](["南京市", "长江"]) == {(0, 3), (3, 5)}
    sample = pd.DataFrame({"text": ["南京市长江"], "words": [["南京市", "长江"]]})
    f1 = names["segmentation_f1"]
    assert f1(lambda text: ["南京市", "长江"], sample) == 1
    assert f1(lambda text: ["南京", "市", "长江"], sample) == pytest.approx(2 * 1 / (2 + 3))


def test_counts_in_the_text():
    assert math.comb(10_000, 2) == 49_995_000
    assert 384 * 4 == 1536 and 4349 * 1536 == 6_680_064
    assert math.comb(4354, 2) == 9_476_481


@pytest.fixture(scope="module")
def losses():
    return taught("08_training.ipynb", "def contrastive_loss", "def infonce_loss",
                  "def ranking_loss", "def cosent_loss", "def distill_loss", "def rotation",
                  "def effective_rank", "def masked_infonce")


def test_infonce_by_hand(losses):
    """余弦矩阵 [[1, 0], [0.6, 0.8]]，τ = 0.1。"""
    u = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    v = torch.tensor([[3.0, 0.0], [0.0, 2.0]])  # 长短不影响余弦
    expected = (math.log(1 + math.exp(-10)) + math.log(1 + math.exp(6 - 8))) / 2
    assert losses["infonce_loss"](u, v, scale=10.0).item() == pytest.approx(expected, abs=1e-5)


def test_cosent_counts_every_ordered_pair(losses):
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 7, 4, generator=generator)
    labels = torch.tensor([0.1, 0.5, 0.5, 0.9, 0.0, 1.0, 0.9])
    cos = F.cosine_similarity(u, v).tolist()
    terms = [math.exp(20 * (cos[j] - cos[i])) for i in range(7) for j in range(7)
             if labels[i] > labels[j]]
    ours = losses["cosent_loss"](u, v, labels).item()
    assert ours == pytest.approx(math.log(1 + sum(terms)), rel=1e-5)


def test_contrastive_ignores_what_is_already_far(losses):
    u = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    v = torch.tensor([[0.0, 1.0], [0.8, 0.6]])
    loss = losses["contrastive_loss"](u, v, torch.tensor([0, 0]))  # 距离 1 和 0.2，边界 0.5
    assert loss.item() == pytest.approx(0.5 * 0.3**2 / 2, abs=1e-6)
    loss.backward()
    assert u.grad[0].abs().sum() == 0 and u.grad[1].abs().sum() > 0


def test_distillation_of_the_page_is_that_of_the_command(losses):
    from sbertbook import distill

    generator = torch.Generator().manual_seed(0)
    found, wanted = F.normalize(torch.randn(2, 6, 8, generator=generator), dim=2)
    similarity = torch.rand(4, 4, generator=generator)
    ours = losses["distill_loss"](found, wanted, similarity)
    torch.testing.assert_close(ours, distill.loss_of(found, wanted, similarity, "both"))
    x, y = np.random.default_rng(0).normal(size=(2, 20, 5))
    np.testing.assert_allclose(losses["rotation"](x, y), distill.rotation(x, y))


def test_effective_rank_of_known_spectra(losses):
    assert losses["effective_rank"](torch.eye(5)) == pytest.approx(5, rel=1e-4)
    assert losses["effective_rank"](torch.ones(5, 3)) == pytest.approx(1, abs=1e-3)


def test_masking_removes_only_the_false_negative(losses):
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 3, 4, generator=generator)
    alike = torch.tensor([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 1.0]])
    logits = 20 * F.normalize(u, dim=1) @ F.normalize(v, dim=1).T
    rows = [logits[0, [0, 2]], logits[1, [1, 2]], logits[2, [2, 0, 1]]]
    expected = sum(F.cross_entropy(row[None], torch.tensor([0])) for row in rows) / 3
    torch.testing.assert_close(losses["masked_infonce"](u, v, alike), expected)
