"""What guards a release agrees with itself: README, `.ci/run`, the changelog, the workflows; the
code passes mypy and ruff.
"""

import re
import subprocess
import sys
import tomllib

import pytest

import progcodec
from tests.support.command import ROOT


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_command_runs_the_tests():
    """`.ci/run` reads it out of README; CONTRIBUTING repeats it, and the workflow runs
    `.ci/run`.
    """
    reads = re.search(r"^command=\$\((.*)\)$", text(".ci/run"), re.MULTILINE)[1]
    found = subprocess.run(
        ["bash", "-c", reads], cwd=ROOT, check=True, capture_output=True, text=True
    )
    read = found.stdout.strip()
    assert [read] == re.findall(r"^ {4}(.*-m pytest.*)$", text("README.md"), re.MULTILINE)
    assert read in text("CONTRIBUTING.md")
    assert "run: bash .ci/run" in text(".github/workflows/test.yml")


def test_the_changelog_begins_with_this_version():
    versions = re.findall(r"^## \[(.*?)\](.*)$", text("CHANGELOG.md"), re.MULTILINE)
    released = [name for name, _ in versions if name != "Unreleased"]
    assert released[0] == progcodec.__version__
    assert all(
        re.fullmatch(r" - \d{4}-\d\d-\d\d", day) for name, day in versions if name in released
    )
    assert text("CHANGELOG.md").count("\n### Format\n") >= len(released)


def test_the_oldest_versions_that_are_tested_are_the_lowest_that_are_allowed():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    for extra in ("train", "evaluate", "classify"):
        wanted += project["optional-dependencies"][extra]
    lowest = dict(re.findall(r"^([\w-]+)==(\S+)$", text("tests/support/oldest.txt"), re.MULTILINE))
    for requirement in wanted:
        name, bound = re.match(r"([\w-]+)(?:\[.*\])?(?:>=([\d.]+))?", requirement).groups()
        if bound and name not in ("mypy", "ruff", "types-tqdm"):
            assert (lowest[name] + ".").startswith(f"{bound}."), requirement


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / ".github/workflows").iterdir())
)
def test_workflows_are_sound(name):
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(text(f".github/workflows/{name}"))["jobs"]
    assert jobs and all(job["steps"] and job["timeout-minutes"] for job in jobs.values())


def check(*command: str) -> None:
    """Fails with what a tool says of the code, by the settings of pyproject.toml."""
    pytest.importorskip(command[0])
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_types(tmp_path):
    check("mypy", "--cache-dir", str(tmp_path))
    assert (ROOT / "progcodec" / "py.typed").is_file(), "types are told to those who import"


def test_style():
    check("ruff", "check", "--no-cache", ".")
    check("ruff", "format", "--check", "--no-cache", ".")
