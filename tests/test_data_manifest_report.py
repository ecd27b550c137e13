"""The report of `asr info`: its figures, and each suspicious thing found where it was put and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data import manifest
from asr.data.manifest import Utterance
from asr.data.manifest_report import Report, histogram, report
from asr.errors import ManifestError
from asr.text.phones import PhoneTokenizer
from asr.text.subwords import SubwordTokenizer
from asr.text.tokenizer import CharacterTokenizer


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a file of 4 seconds."""
    soundfile.write(tmp_path / "four.wav", np.zeros(4 * 8_000, np.float32), 8_000)
    return tmp_path


def write(folder: Path, name: str, *rows: tuple, audio: str = "four.wav") -> Path:
    """Rows: id, text, then what else Utterance takes; 1 s at the row's number unless they say otherwise."""
    path = folder / f"{name}.jsonl"
    utterances = []
    for place, (id, text, *more) in enumerate(rows):
        settings = {"audio_filepath": str(folder / audio), "duration": 1.0, "offset": float(place)}
        utterances.append(Utterance(id=id, text=text, **settings | (more[0] if more else {})))
    manifest.write(path, utterances)
    return path


def concerns(found: Report) -> dict[str, list[str]]:
    return {concern.title: concern.items for concern in found.concerns}


def only(found: Report, title: str) -> list[str]:
    """The items of the one concern, which has this title."""
    ((name, items),) = concerns(found).items()
    assert name.startswith(title)
    return items


def test_a_clean_manifest(world: Path) -> None:
    path = write(
        world,
        "train",
        ("a", "yes", {"speaker": "ann"}),
        ("b", "no no", {"speaker": "ann", "duration": 2.0}),
        ("c", "oh", {"speaker": "bob", "offset": 3.0}),
    )
    found = report([path])
    assert (
        str(found)
        == f"""{path}
  utterances   3, 0.07 min
  speakers     2, with 1 to 2 utterances each
  audio        8,000 Hz x 1: 1 files
  words        4
  characters   10 of 7 kinds: ' ' e h n o s y
  durations    1.00 to 2.00 s, mean 1.33, median 1.00
    1.0 - 1.1 s 2 ########################################
    1.1 - 1.2 s 0
    1.2 - 1.3 s 0
    1.3 - 1.4 s 0
    1.4 - 1.5 s 0
    1.5 - 1.6 s 0
    1.6 - 1.7 s 0
    1.7 - 1.8 s 0
    1.8 - 1.9 s 0
    1.9 - 2.0 s 0
    2.0 - 2.1 s 1 ####################
  slowest talkers, characters a second
       2.0  c  'oh'
       2.5  b  'no no'
       3.0  a  'yes'
  fastest talkers, characters a second
       3.0  a  'yes'
       2.5  b  'no no'
       2.0  c  'oh'

nothing suspicious found"""
    )


def test_several_manifests_are_summed_up(world: Path) -> None:
    hour = {"duration": 1800.0, "audio_filepath": str(world / "gone.wav")}
    found = report([write(world, "a", ("1", "x", hour)), write(world, "b", ("2", "y", hour)), write(world, "c")])
    assert "together: 2 utterances, 1.00 h" in str(found)
    assert f"{world / 'c.jsonl'}\n  no rows" in str(found)


def test_rows_without_speaker_are_counted(world: Path) -> None:
    text = str(report([write(world, "train", ("a", "yes", {"speaker": "ann"}), ("b", "no"))]))
    assert "speakers     1, with 1 utterances each; 1 rows name none" in text


def test_talkers_come_in_order_and_at_most_five_of_them(world: Path) -> None:
    path = write(world, "train", *((str(n), "x" * n, {"offset": n / 4}) for n in (3, 7, 1, 5, 2, 6, 4)))
    talkers = str(report([path])).split("talkers, characters a second\n")
    assert [line.split()[1] for line in talkers[1].splitlines()[:-1]] == ["1", "2", "3", "4", "5"]
    assert [line.split()[1] for line in talkers[2].splitlines()[:5]] == ["7", "6", "5", "4", "3"]


