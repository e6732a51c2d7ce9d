"""What is written is run: commands and code in README, examples in `--help`, scripts in `examples/`."""

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
from tests.command import run, shell

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
COMMANDS_MAX = 12
"""As many as a reader follows, and as the time of the tests allows."""
NOT_RUN = ("progcodec train", "progcodec export")
"""Commands that need hours, or what such a command leaves."""


def blocks(*languages: str) -> list[str]:
    """The content of README's fenced blocks in these languages, in order."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    fenced = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", text, re.DOTALL | re.MULTILINE)
    return [content for language, content in fenced if language in languages]


def commands() -> list[str]:
    """Lines that begin with the program's name, behind a prompt or not, continued ones joined."""
    lines = "\n".join(blocks("sh", "bash", "console")).replace("\\\n", " ").splitlines()
    lines = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in lines if line.startswith("progcodec ") and not line.startswith(NOT_RUN)]


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
    assert 3 <= len(commands()) <= COMMANDS_MAX
    assert blocks("python")


def test_readme_commands_run_one_after_the_other(desk):
    for command in commands():
        words = shlex.split(command, comments=True)
        if any(re.search(r"[|<>&;$`]", word) for word in words):
            code, told = shell(f'set -o pipefail; progcodec() {{ $P "$@"; }}; {command}')
            assert code == 0, (command, told)
        else:
            run(*words[1:])


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_readme_code_runs_by_itself(desk, number):
    """Each block alone, as it will be copied."""
    code = blocks("python")[number]
    exec(compile(code, f"README.md, python block {number + 1}", "exec"), {"__name__": "__main__"})


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
    texts = [main.help or "", *(command.help or "" for command in main.commands.values())]
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
        context = main.commands[name].make_context(name, list(arguments), parent=parent)
    assert context.command.name == name


@pytest.mark.skipif(shutil.which("progcodec") is None, reason="the package is not installed")
def test_the_installed_command_is_this_program():
    done = subprocess.run(["progcodec", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("progcodec")
