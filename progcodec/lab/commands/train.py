"""``train`` and ``export``: thin shells over ``progcodec.lab.train``."""

import ast
import os
from dataclasses import fields
from typing import Any

import click

from progcodec.cli import options
from progcodec.cli.files import OutputError, check_writable, show
from progcodec.cli.messages import say
from progcodec.config import FAMILIES, ModelConfig
from progcodec.errors import TrainingError


def parse_settings(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise click.BadParameter("must look like NAME=VALUE.")
    return {name: value for name, _, value in pairs}


@click.command("train", short_help="Train a model.")
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    shell_complete=options.file_names,
    help="Folder, .tar, .tar.gz, picture or glob of these; repeatable.",
)
@click.option(
    "--out",
    metavar="FILE",
    required=True,
    shell_complete=options.file_names,
    help="The checkpoint (.safetensors), written at every save.",
)
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
    "--init",
    metavar="FILE",
    shell_complete=options.file_names,
    help="Start a new run from the weights of this state or checkpoint.",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so many minutes."
)
@click.option("--steps", type=click.IntRange(min=1), help="Stop after so many steps.")
@options.device
@click.option("--batch", type=click.IntRange(min=1), help="Crops a step.")
@click.option(
    "--crop", type=click.IntRange(min=16), help="Pixels a side of a crop, a multiple of 16."
)
@click.option(
    "--bfloat16",
    is_flag=True,
    help="Compute in bfloat16 on a CPU that has it (as on CUDA); far slower on one that has not.",
)
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
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=parse_settings,
    metavar="NAME=VALUE",
    help="Any other setting of the run or, as config.NAME, of the model; repeatable.",
)
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
    if given["minutes"] is None and given["steps"] is None:
        raise click.UsageError("say when to stop: --minutes or --steps.")
    if given["finish"] and not given["resume"]:
        raise click.UsageError("--finish needs --resume.")
    if given["resume"] and given["init"]:
        raise click.UsageError("give at most one of --resume and --init.")
    # Its own files may be brought up to date.
    goes_on = given["resume"] == f"{given['out']}.state.pt"
    prepare_output(given["out"], force or goes_on)
    for name in ("resume", "init"):
        if given[name] is not None and not os.path.exists(given[name]):
            raise TrainingError(f"{show(given[name])}: no such file")
    try:
        from progcodec.lab.train.dataset import CROP, check_sides

        crop = given["crop"] or settings.get("crop", CROP)
        if str(crop).isdigit():  # what is wrong with it is told below
            check_sides(data, int(crop))
        from progcodec.lab.train.parallel import leads
        from progcodec.lab.train.settings import TrainSettings
        from progcodec.lab.train.trainer import train
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"training needs an extra: pip install 'progcodec[train]' ({error})"
        ) from error

    if family:
        settings = {"config.family": family, **settings}
    chosen = {name: value for name, value in given.items() if value not in (None, False, ())}
    try:
        run = TrainSettings(data=data, **chosen, **typed(settings, TrainSettings))
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{error}.") from error
    last = train(run)
    if leads():
        summary = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
        say(f"wrote {show(given['out'])} ({_size(given['out'])})  {summary}".rstrip())


@click.command("export", short_help="A training state to a checkpoint.")
@click.argument("state", metavar="STATE", shell_complete=options.file_names)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    required=True,
    shell_complete=options.file_names,
    help="The checkpoint (.safetensors).",
)
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
    prepare_output(out, force)
    from progcodec.lab.train.trainer import export_state

    export_state(state, out, description)
    say(f"wrote {show(out)} ({_size(out)})")


def prepare_output(out: str, force: bool) -> None:
    """Find out now, not after hours of training, that `out` cannot be written.

    Raises OutputError.
    """
    check_writable(out, force)
    folder = os.path.dirname(out) or os.curdir
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {show(out)}: {error.strerror}") from error
    if os.path.isdir(out) or not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {show(out)}")


def typed(settings: dict[str, str], owner: type) -> dict[str, Any]:
    """NAME=VALUE pairs as typed fields of the settings dataclass; ``config.NAME`` goes into the
    model's config.
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
            raise ValueError(
                f"there is no setting {name!r}; there are: {', '.join(sorted(own))}, config.NAME"
            )
    if config:
        values["config"] = ModelConfig.from_dict(
            {**FAMILIES.get(config.get("family", ""), {}), **config}
        )
    return values


def _size(path: str) -> str:
    return f"{os.path.getsize(path) / 1e6:.1f} MB"