def test_missing_and_unreadable_files(world: Path) -> None:
    (world / "text.wav").write_text("not sound at all " * 20, encoding="utf-8")
    path = write(
        world,
        "train",
        ("good", "a"),
        ("gone", "b", {"audio_filepath": str(world / "gone.wav")}),
        ("text", "c", {"audio_filepath": str(world / "text.wav")}),
    )
    found = concerns(report([path]))
    assert found.keys() == {"missing sound files", "sound files that cannot be read"}
    assert found["missing sound files"] == [f"{path}: gone: {world / 'gone.wav'}"]
    (line,) = found["sound files that cannot be read"]
    assert line.startswith(f"{path}: text: {world / 'text.wav'}: not audio")


def test_rows_beyond_the_end_of_their_file(world: Path) -> None:
    path = write(world, "train", ("a", "x", {"offset": 3.05}), ("b", "y", {"offset": 3.5}))
    assert only(report([path]), "rows that reach beyond") == [
        f"{path}: b: ends at 4.50 s, the file at 4.00 s: {world / 'four.wav'}"
    ]


def test_empty_texts(world: Path) -> None:
    path = write(world, "train", ("a", "x"), ("b", ""), ("c", "  "), ("d", "", {"pred_text": "a guess"}))
    assert only(report([path]), "empty texts") == [f"{path}: b", f"{path}: c"]


@pytest.mark.parametrize("unknown", ["error", "skip"])
def test_symbols_outside_the_alphabet(world: Path, unknown: str) -> None:
    path = write(world, "train", ("a", "abba"), ("b", "añ ñ"), ("c", "b!"))
    tokenizer = CharacterTokenizer.build(["ab"], unknown)
    assert only(report([path], tokenizer), "symbols that the tokenizer does not know") == [
        f"'ñ' (U+00F1 LATIN SMALL LETTER N WITH TILDE): 2 times, first in {path}: b",
        f"' ' (U+0020 SPACE): 1 times, first in {path}: b",
        f"'!' (U+0021 EXCLAMATION MARK): 1 times, first in {path}: c",
    ]
    assert tokenizer.unknown == unknown


def test_words_without_pronunciation(world: Path) -> None:
    (world / "lexicon.txt").write_text("YES Y EH S\nNO N OW\n", encoding="utf-8")
    tokenizer = PhoneTokenizer.build(["yes no"], [world / "lexicon.txt"])
    path = write(world, "train", ("a", "yes"), ("b", "maybe no"))
    assert only(report([path], tokenizer), "symbols") == [f"maybe: 1 times, first in {path}: b"]


def test_symbols_outside_a_subword_alphabet(world: Path) -> None:
    tokenizer = SubwordTokenizer.build(["yes no", "no yes no"], 8)
    path = write(world, "train", ("a", "yes no"), ("b", "No"))
    (line,) = only(report([path], tokenizer), "symbols")
    assert line.startswith("'N' (U+004E LATIN CAPITAL LETTER N): 1 times")


def test_too_few_frames_for_the_labels(world: Path) -> None:
    """CTC needs a blank between two equal labels: four frames for "aab", three for "aba"."""
    three = {"duration": 0.12}
    path = write(world, "train", ("a", "aba", three), ("b", "aab", three), ("c", "aab", {"duration": 0.16}))
    assert only(report([path]), "too few frames for CTC (characters at 0.04 s a frame)") == [
        f"{path}: b: 0.12 s are 3 frames, 4 are needed: 'aab'"
    ]
    assert len(only(report([path], None, 0.08), "too few frames")) == 3
    assert not report([path], None, 0.02).concerns


