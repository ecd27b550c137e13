"""Readers of public corpora, on small trees in each publisher's layout, and on the mirror where it is present."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from asr.data.corpora import CORPORA, fsdd, get, ljspeech, speechocean762, yesno
from asr.data.corpora.base import AudioFinder, Corpus, read_pairs, read_table
from asr.data.corpora.common_voice import language
from asr.data.manifest import Utterance
from asr.errors import CorpusError


def make(root: Path, files: dict[str, str]) -> Path:
    """Files with these contents below `root`; audio is not opened by the readers, so any content will do."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


def texts(utterances: Iterable[Utterance]) -> dict[str, str]:
    return {utterance.id: utterance.text for utterance in utterances}


def ids(corpus: Corpus, root: Path, split: str) -> list[str]:
    return [utterance.id for utterance in corpus.utterances(root, split)]


# ------------------------------------------------------------------------------------------------- every corpus


@pytest.mark.parametrize("name", CORPORA)
def test_descriptions_are_complete(name: str) -> None:
    corpus = get(name)
    assert corpus.name == name
    assert corpus.licence and corpus.homepage.startswith("http") and corpus.notes
    assert corpus.splits and not set(corpus.splits) & set(corpus.extra_splits)
    for archive in corpus.archives:
        assert archive.url.startswith("http")
        assert set(archive.splits) <= set(corpus.splits)
        assert archive.md5 is None or re.fullmatch("[0-9a-f]{32}", archive.md5)
        assert archive.sha256 is None or re.fullmatch("[0-9a-f]{64}", archive.sha256)


def test_an_unknown_corpus_is_told_with_those_there_are() -> None:
    with pytest.raises(CorpusError, match="no corpus 'timit'.*speechocean762.*folder"):
        get("timit")


def test_the_root_is_found_below_and_named_when_absent(tmp_path: Path) -> None:
    corpus = get("an4")
    with pytest.raises(CorpusError, match="no etc/an4_train.transcription in it or below it"):
        corpus.find_root(tmp_path)
    make(tmp_path, {"download/an4/etc/an4_train.transcription": ""})
    assert corpus.find_root(tmp_path) == tmp_path / "download" / "an4"
    assert corpus.find_root(tmp_path / "download" / "an4") == tmp_path / "download" / "an4"


def test_two_copies_are_told(tmp_path: Path) -> None:
    make(tmp_path, {"cv/en/train.tsv": "", "cv/de/train.tsv": ""})
    with pytest.raises(CorpusError, match="several copies"):
        get("common_voice").find_root(tmp_path)


def test_unknown_and_absent_splits_are_told(tmp_path: Path) -> None:
    corpus = get("librispeech")
    make(tmp_path, {"dev-clean/1/2/1-2.trans.txt": "1-2-0000 HELLO\n"})
    assert corpus.choose_splits(tmp_path, None) == ("dev-clean",)
    with pytest.raises(CorpusError, match="no split test-clean.*There: dev-clean"):
        corpus.choose_splits(tmp_path, ["test-clean"])
    with pytest.raises(CorpusError, match="no split tset.*train-clean-100"):
        corpus.needed(["tset"])
    assert [archive.filename for archive in corpus.needed(["dev-clean"])] == ["dev-clean.tar.gz"]


def test_audio_is_found_by_stem(tmp_path: Path) -> None:
    make(tmp_path, {"1.opus": "", "2.FLAC": "", "3.mp3": "", "3.wav": "", "a.b.ogg": "", "4.txt": ""})
    find = AudioFinder()
    found = [find(tmp_path / name) for name in ("1.wav", "2.wav", "3.flac", "a.b", "4.wav", "1.opus", "none/1.wav")]
    names = [path.name if path else None for path in found]
    assert names == ["1.opus", "2.FLAC", "3.wav", "a.b.ogg", None, "1.opus", None]


