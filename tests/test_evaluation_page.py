"""The page of an evaluation: as HTML, and as a browser shows it."""

import base64
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile

from asr.data.manifest import Utterance
from asr.evaluation import plots
from asr.evaluation.evaluate import Evaluation, evaluate_pairs
from asr.evaluation.html_report import ROWS_AT_FIRST, html_report
from asr.evaluation.page_sound import PageSound
from asr.evaluation.transcripts import Pair
from tests.chromium import Chromium, chromium

COUNT = 130  # utterances, more than are shown at first


@pytest.fixture
def result() -> Evaluation:
    """Utterance i has i % 7 errors of twenty words, one of them with more words found than said."""
    said = " ".join(f"WORD{k}" for k in range(20))
    pairs = [
        Pair(f"u{i}", said, " ".join(["X"] * (i % 7) + said.split()[i % 7 :]), f"s{i % 4}", 1.0 + i % 9)
        for i in range(COUNT - 1)
    ]
    return evaluate_pairs([*pairs, Pair("odd", "A", "B C D", "s1", 1.0)], "none")


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as found:
        yield found


def written(result: Evaluation, folder: Path, embed_audio: bool = False) -> Path:
    path = folder / "page.html"
    path.write_text(html_report(result, "a page", folder, embed_audio=embed_audio), encoding="utf-8")
    return path


def test_headings_are_buttons_and_tell_the_order(result: Evaluation, tmp_path: Path) -> None:
    page = written(result, tmp_path).read_text(encoding="utf-8")
    heads = re.findall(r"<th ([^>]*)>(.*?)</th>", page)
    assert heads and all('scope="col"' in attributes for attributes, _ in heads)
    assert all(content.startswith('<button type="button">') for _, content in heads)
    assert sum('aria-sort="descending"' in attributes for attributes, _ in heads) == 1
    assert "<main>" in page and '<html lang="en">' in page and page.count("<svg") == page.count('role="img"') == 3


def test_plots_show_what_the_tables_say(result: Evaluation) -> None:
    speakers = plots.rates_of_speakers(result)
    assert [group.name for group in speakers.groups] == sorted(
        (f"s{i}" for i in range(4)), key=lambda name: -next(g.rate for g in speakers.groups if g.name == name)
    )
    for group in speakers.groups:
        errors = [e for e, row in zip(result.by_utterance, result.utterances, strict=True) if row.speaker == group.name]
        assert group.rate == sum(e.errors for e in errors) / sum(e.reference_length for e in errors)
        assert group.interval and group.interval.low < group.rate < group.interval.high
    bars = {bar.name: bar.utterances for bar in plots.histogram(result)}
    assert bars["0"] == 19 and bars[">100"] == 1 and sum(bars.values()) == COUNT
    # 5 % and 10 % of errors are both within the first tenth.
    assert bars["10"] == sum(e.errors in (1, 2) and e.reference_length == 20 for e in result.by_utterance)


def test_many_speakers_are_told_and_not_drawn() -> None:
    pairs = [Pair(f"u{i}", "A B", "A" if i % 3 else "A B", f"s{i:03}") for i in range(100)]
    plot = plots.rates_of_speakers(evaluate_pairs(pairs, "none"))
    assert len(plot.groups) == plots.SHOWN and f"{100 - plots.SHOWN} more are in the table" in plot.note


@pytest.fixture
def segments(tmp_path: Path) -> Evaluation:
    """Two segments of a recording of six seconds, and a whole recording of one."""
    rng = np.random.default_rng(0)
    for name, seconds in (("long #1.wav", 6), ("short.wav", 1)):
        soundfile.write(tmp_path / name, rng.uniform(-0.1, 0.1, 8000 * seconds), 8000)
    result = evaluate_pairs([Pair("a", "A", "B"), Pair("b", "A", "A"), Pair("c", "A", "A")], "none")
    places = (("long #1.wav", 2.5, 1.5), ("long #1.wav", 0.0, 2.0), ("short.wav", 0.0, 1.0))
    rows = [
        Utterance(row.id, str(tmp_path / name), duration, row.text, offset=offset)
        for row, (name, offset, duration) in zip(result.utterances, places, strict=True)
    ]
    return replace(result, utterances=rows)


def test_embedded_segments_are_the_segments_alone(segments: Evaluation, tmp_path: Path) -> None:
    page = written(segments, tmp_path, embed_audio=True).read_text(encoding="utf-8")
    sounds = [base64.b64decode(data) for data in re.findall(r'src="data:audio/[a-z]+;base64,([^"]*)"', page)]
    assert [soundfile.info(io.BytesIO(sound)).duration for sound in sounds] == [1.5, 2.0, 1.0]
    assert sounds[2] == (tmp_path / "short.wav").read_bytes()
    whole, _ = soundfile.read(tmp_path / "long #1.wav", dtype="int16")
    cut, _ = soundfile.read(io.BytesIO(sounds[0]), dtype="int16")
    assert np.abs(whole[20000:32000].astype(int) - cut).max() <= 1


def test_what_does_not_fit_into_the_page_is_linked(segments: Evaluation, tmp_path: Path) -> None:
    sound = PageSound(segments.utterances, tmp_path, 30_000)  # the first has 8 to 24 kB, the others 16 kB and more
    kinds = [sound.source(row).split(":")[0] for row in segments.utterances]
    assert kinds[0] == "data" and kinds[2] == "short.wav"
    (tmp_path / "short.wav").unlink()
    sound = PageSound(segments.utterances, tmp_path, 30_000)
    assert sound.source(segments.utterances[2]) == "short.wav"


