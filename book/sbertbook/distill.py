"""蒸馏：教英文的 all-MiniLM-L6-v2 中文，可以中断，可以续跑。在 ``book/`` 下运行::

    python -m sbertbook.distill --output 文件夹 [--sentences 句数] [--epochs 轮数] [--resume]

学生是 all-MiniLM-L6-v2，老师是 multilingual-e5-small（Reimers & Gurevych 2020，有改动）：

1. 给学生的词表添上老师认得的中文词元（``--pieces``），新词元的输入向量由老师的经线性映射得到
   （``--init random`` 是对照：随机取）；
2. 老师给没有标注的中文句子编码，减去均值再取单位长（``--no-centre`` 不减，分数也不拉开）；
3. 用英文例句求一个正交变换，把老师的空间转到学生的空间；
4. 学生的中文句向量向转过来的老师的靠拢，批内两两的相似度向老师的（线性地拉开以后）靠拢，英文例句的
   句向量守住原来的（``--no-english`` 不做 3、也不守英文）。

句子来自 pip 包和本书写的搜索问句，见 ``corpus``；``--corpus`` 换成自己的文件。HSK 例句每 5 句留出
1 句，只用来测量：``chinese`` 和 ``english`` 是两两相似度与老师、与原来的学生的斯皮尔曼相关，
``recall@1`` 是用中文句找它的英译。结果写在 ``文件夹/distill.json``。

半成品（老师的向量、检查点）在旁边的 ``文件夹.partial`` 里；中断以后加 ``--resume`` 再运行一次，结果
与没有中断过的相同（同一台机器，同样多的线程）。
"""

import argparse
import io
import json
import math
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.preprocessing import normalize
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from .corpus import CorpusError, load_corpus
from .models import ModelError, _first_line, _quiet, load_encoder
from .storage import StorageError, digest, write_whole
from .vocabulary import RIDGE, add_pieces

STUDENT, TEACHER = "all-MiniLM-L6-v2", "multilingual-e5-small"
CHUNK = 1024  # 老师一次编码、一次保存几句
BATCH, ENGLISH_BATCH = 64, 8  # 一批有几句中文、几句英文
BUCKET = 50  # 几批句子放在一起按长短排
PEAK, WARMUP = 3e-4, 0.1  # 学习率的最高值，升到最高所占的比例
EMBEDDING = 5.0  # 词嵌入的学习率是别处的几倍：新词元出现得少，每次要多走几步
WEIGHT = 20.0  # 相似度之差的权重
SAVE_EVERY = 250  # 几步存一次检查点


class DistillError(Exception):
    """句子太少、参数与半成品不合、文件夹已经存在；信息里写明办法。"""


# ---- 老师和学生 ----

def teach(teacher, texts: list[str], folder: Path, bf16: bool = False) -> np.ndarray:
    """老师的句向量，(n, 384) 的 float32；分块编码，编好的块存进 ``folder``，有存下的就用它。"""
    parts = []
    with tqdm(total=len(texts), desc="老师编码", unit="句") as bar:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            path = folder / f"{digest([TEACHER, bf16, chunk])}.npy"
            try:
                part = np.load(path, allow_pickle=False)
            except (OSError, EOFError, ValueError):  # 没有或者读不出，就重新编
                part = encode(teacher, chunk, bf16)
                write_whole(path, lambda file, part=part: np.save(file, part))
            parts.append(part)
            bar.update(len(chunk))
    return np.concatenate(parts)


def encode(encoder, texts: list[str], bf16: bool = False) -> np.ndarray:
    """单位长的句向量，(n, 384)。"""
    with torch.autocast(encoder.device.type, torch.bfloat16, enabled=bf16):
        return normalize(encoder.encode(texts, batch_size=BATCH, show_progress_bar=False))


def rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """使 ``source @ R`` 最接近 ``target`` 的正交矩阵 R（Procrustes）。"""
    left, _, right = np.linalg.svd(source.T @ target)
    return left @ right


