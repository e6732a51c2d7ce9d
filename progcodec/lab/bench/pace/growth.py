"""Time and memory against pixels, each size in a process of its own, so that peaks do not hide in earlier ones."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from progcodec.arrays import Pixels
from progcodec.geometry import ceil_div

T = TypeVar("T")

MEGAPIXELS = (0.05, 0.2, 0.8, 3, 12, 50)
MIB = 1 << 20


class Grown(NamedTuple):
    """One size. Seconds are the best of the runs; ``base`` and ``peak`` are MiB with the model loaded, and at most."""

    pixels: int
    encode_s: float
    decode_s: float
    base: float
    peak: float
    bytes: int


def enlarged(pixels: Pixels, megapixels: float) -> Pixels:
    """A 4:3 picture of so many megapixels: the given one, mirrored at its edges as often as needed, or its corner."""
    height = max(16, round((megapixels * 1e6 * 3 / 4) ** 0.5))
    width = max(16, round(megapixels * 1e6 / height))
    tile = np.concatenate([pixels, pixels[::-1]], axis=0)
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    down, right = ceil_div(height, tile.shape[0]), ceil_div(width, tile.shape[1])
    return np.ascontiguousarray(np.tile(tile, (down, right, 1))[:height, :width])


def grow(
    model: str | None, pixels: Pixels, threads: int, sizes: tuple[float, ...] = MEGAPIXELS
) -> list[Grown]:
    """A row for each size, smallest first; it ends before the first that this machine's memory does not hold."""
    found = []
    for size in sizes:
        # spawned, not forked: a fork would start with this process's memory
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                found.append(pool.submit(_measure, model, pixels, size, threads).result())
            except (BrokenProcessPool, MemoryError):
                break
    return found


def exponent(rows: list[Grown], values: list[float]) -> float:
    """How a value grows with the pixels from one megapixel on: 1 is in proportion. From the last and the first such rows."""
    large = [place for place, row in enumerate(rows) if row.pixels >= 0.7e6]
    first, last = large[0], large[-1]
    return float(
        np.log(values[last] / values[first]) / np.log(rows[last].pixels / rows[first].pixels)
    )


def _measure(model: str | None, pixels: Pixels, megapixels: float, threads: int) -> Grown:
    import torch

    from progcodec.codec.codec import Codec

    torch.set_num_threads(threads)
    codec = Codec.load(model, device="cpu")
    small = enlarged(pixels, 0.05)
    codec.decode(codec.encode(small))  # what is built at first use
    picture = enlarged(pixels, megapixels)
    base = peak_memory()
    runs = 1 if megapixels >= 10 else 3
    limit = picture.shape[0] * picture.shape[1]
    data, encode_s = _best(lambda: codec.encode(picture, max_pixels=limit), runs)
    _, decode_s = _best(lambda: codec.decode(data, max_pixels=limit), runs)
    return Grown(limit, encode_s, decode_s, base, peak_memory(), len(data))


def _best(action: Callable[[], T], runs: int) -> tuple[T, float]:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = action()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def peak_memory() -> float:
    """MiB that this process held at most."""
    try:
        # on Linux ru_maxrss survives exec: it would count what the *parent* held when it started this process
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            MIB if sys.platform == "darwin" else 1024
        )
