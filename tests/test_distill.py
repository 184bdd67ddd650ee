"""蒸馏命令：语料、词表、损失，以及中断、续跑和各种出错的情形。"""

import copy
import os
import re

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from sbertbook import corpus, distill, load_encoder, load_hsk, vocabulary
from sbertbook.corpus import CorpusError, load_corpus, read_sentences

# ---- 语料 ----


@pytest.mark.parametrize("name, text, column, message", [
    ("a.csv", "句子,标签\n你好,1\n", "文本", "没有 '文本' 列.*有的是：句子、标签"),
    ("a.csv", "句子,标签\n你好,1\n", None, "--column"),
    ("a.tsv", "", "句子", "空文件"),
    ("a.txt", "\n  \n", None, "没有句子"),
    ("a.csv", "句子\n\"\"\n", "句子", "没有句子"),
])
def test_bad_corpus_says_what_to_do(tmp_path, name, text, column, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=message):
        read_sentences(tmp_path / name, column)


def test_missing_and_misencoded_corpus(tmp_path):
    with pytest.raises(CorpusError, match="读不了 .*a.txt"):
        read_sentences(tmp_path / "a.txt", None)
    (tmp_path / "a.txt").write_bytes("你好".encode("gbk"))
    with pytest.raises(CorpusError, match="UTF-8"):
        read_sentences(tmp_path / "a.txt", None)


