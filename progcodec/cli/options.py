"""Options that several commands share; those that belong together become one argument."""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click
from click.shell_completion import CompletionItem

from progcodec import assets
from progcodec.cli.messages import QUIET
from progcodec.config import DEFAULT_PIXEL_LIMIT, LEVELS, QUALITY_MAX
from progcodec.cut import Cut

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

LOCAL = "local"


@dataclass(frozen=True)
class Many:
    """Inputs, where their results go, and where the work is done."""

    inputs: tuple[str, ...]
    recursive: bool = False
    listed: str | None = None
    output: str | None = None
    resume: bool = False
    batch: int = 16
    engine: str = LOCAL
    force: bool = False


def grouped(**kinds: type) -> Decorator:
    """Options reach the command as ``kinds``, dataclasses: each takes what its fields name."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def regrouped(**given: Any) -> Any:
            for name, kind in kinds.items():
                own = [field.name for field in fields(kind) if field.name in given]
                given[name] = kind(**{field: given.pop(field) for field in own})
            return command(**given)

        return regrouped

    return decorate


def all_of(*options: Decorator) -> Decorator:
    """Several options, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def file_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For ``shell_complete=``: the shell itself completes names of files."""
    return [CompletionItem(incomplete, type="file")]


def named_file(*names: str, metavar: str = "FILE", help: str, **more: Any) -> Decorator:
    """An option that names a file."""
    return click.option(*names, metavar=metavar, shell_complete=file_names, help=help, **more)


def number(*names: str, help: str, least: int = 1, metavar: str = "N", **more: Any) -> Decorator:
    """An option that is a whole number."""
    kind = click.IntRange(min=least)
    return click.option(*names, type=kind, metavar=metavar, help=help, **more)


def inputs(metavar: str, *, tree: bool = True) -> Decorator:
    """The argument of a command that takes many inputs, --recursive and --from-list; `tree`:
    whether outputs have places in a tree.
    """
    kept = ", and keep the tree" if tree else ""
    return all_of(
        click.argument("inputs", metavar=metavar, nargs=-1, shell_complete=file_names),
        click.option(
            "--recursive", is_flag=True, help=f"Reach into the folders inside of folders{kept}."
        ),
        named_file(
            "--from-list",
            "listed",
            help="Also take the inputs that this file names, one a line or NUL-separated; "
            '"-" is standard input.',
        ),
    )


def _checkpoints(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of the shipped checkpoints, or else files."""
    names = sorted(path.stem for path in (assets.FOLDER / "checkpoints").glob("*.safetensors"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)] or file_names(
        context, parameter, incomplete
    )


def _region(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Four integers. Whether they fit is for the picture to say."""
    if value is None:
        return None
    try:
        x, y, width, height = (int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not four whole numbers: X,Y,W,H.") from None
    return x, y, width, height


force = click.option("--force", is_flag=True, help="Overwrite existing files.")
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Where the network runs. A file decodes on any of them.",
)
model = click.option(
    "--model",
    metavar="NAME|FILE",
    shell_complete=_checkpoints,
    help="A shipped checkpoint's name, or a checkpoint file.",
)
quality = click.option(
    "--quality",
    type=click.IntRange(-QUALITY_MAX, QUALITY_MAX),
    metavar="N",
    default=0,
    help=f"{-QUALITY_MAX} to {QUALITY_MAX}: each unit more makes the quantisation step 1.22 "
    "times finer; 0 is the model's own.",
)
max_pixels = number(
    "--max-pixels",
    default=DEFAULT_PIXEL_LIMIT,
    help="Refuse larger pictures before anything is allocated for them.",
)
psnr = click.option(
    "--psnr",
    type=float,
    metavar="X",
    help="Take the lowest quality whose picture has a PSNR of X dB or more; tries four.",
)
region = click.option(
    "--region",
    metavar="X,Y,W,H",
    callback=_region,
    help="Only this part of the picture: its left and top edge, width and height, in pixels.",
)
resume = click.option(
    "--resume",
    is_flag=True,
    help="Keep a journal beside the outputs, and skip what it proves finished by fingerprints.",
)
batch = number(
    "--batch", default=16, help="Pictures of one size that go through the networks together."
)


def _threads(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
    if value is not None:
        os.environ["OMP_NUM_THREADS"] = str(value)  # torch, which is loaded later, looks there
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(value)


def _quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[QUIET] = value


threads = number(
    "--threads",
    callback=_threads,
    expose_value=False,
    help="Cores to compute with.  [default: all]",
)
quiet = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    callback=_quiet,
    expose_value=False,
    help="Print nothing but errors.",
)
network = all_of(model, device, threads, max_pixels)
"""The model, where it runs, and how large its pictures may be."""
judge = all_of(
    click.option(
        "--confidence",
        type=click.FloatRange(0, 1),
        metavar="P",
        default=0.5,
        help="The probability from which a level counts as sure.",
    ),
    click.option(
        "--classifier",
        metavar="C",
        help="builtin (the default), timm:NAME or torchvision:NAME: see `classify --help`.",
    ),
    named_file("--hierarchy", help="The classifier's classes in groups of your own."),
)
"""What answers, and from when on it is sure."""
form = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    help="A table to read, comma-separated values, or one JSON object a line.",
)


def _engine(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value not in (LOCAL, "ray") and not value.startswith("ray://"):
        raise click.BadParameter('must be "local", "ray" or "ray://ADDRESS".')
    return value


engine = click.option(
    "--engine", metavar="local|ray[://ADDRESS]", default=LOCAL, callback=_engine,
    help="Where: on this machine, or shards over a Ray cluster: tar files, "
    "paths or URIs, in and out.",
)  # fmt: skip


work = all_of(resume, batch, engine, network, force, quiet)
"""How many inputs are worked on by a model."""


def output(text: str, **more: Any) -> Decorator:
    return named_file("-o", "--output", metavar="OUT", help=text, **more)


def cut(*, bpp: bool = True, required: bool = False) -> Decorator:
    """--bytes, --level and, if `bpp`, --bpp: where a stream ends, as the argument `cut`."""
    options = {
        "max_bytes": number("--bytes", "max_bytes", least=0, help="Keep the first N bytes."),
        "bpp": click.option(
            "--bpp", type=float, metavar="X", help="Keep the bytes that X bits per pixel allow."
        ),
        "level": click.option("--level", type=click.Choice(LEVELS), help="End with this level."),
    }
    if not bpp:
        del options["bpp"]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_cut(**given: Any) -> Any:
            try:
                chosen = Cut(**{name: given.pop(name) for name in options})
            except ValueError as error:
                raise click.UsageError(f"{error}.") from None
            if len(chosen.limits()) > 1 or (required and not chosen):
                names = [f"--{'bytes' if name == 'max_bytes' else name}" for name in options]
                listed = f"{', '.join(names[:-1])} and {names[-1]}"
                count = "exactly" if required else "at most"
                raise click.UsageError(f"give {count} one of {listed}.")
            return command(cut=chosen, **given)

        return all_of(*options.values())(with_cut)

    return decorate
