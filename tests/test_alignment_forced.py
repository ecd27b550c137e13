"""Forced alignment: exact against all paths, whole in every format, a message for every text that cannot be aligned."""

import itertools
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
import torch

from asr.alignment.forced import RAREST, Aligner, Alignment, States, Unit, align, best_path, log_prior, spell
from asr.alignment.writers import WRITERS, to_ctm, to_json, to_textgrid
from asr.cli import main
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.errors import DataError, TextError
from asr.model.ctc_model import CTCModel, ModelConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig
from asr.text.phones import PhoneTokenizer
from asr.text.tokenizer import CharacterTokenizer
from tests.sctk import sctk
from tests.tone_model import say, tone_model

FRAME = 0.04
CHARACTERS = CharacterTokenizer.build(["A B"])
PHONES = PhoneTokenizer(["<blank>", "AH", "EY", "B"], lexicon={"A": [("AH",), ("EY",)], "BE": [("B", "EY"), ("B",)]})


def random_log_probs(frames: int, size: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(frames, size)) * 2
    return values - np.log(np.exp(values).sum(1, keepdims=True))


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != 0)


def brute_force(log_probs: np.ndarray, wanted: set[tuple[int, ...]]) -> tuple[float, tuple[int, ...]]:
    """The best of all paths that spell one of the wanted labellings, and its score."""
    frames, size = log_probs.shape
    paths = (path for path in itertools.product(range(size), repeat=frames) if collapse(path) in wanted)
    return max(((float(log_probs[range(frames), path].sum()), path) for path in paths), default=(-math.inf, ()))


@pytest.mark.parametrize("seed", range(40))
def test_best_path_is_the_best_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs = random_log_probs(int(rng.integers(1, 7)), 4, seed)
    labels = tuple(int(label) for label in rng.integers(1, 4, size=rng.integers(1, 5)))
    states = States.of([Unit("word", [labels])], blank=0)
    path, score = best_path(log_probs, states)
    expected, symbols = brute_force(log_probs, {labels})
    assert score == pytest.approx(expected, abs=1e-12)
    if score > -math.inf:
        assert tuple(states.token[path]) == symbols


@pytest.mark.parametrize("seed", range(40))
def test_best_path_chooses_among_spellings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs = random_log_probs(6, 4, seed)

    def spelling() -> tuple[int, ...]:
        return tuple(int(label) for label in rng.integers(1, 4, size=rng.integers(1, 3)))

    units = [Unit(str(i), [spelling() for _ in range(rng.integers(1, 4))]) for i in range(2)]
    states = States.of(units, blank=0)
    path, score = best_path(log_probs, states)
    expected, symbols = brute_force(log_probs, {a + b for a in units[0].spellings for b in units[1].spellings})
    assert score == pytest.approx(expected, abs=1e-12)
    if score > -math.inf:
        assert tuple(states.token[path]) == symbols


def test_kept_frames_do_not_change_a_long_alignment() -> None:
    """Against the plain recursion over all frames, which keeps everything."""
    log_probs = random_log_probs(150, 4, 0)
    labels = tuple(int(label) for label in np.random.default_rng(1).integers(1, 4, size=40))
    states = States.of([Unit("word", [labels])], blank=0)
    scores = {state: log_probs[0, states.token[state]] for state in states.initial}
    for frame in log_probs[1:]:
        scores = {
            state: max(scores.get(other, -math.inf) for other in states.before[state]) + frame[states.token[state]]
            for state in range(len(states.token))
        }
    path, score = best_path(log_probs, states)
    assert score == pytest.approx(max(scores[state] for state in states.final), abs=1e-9)
    assert score == pytest.approx(log_probs[np.arange(150), states.token[path]].sum(), abs=1e-9)
    assert collapse(tuple(states.token[path])) == labels
    assert all(before in states.before[after] for before, after in itertools.pairwise(path))


def one_hot(symbols: str, tokenizer: CharacterTokenizer = CHARACTERS) -> np.ndarray:
    """Log-probs of a sure model; `-` is the blank, 0.9 goes to the symbol."""
    size = tokenizer.vocab_size
    values = np.full((len(symbols), size), 0.1 / (size - 1))
    values[range(len(symbols)), [tokenizer.ids.get(symbol, 0) for symbol in symbols]] = 0.9
    return np.log(values)


