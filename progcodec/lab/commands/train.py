"""``train``, ``export`` and ``fit-tables``: thin shells over ``progcodec.lab.train``."""

import os
import sys
from typing import Any

import click

from progcodec.cli.files import show
from progcodec.cli.messages import say
from progcodec.config import FAMILIES
from progcodec.errors import TrainingError
from progcodec.lab.commands import options
from progcodec.lab.extras import extra

CHECKPOINT = "The checkpoint (.safetensors)"


@click.command("train", short_help="Train a model.")
@options.pictures("Folder, .tar, .tar.gz, picture or glob of these; repeatable.")
@options.out(f"{CHECKPOINT}, written at every save.")
@options.going_on
@options.named_file("--init", help="Start a new run from the weights of this state or checkpoint.")
@options.span()
@options.device
@click.option("--batch", type=options.WHOLE, help="Crops a step.")
@click.option(
    "--crop", type=click.IntRange(min=16), help="Pixels a side of a crop, a multiple of 16."
)
@options.bfloat16
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    metavar="SPEC",
    help="Classifier of the class term: timm:NAME, or timm:NAME?OPTION=VALUE@FILE; repeatable.",
)
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    help="Transforms of a new model: lite (default) or tic.",
)
@click.option(
    "--preset", metavar="NAME", help="Weights of the objective: shipped (default) or paper."
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of weights and crops.")
@options.settings("Any other setting of the run or, as config.NAME, of the model; repeatable.")
@options.force
def train_command(
    data: tuple[str, ...], settings: dict[str, str], family: str | None, force: bool, **given: Any
) -> None:
    """Train a model, save it as it goes, and leave a checkpoint that encode and decode can use.

    Needs the `train` extra, and `classify` for a teacher. Ctrl-C ends the run early and saves it.
    Beside the checkpoint come the training state (.state.pt, to resume from) and a log (.csv).
    Folders named by WordNet id, or WebDataset's .cls members, give labels; images beyond --set
    memory_gb=16 are streamed. Under torchrun the processes share a run.

    \b
    Examples:
      progcodec train --data "photos/*.tar" --minutes 60 --out mine.safetensors
      progcodec train --data imagenet/ --minutes 600 --teacher timm:resnet50 --out mine.safetensors
      torchrun --nproc-per-node 8 -m progcodec train --data shards --steps 9000 --out m.safetensors
      progcodec train --data photos/ --steps 500 --resume m.state.pt --out m2.safetensors
      progcodec train --data photos/ --minutes 600 --family tic --out tic.safetensors
      progcodec train --data photos/ --steps 20 --set config.width=32 --out tiny.safetensors
    """
    if not data:
        raise click.UsageError("give --data at least once.")
    options.check_span(given)
    if given["finish"] and not given["resume"]:
        raise click.UsageError("--finish needs --resume.")
    if given["resume"] and given["init"]:
        raise click.UsageError("give at most one of --resume and --init.")
    options.prepare_output(given, force)
    for name in ("resume", "init"):
        if given[name] is not None and not os.path.exists(given[name]):
            raise TrainingError(f"{show(given[name])}: no such file")
    with extra("train", "training", TrainingError):
        from progcodec.lab.train.dataset import CROP, check_sides

        crop = given["crop"] or settings.get("crop", CROP)
        if str(crop).isdigit():  # what is wrong with it is told below
            check_sides(data, int(crop))
        from progcodec.lab.train.parallel import leads, leave
        from progcodec.lab.train.settings import TrainSettings
        from progcodec.lab.train.trainer import train

    if family:
        settings = {"config.family": family, **settings}
    last = train(options.run_settings(TrainSettings, settings, given, data=data))
    if leads():
        summary = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
        say(f"wrote {show(given['out'])} ({_size(given['out'])})  {summary}".rstrip())
    leave()


@click.command("export", short_help="A training state to a checkpoint.")
@click.argument("state", metavar="STATE", shell_complete=options.file_names)
@options.out(f"{CHECKPOINT}.")
@click.option(
    "--description",
    default="",
    metavar="TEXT",
    help="What the data were, for the checkpoint's metadata.",
)
@options.force
def export_command(state: str, out: str, description: str, force: bool) -> None:
    """Write the checkpoint of a training state, small enough to ship: integers, tables, half
    precision.

    \b
    Example:
      progcodec export mine.safetensors.state.pt -o mine.safetensors
    """
    options.prepare_output({"out": out}, force)
    from progcodec.lab.train.trainer import export_state

    export_state(state, out, description)
    say(f"wrote {show(out)} ({_size(out)})")


@click.command("fit-tables", short_help="A checkpoint's tables, from what it codes.")
@click.argument("checkpoint", metavar="CHECKPOINT", shell_complete=options.file_names)
@options.pictures(
    "Training pictures: folder, .tar, .tar.gz, picture or glob of these; repeatable.",
    required=True,
)
@options.out(f"{CHECKPOINT} with the same networks.")
@click.option("--limit", type=options.WHOLE, metavar="N", help="Read at most N pictures.")
@options.force
def fit_tables_command(
    checkpoint: str, data: tuple[str, ...], out: str, limit: int | None, force: bool
) -> None:
    """Fit a checkpoint's frequency tables, and the hyperlatent's context, to what it codes.

    The last step of training: files get a little smaller, their first bytes most of all. The
    networks stay as they are; the fingerprint changes. Some hundred pictures are enough.

    \b
    Example:
      progcodec fit-tables mine.safetensors --data "photos/*.tar" --limit 500 -o mine2.safetensors
    """
    options.prepare_output({"out": out}, force)
    from PIL import Image
    from tqdm import tqdm

    from progcodec.lab.train.dataset import load_pictures
    from progcodec.lab.train.fit_tables import fit_tables
    from progcodec.network.checkpoint import Checkpoint

    old = Checkpoint.load(checkpoint)
    pictures = load_pictures(data, 1, limit, quiet=not sys.stderr.isatty())
    bar = tqdm(pictures, desc="coding", unit="img", disable=None)
    fit_tables(old, (Image.fromarray(one.pixels) for one in bar)).save(out)
    say(f"wrote {show(out)} ({_size(out)})")


def _size(path: str) -> str:
    return f"{os.path.getsize(path) / 1e6:.1f} MB"
