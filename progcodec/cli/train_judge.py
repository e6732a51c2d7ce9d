"""``train-judge``: a thin shell over ``progcodec.training.judge``."""

from typing import Any

import click

from progcodec.cli import options
from progcodec.cli.batch import say
from progcodec.cli.files import show
from progcodec.cli.training import prepare_output
from progcodec.errors import TrainingError


@click.command("train-judge", short_help="Train a classifier of pictures on labels alone.")
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
    metavar="PATH",
    shell_complete=options.file_names,
    help="Held-out pictures with labels, on which the result is judged; repeatable.",
)
@click.option(
    "--out",
    metavar="FILE",
    shell_complete=options.file_names,
    required=True,
    help="The classifier's file (.safetensors).",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so many minutes."
)
@click.option("--steps", type=click.IntRange(min=1), help="Stop after so many steps.")
@click.option(
    "--resume",
    is_flag=True,
    help="Finish the run whose state lies beside the file; minutes and steps count from its start.",
)
@click.option(
    "--init",
    metavar="FILE",
    shell_complete=options.file_names,
    help="Start from the weights of such a classifier.",
)
@click.option(
    "--network",
    "model",
    metavar="NAME",
    default="resnet10t",
    show_default=True,
    help="A network of timm; it starts from random weights.",
)
@click.option(
    "--side",
    type=click.IntRange(min=16),
    default=80,
    show_default=True,
    help="Pixels a side of the last crops.",
)
@click.option(
    "--first-side",
    type=click.IntRange(min=16),
    default=48,
    show_default=True,
    help="Pixels a side of the first crops.",
)
@click.option(
    "--input-side",
    type=click.IntRange(min=16),
    metavar="N",
    help="Pixels a side of a picture that is judged. [default: 1.25 SIDE]",
)
@click.option(
    "--batch", type=click.IntRange(min=2), default=128, show_default=True, help="Pictures a step."
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=2e-3,
    show_default=True,
    help="Peak learning rate.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of weights and crops.",
)
@click.option(
    "--bfloat16",
    is_flag=True,
    help="Compute in bfloat16: faster on processors that have it, far slower on others.",
)
@options.device
@options.force
def train_judge_command(val: tuple[str, ...], force: bool, **given: Any) -> None:
    """Train an independent judge for evaluate: a classifier of pictures that no codec was trained with.

    It learns from labels alone, from random weights. A picture is compared with classes that have pictures of about its
    size, so that what a class looks like cannot be guessed from how its pictures were stored. The file says itself what network it is for, so that its path is all
    that --classifier needs. Printed is, for each held-out shard, its accuracy on clean pictures at each level, on all of
    them and on those of classes that it has met, and the Wu-Palmer similarity. Ctrl-C ends the run early and saves it.

    \b
    Example:
      progcodec train-judge --data "train/*.tar.gz" --val val.tar.gz --minutes 40 --out judge.safetensors
      progcodec evaluate --data val.tar.gz --classifier timm:resnet50 --classifier judge.safetensors -o report/
    """
    if given["minutes"] is None and given["steps"] is None:
        raise click.UsageError("say when to stop: --minutes or --steps.")
    if not given["out"].endswith(".safetensors"):
        raise click.UsageError("the file of --out must end in .safetensors.")
    prepare_output(given["out"], force or given["resume"])
    try:
        from progcodec.training.judge import JudgeSettings, train_judge
        from progcodec.training.verdict import judge_clean, table
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"a judge needs an extra: pip install 'progcodec[classify]' ({error})"
        ) from error
    try:
        settings = JudgeSettings(**given)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
    steps = train_judge(settings)
    say(f"wrote {show(given['out'])} after {steps} steps")
    if val:
        say(table(judge_clean(given["out"], val, given["device"])))
