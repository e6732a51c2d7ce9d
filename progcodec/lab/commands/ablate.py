"""``ablate``: a thin shell over ``progcodec.lab.train.ablation``."""

from pathlib import Path
from typing import Any

import click

from progcodec.cli import options
from progcodec.cli.files import show
from progcodec.cli.messages import complain, say
from progcodec.errors import TrainingError
from progcodec.lab.commands.train import parse_settings, typed


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter("must be whole numbers with commas between them, as 0,1.")
    return tuple(int(part) for part in parts)


@click.command("ablate", short_help="Train variants that differ in one thing, and compare them.")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="PATH",
    shell_complete=options.file_names,
    help="Training pictures: folder, .tar, .tar.gz or glob of these; repeatable.",
)
@click.option(
    "--val",
    multiple=True,
    required=True,
    metavar="PATH",
    shell_complete=options.file_names,
    help="Held-out pictures, in the same forms; WordNet ids in paths are classes; repeatable.",
)
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    required=True,
    shell_complete=options.file_names,
    help="Keeps every run, and the tables ablations.csv and ablations.md.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps of each run.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Minutes of each run, if these are over sooner.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Run this variant, and what it is compared with; repeatable.",
)
@click.option(
    "--list",
    "listed",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    help="Show the variants and exit.",
    callback=lambda context, parameter, value: _list(context) if value else None,
)
@click.option(
    "--seeds",
    callback=_seeds,
    default="0,1",
    show_default=True,
    metavar="N,N",
    help="Seeds of each variant.",
)
@click.option("--small", is_flag=True, help="A small model, which a CPU core trains in minutes.")
@click.option(
    "--base-init",
    metavar="FILE",
    shell_complete=options.file_names,
    help="Start from this checkpoint what has its shape; the rest, and a base for it, from "
    "nothing.",
)
@click.option(
    "--teacher",
    metavar="SPEC",
    help="Classifier of the class term; without one, variants with it are left out.",
)
@click.option(
    "--embeddings",
    metavar="FILE",
    shell_complete=options.file_names,
    help="Embeddings of the classes (.npy), for the variant whose groups do not nest.",
)
@click.option(
    "--classifier",
    "classifiers",
    multiple=True,
    metavar="SPEC",
    help="Who judges decoded pictures; repeatable.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="N",
    help="At most N of --val.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=parse_settings,
    metavar="NAME=VALUE",
    help="Any other setting of all runs or, as config.NAME, of the model, as in train; repeatable.",
)
@options.device
def ablate_command(
    small: bool, base_init: str | None, settings: dict[str, str], **given: Any
) -> None:
    """Train each variant at equal budget with each seed, measure real files, and say which
    differences are more than noise.

    A run that is done is not done again: repeat the command to go on, or with other --only or
    --seeds to add to it. Two seeds tell noise apart only roughly; more tell more.

    \b
    Example:
      progcodec ablate --data "train/*.tar.gz" --val val.tar.gz --small --steps 500 -o ablations
    """
    if given["minutes"] is None and given["steps"] is None:
        raise click.UsageError("say how long each run is: --steps or --minutes.")
    try:
        from progcodec.lab.train.ablation.run import CSV, MARKDOWN, AblationSettings, ablate
        from progcodec.lab.train.ablation.variants import SMALL
        from progcodec.lab.train.settings import TrainSettings
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"training needs an extra: pip install 'progcodec[train]' ({error})"
        ) from error
    if base_init is not None:
        if small or any(name.startswith("config.") for name in settings):
            raise click.UsageError(
                "--base-init brings its own model: leave out --small and config.NAME."
            )
        from progcodec.assets import find
        from progcodec.network.checkpoint import Checkpoint

        base_init = str(find(base_init))
        given["config"] = Checkpoint.load(base_init).config
    try:
        shape = {f"config.{name}": str(value) for name, value in SMALL.items()} if small else {}
        chosen = typed({**shape, **settings}, TrainSettings)
        if "config" in chosen:
            given["config"] = chosen.pop("config")
        run = AblationSettings(train=chosen, base_init=base_init, **given)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{error}.") from error
    ablate(run, lambda line: complain(None, line))
    folder = Path(run.out)
    say((folder / MARKDOWN).read_text(encoding="utf-8").rstrip())
    say(f"wrote {show(str(folder / CSV))} and {show(str(folder / MARKDOWN))}")


def _list(context: click.Context) -> None:
    from progcodec.lab.train.ablation.variants import VARIANTS

    width = max(map(len, VARIANTS))
    for name, variant in VARIANTS.items():
        say(f"{name:{width}}  {variant.about}")
    context.exit()
