"""How the tests run the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner, Result

from progcodec.bitstream.container import Header, write
from progcodec.cli import main

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PATIENCE = 1800
"""Seconds after which a program has hung, however busy the machine is."""
STREAM = write(Header(64, 48, b"abcd"), [bytes(range(n)) for n in (20, 40, 60, 80)])
"""A sound container around meaningless payloads: enough for all that needs no model."""
COARSE_END = 14 + (1 + 20 + 4) + (1 + 40 + 4)
"""Header, hyperlatent, coarse; each segment with its length and checksum."""


def run(*arguments: object, stdin: bytes = b"", code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def records(*arguments: object, **options: object) -> list[dict]:
    """What a command prints with ``--format jsonl``."""
    lines = run(*arguments, "--format", "jsonl", **options).stdout_bytes.splitlines()
    return [json.loads(line) for line in lines]


def commands_of(group: click.Group = main) -> dict[str, click.Command]:
    """What a group has, by name, in the order of its help."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def errors(result: Result) -> list[str]:
    return result.stderr.splitlines()


def python(
    *arguments: object, code: int = 0, **options: object
) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, with this package."""
    command = [sys.executable, *map(str, arguments)]
    given = {"env": ENVIRONMENT, "timeout": PATIENCE, "capture_output": True, "text": True}
    done = subprocess.run(command, check=False, **{**given, **options})
    assert done.returncode == code, done.stderr[-2000:]
    return done


def shell(command: str) -> tuple[int, str]:
    """Exit code and stderr of a bash command in which $P is the program."""
    env = {**ENVIRONMENT, "P": f"{sys.executable} -m progcodec"}
    done = subprocess.run(
        ["bash", "-c", command], env=env, check=False, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    return done.returncode, done.stderr
