"""Multiplications a pixel, and how fast they run beside the fastest this machine multiplies matrices."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from progcodec.codec.codec import Codec

SIDE = 512
PEAK_SIZE, PEAK_RUNS = 1536, 5


class Work(NamedTuple):
    """One part of the network at 512×512 pixels: multiply-adds a pixel, seconds, and 10⁹ multiply-adds a second."""

    part: str
    macs_per_pixel: float
    seconds: float
    gmacs_per_second: float


def measured_peak() -> float:
    """10⁹ multiply-adds a second of a large float32 matrix product, with torch's threads as they are set."""
    a, b = torch.rand(PEAK_SIZE, PEAK_SIZE), torch.rand(PEAK_SIZE, PEAK_SIZE)
    a @ b
    best = min(_seconds(lambda: a @ b) for _ in range(PEAK_RUNS))
    return PEAK_SIZE**3 / best / 1e9


@torch.inference_mode()
def work(codec: Codec) -> list[Work]:
    """Of g_a, g_s, h_a, the mean path and the scale path, on a picture of noise."""
    torch.manual_seed(0)
    x = torch.rand(1, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    y = codec.walker.analysis(x)
    z = torch.zeros(1, codec.config.hyper_channels, SIDE // 64, SIDE // 64)
    offsets = codec.config.offsets
    prior = codec.walker.mean_path.prior(z, *y.shape[2:])
    q = y.round().clamp(-127, 127).float()
    features = codec.walker.scale_path.features(z.float(), *y.shape[2:])

    def means() -> None:
        path = codec.walker.mean_path
        path.prior(z, *y.shape[2:])
        for k, start in enumerate(offsets[:-1]):
            known = y[:, :start] if k else None
            if start in codec.config.level_offsets:
                shared = path.features(prior, known)
            path.mean(k, shared, prior, known)

    def scales() -> None:
        codec.walker.scale_path.features(z.float(), *y.shape[2:])
        for k in range(len(offsets) - 1):
            codec.walker.scale_path.index(k, features, q[:, : offsets[k]] if k else None)

    parts: dict[str, Callable[[], object]] = {
        "analysis g_a": lambda: codec.walker.analysis(x), "synthesis g_s": lambda: codec.walker.synthesis(y),
        "hyper analysis h_a": lambda: codec.walker.hyper_analysis(y), "mean path": means,
        "scale path": scales,
    }  # fmt: skip
    found = []
    for name, action in parts.items():
        with FlopCounterMode(display=False) as counter:
            action()
        macs = counter.get_total_flops() / 2
        seconds = min(_seconds(action) for _ in range(PEAK_RUNS))
        found.append(Work(name, macs / SIDE**2, seconds, macs / seconds / 1e9))
    return found


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
