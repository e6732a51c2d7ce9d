"""The whole package passes mypy's strict rules, and all code ruff's."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(*command: str) -> None:
    """Fails with what the tool says, unless it finds nothing.

    Its settings are those of pyproject.toml.
    """
    if find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_types(tmp_path_factory):
    check("mypy", "--cache-dir", str(tmp_path_factory.mktemp("mypy")))


def test_style():
    check("ruff", "check", "--no-cache", ".")
    check("ruff", "format", "--check", "--no-cache", ".")


def test_types_are_told_to_those_who_import_the_package():
    assert (ROOT / "progcodec" / "py.typed").is_file()
