"""Speed and memory: ``python -m progcodec.lab.bench.speed --images kodak.tar``, or ``progcodec evaluate --speed``.

Times are medians; the codecs take turns in one process, on the same pictures, after a warm-up, so that whatever else the
machine does falls on all. The ratio is the median of the ratios of neighbouring runs and the figure to trust. All go from a
uint8 array to bytes and back. compressai's models have random weights: trained ones have more to code, so the ratios favour
them if anything.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import torch

from progcodec.codec.codec import Codec
from progcodec.codec.timing import stage_times
from progcodec.errors import ProgcodecError
from progcodec.lab.bench.pace.growth import Grown, grow
from progcodec.lab.bench.pace.operations import Work, measured_peak, work
from progcodec.lab.bench.pace.plots import growth_plot
from progcodec.lab.bench.pace.runners import Runner, field
from progcodec.lab.evaluate.sources import Picture, read_pictures
from progcodec.lab.evaluate.tables import markdown

T = TypeVar("T")

PROCESS_RUNS = 5


class Race(NamedTuple):
    """Seconds of neighbouring runs, turn by turn: of ours, and of one other codec."""

    name: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))


def race(runners: Sequence[Runner], pictures: list[Picture], repeats: int) -> dict[str, list[Race]]:
    """Encode and decode in turns: each runner in every turn, ours first. The first picture is run once before, unmeasured.

    Returns the races against each other runner, under "encode" and "decode".
    """
    seconds: dict[str, list[list[float]]] = {
        "encode": [[] for _ in runners],
        "decode": [[] for _ in runners],
    }
    for turn, picture in enumerate([pictures[0], *(p for p in pictures for _ in range(repeats))]):
        for place, runner in enumerate(runners):
            coded, encode_s = _timed(partial(runner.encode, picture.pixels))
            _, decode_s = _timed(partial(runner.decode, coded))
            if turn:
                seconds["encode"][place].append(encode_s)
                seconds["decode"][place].append(decode_s)
    return {
        direction: [
            Race(r.name, times[0], theirs) for r, theirs in zip(runners[1:], times[1:], strict=True)
        ]
        for direction, times in seconds.items()
    }


def stages(codec: Codec, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Seconds of each stage of encode and of decode, summed over the pictures; the codec is warm already."""
    sums: dict[str, dict[str, float]] = {"encode": {}, "decode": {}}
    for picture in pictures:
        with stage_times() as times:
            data = codec.encode(picture.pixels)
        _add(sums["encode"], times)
        with stage_times() as times:
            codec.decode(data)
        _add(sums["decode"], times)
    return sums


def process_times(codec: Codec, picture: Picture) -> dict[str, float]:
    """Median seconds of whole processes, the interpreter's start included, and of an empty one for comparison."""
    data = codec.encode(picture.pixels)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "picture.shc"), Path(folder, "cut.shc")
        source.write_bytes(data)
        program = [sys.executable, "-m", "progcodec"]
        cut = [
            *program,
            "truncate",
            str(source),
            "--bytes",
            str(len(data) // 2),
            "-o",
            str(target),
            "--force",
        ]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "progcodec --help": [*program, "--help"],
            "progcodec truncate": cut,
            "progcodec info": [*program, "info", str(source)],
        }
        return {
            name: statistics.median(_run_process(line, PROCESS_RUNS))
            for name, line in commands.items()
        }


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def _run_process(command: list[str], runs: int) -> list[float]:
    def once() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProgcodecError(f"{' '.join(command)} failed: {done.stderr.strip()}")

    once()  # compiles and caches
    return [_timed(once)[1] for _ in range(runs)]


def _add(sums: dict[str, float], times: dict[str, float]) -> None:
    for name, seconds in times.items():
        sums[name] = sums.get(name, 0.0) + seconds


def races_table(races: dict[str, list[Race]]) -> str:
    rows = []
    for encode, decode in zip(races["encode"], races["decode"], strict=True):
        cells = [f"{1e3 * statistics.median(race.theirs):.0f}" for race in (encode, decode)]
        rows.append([encode.name, cells[0], f"{encode.ratio:.3f}", cells[1], f"{decode.ratio:.3f}"])
    ours = [f"{1e3 * statistics.median(races[name][0].ours):.0f}" for name in ("encode", "decode")]
    head = ["", "encode (ms)", "ours / theirs", "decode (ms)", "ours / theirs"]
    return markdown(head, [["progcodec", ours[0], "", ours[1], ""], *rows])


