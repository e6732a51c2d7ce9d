"""Structural claims: imports only go down the layers, and light commands start light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import progcodec

ROOT = Path(progcodec.__file__).parent
LAYERS = [
    {"errors", "config", "timing", "driving", "arrays", "markup"},
    {"bitstream", "network", "wordnet"},
    {"image", "stream", "hierarchy"},
    {"passes", "region", "latent"},
    {"walk"},
    {"receiving"},
    {"codec", "hierarchy_build"},
    {"api"},
    {"classification", "pillow"},
    {"fleet"},
    {"evaluation", "streaming"},
    {"training"},
    {"demo", "viewer"},
    {"cli"},
    {"__main__", "__init__"},
]
"""Top-level modules and packages, lowest first. A module imports from lower layers and from its own package only."""
SOURCES = sorted(path for path in ROOT.rglob("*.py"))


def layer(name: str) -> int:
    for index, names in enumerate(LAYERS):
        if name in names:
            return index
    raise AssertionError(f"{name} has no place in LAYERS")


def unit(path: Path) -> str:
    """The top-level module or package that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it, as dotted names; `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def own_units(path: Path) -> set[str]:
    """Our top-level modules that a file imports. The bare package stands for its version and its light errors."""
    parts = [name.split(".") for name in imports(path) if name.startswith("progcodec.")]
    return {
        name[1] for name in parts if (ROOT / name[1]).is_dir() or (ROOT / f"{name[1]}.py").exists()
    }


def outside(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path):
    own = unit(path)
    for other in own_units(path) - {own}:
        assert layer(other) < layer(own), f"{own} imports {other}"


def test_network_and_bitstream_never_meet_and_the_lowest_layer_stands_alone():
    for path in SOURCES:
        if unit(path) == "bitstream":
            assert not outside(path) & {"torch", "PIL", "safetensors"}, path
        if unit(path) == "network":
            assert not outside(path) & {"constriction", "PIL"}, path
        if unit(path) in ("errors", "config"):
            assert not own_units(path) and "torch" not in outside(path), path


def test_the_hierarchy_needs_numpy_only():
    for path in SOURCES:
        if unit(path) in ("hierarchy", "wordnet"):
            assert outside(path) - set(sys.stdlib_module_names) <= {"numpy", "progcodec"}, path
    code = "from progcodec.cli import main; main(['hierarchy', 'show', 'vulture'], standalone_mode=False)"
    assert loaded_by(code, *HEAVY, "sklearn", "open_clip", "nltk", "matplotlib") <= {"numpy"}


def test_files_stay_short_enough_to_read():
    for path in SOURCES:
        if unit(path) in (
            "cli",
            "image",
            "demo",
            "stream",
            "hierarchy",
            "wordnet",
            "hierarchy_build",
            "fleet",
        ):
            assert len(path.read_text(encoding="utf-8").splitlines()) < 330, path


def loaded_by(code: str, *modules: str) -> set[str]:
    """Which of `modules` a fresh interpreter has loaded after running `code`."""
    script = (
        f"import sys\n{code}\nprint(*[m for m in {modules!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stderr.split())


HEAVY = ("torch", "numpy", "PIL", "constriction", "safetensors", "compressai", "tqdm")


@pytest.mark.parametrize(
    "code",
    [
        "import progcodec",
        "import progcodec; progcodec.truncate; progcodec.info; progcodec.CorruptError; dir(progcodec)",
        "from progcodec.cli import main; main(['--help'], standalone_mode=False)",
        "from progcodec.cli import main; main(['encode', '--help'], standalone_mode=False)",
        "from progcodec.cli import main; main(['train', '--help'], standalone_mode=False)",
        "from progcodec.cli import main; main(['hierarchy', 'build', '--help'], standalone_mode=False)",
    ],
)
def test_starts_without_anything_heavy(code):
    assert loaded_by(code, *HEAVY) == set()


def test_truncate_and_info_run_without_anything_heavy(tmp_path):
    from progcodec.bitstream.container import Header, write

    path = tmp_path / "some.shc"
    path.write_bytes(write(Header(64, 48, b"abcd"), [bytes(range(30))] * 4))
    for arguments in (["info", str(path)], ["truncate", str(path), "--bytes", "50", "--force"]):
        assert (
            loaded_by(
                f"from progcodec.cli import main; main({arguments!r}, standalone_mode=False)",
                *HEAVY,
            )
            == set()
        )
    assert (tmp_path / "some.50B.shc").stat().st_size == 50


def test_the_codec_needs_no_extra():
    assert (
        loaded_by(
            "import progcodec.codec", "compressai", "torchvision", "timm", "matplotlib", "scipy"
        )
        == set()
    )


def test_classifying_loads_no_compiler(small_photograph, tmp_path):
    picture, stream = tmp_path / "a.png", tmp_path / "a.shc"
    small_photograph.save(picture)
    lines = [
        ["encode", str(picture), "--device", "cpu"],
        ["classify", str(stream), "--device", "cpu"],
    ]
    code = (
        f"from progcodec.cli import main\nfor line in {lines!r}: main(line, standalone_mode=False)"
    )
    assert loaded_by(code, "torch._dynamo", "torch._inductor") == set()
    assert stream.exists()


def test_public_names():
    assert set(progcodec.__all__) <= set(dir(progcodec))
    for name in progcodec.__all__:
        assert getattr(progcodec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        progcodec.nonsense  # noqa: B018
