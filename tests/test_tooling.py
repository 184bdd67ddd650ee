"""测试工具自身的测试：输出的比较与整理、重新运行并保存、断网守卫。"""

import base64
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbval.plugin import IPyNbCell, NbCellError
from PIL import Image

from outputs import difference, problems, same_image, same_text, tidy

ROOT = Path(__file__).resolve().parent.parent
EXECUTE = ROOT / "scripts" / "execute.py"
NETGUARD = ROOT / "tests" / "netguard"


@pytest.mark.parametrize("stored, fresh", [
    ("0.123", "0.123"),
    ("0.123", "0.124"),
    ("1.000", "0.999"),
    ("-0.001", "0.000"),
    ("1.5e-07", "1.6e-07"),
    ("[0.5 0.25]", "[0.5  0.25]"),
    ("[ 0.001 0.5]", "[-0.000 0.5]"),
    ("       a\n0  9.99", "        a\n0  10.00"),
    ("相似度 87.5%，用时 1.2s", "相似度 87.6%，用时 1.3s"),
    ("<td>0.881</td>", "<td>0.880</td>"),
])
def test_last_digit_may_differ_by_one(stored, fresh):
    assert same_text(stored, fresh)
    assert same_text(fresh, stored)


@pytest.mark.parametrize("stored, fresh", [
    ("0.123", "0.125"),
    ("1.0", "0.93"),
    ("3", "4"),
    ("(3, 384)", "(3, 385)"),
    ("1.5e-07", "1.5e-06"),
    ("1.", "2."),
    ("2.13.0", "2.13.1"),
    ("0.5 是", "0.5 否"),
    ("0.5", "0.5 0.5"),
    ("a\nb", "a b"),
    ("nan", "0.0"),
    ("0.5", "-0.5"),
])
def test_real_changes_are_differences(stored, fresh):
    assert not same_text(stored, fresh)
    assert not same_text(fresh, stored)


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", text=text, name=name)


def display(**data):
    return nbformat.v4.new_output("display_data", {k.replace("_", "/"): v for k, v in data.items()})


def error(name="ValueError", value="x", traceback=()):
    return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=list(traceback))


PICTURE = display(image_png="AAAA", text_plain="<Figure>")


@pytest.mark.parametrize("stored, fresh", [
    ([stream("a"), stream("b")], [stream("ab")]),
    ([PICTURE], [display(image_png="BBBB", text_plain="<Figure>")]),
    ([error()], [error(traceback=["别的调用栈"])]),
    ([display(text_plain="x", text_html="<script>1")], [display(text_plain="x")]),
])
def test_harmless_differences(stored, fresh):
    assert difference(stored, fresh) == ""


@pytest.mark.parametrize("stored, fresh, message", [
    ([stream("a")], [], "个数不同"),
    ([], [stream("a")], "个数不同"),
    ([stream("a")], [stream("b")], "stdout 不同"),
    ([stream("a")], [stream("a", "stderr")], "种类不同"),
    ([stream("a")], [error()], "种类不同"),
    ([error()], [error(value="y")], "错误信息 不同"),
    ([error()], [error("KeyError")], "错误类型 不同"),
    ([PICTURE], [display(text_plain="<Figure>")], "种类不同"),
    ([display(text_plain="1")], [display(text_plain="2")], "text/plain 不同"),
    ([display(application_json={"a": 1})], [display(application_json={"a": 2})], "json 不同"),
])
def test_differences_are_found(stored, fresh, message):
    assert message in difference(stored, fresh)


def test_traceback_keeps_only_the_cell_itself():
    kept = tidy([error(traceback=["Cell In[1], line 1", "File /x/y.py:1, in f", "ValueError: x"])])
    assert kept[0].traceback == ["Cell In[1], line 1", "ValueError: x"]


