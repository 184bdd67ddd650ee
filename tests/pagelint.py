"""Notebook 页面的检查：页面结构、代码单元的长短与输出、插图的图题与替代文字、文件本身的整洁。"""

import ast
import re
from statistics import median

import nbformat

from mystdoc import HAN, Problem, load_notebook, pages, parse
from outputs import problems as output_problems

TAIL = ["原文怎么说", "常见误区", "换成你的数据", "练习", "自测", "小结", "延伸阅读"]
HEADER = "| 先修 | 阅读 | 运行 | 对应原文 |"
VERDICTS = ["错", "不准确", "无法复现", "对"]
VERDICT = re.compile(rf"^\*\*判定\*\*：({'|'.join(VERDICTS)})[，。（]", re.M)
SHORT_PAGES = {"00_getting_started.ipynb"}  # 不是一章：没有下半页的固定栏目，篇幅也不限
SETUP_CALL = re.compile(r"(seed|manual_seed|default_rng|set_seed|use_\w+|set_\w+|setup\w*)$")
OUTDATED = re.compile(
    r"InputExample|pytorch_cos_sim|get_sentence_embedding_dimension|sentence_transformers\.models"
    r"|from sentence_transformers import .*\bmodels\b|encode_multi_process"
    r"|\.fit\(\s*train_objectives"
)
HIDING = re.compile(
    r"warnings\.(filterwarnings|simplefilter|catch_warnings)|%%capture|2>\s*/dev/null"
    r"|logging\.disable|redirect_stderr"
)
NBVAL_COMMENT = re.compile(r"#\s*(NBVAL_|PYTEST_VALIDATE)")


def check_page(path):
    """一个 Notebook 的全部毛病。"""
    notebook = load_notebook(path)
    cells = notebook["cells"]
    checks = [file_problems(notebook), code_problems(cells), figure_problems(cells)]
    if re.match(r"\d\d_", path.name):
        checks.append(head_problems(cells))
        if path.name not in SHORT_PAGES:
            checks += [tail_problems(cells, next_page(path)), length_problems(cells)]
    for check in checks:
        for cell, message in check:
            yield Problem(path, cell, 0, message)


def next_page(path):
    """目录里 path 的下一章的文件名（不含扩展名）；最后一章返回 None。"""
    chapters = [page.stem for page in pages() if re.match(r"\d\d_", page.name)]
    later = chapters[chapters.index(path.stem) + 1:] if path.stem in chapters else []
    return later[0] if later else None


def is_code(cell):
    return cell["cell_type"] == "code"


def tags(cell):
    return cell["metadata"].get("tags", [])


def file_problems(notebook):
    """文件本身：格式合法、id 不重复、内核是 python3、没有控件状态。"""
    ids = [cell.get("id") for cell in notebook["cells"]]
    if None in ids or len(set(ids)) < len(ids):
        yield None, "单元的 id 缺失或重复"
        return
    try:
        nbformat.validate(nbformat.from_dict(notebook))
    except nbformat.ValidationError as error:
        yield None, f"不合 nbformat 的格式：{error.message}"
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield None, "kernelspec 不是 python3"
    if "widgets" in notebook["metadata"]:
        yield None, "存了控件状态"


def code_problems(cells):
    """代码单元：长短、间隔、已经运行、输出干净、不用过时的接口、不藏警告。"""
    numbered = [(number, cell) for number, cell in enumerate(cells) if is_code(cell)]
    for number, cell in numbered:
        source = cell["source"]
        if number and is_code(cells[number - 1]):
            yield number, "与上一个代码单元之间没有文字"
        if cell["execution_count"] is None:
            yield number, "还没有运行过"
        if HIDING.search(source):
            yield number, f"不要藏起警告：{HIDING.search(source)[0]}"
        if NBVAL_COMMENT.search(source) or {"nbval-skip", "skip-execution"} & set(tags(cell)):
            yield number, "不要跳过运行；不比较输出时用标签 nbval-ignore-output"
        outdated = OUTDATED.search(source)
        if outdated and not {"raises-exception", "outdated"} & set(tags(cell)):
            yield number, f"过时的接口：{outdated[0]}"
        for problem in output_problems(tidy_json(cell), "raises-exception" in tags(cell)):
            yield number, f"输出{problem}"
    sizes = [len(cell["source"].strip().splitlines()) for _, cell in numbered]
    for (number, _), size in zip(numbered, sizes, strict=True):
        if size > 30:
            yield number, f"有 {size} 行，超过 30 行"
    if sizes and median(sizes) > 6:
        yield None, f"代码单元行数的中位数是 {median(sizes):g}，超过 6"
    if sizes and sum(size <= 15 for size in sizes) < 0.9 * len(sizes):
        yield None, "不到 90% 的代码单元在 15 行以内"


