"""The command line, as a person uses it: output, exit codes, messages instead of tracebacks, quick help."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from asr.cli import main
from tests.tones import RATE, SENTENCES, tone_recipe, tone_waveform

COMMANDS = ("prepare", "info", "train", "transcribe", "evaluate", "score", "demo")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where tones were trained: train.yaml, tones.jsonl, WAVs, run/model."""
    folder = tmp_path_factory.mktemp("trained")
    values = tone_recipe(folder)
    values["data"]["test"] = values["data"]["valid"]
    (folder / "train.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", str(folder / "train.yaml")]) == 0
    return folder


def test_transcribe_prints_path_and_text(trained: Path, capsys: pytest.CaptureFixture) -> None:
    files = [str(trained / f"tones{i}.wav") for i in range(4)]
    assert main(["transcribe", "--model", str(trained / "run/model"), *files]) == 0
    assert capsys.readouterr().out == "".join(f"{f}\t{s}\n" for f, s in zip(files, SENTENCES, strict=True))


def test_transcribe_resamples_and_chooses_channels(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import soxr

    speech = soxr.resample(tone_waveform(SENTENCES[1]), RATE, 44_100)
    noise = np.random.default_rng(0).standard_normal(len(speech)) * 0.3
    soundfile.write(tmp_path / "two.flac", np.stack([noise, speech], axis=1), 44_100)
    assert (
        main(["transcribe", "--model", str(trained / "run/model"), "--channel", "1", str(tmp_path / "two.flac")]) == 0
    )
    assert capsys.readouterr().out.endswith(f"\t{SENTENCES[1]}\n")


def test_one_bad_file_does_not_stop_the_others(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not audio at all")
    words = ["transcribe", "--model", str(trained / "run/model"), str(bad), str(trained / "tones0.wav")]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == f"{trained / 'tones0.wav'}\t{SENTENCES[0]}\n"
    assert str(bad) in err and "Traceback" not in err


def test_evaluate_writes_the_figures(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    manifest, result, hypotheses = trained / "tones.jsonl", tmp_path / "result.json", tmp_path / "hyp.jsonl"
    words = ["evaluate", str(trained / "run/model"), str(manifest), "--json", str(result)]
    assert main([*words, "--hypotheses", str(hypotheses)]) == 0
    assert "WER 0.00%" in capsys.readouterr().out
    figures = json.loads(result.read_text(encoding="utf-8"))
    assert (figures["wer"], figures["cer"], figures["words"], figures["utterances"]) == (0, 0, 10, 4)
    assert {"substitutions", "deletions", "insertions", "audio_seconds", "rtf"} <= set(figures)
    assert main(["score", str(manifest), str(hypotheses)]) == 0
    assert "WER 0.00%" in capsys.readouterr().out


def test_score_counts_errors(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "ref.txt").write_text("A B C\n\nD E\n", encoding="utf-8")
    (tmp_path / "hyp.txt").write_text("A X C\nY\nD\n", encoding="utf-8")
    result = tmp_path / "result.json"
    assert main(["score", str(tmp_path / "ref.txt"), str(tmp_path / "hyp.txt"), "--json", str(result)]) == 0
    assert "WER 60.00% (1 substitutions, 1 deletions, 1 insertions of 5 words)" in capsys.readouterr().out
    figures = json.loads(result.read_text(encoding="utf-8"))
    assert figures["wer"] == pytest.approx(0.6)


def test_train_again_without_resume_and_with_overrides(trained: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", str(trained / "train.yaml")]) == 2
    assert "--resume" in capsys.readouterr().err
    recipe, override = str(trained / "train.yaml"), ["--encoder.hidden_size", "16"]
    for words in ([recipe, "--check", *override], ["--check", *override, recipe], [*override, recipe, "--check"]):
        assert main(["train", *words]) == 0
        assert "4 training utterances" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "none.yaml"], "none.yaml: the recipe cannot be read"),
        (["evaluate", "none", "none.jsonl"], "none.jsonl"),
        (["transcribe", "--model", "none", "x.wav"], "none: no such model folder"),
        (["score", "none.txt", "none.txt"], "none.txt"),
        (["info", "none.jsonl"], "none.jsonl"),
        (["prepare", "folder", "none"], "none"),
    ],
)
def test_a_user_s_mistake_is_one_message_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
    with pytest.raises(Exception, match=message):
        main([*words[:1], "--debug", *words[1:]])


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=lambda words: words[0])
def test_help_is_quick_and_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom asr.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'numpy', 'librosa', 'pytorch_lightning', 'soundfile', 'jiwer', 'pydantic', 'torchaudio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, encoding="utf-8", check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "usage: asr" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2  # half a second, on a quiet machine


@pytest.mark.parametrize("words", [["score"], ["score", "--times"], ["compare", "--references", "a.ctm"]], ids=str)
def test_scoring_waits_for_no_network(words: list[str], tmp_path: Path) -> None:
    """Torch takes seconds to import."""
    (tmp_path / "a.ctm").write_text("a 1 0.5 0.2 yes\n", encoding="utf-8")
    code = "import sys\nfrom asr.cli import main\nassert main(sys.argv[1:]) == 0\nassert 'torch' not in sys.modules\n"
    command = [sys.executable, "-c", code, *words, "a.ctm", "a.ctm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_python_m_asr_from_any_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "asr", "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.startswith("asr ")


def test_unknown_options_are_refused_except_by_train(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["score", "a", "b", "--colour", "red"])
    assert stop.value.code == 2
    assert "--colour" in capsys.readouterr().err
