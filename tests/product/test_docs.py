"""What is written is run: commands and code in README and docs/, examples in `--help`, scripts in `examples/`; links lead somewhere."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from progcodec.cli import main
from tests.support.command import commands_of, run, shell

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
COMMANDS_MAX = 16
"""As many in a document as a reader follows, and as the time of the tests allows."""
NOT_RUN = ("progcodec train", "progcodec export")
"""Commands that need hours, or what such a command leaves."""


def blocks(document: Path, *languages: str) -> list[str]:
    """The content of a document's fenced blocks in these languages, in order."""
    fenced = re.findall(
        r"^```(\w*)[^\n]*\n(.*?)^```\s*$",
        document.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return [content for language, content in fenced if language in languages]


def commands(document: Path) -> list[str]:
    """Lines that run the program, alone or in a pipe, behind a prompt or not, continued ones joined."""
    lines = "\n".join(blocks(document, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    lines = [line.strip().removeprefix("$ ") for line in lines]
    return [
        line
        for line in lines
        if re.search(r"(^|\| )progcodec ", line) and not line.startswith(NOT_RUN)
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch, photograph) -> Path:
    """A working folder as the examples take it for granted: photo.jpg, and a folder photos/ with two pictures."""
    monkeypatch.chdir(tmp_path)
    small = photograph.resize((256, 171))
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg", "photos/two.png"):
        small.save(name)
    return tmp_path


def test_readme_has_commands_and_code():
    assert DOCUMENTS[0].name == "README.md" and len(commands(DOCUMENTS[0])) >= 3
    assert blocks(DOCUMENTS[0], "python")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_run_one_after_the_other(desk, document):
    """In a folder of their own, so that each document can be followed by itself."""
    assert len(commands(document)) <= COMMANDS_MAX
    for command in commands(document):
        words = shlex.split(command, comments=True)
        if any(re.search(r"[|<>&;$`]", word) for word in words):
            code, told = shell(f'set -o pipefail; progcodec() {{ $P "$@"; }}; {command}')
            assert code == 0, (command, told)
        else:
            run(*words[1:])


@pytest.mark.parametrize(
    ("document", "number"), [(path, number) for path in DOCUMENTS for number in range(len(blocks(path, "python")))],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)  # fmt: skip
def test_code_runs_by_itself(desk, document, number):
    """Each block alone, as it will be copied."""
    code = blocks(document, "python")[number]
    compiled = compile(code, f"{document.name}, python block {number + 1}", "exec")
    exec(compiled, {"__name__": "__main__"})  # noqa: S102


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    """Files that stand in the repository, and headings in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {
                re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles
            }, target


def test_there_are_examples():
    assert {path.name for path in EXAMPLES} >= {"encode_cut_decode.py"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_run(desk, path, monkeypatch, capsys):
    """By convention an example takes a picture as its first argument, and writes into the folder where it runs."""
    monkeypatch.setattr(sys, "argv", [str(path), "photo.jpg"])
    before = sorted(path.parent.iterdir())
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()
    assert sorted(path.parent.iterdir()) == before


def help_examples() -> list[str]:
    """Every command line in a help text: from the program's name to the end, without what explains it."""
    texts = [main.help or "", *(command.help or "" for command in commands_of().values())]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    found = [match[0] for line in lines if (match := re.search(r"(^|(?<=\| ))progcodec .*", line))]
    return [re.split(r"\s{2,}", line)[0] for line in found]


def test_every_command_has_examples():
    named = {line.split()[1] for line in help_examples()}
    assert named >= {"encode", "decode", "truncate", "info", "demo", "train", "export"}


@pytest.mark.parametrize("line", help_examples())
def test_help_examples_parse(line):
    words = shlex.split(re.sub(r"\s[<>|].*", "", line))
    name, arguments = words[1], words[2:]
    with click.Context(main, info_name="progcodec") as parent:
        context = commands_of()[name].make_context(name, list(arguments), parent=parent)
    assert context.command.name == name


@pytest.mark.skipif(shutil.which("progcodec") is None, reason="the package is not installed")
def test_the_installed_command_is_this_program():
    done = subprocess.run(
        ["progcodec", "--version"], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout.startswith("progcodec")
