"""从同一份笔记本造出没有答案的学习者版：

python scripts/make_learner.py --output 文件夹

练习的折叠答案清空，留下空格让读者写；自测的解释拿掉；其余单元的源文一字不改。连同公用函数、
数据、成绩和依赖清单一起写进文件夹，装好依赖就能运行。原来的笔记本就是教师版，不会被改动。
"""

import argparse
import ast
import json
import re
import shutil
import symtable
import sys
from copy import deepcopy
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "book" / "_ext"))
from errata import expand  # noqa: E402

COPIED = ["book/sbertbook", "book/data", "book/results", "book/references.bib",
          "requirements.txt", "LICENSE"]
CODE_GAP = "# 在这里写你的答案"
TEXT_GAP = "（先自己写，再对照教师版。）"
QUIZ_GAP = "（想好了再看：解释在教师版和网站上。）"

START = re.compile(r"^(:{3,}|`{3,})\{solution-start\}")
END = re.compile(r"^(?::{3,}|`{3,})\{solution-end\}")
OPTION = re.compile(
    r"^(?P<mark>:{3,})(?P<title>\{dropdown\}[^\n]*)\n[✓✗].*?^(?P=mark)[ \t]*$", re.M | re.S
)

README = """《Sentence-BERT 实战：用句向量寻找相似句子》学习者版：练习没有答案

怎样运行（需要 Python 3.11 或更高版本）：

1. 在本文件所在的文件夹打开终端，安装依赖：
       python -m pip install -r requirements.txt
2. 进入 book 文件夹，启动 Jupyter：
       cd book
       jupyter lab
3. 从 00_getting_started.ipynb 开始，按编号往下读。写着“在这里写你的答案”的单元留给你写；
   空着不写，也不影响别的单元运行。

代码按 MIT 许可发布，文字与自编数据按 CC BY 4.0 发布，见 LICENSE。
"""


class LearnerError(Exception):
    """造不出学习者版；信息说明为什么。"""


def without_answers(notebook, keep_outputs=False):
    """返回去掉答案的笔记本（nbformat 的字典）；不改动传入的那份。

    单元的个数、次序和 id 不变。keep_outputs 为真时，答案以外的单元保留原来的输出。
    """
    learner = deepcopy(notebook)
    inside = False  # 是否在答案里
    for cell in learner["cells"]:
        if cell["cell_type"] == "code":
            if inside:
                cell["source"] = CODE_GAP
            if inside or not keep_outputs:
                cell.update(outputs=[], execution_count=None)
                cell["metadata"].pop("executed_source", None)
        else:
            source, inside = _blank_text("".join(cell["source"]), inside)
            cell["source"] = OPTION.sub(rf"\g<mark>\g<title>\n{QUIZ_GAP}\n\g<mark>", source)
    if inside:
        raise LearnerError("有一个答案没有 solution-end")
    return learner


def _blank_text(source, inside):
    """去掉一个文字单元里的答案。返回（新的源文，单元结束时是否仍在答案里）。"""
    kept = []
    closing = ""  # 正在 solution-start 这个指令里时，它的结束记号
    for line in source.split("\n"):
        if closing:
            kept.append(line)
            if line.strip() == closing:
                closing, inside = "", True
                kept += ["", TEXT_GAP, ""]
        elif match := START.match(line):
            kept.append(line)
            closing = match[1]
        elif inside and not END.match(line):
            continue
        else:
            inside = False
            kept.append(line)
    return "\n".join(kept).rstrip("\n") or TEXT_GAP, inside


def answer_cells(notebook):
    """返回答案里的代码单元的序号（从 0 起）。"""
    gaps = without_answers(notebook)["cells"]
    return [
        number for number, (cell, gap) in enumerate(zip(notebook["cells"], gaps, strict=True))
        if cell["cell_type"] == "code" and gap["source"] == CODE_GAP
    ]


