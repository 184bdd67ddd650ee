"""把训练命令和评测命令的结果并成 book/results/distill.json，给第 8 章印。用法::

    python scripts/record_distill.py 各次运行的文件夹 评测结果.json

第一个参数里一次运行一个子文件夹（``python -m sbertbook.distill --output`` 给的），名字见下面的表；
评测结果是 ``python -m sbertbook.benchmark --output`` 存的，模型的名字就是子文件夹的名字。
"""

import json
import sys
from pathlib import Path

BOOK = Path(__file__).parent.parent / "book"
ABLATIONS = {
    "base": "全部都用",
    "words": "少见的词也添",
    "characters": "只添单字，不添词",
    "random": "新词元随机取",
    "no-centre": "不中心化，不拉开",
    "no-english": "不转坐标，不守英文",
    "pull": "只贴近目标",
    "structure": "只管两两的相似度",
    "no-questions": "不用问句",
}
QUESTIONS = (("base", "no-questions"), ("n16384", "no-questions-16384"))  # 有、没有问句
CURVE = ("n256", "n1024", "base", "n16384", "full")
DEV = {"sts-b-dev.txt": "sts-b-dev", "oppo-xiaobu-dev.txt": "oppo"}  # 各种做法在它们上比较
MODELS = ("all-MiniLM-L6-v2", "tfidf-char", "multilingual-e5-small")  # 与它们比


def main(runs: Path, benchmark: Path) -> None:
    """读两处的结果，写 ``book/results/distill.json``。"""
    measured = json.loads(benchmark.read_text(encoding="utf-8"))
    published = json.loads((BOOK / "results/benchmark.json").read_text(encoding="utf-8"))
    run = {path.parent.name: json.loads(path.read_text(encoding="utf-8"))
           for path in sorted(runs.glob("*/distill.json"))}
    files = [record["file"] for record in measured if record["model"] == "full"]
    scores = [record for record in published + measured
              if record["file"] in files and record["model"] in (*MODELS, "full")]
    dev = {name: {DEV[record["file"]]: round(100 * record["metrics"]["spearman"], 1)
                  for record in measured if record["model"] == name and record["file"] in DEV}
           for name in run}
    result = {
        "full": run["full"],
        "versions": measured[0]["versions"],
        "benchmark": [
            {"file": record["file"], "rows": record["rows"], "sha256": record["sha256"],
             "model": record["model"].replace("full", "minilm-zh"),
             "spearman": round(100 * record["metrics"]["spearman"], 1),
             "interval": [round(100 * end, 1) for end in record["intervals"]["spearman"]]}
            for file in files for record in scores if record["file"] == file],
        "ablations": [{"name": label, **dev[name], **run[name]["after"]}
                      for name, label in ABLATIONS.items()],
        "curve": [{"sentences": run[name]["settings"]["sentences"], **dev[name],
                   **run[name]["after"]} for name in CURVE],
        "questions": [
            {"sentences": run[one]["settings"]["sentences"],
             "with": dev[one]["oppo"], "without": dev[other]["oppo"]}
            for one, other in QUESTIONS],
    }
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    (BOOK / "results/distill.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
