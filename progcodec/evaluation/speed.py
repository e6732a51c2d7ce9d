"""Speed and memory: ``python -m progcodec.evaluation.speed --images kodak.tar``.

Times are medians; the two codecs take turns in one process, on the same pictures, after a warm-up, so that whatever
else the machine does falls on both. The ratio is the median of the ratios of neighbouring runs and the figure to trust.

The peer is compressai's ``bmshj2018_hyperprior(quality=8)`` (192 / 320 channels) with random weights: a trained one has
more to code, so the ratios favour it if anything. Both sides go from a uint8 array to bytes and back.
"""

import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch

from progcodec.codec import Codec, stage_times
from progcodec.errors import ProgcodecError
from progcodec.evaluation.sources import Picture, read_pictures
from progcodec.evaluation.tables import markdown

PEER_PADDING = 64
BIG_WIDTH, BIG_HEIGHT = 4000, 3000
PROCESS_RUNS = 5


class Peer:
    """compressai's hyperprior, from array to strings and back."""

    name = "bmshj2018_hyperprior(quality=8)"

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                from compressai.zoo import bmshj2018_hyperprior
        except ImportError as error:
            raise ProgcodecError(f"comparing speed needs the 'evaluate' extra: {error}") from None
        torch.manual_seed(0)
        self._model = bmshj2018_hyperprior(quality=8).eval()
        self._model.update(force=True)

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> dict:
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        bottom, right = (-side % PEER_PADDING for side in pixels.shape[:2])
        return self._model.compress(torch.nn.functional.pad(image, (0, right, 0, bottom), mode="replicate"))

    @torch.inference_mode()
    def decode(self, coded: dict) -> np.ndarray:
        image = self._model.decompress(**coded)["x_hat"][0]
        return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


class Race(NamedTuple):
    """Seconds of neighbouring runs, pair by pair."""

    name: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))


def race(codec: Codec, peer: Peer, pictures: list[Picture], repeats: int) -> list[Race]:
    """Encode and decode in turns: ours, theirs, ours, theirs. The first picture is run once before, unmeasured."""
    encode, decode = Race("encode", [], []), Race("decode", [], [])
    for turn, picture in enumerate([pictures[0], *(p for p in pictures for _ in range(repeats))]):
        data, ours_encode = _timed(lambda p=picture: codec.encode(p.pixels))
        coded, theirs_encode = _timed(lambda p=picture: peer.encode(p.pixels))
        _, ours_decode = _timed(lambda d=data: codec.decode(d))
        _, theirs_decode = _timed(lambda c=coded: peer.decode(c))
        if turn:
            encode.ours.append(ours_encode)
            encode.theirs.append(theirs_encode)
            decode.ours.append(ours_decode)
            decode.theirs.append(theirs_decode)
    return [encode, decode]


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
        cut = [*program, "truncate", str(source), "--bytes", str(len(data) // 2), "-o", str(target), "--force"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "progcodec --help": [*program, "--help"],
            "progcodec truncate": cut,
            "progcodec info": [*program, "info", str(source)],
        }
        return {name: statistics.median(_run_process(line, PROCESS_RUNS)) for name, line in commands.items()}


def peak_memory(model: str | None, device: str, pixels: np.ndarray, threads: int) -> tuple[float, float, float]:
    """MiB at their highest in a fresh process: with the model loaded, after an encode, after a decode as well."""
    # spawned, not forked: a fork would start with this process's memory
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peaks, model, device, pixels, threads).result()


def big_picture(pixels: np.ndarray) -> np.ndarray:
    """A picture of 12 megapixels: the given one, mirrored at its edges as often as needed."""
    mirrored = np.concatenate([pixels, pixels[::-1]], axis=0)
    mirrored = np.concatenate([mirrored, mirrored[:, ::-1]], axis=1)
    down, right = -(-BIG_HEIGHT // mirrored.shape[0]), -(-BIG_WIDTH // mirrored.shape[1])
    return np.ascontiguousarray(np.tile(mirrored, (down, right, 1))[:BIG_HEIGHT, :BIG_WIDTH])


def _peaks(model: str | None, device: str, pixels: np.ndarray, threads: int) -> tuple[float, float, float]:
    torch.set_num_threads(threads)
    codec = Codec.load(model, device=device)
    loaded = _peak()
    data = codec.encode(pixels)
    encoded = _peak()
    codec.decode(data)
    return loaded, encoded, _peak()


def _peak() -> float:
    """MiB that this process held at most."""
    try:
        # on Linux ru_maxrss survives exec: it would count what the *parent* held when it started this process
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _timed(action: Callable):
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def _run_process(command: list[str], runs: int) -> list[float]:
    def once() -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ProgcodecError(f"{' '.join(command)} failed: {done.stderr.strip()}")

    once()  # compiles and caches
    return [_timed(once)[1] for _ in range(runs)]


def _add(sums: dict[str, float], times: dict[str, float]) -> None:
    for name, seconds in times.items():
        sums[name] = sums.get(name, 0.0) + seconds


def races_table(races: list[Race]) -> str:
    rows = [
        [r.name, f"{1e3 * statistics.median(r.ours):.0f}", f"{1e3 * statistics.median(r.theirs):.0f}", f"{r.ratio:.3f}"]
        for r in races
    ]
    return markdown(["", "progcodec (ms)", f"{Peer.name} (ms)", "ratio"], rows)


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


@click.command(help="Speed beside compressai's hyperprior, share of each stage, start-up times, and peak memory.")
@click.option("--images", "sources", multiple=True, required=True, help="Picture, folder, glob or tar; repeatable.")
@click.option("--model", default=None, help="Checkpoint name or path.  [default: the shipped one]")
@click.option("--limit", type=click.IntRange(min=1), default=6, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Runs on each picture.")
@click.option("--threads", type=click.IntRange(min=1), default=min(2, os.cpu_count() or 1), show_default=True)
@click.option("--memory", is_flag=True, help="Also: peak memory for a picture of 12 megapixels.")
def main(
    sources: tuple[str, ...], model: str | None, limit: int, repeats: int, threads: int, memory: bool
) -> None:
    try:
        torch.set_num_threads(threads)
        pictures = list(read_pictures(sources, limit))
        codec = Codec.load(model, device="cpu")  # the peer's coder is on the CPU only, so this is where both race
        races = race(codec, Peer(), pictures, repeats)
        settings = f"{len(pictures)} pictures, {repeats} runs each, {threads} threads, torch {torch.__version__}"
        click.echo(f"{codec}, {settings}\n")
        click.echo(races_table(races) + "\n")
        click.echo(stages_table(stages(codec, pictures), len(pictures)) + "\n")
        times = process_times(codec, pictures[0])
        click.echo(markdown(["whole process", "ms"], [[name, f"{1e3 * s:.0f}"] for name, s in times.items()]))
        if memory:
            loaded, encoded, decoded = peak_memory(model, "cpu", big_picture(pictures[0].pixels), threads)
            click.echo(
                f"\nPeak memory, {BIG_WIDTH} x {BIG_HEIGHT} pixels: {encoded:,.0f} MiB after encode, {decoded:,.0f} "
                f"MiB after decode as well; {loaded:,.0f} MiB with the model and the picture loaded."
            )
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
