"""共用的图的测试：中文不缺字，数字、位置、颜色都对，错误的输入说得清。"""

import io
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.decomposition import PCA

from sbertbook import attention_map, heatmap, plot, sentence_map, use_chinese_font

WORDS = ["今天", "天气", "很好"]
MATRIX = np.array([[1.0, 0.25, 0.5], [0.25, 1.0, 0.126], [0.5, 0.126, 1.0]])


@pytest.fixture(autouse=True)
def clean_figures():
    """不开窗口；画完关掉，设置复原。"""
    plt.switch_backend("agg")
    with matplotlib.rc_context():
        yield
        plt.close("all")


def draw():
    """把当前的图画出来；有任何警告（例如缺字）就失败。"""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plt.gcf().savefig(io.BytesIO())


def test_chinese_font_has_every_glyph():
    use_chinese_font()
    plt.rcParams["font.family"] = ["DejaVu Sans"]  # 导入 zhplot 时已换过字体：先换回来
    use_chinese_font()
    plt.plot([-1, -2], label="繁體字：句向量，龘")
    plt.title("主成分 − 损失 ≥ 0.5 · “引号”《书名》")
    plt.legend()
    draw()
    labels = [text.get_text() for text in plt.gca().get_yticklabels()]
    assert any("−" in label for label in labels)


def test_without_the_font_glyphs_are_missing():
    plt.rcParams["font.family"] = ["DejaVu Sans"]
    plt.title("句向量")
    with pytest.raises(UserWarning, match="[Gg]lyph.*missing"):
        draw()


def test_heatmap_writes_every_number():
    use_chinese_font()
    ax = heatmap(MATRIX, WORDS)
    draw()
    assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in MATRIX.flat]
    assert [text.get_position() for text in ax.texts[:4]] == [(0, 0), (1, 0), (2, 0), (0, 1)]
    assert [text.get_text() for text in ax.get_xticklabels()] == WORDS
    assert [text.get_text() for text in ax.get_yticklabels()] == WORDS
    (image,) = ax.images
    assert image.get_clim() == (0.126, 1.0)
    np.testing.assert_array_equal(image.get_array(), MATRIX)


def test_heatmap_options():
    _, ax = plt.subplots()
    assert heatmap(MATRIX[:2], WORDS[:2], WORDS, ax=ax, digits=1, vmin=0, vmax=2) is ax
    assert [text.get_text() for text in ax.texts] == ["1.0", "0.2", "0.5", "0.2", "1.0", "0.1"]
    assert ax.images[0].get_clim() == (0, 2)
    assert len(ax.get_xticklabels()) == 3 and len(ax.get_yticklabels()) == 2
    assert len(heatmap(MATRIX, WORDS, digits=None).texts) == 0


def test_heatmap_text_is_readable_on_its_color():
    ax = heatmap([[0.0, 1.0]], ["甲"], ["乙", "丙"])
    assert [text.get_color() for text in ax.texts] == ["black", "white"]


def test_heatmap_color_shows_the_sign():
    (image,) = heatmap([[-0.2, 0.0], [0.4, 1.0]], WORDS[:2]).images
    assert image.get_clim() == (-1, 1)
    negative, zero, positive = (image.cmap(image.norm(value))[:3] for value in (-0.8, 0.0, 0.8))
    assert min(zero) > 0.95
    assert negative[0] > negative[2] + 0.2 and positive[2] > positive[0] + 0.2
    (image,) = heatmap(MATRIX, WORDS).images
    light, dark = (sum(image.cmap(image.norm(value))[:3]) for value in (0.126, 1.0))
    assert light > dark + 1


def points_of(ax):
    return np.concatenate([np.asarray(group.get_offsets()) for group in ax.collections])


VECTORS = np.random.default_rng(0).normal(size=(6, 20)) * np.linspace(3, 0.1, 20)
NAMES = ["一", "二", "三", "四", "五", "六"]


def test_sentence_map_is_a_pca():
    use_chinese_font()
    ax = sentence_map(VECTORS, NAMES)
    draw()
    pca = PCA(n_components=2)
    expected = pca.fit_transform(VECTORS)
    np.testing.assert_allclose(points_of(ax), expected, atol=1e-8)
    assert [text.get_text() for text in ax.texts] == NAMES
    np.testing.assert_allclose([text.xy for text in ax.texts], expected, atol=1e-8)
    first, second = 100 * pca.explained_variance_ratio_
    assert ax.get_xlabel() == f"第一主成分（占方差 {first:.0f}%）"
    assert ax.get_ylabel() == f"第二主成分（占方差 {second:.0f}%）"
    assert ax.get_legend() is None


def test_sentence_map_groups():
    groups = ["甲", "乙", "甲", "丙", "乙", "甲"]
    _, ax = plt.subplots()
    assert sentence_map(VECTORS, NAMES, groups, ax=ax) is ax
    assert [len(group.get_offsets()) for group in ax.collections] == [3, 2, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["甲", "乙", "丙"]
    colors = {tuple(group.get_facecolor()[0]) for group in ax.collections}
    shapes = {group.get_paths()[0].vertices.tobytes() for group in ax.collections}
    assert len(colors) == len(shapes) == 3
    expected = PCA(n_components=2).fit_transform(VECTORS)[[0, 2, 5, 1, 4, 3]]
    np.testing.assert_allclose(points_of(ax), expected, atol=1e-8)


def test_colors_and_markers_are_distinct():
    assert len(set(plot.COLORS)) == len(plot.COLORS) == len(set(plot.MARKERS)) == 7


WEIGHTS = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])


