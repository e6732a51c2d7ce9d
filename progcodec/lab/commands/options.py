"""Options that several commands of the laboratory share, and what becomes of their values."""

import ast
import os
from dataclasses import fields
from typing import Any

import click

from progcodec.cli.files import OutputError, check_writable, show
from progcodec.cli.options import (
    Decorator,
    all_of,
    batch,
    device,
    file_names,
    force,
    model,
    named_file,
)
from progcodec.config import FAMILIES, ModelConfig

__all__ = ["batch", "device", "file_names", "force", "model", "named_file"]
WHOLE = click.IntRange(min=1)
ABOVE_0 = click.FloatRange(min=0, min_open=True)


def pictures(text: str, *names: str, **more: Any) -> Decorator:
    """Shards, folders, pictures or globs of these; repeatable."""
    given: dict[str, Any] = {"metavar": "PATH", "multiple": True, **more}
    return named_file(*(names or ("--data",)), help=text, **given)


def out(text: str, metavar: str = "FILE") -> Decorator:
    return named_file("-o", "--out", metavar=metavar, required=True, help=text)


def span(
    minutes: str = "Stop after so many minutes.", steps: str = "Stop after so many steps."
) -> Decorator:
    """How long a run is: see :func:`check_span`."""
    return all_of(
        click.option("--minutes", type=ABOVE_0, help=minutes),
        click.option("--steps", type=WHOLE, help=steps),
    )


going_on = all_of(
    named_file("--resume", metavar="STATE", help="Go on from this training state."),
    click.option(
        "--finish",
        is_flag=True,
        help="With --resume: finish that run; --minutes and --steps count from its start.",
    ),
)
bfloat16 = click.option(
    "--bfloat16",
    is_flag=True,
    help="Compute in bfloat16 on a CPU that has it (as on CUDA); far slower on one that has not.",
)


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if not all(name and equals for name, equals, _ in pairs):
        raise click.BadParameter("must look like NAME=VALUE.")
    return {name: value for name, _, value in pairs}


def settings(text: str) -> Decorator:
    """--set NAME=VALUE, repeatable; see :func:`typed`."""
    return click.option(
        "--set", "settings", multiple=True, callback=_pairs, metavar="NAME=VALUE", help=text
    )


def numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """A callback: whole numbers, with commas between them."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter("must be whole numbers with commas between them, as 1,20.")
    return tuple(map(int, parts))


# --- values -------------------------------------------------------------------------------------


def check_span(given: dict[str, Any]) -> None:
    """Raises UsageError where it is not said how long a run is."""
    if given["minutes"] is None and given["steps"] is None:
        raise click.UsageError("say when to stop: --steps or --minutes.")


def prepare_output(given: dict[str, Any], force: bool) -> None:
    """Find out now, not after hours of training, that --out cannot be written. A run that goes on
    may bring its own files up to date.

    Raises OutputError.
    """
    path = given["out"]
    check_writable(path, force or given.get("resume") == f"{path}.state.pt")
    folder = os.path.dirname(path) or os.curdir
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {show(path)}: {error.strerror}") from error
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {show(path)}")


def typed(settings: dict[str, str], owner: type) -> dict[str, Any]:
    """NAME=VALUE pairs as typed fields of the settings dataclass; ``config.NAME`` goes into the
    model's config.

    Raises TypeError and ValueError.
    """
    values: dict[str, Any] = {}
    config: dict[str, Any] = {}
    kinds = {field.name: field.type for field in fields(owner)}
    own = kinds.keys() - {"data", "config"}
    for name, text in settings.items():
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}.get(text.lower(), text))
        except (SyntaxError, ValueError):
            value = text
        if kinds.get(name) in (bool, bool | None) and not isinstance(value, bool | None):
            raise ValueError(f"{name} is true or false, not {text!r}")
        if name.startswith("config."):
            config[name.removeprefix("config.")] = value
        elif name in own:
            values[name] = value
        else:
            listed = ", ".join(sorted(own))
            raise ValueError(f"there is no setting {name!r}; there are: {listed}, config.NAME")
    if config:
        family = FAMILIES.get(config.get("family", ""), {})
        values["config"] = ModelConfig.from_dict({**family, **config})
    return values


def run_settings(owner: type, settings: dict[str, str], given: dict[str, Any], **more: Any) -> Any:
    """An instance of a run's settings dataclass, from its options and --set. Raises UsageError."""
    chosen = {name: value for name, value in given.items() if value not in (None, False, ())}
    try:
        return owner(**more, **chosen, **typed(settings, owner))
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{error}.") from error
