"""What an installed copy has: the wheel's files, its licences, and recipes that are copied out of it."""

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from asr.cli import main
from asr.training import shipped

ROOT = Path(__file__).parents[1]
HEAVY = {".safetensors", ".opus"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built of a copy of this repository in which weights and sounds are empty: names are what counts."""
    copy, made = tmp_path_factory.mktemp("asr"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)

    def copy_light(source: str, target: str) -> None:
        if Path(source).suffix in HEAVY:
            Path(target).touch()
        else:
            shutil.copy(source, target)

    for name in ("asr", "recipes"):
        shutil.copytree(ROOT / name, copy / name, copy_function=copy_light)
    for name in ("asr", "recipes/digits"):  # what running them leaves behind
        (copy / name / "__pycache__").mkdir(exist_ok=True)
        (copy / name / "__pycache__" / "x.cpython-311.pyc").touch()
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(made)], cwd=copy, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = made.glob("asr-*.whl")
    return zipfile.ZipFile(path)


def files(folder: Path) -> set[str]:
    """Below the folder, as a repository would hold them."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_the_wheel_has_all_of_the_package_and_the_recipes_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    wanted = {f"asr/{name}" for name in files(ROOT / "asr")} | {
        f"asr/recipes/{name}" for name in files(ROOT / "recipes")
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == wanted
    for name in ("asr/py.typed", "asr/models/english-small/model.safetensors", "asr/demo_data/train.yaml"):
        assert name in wanted


def test_the_wheel_names_its_licences(wheel: zipfile.ZipFile) -> None:
    about = metadata(wheel)
    assert about["License-Expression"] == "Apache-2.0"
    held = {name.partition(".dist-info/licenses/")[2] for name in wheel.namelist()} - {""}
    assert held == {"LICENSE", "NOTICE", "asr/models/english-small/README.md", "asr/demo_data/README.md"}


def test_every_model_and_the_demo_are_named_in_the_notice() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for folder in [*(ROOT / "asr" / "models").iterdir(), ROOT / "asr" / "demo_data"]:
        assert folder.relative_to(ROOT).as_posix() in notice


def test_recipes_are_copied_out_of_an_installed_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    installed, work = tmp_path / "installed", tmp_path / "work"
    wheel.extractall(installed)
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-m", "asr", "recipes", "digits", "yesno"],
        cwd=work, env=environment, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "recipes/digits" in done.stdout
    recipes = {f"recipes/{name}" for name in files(ROOT / "recipes")}
    wanted = {name for name in recipes if name.count("/") == 1 or name.split("/")[1] in ("digits", "yesno")}
    assert files(work) == wanted


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    for folder in (path for path in (ROOT / "recipes").iterdir() if (path / "README.md").is_file()):
        assert f"\n{folder.name} " in "\n" + out
    assert "(OpenSLR 1, CC0)" in out


def test_recipes_overwrite_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path)]
    assert main(["recipes", "digits", *output]) == 0
    (tmp_path / "digits" / "train.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "connect.py").write_text("mine too", encoding="utf-8")
    assert main(["recipes", "yesno", "digits", *output]) == 2
    assert f"{tmp_path / 'digits'}: exists already" in capsys.readouterr().err
    assert not (tmp_path / "yesno").exists()
    assert main(["recipes", "yesno", *output]) == 0
    assert (tmp_path / "digits" / "train.yaml").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "connect.py").read_text(encoding="utf-8") == "mine too"


@pytest.mark.parametrize("name", ["nothing", "..", "", "connect.py"])
def test_unknown_recipes_are_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", name, "--output", str(tmp_path / "new")]) == 2
    assert "no such recipe; there are an4, cells, demo, digits" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_recipe_that_is_not_there_says_where_recipes_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "nowhere/digits/train.yaml"]) == 2
    assert "`asr recipes`" in capsys.readouterr().err


def test_recipes_have_a_title() -> None:
    assert all(title and not title.startswith("#") for title in shipped.titles().values())