def test_frames_are_those_of_the_tokenizers_labels(world: Path) -> None:
    (world / "lexicon.txt").write_text("THOUGH DH OW\n", encoding="utf-8")
    tokenizer = PhoneTokenizer.build(["though"], [world / "lexicon.txt"])
    path = write(world, "train", ("a", "though", {"duration": 0.1}))
    assert not report([path], tokenizer).concerns
    assert len(only(report([path]), "too few frames")) == 1


def test_the_same_audio_twice(world: Path) -> None:
    one = write(world, "one", ("a", "x"), ("b", "y", {"offset": 0.0}))
    two = write(world, "two", ("c", "z", {"offset": 0.0, "duration": 1.5}), ("d", "q", {"offset": 0.0}))
    assert only(report([one, two]), "the same stretch of audio") == [
        f"{world / 'four.wav'}, 0 to 1 s: {one}: a = {one}: b = {two}: d"
    ]


def test_what_two_manifests_share(world: Path) -> None:
    train = write(
        world,
        "train",
        ("a", "Good  morning", {"speaker": "ann"}),
        ("b", "hello", {"speaker": "bob"}),
        ("n", "train only"),  # rows without a speaker share none
    )
    test = write(
        world,
        "test",
        ("x", "good morning", {"speaker": "cyd", "offset": 0.5}),
        ("b", "bye", {"speaker": "ann", "offset": 1.5}),
        ("y", "good morning", {"speaker": "ann", "offset": 2.5}),
        ("z", "test only", {"offset": 2.75}),
    )
    found = concerns(report([train, test]))
    where = f"1 in {train} and {test}, in {{}} of the latter's 4 rows: {{}}"
    assert found == {
        "pairs of manifests with the same ids": [where.format(1, "'b'")],
        "pairs of manifests with the same speakers": [where.format(2, "'ann'")],
        "pairs of manifests with the same sentences": [where.format(2, "'good morning'")],
    }


def test_every_pair_of_manifests_is_compared(world: Path) -> None:
    paths = [write(world, name, (name, "same words", {"offset": float(place)})) for place, name in enumerate("abc")]
    assert len(only(report(paths), "pairs of manifests with the same sentences")) == 3


def test_long_lists_are_cut_in_the_text_alone(world: Path) -> None:
    path = write(world, "train", *((f"{n:02}", "", {"offset": n / 10}) for n in range(14)))
    found = report([path])
    assert len(only(found, "empty texts")) == 14
    assert f"  empty texts: 14\n    {path}: 00\n" in str(found)
    assert str(found).endswith(f"    {path}: 09\n    ... and 4 more")


def test_bad_rows_are_the_manifests_error(world: Path) -> None:
    (world / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"bad.jsonl:1: audio_filepath is missing"):
        report([world / "bad.jsonl"])


@pytest.mark.parametrize("values", [[3.0], [0.004, 0.01], [1.0, 30.0, 3599.0], list(np.linspace(0.5, 21, 500))])
def test_histogram_counts_every_value_once_in_at_most_twelve_bins(values: list[float]) -> None:
    lines = histogram(values)
    assert 1 <= len(lines) <= 12 + 1
    assert sum(int(line.split(" s ")[1].split()[0].replace(",", "")) for line in lines) == len(values)
    assert max(line.count("#") for line in lines) == 40
    starts = [float(line.split(" - ")[0]) for line in lines]
    assert starts[0] <= min(values) and starts == sorted(set(starts))


def test_real_corpus_is_quick(mirror: Path, tmp_path: Path) -> None:
    """Headers alone are read: 250 files of Opus in well under the seconds that decoding them would take."""
    files = sorted((mirror / "speechocean762").rglob("*.opus"))[:250]
    manifest.write(tmp_path / "m.jsonl", [Utterance(path.stem, str(path), 0.5, "a") for path in files])
    found = report([tmp_path / "m.jsonl"])
    assert found.summaries[0].formats == {(16_000, 1): 250}
    assert not found.concerns