def work_table(parts: list[Work], peak: float) -> str:
    rows = [
        [w.part, f"{w.macs_per_pixel:,.0f}", f"{1e3 * w.seconds:.1f}", f"{w.gmacs_per_second:.1f}",
         f"{100 * w.gmacs_per_second / peak:.0f} %"]
        for w in parts
    ]  # fmt: skip
    head = [
        "part, 512×512",
        "multiply-adds a pixel",
        "ms",
        "10⁹ a second",
        f"of a matrix product's {peak:.0f}",
    ]
    return markdown(head, rows)


def growth_table(rows: list[Grown]) -> str:
    cells = [
        [f"{r.pixels / 1e6:.2f}", f"{r.encode_s:.3f}", f"{r.decode_s:.3f}", f"{1e9 * r.encode_s / r.pixels:.0f}",
         f"{1e9 * r.decode_s / r.pixels:.0f}", f"{r.peak:,.0f}", f"{(r.peak - r.base) * (1 << 20) / r.pixels:.0f}"]
        for r in rows
    ]  # fmt: skip
    head = [
        "megapixels",
        "encode (s)",
        "decode (s)",
        "ns a pixel",
        "ns a pixel",
        "peak (MiB)",
        "bytes a pixel",
    ]
    return markdown(head, cells)


def stages_table(sums: dict[str, dict[str, float]], count: int) -> str:
    names = list(dict.fromkeys(name for stage in sums.values() for name in stage))
    totals = {direction: sum(times.values()) or 1.0 for direction, times in sums.items()}
    rows = []
    for name in names:
        cells = [
            cell
            for direction, times in sums.items()
            for cell in (
                f"{1e3 * times.get(name, 0.0) / count:.1f}",
                f"{100 * times.get(name, 0.0) / totals[direction]:.1f} %",
            )
        ]
        rows.append([name, *cells])
    return markdown(["stage", "encode (ms)", "share", "decode (ms)", "share"], rows)


def report(
    sources: Sequence[str], *, model: str | None = None, limit: int = 6, repeats: int = 3, threads: int = 2,
    everyone: bool = False, growth: bool = False, folder: Path | None = None,
) -> Iterator[str]:  # fmt: skip
    """Tables as they get done: the race, stages, whole processes, operations; with ``growth`` time and memory against pixels.

    Args:
        everyone: race against all of compressai's three models and the classic codecs, not its hyperprior alone.
        folder: where the plot of growth goes.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pictures = list(read_pictures(sources, limit))
        codec = Codec.load(
            model, device="cpu"
        )  # the others code on the CPU only, so this is where all race
        runners, missing = field(codec, everyone)
        yield from (f"left out: {line}" for line in missing)
        yield f"{codec}, {len(pictures)} pictures, {repeats} runs each, {threads} threads, torch {torch.__version__}\n"
        yield races_table(race(runners, pictures, repeats)) + "\n"
        yield stages_table(stages(codec, pictures), len(pictures)) + "\n"
        yield work_table(work(codec), measured_peak()) + "\n"
        times = process_times(codec, pictures[0])
        yield (
            markdown(
                ["whole process", "ms"], [[name, f"{1e3 * s:.0f}"] for name, s in times.items()]
            )
            + "\n"
        )
        if growth:
            rows = grow(model, pictures[0].pixels, threads)
            yield growth_table(rows)
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                yield "wrote " + ", ".join(str(path) for path in growth_plot(folder, rows))
    finally:
        torch.set_num_threads(before)


@click.command(
    help="Speed beside other codecs, share of each stage, start-up times, operations, growth with the picture."
)
@click.option(
    "--images",
    "sources",
    multiple=True,
    required=True,
    help="Picture, folder, glob or tar; repeatable.",
)
@click.option("--model", default=None, help="Checkpoint name or path.  [default: the shipped one]")
@click.option("--limit", type=click.IntRange(min=1), default=6, show_default=True)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs on each picture.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=min(2, os.cpu_count() or 1), show_default=True
)
@click.option("--all", "everyone", is_flag=True, help="Race against all codecs at hand, not one.")
@click.option(
    "--growth",
    is_flag=True,
    help="Also: time and memory from 0.05 to 50 megapixels, one process each.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the plot.",
)
def main(sources: tuple[str, ...], **options: Any) -> None:
    try:
        for text in report(sources, **options):
            click.echo(text)
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
