"""给学生的词表添上老师认得的中文词元，并给新词元定下输入向量。"""

import re
from collections import Counter

import numpy as np
import torch
from sklearn.linear_model import Ridge
from tokenizers import AddedToken

RIDGE = 10.0  # 岭回归的正则项
LEAST = 20  # 一个词在语料里至少出现几次才添


def add_pieces(student, teacher, pieces: str = "words", init: str = "map", seed: int = 0,
               texts: list[str] | None = None) -> dict:
    """给学生添上老师认得的中文词元，就地改；返回添了几个、映射是在几个共有的词元上拟合的。

    ``pieces``：``"words"`` 添老师词表里所有全由汉字组成的词元，``"frequent"`` 添单字和 ``texts`` 里
    出现 20 次以上的词，``"characters"`` 只添单字。
    ``init``：``"map"`` 把老师的输入向量线性地映射成学生的，映射在两个词表共有的词元上用岭回归拟合；
    ``"random"`` 按学生输入向量的均值和标准差随机取，只有这里用到 ``seed``。
    """
    ids, known = teacher.tokenizer.get_vocab(), student.tokenizer.get_vocab()
    bare = {piece.lstrip("▁"): i for piece, i in sorted(ids.items(), reverse=True)}
    pattern = "[一-鿿]" if pieces == "characters" else "[一-鿿]+"
    chinese = {piece for piece in bare if re.fullmatch(pattern, piece)}
    if pieces == "frequent":
        counts = count_pieces(chinese, texts)
        chinese = {piece for piece in chinese if len(piece) == 1 or counts[piece] >= LEAST}
    new = sorted(chinese - known.keys())
    names = {piece: piece[1:] if piece[0] == "▁" else "##" + piece for piece in sorted(ids)}
    shared = [(ids[piece], known[name]) for piece, name in names.items() if name in known]

    network = student[0].auto_model
    source, target = (model[0].auto_model.get_input_embeddings().weight.detach().cpu().numpy()
                      for model in (teacher, student))
    x, y = (table[list(rows)] for table, rows in
            zip((source, target), zip(*shared, strict=True), strict=True))
    if init == "map":
        vectors = Ridge(alpha=RIDGE).fit(x, y).predict(source[[bare[piece] for piece in new]])
    else:
        random = np.random.default_rng(seed)
        vectors = random.normal(y.mean(axis=0), y.std(axis=0), (len(new), y.shape[1]))
    # normalized=False：在原文里直接匹配，长的优先；英文的切法不变
    student.tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in new])
    network.resize_token_embeddings(len(student.tokenizer), mean_resizing=False)
    weight = network.get_input_embeddings().weight.data
    weight[-len(new):] = torch.as_tensor(vectors, dtype=weight.dtype, device=weight.device)
    return {"new_pieces": len(new), "shared_pieces": len(shared)}


def count_pieces(pieces: set[str], texts: list[str]) -> Counter:
    """把 ``texts`` 从左到右切开，每次取 ``pieces`` 里最长的，数各出现几次。

    切法与学生添过词元的分词器相同。
    """
    longest, counts = max(map(len, pieces)), Counter()
    for text in texts:
        start = 0
        while start < len(text):
            sizes = range(longest, 0, -1)
            size = next((n for n in sizes if text[start : start + n] in pieces), 1)
            counts[text[start : start + size]] += 1
            start += size
    return counts
