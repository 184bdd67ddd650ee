"""总表的测试：读各章的账，账不像样时说清楚。"""

import nbformat
import pandas as pd
import pytest

from sbertbook import summary

TABLE = pd.DataFrame(
    [["找成语", "字 TF-IDF", "MRR", 0.125, True, 120], ["找成语", "E5", "MRR", 0.5, False, 120]],
    columns=summary.COLUMNS,
)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """写一个只有一格的笔记本，返回写它的函数。"""
    monkeypatch.setattr(summary, "BOOK", tmp_path)

    def write(name, tables, tags=("summary",)):
        cell = nbformat.v4.new_code_cell("summary", metadata={"tags": list(tags)})
        for table in tables:
            html = {"text/html": table._repr_html_(), "text/plain": repr(table)}
            cell.outputs.append(nbformat.v4.new_output("execute_result", html, execution_count=1))
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / f"{name}.ipynb")

    return write


def test_rows_come_back_with_their_types(book):
    book("09_search", [TABLE])
    book("10_more", [TABLE.assign(成绩=[1.0, 0.0])])
    table = summary.load_summary("09_search", "10_more")
    assert list(table.columns) == [*summary.COLUMNS, "章"]
    assert table["章"].tolist() == ["09", "09", "10", "10"]
    assert table["成绩"].tolist() == [0.125, 0.5, 1.0, 0.0]
    assert table["基线"].tolist() == [True, False, True, False] and table["基线"].dtype == bool
    assert table["题数"].tolist() == [120] * 4


def test_only_the_tagged_cell_is_read(book):
    book("09_search", [TABLE], tags=())
    with pytest.raises(ValueError, match="09_search.ipynb.*现在有 0 张"):
        summary.load_summary("09_search")


def test_two_tables_are_refused(book):
    book("09_search", [TABLE, TABLE])
    with pytest.raises(ValueError, match="现在有 2 张"):
        summary.load_summary("09_search")


def test_wrong_columns_are_refused(book):
    book("09_search", [TABLE.rename(columns={"成绩": "分数"})])
    with pytest.raises(ValueError, match="任务、方法、指标、成绩、基线、题数"):
        summary.load_summary("09_search")


def test_missing_chapter(book):
    with pytest.raises(FileNotFoundError):
        summary.load_summary("09_search")
