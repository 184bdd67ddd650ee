"""造出可打印的试卷、参考答案和要点卡：

python scripts/make_exam.py --output 文件夹

源文件在 book/teaching：exam.md（题目与答案在一起）和 cards.md。每份给出 Markdown 和自带样式的
HTML，公式是 MathML，不用脚本、不联网；在浏览器里打印，A4 纸，要点卡一章一页。
"""

import argparse
import re
import sys
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from make_slides import to_mathml

TEACHING = Path(__file__).resolve().parent.parent / "book" / "teaching"
OPEN, CLOSE = "<!-- 答案 -->", "<!-- 答案完 -->"
ANSWER = re.compile(rf"\n*^{OPEN}\n(.*?)^{CLOSE}\n", re.M | re.S)

PAGE = Template("""<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
@page { size: A4; margin: 16mm 18mm; }
* { box-sizing: border-box; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #111; background: #fff;
  font: 11pt/1.6 "Noto Serif CJK SC", "Source Han Serif SC", "Songti SC", SimSun, serif; }
h1, h2, h3, th { font-family: "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 { font-size: 1.5em; text-align: center; }
h2 { font-size: 1.2em; border-bottom: 1px solid #777; }
h3 { font-size: 1em; margin: 1.2em 0 .4em; }
h2, h3 { break-after: avoid; }
p, ul, ol, pre { margin: .5em 0; }
li > p { margin: 0; }
pre, code { font-family: "DejaVu Sans Mono", Consolas, Menlo, "Noto Sans Mono CJK SC", monospace; }
pre { padding: .5em .8em; border: 1px solid #bbb; border-radius: 4px; background: #f7f7f7;
  font-size: .82em; line-height: 1.45; white-space: pre-wrap; break-inside: avoid; }
code { font-size: .9em; }
math[display="block"] { margin: .6em 0; overflow-x: auto; }
math .bold { font-weight: bold; }
.answer { margin: .6em 0; padding: .2em .9em; border-left: 4px solid #06c; background: #f2f7fd; }
$code_style
.highlight span { font-style: normal; }
$extra
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 10.5pt; }
  pre, .answer { print-color-adjust: exact; }
}
</style>
</head>
<body>
$body
</body>
</html>
""")
CARDS_STYLE = """h2 { break-before: page; }
h1, h1 + h2 { break-before: avoid; }
h1 { display: none; }
h3 { font-size: .95em; color: #444; margin: .8em 0 .2em; }"""


class ExamError(Exception):
    """源文件不合格式；信息里写明是哪一题。"""


class Question(NamedTuple):
    """一道题：号码、分值、考点、题面、答案（后三样是 Markdown）。"""

    number: int
    points: int
    topic: str
    text: str
    answer: str


def read_questions(source):
    """从试卷的源文里读出全部题目；号码不连续、缺考点或答案时抛出 ExamError。"""
    parts = re.split(r"^### 第 (\d+) 题（(\d+) 分）\n", source, flags=re.M)[1:]
    questions = []
    for number, points, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if int(number) != len(questions) + 1:
            raise ExamError(f"第 {number} 题的号码应当是 {len(questions) + 1}")
        body = re.split(r"^## ", body, flags=re.M)[0]
        answers, topic = ANSWER.findall(body), re.search(r"^考点：(.+)$", body, re.M)
        if len(answers) != 1 or body.count(OPEN) != 1 or not answers[0].strip():
            raise ExamError(f"第 {number} 题要有一份用“{OPEN}”与“{CLOSE}”括起来的答案")
        if topic is None:
            raise ExamError(f"第 {number} 题没有写考点")
        text = ANSWER.sub("\n", body.replace(topic[0], "", 1)).strip()
        questions.append(Question(int(number), int(points), topic[1], text, answers[0].strip()))
    return questions


def without_links(source):
    """站内链接换成它的文字：印在纸上的题目没有别的页可去；给测试用的注释也去掉。"""
    source = re.sub(r"^<!-- 输出：.*? -->\n+", "", source, flags=re.M)
    return re.sub(r"\[([^\]]+)\]\([^)]*\.ipynb[^)]*\)", r"\1", source)


def paper(source):
    """试卷：没有答案、也不写考点（考点会泄漏答案）的 Markdown。"""
    read_questions(source)
    return without_links(re.sub(r"^考点：.*\n+", "", ANSWER.sub("\n", source), flags=re.M))


def answer_sheet(source):
    """参考答案：题目与答案都在。"""
    read_questions(source)
    title, _, rest = source.partition("\n")
    return without_links(f"{title}（参考答案）\n{rest}")


def highlighted(tokens, index, options, env):
    """代码块：python 有高亮，其余原样。"""
    token = tokens[index]
    if token.info.strip() != "python":
        return f"<pre>{escape(token.content)}</pre>\n"
    return highlight(token.content, get_lexer_by_name("python"), HtmlFormatter())


def to_html(source, extra=""):
    """把 Markdown 排成自带样式的网页；extra 是另加的 CSS。公式写错时抛出 ValueError。"""
    parser = MarkdownIt("commonmark").enable("table")
    parser.use(
        dollarmath_plugin, allow_labels=False,
        renderer=lambda content, how: to_mathml(
            content, "block" if how["display_mode"] else "inline"
        ),
    )
    parser.renderer.rules["fence"] = highlighted
    body = parser.render(source)
    body = body.replace(OPEN, '<div class="answer">').replace(CLOSE, "</div>")
    return PAGE.substitute(
        title=escape(source.partition("\n")[0].lstrip("# ")), body=body, extra=extra,
        code_style=HtmlFormatter(style="bw").get_style_defs(".highlight"),
    )


def build(folder):
    """造出全部文件，写进 folder，返回写了的文件；全部造好了才开始写。"""
    if folder.resolve() == TEACHING:
        raise ExamError(f"{folder} 是源文件所在的文件夹，会盖掉 exam.md；请换一个")
    exam = (TEACHING / "exam.md").read_text(encoding="utf-8")
    cards = (TEACHING / "cards.md").read_text(encoding="utf-8")
    sheets = {"exam": (paper(exam), ""), "answers": (answer_sheet(exam), ""),
              "cards": (cards, CARDS_STYLE)}
    files = {folder / (name + suffix): text for name, (source, extra) in sheets.items()
             for suffix, text in ((".md", source), (".html", to_html(source, extra)))}
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(files)


def main():
    """命令行入口；出错时打印一句话，返回 1。"""
    parser = argparse.ArgumentParser(description="造出可打印的试卷、参考答案和要点卡。")
    parser.add_argument(
        "--output", type=Path, required=True, help="放结果的文件夹；同名的文件会被覆盖"
    )
    folder = parser.parse_args().output
    try:
        for path in build(folder):
            print(path)
    except (ExamError, ValueError) as error:
        print(f"没有造成：{error}", file=sys.stderr)
        return 1
    except (FileExistsError, NotADirectoryError):
        print(f"{folder} 不是文件夹", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
