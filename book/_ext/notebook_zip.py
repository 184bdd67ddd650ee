"""构建结束时把全部笔记本打成两个压缩包，供读者下载：一个有答案，一个没有（学习者版）。

角色 ``{notebooks}`` 和 ``{learner-notebooks}`` 写出下载链接::

    {notebooks}`下载全部笔记本（zip）`
    {learner-notebooks}`没有答案的（zip）`
"""

import sys
import zipfile
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxRole

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
from errata import expand  # noqa: E402
from make_learner import README as LEARNER_README  # noqa: E402
from make_learner import learner_text  # noqa: E402

ZIP_NAME = "_downloads/sbert-book-notebooks.zip"
LEARNER_ZIP_NAME = "_downloads/sbert-book-learner.zip"
ERRATA = "book/errata.md"  # 条目由数据生成，压缩包里要写全
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # 时间固定，同样的内容打出同样的包

README = """《Sentence-BERT 实战：用句向量寻找相似句子》的笔记本

怎样运行（需要 Python 3.11 或更高版本）：

1. 在本文件所在的文件夹打开终端，安装依赖：
       python -m pip install -r requirements.txt
2. 进入 book 文件夹，启动 Jupyter：
       cd book
       jupyter lab
3. 从 00_getting_started.ipynb 开始，按编号往下读。

笔记本要在 book 文件夹里运行，这样才找得到 sbertbook（公用函数）、data（数据）和 results（成绩）。
代码按 MIT 许可发布，文字与自编数据按 CC BY 4.0 发布，见 LICENSE。
"""


class NotebooksRole(SphinxRole):
    """指向笔记本压缩包的链接。"""

    def __init__(self, zip_name):
        self.zip_name = zip_name

    def run(self):
        """返回链接节点；路径相对于当前页面。"""
        up = "../" * self.env.docname.count("/")
        link = nodes.reference(self.rawtext, self.text, refuri=up + self.zip_name)
        return [link], []


def files_to_pack(app):
    """返回字典：压缩包里的路径 → 文件路径。"""
    root = Path(app.srcdir)
    # 附录也放进去，笔记本里通往它们的链接才有着落
    files = [Path(app.env.doc2path(name)) for name in app.env.found_docs]
    files += root.glob("book/sbertbook/**/*.py")
    files += (path for name in ("data", "results") for path in root.glob(f"book/{name}/*.*"))
    files += (root / name for name in ["requirements.txt", "LICENSE"])
    return {path.relative_to(root).as_posix(): path for path in files if path.exists()}


def learner_contents(contents):
    """把压缩包的内容（字典：路径 → 字节）换成学习者版的。"""
    def change(name, content):
        if name.startswith("book/") and name.endswith(".ipynb"):
            return learner_text(name, content.decode("utf-8")).encode("utf-8")
        return content

    return {name: change(name, content) for name, content in contents.items()}


def write_zip(target, contents, readme):
    """把 contents（字典：路径 → 字节）和一份说明写成压缩包；同样的内容总是得到同样的字节。"""
    folder = target.stem.removesuffix("-notebooks")
    target.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sorted({**contents, "说明.txt": readme.encode("utf-8")}.items()):
            info = zipfile.ZipInfo(f"{folder}/{name}", ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


def pack_notebooks(app, exception):
    """构建成功后写出两个压缩包。"""
    if exception is None and app.builder.name == "html":
        contents = {name: path.read_bytes() for name, path in files_to_pack(app).items()}
        contents[ERRATA] = expand(contents[ERRATA].decode("utf-8")).encode("utf-8")
        write_zip(Path(app.outdir, ZIP_NAME), contents, README)
        learner = learner_contents(contents)
        write_zip(Path(app.outdir, LEARNER_ZIP_NAME), learner, LEARNER_README)


def setup(app):
    """注册角色，并接上构建结束的事件。"""
    app.add_role("notebooks", NotebooksRole(ZIP_NAME))
    app.add_role("learner-notebooks", NotebooksRole(LEARNER_ZIP_NAME))
    app.connect("build-finished", pack_notebooks)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
