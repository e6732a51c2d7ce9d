"""``bench``: a thin shell over ``progcodec.lab.bench``."""

import os
from typing import Any

import click

from progcodec.cli.messages import say
from progcodec.errors import EvaluationError
from progcodec.lab.commands import options

data = options.pictures("Picture, folder, glob or tar.", "--data", "sources", required=True)
threads = click.option("--threads", type=options.WHOLE, default=min(2, os.cpu_count() or 1))
repeats = click.option("--repeats", type=options.WHOLE, default=3, help="Turns.")


@click.group("bench", short_help="Measure speed, throughput and memory.")
def bench_command() -> None:
    """Speed beside other codecs, throughput of folders, very large pictures, many pictures in a
    row.

    Needs the `evaluate` extra. Let nothing else run beside it.

    \b
    Examples:
      progcodec bench speed --data kodak.tar --limit 2 --all
      progcodec bench fleet --data photos/ --count 250
      progcodec bench big --data photo.jpg --megapixels 16 --megapixels 100
      progcodec bench soak --count 2000
    """


@bench_command.command("speed")
@data
@options.model
@click.option("--limit", type=options.WHOLE, default=6, help="Pictures.")
@repeats
@threads
@click.option("--all", "everyone", is_flag=True, help="Race against all codecs at hand, not one.")
def speed(**given: Any) -> None:
    """Times beside other codecs, share of each stage, operations, start of whole processes."""
    from progcodec.lab.bench.speed import report

    for text in report(**given):
        say(text)


@bench_command.command("fleet")
@data
@options.model
@options.device
@click.option("--count", type=options.WHOLE, default=500)
@click.option("--size", type=click.IntRange(min=16), default=256, help="Pixels a side.")
@options.batch
@repeats
@click.option("--classifier", metavar="SPEC", help="Of classify.  [default: the built-in one]")
@click.option("--processes", type=options.WHOLE, default=6, help="Pictures for separate processes.")
def fleet(**given: Any) -> None:
    """Throughput of one command on a folder, beside memory alone and separate processes."""
    from progcodec.lab.bench.fleet import report

    for text in report(**given):
        say(text)


@bench_command.command("big")
@data
@options.model
@click.option("--megapixels", multiple=True, type=click.FloatRange(min=0.01), default=(4, 16, 100))
@click.option(
    "--compare", type=click.FloatRange(min=0.01), default=6, help="Megapixels of the seam test."
)
@threads
def big(**given: Any) -> None:
    """Seconds and peak memory of very large pictures, and that tiles leave no seam."""
    from progcodec.lab.bench.big import report

    for text in report(**given):
        say(text)


@bench_command.command("soak")
@click.option("--count", type=click.IntRange(10), default=2000, help="Pictures.")
@click.option("--side", type=click.IntRange(16), default=64, help="Pixels a side, at most.")
@options.model
@options.device
@click.option("--allow", type=float, default=32.0, help="MB of growth that are still flat.")
def soak(count: int, side: int, model: str | None, device: str, allow: float) -> None:
    """Encode and decode many pictures in one process; exit code 1 if memory grows."""
    from progcodec.codec.codec import Codec
    from progcodec.lab.bench.soak import soak as run

    result = run(Codec.load(model, device), count, side)
    say(str(result))
    if result.growth > allow:
        raise EvaluationError(f"memory grew by {result.growth:.1f} MB")
