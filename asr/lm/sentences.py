"""Text for language models: one sentence a line, plain or compressed, or the transcripts of manifests.

Files are streamed: `novels.txt.xz` is never unpacked on disk nor held in memory.
"""

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from asr.errors import TextError
from asr.text.normalise import normalise
from asr.text.tokenizer import SPACE

Units = Literal["word", "character"]
OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}


def open_text(path: Path | str) -> IO[str]:
    """A text file in UTF-8, unpacked on the way where it ends in .gz or .xz."""
    path = Path(path)
    opened: IO[str] = OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8-sig", newline="\n")
    return opened


def read_sentences(path: Path | str, scheme: str = "none") -> Iterator[str]:
    """The sentences of a text (.txt, .gz, .xz) or of a JSONL manifest (its `text`), normalised; empty ones left out.

    scheme: one of asr.text.normalise.SCHEMES. Raises TextError naming file and line.
    """
    path = Path(path)
    manifest = ".jsonl" in path.suffixes
    number = 0
    line = ""
    try:
        with open_text(path) as file:
            for line in file:
                number += 1  # stays at the bad line
                if manifest and line.strip():
                    line = json.loads(line)["text"]
                if sentence := normalise(line.rstrip(), scheme):
                    yield sentence
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        place = f" after line {number}" if number else ""
        reason = getattr(error, "strerror", None) or error
        raise TextError(f"{path}: the text cannot be read{place}: {reason}") from error
    except TextError as error:
        raise TextError(f"{path}:{number}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TextError(
            f"{path}:{number}: found {line.strip()[:80]!r} ({type(error).__name__}: {error}); a manifest wants "
            'one JSON object a line, with "text"'
        ) from error


def split(sentence: str, units: Units) -> list[str]:
    """The symbols that a model predicts: the words, or the characters with the space written as `<space>`."""
    return sentence.split() if units == "word" else [SPACE if c == " " else c for c in sentence]
