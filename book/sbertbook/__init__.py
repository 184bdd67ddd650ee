"""《Sentence-BERT 实战》各章共用的工具：找模型、读数据、画图、打分。

书里要教的东西都写在各章的单元格里；这里只放会分散注意力的杂务：

- ``models``：离线也能用的模型入口 ``load_encoder``
- ``data``：各章用到的句子
- ``plot``：中文字体和几种共用的图
- ``env``：检查环境缺什么
- ``pictures``：emoji 的轮廓和图像编码器
- ``summary``：把各章“本章的账”并成一张总表
- ``benchmark``：给模型打分的命令，``python -m sbertbook.benchmark``；考题文件由 ``tasks`` 读，
  指标由 ``metrics`` 算
- ``distill``：教英文模型中文的命令，``python -m sbertbook.distill``；语料由 ``corpus`` 备，词元由
  ``vocabulary`` 添；``storage`` 管两个命令的存盘
"""

from importlib import import_module

_HOME = {  # 名字 → 所在的模块；用到时才导入，所以缺了包也能运行 sbertbook.env 看缺什么
    "ModelError": "models",
    "attention_map": "plot",
    "heatmap": "plot",
    "load_diagnostic": "data",
    "load_encoder": "models",
    "load_faq": "data",
    "load_graded": "data",
    "load_hsk": "data",
    "load_idiom_queries": "data",
    "load_idioms": "data",
    "load_news": "data",
    "load_relations": "data",
    "load_reviews": "data",
    "load_summaries": "data",
    "load_transcript": "data",
    "load_triples": "data",
    "sentence_map": "plot",
    "use_chinese_font": "plot",
}
__all__ = list(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"sbertbook 里没有 {name!r}")
