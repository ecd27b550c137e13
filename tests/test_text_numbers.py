"""Numbers in words, and texts that are compared with numbers in digits on one side."""

import subprocess
import sys
from pathlib import Path

import pytest

from asr.cli import main
from asr.text.normalise import normalise, normalise_what_can_be
from asr.text.numbers import spell_out


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("In 1990, I paid $20.", "In nineteen ninety, I paid twenty dollars."),
        ("1,990 of 1066 and 2005", "one thousand nine hundred and ninety of ten sixty six and two thousand and five"),
        ("the 3rd, the 21st", "the third, the twenty first"),
        ("2.5, 0.5, 50%, 7.5 %", "two point five, zero point five, fifty percent, seven point five percent"),
        ("$1 $2.50 £1.01 $0.99 $1.5 million", "one dollar two dollars and fifty cents one pound and one penny "
         "ninety nine cents one point five million dollars"),
        ("the 1990s, the '80s, the 1900s", "the nineteen nineties, the eighties, the nineteen hundreds"),
        ("10:30, 9:05, 9:00", "ten thirty, nine oh five, nine o'clock"),
        ("007 at -5", "zero zero seven at minus five"),
        ("1,000,000 (42)", "one million (forty two)"),
        ("MP3 5km 192.168.0.1 1/2 no", "MP3 5km 192.168.0.1 one/two no"),
        ("nothing here", "nothing here"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_out(text: str, wanted: str) -> None:
    assert spell_out(text) == wanted
    assert spell_out(wanted) == wanted


def test_scores_do_not_depend_on_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref.txt").write_text("In 1990, Mr. Smith paid $20 for the 3rd — 2.5%!\nÄrger § 5\n", encoding="utf-8")
    (tmp_path / "hyp.txt").write_text(
        "IN NINETEEN NINETY MR SMITH PAID TWENTY DOLLARS FOR THE THIRD TWO POINT FIVE PERCENT\nARGER FIVE\n",
        encoding="utf-8",
    )
    command = ["score", str(tmp_path / "ref.txt"), str(tmp_path / "hyp.txt"), "--text-scheme", "english"]
    assert main(command) == 0
    assert "WER 0.00%" in capsys.readouterr().out


def test_a_sign_does_not_stop_what_is_scored() -> None:
    assert normalise_what_can_be("日本 and α 2 @home №7", "english").startswith("日本 AND")


def test_whisper_s_own_normaliser() -> None:
    pytest.importorskip("whisper_normalizer")
    assert normalise("Mr. Smith won't pay twenty-one dollars, um, for colour [noise].", "whisper") == (
        "mister smith will not pay $21 for color"
    )
    assert normalise("MISTER SMITH WILL NOT PAY $21 FOR COLOR", "whisper") == "mister smith will not pay $21 for color"


def test_the_package_is_named_where_it_is_absent(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n", encoding="utf-8")
    code = (
        "import sys; sys.modules['whisper_normalizer'] = None; from asr.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "score", "a.txt", "a.txt", "--text-scheme", "whisper"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and "pip install 'asr[whisper-normalizer]'" in done.stderr
    assert "Traceback" not in done.stderr