def test_attention_map():
    use_chinese_font()
    axes = attention_map([WEIGHTS, WEIGHTS[::-1]], WORDS, ["头一", "头二"])
    draw()
    assert len(axes) == 2 and len(plt.gcf().axes) == 2
    assert [ax.get_title() for ax in axes] == ["头一", "头二"]
    for ax in axes:
        assert [text.get_text() for text in ax.get_xticklabels()] == WORDS
        assert ax.images[0].get_clim() == (0, 1) and len(ax.texts) == 0
    np.testing.assert_array_equal(axes[0].images[0].get_array(), WEIGHTS)
    np.testing.assert_array_equal(axes[1].images[0].get_array(), WEIGHTS[::-1])
    assert len(attention_map(WEIGHTS, WORDS)) == 1


NAN = np.where(MATRIX == 0.25, np.nan, MATRIX)
BAD = [
    (heatmap, ([], []), ValueError, "非空的 2 维数组"),
    (heatmap, (np.empty((0, 3)), []), ValueError, "非空的 2 维数组"),
    (heatmap, (None, WORDS), ValueError, "非空的 2 维数组"),
    (heatmap, ("句子", WORDS), ValueError, "都是数"),
    (heatmap, ([[1, 2], [3]], WORDS[:2]), ValueError, "一样长"),
    (heatmap, (MATRIX[0], WORDS), ValueError, r"2 维数组.*\(3,\)"),
    (heatmap, (MATRIX[None], WORDS), ValueError, r"2 维数组.*\(1, 3, 3\)"),
    (heatmap, (NAN, WORDS), ValueError, "NaN"),
    (heatmap, (MATRIX * np.inf, WORDS), ValueError, "无穷大"),
    (heatmap, (MATRIX, WORDS[:2]), ValueError, "labels 有 2 个，数据却有 3 行"),
    (heatmap, (MATRIX, WORDS, WORDS[:2]), ValueError, "column_labels 有 2 个，数据却有 3 列"),
    (heatmap, (MATRIX, "一二三"), TypeError, "labels 应当是字符串的列表"),
    (heatmap, (MATRIX, None), TypeError, "labels 应当是字符串的列表"),
    (heatmap, (MATRIX, 3), TypeError, "labels 应当是字符串的列表"),
    (heatmap, (MATRIX[:2], WORDS[:2]), TypeError, "column_labels 应当是字符串的列表"),
    (sentence_map, ([], []), ValueError, "非空的 2 维数组"),
    (sentence_map, (None, NAMES), ValueError, "非空的 2 维数组"),
    (sentence_map, (VECTORS[0], NAMES), ValueError, "2 维数组"),
    (sentence_map, (VECTORS * np.nan, NAMES), ValueError, "NaN"),
    (sentence_map, (VECTORS[:2], NAMES[:2]), ValueError, "至少要 3 个句子"),
    (sentence_map, (VECTORS[:, :1], NAMES), ValueError, "至少要 3 个句子、2 维向量"),
    (sentence_map, (VECTORS, NAMES[:5]), ValueError, "labels 有 5 个，数据却有 6 个"),
    (sentence_map, (VECTORS, NAMES, ["甲"]), ValueError, "groups 有 1 个，数据却有 6 个"),
    (sentence_map, (VECTORS, "一二三四五六"), TypeError, "labels 应当是字符串的列表"),
    (sentence_map, (VECTORS, None), TypeError, "labels 应当是字符串的列表"),
    (attention_map, ([], []), ValueError, "非空的 2 或 3 维数组"),
    (attention_map, (None, WORDS), ValueError, "非空的 2 或 3 维数组"),
    (attention_map, ("句子", WORDS), ValueError, "都是数"),
    (attention_map, (WEIGHTS[0], WORDS), ValueError, "2 或 3 维数组"),
    (attention_map, (WEIGHTS[None, None], WORDS), ValueError, "2 或 3 维数组"),
    (attention_map, (WEIGHTS * np.nan, WORDS), ValueError, "NaN"),
    (attention_map, (WEIGHTS[:2], WORDS[:2]), ValueError, "最后两维应当相等"),
    (attention_map, (WEIGHTS * 1.01, WORDS), ValueError, "每一行之和应当是 1"),
    (attention_map, (WEIGHTS.T, WORDS), ValueError, "每一行之和应当是 1"),
    (attention_map, (WEIGHTS, WORDS[:2]), ValueError, "tokens 有 2 个，数据却有 3 行"),
    (attention_map, (WEIGHTS, WORDS, ["甲", "乙"]), ValueError, "titles 有 2 个，数据却有 1 个"),
    (attention_map, (WEIGHTS, "一二三"), TypeError, "tokens 应当是字符串的列表"),
]


@pytest.mark.parametrize("function, arguments, kind, message", BAD)
def test_bad_input(function, arguments, kind, message):
    with pytest.raises(kind, match=message) as caught:
        function(*arguments)
    assert caught.type is kind
    assert plt.get_fignums() == []