def measure(student, corpus: dict, wanted: dict) -> dict:
    """留出的例句：中、英文的两两相似度与 ``wanted`` 的相关，用中文句找英译的 recall@1。"""
    chinese, english = (encode(student, corpus[name]) for name in ("held", "held_english"))
    above = np.triu_indices(len(chinese), 1)
    scores = {"recall@1": ((chinese @ english.T).argmax(axis=1) == np.arange(len(chinese))).mean()}
    for name, found in {"chinese": chinese, "english": english}.items():
        pairs = [(vectors @ vectors.T)[above] for vectors in (found, wanted[name])]
        scores[name] = spearmanr(*pairs).statistic
    return {name: round(float(score), 4) for name, score in scores.items()}


# ---- 训练 ----

def plan(lengths: np.ndarray, seed: int, epoch: int) -> list[np.ndarray]:
    """一轮的各批句子的行号：打乱，每 50 批按长短排好，再把批打乱。"""
    random, size = np.random.default_rng([seed, epoch]), BUCKET * BATCH
    order = random.permutation(len(lengths))
    buckets = np.split(order, range(size, len(order), size))
    order = np.concatenate([rows[np.argsort(lengths[rows], kind="stable")] for rows in buckets])
    batches = np.split(order, range(BATCH, len(order), BATCH))
    return [batches[number] for number in random.permutation(len(batches))]


def learning_rate(done: float) -> float:
    """``done`` 是做完的比例：线性升到最高，再按余弦降到 0。"""
    if done < WARMUP:
        return PEAK * done / WARMUP
    return PEAK * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))) / 2