def test_times_and_confidences_by_hand() -> None:
    alignment = align(one_hot("-AA-A B-"), CHARACTERS, "AA B", FRAME, 8 * FRAME)
    first, second = alignment.words
    assert (first.text, second.text) == ("AA", "B")
    assert [(token.text, token.start, token.end) for token in alignment.tokens] == [
        # Frames 1 and 2 reach from 0.02 to 0.10; before them, and behind, lies half a blank frame or more.
        ("A", pytest.approx(0.00), pytest.approx(0.12)),
        ("A", pytest.approx(0.12), pytest.approx(0.18)),
        ("B", pytest.approx(0.22), pytest.approx(0.28)),
    ]
    assert (first.start, first.end) == (pytest.approx(0.00), pytest.approx(0.18))
    assert first.confidence == pytest.approx(0.9) and alignment.duration == pytest.approx(0.32)
    assert alignment.score == pytest.approx(8 * math.log(0.9))


def test_a_word_that_is_not_there_has_low_confidence() -> None:
    alignment = align(one_hot("-AA--- B-"), CHARACTERS, "AA B", FRAME, 9 * FRAME)
    assert alignment.words[0].confidence < 0.4 < alignment.words[1].confidence


def test_the_pronunciation_that_fits_is_chosen() -> None:
    log_probs = np.full((5, 4), math.log(0.02))
    log_probs[range(5), [0, 2, 0, 3, 0]] = math.log(0.94)
    alignment = align(log_probs, PHONES, "a be", FRAME, 5 * FRAME)
    assert [(w.text, [t.text for t in w.tokens]) for w in alignment.words] == [("a", ["EY"]), ("be", ["B"])]


def test_a_last_frame_at_the_very_end_and_within() -> None:
    # Frames are centred: of 3 frames in 0.08 s the last lies half beyond the end.
    for duration in (0.08, 0.09):
        alignment = align(one_hot("-AB"), CHARACTERS, "AB", FRAME, duration)
        assert alignment.duration == alignment.words[0].end == duration
        assert alignment.tokens[1].start == pytest.approx(0.06)


@pytest.mark.parametrize("blanks", [0, 1, 2, 3, 9])
def test_blanks_are_shared_up_to_half_a_frame(blanks: int) -> None:
    first, second = align(one_hot("A" + "-" * blanks + "B"), CHARACTERS, "AB", FRAME, 1.0).tokens
    share = min(blanks / 2, 0.5)
    assert first.start == 0
    assert first.end == pytest.approx((0.5 + share) * FRAME)
    assert second.start == pytest.approx((blanks + 0.5 - share) * FRAME)


def test_the_first_frame_may_lie_later() -> None:
    plain, later = (align(one_hot("-AA-"), CHARACTERS, "A", FRAME, 1.0, middle) for middle in (0.02, 0.035))
    assert later.words[0].start - plain.words[0].start == pytest.approx(0.015)
    assert later.words[0].end - plain.words[0].end == pytest.approx(0.015)


def test_priors_give_a_token_the_frames_on_which_it_is_likelier_than_elsewhere() -> None:
    probabilities = np.full((20, 4), 0.01)  # blank, space, A, B
    probabilities[4:8, 2] = [0.3, 0.8, 0.3, 0.3]
    probabilities[12:15, 3] = [0.3, 0.3, 0.8]
    probabilities[:, 0] = 1 - probabilities[:, 1:].sum(1)
    log_probs = np.log(probabilities)
    states = States.of(spell(CHARACTERS, "AB"), blank=0)
    path, score = best_path(log_probs, states)
    assert states.spans(path).tolist() == [[5, 6], [14, 15]]  # the network's own best path has the peaks alone
    alignment = align(log_probs, CHARACTERS, "AB", FRAME, 20 * FRAME)
    times = [time for token in alignment.tokens for time in (token.start, token.end)]
    assert times == pytest.approx([3 * FRAME, 8 * FRAME, 11 * FRAME, 15 * FRAME])
    # How well the text fits, and which way it is said, stays the network's own judgement.
    assert alignment.score == score and [token.confidence for token in alignment.tokens] == pytest.approx([0.8, 0.8])


def test_the_share_of_each_token_in_the_recording() -> None:
    log_probs = np.log([[0.5, 0.4995, 0.0005], [0.9, 0.0999, 0.0001]])
    assert log_prior(log_probs) == pytest.approx(np.log([0.7, 0.2997, RAREST]))


@pytest.mark.parametrize(("subsampling", "middle"), [("conv", 0.0), ("stack", 0.015)])
def test_the_middle_of_a_frame_of_a_model(subsampling: Literal["conv", "stack"], middle: float) -> None:
    """Stacked frames of 10 ms lie side by side: of four the middle is 15 ms after the first one's."""
    config = ModelConfig(encoder=RecurrentConfig(num_layers=1, hidden_size=4, subsampling=subsampling))
    assert CTCModel(config, CHARACTERS).first_middle == pytest.approx(middle)


