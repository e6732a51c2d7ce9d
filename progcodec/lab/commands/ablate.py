"""``ablate``: a thin shell over ``progcodec.lab.train.ablation``."""

from pathlib import Path
from typing import Any

import click

from progcodec.cli.files import show
from progcodec.cli.messages import complain, say
from progcodec.errors import TrainingError
from progcodec.lab.commands import options
from progcodec.lab.extras import extra


def _list(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from progcodec.lab.train.ablation.variants import VARIANTS

        width = max(map(len, VARIANTS))
        for name, variant in VARIANTS.items():
            say(f"{name:{width}}  {variant.about}")
        context.exit()


@click.command("ablate", short_help="Train variants that differ in one thing, and compare them.")
@options.pictures(
    "Training pictures: folder, .tar, .tar.gz or glob of these; repeatable.", required=True
)
@options.pictures(
    "Held-out pictures, in the same forms; WordNet ids in paths are classes; repeatable.",
    "--val",
    required=True,
)
@options.out("Keeps every run, and the tables ablations.csv and ablations.md.", "FOLDER")
@options.span("Minutes of each run, if these are over sooner.", "Steps of each run.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Run this variant, and what it is compared with; repeatable.",
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    help="Show the variants and exit.",
    callback=_list,
)
@click.option(
    "--seeds",
    callback=options.numbers,
    default="0,1",
    metavar="N,N",
    help="Seeds of each variant.",
)
@click.option("--small", is_flag=True, help="A small model, which a CPU core trains in minutes.")
@options.named_file(
    "--base-init",
    help="Start from this checkpoint what has its shape; the rest, and a base for it, from "
    "nothing.",
)
@click.option(
    "--teacher",
    metavar="SPEC",
    help="Classifier of the class term; without one, variants with it are left out.",
)
@options.named_file(
    "--embeddings",
    help="Embeddings of the classes (.npy), for the variant whose groups do not nest.",
)
@click.option(
    "--classifier",
    "classifiers",
    multiple=True,
    metavar="SPEC",
    help="Who judges decoded pictures; repeatable.",
)
@click.option("--pictures", type=options.WHOLE, default=60, metavar="N", help="At most N of --val.")
@options.settings(
    "Any other setting of all runs or, as config.NAME, of the model, as in train; repeatable."
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
    options.check_span(given)
    with extra("train", "training", TrainingError):
        from progcodec.lab.train.ablation.run import CSV, MARKDOWN, AblationSettings, ablate
        from progcodec.lab.train.ablation.variants import SMALL
        from progcodec.lab.train.settings import TrainSettings
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
        chosen = options.typed({**shape, **settings}, TrainSettings)
        if "config" in chosen:
            given["config"] = chosen.pop("config")
        run = AblationSettings(train=chosen, base_init=base_init, **given)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{error}.") from error
    ablate(run, lambda line: complain(None, line))
    folder = Path(run.out)
    say((folder / MARKDOWN).read_text(encoding="utf-8").rstrip())
    say(f"wrote {show(str(folder / CSV))} and {show(str(folder / MARKDOWN))}")
