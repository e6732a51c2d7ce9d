"""Options that several commands share."""

import math
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from progcodec import assets
from progcodec.config import DEFAULT_PIXEL_LIMIT, LEVELS, QUALITY_MAX
from progcodec.cut import Cut

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def file_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For ``shell_complete=``: the shell completes names of files by itself. click does so only for a type that checks them."""
    return [CompletionItem(incomplete, type="file")]


def _checkpoints(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of the shipped checkpoints, or else files."""
    names = sorted(path.stem for path in (assets.FOLDER / "checkpoints").glob("*.safetensors"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)] or file_names(
        context, parameter, incomplete
    )


class Region(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """``X,Y,W,H`` to four integers. Whether they fit is for the picture to say."""

    name = "X,Y,W,H"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        try:
            x, y, width, height = (int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers: X,Y,W,H.", parameter, context)
        return x, y, width, height


force = click.option("--force", is_flag=True, help="Overwrite existing files.")
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
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
    show_default=True,
    help=f"{-QUALITY_MAX} to {QUALITY_MAX}: each unit more makes the quantisation step 1.22 times finer; 0 is the model's own.",
)
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    metavar="N",
    default=DEFAULT_PIXEL_LIMIT,
    show_default=True,
    help="Refuse larger pictures before anything is allocated for them.",
)
region = click.option(
    "--region",
    type=Region(),
    help="Only this part of the picture: its left and top edge, width and height, in pixels.",
)
reaching = click.option(
    "--recursive", is_flag=True, help="Reach into the folders inside of folders."
)
recursive = click.option(
    "--recursive", is_flag=True, help="Reach into the folders inside of folders, and keep the tree."
)
from_list = click.option(
    "--from-list", "listed", metavar="FILE", shell_complete=file_names,
    help='Also take the inputs that this file names, one a line or NUL-separated; "-" is standard input.',
)  # fmt: skip
resume = click.option(
    "--resume",
    is_flag=True,
    help="Keep a journal beside the outputs, and skip what it proves finished by fingerprints.",
)
batch = click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    default=16,
    show_default=True,
    help="Pictures of one size that go through the networks together.",
)


def _engine(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value not in ("local", "ray") and not value.startswith("ray://"):
        raise click.BadParameter('must be "local", "ray" or "ray://ADDRESS".')
    return value


engine = click.option(
    "--engine", metavar="local|ray[://ADDRESS]", default="local", show_default=True, callback=_engine,
    help="Where: on this machine, or shards over a Ray cluster: tar files, paths or URIs, in and out.",
)  # fmt: skip


def output(text: str) -> Decorator:
    return click.option("-o", "--output", metavar="OUT", shell_complete=file_names, help=text)


def cut(*, bpp: bool) -> Decorator:
    """--bytes, --level and, if `bpp`, --bpp: where a stream ends. :func:`chosen_cut` turns them into keywords."""
    options = [
        click.option(
            "--bytes",
            "max_bytes",
            type=click.IntRange(min=0),
            metavar="N",
            help="Keep the first N bytes.",
        ),
        click.option("--level", type=click.Choice(LEVELS), help="End with this level."),
    ]
    if bpp:
        keep = "Keep the bytes that X bits per pixel allow."
        options.insert(
            1, click.option("--bpp", type=float, callback=_positive, metavar="X", help=keep)
        )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def chosen_cut(*, required: bool = False, **values: Any) -> Cut:
    """The one cut that was asked for; all of the stream where none was, unless one is `required`."""
    cut = Cut(**values)
    if len(cut.limits()) > 1 or (required and not cut):
        names = [f"--{'bytes' if name == 'max_bytes' else name}" for name in values]
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise click.UsageError(f"give {'exactly' if required else 'at most'} one of {listed}.")
    return cut


def _positive(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise click.BadParameter("must be a number above zero.")
    return value
