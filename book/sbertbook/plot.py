"""全书共用的图：热力图、句子地图、注意力图。字体来自 zhplot 包（思源黑体，OFL），不靠系统字体。

三个函数都返回 matplotlib 的 Axes（或 Axes 数组），画完用 ``plt.show()`` 显示。
"""

import matplotlib.pyplot as plt
import numpy as np

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def use_chinese_font() -> None:
    """让 matplotlib 用思源黑体写中文，并设好全书统一的样式。"""
    import zhplot

    zhplot.matplotlib_chineseize()
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.unicode_minus": True,
            "figure.dpi": 96,
            "font.size": 11,
            "legend.frameon": False,
            "savefig.bbox": "tight",
        }
    )


def heatmap(matrix, labels, column_labels=None, *, ax=None, digits=2, vmin=None, vmax=None):
    """画带数字的热力图。

    ``matrix``：(n, m) 的数；``labels``：n 个行名；``column_labels``：m 个列名，默认同行名。
    ``digits``：格子里保留几位小数，None 表示不写数字。有负数时用红蓝两色，0 是白色；
    否则颜色越深数越大。颜色范围默认取矩阵的最小、最大值。返回 Axes。

    矩阵不是二维、含 NaN、与名字的个数对不上：抛 ValueError；名字给成一个字符串：抛 TypeError。
    """
    values = _numbers(matrix, (2,), "matrix")
    rows = _names(labels, values.shape[0], "labels", "行")
    if column_labels is None and values.shape[0] == values.shape[1]:
        column_labels = rows
    columns = _names(column_labels, values.shape[1], "column_labels", "列")

    low = values.min() if vmin is None else vmin
    high = values.max() if vmax is None else vmax
    if low < 0:
        high = max(abs(low), abs(high))
        low = -high
    if ax is None:
        width = 1.6 + 0.75 * len(columns)
        _, ax = plt.subplots(figsize=(width, 1.2 + 0.55 * len(rows)))
    cmap = "RdBu" if low < 0 else "Blues"
    image = ax.imshow(values, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    slanted = max(map(len, columns)) > 4
    ax.set_xticks(range(len(columns)), columns)
    if slanted:
        plt.setp(ax.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if digits is not None:
        for (row, column), value in np.ndenumerate(values):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            ax.text(
                column, row, f"{value:.{digits}f}", ha="center", va="center",
                color="white" if dark else "black",
            )
    return ax


def sentence_map(vectors, labels, groups=None, *, ax=None):
    """把句向量用主成分分析（PCA）压到二维，画成地图，每点旁写句子。

    ``vectors``：(n, d)，n ≥ 3，d ≥ 2；``labels``：n 个句子；``groups``：n 个组名，可省，
    同组同色同形。横轴、纵轴是前两个主成分，轴名里写明它们占总方差的百分之几。返回 Axes。

    向量不是二维、含 NaN、个数对不上：抛 ValueError；句子给成一个字符串：抛 TypeError。
    """
    from sklearn.decomposition import PCA

    values = _numbers(vectors, (2,), "vectors")
    if len(values) < 3 or values.shape[1] < 2:
        raise ValueError(f"至少要 3 个句子、2 维向量才画得出地图，现在的形状是 {values.shape}。")
    names = _names(labels, len(values), "labels", "个")
    kinds = [""] * len(values) if groups is None else _names(groups, len(values), "groups", "个")

    pca = PCA(n_components=2)
    points = pca.fit_transform(values)
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 5.5))
    for index, kind in enumerate(dict.fromkeys(kinds)):
        mine = points[[other == kind for other in kinds]]
        ax.scatter(
            *mine.T, s=45, label=kind,
            color=COLORS[index % len(COLORS)], marker=MARKERS[index % len(MARKERS)],
        )
    middle = points[:, 0].mean()
    for (x, y), name in zip(points, names, strict=True):
        right = x < middle
        ax.annotate(
            name, (x, y), xytext=(6 if right else -6, 0), textcoords="offset points",
            ha="left" if right else "right", va="center", fontsize=10,
        )
    share = 100 * pca.explained_variance_ratio_
    ax.set_xlabel(f"第一主成分（占方差 {share[0]:.0f}%）")
    ax.set_ylabel(f"第二主成分（占方差 {share[1]:.0f}%）")
    ax.margins(0.15)
    if groups is not None:
        ax.legend()
    return ax


def attention_map(weights, tokens, titles=None):
    """画注意力权重：一行是一个词元在看谁，颜色越深权重越大，一行之和是 1。

    ``weights``：(n, n) 或 (h, n, n)，h 个头各画一幅；``tokens``：n 个词元；``titles``：h 个标题，
    可省。返回长为 h 的 Axes 数组。

    形状不对、含 NaN、一行之和不是 1、个数对不上：抛 ValueError；词元给成一个字符串：抛 TypeError。
    """
    values = _numbers(weights, (2, 3), "weights")
    values = values[None] if values.ndim == 2 else values
    names = _names(tokens, values.shape[1], "tokens", "行")
    if values.shape[1] != values.shape[2]:
        raise ValueError(f"weights 的最后两维应当相等，现在是 {values.shape}。")
    if not np.allclose(values.sum(axis=-1), 1, atol=1e-3):
        raise ValueError("weights 每一行之和应当是 1：请传入 softmax 之后的注意力权重。")
    titles = [""] * len(values) if titles is None else _names(titles, len(values), "titles", "个")

    side = 1.0 + 0.3 * len(names)
    figure, axes = plt.subplots(
        1, len(values), figsize=(side * len(values), side), squeeze=False, layout="constrained"
    )
    for ax, matrix, title in zip(axes[0], values, titles, strict=True):
        heatmap(matrix, names, ax=ax, digits=None, vmin=0, vmax=1)
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("被看的词元")
        plt.setp(ax.get_xticklabels(), rotation=90, ha="center", rotation_mode="default")
    axes[0, 0].set_ylabel("正在看的词元")
    return axes[0]


def _numbers(values, dimensions: tuple, what: str) -> np.ndarray:
    """转成浮点数组；不是数、维数不对、是空的、含 NaN 或无穷时抛 ValueError。"""
    wanted = f"{what} 应当是非空的 {' 或 '.join(map(str, dimensions))} 维数组"
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}，每一行要一样长，而且都是数。") from error
    if array.ndim not in dimensions or array.size == 0:
        raise ValueError(f"{wanted}，现在的形状是 {array.shape}。")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} 里有 NaN 或无穷大，请先检查是怎么算出来的。")
    return array


def _names(values, count: int, what: str, unit: str) -> list[str]:
    """转成字符串列表；是单个字符串或者不是列表时抛 TypeError，个数不对时抛 ValueError。"""
    if isinstance(values, str) or not np.iterable(values):
        raise TypeError(f"{what} 应当是字符串的列表，现在是 {values!r}。")
    names = [str(value) for value in values]
    if len(names) != count:
        raise ValueError(f"{what} 有 {len(names)} 个，数据却有 {count} {unit}。")
    return names