def test_lists_tell_file_and_line(tmp_path: Path) -> None:
    make(tmp_path, {"pairs": "a 1\n\nb\n", "twice": "a 1\na 2\n", "table": "x\ty\n1\t2\n3\n"})
    (tmp_path / "latin1").write_bytes("a Ä\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="pairs:3: 'b' has a key and no value"):
        read_pairs(tmp_path / "pairs")
    with pytest.raises(CorpusError, match="twice:2: 'a' stands here a second time"):
        read_pairs(tmp_path / "twice")
    with pytest.raises(CorpusError, match="table:3: 1 fields, but the header has 2"):
        list(read_table(tmp_path / "table"))
    with pytest.raises(CorpusError, match="no column z; its columns are: x, y"):
        list(read_table(tmp_path / "table", ["x", "z"]))
    with pytest.raises(CorpusError, match="latin1: not UTF-8"):
        read_pairs(tmp_path / "latin1")
    with pytest.raises(CorpusError, match="absent: not there"):
        read_pairs(tmp_path / "absent")


# ------------------------------------------------------------------------------------------------- one by one


def tiny_speechocean(root: Path) -> Path:
    """Four girls, boys, women and men in train, one sentence each; one girl in test."""
    speakers = {f"{group}{k}": (age + k, group[0]) for group, age in ECHO.items() for k in range(4)}
    lines = {
        "train/spk2age": [f"{name}\t{age}" for name, (age, _) in speakers.items()],
        "train/spk2gender": [f"{name} {gender}" for name, (_, gender) in speakers.items()],
        "train/wav.scp": [f"u{name}\tWAVE/SPEAKER{name}/u{name}.WAV" for name in speakers],
        "train/text": [f"u{name}\tWE CALL IT BEAR" for name in speakers],
        "train/utt2spk": [f"u{name} {name}" for name in speakers],
        "test/wav.scp": ["t1 WAVE/SPEAKERt/t1.WAV"],
        "test/text": ["t1 I'M FINE"],
        "test/utt2spk": ["t1 t"],
    }
    return make(root, {name: "\n".join(content) + "\n" for name, content in lines.items()})


ECHO = {"fgirl": 6, "mboy": 6, "fwoman": 20, "mman": 30}  # group -> age of its youngest


def test_speechocean762(tmp_path: Path) -> None:
    root = tiny_speechocean(tmp_path)
    corpus = speechocean762.CORPUS
    train, dev, test, full = (ids(corpus, root, split) for split in ("train", "dev", "test", "train-full"))
    assert sorted(train + dev) == sorted(full) and len(full) == 16
    assert test == ["t1"]
    # groups of four give two each: those at a quarter and three quarters of the ages
    assert sorted(dev) == sorted(f"u{group}{k}" for group in ECHO for k in (1, 3))
    first = next(iter(corpus.utterances(root, "test")))
    assert (first.text, first.speaker) == ("I'M FINE", "t")
    assert first.audio_filepath == str(root / "WAVE" / "SPEAKERt" / "t1.WAV")


def test_speechocean762_with_holes(tmp_path: Path) -> None:
    root = tiny_speechocean(tmp_path)
    make(root, {"test/text": "t2 HELLO\n"})
    with pytest.raises(CorpusError, match="utterance t1 is not in both"):
        ids(speechocean762.CORPUS, root, "test")
    make(root, {"train/spk2age": "fgirl0 young\n"})
    with pytest.raises(CorpusError, match="speaker fgirl0 has age 'young'"):
        ids(speechocean762.CORPUS, root, "dev")


LIBRISPEECH = {
    "dev-clean/84/1/84-1.trans.txt": "84-1-0000 BUT WITH FULL\n84-1-0001 ALL WATERS\n",
    "dev-clean/99/2/99-2.trans.txt": "99-2-0000 THOU MAKEST\n",
    "test-other/7/3/7-3.trans.txt": "7-3-0000 IT'S\n",
}


def test_librispeech(tmp_path: Path) -> None:
    root = make(tmp_path, LIBRISPEECH)
    corpus = get("librispeech")
    assert corpus.choose_splits(root, None) == ("dev-clean", "test-other")
    assert texts(corpus.utterances(root, "dev-clean")) == {
        "84-1-0000": "BUT WITH FULL",
        "84-1-0001": "ALL WATERS",
        "99-2-0000": "THOU MAKEST",
    }
    (utterance,) = corpus.utterances(root, "test-other")
    assert utterance.audio_filepath == str(root / "test-other" / "7" / "3" / "7-3-0000.flac")
    assert utterance.speaker == "7"


def test_librispeech_excerpt_with_its_own_division(tmp_path: Path) -> None:
    root = make(tmp_path, LIBRISPEECH | {"speakers_split.tsv": "speaker\tsplit\n84\ttrain\n99\tdev\n7\ttest\n"})
    corpus = get("librispeech")
    assert corpus.choose_splits(root, None) == ("train", "dev", "test")
    assert corpus.choose_splits(root, ["dev-clean"]) == ("dev-clean",)
    assert ids(corpus, root, "train") == ["84-1-0000", "84-1-0001"]
    assert ids(corpus, root, "dev") == ["99-2-0000"]
    assert ids(corpus, root, "test") == ["7-3-0000"]


def test_mini_librispeech(tmp_path: Path) -> None:
    root = make(tmp_path, {"LibriSpeech/train-clean-5/1/2/1-2.trans.txt": "1-2-0000 A B\n"})
    corpus = get("mini_librispeech")
    root = corpus.find_root(root)
    assert corpus.choose_splits(root, None) == ("train-clean-5",)
    assert texts(corpus.utterances(root, "train-clean-5")) == {"1-2-0000": "A B"}


def test_fsdd(tmp_path: Path) -> None:
    root = make(tmp_path, {f"recordings/{digit}_theo_{take}.wav": "" for digit in (0, 7) for take in range(50)})
    corpus = fsdd.CORPUS
    parts = {split: texts(corpus.utterances(root, split)) for split in ("train", "dev", "test", "train-full")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 80, "dev": 10, "test": 10, "train-full": 90}
    assert parts["test"] == {f"{d}_theo_{k}": word for d, word in ((0, "ZERO"), (7, "SEVEN")) for k in range(5)}
    assert parts["train"].keys() | parts["dev"].keys() == parts["train-full"].keys()
    make(root, {"recordings/strange.wav": ""})
    with pytest.raises(CorpusError, match="strange.wav: wanted a name like"):
        ids(corpus, root, "train")


def test_yesno(tmp_path: Path) -> None:
    names = [f"{k:08b}" for k in range(60)]
    root = make(tmp_path, {"_".join(name) + ".wav": "" for name in reversed(names)} | {"README": ""})
    corpus = yesno.CORPUS
    assert corpus.find_root(root) == root
    train, dev, test, full = (ids(corpus, root, split) for split in ("train", "dev", "test", "train-full"))
    assert (len(train), len(dev), len(test)) == (28, 3, 29)
    assert sorted(train + dev) == full and len(full) == 31 and full + test == sorted(full + test)
    assert texts(corpus.utterances(root, "test"))["0_0_1_1_0_0_0_1"] == "NO NO YES YES NO NO NO YES"


def test_ljspeech(tmp_path: Path) -> None:
    lines = [f"LJ001-{k:04d}|Chapter {k}.|Chapter number {k}." for k in range(1, 41)] + ['LJ002-0001|"Said.|']
    root = make(tmp_path, {"metadata.csv": "\n".join(lines)})
    corpus = ljspeech.CORPUS
    assert ids(corpus, root, "test") == ["LJ001-0020", "LJ001-0040"]
    assert ids(corpus, root, "dev") == ["LJ001-0010", "LJ001-0030"]
    assert len(ids(corpus, root, "train")) == 37 and len(ids(corpus, root, "all")) == 41
    found = texts(corpus.utterances(root, "train"))
    assert found["LJ001-0001"] == "Chapter number 1." and found["LJ002-0001"] == '"Said.'
    make(root, {"metadata.csv": "LJ001-0001,hello\n"})
    with pytest.raises(CorpusError, match="metadata.csv:1"):
        ids(corpus, root, "all")


def tiny_an4(root: Path, ending: str = "sph") -> Path:
    speakers = [f"s{k:02d}" for k in range(12)]
    train = [f"<s> YES {'A B' if k % 2 else 'GO'} </s> (an{k}-{name}-b)" for k, name in enumerate(speakers)]
    audio = {f"wav/an4_clstk/{name}/an{k}-{name}-b.{ending}": "" for k, name in enumerate(speakers)}
    lists = {
        "etc/an4_train.transcription": "\n".join(train) + "\n",
        "etc/an4_test.transcription": "RUBOUT G M (cen1-test-b)\n",
    }
    return make(root, lists | audio | {f"wav/an4test_clstk/test/cen1-test-b.{ending}": ""})


def test_an4(tmp_path: Path) -> None:
    root = tiny_an4(tmp_path / "an4")
    corpus = get("an4")
    (test,) = corpus.utterances(root, "test")
    assert (test.id, test.text, test.speaker) == ("cen1-test-b", "RUBOUT G M", "test")
    assert test.audio_filepath == str(root / "wav" / "an4test_clstk" / "test" / "cen1-test-b.sph")
    train, dev, full = (texts(corpus.utterances(root, split)) for split in ("train", "dev", "train-full"))
    assert dev == {"an4-s04-b": "YES GO"}
    assert train | dev == full and len(full) == 12
    make(root, {"etc/an4_test.transcription": "RUBOUT G M\n"})
    with pytest.raises(CorpusError, match="an4_test.transcription:1: 'RUBOUT G M', wanted"):
        ids(corpus, root, "test")


def test_common_voice(tmp_path: Path) -> None:
    header = "client_id\tpath\tsentence_id\tsentence\tup_votes\tlocale\n"
    rows = 'abc\tcommon_voice_de_1.mp3\tx\t"Ja" sagte er: "Nein.\t2\tde\nabd\tcommon_voice_de_2\tx\tÄpfel\t2\tde\n'
    root = make(tmp_path / "cv-corpus-99" / "de", {"train.tsv": header + rows, "validated.tsv": header + rows})
    corpus = get("common_voice")
    assert corpus.find_root(tmp_path) == root
    assert corpus.choose_splits(root, None) == ("train",)
    assert corpus.choose_splits(root, ["validated"]) == ("validated",)
    found = list(corpus.utterances(root, "train"))
    assert [utterance.text for utterance in found] == ['"Ja" sagte er: "Nein.', "Äpfel"]
    assert [utterance.speaker for utterance in found] == ["abc", "abd"]
    assert found[0].audio_filepath == str(root / "clips" / "common_voice_de_1.mp3")
    assert corpus.scheme(root) == "basic"


def test_common_voice_language_without_a_column(tmp_path: Path) -> None:
    root = make(tmp_path / "x", {"test.tsv": "client_id\tpath\tsentence\na\tcommon_voice_en_7.mp3\tHello.\n"})
    assert language(root) == "en" and get("common_voice").scheme(root) == "english"
    root = make(tmp_path / "sv-SE", {"test.tsv": "client_id\tpath\tsentence\na\tclip.mp3\tHej.\n"})
    assert language(root) == "sv-SE"
    with pytest.raises(CorpusError, match="cannot|nothing to download.*--source"):
        get("common_voice").needed(None)


# ------------------------------------------------------------------------------------------------- the mirror

IN_MIRROR = {  # utterances and speakers of each split
    "speechocean762": {"train": (2260, 113), "dev": (240, 12), "test": (2500, 125), "train-full": (2500, 125)},
    "librispeech": {"train": (655, 10), "dev": (75, 1), "test": (95, 2), "dev-clean": (825, 13)},
    "fsdd": {"train": (2400, 6), "dev": (300, 6), "test": (300, 6), "train-full": (2700, 6)},
    "yesno": {"train": (28, 1), "dev": (3, 1), "test": (29, 1)},
    "ljspeech": {"train": (156, 1), "dev": (7, 1), "test": (6, 1), "all": (169, 1)},
    "common_voice": {"train": (1671, 290), "dev": (129, 36), "test": (125, 46)},
}


@pytest.mark.parametrize("name", IN_MIRROR)
def test_mirror(name: str, mirror: Path) -> None:
    corpus = get(name)
    root = corpus.find_root(mirror)
    find = AudioFinder()
    speakers: dict[str, set[str | None]] = {}
    for split, (count, speaker_count) in IN_MIRROR[name].items():
        found = list(corpus.utterances(root, split))
        speakers[split] = {utterance.speaker for utterance in found}
        assert (len(found), len(speakers[split])) == (count, speaker_count), split
        assert len({utterance.id for utterance in found}) == count
        assert all(utterance.text and find(Path(utterance.audio_filepath)) for utterance in found)
    if name in ("speechocean762", "librispeech", "common_voice"):  # the others divide one group of speakers by take
        assert not speakers["train"] & speakers["dev"] | speakers["train"] & speakers["test"]
        assert not speakers["dev"] & speakers["test"]


def test_speechocean762_dev_speakers_are_spread(mirror: Path) -> None:
    root = speechocean762.CORPUS.find_root(mirror)
    ages, genders = (read_pairs(root / "train" / name) for name in ("spk2age", "spk2gender"))
    chosen = speechocean762.dev_speakers(root)
    groups = [(genders[speaker], int(ages[speaker]) >= speechocean762.ADULT_FROM) for speaker in chosen]
    assert {group: groups.count(group) for group in groups} == {(g, a): 3 for g in "fm" for a in (True, False)}
    assert len({ages[speaker] for speaker in chosen}) >= 8
