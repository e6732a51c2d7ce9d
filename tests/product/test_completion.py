"""Tab completion in bash, zsh and fish: the script for each shell, and the answers that it asks the
program for.
"""

import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from progcodec.cli import main
from tests.product.test_imports import HEAVY, loaded_by
from tests.support.command import ENVIRONMENT, PATIENCE, commands_of

SHELLS = ("bash", "zsh", "fish")
NAMES_A_FILE = ("FILE", "IMAGE", "OUT", "PATH", "STATE", "FOLDER")
"""What a metavar begins with that stands for a file."""


def asked(shell: str, words: str, incomplete: str = "") -> str:
    """What the program answers to a shell when Tab is pressed after `words` and `incomplete`."""
    env = {
        "_PROGCODEC_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": f"{words} {incomplete}",
        "COMP_CWORD": incomplete if shell == "fish" else str(len(words.split())),
    }
    result = CliRunner().invoke(main, [], prog_name="progcodec", env=env)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def answers(words: str, incomplete: str = "") -> list[str]:
    return asked("bash", words, incomplete).splitlines()


@pytest.fixture
def program(tmp_path) -> dict[str, str]:
    """An environment where `progcodec` is a command."""
    command = tmp_path / "bin" / "progcodec"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m progcodec "$@"\n')
    command.chmod(0o755)
    return {**ENVIRONMENT, "PATH": f"{command.parent}:{os.environ['PATH']}"}


def output(*command: str, **options: object) -> str:
    given = {"capture_output": True, "text": True, "timeout": PATIENCE}
    return subprocess.run(command, check=True, **given, **options).stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_its_script(program, shell):
    script = output("progcodec", env={**program, "_PROGCODEC_COMPLETE": f"{shell}_source"})
    assert "_progcodec_completion" in script and f"{shell}_complete" in script
    if shutil.which(shell):
        output(shell, "-n", input=script)


@pytest.mark.parametrize(
    ("shell", "answer"),
    [("bash", "plain,encode"), ("zsh", "plain\nencode\n"), ("fish", "plain,encode\t")],
)
def test_each_shell_is_answered(shell, answer):
    assert answer.replace("\t", "") in asked(shell, "progcodec", "enc").replace("\t", "")


def test_commands_options_values_and_models():
    assert {f"plain,{name}" for name in commands_of()} <= set(answers("progcodec"))
    for words, incomplete, found in (
        ("progcodec hierarchy", "b", "plain,build"),
        ("progcodec truncate --level", "", "plain,coarse plain,intermediate plain,fine"),
        ("progcodec encode --device", "c", "plain,cpu plain,cuda"),
        ("progcodec decode --model", "li", "plain,lite"),
        ("progcodec decode --model", "./ti", "file,./ti"),
    ):
        assert answers(words, incomplete) == found.split()
    assert "plain,--max-pixels" in answers("progcodec decode", "--m")


def parameters(command: click.Command, path: str) -> list[tuple[str, click.Parameter]]:
    if not isinstance(command, click.Group):
        return [(path, parameter) for parameter in command.params]
    commands = commands_of(command).items()
    return [found for name, sub in commands for found in parameters(sub, f"{path} {name}")]


def test_whatever_names_a_file_completes_to_files():
    found = 0
    for path, parameter in parameters(main, "progcodec"):
        if (parameter.metavar or "").lstrip("[").startswith(NAMES_A_FILE):
            option = parameter.opts[0] if isinstance(parameter, click.Option) else ""
            assert answers(f"{path} {option}", "pho") == ["file,pho"], (path, parameter.name)
            found += 1
    assert found > 15


def test_completion_loads_nothing_heavy():
    code = """
import os
from progcodec.cli import main
os.environ.update(_PROGCODEC_COMPLETE="bash_complete")
os.environ.update(COMP_WORDS="progcodec decode --model l", COMP_CWORD="3")
try:
    main([], prog_name="progcodec")
except SystemExit as end:
    assert end.code == 0
"""
    assert loaded_by(code, *HEAVY) == set()


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_completes(program):
    script = """
eval "$(_PROGCODEC_COMPLETE=bash_source progcodec)"
complete -p progcodec
COMP_WORDS=(progcodec truncate photo.shc --level int); COMP_CWORD=4
_progcodec_completion progcodec
echo "${COMPREPLY[@]}"
"""
    said = output("bash", "-c", script, env=program)
    assert "-F _progcodec_completion progcodec" in said and said.endswith("\nintermediate\n")
