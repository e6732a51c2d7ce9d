"""``evaluate``: a thin shell over ``progcodec.lab.evaluate``."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import click

from progcodec.cli import options
from progcodec.cli.files import show
from progcodec.cli.messages import complain, say
from progcodec.errors import EvaluationError

T = TypeVar("T")

SPEED_LIMIT = 4
SMOKE_PICTURES = 1
SMOKE_LIMIT, SMOKE_PEERS, SMOKE_BUDGETS = 8, "jpeg,jpeg2000", "200,600,1600"


@click.command("evaluate", short_help="Measure a model and other codecs.")
@click.option(
    "--data", multiple=True, metavar="PATH", shell_complete=options.file_names, required=True,
    help="Shard (.tar, .tar.gz), folder, picture or glob; WordNet ids in paths are classes; repeatable.",
)  # fmt: skip
@click.option(
    "--labels",
    metavar="FILE",
    shell_complete=options.file_names,
    help="CSV of file,label lines, for classes that paths do not tell.",
)
@click.option(
    "--classifier", "classifiers", multiple=True, metavar="SPEC",
    help="Who judges, as in classify; repeatable.",
)  # fmt: skip
@click.option(
    "--hierarchy",
    metavar="FILE",
    shell_complete=options.file_names,
    help="The groups.  [default: the shipped ones of ImageNet-1K]",
)
@click.option("--budgets", metavar="N,N…", help="Bytes.  [default: 100 to 4800 in twelve steps]")
@click.option(
    "--bpp", metavar="X,X…", help="Budgets in bits per pixel, beside or instead of bytes."
)
@options.model
@click.option("--ours/--no-ours", default=True, help="Whether the model itself takes part.")
@click.option(
    "--peers", metavar="NAMES", default="all", show_default=True,
    help="jpeg,jpeg-progressive,jpeg2000,webp,avif,jpegxl; all of these; none; and compressai:MODEL@FILE, weights you have.",
)  # fmt: skip
@click.option(
    "--rivals",
    metavar="NAMES",
    help="Other progressive schemes on our transform: plonq,progdtd,…; or all.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Draw so many pictures from all.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of that draw, and of the confidence intervals.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each core]")
@click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="How many, drawn by lot, the report shows side by side at equal bytes.",
)
@options.device
@click.option(
    "--speed",
    is_flag=True,
    help="Instead of all that: times and memory, beside every codec at hand.",
)
@click.option(
    "--smoke", is_flag=True, help=f"A quick look: {SMOKE_LIMIT} pictures, two peers, three budgets."
)
@click.option(
    "-o", "--output", metavar="DIR", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the rows, the summaries and the report. What it holds already is not measured again.",
)  # fmt: skip
def evaluate_command(
    data: tuple[str, ...], labels: str | None, classifiers: tuple[str, ...], hierarchy: str | None, budgets: str | None,
    bpp: str | None, model: str | None, ours: bool, peers: str, rivals: str | None, limit: int | None, seed: int,
    jobs: int | None, pictures: int, device: str, speed: bool, smoke: bool, output: Path,
) -> None:  # fmt: skip
    """Measure what answers and pictures a model, and what else one could use, give for the same bytes.

    Needs the `evaluate` extra. Every codec gets the same pictures, byte budgets and classifiers; bytes are those of whole
    files, header included. Other codecs are measured twice: at their best setting within the budget, over quality and a
    downscale of 1, 1/2 or 1/4; and as one file that is cut at the budget. An interrupted run goes on where it stopped.

    \b
    Examples:
      progcodec evaluate --data val.tar.gz --classifier timm:resnet50 --limit 200 -o report/
      progcodec evaluate --data val.tar.gz --classifier timm:resnet50 --peers jpeg,webp --smoke -o report/
      progcodec evaluate --data photos/ --labels classes.csv --classifier timm:resnet50 --bpp 0.05,0.1,0.2 -o report/
      progcodec evaluate --data val/ --classifier timm:resnet50 --peers "all,compressai:mbt2018-mean@mbt2018-mean-*" -o report/
      progcodec evaluate --data val/ --classifier timm:resnet50 --peers none --rivals all -o report/
      progcodec evaluate --data kodak.tar --speed -o report/
    """
    if speed:
        _speed(data, model, limit, output)
        return
    if not classifiers:
        raise click.UsageError("give --classifier at least once.")
    if smoke:
        limit, peers, budgets = (
            limit or SMOKE_LIMIT,
            _default(peers, "all", SMOKE_PEERS),
            budgets or SMOKE_BUDGETS,
        )
        pictures = min(pictures, SMOKE_PICTURES)
    try:
        from progcodec.codec.codec import Codec
        from progcodec.hierarchy.hierarchy import Hierarchy
        from progcodec.lab.evaluate import rivals as rival_schemes
        from progcodec.lab.evaluate import run, summary_tables
        from progcodec.lab.evaluate.coders.registry import choose
        from progcodec.lab.evaluate.contest import parse_budgets
        from progcodec.lab.evaluate.report import write_report
        from progcodec.lab.evaluate.report.gallery import gallery
        from progcodec.lab.evaluate.results import conclude
        from progcodec.lab.evaluate.workload import load_samples
    except ModuleNotFoundError as error:
        raise EvaluationError(
            f"evaluating needs an extra: pip install 'progcodec[evaluate]' ({error})"
        ) from error

    choice = choose(peers)
    for line in choice.missing:
        complain(None, f"left out: {line}")
    wanted = parse_budgets(budgets, bpp)
    named = _rivals(rivals, rival_schemes.RIVALS)
    contest = run.plan(
        choice, hierarchy=hierarchy, classifiers=classifiers, budgets=wanted, model=model, ours=ours, rivals=named,
        device=device,
    )  # fmt: skip
    samples = load_samples(data, Hierarchy.load(hierarchy), labels=labels, limit=limit, seed=seed)
    rows = run.run(contest, samples, output, jobs=jobs or run.cores(), progress=_bar)
    summary, reached = conclude(rows, output, seed)
    say(summary_tables.text(summary, reached))
    codec = Codec.load(model, device) if ours else None
    shown = gallery(
        samples,
        Hierarchy.load(hierarchy),
        choice.coders,
        codec,
        classifiers,
        wanted,
        count=pictures,
        seed=seed,
        device=device,
    )
    write_report(output, shown)
    say(f"\nwrote {show(str(output))}: {len(rows):,} rows on {len(samples)} images")


def _speed(data: tuple[str, ...], model: str | None, limit: int | None, output: Path) -> None:
    """Tables to standard output and to ``speed.md``, a plot beside it."""
    try:
        from progcodec.lab.bench.speed import report
    except ModuleNotFoundError as error:
        raise EvaluationError(
            f"evaluating needs an extra: pip install 'progcodec[evaluate]' ({error})"
        ) from error
    told = []
    for text in report(
        data, model=model, limit=limit or SPEED_LIMIT, everyone=True, growth=True, folder=output
    ):
        say(text)
        told.append(text)
    (output / "speed.md").write_text("\n".join(told) + "\n", encoding="utf-8")


def _bar(finished: Iterable[T], total: int) -> Iterable[T]:
    from tqdm import tqdm

    quiet = sys.stderr is None or not sys.stderr.isatty()
    return tqdm(
        finished, total=total, desc="measuring", unit="image", disable=quiet, dynamic_ncols=True
    )


def _rivals(text: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if not text:
        return ()
    return (
        known
        if text == "all"
        else tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    )


def _default(value: str, default: str, instead: str) -> str:
    return instead if value == default else value
