"""How the tests run the command line."""

import os
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner, Result

import progcodec
from progcodec.bitstream.container import Header, write
from progcodec.cli import main

STREAM = write(Header(64, 48, b"abcd"), [bytes(range(n)) for n in (20, 40, 60, 80)])
"""A sound container around meaningless payloads: enough for all that needs no model."""
COARSE_END = 14 + (1 + 20 + 4) + (1 + 40 + 4)
"""Header, hyperlatent, coarse; each segment with its length and checksum."""


def run(*arguments: object, stdin: bytes = b"", code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def commands_of(group: click.Group = main) -> dict[str, click.Command]:
    """What a group has, by name, in the order of its help."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def errors(result: Result) -> list[str]:
    return result.stderr.splitlines()


def shell(command: str) -> tuple[int, str]:
    """Exit code and stderr of a bash command in which $P is the program."""
    env = {
        **os.environ,
        "P": f"{sys.executable} -m progcodec",
        "PYTHONPATH": str(Path(progcodec.__file__).parents[1]),
    }
    done = subprocess.run(
        ["bash", "-c", command], env=env, check=False, capture_output=True, text=True, timeout=1200
    )
    return done.returncode, done.stderr