def tidy_json(cell):
    """磁盘上的输出把长字符串存成行列表；返回接好的输出。"""
    return nbformat.v4.rwbase.rejoin_lines(
        nbformat.from_dict({"cells": [cell], "metadata": {}})
    ).cells[0].outputs


def figure_problems(cells):
    """画了图的单元：要有中文图题、fig- 开头且不重复的名字、与图题不同的中文替代文字。"""
    names = set()
    for number, cell in enumerate(cells):
        if not is_code(cell):
            continue
        if not any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            continue
        settings = cell["metadata"].get("mystnb", {})
        caption = settings.get("figure", {}).get("caption", "")
        name = settings.get("figure", {}).get("name", "")
        alt = settings.get("image", {}).get("alt", "")
        for kind, text in (("图题 figure.caption", caption), ("替代文字 image.alt", alt)):
            if not re.search(f"[{HAN}]", text):
                yield number, f"插图没有中文的{kind}"
        if alt and alt.strip() == caption.strip():
            yield number, "替代文字照抄了图题：替代文字说图上有什么，图题说要看出什么"
        if not name.startswith("fig-") or name in names:
            yield number, f"插图的名字 {name!r} 不是 fig- 开头，或者重复"
        names.add(name)


def head_problems(cells):
    """页首：标题、问题、目标、先修表，然后是只有导入和随机种子的单元。"""
    first_code = next((i for i, cell in enumerate(cells) if is_code(cell)), None)
    if first_code is None or is_code(cells[0]):
        yield 0, "页面要以文字开头，并且要有代码"
        return
    source = "\n\n".join(cell["source"] for cell in cells[:first_code])
    titles = [h for cell in cells if not is_code(cell) for h in headings(cell, 1)]
    if len(titles) != 1 or not headings(cells[0], 1):
        yield 0, "第一个单元要有全页唯一的一级标题"
    if not re.search(r"^\*\*本页回答的问题\*\*：\S", source, re.M):
        yield 0, "页首没有“**本页回答的问题**：”"
    goals = [d for d in parse(source).directives if d.title.strip() == "学完本页，你能"]
    count = len(re.findall(r"^[-*] ", goals[0].body, re.M)) if goals else 0
    if not 3 <= count <= 5:
        yield 0, f"页首要有标题为“学完本页，你能”的方框，列 3–5 条（现在 {count} 条）"
    if not re.search(rf"^{re.escape(HEADER)}\n\|[-:| ]+\|\n\|.+\|", source, re.M):
        yield 0, f"页首没有表格 {HEADER}"
    yield from ((first_code, message) for message in import_problems(cells[first_code]["source"]))


def import_problems(source):
    """第一个代码单元只能导入、定种子、设字体，而且一定要定种子。"""
    if not re.search(r"seed|default_rng", source):
        yield "导入的单元里没有定随机种子"
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        yield "导入的单元里有不是 Python 的语句"
        return
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        call = getattr(statement, "value", None)
        if not isinstance(call, ast.Call) or not SETUP_CALL.search(ast.unparse(call.func)):
            yield f"导入的单元里有别的语句：{ast.unparse(statement)}"


def headings(cell, level):
    """一个文字单元里某级标题的列表。"""
    if is_code(cell):
        return []
    return [h.text for h in parse(cell["source"]).headings if h.level == level]


def sections(cells, level):
    """按某级标题切开：[(标题, 这一节的单元列表), …]；切开的文字单元各归各节。"""
    found = []
    for cell in cells:
        if is_code(cell):
            if found:
                found[-1][1].append(cell)
            continue
        lines = cell["source"].split("\n")
        cuts = [h for h in parse(cell["source"]).headings if h.level == level]
        ends = [h.line - 1 for h in cuts] + [len(lines)]
        if found and ends[0]:
            found[-1][1].append({**cell, "source": "\n".join(lines[:ends[0]])})
        for cut, start, end in zip(cuts, ends, ends[1:], strict=False):
            found.append((cut.text, [{**cell, "source": "\n".join(lines[start + 1:end])}]))
    return found


def directives(cells):
    """一节里的全部指令。"""
    return [d for cell in cells if not is_code(cell) for d in parse(cell["source"]).directives]


