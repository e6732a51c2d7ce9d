"""``train-classifier``: a thin shell over ``progcodec.lab.train.classifier``."""

from typing import Any

import click

from progcodec.cli.files import show
from progcodec.cli.messages import say
from progcodec.errors import TrainingError
from progcodec.lab.commands import options
from progcodec.lab.extras import extra


@click.command("train-classifier", short_help="Teach a classifier to read cut files.")
@options.pictures(
    "Training pictures: folder, .tar, .tar.gz or glob of these; repeatable. A picture's "
    "folder may name its class.",
    required=True,
)
@options.pictures(
    "Held-out pictures with labels; repeatable. One half calibrates, the other judges.  [without: "
    "neither]",
    "--val",
)
@options.out("The classifier's file (.safetensors).")
@click.option(
    "--start",
    metavar="C",
    help="What it starts from: a classifier's file, timm:NAME[@FILE], or weights of "
    "EfficientNet-Lite0. [default: the built-in one]",
)
@click.option(
    "--peer",
    metavar="NAME",
    help="Read another codec's files instead (jpeg, jpeg2000, webp, avif, jpegxl), to judge it "
    "fairly.",
)
@options.span()
@options.going_on
@options.bfloat16
@click.option("--seed", type=click.IntRange(min=0), help="Seed of views, parts and cuts.")
@options.settings("Any other setting of the run, as views=20000 or lr=0.001; repeatable.")
@options.model
@options.device
@options.force
def train_classifier_command(settings: dict[str, str], force: bool, **given: Any) -> None:
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
      progcodec train-classifier --data d --peer webp --minutes 20 --out webp.safetensors
      progcodec classify photo.shc --classifier builtin@classifier.safetensors
    """
    options.check_span(given)
    options.prepare_output(given, force)
    with extra("train", "training", TrainingError):
        from progcodec.lab.train.classifier import ClassifierSettings, train_classifier
        from progcodec.lab.train.parallel import leave
        from progcodec.lab.train.validation import table
    from progcodec.hierarchy.hierarchy import Hierarchy

    run = options.run_settings(ClassifierSettings, settings, given)
    if rows := train_classifier(run):
        say(table(rows, Hierarchy.load()))
        say(f"wrote {show(given['out'])}")
    leave()