def leaks(notebook):
    """列出依赖答案的单元：(单元序号, 名字)。

    名字由答案里的单元定义或改写，后面答案以外的单元没有重新定义就用了它；这样的单元在学习者版里
    会出错，或者得到不同的结果。只看名字，看不出答案就地改动对象（如 list.append）。
    """
    answers, changed, found = set(answer_cells(notebook)), set(), []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        used, defined = names("".join(cell["source"]))
        if number in answers:
            changed |= defined
        else:
            found += [(number, name) for name in sorted(used & changed)]
            changed -= defined
    return found


def names(source):
    """返回一段代码（用到的外面的名字，定义的名字），两个集合，都只看最外层。"""
    used, defined = set(), set()
    for statement in ast.parse(source).body:
        table = symtable.symtable(ast.get_source_segment(source, statement), "cell", "exec")
        symbols = table.get_symbols()
        new = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
        read = {s.get_name() for s in symbols if s.is_referenced()} | _globals(table)
        if isinstance(statement, ast.AugAssign):
            read |= new  # x += 1 也要用到原来的 x
        elif not isinstance(statement, ast.Assign | ast.AnnAssign):
            read -= new  # 循环变量和函数自己的名字
        used |= read - defined
        defined |= new
    return used, defined


def _globals(table):
    """内层函数和推导式里用到的全局名字。"""
    found = set()
    for child in table.get_children():
        found |= {s.get_name() for s in child.get_symbols() if s.is_global()} | _globals(child)
    return found


def learner_text(name, text, keep_outputs=False):
    """把一份笔记本的文件内容变成学习者版的；name 只用来报错。

    答案以外的单元依赖答案时抛出 LearnerError。
    """
    notebook = json.loads(text)
    if found := leaks(notebook):
        places = "、".join(f"单元 {number} 的 {variable}" for number, variable in found)
        raise LearnerError(f"{name}：答案以外的单元用到了答案里的名字：{places}")
    learner = without_answers(notebook, keep_outputs)
    return json.dumps(learner, ensure_ascii=False, indent=1) + "\n"


def make_learner(output, keep_outputs=False):
    """把学习者版写进 output（必须还不存在，或是空文件夹）；不能写时抛出 LearnerError。"""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise LearnerError(f"{output} 已经存在，里面可能有写好的答案，不覆盖；请换一个文件夹")
    if ROOT / "book" in [output.resolve(), *output.resolve().parents]:
        raise LearnerError(f"{output} 在 book 里面，会把自己也复制进去；请换一个文件夹")
    made = {}
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        made[path.name] = learner_text(path.name, text, keep_outputs)
    for name in COPIED:
        source, target = ROOT / name, output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, target)
    for page in sorted((ROOT / "book").glob("*.md")):  # 附录：笔记本里的链接要有着落
        text = expand(page.read_text(encoding="utf-8"))  # 勘误的条目由数据生成，这里写全
        (output / "book" / page.name).write_text(text, encoding="utf-8", newline="\n")
    for name, text in made.items():
        (output / "book" / name).write_text(text, encoding="utf-8", newline="\n")
    (output / "说明.txt").write_text(README, encoding="utf-8", newline="\n")
    return list(made)


def main(arguments=None):
    """造出学习者版，返回退出码。"""
    parser = argparse.ArgumentParser(description="造出没有答案的学习者版。")
    parser.add_argument("--output", type=Path, required=True, help="新的文件夹")
    parser.add_argument("--keep-outputs", action="store_true", help="保留答案以外各单元的输出")
    options = parser.parse_args(arguments)
    try:
        made = make_learner(options.output, options.keep_outputs)
    except LearnerError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # 磁盘满、没有权限
        print(f"写不进 {options.output}：{error.strerror or error}", file=sys.stderr)
        return 1
    print(f"{len(made)} 份笔记本写在 {options.output}，从其中的 说明.txt 读起。")
    return 0


if __name__ == "__main__":
    sys.exit(main())
