"""A user's mistakes on the command line: each is one message that says what was found and wanted, and exit code 2."""

import errno
import json
import os
import shlex
from pathlib import Path

import pytest
import soundfile

from asr.cli import main
from tests.tone_model import RATE, say, tone_model


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its recording, language models, manifests and texts, good and bad ones."""
    folder = tmp_path_factory.mktemp("world")
    tone_model().save(folder / "model")
    soundfile.write(folder / "a.wav", say("FACE A BEE"), RATE)
    good = json.dumps({"audio_filepath": "a.wav", "duration": 1.4, "text": "FACE A BEE"}) + "\n"
    files = {
        "good.jsonl": good,
        "gone.jsonl": good.replace("a.wav", "gone.wav") + good,
        "cut.jsonl": good + '{"audio',
        "none.jsonl": "\n",
        "none.txt": "",
        "text.txt": "FACE A BEE\nA BAD CAFE\n" * 3,
        "lower.txt": "one two three\n" * 3,
        "pairs.jsonl": '{"id": "u1", "text": "A", "pred_text": "A"}\n',
        "voices/x.wav": "no sound",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name, text in (("lm", "text.txt"), ("lower", "lower.txt")):
        words = ["lm", "build", str(folder / text), "--discount-fallback", "--output", str(folder / name)]
        assert main(words) == 0
    return folder


@pytest.fixture(autouse=True)
def here(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)


MISTAKES = [
    # folders and files of the wrong kind
    ("transcribe --model a.wav a.wav", "a.wav: is a file, not a model folder; it is what `asr train` writes"),
    ("transcribe --model lm a.wav", "lm: not a model folder: it lacks config.json"),
    ("transcribe --model model cut.jsonl", "cut.jsonl:2: not JSON"),
    ("lm perplexity model text.txt", "model/config.json: found kind None, wanted 'recurrent_lm'"),
    ("lm tune model good.jsonl --lm lm --rescoring-lm nowhere", "nowhere: no such recurrent language model folder"),
    ("lm tune model good.jsonl --lm lower", "lower/lexicon.txt:1: 'one': the model has no token for 'e'"),
    ("align good.jsonl A --model model", "good.jsonl: a manifest has its own texts"),
    ("info a.wav", "a.wav: the manifest cannot be read"),
    # nothing in them
    ("evaluate model none.jsonl", "none.jsonl: no utterances; wanted one JSON object a line"),
    ("align none.jsonl --model model", "none.jsonl: no utterances"),
    ("lm tune model none.jsonl --lm lm", "none.jsonl: no utterances"),
    ("lm build none.txt --output x", "none.txt: no sentences to count: wanted one a line"),
    (
        "lm build text.txt --exclude text.txt --output x",
        "text.txt: no sentences to count: all 6 are among the excluded",
    ),
    ("prepare folder voices --output x --quiet", "x: no transcript"),
    # missing
    ("evaluate model gone.jsonl", "gone.wav: no such file"),
    ("evaluate model good.jsonl --vocabulary nowhere", "nowhere: the text cannot be read: No such file"),
    ("lm perplexity lm nowhere", "nowhere: the text cannot be read: No such file"),
    # options
    ("evaluate model good.jsonl --max-batch-seconds 0", "--max-batch-seconds: found 0, wanted more than 0"),
    # results that cannot be written
    ("evaluate model good.jsonl --json model", "--json: model is a folder; wanted the name of a file"),
    ("evaluate model good.jsonl --html a.wav/x", "--html: a.wav/x cannot be written:"),
    ("evaluate model good.jsonl --hypotheses a.wav/x", "--hypotheses: a.wav/x cannot be written:"),
    ("score text.txt text.txt --json a.wav/x", "a.wav is a file, not a folder"),
    ("compare pairs.jsonl pairs.jsonl --json a.wav/x", "--json: a.wav/x cannot be written"),
    ("align a.wav A --model model --output-dir a.wav", "--output-dir: a.wav is a file; wanted the name of a folder"),
    ("align a.wav A --model model --plot a.wav/x.png", "--plot: a.wav/x.png cannot be written"),
    ("export model --output a.wav/x", "--output: a.wav/x cannot be written"),
    ("lm build text.txt --output a.wav", "--output: a.wav is a file; wanted the name of a folder"),
    ("lm perplexity lm text.txt --json a.wav/x", "--json: a.wav/x cannot be written"),
    ("lm prune lm --threshold 1e-8 --output a.wav/x", "--output: a.wav/x cannot be written"),
    ("lm interpolate lm lower --heldout text.txt --output a.wav/x", "--output: a.wav/x cannot be written"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_message(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)) == 2
    printed = capsys.readouterr()
    command = " ".join(line.split()[: 2 if line.startswith("lm") else 1])
    assert printed.err.startswith(f"asr {command}: ") and message in printed.err
    assert not printed.out  # found before the work is done


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate model good.jsonl --text-scheme greek", "invalid choice: 'greek' (choose from 'none', 'case', 'bas"),
        ("score text.txt text.txt --text-scheme greek", "invalid choice: 'greek'"),
        ("compare pairs.jsonl pairs.jsonl --text-scheme greek", "invalid choice: 'greek'"),
        ("lm build text.txt --output x --text-scheme greek", "invalid choice: 'greek'"),
        ("transcribe --model model a.wav --unknown-score no", "found 'no', wanted a number or none"),
    ],
)
def test_an_option_s_values_are_told(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(line))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_bad_row_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "--model", "model", "gone.jsonl"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "a\tFACE A BEE\n"
    assert printed.err == "asr transcribe: gone: gone.wav: no such file\n"
    assert main(["transcribe", "--model", "model", "none.jsonl"]) == 1
    assert "none.jsonl: no utterances" in capsys.readouterr().err


def test_results_make_their_folders(tmp_path: Path) -> None:
    files = {option: tmp_path / "new" / option for option in ("json", "html", "hypotheses")}
    options = [word for option, path in files.items() for word in (f"--{option}", str(path))]
    assert main(["evaluate", "model", "good.jsonl", *options]) == 0
    assert json.loads(files["json"].read_text(encoding="utf-8"))["wer"] == 0
    assert json.loads(files["hypotheses"].read_text(encoding="utf-8"))["pred_text"] == "FACE A BEE"
    assert "FACE" in files["html"].read_text(encoding="utf-8")


def test_what_the_system_refuses_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    words = ["score", "text.txt", "text.txt", "--json", "x.json"]
    assert main(words) == 2
    assert capsys.readouterr().err == "asr score: x.json: No space left on device\n"
    with pytest.raises(OSError, match="No space"):
        main(["--debug", *words])