def forward(student, tokens: list[list[int]]) -> torch.Tensor:
    """一批词元编号的句向量，(n, 384)，单位长，可以求导。"""
    rows = [torch.tensor(row) for row in tokens]
    ids = pad_sequence(rows, batch_first=True, padding_value=student.tokenizer.pad_token_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    features = {"input_ids": ids.to(student.device), "attention_mask": mask.to(student.device)}
    return torch.nn.functional.normalize(student(features)["sentence_embedding"], dim=1)


def loss_of(found, wanted, similarity, kind: str) -> torch.Tensor:
    """``kind``：pull 只管每句靠近目标，structure 只管中文两两的相似度，both 两样都管。

    ``found``、``wanted``：(n, 384)，前 m 行是中文；``similarity``：(m, m)，中文两两应有的相似度。
    """
    size = len(similarity)
    pull = 1 - (found * wanted).sum(dim=1)
    if kind == "structure":  # 英文仍要守住
        pull = pull[size:]
    loss = pull.mean() if len(pull) else 0.0
    if kind != "pull":
        loss = loss + WEIGHT * (found[:size] @ found[:size].T - similarity).square().mean()
    return loss


def train(student, chinese, english, raw, options, checkpoint: Path, identity: str) -> dict:
    """就地训练，返回步数、用的秒数和各段的平均损失。

    ``chinese``、``english``：(句子, 目标向量)；``raw``：老师给中文句子的向量，没有居中。
    """
    pairs, limit = (chinese, english), {"truncation": True, "max_length": student.max_seq_length}
    tokens = [student.tokenizer(texts, **limit)["input_ids"] for texts, _ in pairs]
    wanted = [torch.from_numpy(target).float().to(student.device) for _, target in pairs]
    raw = torch.from_numpy(raw).float().to(student.device)
    mean = raw.mean(dim=0).square().sum() if options.centre else 0.0  # 任意两句的余弦的平均
    lengths = np.array([len(row) for row in tokens[0]])
    batches = sum((plan(lengths, options.seed, epoch) for epoch in range(options.epochs)), [])
    table = student[0].auto_model.get_input_embeddings().weight
    others = [weight for weight in student.parameters() if weight is not table]
    groups = [{"params": [table], "scale": EMBEDDING}, {"params": others, "scale": 1.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, weight_decay=0.0, fused=True)
    state = {"identity": identity, "step": 0, "losses": [], "seconds": 0.0}
    if checkpoint.is_file():
        state = read_checkpoint(checkpoint, identity, student, optimizer)
    student.eval()  # 不用 dropout：目标本来就是确定的，续跑的结果也因此分毫不差
    student[0].auto_model.set_attn_implementation("eager")  # 算的一样，在 CPU 上训练快近一倍
    start = time.perf_counter() - state["seconds"]
    with tqdm(total=len(batches), initial=state["step"], desc="学生训练", unit="批") as bar:
        for step in range(state["step"], len(batches)):
            random = np.random.default_rng([options.seed, options.epochs, step])
            size = ENGLISH_BATCH if options.english else 0
            rows = batches[step], random.integers(len(tokens[1]), size=size)
            with torch.autocast(student.device.type, torch.bfloat16, enabled=options.bf16):
                found = [forward(student, [tokens[k][row] for row in rows[k]])
                         for k in (0, 1) if len(rows[k])]  # 中英文长短不同，分开填充
            found = torch.cat(found).float()
            goal = torch.cat([wanted[k][rows[k]] for k in (0, 1)])
            similarity = (raw[rows[0]] @ raw[rows[0]].T - mean) / (1 - mean)  # 拉开，次序不变
            loss = loss_of(found, goal, similarity, options.loss)
            if not torch.isfinite(loss):
                raise DistillError(f"第 {step + 1} 步的损失不是有限的数，停下了。")
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = group["scale"] * learning_rate((step + 1) / len(batches))
            optimizer.step()
            state["losses"].append(loss.item())
            bar.update()
            if (step + 1) % SAVE_EVERY == 0:
                bar.set_postfix_str(f"损失 {np.mean(state['losses'][-SAVE_EVERY:]):.4f}")
                state |= {"step": step + 1, "seconds": time.perf_counter() - start}
                parts = {"student": student.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(state | parts, buffer := io.BytesIO())
                write_whole(checkpoint, lambda file, buffer=buffer: file.write(buffer.getbuffer()))
    parts = np.array_split(state["losses"], min(20, len(batches)))
    means = [round(float(part.mean()), 4) for part in parts]
    return {"steps": len(batches), "train_seconds": round(time.perf_counter() - start, 1),
            "losses": means}


def read_checkpoint(path: Path, identity: str, student, optimizer) -> dict:
    """把检查点装进学生和优化器，返回其余的状态；读不出、设置不同就抛 DistillError。"""
    try:
        state = torch.load(path, map_location=student.device, weights_only=True)
    except Exception as error:  # 被截断、被改动……种类太多，一律说清楚
        raise DistillError(f"检查点 {path} 读不出来。请删掉它，再运行一次。") from error
    if state["identity"] != identity:
        raise DistillError(f"{path} 是用别的设置训练的，不能接着做。请换 --output，或者删掉它。")
    student.load_state_dict(state.pop("student"))
    optimizer.load_state_dict(state.pop("optimizer"))
    return state


# ---- 运行 ----

def distill(options) -> dict:
    """从语料到存好的模型，返回结果；``options`` 见 ``read_options``。"""
    output = options.output
    partial = output.with_name(output.name + ".partial")
    checkpoint = partial / "checkpoint.pt"
    if output.exists():
        raise DistillError(f"{output} 已经存在，没有动它。请换一个 --output，或者移走它。")
    if checkpoint.exists() and not options.resume:
        raise DistillError(f"{partial} 里有半成品。加 --resume 接着做；不要了，就删掉它。")
    partial.mkdir(parents=True, exist_ok=True)
    corpus = load_corpus(options.sentences, options.corpus, options.column, options.questions)
    if len(corpus["chinese"]) < 2 * BATCH:
        raise DistillError(f"只有 {len(corpus['chinese'])} 句中文，至少要 {2 * BATCH} 句。")
    keys = "epochs", "seed", "pieces", "init", "centre", "english", "loss", "bf16"
    settings = {"sentences": len(corpus["chinese"])} | {key: getattr(options, key) for key in keys}
    constants = [BATCH, ENGLISH_BATCH, BUCKET, PEAK, WARMUP, EMBEDDING, WEIGHT, RIDGE,
                 torch.__version__]
    start = time.perf_counter()
    teacher, student = load_encoder(TEACHER), load_encoder(STUDENT)
    vectors = options.vectors or partial / "vectors"
    taught = {name: teach(teacher, corpus[name], vectors, options.bf16)
              for name in ("chinese", "english", "held")}
    seconds = round(time.perf_counter() - start, 1)

    own = encode(student, corpus["english"])
    middle = options.centre * taught["chinese"].mean(axis=0)
    target = normalize(taught["chinese"] - middle)
    if options.english:
        middle_english = options.centre * taught["english"].mean(axis=0)
        target = target @ rotation(normalize(taught["english"] - middle_english), own)
    wanted = {"chinese": normalize(taught["held"] - middle),
              "english": encode(student, corpus["held_english"])}
    before = measure(student, corpus, wanted)
    sizes = add_pieces(student, teacher, options.pieces, options.init, options.seed,
                       corpus["everything"])
    del teacher
    untrained = measure(student, corpus, wanted)
    run = train(student, (corpus["chinese"], target), (corpus["english"], own), taught["chinese"],
                options, checkpoint, digest([settings, constants, corpus["chinese"]]))
    result = {"settings": settings, **sizes, "device": str(student.device),
              "threads": torch.get_num_threads(), "teach_seconds": seconds, **run,
              "before": before, "untrained": untrained, "after": measure(student, corpus, wanted)}
    save(student, result, output, partial)
    return result


def save(student, result: dict, output: Path, partial: Path) -> None:
    """先存在半成品的文件夹里，存好了才改成正式的名字，再删去半成品。"""
    building = partial / "model"
    shutil.rmtree(building, ignore_errors=True)  # 上次存到一半留下的
    try:
        with _quiet():
            student.save(str(building), create_model_card=False)
    except Exception as error:  # 磁盘满时各个库抛的异常不一样，一律说清楚
        raise DistillError(f"写不进 {building}：{_first_line(error)}。") from error
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    write_whole(building / "distill.json", lambda file: file.write(text.encode()))
    building.rename(output)
    shutil.rmtree(partial, ignore_errors=True)


def read_options(arguments: list[str] | None):
    """命令行的各项；用法不对时印出用法，以退出码 2 结束。"""
    about = f"用 {TEACHER} 教 {STUDENT} 中文。"
    parser = argparse.ArgumentParser(prog="python -m sbertbook.distill", description=about)
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="文件夹", help="教好的模型存在哪里")
    add("--sentences", type=int, default=50_000, metavar="句数", help="中文句子，默认 50000")
    add("--epochs", type=int, default=2, metavar="轮数", help="默认 2")
    add("--seed", type=int, default=0, metavar="种子", help="默认 0")
    add("--corpus", type=Path, metavar="文件", help="自己的句子：一行一句，或 .csv、.tsv 的一列")
    add("--column", metavar="列名", help="--corpus 是表格时，哪一列是句子")
    add("--no-questions", dest="questions", action="store_false", help="不用本书写的搜索问句")
    add("--pieces", choices=("frequent", "words", "characters"), default="frequent",
        help="添哪些词元：单字和语料里常见的词，单字和老师认得的全部词，只添单字；默认 frequent")
    add("--init", choices=("map", "random"), default="map", help="新词元的向量，默认 map")
    add("--loss", choices=("both", "pull", "structure"), default="both", help="默认 both")
    add("--no-centre", dest="centre", action="store_false", help="老师的向量不居中，分数不拉开")
    add("--no-english", dest="english", action="store_false", help="不转到学生的空间，也不守英文")
    add("--bf16", action="store_true",
        help="用 bfloat16 做矩阵乘法：新的服务器 CPU 和显卡上快得多，末几位略有不同")
    add("--vectors", type=Path, metavar="文件夹", help="老师的向量存在这里，几次运行可以共用")
    add("--resume", action="store_true", help="接着上次中断的地方做")
    options = parser.parse_args(arguments)
    if options.sentences < 1 or options.epochs < 1 or options.seed < 0:
        parser.error("--sentences 和 --epochs 应当是正整数，--seed 不能是负数。")
    return options


def main(arguments: list[str] | None = None) -> int:
    """返回退出码：0 做成了；1 出错；2 用法不对；130 被中断。"""
    options = read_options(arguments)
    try:
        result = distill(options)
    except KeyboardInterrupt:
        print("\n已中断。加 --resume 原样再运行一次就接着做。", file=sys.stderr)
        return 130
    except (CorpusError, DistillError, StorageError, ImportError, ModelError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # 语料或文件夹读不了、建不了
        print(f"读不了或写不进 {error.filename}：{error.strerror or error}", file=sys.stderr)
        return 1
    print(json.dumps(result, ensure_ascii=False, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
