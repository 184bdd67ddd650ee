"""应用各章“本章的账”：从保存在笔记本里的输出读出来，合成一张总表。

账在标了 ``summary`` 的单元里，是一个 DataFrame；读的是它保存的输出，不重新运行。
"""

import json
from pathlib import Path

import pandas as pd
from bs4 import BeautifulSoup

BOOK = Path(__file__).parent.parent
COLUMNS = ["任务", "方法", "指标", "成绩", "基线", "题数"]


def load_summary(*chapters: str) -> pd.DataFrame:
    """几章的账，一行是一个方法在一个任务上的成绩。

    ``chapters``：笔记本的文件名，不含扩展名，如 ``"09_search_qa"``。
    列：``章``（两位数字）、``任务``、``方法``、``指标``、``成绩``（0 到 1）、``基线``（真假）、
    ``题数``。没有这个笔记本时抛 FileNotFoundError；里面没有账，或者列名不对，抛 ValueError。
    """
    return pd.concat([_read(BOOK / f"{chapter}.ipynb") for chapter in chapters], ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells if "summary" in cell["metadata"].get("tags", [])
               for output in cell["outputs"] if "text/html" in output.get("data", {})]
    if len(outputs) != 1:
        raise ValueError(f"{path.name} 应当有一个标了 summary 的单元，显示一张表；"
                         f"现在有 {len(outputs)} 张。请先运行这一章。")
    page = BeautifulSoup("".join(outputs[0]["data"]["text/html"]), "html.parser")
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in page.find_all("tr")]
    if rows[0][1:] != COLUMNS:
        raise ValueError(f"{path.name} 的账应当有这几列：{'、'.join(COLUMNS)}。")
    table = pd.DataFrame([row[1:] for row in rows[1:]], columns=COLUMNS)
    return table.assign(章=path.name[:2], 成绩=table["成绩"].astype(float),
                        基线=table["基线"].eq("True"), 题数=table["题数"].astype(int))
