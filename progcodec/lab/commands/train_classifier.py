"""``train-classifier``: a thin shell over ``progcodec.lab.train.classifier``."""

from typing import Any

import click

from progcodec.cli import options
from progcodec.cli.files import show
from progcodec.cli.messages import say
from progcodec.errors import TrainingError
from progcodec.lab.commands.train import prepare_output


def _views(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter("must be three whole numbers with commas between them, as 1,3,10.")
    return tuple(int(part) for part in parts)


@click.command("train-classifier", short_help="Train the built-in classifier.")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="PATH",
    shell_complete=options.file_names,
    help="Training pictures: folder, .tar, .tar.gz or glob of these; repeatable. A picture's folder names its class.",
)
@click.option(
    "--val",
    multiple=True,
    required=True,
    metavar="PATH",
    shell_complete=options.file_names,
    help="Held-out pictures with labels; repeatable. One half calibrates, the other judges.",
)
@click.option(
    "--teacher",
    required=True,
    metavar="C",
    help="A classifier of pictures, as classify --classifier takes it.",
)
@click.option(
    "--out",
    metavar="FILE",
    shell_complete=options.file_names,
    required=True,
    help="The head's file (.safetensors).",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="Minutes of training, once the caches are filled.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Stop after so many steps, if that is sooner."
)
@click.option(
    "--cache",
    metavar="DIR",
    default="classifier-cache",
    show_default=True,
    help="Keeps the teacher's answers and the coded views; a later run goes on from there.",
)
@click.option("--init", metavar="HEAD", help="Start from the weights of this head.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of views, cuts and weights."
)
@click.option(
    "--views",
    callback=_views,
    default="1,3,10",
    show_default=True,
    metavar="S,L,U",
    help="Views of a small picture (under 128 pixels), of a larger one with a label, of one without.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use about N views, a fair sample of all.",
)
@click.option(
    "--calibrate-with",
    metavar="SHARD",
    help="The one held-out shard that calibrates, by how its name starts.",
)
@click.option(
    "--val-limit",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    metavar="N",
    help="At most N pictures of each held-out shard.",
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=5e-3,
    show_default=True,
    help="Peak learning rate.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that fill the caches.",
)
@click.option(
    "--bfloat16",
    is_flag=True,
    help="Compute in bfloat16: faster on processors that have it, far slower on others.",
)
@options.model
@options.device
@options.force
def train_classifier_command(
    views: tuple[int, int, int], force: bool, model: str | None, **given: Any
) -> None:
    """Train the head that classifies latents, calibrate it, and say how good it is.

    The head learns from random prefixes of what the codec makes of the training pictures: from the labels where there are
    any, and of larger pictures from what a classifier of pictures (the teacher) says. It reads the latents of this one codec only. Where a
    checkpoint of the codec comes with the package, its head belongs in the folder "classifiers" beside it.

    It prints, for each held-out shard and size, the accuracy at each level, the expected calibration error, and in
    brackets the error that perfectly honest probabilities would show on so few pictures; all in per cent.

    \b
    Example:
      progcodec train-classifier --data train/ --val val/ --teacher timm:mobilenetv2_100 --minutes 20 --out head.safetensors
    """
    prepare_output(given["out"], force)
    try:
        from progcodec.lab.train.classifier import ClassifierSettings, train_classifier
        from progcodec.lab.train.validation import table
        from progcodec.lab.train.views import ViewCounts
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"training needs an extra: pip install 'progcodec[train]' ({error})"
        ) from error
    from progcodec.assets import DEFAULT
    from progcodec.hierarchy.hierarchy import Hierarchy

    rows = train_classifier(
        ClassifierSettings(views=ViewCounts(*views), model=model or DEFAULT, **given)
    )
    say(table(rows, Hierarchy.load()))
    say(f"wrote {show(given['out'])}")
