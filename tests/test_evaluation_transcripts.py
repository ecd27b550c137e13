"""Transcript formats: what is detected, what is read, and how references and hypotheses pair."""

import itertools
import json
import random
import re
import subprocess
from pathlib import Path

import pytest

from asr.errors import DataError
from asr.evaluation.scoring import count_errors
from asr.evaluation.transcripts import FORMATS, Pair, detect_format, pair_transcripts, read_transcripts
from asr.evaluation.transcripts.alternatives import best_readings, chain, lattice
from tests.sctk import sctk

WANTED = {"u1": "a b c", "u-2": "", "u3": "d"}
FILES = {
    "kaldi": "u1 a b c\nu-2\nu3\td\n",
    "trn": ";; made by hand\na b c (u1)\n(u-2)\nd (u3)\n",
    "jsonl": '{"id": "u1", "text": "a b c"}\n{"id": "u-2", "text": ""}\n{"id": "u3", "text": "d", "more": 1}\n',
}


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("format", FILES)
def test_formats_with_ids_are_detected_and_read(tmp_path: Path, format: str) -> None:
    path = write(tmp_path, "text", FILES[format])
    assert detect_format(path) == format
    assert read_transcripts(path) == read_transcripts(path, format) == WANTED


def test_endings_decide_before_the_content(tmp_path: Path) -> None:
    assert detect_format(write(tmp_path, "a.trn", "no id\n")) == "trn"
    assert detect_format(write(tmp_path, "a.JSONL", "no object\n")) == "jsonl"


def test_plain_text_has_line_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "text", "\ufeffa b\n\n  c\u2028d \n")
    assert detect_format(path) == "text"
    assert read_transcripts(path) == {"1": "a b", "2": "", "3": "c\u2028d"}


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("SEVEN ONE\nTWO\n", "text"),
        ("7 1\n2 8\n", "text"),  # single digits are words
        ("hello (he said)\nno (u2)\n", "text"),
        ("0_1_0 NO YES NO\n1_1_1 YES YES YES\n", "kaldi"),
        ("/x/my talk.wav\thello\n/x/b.wav\t\n", "kaldi"),  # as asr transcribe prints
        ("u1 a\nu1 b\n", "text"),  # the same twice is no id
        ("", "text"),
    ],
)
def test_detection_by_content(tmp_path: Path, content: str, format: str) -> None:
    assert detect_format(write(tmp_path, "some.txt", content)) == format


def test_the_format_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "hyp", "ann hello\nbob\n")
    assert read_transcripts(path) == {"1": "ann hello", "2": "bob"}
    assert read_transcripts(path, "kaldi") == {"ann": "hello", "bob": ""}
    with pytest.raises(DataError, match="format: found 'sgml', wanted one of text, kaldi, trn, stm"):
        read_transcripts(path, "sgml")


def test_a_path_with_spaces_ends_at_the_tab(tmp_path: Path) -> None:
    path = write(tmp_path, "out.tsv", "my talk 1.wav\thello you\nb.wav\t\n")
    assert read_transcripts(path) == {"my talk 1.wav": "hello you", "b.wav": ""}


def test_jsonl_of_manifests_and_results(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": "a.wav", "text": "one", "pred_text": "won"},
        {"audio_filepath": "a.wav", "offset": 2.5, "text": "two", "pred_text": ""},
        {"id": 7, "audio_filepath": "a.wav", "text": "three"},
    ]
    path = write(tmp_path, "out.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert read_transcripts(path) == {"a.wav": "one", "a.wav@2.5": "two", "7": "three"}
    assert read_transcripts(path, hypotheses=True) == {"a.wav": "won", "a.wav@2.5": "", "7": "three"}
    # one file holds both sides
    assert pair_transcripts(path, path)[:2] == [Pair("a.wav", "one", "won"), Pair("a.wav@2.5", "two", "")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.trn", "a (u1)\nb c\n", r"a.trn: wanted `words \(id\)` on each line, found line 2: 'b c'"),
        ("a.jsonl", '{"id": "u"}\n', "line 1: text is None"),
        ("a.jsonl", '{"text": "a"}\n', "line 1: id and audio_filepath are None"),
        ("a.jsonl", '{"id": "u", "text": "a"}\n[1]\n{"id"\n', "line 2: no object.*line 3: Expecting"),
        ("a.jsonl", "x\n" * 30, "and 20 more"),
        ("a.trn", "a (u1)\nb (u1)\n", r"twice: u1 \(lines 1 and 2\)"),
        ("a", "", "no transcripts"),
        ("a.trn", ";; nothing\n", "no transcripts"),
    ],
)
def test_bad_rows_are_listed(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_transcripts(write(tmp_path, name, content))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.txt: cannot be read: No such file"):
        read_transcripts(tmp_path / "none.txt")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match="latin: not in UTF-8"):
        read_transcripts(tmp_path / "latin")