def test_errors_say_what_does_not_fit() -> None:
    with pytest.raises(DataError, match=r"'AA B' needs 5 frames of 0\.04 s or more, found 4 \(0\.16 s\)"):
        align(one_hot("AAAA"), CHARACTERS, "AA B", FRAME, 0.16)
    with pytest.raises(TextError, match="no token for 'X'"):
        spell(CHARACTERS, "AX")
    skipping = CharacterTokenizer(CHARACTERS.tokens, unknown="skip")
    with pytest.raises(TextError, match="no token for 'X'"):
        spell(skipping, "AX")
    assert skipping.unknown == "skip"
    with pytest.raises(TextError, match="no pronunciation of ZEBRA"):
        spell(PHONES, "a zebra")
    with pytest.raises(TextError, match="the text to align is empty"):
        spell(CHARACTERS, "  ")
    with pytest.raises(TextError, match="phones that the model does not have"):
        spell(PhoneTokenizer(["<blank>", "AH"], lexicon={"A": [("OY",)]}), "A")


def test_a_model_s_lexicon_is_read_once(tmp_path: Path) -> None:
    PHONES.save(tmp_path)
    tokenizer = PhoneTokenizer.load(tmp_path, {})
    spell(tokenizer, "be")
    (tmp_path / "lexicon.txt").unlink()
    assert spell(tokenizer, "a") == spell(PHONES, "a")


# ------------------------------------------------------------------------------------------------------------ writers

ALIGNMENT = align(one_hot('--A"-A- B--', CharacterTokenizer.build(['A B"'])), CharacterTokenizer.build(['A B"']),
                  'A"A B', FRAME, 11 * FRAME)  # fmt: skip


