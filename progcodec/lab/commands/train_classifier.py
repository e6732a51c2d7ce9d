"""``train-classifier``: a thin shell over ``progcodec.lab.train.classifier``."""

from typing import Any

import click

from progcodec.cli import options
from progcodec.cli.files import show
from progcodec.cli.messages import say
from progcodec.errors import TrainingError
from progcodec.lab.commands.train import parse_settings, prepare_output, typed


@click.command("train-classifier", short_help="Teach a classifier to read cut files.")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="PATH",
    shell_complete=options.file_names,
    help="Training pictures: folder, .tar, .tar.gz or glob of these; repeatable. A picture's "
    "folder may name its class.",
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
    "--out",
    metavar="FILE",
    shell_complete=options.file_names,
    required=True,
    help="The classifier's file (.safetensors).",
)
@click.option(
    "--start",
    metavar="C",
    help="What it starts from: a classifier's file, timm:NAME[@FILE], or weights of "
    "EfficientNet-Lite0. [default: the built-in one]",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so many minutes."
)
@click.option("--steps", type=click.IntRange(min=1), help="Stop after so many steps.")
@click.option(
    "--resume",
    metavar="STATE",
    shell_complete=options.file_names,
    help="Go on from this training state.",
)
@click.option(
    "--finish",
    is_flag=True,
    help="With --resume: finish that run; --minutes and --steps count from its start.",
)
@click.option(
    "--bfloat16",
    is_flag=True,
    help="Compute in bfloat16 on a CPU that has it (as on CUDA); far slower on one that has not.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of views, parts and cuts.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=parse_settings,
    metavar="NAME=VALUE",
    help="Any other setting of the run, as views=20000 or lr=0.001; repeatable.",
)
@options.model
@options.device
@options.force
def train_classifier_command(
    data: tuple[str, ...],
    val: tuple[str, ...],
    settings: dict[str, str],
    force: bool,
    **given: Any,
) -> None:
    """Teach a classifier of pictures to read cut files, calibrate it, and say how good it is.

    It learns to say of a decoded prefix what it said of the clean picture before: no label is
    needed, and those that are there help. The pictures are encoded once (kept in FILE.views.npz),
    then cut at random, again and again. Beside FILE come the training state (.state.pt, to resume
    from) and a log (.csv). Ctrl-C ends the run early; what is there is calibrated.

    It prints for each size and level, in per cent: the accuracy; the expected calibration error
    and, in brackets, the error that perfectly honest probabilities would show on so few pictures;
    how often the level is claimed at the usual confidence, and how often rightly. "clean" is the
    picture itself.

    \b
    Examples:
      progcodec train-classifier --data train/ --val val/ --minutes 90 --out classifier.safetensors
      progcodec train-classifier --data d --val v --start lite0.pth --steps 900 --out c.safetensors
      progcodec train-classifier --data d --val v --start timm:vgg16 --steps 900 --out c.safetensors
      progcodec classify photo.shc --classifier builtin@classifier.safetensors
    """
    if given["minutes"] is None and given["steps"] is None:
        raise click.UsageError("say when to stop: --minutes or --steps.")
    goes_on = given["resume"] == f"{given['out']}.state.pt"
    prepare_output(given["out"], force or goes_on)
    try:
        from progcodec.lab.train.classifier import ClassifierSettings, train_classifier
        from progcodec.lab.train.validation import table
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"training needs an extra: pip install 'progcodec[train]' ({error})"
        ) from error
    from progcodec.hierarchy.hierarchy import Hierarchy

    chosen = {name: value for name, value in given.items() if value not in (None, False)}
    try:
        run = ClassifierSettings(
            data=data, val=val, **chosen, **typed(settings, ClassifierSettings)
        )
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{error}.") from error
    if rows := train_classifier(run):
        say(table(rows, Hierarchy.load()))
        say(f"wrote {show(given['out'])}")
