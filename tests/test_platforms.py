"""Systems other than a desktop's: no sched_getaffinity, the C locale, nothing to write to but temporary files."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import yaml

from asr import compiled, cpus
from asr.data import manifest
from asr.model.ctc_model import CTCModel
from tests.tone_model import RATE, say, tone_model
from tests.tones import SENTENCES, tone_recipe, write_tones

ROOT = Path(__file__).parents[1]
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0"}
NOWHERE = "/dev/null/nowhere"

STRICT = """
import errno, os, sys, warnings

warnings.filterwarnings("ignore", category=EncodingWarning)  # of other packages
warnings.filterwarnings("error", category=EncodingWarning, module="asr")
"""

ELSEWHERE = """
del os.sched_getaffinity
writable = (os.environ["TMPDIR"], "/dev/")

def refuse(event, values):
    # A disk that is read-only also for root.
    if event == "open" and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or event == "os.mkdir":
        path = values[0]
        if isinstance(path, (str, bytes)) and not os.path.abspath(os.fsdecode(path)).startswith(writable):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

sys.addaudithook(refuse)
"""

RUN = """
from asr.cli import main
sys.exit(main())
"""


def python(code: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it with the package at hand, and with warnings of files that are opened without an encoding."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNDEFAULTENCODING": "1", **variables}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=300)


def test_transcribes_without_affinity_in_the_c_locale_on_a_read_only_disk(tmp_path: Path) -> None:
    tone_model().save(tmp_path / "model")
    recording = tmp_path / "schön.wav"
    soundfile.write(recording, say("BAD CAB"), RATE)
    (tmp_path / "temporary").mkdir()
    done = python(
        STRICT + ELSEWHERE + RUN,
        "transcribe", "--model", str(tmp_path / "model"), "--hotwords", "CAB:1", str(recording),
        TMPDIR=str(tmp_path / "temporary"), HOME=NOWHERE, NUMBA_CACHE_DIR="", **C_LOCALE,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{recording}\tBAD CAB\n", "")
    kept = [path.name for path in (tmp_path / "temporary").rglob("*.nbc")]
    assert any(name.startswith("search._walk") for name in kept), "the search is compiled once"


def test_what_is_compiled_runs_where_nothing_at_all_can_be_written() -> None:
    code = "from asr.lm.automaton import EMPTY, step\nprint(step(EMPTY, 0, 1))"
    done = python(STRICT + ELSEWHERE + code, TMPDIR=NOWHERE, HOME=NOWHERE, NUMBA_CACHE_DIR="")
    assert (done.returncode, done.stdout) == (0, "(0.0, 0)\n"), done.stderr


def test_compiled_code_of_others_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = compiled._temporary_folder()
    assert folder.parent == tmp_path and compiled._temporary_folder() == folder
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write to it"):
        compiled._temporary_folder()


def test_usable_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert cpus.usable_cpus() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert cpus.usable_cpus() == 7
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cpus.usable_cpus() == 1


def test_trains_on_chinese_in_the_c_locale_with_a_recipe_named_in_german(tmp_path: Path) -> None:
    """Names of files and folders, texts, tokens, cards and logs: nothing of it is ASCII."""
    chinese = str.maketrans("ABCDEFGHIJ", "零一二三四五六七八九")
    folder = tmp_path / "Übung"
    folder.mkdir()
    values = tone_recipe(folder)
    tones = write_tones(folder, SENTENCES, "töne")
    manifest.write(tones, [replace(row, text=row.text.translate(chinese)) for row in manifest.read(tones)])
    values["data"] |= {"train": [str(tones)], "valid": [str(tones)], "test": [str(tones)]}
    values["trainer"] |= {"max_epochs": 2, "check_val_every_n_epoch": 1}
    values |= {"name": "höre", "output": str(folder / "lauf-ö")}
    recipe = folder / "größe.yaml"
    recipe.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    done = python(STRICT + RUN, "train", str(recipe), **C_LOCALE)
    assert done.returncode == 0, done.stderr
    run = folder / "lauf-ö"
    assert f"{run / 'model'}" in done.stdout
    assert set(CTCModel.load(run / "model").tokenizer.tokens) >= set("零一二三四五七八九")
    assert "一" in (run / "samples.txt").read_text(encoding="utf-8")
    assert "höre" in (run / "recipe.yaml").read_text(encoding="utf-8")