def test_textgrid_is_what_praat_reads(tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth is not installed")
    (tmp_path / "a.TextGrid").write_text(to_textgrid("a", ALIGNMENT), encoding="utf-8")
    grid = parselmouth.read(str(tmp_path / "a.TextGrid"))
    call = parselmouth.praat.call
    assert call(grid, "Get number of tiers") == 2 and call(grid, "Get end time") == pytest.approx(0.44)
    labels = [call(grid, "Get label of interval", 1, i + 1) for i in range(call(grid, "Get number of intervals", 1))]
    assert labels == ["", 'A"A', "", "B", ""]
    starts = [call(grid, "Get start time of interval", 1, i + 1) for i in range(5)]
    assert starts == pytest.approx([0, 0.04, 0.24, 0.30, 0.36])


def test_textgrid_is_what_the_textgrid_package_reads(tmp_path: Path) -> None:
    textgrid = pytest.importorskip("textgrid", reason="textgrid is not installed")
    (tmp_path / "a.TextGrid").write_text(to_textgrid("a", ALIGNMENT), encoding="utf-8")
    words, tokens = textgrid.TextGrid.fromFile(str(tmp_path / "a.TextGrid"))
    assert (words.name, tokens.name) == ("words", "tokens")
    assert [i.mark for i in tokens if i.mark] == ["A", '"', "A", "B"]
    for tier in (words, tokens):  # no gaps, no overlaps, no empty intervals
        assert tier.minTime == tier[0].minTime == 0 and tier.maxTime == tier[-1].maxTime
        assert all(a.maxTime == b.minTime for a, b in itertools.pairwise(tier))
        assert all(i.minTime < i.maxTime for i in tier)


def test_ctm_lines() -> None:
    assert to_ctm("my file", ALIGNMENT).splitlines() == [
        'my_file 1 0.040 0.200 A"A 0.9000',
        "my_file 1 0.300 0.060 B 0.9000",
    ]


def test_ctm_is_what_sclite_reads(tmp_path: Path) -> None:
    sclite = sctk("sclite")
    (tmp_path / "hyp.ctm").write_text(to_ctm("a", ALIGNMENT), encoding="utf-8")
    (tmp_path / "ref.stm").write_text('a 1 speaker 0.0 0.44 A"A B\n', encoding="utf-8")
    words = [*sclite, "-r", "ref.stm", "stm", "-h", "hyp.ctm", "ctm", "-o", "sum", "stdout"]
    out = subprocess.run(words, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True).stdout
    assert re.search(r"Sum/Avg *\| *1 +2 *\| *100\.0 ", out), out


def test_json_fields() -> None:
    values = json.loads(to_json("a", ALIGNMENT))
    assert values["id"] == "a" and values["duration"] == 0.44
    assert values["words"][1] == {
        "word": "B", "start": 0.3, "end": 0.36, "probability": 0.9,
        "tokens": [{"token": "B", "start": 0.3, "end": 0.36, "probability": 0.9}],
    }  # fmt: skip


def test_no_format_fails_on_abutting_words() -> None:
    alignment = align(one_hot("A B"), CharacterTokenizer.build(["A B"]), "A B", FRAME, 2 * FRAME)
    assert alignment.words[0].start == 0 and alignment.words[1].end == alignment.duration
    for _, write in WRITERS.values():
        assert "B" in write("a", alignment)


# -------------------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that knows A, B and space, a second of noise, and a manifest with one bad text."""
    folder = tmp_path_factory.mktemp("align")
    torch.manual_seed(0)
    features = FeatureConfig(sample_rate=8_000, num_filters=20)
    config = ModelConfig(features, RecurrentConfig(num_layers=1, hidden_size=8, conv_channels=4))
    CTCModel(config, CHARACTERS).save(folder / "model")
    soundfile.write(folder / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(8_000), 8_000)
    rows = [("one", "AB"), ("two", "AXE"), ("three", "B A")]
    path = str(folder / "a.wav")
    manifest.write(folder / "rows.jsonl", [Utterance(name, path, 0.5, text, offset=0.25) for name, text in rows])
    return folder


def command(world: Path, *words: str) -> int:
    return main(["align", *words, "--model", str(world / "model")])


def test_prints_ctm_for_a_text_and_for_a_text_file(world: Path, capsys: pytest.CaptureFixture) -> None:
    assert command(world, str(world / "a.wav"), "AB A") == 0
    out = capsys.readouterr().out
    assert [line.split()[4] for line in out.splitlines()] == ["AB", "A"]
    (world / "text.txt").write_text("AB\nA\n", encoding="utf-8")
    assert command(world, str(world / "a.wav"), str(world / "text.txt")) == 0
    assert capsys.readouterr().out == out
    assert command(world, str(world / "a.wav"), "ab, a!", "--text-scheme", "english") == 0
    assert capsys.readouterr().out == out.replace("AB", "ab,").replace(" A ", " a! ")


def test_writes_every_format_and_a_picture(world: Path, tmp_path: Path) -> None:
    words = [str(world / "a.wav"), "AB A", "--format", "textgrid", "ctm", "json", "--output-dir", str(tmp_path / "out")]
    assert command(world, *words, "--plot", str(tmp_path / "a.png")) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.TextGrid", "a.ctm", "a.json"}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_silent_recording_shorter_than_a_window_has_a_picture_too(world: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(150), 8_000)
    assert command(world, str(tmp_path / "short.wav"), "A", "--plot", str(tmp_path / "a.png")) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_manifest_s_bad_row_does_not_stop_the_others(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = [str(world / "rows.jsonl"), "--format", "json", "--output-dir", str(tmp_path)]
    assert command(world, *words) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"one.json", "three.json"}
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))["duration"] == 0.5
    assert "two: 'AXE': the model has no token for 'E'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.wav", "AB " * 40], "does not fit into the recording"),
        (["a.wav", "A?"], "no token for '?'"),
        (["a.wav", ""], "text to align is empty"),
        (["a.wav", "missing.txt"], "missing.txt: no such text file"),
        (["a.wav"], "its text is missing"),
        (["none.wav", "A"], "none.wav: no such file"),
        (["a.wav", "A", "--format", "ctm", "json"], "several formats need --output-dir"),
        (["rows.jsonl", "--plot", "a.png"], "--plot draws one recording, found 3"),
        (["a.wav", "A", "--plot", "a.docx"], "cannot be written"),
    ],
)
def test_mistakes_are_one_message(
    world: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(world)
    assert command(world, *words) == 2
    assert message in capsys.readouterr().err


def test_an_alignment_of_real_speech_is_in_order(mirror: Path) -> None:
    """Whatever the model: times rise, stay within the recording, and every word is there."""
    import random

    torch.manual_seed(0)
    model = CTCModel(
        ModelConfig(encoder=RecurrentConfig(hidden_size=16)), CharacterTokenizer.build(["MARK ISGONTELPH"])
    )
    wave = mirror / "speechocean762/WAVE/SPEAKER0003/000030012.opus"
    words = ["MARK", "IS", "GOING", "TO", "SEE", "ELEPHANT"]
    random.Random(0).shuffle(words)
    alignment: Alignment = Aligner(model)(wave, " ".join(words))
    assert [word.text for word in alignment.words] == words
    times = [time for word in alignment.words for token in word.tokens for time in (token.start, token.end)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= alignment.duration
    assert alignment.duration == pytest.approx(3.36, abs=0.05)


def test_a_text_that_is_not_said_is_doubted(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone_model().save(tmp_path / "tones")
    soundfile.write(tmp_path / "a.wav", np.concatenate([say("BAD CAB"), say("FACE", before=3.0)]), 8000)

    def warning(text: str) -> str:
        assert main(["align", str(tmp_path / "a.wav"), text, "--model", str(tmp_path / "tones")]) == 0
        return capsys.readouterr().err

    assert warning("BAD CAB FACE") == ""
    for text in ("BAD CAB", "JIG HID"):  # half of it, and another
        told = warning(text)
        assert "asr align: warning: a: the text hardly fits what is heard" in told and "Is it the text" in told
