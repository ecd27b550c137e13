"""Public corpora, one module each. A new one is a module with a `CORPUS` and one line in `CORPORA`."""

from importlib import import_module
from typing import TYPE_CHECKING

from asr.errors import CorpusError

if TYPE_CHECKING:
    from asr.corpora.base import Corpus

# name on the command line -> module (imported when asked for, so that `asr --help` stays quick)
CORPORA: dict[str, str] = {
    "speechocean762": "asr.corpora.speechocean762",
    "librispeech": "asr.corpora.librispeech",
    "mini_librispeech": "asr.corpora.mini_librispeech",
    "fsdd": "asr.corpora.fsdd",
    "yesno": "asr.corpora.yesno",
    "an4": "asr.corpora.an4",
    "ljspeech": "asr.corpora.ljspeech",
    "common_voice": "asr.corpora.common_voice",
}


def get(name: str) -> "Corpus":
    """The corpus of that name. Raises CorpusError, with the names there are, for another."""
    if name not in CORPORA:
        raise CorpusError(f"no corpus {name!r}; there are: {', '.join(CORPORA)}, and `folder` for your own recordings")
    corpus: Corpus = import_module(CORPORA[name]).CORPUS
    return corpus