@pytest.mark.parametrize("reference", FILES)
@pytest.mark.parametrize("hypothesis", FILES)
def test_files_with_ids_pair_whatever_their_formats(tmp_path: Path, reference: str, hypothesis: str) -> None:
    left = write(tmp_path, "ref", FILES[reference])
    right = write(tmp_path, "hyp", FILES[hypothesis])
    assert [pair[:3] for pair in pair_transcripts(left, right)] == [(name, text, text) for name, text in WANTED.items()]


def test_pairs_come_in_the_order_of_the_references(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.trn", "a (u1)\nb (u2)\n")
    right = write(tmp_path, "hyp.trn", "x (u2)\ny (u1)\n")
    assert pair_transcripts(left, right) == [Pair("u1", "a", "y"), Pair("u2", "b", "x")]


def test_plain_text_pairs_line_by_line(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.txt", "a\nb c\n\n")
    right = write(tmp_path, "hyp.txt", "a\n\nb")  # no line end at the end
    assert pair_transcripts(left, right) == [Pair("1", "a", "a"), Pair("2", "b c", ""), Pair("3", "", "b")]
    right = write(tmp_path, "hyp.txt", "a\nb c\n")
    with pytest.raises(DataError, match="ref.txt .*hyp.txt .*: 3 lines and 2 lines"):
        pair_transcripts(left, right)


def test_missing_and_extra_ids_are_listed(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.trn", "".join(f"a (u{k})\n" for k in range(20)))
    right = write(tmp_path, "hyp.trn", "a (u0)\na (x1)\n")
    message = r"19 without a hypothesis: u1, u2, .*u10 and 9 more; 1 without a reference: x1\. Each id must be in both"
    with pytest.raises(DataError, match=message):
        pair_transcripts(left, right)


def test_ids_do_not_pair_with_plain_text(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.trn", "a (1)\n")
    right = write(tmp_path, "hyp.txt", "a\n")
    with pytest.raises(
        DataError, match=r"ref.trn \(read as trn\) and .*hyp.txt \(read as text\): only one of them has"
    ):
        pair_transcripts(left, right)
    right = write(tmp_path, "hyp.txt", "1 a\n")
    assert pair_transcripts(left, right, hypothesis_format="kaldi") == [Pair("1", "a", "a")]


def test_all_formats_are_tested() -> None:
    assert set(FORMATS) == {"text", *FILES, *OTHERS, "folder"}


OTHERS = {
    "stm": ";; a comment\nr1 1 ann 0.00 2.50 <o,f0,female> a b\nr1 1 ben 2.50 4.00 IGNORE_TIME_SEGMENT_IN_SCORING\n"
    "r1 1 ann 4.00 6.00 c\nR2 A ann 0 1.5\n",
    "ctm": ";; a comment\nr1 1 0.10 0.20 a 0.9\nr1 1 4.10 0.20 c\nr1 1 2.00 0.40 b\nr1 1 3.00 0.30 noise 0.2\n"
    "r2 a 0.1 0.1 d\n",
    "whisper": '{"text": " a b\\nc", "segments": [], "language": "en"}',
    "table": 'utt_id,speaker,Reference,hypothesis\nu1,ann,"a, b",a b\n\nu2,ben,c,\n',
    "subtitles": "1\n00:00:01,000 --> 00:00:02,500\n<i>a</i> b\nc\n\n2\n00:00:03,000 --> 00:00:04,000\nd\n",
}


@pytest.mark.parametrize("format", OTHERS)
def test_other_formats_are_detected(tmp_path: Path, format: str) -> None:
    assert detect_format(write(tmp_path, "file", OTHERS[format])) == format


def test_other_formats_are_read(tmp_path: Path) -> None:
    def read(format: str, **more: bool) -> dict[str, str]:
        return read_transcripts(write(tmp_path, "talk", OTHERS[format]), format, **more)

    assert read("stm") == {"r1-1-0.00": "a b", "r1-1-4.00": "c", "R2-A-0.00": ""}
    assert read("ctm") == {"r1": "a b noise c", "r2": "d"}
    assert read("whisper") == {"talk": "a b c"}
    assert read("table") == {"u1": "a, b", "u2": "c"} and read("table", hypotheses=True) == {"u1": "a b", "u2": ""}
    assert read("subtitles") == {"talk": "a b c d"}
    vtt = "WEBVTT\n\nNOTE made by hand\n\nintro\n00:01.000 --> 00:02.500 align:start\n<v Ann>a b\n"
    assert read_transcripts(write(tmp_path, "talk.vtt", vtt)) == {"talk": "a b"}
    segments = "start\tend\ttext\n0\t1500\ta b\n1500\t2000\tc\n"
    assert read_transcripts(write(tmp_path, "talk.tsv", segments)) == {"talk": "a b c"}


def test_words_and_segments_meet_in_time(tmp_path: Path) -> None:
    reference, hypothesis = (write(tmp_path, f"x.{name}", OTHERS[name]) for name in ("stm", "ctm"))
    pairs = pair_transcripts(reference, hypothesis)
    assert pairs == [
        Pair("r1-1-0.00", "a b", "a b", "ann", 2.5),
        Pair("r1-1-4.00", "c", "c", "ann", 2.0),
        Pair("R2-A-0.00", "", "d", "ann", 1.5),
    ]
    write(tmp_path, "x.ctm", "r3 1 0 1 a\n")
    with pytest.raises(DataError, match="words of recordings .* without references: r3 1"):
        pair_transcripts(reference, hypothesis)


def test_a_folder_has_a_transcript_for_each_recording(tmp_path: Path) -> None:
    for folder, ending, content in (("ref", "txt", "{}\nx"), ("hyp", "json", '{{"text": "{} y"}}')):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            write(tmp_path / folder, f"{name}.{ending}", content.format(name))
    assert pair_transcripts(tmp_path / "ref", tmp_path / "hyp") == [Pair("a", "a x", "a y"), Pair("b", "b x", "b y")]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no transcripts in this folder; wanted files ending in \.txt"):
        read_transcripts(tmp_path / "none")
    with pytest.raises(DataError, match="is a folder; read as trn"):
        read_transcripts(tmp_path / "ref", "trn")


def test_two_transcripts_of_one_recording_belong_together(tmp_path: Path) -> None:
    reference = write(tmp_path, "said.txt", "a b\nc e\n")
    for format in ("whisper", "subtitles"):
        hypothesis = write(tmp_path, "found", OTHERS[format])
        assert pair_transcripts(reference, hypothesis)[0][:2] == ("said", "a b c e")


def test_ids_are_compared_without_case_where_that_is_clear(tmp_path: Path) -> None:
    reference = write(tmp_path, "ref.trn", "a (U1)\nb (u2)\n")
    assert pair_transcripts(reference, write(tmp_path, "hyp.trn", "c (u1)\nd (U2)\n")) == [
        Pair("U1", "a", "c"), Pair("u2", "b", "d")
    ]  # fmt: skip
    both = write(tmp_path, "both.trn", "a (U1)\nb (u1)\n")
    assert pair_transcripts(both, write(tmp_path, "hyp.trn", "c (u1)\nd (U1)\n")) == [
        Pair("U1", "a", "d"), Pair("u1", "b", "c")
    ]  # fmt: skip


def test_columns_that_a_table_lacks(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,score\nu1,2\n")
    with pytest.raises(DataError, match=r"a\.csv:1: no column of references: found id, score, wanted one of text"):
        read_transcripts(path)
    path = write(tmp_path, "a.csv", "id,text\nu1,2\nu2\n")
    with pytest.raises(DataError, match=r"row 3: found 1 fields, wanted 2"):
        read_transcripts(path)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "reading"),
    [
        ("{ a b / c / @ } d", "c d", "c d"),
        ("{ a b / c / @ } d", "a b d", "a b d"),
        ("{ a b / c / @ } d", "d", "d"),
        ("x { a b / c } y { e / f g } z", "x c y f g z", "x c y f g z"),
        ("(uh) a (um)", "a um", "a um"),
        ("a { gonna / going to } b", "a going two b", "a going to b"),
        ("a b", "c", "a b"),
        (
            "a { b / cd / { g h i / gh i / g ih} bd } { e { i n / th } f / ef }",
            "a gh i bd e i th f",
            "a gh i bd e th f",
        ),
        ("{this/that} is { x\\/y / z }", "that is x/y", "that is x/y"),
        ("a/b @ c", "a/b c", "a/b c"),
        ("b (c) d", "b s i e", "b c d"),
    ],
)
def test_the_reading_that_fits_best(reference: str, hypothesis: str, reading: str, tmp_path: Path) -> None:
    assert best_readings(lattice(reference), chain(hypothesis)) == (reading, hypothesis)
    assert best_readings(chain(hypothesis), lattice(reference)) == (hypothesis, reading)
    trn = write(tmp_path, "ref.trn", f"{reference} (u1)\n")
    assert pair_transcripts(trn, write(tmp_path, "hyp.trn", f"{hypothesis} (u1)\n"))[0].reference == reading
    upper = write(tmp_path, "hyp.trn", f"{hypothesis.upper()} (u1)\n")
    assert pair_transcripts(trn, upper, text_scheme="case")[0].reference == reading.upper()


def test_the_best_reading_is_the_best_of_all() -> None:
    rng = random.Random(0)
    for _ in range(200):
        parts = []
        for _ in range(rng.randint(1, 5)):
            count = rng.randint(1, 3)
            fewest = 0 if count > 1 else 1
            options = [" ".join(rng.choices("abc", k=rng.randint(fewest, 3))) or "@" for _ in range(count)]
            parts.append(options)
        text = " ".join("{ " + " / ".join(options) + " }" if len(options) > 1 else options[0] for options in parts)
        readings = {" ".join(" ".join(way).replace("@", " ").split()) for way in itertools.product(*parts)}
        hypothesis = " ".join(rng.choices("abc", k=rng.randint(0, 8)))
        found = best_readings(lattice(text), chain(hypothesis))[0]
        errors = {reading: count_errors([reading], [hypothesis]).errors for reading in readings}
        assert errors[found] == min(errors.values()), (text, hypothesis)


@pytest.mark.parametrize("text", ["{ a / b", "a } b", "{ a / { b / c }"])
def test_braces_that_do_not_match(text: str) -> None:
    with pytest.raises(DataError, match="without its"):
        lattice(text)


def test_both_sides_may_have_alternatives(tmp_path: Path) -> None:
    """The pair of readings with the fewest errors is found, of all pairs."""
    reference, hypothesis = "{ the / this } is (a) { tea / t / @ }", "th { { e / @ } is / is is } { th / t } en"
    pairs = [
        (f"{first} is {optional} {last}", f"th {middle} {end} en")
        for first in ("the", "this")
        for optional in ("", "a")
        for last in ("tea", "t", "")
        for middle in ("e is", "is", "is is")
        for end in ("th", "t")
    ]
    found = best_readings(lattice(reference), lattice(hypothesis))
    assert found in {(" ".join(left.split()), right) for left, right in pairs}
    fewest = min(count_errors([left], [right]).errors for left, right in pairs)
    assert count_errors([found[0]], [found[1]]).errors == fewest
    left, right = write(tmp_path, "r.trn", f"{reference} (u1)\n"), write(tmp_path, "h.trn", f"{hypothesis} (u1)\n")
    assert pair_transcripts(left, right)[0][1:3] == found


def test_trn_ids_name_speakers(tmp_path: Path) -> None:
    trn = write(tmp_path, "ref.trn", "a (1089-134686_0)\nb (ann_1)\nc (4t0c0201)\nd (-x)\n")
    assert [pair.speaker for pair in pair_transcripts(trn, trn)] == ["1089", "ann", None, None]


def test_tags_are_no_part_of_words(tmp_path: Path) -> None:
    text = "a aa\\;a b\\;b\\;b;hyp\\;tag1;hyptag2 b;reftag c;;tag { d;t/e;t2} came; (u1)\n"
    trn = write(tmp_path, "ref.trn", text)
    assert pair_transcripts(trn, trn)[0].reference == "a aa;a b;b;b b c d came"


def test_sclite_reads_them_alike(tmp_path: Path) -> None:
    trn = {
        "ref.trn": "{ a b / c / @ } d (s-1)\nx { a b / c } y { e / f g } z (s-2)\n",
        "hyp.trn": "c d (S-1)\nx c y f q z (s-2)\n",
    }
    timed = {
        "ref.stm": "r1 1 ann 0.00 2.50 <o,f0,female> a b\nr1 1 ben 2.50 4.00 IGNORE_TIME_SEGMENT_IN_SCORING\n"
        "r1 1 ann 4.00 6.00 c e\n",
        "hyp.ctm": "R1 1 0.10 0.20 a 0.9\nr1 1 2.00 0.40 b\nr1 1 3.00 0.30 noise 0.2\nr1 1 4.10 0.20 c\nr1 1 7 0.2 d\n",
    }
    for files in (trn, timed):
        reference, hypothesis = (write(tmp_path, name, content) for name, content in files.items())
        formats = reference.suffix[1:], hypothesis.suffix[1:]
        words = [
            "-r",
            str(reference),
            formats[0],
            "-h",
            str(hypothesis),
            formats[1],
            "-i",
            "rm",
            "-o",
            "rsum",
            "stdout",
        ]
        out = subprocess.run([*sctk("sclite"), *words], capture_output=True, encoding="utf-8", check=True).stdout
        theirs = re.search(r"Sum *\| +\d+ +(\d+) +\| +(\d+) +(\d+) +(\d+) +(\d+)", out)
        assert theirs, out
        pairs = pair_transcripts(reference, hypothesis, text_scheme="case")
        ours = count_errors([pair.reference for pair in pairs], [pair.hypothesis for pair in pairs])
        counts = ours.reference_length, ours.hits, ours.substitutions, ours.deletions, ours.insertions
        assert counts == tuple(map(int, theirs.groups()))
