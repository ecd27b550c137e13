"""asr lm build, perplexity, prune and interpolate, from the command line."""

import json
import lzma
from pathlib import Path

import pytest

from asr.cli import main
from asr.lm.arpa import read_arpa
from asr.text.phones import read_lexicon
from tests.test_lm_ngram import PACK, random_text


def lines(seed: int, sentences: int = 500) -> list[str]:
    return [" ".join(sentence) for sentence in random_text(seed, sentences)]


def write(path: Path, sentences: list[str]) -> str:
    text = "".join(f"{sentence}\n" for sentence in sentences)
    if path.suffix == ".jsonl":
        text = "".join(json.dumps({"audio_filepath": "a.wav", "duration": 1, "text": s}) + "\n" for s in sentences)
    path.write_bytes(PACK.get(path.suffix, bytes)(text.encode()))
    return str(path)


@pytest.fixture
def text(tmp_path: Path) -> str:
    return write(tmp_path / "text.txt", lines(1))


@pytest.fixture
def lm(text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> str:
    assert main(["lm", "build", text, "--order", "3", "--output", str(tmp_path / "lm")]) == 0
    capsys.readouterr()
    return str(tmp_path / "lm")


def report(folder: Path | str) -> dict:
    return json.loads((Path(folder) / "build.json").read_text(encoding="utf-8"))


def test_build_writes_a_folder_that_tells_how_it_was_made(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "deep" / "lm"
    words = ["lm", "build", text, "--order", "3", "--prune", "0", "1", "1", "--output", str(out)]
    assert main(words) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "build.json",
        "lexicon.txt",
        "lm.arpa",
        "lm.binary",
        "lm.safetensors",
    ]
    made = report(out)
    (source,) = made["sources"]
    assert (source["path"], source["sentences"], len(source["sha256"])) == (text, 500, 64)
    assert source["words"] == sum(len(line.split()) for line in lines(1))
    model = read_arpa(out)
    assert made["ngrams"] == model.counts
    assert (out / "lexicon.txt").read_text(encoding="utf-8").split() == sorted(model.words[3:])
    assert f"vocabulary {len(model.words) - 3}" in capsys.readouterr().out
    # The command in build.json makes the same again.
    before = (out / "lm.arpa").read_bytes()
    assert made["command"].startswith("asr lm build")
    (out / "lm.arpa").unlink()
    assert main(made["command"].split()[1:]) == 0
    assert (out / "lm.arpa").read_bytes() == before


@pytest.mark.parametrize("name", ["text.txt.gz", "text.xz", "text.jsonl"])
def test_packed_texts_and_manifests_give_the_same_model(lm: str, name: str, tmp_path: Path) -> None:
    other = write(tmp_path / name, lines(1))
    assert main(["lm", "build", other, "--output", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "lm.arpa").read_bytes() == (Path(lm) / "lm.arpa").read_bytes()


def test_excluded_sentences_are_left_out_and_counted(text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    test = [*lines(1)[:7], "not in the text"]
    manifest = write(tmp_path / "test.jsonl", [test[0].upper(), *test[1:]])
    out = str(tmp_path / "lm")
    assert main(["lm", "build", text, "--exclude", manifest, "--output", out]) == 0
    kept = [line for line in lines(1) if line not in test]
    removed = 500 - len(kept)
    assert removed >= 7
    printed = capsys.readouterr().out
    assert f"left out {removed} lines" in printed
    assert f"checked: none of the {len(set(test))} excluded sentences is in the text" in printed
    assert report(out)["sources"][0]["excluded"] == report(out)["excluded_found"] == removed
    clean = write(tmp_path / "clean.txt", kept)
    assert main(["lm", "build", clean, "--output", str(tmp_path / "clean")]) == 0
    assert (tmp_path / "clean" / "lm.arpa").read_bytes() == (Path(out) / "lm.arpa").read_bytes()


def test_character_model(text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = str(tmp_path / "lm")
    assert main(["lm", "build", text, "--units", "character", "--order", "4", "--output", out]) == 0
    words, symbols = sum(len(line.split()) for line in lines(1)), set("".join(lines(1)))
    assert f"500 sentences, {words} words, vocabulary {len(symbols)} characters" in capsys.readouterr().out
    model = read_arpa(out)
    assert set(model.words[3:]) == {"w", "<space>", *"0123456789"}
    assert not (Path(out) / "lexicon.txt").exists()
    capsys.readouterr()
    assert main(["lm", "perplexity", out, text]) == 0
    assert f"{sum(map(len, lines(1)))} characters, 0 of them unknown" in capsys.readouterr().out


@pytest.mark.parametrize(("cut", "size"), [(["--vocabulary", "10"], 10), (["--min-count", "3"], None)])
def test_vocabulary_cut(text: str, cut: list[str], size: int | None, tmp_path: Path) -> None:
    words = " ".join(lines(1)).split()
    frequent = sum(words.count(word) >= 3 for word in set(words))
    assert main(["lm", "build", text, *cut, "--discount-fallback", "--output", str(tmp_path / "lm")]) == 0
    assert len(read_arpa(tmp_path / "lm").words) - 3 == report(tmp_path / "lm")["vocabulary"] == (size or frequent)


def test_lexicon(text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "cmudict").write_text("W1 W AH1 N\nW1(2) W AA1 N\nW2 T UW1\nOTHER AH1 DH ER0\n", encoding="utf-8")
    out = tmp_path / "lm"
    assert main(["lm", "build", text, "--lexicon", str(tmp_path / "cmudict"), "--output", str(out)]) == 0
    assert (out / "lexicon.txt").read_text(encoding="utf-8") == "w1\tW AH N\nw1\tW AA N\nw2\tT UW\n"
    words = len(read_arpa(out).words) - 3
    assert f"2 words with a pronunciation, 0 with a guessed one, {words - 2} left out" in capsys.readouterr().out


def test_lexicon_with_guesses(tmp_path: Path, text: str) -> None:
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    out = tmp_path / "lm"
    other = write(tmp_path / "other.txt", ["hello goose", "goose"])
    (tmp_path / "lexicon").write_text("HELLO HH AH L OW\n", encoding="utf-8")
    options = ["--lexicon", str(tmp_path / "lexicon"), "--g2p", "--discount-fallback", "--output", str(out)]
    assert main(["lm", "build", other, *options]) == 0
    assert read_lexicon(out / "lexicon.txt") == {"HELLO": [("HH", "AH", "L", "OW")], "GOOSE": [("G", "UW", "S")]}


def test_text_scheme(tmp_path: Path) -> None:
    options = ["--text-scheme", "english", "--discount-fallback", "--output", str(tmp_path / "lm")]
    assert main(["lm", "build", write(tmp_path / "text.txt", ["Hello, Zoë!"]), *options]) == 0
    assert sorted(read_arpa(tmp_path / "lm").words[3:]) == ["HELLO", "ZOE"]


def test_perplexity(lm: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "figures.json"
    assert main(["lm", "perplexity", f"{lm}/lm.arpa", text, "--json", str(out)]) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert f"perplexity {figures['perplexity_excluding_oov']:.2f}" in capsys.readouterr().out
    other = write(tmp_path / "other.txt", lines(2))
    assert main(["lm", "perplexity", lm, other, "--json", str(out)]) == 0
    assert (
        json.loads(out.read_text(encoding="utf-8"))["perplexity_excluding_oov"]
        > figures["perplexity_excluding_oov"]
        > 1
    )
    assert json.loads(out.read_text(encoding="utf-8"))["oov"] > figures["oov"] == 0


def test_prune(lm: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    small = tmp_path / "new" / "small.arpa"
    assert main(["lm", "prune", lm, "--threshold", "1e-4", "--output", str(small)]) == 0
    before, after = capsys.readouterr().out.splitlines()
    assert before.startswith(f"before  {lm}: ") and after.startswith(f"after   {small}: ")
    assert sum(read_arpa(small).counts) < sum(read_arpa(lm).counts)
    binary = tmp_path / "small.binary"
    assert main(["lm", "prune", lm, "--threshold", "1e-4", "--output", str(binary)]) == 0
    assert binary.read_bytes().startswith(b"mmap lm") and binary.stat().st_size < small.stat().st_size


def test_interpolate(lm: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["lm", "build", write(tmp_path / "b", lines(2)), "--output", str(tmp_path / "lm2")]) == 0
    heldout, mixed = write(tmp_path / "heldout", lines(3)), str(tmp_path / "mixed.arpa")
    options = ["--heldout", heldout, "--output", mixed]
    capsys.readouterr()
    assert main(["lm", "interpolate", lm, str(tmp_path / "lm2"), *options]) == 0
    first, second, mixture, *_ = capsys.readouterr().out.splitlines()
    assert float(first.split()[1]) + float(second.split()[1]) == pytest.approx(1, abs=2e-4)
    assert float(mixture.split()[3]) > 1
    assert set(read_arpa(mixed).words) == set(read_arpa(lm).words) | set(read_arpa(tmp_path / "lm2").words)
    assert main(["lm", "interpolate", lm, str(tmp_path / "lm2"), "--weights", "3", "1", *options]) == 0
    assert "weight 0.7500" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "none.txt", "--output", "x"], "none.txt: the text cannot be read"),
        (["build", "few.txt", "--output", "x"], "--discount-fallback"),
        (["build", "few.txt", "--output", "x", "--discount-fallback", "1", "2"], "wanted three numbers"),
        (["build", "few.txt", "--output", "x", "--order", "9"], "--order: found 9, wanted 1 to 6"),
        (["build", "few.txt", "--output", "x", "--vocabulary", "0"], "--vocabulary: found 0"),
        (["build", "few.txt", "--output", "x", "--prune", "1"], "prune: found 1 1 1, wanted 0 for unigrams"),
        (["build", "few.txt", "--output", "x", "--prune", "0", "0", "0", "1"], "--prune: found [0, 0, 0, 1]"),
        (["build", "few.txt", "--output", "x", "--exclude", "none.txt"], "none.txt: the text cannot be read"),
        (["build", "number.txt", "--output", "x", "--text-scheme", "english"], "number.txt:2: 'b 2'"),
        (["build", "tag.txt", "--output", "x"], "has the word <s>"),
        (["build", "bad.jsonl", "--output", "x"], "bad.jsonl:2: found 'b'"),
        (["build", "cut.xz", "--output", "x"], "cut.xz: the text cannot be read after line"),
        (["build", "latin1.txt", "--output", "x"], "latin1.txt: the text cannot be read"),
        (["perplexity", "none.arpa", "few.txt"], "none.arpa: the language model cannot be read"),
        (["perplexity", "bad.arpa", "few.txt"], "bad.arpa:5: found '-1'"),
        (["prune", "bad.arpa", "--threshold", "1e-8", "--output", "y"], "bad.arpa:5"),
        (["interpolate", "bad.arpa", "--heldout", "few.txt", "--output", "y"], "bad.arpa:5"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_message(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("few.txt"), ["a b c", "d e"])
    write(Path("number.txt"), ["a", "b 2"])
    write(Path("tag.txt"), ["a <s> b"])
    Path("bad.jsonl").write_text('{"text": "a"}\nb\n', encoding="utf-8")
    Path("cut.xz").write_bytes(lzma.compress(b"a b c\n" * 1000)[:60])
    Path("latin1.txt").write_bytes("Ü\n".encode("latin1"))
    Path("bad.arpa").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\n", encoding="utf-8")
    assert main(["lm", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", ["build", "perplexity", "prune", "interpolate"])
def test_help_teaches(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["lm", name, "--help"])
    assert stop.value.code == 0
    assert f"asr lm {name}" in capsys.readouterr().out.partition("options:")[0]
