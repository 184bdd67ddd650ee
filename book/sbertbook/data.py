"""各章共用的句子：别人的数据留在 pip 包里，不复制；本书自编的在 book/data。"""

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