def test_corpus_file_is_stripped_and_deduplicated(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeff你好\n\n 你好 \n再见", encoding="utf-8")
    assert read_sentences(tmp_path / "a.txt", None) == ["你好", "再见"]
    (tmp_path / "b.tsv").write_text("甲\t乙\n一\t二\n三\t四\n", encoding="utf-8")
    assert read_sentences(tmp_path / "b.tsv", "乙") == ["二", "四"]


def test_split_sentences():
    texts = ["太短。今天天气真不错！明天呢？", "今天天气真不错！", "Ａ１是什么意思",
             "only English here."]
    assert corpus.split_sentences(texts) == ["今天天气真不错！", "A1是什么意思"]


def test_questions_are_clean():
    questions = corpus.QUESTIONS.read_text(encoding="utf-8").splitlines()
    assert len(questions) > 30_000 and len(set(questions)) == len(questions)
    assert all(4 <= len(line) <= 60 and len(re.findall("[一-鿿]", line)) >= 2 for line in questions)
    assert all(line == line.strip() and line.isprintable() for line in questions)
    private = r"1[3-9]\d{9}|\d{6,}|https?:|www\.|@|\.com"  # 电话、号码、网址、邮箱
    assert not [line for line in questions if re.search(private, line)]
    readme = (corpus.DATA / "README.md").read_text(encoding="utf-8")
    assert f"## search_questions.txt：{len(questions):,} 句" in readme


def test_questions_alternate_with_found_sentences():
    questions = set(corpus.QUESTIONS.read_text(encoding="utf-8").splitlines())
    asked = [sentence in questions for sentence in load_corpus(1000)["chinese"]]
    assert asked == [True, False] * 500
    assert not questions & set(load_corpus(10**6, questions=False)["chinese"])


def test_held_out_sentences_are_not_taught():
    small, large = load_corpus(4000), load_corpus(5000)
    assert small["chinese"] == large["chinese"][:4000]  # 少取是多取的开头一段
    assert len(small["held"]) == len(small["held_english"]) == 850
    assert not set(small["held"]) & set(large["chinese"])
    assert not set(small["held_english"]) & set(small["english"])
    assert set(small["held"]) < set(load_hsk()["sentence"])


# ---- 词表 ----

@pytest.fixture(scope="module")
def teacher():
    return load_encoder("multilingual-e5-small", device="cpu")


@pytest.fixture(scope="module")
def models(teacher):
    return {"multilingual-e5-small": teacher,
            "all-MiniLM-L6-v2": load_encoder("all-MiniLM-L6-v2", device="cpu")}


@pytest.mark.parametrize("pieces, expected", [
    ("words", ["北京", "天", "安", "门", "，", "打", "篮球"]),
    ("characters", ["北", "京", "天", "安", "门", "，", "打", "篮", "球"]),
])
def test_added_pieces(teacher, models, tmp_path, pieces, expected):
    student = copy.deepcopy(models["all-MiniLM-L6-v2"])
    old = student.tokenizer("Where is the Great Wall?")["input_ids"]
    before = student[0].auto_model.get_input_embeddings().weight.detach().clone()
    counts = vocabulary.add_pieces(student, teacher, pieces)
    weight = student[0].auto_model.get_input_embeddings().weight
    assert student.tokenizer.tokenize("北京天安门，打篮球") == expected
    assert student.tokenizer("Where is the Great Wall?")["input_ids"] == old
    assert len(weight) == len(student.tokenizer) == len(before) + counts["new_pieces"]
    assert torch.equal(weight[: len(before)], before)  # 原有的词元不动

    student.save(str(tmp_path / "model"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    texts = ["北京天安门，打篮球", "１２３ abc 龘", "Where is the Great Wall?"]
    assert np.abs(student.encode(texts) - again.encode(texts)).max() <= 1e-6


def test_frequent_pieces_are_counted_as_the_tokenizer_cuts(teacher, models):
    student = copy.deepcopy(models["all-MiniLM-L6-v2"])
    texts = ["北京的篮球"] * vocabulary.LEAST + ["上海的篮球队"]
    vocabulary.add_pieces(student, teacher, "frequent", texts=texts)
    expected = ["北京", "和", "上", "海", "，", "打", "篮球"]
    assert student.tokenizer.tokenize("北京和上海，打篮球") == expected

    everything = copy.deepcopy(models["all-MiniLM-L6-v2"])
    vocabulary.add_pieces(everything, teacher, "words")
    texts = load_hsk()["sentence"].drop_duplicates()[:500].tolist()
    pieces = {piece for piece in everything.tokenizer.get_vocab()
              if "\u4e00" <= piece[0] <= "\u9fff"}
    counts = vocabulary.count_pieces(pieces, texts)
    cut = [piece for text in texts for piece in everything.tokenizer.tokenize(text)]
    assert all(cut.count(piece) == counts[piece] for piece in sorted(pieces)[::50])


def test_mapped_vectors_carry_meaning_and_random_ones_do_not(teacher, models):
    near, far = ["电脑", "计算机"], ["电脑", "香蕉"]
    scores = {}
    for init in ("map", "random"):
        student = copy.deepcopy(models["all-MiniLM-L6-v2"])
        vocabulary.add_pieces(student, teacher, init=init)
        table = student[0].auto_model.get_input_embeddings().weight.detach()
        ids = [[student.tokenizer.convert_tokens_to_ids(word) for word in pair]
               for pair in (near, far)]
        scores[init] = [torch.cosine_similarity(table[a], table[b], dim=0).item() for a, b in ids]
    assert scores["map"][0] > scores["map"][1] + 0.1
    assert abs(scores["random"][0] - scores["random"][1]) < 0.1


# ---- 训练 ----

def test_loss_parts():
    generator = torch.Generator().manual_seed(0)
    found, wanted = torch.nn.functional.normalize(
        torch.randn(2, 5, 8, generator=generator), dim=2)
    similarity = wanted[:3] @ wanted[:3].T
    perfect = distill.loss_of(wanted, wanted, similarity, "both")
    torch.testing.assert_close(perfect, torch.tensor(0.0), atol=1e-5, rtol=0)
    pull = (1 - (found * wanted).sum(1)).mean()
    torch.testing.assert_close(distill.loss_of(found, wanted, similarity, "pull"), pull)
    structure = distill.WEIGHT * (found[:3] @ found[:3].T - similarity).square().mean()
    torch.testing.assert_close(
        distill.loss_of(found, wanted, similarity, "both"), pull + structure)
    english = (1 - (found[3:] * wanted[3:]).sum(1)).mean()
    torch.testing.assert_close(
        distill.loss_of(found, wanted, similarity, "structure"), english + structure)


def test_rotation_recovers_a_hidden_rotation():
    random = np.random.default_rng(0)
    source = random.normal(size=(50, 6))
    hidden, _ = np.linalg.qr(random.normal(size=(6, 6)))
    np.testing.assert_allclose(distill.rotation(source, source @ hidden), hidden, atol=1e-8)


def test_plan_uses_every_sentence_once_and_depends_on_the_seed(monkeypatch):
    monkeypatch.setattr(distill, "BATCH", 4)
    lengths = np.arange(50) % 7
    batches = distill.plan(lengths, 0, 0)
    assert sorted(np.concatenate(batches)) == list(range(50))
    same, other = distill.plan(lengths, 0, 0), distill.plan(lengths, 1, 0)
    assert all(map(np.array_equal, batches, same))
    assert not all(map(np.array_equal, batches, other))


@pytest.fixture
def small(monkeypatch, tmp_path, models):
    """一份小语料、小批、勤存检查点；返回运行命令的函数。"""
    monkeypatch.setattr(distill, "load_encoder", lambda name: copy.deepcopy(models[name]))
    hsk = load_hsk().drop_duplicates("sentence")
    lists = [hsk[column].tolist() for column in ("sentence", "english")]
    tiny = {"chinese": lists[0][:40], "everything": lists[0][:40], "english": lists[1][:40],
            "held": lists[0][40:50], "held_english": lists[1][40:50]}
    monkeypatch.setattr(distill, "load_corpus", lambda *_: tiny)
    for name, value in {"BATCH": 4, "ENGLISH_BATCH": 2, "SAVE_EVERY": 3}.items():
        monkeypatch.setattr(distill, name, value)
    vectors = ["--vectors", str(tmp_path / "vectors"), "--epochs", "1"]
    return lambda *options: distill.main(["--output", str(tmp_path / "model"), *vectors, *options])


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_interrupted_run_resumes_to_the_same_weights(small, monkeypatch, tmp_path, capsys):
    assert small() == 0
    expected = weights(tmp_path / "model")
    (tmp_path / "model").rename(tmp_path / "uninterrupted")

    calls, forward = [], distill.forward

    def stop_in_the_fifth_step(*arguments):  # 一步算两次，中文一次、英文一次
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return forward(*arguments)

    monkeypatch.setattr(distill, "forward", stop_in_the_fifth_step)
    assert small() == 130 and "--resume" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert small() == 1 and "半成品" in capsys.readouterr().err  # 不加 --resume 不会悄悄覆盖
    assert small("--resume", "--seed", "1") == 1 and "别的设置" in capsys.readouterr().err
    assert small("--resume") == 0
    assert weights(tmp_path / "model") == expected
    assert not (tmp_path / "model.partial").exists()


def test_existing_output_is_left_alone(small, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    assert small() == 1
    assert "已经存在" in capsys.readouterr().err and list((tmp_path / "model").iterdir()) == []


def test_damaged_checkpoint_is_reported(small, tmp_path, capsys):
    partial = tmp_path / "model.partial"
    partial.mkdir()
    (partial / "checkpoint.pt").write_bytes(b"half")
    assert small("--resume") == 1 and "读不出来" in capsys.readouterr().err


def test_full_disk_keeps_the_checkpoint(small, monkeypatch, tmp_path, capsys):
    replace = os.replace

    def full(source, target):
        if str(target).endswith("distill.json"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    assert small() == 1 and "写不进" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(os, "replace", replace)
    assert small("--resume") == 0 and (tmp_path / "model" / "distill.json").exists()


def test_too_few_sentences(small, monkeypatch, capsys):
    monkeypatch.setattr(distill, "BATCH", 64)
    assert small() == 1 and "至少要" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--epochs", "0"], ["--sentences", "-1"], ["--loss", "甲"]])
def test_bad_options_exit_with_two(options):
    with pytest.raises(SystemExit) as error:
        distill.main(["--output", "x", *options])
    assert error.value.code == 2


def test_bad_corpus_from_the_command_line(tmp_path, capsys):
    options = ["--output", str(tmp_path / "m"), "--corpus", str(tmp_path / "没有.txt")]
    assert distill.main(options) == 1
    assert "读不了" in capsys.readouterr().err
