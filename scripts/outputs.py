"""Notebook 输出的共同规矩：在什么环境里运行、怎样整理、怎样比较、什么不许存。

`scripts/execute.py`（保存输出）、`conftest.py`（比较输出）和 `tests/textlint.py`（检查已存的输出）
都用这里的函数，因此三处的规矩永远一致。
"""

import base64
import io
import os
import re
from copy import deepcopy
from decimal import Decimal

import numpy as np
from PIL import Image

# 小数：含小数点且其后有数字，或带指数。版本号（2.13.0）和整数不算，它们必须一字不差。
DECIMAL = re.compile(
    r"(?<![A-Za-z0-9_.])[-+−]?(?:\d+\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)(?!\.?\d)"
)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
FORBIDDEN = {
    "本机路径": re.compile(
        r"(?<![\w<])/(?:home|root|tmp|work|Users)/|[A-Za-z]:\\+Users|(?:site|dist)-packages"
    ),
    "内存地址": re.compile(r"\bat 0x[0-9a-fA-F]{6,}"),
    "进度条": re.compile(r"\r(?!\n)|\d+%\||\d(?:it|s)/(?:s|it)\b"),
}
PIXEL_TOLERANCE = 32  # 0–255；抗锯齿的细小差别在此之内，换了一个数字则远在此之外


def set_kernel_environment():
    """设定 Notebook 内核继承的环境变量：不联网、每个进程一个线程、不受使用者个人设置影响。"""
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
        JUPYTER_PREFER_ENV_PATH="1", PYDEVD_DISABLE_FILE_VALIDATION="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1",
    )
    for name in ("OMP", "MKL", "OPENBLAS", "RAYON"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    for name in ("MPLBACKEND", "PYTHONWARNINGS", "IPYTHONDIR"):
        os.environ.pop(name, None)


def tidy(outputs):
    """返回整理过的输出：合并相连的文字流，去掉库的调用栈和带脚本的网页片段；不改动传入的列表。"""
    tidied = []
    for output in deepcopy(outputs):
        last = tidied[-1] if tidied else {}
        if output["output_type"] == "stream":
            if last.get("output_type") == "stream" and last["name"] == output["name"]:
                last["text"] += output["text"]
                continue
        elif output["output_type"] == "error":
            # 只留本单元的那一层：库内部的各层带着本机路径，对读者也没有用处
            output["traceback"] = [
                part for part in output["traceback"] if not ANSI.sub("", part).startswith("File ")
            ]
        elif "<script" in (html := output["data"].get("text/html", "")) or "sk-container" in html:
            del output["data"]["text/html"]
        tidied.append(output)
    return tidied


def same_text(stored, fresh):
    """两段文字是否相同：小数的末位允许差一，列宽（连续空格）允许变，其余必须一致。"""
    def skeleton(text):
        text = re.sub(rf" *{DECIMAL.pattern} *", "#", text)
        return [re.sub(" +", " ", line).strip() for line in text.split("\n")]

    if skeleton(stored) != skeleton(fresh):
        return False
    return all(map(_close, DECIMAL.findall(stored), DECIMAL.findall(fresh)))


def _close(stored, fresh):
    """两个印出来的小数之差是否不超过末位的一个单位（位数不同时按位数多的那个）。"""
    stored, fresh = (Decimal(number.replace("−", "-")) for number in (stored, fresh))
    unit = Decimal(1).scaleb(min(stored.as_tuple().exponent, fresh.as_tuple().exponent))
    return abs(stored - fresh) <= unit


def difference(stored, fresh, compare_images=False):
    """比较一个单元的两份输出。相同返回空串，不同返回一句中文说明。"""
    stored, fresh = tidy(stored), tidy(fresh)
    if len(stored) != len(fresh):
        return f"输出的个数不同：存的有 {len(stored)} 个，新的有 {len(fresh)} 个"
    for old, new in zip(stored, fresh, strict=True):
        old, new = _parts(old), _parts(new)
        if old.keys() != new.keys():
            return f"输出的种类不同：存的是 {'、'.join(old)}，新的是 {'、'.join(new)}"
        for kind, value in old.items():
            if kind.startswith("image/") and kind != "image/svg+xml":
                if compare_images and not same_image(value, new[kind]):
                    return f"图像不同（{kind}）"
            elif isinstance(value, str) and isinstance(new[kind], str):
                if not same_text(value, new[kind]):
                    return f"{kind} 不同。\n--- 存的：\n{value}\n--- 新的：\n{new[kind]}"
            elif value != new[kind]:
                return f"{kind} 不同"
    return ""


def _parts(output):
    """把一个输出变成“种类 → 内容”的字典。"""
    kind = output["output_type"]
    if kind == "stream":
        return {output["name"]: output["text"]}
    if kind == "error":
        return {"错误类型": output["ename"], "错误信息": output["evalue"]}
    return dict(output["data"])


def same_image(stored, fresh):
    """两张 base64 编码的图是否看不出差别：大小相同，没有一个像素差得多。"""
    stored, fresh = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"), dtype=int)
        for data in (stored, fresh)
    )
    return stored.shape == fresh.shape and np.abs(stored - fresh).max() <= PIXEL_TOLERANCE


def problems(outputs, error_expected=False, private=()):
    """返回这些输出里不许保存的东西（中文说明的列表）；private 是另外不许出现的字符串。"""
    found = []
    for output in tidy(outputs):
        parts = _parts(output)
        if "stderr" in parts:
            found.append(f"有标准错误输出：{parts['stderr'].strip()[:200]}")
        if output["output_type"] == "error" and not error_expected:
            found.append(f"出错：{output['ename']}: {output['evalue']}")
        if any("widget" in kind for kind in parts):
            found.append("有交互控件，静态页面显示不出来")
        texts = [str(value) for kind, value in parts.items() if not kind.startswith("image/")]
        for text in texts + output.get("traceback", []):
            for name, pattern in FORBIDDEN.items():
                if match := pattern.search(text):
                    found.append(f"有{name}：{text[max(0, match.start() - 20):match.end() + 40]!r}")
            found += [f"有本机路径：{name}" for name in private if name in text]
    return found
