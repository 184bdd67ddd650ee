"""教师指南里的课程模块与教学大纲：由 book/teaching/course.yaml 和各章笔记本生成。

指令 ``{modules}`` 写出全部课程模块，``{syllabus} day`` 写出一份大纲。分钟数不是填的，是从笔记本里
数出来的：汉字除以每分钟 300 字，每个代码格 1 分钟，再加这些代码格运行的时间
（由 scripts/execute.py 量得，存在 book/results/run_times.json，按代码格的个数摊到各节）。
"""

import json
import math
import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

HAN_PER_MINUTE = 300
MINUTES_PER_CELL = 1
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
TEACHING = Path("teaching", "course.yaml")
RUN_TIMES = Path("results", "run_times.json")


# ---------- 从笔记本里数 ----------


def read_sections(notebook):
    """返回字典：二级标题 → [汉字数, 代码格数]；第一个二级标题之前的归到空串。"""
    counts, title = {"": [0, 0]}, ""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            counts[title][1] += 1
            continue
        for part in re.split(r"^(?=## )", "".join(cell["source"]), flags=re.M):
            if part.startswith("## "):
                title = part.splitlines()[0][3:].strip()
                counts[title] = [0, 0]
            counts[title][0] += len(HAN.findall(part))
    return counts


def run_minutes(notebook):
    """从头到尾运行一遍的分钟数，由 scripts/execute.py 量得；没有量过时抛出 ValueError。"""
    times = json.loads((notebook.parent / RUN_TIMES).read_text(encoding="utf-8"))
    if notebook.stem not in times:
        raise ValueError(f"{RUN_TIMES.as_posix()} 里没有 {notebook.stem} 的运行时间")
    return times[notebook.stem]["seconds"] / 60


def lecture_minutes(notebook, titles):
    """讲 notebook 里这些小节（二级标题）要几分钟，向上取整；没有这个标题时抛出 ValueError。"""
    counts = read_sections(notebook)
    if missing := [title for title in titles if title not in counts]:
        raise ValueError(f"{notebook.name} 里没有小节：{'、'.join(missing)}")
    han = sum(counts[title][0] for title in titles)
    cells = sum(counts[title][1] for title in titles)
    running = run_minutes(notebook) * cells / sum(number for _, number in counts.values())
    return math.ceil(han / HAN_PER_MINUTE + cells * MINUTES_PER_CELL + running)


