"""``evaluate``: a thin shell over ``progcodec.lab.evaluate``."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from progcodec.cli.files import show
from progcodec.cli.messages import complain, say
from progcodec.errors import EvaluationError
from progcodec.lab.commands import options
from progcodec.lab.extras import extra

T = TypeVar("T")


@click.command("evaluate", short_help="Measure a model and other codecs.")
@options.pictures(
    "Shard (.tar, .tar.gz), folder, picture or glob; WordNet ids in paths are classes."
)
@options.named_file("--labels", help="CSV of file,label lines, for classes that paths do not tell.")
@click.option(
    "--classifier",
    "classifiers",
    multiple=True,
    metavar="SPEC",
    help="Who judges, as in classify; repeatable.",
)
@click.option(
    "--peer-classifier",
    "adapted",
    multiple=True,
    metavar="NAME=SPEC",
    help="Who judges one codec's pictures alone, having learned to read them: AVIF=FILE.",
)
@options.named_file("--hierarchy", help="The groups.  [default: the shipped ones of ImageNet-1K]")
@click.option(
    "--budgets",
    metavar="N,N…",
    help="Bytes, or rates as 0.05bpp.  [with a classifier: 100 to 4800 in twelve steps]",
)
@options.model
@click.option("--ours/--no-ours", default=True, help="Whether the model itself takes part.")
@click.option(
    "--quality",
    "qualities",
    metavar="LIST",
    default="0",
    help="Ours at these qualities, as -4..4 or -3,0,3.",
)
@click.option(
    "--orderings",
    metavar="NAMES",
    help="Our symbols in other orders: sigma,raster,tritplanes,zero-masking.",
)
@click.option(
    "--peers", metavar="NAMES", default="all", help="jpeg,jpeg2000,webp,avif,jpegxl; all; none."
)
@click.option(
    "--first-bytes", is_flag=True, help="The first bytes beside thumbnails, with contact sheets."
)
@click.option("--unusual", is_flag=True, help="Drawn pictures unlike photographs, beside JPEG.")
@click.option("--limit", type=options.WHOLE, help="Draw so many pictures from all.")
@click.option("--seed", type=int, default=0, help="Of that draw, and of the confidence intervals.")
@click.option("--jobs", type=options.WHOLE, help="Processes.  [default: one for each core]")
@options.device
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for rows, tables and plots. What it holds already is not measured again.",
)
def evaluate_command(**given: Any) -> None:
    """Measure what a model, and what else one could use, give for the same bytes.

    Needs the `evaluate` extra. Bytes are those of whole files, header included. Without a
    classifier: rate and distortion. With classifiers: accuracy within byte budgets; other codecs
    then send the best file within the budget, over quality and a downscale of 1, 1/2 or 1/4, and
    progressive ones also one file that is cut. An interrupted run goes on where it stopped.

    \b
    Examples:
      progcodec evaluate --data kodak.tar -o out/
      progcodec evaluate --data kodak.tar --first-bytes -o out/
      progcodec evaluate --data kodak.tar --limit 4 --quality -7..7 --peers none -o out/
      progcodec evaluate --data val/ --classifier builtin --classifier timm:resnet50 -o out/
      progcodec evaluate --data val/ --peers none --orderings raster --budgets 400,1600 -o out/
      progcodec evaluate --unusual -o out/
    """
    with extra("evaluate", "evaluating", EvaluationError):
        from progcodec.lab.evaluate.evaluation import Settings, evaluate
    if not given["data"] and not given["unusual"]:
        raise click.UsageError("give --data at least once.")
    text = evaluate(Settings(**given), warn=lambda line: complain(None, line), progress=_bar)
    say(text)
    say(f"wrote {show(str(given['output']))}")


def _bar(finished: Iterable[T], total: int) -> Iterable[T]:
    from tqdm import tqdm

    quiet = sys.stderr is None or not sys.stderr.isatty()
    return tqdm(
        finished, total=total, desc="measuring", unit="image", disable=quiet, dynamic_ncols=True
    )
