"""The wheel is the whole program: it works from a folder of its own, far from the checkout."""

import os
import re
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command import ENVIRONMENT, ROOT
from tests.support.command import python as run_python

pytest.importorskip("hatchling")

SIZE_MAX = 25_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run_python("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("progcodec-*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


HIDE = """
import sys
from importlib.machinery import PathFinder

class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Visible
"""


def runtime(requirements: list[str], found: set[str]) -> set[str]:
    """Adds to `found` the installed distributions that these requirements bring, and those that
    these bring; no extras.
    """
    for requirement in requirements:
        name = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()
        if name not in found and "extra ==" not in requirement:
            try:
                more = distribution(name).requires or []
            except PackageNotFoundError:  # for another system
                continue
            found.add(name)
            runtime(more, found)
    return found


@pytest.fixture(scope="module")
def python(unpacked, tmp_path_factory):
    """Runs Python as after a plain `pip install` of the wheel: no checkout around, and no module
    but those of its requirements.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    metadata = next(unpacked.glob("progcodec-*.dist-info/METADATA")).read_text()
    kept = runtime(re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE), set())
    assert {"torch", "numpy", "pillow", "constriction"} <= kept
    owners = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
        for module, names in packages_distributions().items()
    }
    hidden = {module for module, names in owners.items() if not names & (kept | {"progcodec"})}
    assert {"pytest", "hypothesis"} <= hidden
    (folder / "hidden").mkdir()
    (folder / "hidden" / "sitecustomize.py").write_text(HIDE.format(names=hidden))
    paths = os.pathsep.join([str(folder / "hidden"), str(unpacked)])
    env = {**ENVIRONMENT, "PYTHONPATH": paths}

    def run(*arguments: str, code: int = 0) -> str:
        done = run_python(*arguments, code=code, cwd=folder, env=env)
        return done.stdout + done.stderr

    run.folder = folder
    return run


def test_the_wheel_holds_what_the_program_needs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    needed = {"py.typed", "lab/evaluate/published_kodak.json"}
    needed |= {f"viewer/page.{kind}" for kind in ("html", "css", "js")}
    package = ROOT / "progcodec"
    assets = [path for path in (package / "assets").rglob("*") if "__pycache__" not in path.parts]
    needed |= {path.relative_to(package).as_posix() for path in assets if path.is_file()}
    assert {f"progcodec/{name}" for name in needed} <= names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "progcodec").rglob("*.py")}
    assert sources <= names
    info = next(name for name in names if name.endswith(".dist-info/METADATA")).partition("/")[0]
    assert all(name.startswith(("progcodec/", f"{info}/")) for name in names)
    assert not any("__pycache__" in name or name.endswith((".pt", ".tmp")) for name in names)
    assert wheel.stat().st_size < SIZE_MAX


def test_the_wheel_says_how_to_start_and_what_it_depends_on(unpacked):
    (info,) = unpacked.glob("progcodec-*.dist-info")
    assert "progcodec = progcodec.cli:main" in (info / "entry_points.txt").read_text()
    metadata = (info / "METADATA").read_text()
    for name in ("torch", "numpy", "pillow", "click", "tqdm", "constriction", "safetensors"):
        assert f"Requires-Dist: {name}" in metadata
    # its output may change in the next minor version
    assert "Requires-Dist: constriction<0.6,>=0.5" in metadata


@pytest.mark.slow
def test_it_runs_from_the_wheel(python, unpacked):
    assert Path(python("-c", "import progcodec; print(progcodec.__file__)").strip()).is_relative_to(
        unpacked
    )
    with Image.open(unpacked / "progcodec" / "assets" / "china.jpg") as image:
        image.resize((160, 107)).save(python.folder / "photo.jpg")
    lines = [
        "encode photo.jpg",
        "truncate photo.shc --bytes 200",
        "info photo.200B.shc",
        "decode photo.shc photo.200B.shc",
        "decode photo.shc --region 20,30,50,40 -o part.png",
        "classify photo.shc --bytes 200,all",
        "view photo.shc --original photo.jpg",
        "hierarchy show vulture",
    ]
    # One process for all of them: most of a command's time is that of importing torch.
    script = f"for line in {lines!r}: main(line.split(), standalone_mode=False)"
    said = python("-c", f"from progcodec.cli import main\n{script}")
    sizes = {"photo": (160, 107), "photo.200B": (160, 107), "part": (50, 40)}
    for name, size in sizes.items():
        assert Image.open(python.folder / f"{name}.png").size == size
    assert "photo.html" in said and "vulture" in said and "200  " in said


@pytest.mark.slow
def test_what_needs_an_extra_says_which(python):
    for line, extra in (
        ("classify photo.shc --classifier timm:resnet18", "progcodec[classify]"),
        ("train --data . --crop 96 --minutes 1 --out x.safetensors", "progcodec[train]"),
    ):
        said = python("-m", "progcodec", *line.split(), code=1)
        assert extra in said and "Traceback" not in said and len(said.splitlines()) == 1, said


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(python):
    assert "wrote contact-sheet.png" in python("-m", "progcodec", "demo")
    assert Image.open(python.folder / "contact-sheet.png").width > 1000
