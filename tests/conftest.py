"""几个测试文件共用的浏览器。

需要 Chromium；找不到时用到它的测试跳过，环境变量 SBERTBOOK_REQUIRE_BROWSER=1 时改为失败。
"""

import os
import shutil

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
MISSING = "找不到浏览器。Debian / Ubuntu：apt install chromium；或用环境变量 CHROMIUM 指明路径。"


def find_browser():
    """返回浏览器的路径，找不到时返回 None。"""
    names = ["chromium", "chromium-browser", "google-chrome"]
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    """一个无界面的 Chromium。"""
    path = find_browser()
    if path is None and os.environ.get("SBERTBOOK_REQUIRE_BROWSER") == "1":
        pytest.fail(MISSING)
    if path is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()
