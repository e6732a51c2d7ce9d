"""Seconds, memory, pictures: what all benches share."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from progcodec.arrays import Pixels
from progcodec.geometry import ceil_div

T = TypeVar("T")

MIB = 1 << 20


def timed(action: Callable[[], T]) -> tuple[T, float]:
    """What an action returns, and its seconds."""
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def peak_memory() -> float:
    """MiB that this process held at most."""
    try:
        # on Linux ru_maxrss survives exec: it would count what the *parent* held when it started
        # this process
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (MIB if sys.platform == "darwin" else 1024)


def enlarged(pixels: Pixels, megapixels: float) -> Pixels:
    """A 4:3 picture of so many megapixels: the given one, mirrored at its edges, or its corner."""
    height = max(16, round((megapixels * 1e6 * 3 / 4) ** 0.5))
    width = max(16, round(megapixels * 1e6 / height))
    tile = np.concatenate([pixels, pixels[::-1]], axis=0)
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    times = ceil_div(height, tile.shape[0]), ceil_div(width, tile.shape[1]), 1
    return np.ascontiguousarray(np.tile(tile, times)[:height, :width])
