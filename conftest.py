"""全书测试的共同设置：运行环境、断网、nbval 的比较办法、先后次序。"""

import os
import runpy
from pathlib import Path

from nbval.plugin import IPyNbCell

from outputs import difference, problems, set_kernel_environment

ROOT = Path(__file__).parent
NETGUARD = ROOT / "tests" / "netguard"

set_kernel_environment()
if os.environ.get("SBERTBOOK_NO_NETWORK") == "1":  # 本进程和它启动的所有 Python 都不许联网
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(NETGUARD), os.environ.get("PYTHONPATH")])
    )
    runpy.run_path(str(NETGUARD / "sitecustomize.py"))


def compare_outputs(cell, fresh, stored, skip_compare=None):
    """代替 nbval 的逐字比较：小数末位允许差一（见 scripts/outputs.py）。"""
    cell.comparison_traceback = [difference(stored, fresh)]
    return cell.comparison_traceback == [""]


def run_and_check(cell, run=IPyNbCell.runtest):
    """运行一个单元；即使它标了 nbval-ignore-output，也不许有警告、路径、进度条。"""
    run(cell)
    tags = cell.cell.metadata.get("tags", [])
    found = problems(cell.test_outputs or [], "raises-exception" in tags)
    if found:
        cell.raise_cell_error("\n".join(found))


IPyNbCell.compare_outputs = compare_outputs
IPyNbCell.runtest = run_and_check


def pytest_collection_modifyitems(items):
    """耗时的文件先跑，两个进程才分得匀：建站、学习者版，Notebook（大的在前），最后是其余。"""
    def rank(item):
        if item.path.name in ("test_site.py", "test_learner.py"):
            return 0, item.path.name == "test_learner.py"
        if item.path.suffix == ".ipynb":
            return 1, -item.path.stat().st_size
        return 2, 0

    items.sort(key=rank)