@pytest.mark.parametrize("name", [b"a:b.wav", b"gr\xf6\xdfer.wav", b"50%25 'x' ?#.wav", "größer.wav".encode()])
@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_links_are_the_names_bytes(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sounds" / os.fsdecode(name)
    row = Utterance("a", str(path), 1.0)
    (link, second) = (PageSound([row] * count, tmp_path, 0).source(row) for count in (1, 2))
    assert unquote_to_bytes(link) == b"sounds/" + name and not set(link) & set(":?#\"' ")
    assert second == link + "#t=0,1"  # the file is not this utterance's alone


def test_links_on_another_drive_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_another_drive(*_: object) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", on_another_drive)
    row = Utterance("a", str(tmp_path / "a b#.wav"), 1.5, offset=12345.6789)
    source = PageSound([row], tmp_path, 0).source(row)
    assert source == (tmp_path / "a b#.wav").resolve().as_uri() + "#t=12345.679,12347.179"


def test_a_title_need_not_be_utf8(result: Evaluation, tmp_path: Path) -> None:
    html_report(result, os.fsdecode(b"gr\xf6\xdfer.jsonl"), tmp_path).encode()


def test_axes_end_at_round_rates() -> None:
    for largest in (0.0, 0.0004, 0.013, 0.1, 0.3, 0.47, 1.0, 1.99):
        ticks = plots.axis(largest)
        assert 2 <= len(ticks) <= plots.TICKS + 1 and ticks[0] == 0 and ticks[-1] >= largest
    assert plots.axis(0.3) == [0, 0.1, 0.2, 0.3] and plots.axis(0.47)[-1] == 0.5


def test_a_browser_plays_each_segment_from_its_own_start(
    segments: Evaluation, tmp_path: Path, browser: Chromium
) -> None:
    script = """Promise.all([...document.querySelectorAll('audio')].map(sound => new Promise((done, fail) => {
        sound.onloadedmetadata = () => done([sound.currentTime, sound.duration]);
        sound.onerror = () => fail(sound.src); sound.preload = 'metadata'; sound.load(); })))"""
    browser.open(written(segments, tmp_path, embed_audio=True))
    assert browser.run(script) == [[0, 1.5], [0, 2], [0, 1]]
    browser.open(written(segments, tmp_path))
    assert [begin for begin, _ in browser.run(script)] == [2.5, 0, 0]


def test_the_keyboard_sorts(result: Evaluation, tmp_path: Path, browser: Chromium) -> None:
    browser.open(written(result, tmp_path))
    ids = "[...document.querySelectorAll('.utterances tbody .id')].map(cell => cell.textContent)"
    first = browser.run(ids)
    assert len(first) == ROWS_AT_FIRST and first[:3] == ["u6", "u13", "u20"]  # the most errors, then as they come
    browser.run("document.querySelector('.utterances th button').focus()")
    browser.press("Enter")
    assert browser.run(ids)[:4] == ["odd", "u0", "u1", "u2"]  # numbers as numbers: u10 comes later
    assert browser.run("document.activeElement.parentNode.getAttribute('aria-sort')") == "ascending"
    browser.press("Enter")
    assert browser.run(ids)[:2] == ["u128", "u127"]
    browser.press("Tab")
    assert browser.run("document.activeElement.textContent") == "speaker"
    browser.run("document.getElementById('more').click()")
    assert len(browser.run(ids)) == COUNT


def test_rows_that_are_alike_keep_their_order(tmp_path: Path, browser: Chromium) -> None:
    said = ["2 A", "10 A", "9 A", "1 A B C D E F", "1 A B C D E"]  # 1 of 7 and 1 of 6 are 14 % and 17 %
    pairs = [Pair(f"u{i}", text, text.replace("A", "X", 1), "s", 1.0) for i, text in enumerate(said)]
    browser.open(written(evaluate_pairs([*pairs, Pair("v", "", "B")], "none"), tmp_path))
    cells = "[...document.querySelectorAll('.utterances tbody .id')].map(cell => cell.textContent)"
    for heading, down, up in (
        ("WER", ["v", "u0", "u1", "u2", "u4", "u3"], ["u3", "u4", "u0", "u1", "u2", "v"]),
        ("errors", ["u3", "u4", "u0", "u1", "u2", "v"], ["u3", "u4", "u0", "u1", "u2", "v"]),
    ):
        head = f"[...document.querySelectorAll('.utterances th button')].find(one => one.textContent === '{heading}')"
        orders = [browser.run(f"{head}.click(), {cells}") for _ in range(2)]
        assert orders == [down, up]
    words = "[...document.querySelectorAll('.tables section')].find(one => /Subst/.test(one.textContent))"
    rows = f"[...{words}.querySelectorAll('td:first-child')].map(cell => cell.textContent)"
    assert browser.run(rows) == browser.run(f"{words}.querySelectorAll('th button')[1].click(), {rows}")


def test_searching_counts_what_it_finds(result: Evaluation, tmp_path: Path, browser: Chromium) -> None:
    browser.open(written(result, tmp_path))
    browser.run("search.value = 'u12'; search.dispatchEvent(new Event('input'))")
    assert browser.run("document.getElementById('count').textContent") == f"10 of {COUNT} found, 10 shown"


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(result: Evaluation, tmp_path: Path, browser: Chromium, width: int) -> None:
    longest = replace(result.utterances[0], id="x" * 200)
    result.utterances[0] = longest
    browser.open(written(result, tmp_path), width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    words = browser.run("document.querySelector('.utterances .words').getBoundingClientRect().width")
    assert words > 0.4 * width
