"""重新运行 Notebook 并就地保存输出：python scripts/execute.py [book/03_pooling.ipynb …]

结果里没有时间、版本、路径和警告；再运行一次，文件一个字节也不变。用了几秒、用的哪些版本，
另外记在 book/results/run_times.json 里，状态页由它生成。
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from outputs import difference, problems, set_kernel_environment, tidy

ROOT = Path(__file__).resolve().parent.parent
RUN_TIMES = ROOT / "book" / "results" / "run_times.json"
RECORDED = [  # 版本要记下来的包
    "torch", "transformers", "sentence-transformers", "numpy", "pandas", "scikit-learn",
    "matplotlib", "jieba",
]
EDITOR_METADATA = {  # 各种编辑器写进单元的、与内容无关的东西
    "ExecuteTime", "colab", "collapsed", "execution", "id", "jp-MarkdownHeadingCollapsed",
    "outputId", "pycharm", "scrolled", "trusted", "vscode",
}


class Refused(Exception):
    """这份 Notebook 的输出不能保存；信息说明为什么。"""


def read_notebook(path):
    """读入 Notebook，给没有 id（或 id 重复）的单元补上由位置和内容决定的 id。"""
    data = json.loads(path.read_text(encoding="utf-8"))
    data["nbformat_minor"] = 5
    seen = set()
    for index, cell in enumerate(data["cells"]):
        if cell.get("id") in seen | {None, ""}:
            text = f"{path.name} {index} {''.join(cell['source'])}"
            cell["id"] = hashlib.sha256(text.encode()).hexdigest()[:12]
        seen.add(cell["id"])
    return nbformat.reads(json.dumps(data), as_version=4)


def run(notebook, folder, timeout):
    """在 folder 里运行整份 Notebook；预料之外的错误变成 Refused。"""
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        store_widget_state=False, resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        number = next(i for i, cell in enumerate(notebook.cells) if has_error(cell))
        raise Refused(f"第 {number} 个单元出错：{error.ename}: {error.evalue}") from None
    except CellTimeoutError:
        raise Refused(f"有单元运行超过 {timeout} 秒") from None
    except DeadKernelError:
        raise Refused("内核中途退出，多半是内存不够") from None


def has_error(cell):
    """单元是否有未被允许的错误输出。"""
    outputs = cell.get("outputs", [])
    return "raises-exception" not in tags(cell) and any(o.output_type == "error" for o in outputs)


def tags(cell):
    """单元的标签列表。"""
    return cell.metadata.get("tags", [])


def source_hash(cell):
    """单元源代码的摘要；输出不作比较的单元靠它知道代码改过没有。"""
    return hashlib.sha256(cell.source.encode()).hexdigest()[:16]


def settle_outputs(cell, stored, refresh):
    """决定单元留下新输出还是旧输出：没有实质差别时留旧的，文件就不会无谓地变。"""
    fresh = tidy(cell.outputs)
    if "nbval-ignore-output" in tags(cell):
        keep = stored.metadata.get("executed_source") == source_hash(cell) and stored.outputs
        cell.metadata["executed_source"] = source_hash(cell)
    else:
        keep = not difference(stored.outputs, fresh, compare_images=True)
        cell.metadata.pop("executed_source", None)
    cell.outputs = tidy(stored.outputs) if keep and not refresh else fresh
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = cell.execution_count


def clean_metadata(notebook):
    """去掉与内容无关的元数据。"""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3", "language": "python", "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for name in EDITOR_METADATA & set(cell.metadata):
            del cell.metadata[name]


def execute(path, refresh=False, timeout=600):
    """运行 path，返回应当保存的文件内容；输出不能保存时抛出 Refused。"""
    notebook = read_notebook(path)
    stored = deepcopy(notebook)
    run(notebook, path.parent, timeout)
    private = {str(ROOT), sys.prefix, str(Path.home())} - {"/", "/usr"}
    refused = []
    for number, (cell, old) in enumerate(zip(notebook.cells, stored.cells, strict=True)):
        if cell.cell_type == "code":
            settle_outputs(cell, old, refresh)
            found = problems(cell.outputs, "raises-exception" in tags(cell), private)
            refused += [f"第 {number} 个单元{problem}" for problem in found]
    if refused:
        raise Refused("\n  ".join(refused))
    clean_metadata(notebook)
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def save(path, text):
    """先写临时文件再改名：中途断电也不会留下半份 Notebook。"""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def record_run(name, seconds, path=RUN_TIMES):
    """把一份 Notebook 的运行秒数和各包的版本记进 path（JSON：名字 → seconds、versions）。

    秒数取整到 5 秒；与原来记的差别在两成或 5 秒以内就不改，免得每次运行文件都变。
    """
    times = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    before = json.dumps(times)
    old = times.get(name, {}).get("seconds", 0)
    is_close = old and abs(seconds - old) <= max(0.2 * old, 5)
    times[name] = {
        "seconds": old if is_close else max(5, 5 * round(seconds / 5)),
        "versions": {
            "Python": platform.python_version(),
            **{package: version(package).partition("+")[0] for package in RECORDED},
        },
    }
    if json.dumps(times) != before:
        save(path, json.dumps(dict(sorted(times.items())), ensure_ascii=False, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description="重新运行 Notebook 并就地保存输出。")
    parser.add_argument("notebooks", nargs="*", type=Path, help="默认是 book 里的全部 Notebook")
    parser.add_argument("--check", action="store_true", help="只报告，不改文件；有变化则退出码为 1")
    parser.add_argument(
        "--refresh", action="store_true",
        help="全部换成新输出。不加时，输出没有实质差别的单元、以及标了 nbval-ignore-output "
        "而代码没有改过的单元，保留原来的输出",
    )
    parser.add_argument("--timeout", type=int, default=600, help="每个单元最多几秒（默认 600）")
    options = parser.parse_args()
    set_kernel_environment()
    failed = False
    for path in options.notebooks or sorted((ROOT / "book").glob("*.ipynb")):
        start = time.perf_counter()
        try:
            path = path.resolve(strict=True)
            text = execute(path, options.refresh, options.timeout)
        except FileNotFoundError:
            failed = True
            print(f"{path}：没有这个文件", file=sys.stderr)
            continue
        except Refused as error:
            failed = True
            print(f"{path.name}：没有保存，文件保持原样。\n  {error}", file=sys.stderr)
            continue
        seconds = time.perf_counter() - start
        changed = text != path.read_text(encoding="utf-8")
        if changed and not options.check:
            save(path, text)
        if path.parent == ROOT / "book" and not options.check:
            record_run(path.stem, seconds)
        failed |= changed and options.check
        result = ("会有变化" if options.check else "已保存") if changed else "没有变化"
        print(f"{path.name}：{result}（{seconds:.1f} 秒）", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
