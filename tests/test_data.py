"""各章所用句子的测试。"""

import sys

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
