"""Does memory stay flat? Many encodes and decodes in one process.

Every picture is another one, of changing content and size; each stream is decoded whole and from a
random cut, and the cut must hold a prefix of what the whole holds. What the first tenth of the
rounds takes (kernels, tables, the allocator's pools) counts as warm-up; what is resident after it
must not grow.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.codec.codec import Codec
from progcodec.lab.bench.measuring import MIB, peak_memory

WARM_SHARE = 0.1
SAMPLES = 20


class Soak(NamedTuple):
    """Resident MB: before the first round, after warm-up, and at even distances from there."""

    rounds: int
    seconds: float
    before: float
    warm: float
    samples: tuple[float, ...]

    @property
    def growth(self) -> float:
        """MB from the end of warm-up to the highest later sample."""
        return max(self.samples) - self.warm

    def __str__(self) -> str:
        return (
            f"{self.rounds} pictures encoded and decoded twice in {self.seconds:.0f} s; resident: "
            f"{self.before:.0f} MB before, {self.warm:.1f} MB warm, {self.samples[-1]:.1f} MB at "
            f"the end, {self.growth:+.1f} MB at most after warm-up"
        )


def soak(codec: Codec, count: int, side: int = 64, seed: int = 0) -> Soak:
    """Encodes and decodes ``count`` pictures of up to ``side`` pixels a side, one after the other.

    Raises AssertionError if a cut decodes to anything but a prefix of the whole.
    """
    rng = np.random.default_rng(seed)
    warm_up = max(1, round(count * WARM_SHARE))
    every = max(1, (count - warm_up) // SAMPLES)
    start, before, warm, samples = time.perf_counter(), resident_mb(), 0.0, []
    for number in range(1, count + 1):
        _round(codec, side, rng)
        if number == warm_up:
            warm = resident_mb()
        elif number > warm_up and ((number - warm_up) % every == 0 or number == count):
            samples.append(resident_mb())
    return Soak(count, time.perf_counter() - start, before, warm, tuple(samples) or (warm,))


def _round(codec: Codec, side: int, rng: np.random.Generator) -> None:
    height, width = (side - int(rng.integers(0, side // 4 + 1)) for _ in range(2))
    ramp = np.linspace(0, 255, width)[None, :, None] * rng.random(3)
    noise = rng.normal(0, 40 * rng.random(), (height, width, 3))
    data = codec.encode((ramp + noise).clip(0, 255).astype(np.uint8))
    whole = codec.decode_latent(data)
    codec.synthesise([whole])
    cut = codec.decode_latent(data[: int(rng.integers(20, len(data) + 1))])
    assert codec.decode(data).size == (width, height)
    for part, full in ((cut.z, whole.z), (cut.q, whole.q)):
        assert np.array_equal(part[part != 0], full[part != 0])
    assert all(some <= full for some, full in zip(cut.received, whole.received, strict=True))


def resident_mb() -> float:
    """Memory of this process that is in use now; the most that it ever was if that is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    except OSError:
        return peak_memory()
