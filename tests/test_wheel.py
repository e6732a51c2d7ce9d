"""The wheel is the whole program: it works from a folder of its own, far from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[1]
SIZE_MAX = 25_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("progcodec-*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def python(unpacked, tmp_path_factory):
    """Runs Python with the unpacked wheel before everything else, from a folder without a checkout around it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    env = {**os.environ, "PYTHONPATH": str(unpacked)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = folder
    return run


def test_the_wheel_holds_what_the_program_needs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    needed = {"checkpoints/lite.safetensors", "data/china.jpg", "data/ATTRIBUTION.txt"}
    needed |= {"evaluation/published_kodak.json", "viewer/page.html", "viewer/page.css", "viewer/page.js"}
    assert {f"progcodec/{name}" for name in needed} <= names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "progcodec").rglob("*.py")}
    assert sources <= names
    heads = {str(path.relative_to(ROOT)) for path in (ROOT / "progcodec" / "classifiers").glob("*.safetensors")}
    assert heads <= names
    info = next(name for name in names if name.endswith(".dist-info/METADATA")).partition("/")[0]
    assert all(name.startswith(("progcodec/", f"{info}/")) for name in names)
    assert not any("__pycache__" in name or name.endswith((".csv", ".pt", ".tmp")) for name in names)
    assert wheel.stat().st_size < SIZE_MAX


def test_the_wheel_says_how_to_start_and_what_it_depends_on(unpacked):
    (info,) = unpacked.glob("progcodec-*.dist-info")
    assert "progcodec = progcodec.cli:main" in (info / "entry_points.txt").read_text()
    metadata = (info / "METADATA").read_text()
    for name in ("torch", "numpy", "pillow", "click", "tqdm", "constriction", "safetensors"):
        assert f"Requires-Dist: {name}" in metadata
    assert "Requires-Dist: constriction<0.6,>=0.5" in metadata  # its output may change in the next minor version


def test_it_runs_from_the_wheel(python, unpacked):
    assert Path(python("-c", "import progcodec; print(progcodec.__file__)").strip()).is_relative_to(unpacked)
    with Image.open(unpacked / "progcodec" / "data" / "china.jpg") as image:
        image.resize((160, 107)).save(python.folder / "photo.jpg")
    python("-m", "progcodec", "encode", "photo.jpg")
    python("-m", "progcodec", "truncate", "photo.shc", "--bytes", "200")
    python("-m", "progcodec", "decode", "photo.shc", "photo.200B.shc")
    for name in ("photo.png", "photo.200B.png"):
        assert Image.open(python.folder / name).size == (160, 107)


def test_the_demo_runs_from_the_wheel(python):
    assert "wrote contact-sheet.png" in python("-m", "progcodec", "demo")
    assert Image.open(python.folder / "contact-sheet.png").width > 1000