@pytest.mark.parametrize("output, message", [
    (stream("警告", "stderr"), "标准错误"),
    (error(), "出错"),
    (stream("/root/x.bin"), "路径"),
    (stream(r"C:\Users\me"), "路径"),
    (stream("lib/site-packages/torch"), "路径"),
    (stream("<function f at 0x7f0123456789>"), "内存地址"),
    (stream("Batches: 100%|████| 3/3 [00:01, 2.1it/s]"), "进度条"),
    (stream("a\rb"), "进度条"),
    (display(**{"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}), "控件"),
    (stream("我的目录"), "路径：我的目录"),
])
def test_outputs_that_must_not_be_stored(output, message):
    assert message in "".join(problems([output], private=["我的目录"]))


def test_good_outputs_may_be_stored():
    good = [stream("相似度 0.88\n</home/>"), PICTURE, error()]
    assert problems(good, error_expected=True) == []


class FakeFile:
    """代替 nbval 的 Notebook 文件：内核只回放给定的消息。"""

    timed_out = False
    skip_compare = ()

    def __init__(self, outputs):
        kinds = [(output["output_type"], output) for output in outputs]
        self.messages = [*kinds, ("status", {"execution_state": "idle"})]
        self.kernel = SimpleNamespace(
            is_alive=lambda: True, execute_cell_input=lambda *_, **__: "id",
            await_reply=lambda *_, **__: None, await_idle=lambda *_: None,
        )

    def get_kernel_message(self, timeout):
        kind, content = self.messages.pop(0)
        return {"msg_type": kind, "content": content, "parent_header": {"msg_id": "id"}}


def run_nbval(stored, fresh, check=True, tags=()):
    """让 nbval 运行一个单元：Notebook 里存着 stored，内核给出 fresh。"""
    cell = IPyNbCell.__new__(IPyNbCell)
    cell.cell = nbformat.v4.new_code_cell(outputs=stored, execution_count=1)
    cell.cell.metadata["tags"] = list(tags)
    cell.parent, cell.cell_num, cell.output_timeout = FakeFile(fresh), 0, 1
    cell.options = {"check": check, "skip": False, "check_exception": "raises-exception" in tags}
    cell.config = SimpleNamespace(option=SimpleNamespace(nbval_cell_timeout=1))
    cell.runtest()


def test_nbval_uses_the_tolerance():
    run_nbval([stream("0.88")], [stream("0.89")])
    run_nbval([error()], [error()], tags=["raises-exception"])
    run_nbval([stream("1 秒")], [stream("2 秒")], check=False)


@pytest.mark.parametrize("stored, fresh, check", [
    ([stream("0.88")], [stream("0.90")], True),
    ([stream("3")], [stream("4")], True),
    ([stream("3")], [], True),
    ([stream("3")], [error()], True),
    ([stream("3")], [error()], False),
    ([stream("警告", "stderr")], [stream("警告", "stderr")], True),
    ([], [stream("警告", "stderr")], False),
])
def test_nbval_fails_on_real_changes(stored, fresh, check):
    with pytest.raises(NbCellError):
        run_nbval(stored, fresh, check)


def write_notebook(path, *cells):
    """写一份没有单元 id、没有运行过的 Notebook；每个单元是 (代码, 标签…)。"""
    data = {
        "nbformat": 4, "nbformat_minor": 4,
        "metadata": {"language_info": {"name": "python", "version": "3"}, "widgets": {}},
        "cells": [
            {"cell_type": "code", "source": source, "outputs": [], "execution_count": None,
             "metadata": {"tags": tags, "scrolled": True}}
            for source, *tags in cells
        ],
    }
    path.write_text(json.dumps(data), encoding="utf-8")


def execute(*arguments):
    """运行 scripts/execute.py，返回（退出码，印出的文字）。"""
    command = [sys.executable, str(EXECUTE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_execute_is_clean_and_repeatable(tmp_path):
    path = tmp_path / "a.ipynb"
    write_notebook(
        path, ("import time\nprint(0.5)\nprint('二')",), ("time.time_ns()", "nbval-ignore-output"),
        ("import json\njson.loads('x')", "raises-exception"),
    )
    assert execute("--check", path)[0] == 1
    code, printed = execute(path)
    first = path.read_bytes()
    assert code == 0 and "已保存" in printed and first.endswith(b"}\n")
    notebook = nbformat.reads(first.decode(), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.language_info == {"name": "python"}
    assert "widgets" not in notebook.metadata
    assert "scrolled" not in notebook.cells[0].metadata
    assert notebook.cells[0].outputs == [stream("0.5\n二\n")]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]

    code, printed = execute(path)
    assert code == 0 and "没有变化" in printed and path.read_bytes() == first

    # 存的数与新的数只差末位：保留存的；代码改过的单元，即使不作比较也要换新
    path.write_bytes(first.replace(b"0.5\\n", b"0.6\\n"))
    assert execute("--check", path)[0] == 0
    path.write_bytes(first.replace(b"0.5\\n", b"0.7\\n").replace(b"time_ns()", b"time_ns() * 0"))
    assert execute(path)[0] == 0
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].outputs == [stream("0.5\n二\n")]
    assert notebook.cells[1].outputs[0].data == {"text/plain": "0"}


def test_execute_refuses_bad_outputs(tmp_path):
    names = {
        "1 / 0": "ZeroDivisionError", "import sys; print('警告', file=sys.stderr)": "标准错误",
        "import os; print(os.getcwd())": "路径",
    }
    paths = [tmp_path / f"{number}.ipynb" for number in range(len(names))]
    for path, source in zip(paths, names, strict=True):
        write_notebook(path, ("pass",), (source,))
    before = [path.read_bytes() for path in paths]
    code, printed = execute(*paths, tmp_path / "gone.ipynb")
    assert code == 1 and "gone.ipynb：没有这个文件" in printed
    assert printed.count("第 1 个单元") == len(names)
    assert all(message in printed for message in names.values())
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == paths


def python_without_network(source):
    """在断网守卫下运行一段 Python。"""
    environment = {**os.environ, "SBERTBOOK_NO_NETWORK": "1", "PYTHONPATH": str(NETGUARD)}
    return subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize("source", [
    "import socket; socket.create_connection(('192.0.2.1', 80))",
    "import socket; socket.getaddrinfo('example.org', 80)",
    "import socket; socket.gethostbyname('example.org')",
    "import socket; socket.socket().connect_ex(('192.0.2.1', 80))",
    "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 80))",
    "import urllib.request; urllib.request.urlopen('http://192.0.2.1')",
])
def test_guard_stops_outside_connections(source):
    done = python_without_network(source)
    assert done.returncode == 1 and "必须能离线运行" in done.stderr


def test_guard_lets_local_connections_through():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = f"import socket; socket.create_connection(('localhost', {port}))"
        done = python_without_network(source)
    assert done.returncode == 0, done.stderr


def test_same_image_ignores_only_faint_differences():
    def encode(pixels):
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype("uint8")).save(buffer, "png")
        return base64.b64encode(buffer.getvalue()).decode()

    white = np.full((20, 20), 255)
    faint, dot = white - 5, white.copy()
    dot[3, 3] = 0
    assert same_image(encode(white), encode(faint))
    assert not same_image(encode(white), encode(dot))
    assert not same_image(encode(white), encode(white[:10]))