def tail_problems(cells, following):
    """下半页的固定栏目，以及每个栏目里应有的东西。"""
    titles = [title for title, _ in sections(cells, 2)]
    if titles[-len(TAIL):] != TAIL:
        yield None, f"最后的二级标题应当依次是 {'、'.join(TAIL)}，现在是 {'、'.join(titles[-7:])}"
        return
    found = dict(sections(cells, 2)[-len(TAIL):])
    checks = {
        "原文怎么说": article_problems, "常见误区": pitfall_problems, "换成你的数据": data_problems,
        "练习": exercise_problems, "自测": quiz_problems,
    }
    for title, check in checks.items():
        yield from ((None, f"{title}：{message}") for message in check(found[title]))
    reading = [parse(c["source"]) for c in found["延伸阅读"] if not is_code(c)]
    if not any(role.name.startswith("cite") for d in reading for role in d.roles):
        yield None, "延伸阅读：没有引用文献"
    links = [mark.target for d in reading for mark in d.links]
    links += [role.target for d in reading for role in d.roles if role.name == "doc"]
    if following and not any(following in link for link in links):
        yield None, f"延伸阅读：没有到下一页 {following} 的链接"


def article_problems(cells):
    boxes = [d for d in directives(cells) if "article" in d.classes]
    if not boxes:
        yield "没有 class 为 article 的方框"
    for box in boxes:
        missing = [word for word in ("原文", "判定", "见") if f"**{word}**" not in box.body]
        if missing or "errata.md#" not in box.body:
            yield f"方框“{box.title}”要有 **原文**、**判定**、**见** 和到 errata.md#… 的链接"
        elif not VERDICT.search(box.body):
            yield f"方框“{box.title}”的判定不是{'、'.join(VERDICTS)}之一"


def pitfall_problems(cells):
    entries = sections(cells, 3)
    if len(entries) < 2:
        yield f"至少要有 2 条（### 标题），现在 {len(entries)} 条"
    for title, inside in entries:
        if not any(map(is_code, inside)):
            yield f"“{title}”没有代码单元"


def data_problems(cells):
    count = sum("your-data" in tags(cell) for cell in cells if is_code(cell))
    if count != 1:
        yield f"要有一个标签为 your-data 的代码单元，现在 {count} 个"


def exercise_problems(cells):
    exercises = [d for d in directives(cells) if d.name in ("exercise", "exercise-start")]
    if not 3 <= len(exercises) <= 5:
        yield f"要有 3–5 题，现在 {len(exercises)} 题"
    for exercise in exercises:
        if not 1 <= (exercise.title + exercise.body).count("★") <= 3:
            yield f"“{exercise.title or exercise.body[:20]}”没有标难度（★ 到 ★★★）"
    labels = {exercise.options.get("label") for exercise in exercises}
    answered, opened, code = set(), None, 0
    for cell in cells:
        code += is_code(cell)
        for directive in [] if is_code(cell) else directives([cell]):
            if directive.name == "solution-start":
                opened, code = directive.title, 0
                answered.add(opened)
                if "dropdown" not in directive.classes:
                    yield f"{opened} 的答案没有折叠（:class: dropdown）"
            elif directive.name == "solution-end":
                if opened is None or not code:
                    yield f"{opened} 的答案里没有代码单元"
                opened = None
    if opened is not None:
        yield f"{opened} 的答案没有 solution-end"
    if answered != labels:
        names = "、".join(sorted(map(str, answered ^ labels)))
        yield f"题目与答案（solution-start … solution-end）对不上：{names}"


def quiz_problems(cells):
    questions = sections(cells, 3)
    if len(questions) != 3:
        yield f"要有 3 题（### 标题），现在 {len(questions)} 题"
    for title, inside in questions:
        bodies = [d.body.strip() for d in directives(inside) if d.name == "dropdown"]
        right = sum(body.startswith("✓") for body in bodies)
        wrong = sum(body.startswith("✗") for body in bodies)
        if len(bodies) < 3 or right != 1 or right + wrong != len(bodies):
            yield f"“{title}”要有至少 3 个 dropdown，一个以 ✓ 开头，其余以 ✗ 开头"
        if any(len(re.sub(r"[✓✗\s]", "", body)) < 10 for body in bodies):
            yield f"“{title}”有选项没有说明理由（至少 10 个字）"


def length_problems(cells):
    """正文至少 1500 个汉字。"""
    texts = [t.text for c in cells if not is_code(c) for t in parse(c["source"]).texts]
    count = len(re.findall(f"[{HAN}]", "".join(texts)))
    if count < 1500:
        yield None, f"正文只有 {count} 个汉字，不到 1500"
