"""两个命令（打分、蒸馏）存文件的办法：要么存好，要么不存，不留半截。"""

import contextlib
import hashlib
import json
import os
from pathlib import Path


class StorageError(Exception):
    """写不进去：磁盘满、没有权限……信息里写明是哪个文件。"""


def write_whole(path: Path, write) -> None:
    """先由 ``write(file)`` 写进旁边的临时文件再改名，中断、断电、磁盘满都不会留下半个文件。"""
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        message = f"写不进 {path}：{error.strerror or error}。已存的都还在。"
        raise StorageError(message) from error


def digest(value) -> str:
    """``value``（能写成 JSON 的）的短校验和，用来认出是不是同一份句子、同一套设置。"""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