def exercise_titles(book):
    """返回字典：练习的标签 → 题名（不含难度）。"""
    titles = {}
    for path in sorted(book.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            found = re.findall(r"\{exercise\} (.+?)（★+）\n:label: (\S+)", source)
            titles |= {label: title for title, label in found}
    return titles


# ---------- 课程 ----------


def load_course(book):
    """读入课程，给每个模块补上 minutes；book 是放笔记本的文件夹。

    返回字典：modules（编号 → 模块）、syllabi（名字 → 大纲）、exercises（标签 → 题名）。
    """
    data = yaml.safe_load((book / TEACHING).read_text(encoding="utf-8"))
    modules = {}
    for module in data["modules"]:
        notebook = book / f"{module['chapter']}.ipynb"
        minutes = lecture_minutes(notebook, module["sections"])
        modules[module["id"]] = {"needs": [], "homework": [], **module, "minutes": minutes}
    return {"modules": modules, "syllabi": data["syllabi"], "exercises": exercise_titles(book)}


def prepared(course, name):
    """一份大纲的各次课：[(讲授分钟, 练习分钟, 课前要读的模块), …]。

    课前要读的，是这次课的模块需要、而在此之前没有讲过也没有读过的模块。
    """
    syllabus, known, found = course["syllabi"][name], set(), []
    for session in syllabus["sessions"]:
        lecture, before = 0, []
        for number in session["modules"]:
            module = course["modules"][number]
            before += [need for need in module["needs"] if need not in known]
            known |= {number, *module["needs"]}
            lecture += module["minutes"]
        if lecture > syllabus["length"]:
            raise ValueError(f"{name} 第 {len(found) + 1} 次课要讲 {lecture} 分钟，"
                             f"超过了 {syllabus['length']} 分钟")
        found.append((lecture, syllabus["length"] - lecture, before))
    return found


# ---------- 写成 MyST ----------


def links(course, numbers, minutes=False):
    """指向几个模块的链接，用分号隔开；minutes 为真时各附上分钟数。"""
    modules = [course["modules"][number] for number in numbers]
    return "；".join(f"{{ref}}`{m['title']} <mod-{m['id']}>`"
                    + (f"（{m['minutes']} 分钟）" if minutes else "") for m in modules)


def syllabus_text(course, name):
    """一份大纲的 MyST 源文：一张表；写了 rest 的大纲，最后列出没有排进去的模块。"""
    syllabus, plan = course["syllabi"][name], prepared(course, name)
    rows = [[f"{syllabus['unit']}（讲＋练）", "讲什么", "练什么", "课前先读"], ["---"] * 4]
    for place, (session, row) in enumerate(zip(syllabus["sessions"], plan, strict=True), 1):
        lecture, practice, before = row
        taught = links(course, session["modules"])
        needs = links(course, before, minutes=True) or "–"
        rows.append([f"{place}（{lecture}＋{practice}）", taught, session["practice"], needs])
    width = 4 if any(before for *_, before in plan) else 3  # 没有要先读的，就不要最后一列
    lines = [f"| {' | '.join(row[:width])} |" for row in rows]
    lecture, practice = (sum(minutes) for minutes in list(zip(*plan, strict=True))[:2])
    lines += ["", f"合计讲 {lecture} 分钟，练 {practice} 分钟。"]
    used = {number for session in syllabus["sessions"] for number in session["modules"]}
    left = [number for number in course["modules"] if number not in used]
    if syllabus.get("rest") and left:
        lines += ["", f"没有排进去、留作自学或选讲的：{links(course, left)}。"]
    return "\n".join(lines)


def modules_text(course):
    """全部课程模块的 MyST 源文，按章分组；每个模块有标签 mod-编号。"""
    lines, chapter = [], ""
    for number, module in course["modules"].items():
        if module["chapter"] != chapter:
            chapter = module["chapter"]
            lines += ["", f"```{{rubric}} []({chapter}.ipynb)", "```", ""]
        titles = course["exercises"]
        homework = "；".join(f"{{ref}}`{titles[label]} <{label}>`" for label in module["homework"])
        items = {
            "学会": module["learn"], "演示": module["live"], "当心": module["trouble"],
            "作业": homework, "先修": links(course, module["needs"]),
        }
        lines += [f"(mod-{number})=", f"**{module['title']}** · {module['minutes']} 分钟", ""]
        lines += [f"- {name}：{text}" for name, text in items.items() if text] + [""]
    return "\n".join(lines)


# ---------- 指令 ----------


class CourseDirective(SphinxDirective):
    """把生成的 MyST 源文当作写在这里的正文来解析。"""

    def run(self):
        """返回解析得到的节点。"""
        book = Path(self.env.srcdir, "book")
        for path in [book / TEACHING, book / RUN_TIMES, *sorted(book.glob("[0-9]*.ipynb"))]:
            self.env.note_dependency(str(path))
        try:
            text = self.text(load_course(book))
        except KeyError as error:
            raise self.error(f"{TEACHING} 里没有这个名字，或少了这一项：{error}") from error
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise self.error(f"课程数据有误：{error}") from error
        box = nodes.container(classes=["course"])
        source = self.get_source_info()[0]
        self.state.nested_parse(StringList(text.splitlines(), source), self.content_offset, box)
        return [box]


class Modules(CourseDirective):
    """``{modules}``：全部课程模块。"""

    def text(self, course):
        """要解析的源文。"""
        return modules_text(course)


class Syllabus(CourseDirective):
    """``{syllabus} 名字``：一份大纲。"""

    required_arguments = 1

    def text(self, course):
        """要解析的源文。"""
        return syllabus_text(course, self.arguments[0])


def setup(app):
    """注册两个指令。"""
    app.add_directive("modules", Modules)
    app.add_directive("syllabus", Syllabus)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
