"""What the documentation says in Python is true: docs/api.md prints what it shows, the README's example runs."""

import doctest
import re
from pathlib import Path

import pytest
import soundfile

from asr.audio.load import load_audio
from asr.commands.demo import CORPUS
from asr.model.folder import DEFAULT, SHIPPED

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not (SHIPPED / DEFAULT).is_dir(), reason="the default model is not in this copy of asr")


def test_the_examples_of_the_page_on_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = ROOT / "docs" / "api.md"
    page = path.read_text(encoding="utf-8")
    # One session, so that an example goes on where the one before it ended; line numbers stay the page's.
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner()
    report: list[str] = []
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) == page.count("```python") > 10
    for block in blocks:
        line = page.count("\n", 0, block.start(1))
        example = doctest.DocTestParser().get_doctest(block[1], names, f"line {line + 1}", str(path), line)
        assert example.examples, f"{path}:{line + 1}: no example in this block"
        runner.run(example, out=report.append, clear_globs=False)
        names = example.globs
    assert not runner.failures, "\n".join(report)


def test_the_readme_s_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("recording.wav", "call.mp3"), start=1):
        waveform, rate = load_audio(next((CORPUS / "sentences").glob(f"{number}-*")))
        soundfile.write(name, waveform, rate)
    (block,) = BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    exec(compile(block[1], "README.md", "exec"), names)
    said = "THE TRAIN LEAVES AT HALF PAST SEVEN IN THE MORNING"
    first, second = capsys.readouterr().out.splitlines()
    assert first == said and re.fullmatch(rf"0\.\d+ \d\.\d+ {said} [01]\.\d+", second)
    assert [transcript.text for transcript in names["transcripts"]] == [  # type: ignore[attr-defined]
        said, "WE ARE GOING TO THE BEACH WITH OUR FRIENDS",
    ]  # fmt: skip
