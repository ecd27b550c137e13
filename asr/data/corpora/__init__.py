"""Public corpora, one module each. A new one is a module with a `CORPUS` and one line in `CORPORA`."""

from importlib import import_module
from typing import TYPE_CHECKING

from asr.errors import CorpusError

if TYPE_CHECKING:
    from asr.data.corpora.base import Corpus

# name on the command line -> module (imported when asked for, so that `asr --help` stays quick)
CORPORA: dict[str, str] = {
    "speechocean762": "asr.data.corpora.speechocean762",
    "librispeech": "asr.data.corpora.librispeech",
    "mini_librispeech": "asr.data.corpora.mini_librispeech",
    "fsdd": "asr.data.corpora.fsdd",
    "yesno": "asr.data.corpora.yesno",
    "an4": "asr.data.corpora.an4",
    "ljspeech": "asr.data.corpora.ljspeech",
    "common_voice": "asr.data.corpora.common_voice",
}


def get(name: str) -> "Corpus":
    """The corpus of that name. Raises CorpusError, with the names there are, for another."""
    if name not in CORPORA:
        raise CorpusError(f"no corpus {name!r}; there are: {', '.join(CORPORA)}, and `folder` for your own recordings")
    corpus: Corpus = import_module(CORPORA[name]).CORPUS
    return corpus
