"""The layout: imports go down only, the product knows nothing of the laboratory, and light commands
start light.
"""

import ast
import shutil
import sys
from pathlib import Path

import pytest

import progcodec
from tests.support.command import ENVIRONMENT, STREAM, python

ROOT = Path(progcodec.__file__).parent
ROOMS = (
    ("errors", "config", "arrays"),
    ("assets", "markup", "files", "metrics", "geometry", "colour"),
    ("bitstream", "network", "hierarchy", "image"),
    ("cut",),
    ("codec",),
    ("classification",),
    ("api",),
    ("fleet", "pillow", "viewer"),
    ("cli",),
    ("lab",),
)
"""Lowest first. A module imports from rooms below its own, and from its own."""
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
DOORS = {"__init__.py", "__main__.py"}
"""Of the package itself: the public names, and ``python -m progcodec``."""
SOURCES = sorted(
    path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.name not in DOORS
)


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it, as dotted names; `from a import b` gives a
    and a.b.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def rooms_used(path: Path) -> set[str]:
    return {
        name.split(".")[1]
        for name in imports(path)
        if name.startswith("progcodec.") and name.split(".")[1] in LEVEL
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    own = room(path)
    for other in rooms_used(path) - {own}:
        assert LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_each_room_stands_on_what_it_may():
    for path in SOURCES:
        outside = {name.split(".")[0] for name in imports(path)}
        forbidden = {
            "bitstream": {"torch", "PIL", "safetensors"},
            "network": {"constriction", "PIL"},
            "hierarchy": outside
            - set(sys.stdlib_module_names)
            - {"numpy", "progcodec", "matplotlib"},
        }.get(room(path), set())
        assert not outside & forbidden, path


def test_one_place_outside_of_the_laboratory_names_it():
    named = [
        path
        for path in ROOT.rglob("*.py")
        if room(path) != "lab" and "progcodec.lab" in path.read_text("utf-8")
    ]
    assert named == [ROOT / "cli" / "laboratory.py"]


def test_commands_are_thin():
    """What is longer belongs to the library."""
    for path in (ROOT / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name}"
                assert len(node.args.args) <= 8, f"{path.name}: {node.name}"


def test_no_public_name_is_a_module_too():
    """Importing a module sets its name on the package, and would hide a function of that name."""
    modules = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(progcodec.__all__)


@pytest.fixture(scope="module")
def product(tmp_path_factory) -> Path:
    """A folder with the package in it, without the laboratory."""
    folder = tmp_path_factory.mktemp("product")
    shutil.copytree(ROOT, folder / "progcodec", ignore=shutil.ignore_patterns("lab", "__pycache__"))
    return folder


@pytest.mark.slow
def test_the_product_works_without_the_laboratory(product, photograph):
    photograph.resize((64, 48)).save(product / "a.png")
    script = """
from progcodec.cli import main
def run(*arguments): main(arguments, standalone_mode=False)
run("encode", "a.png", "--device", "cpu")
run("truncate", "a.shc", "--bytes", "200")
run("decode", "a.200B.shc", "--device", "cpu")
run("classify", "a.200B.shc", "--device", "cpu")
run("view", "a.shc", "--device", "cpu")
run("hierarchy", "show", "vulture")
run("--help")
"""
    env = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    done = python("-c", script, cwd=product, env=env)
    assert (product / "a.200B.png").exists() and (product / "a.html").exists()
    assert "evaluate" not in done.stdout and " classify" in done.stdout


def loaded_by(code: str, *modules: str) -> set[str]:
    """Which of `modules` a fresh interpreter has loaded after running `code`."""
    script = (
        f"import sys\n{code}\nprint(*[m for m in {modules!r} if m in sys.modules], file=sys.stderr)"
    )
    done = python("-c", script)
    return set(done.stderr.split())


HEAVY = ("torch", "numpy", "PIL", "constriction", "safetensors", "compressai", "tqdm")
PUBLIC = "progcodec.truncate; progcodec.info; progcodec.CorruptError; dir(progcodec)"


def command(*words: str) -> str:
    return f"from progcodec.cli import main; main({list(words)!r}, standalone_mode=False)"


@pytest.mark.parametrize(
    "code",
    [
        f"import progcodec; {PUBLIC}",
        command("--help"),
        command("encode", "--help"),
        command("classify", "--help"),
        command("train", "--help"),
        command("hierarchy", "build", "--help"),
    ],
)
def test_starts_without_anything_heavy(code):
    assert loaded_by(code, *HEAVY) == set()


def test_commands_that_need_numpy_only():
    more = "sklearn", "open_clip", "nltk", "matplotlib"
    assert loaded_by(command("hierarchy", "show", "vulture"), *HEAVY, *more) <= {"numpy"}


def test_truncate_and_info_run_without_anything_heavy(tmp_path):
    path = tmp_path / "some.shc"
    path.write_bytes(STREAM)
    for words in (["info", str(path)], ["truncate", str(path), "--bytes", "50", "--force"]):
        assert loaded_by(command(*words), *HEAVY) == set()
    assert (tmp_path / "some.50B.shc").stat().st_size == 50


def test_the_codec_needs_no_extra():
    extras = ("compressai", "torchvision", "timm", "matplotlib", "scipy")
    assert loaded_by("import progcodec.codec.codec", *extras) == set()


@pytest.mark.slow
def test_classifying_loads_no_compiler(small_photograph, tmp_path):
    picture, stream = tmp_path / "a.png", tmp_path / "a.shc"
    small_photograph.save(picture)
    lines = command("encode", str(picture), "--device", "cpu")
    lines += "\n" + command("classify", str(stream), "--device", "cpu")
    assert loaded_by(lines, "torch._dynamo", "torch._inductor") == set()
    assert stream.exists()


def test_public_names():
    assert set(progcodec.__all__) <= set(dir(progcodec))
    for name in progcodec.__all__:
        assert getattr(progcodec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        progcodec.nonsense  # noqa: B018
