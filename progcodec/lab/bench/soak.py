"""Does memory stay flat? Many encodes and decodes in one process: ``python -m progcodec.lab.bench.soak --count 2000``.

Every picture is another one, of changing content and size; each stream is decoded whole and from a random cut, and the cut must
hold a prefix of what the whole holds. What the first tenth of the rounds takes (kernels, tables, the allocator's pools) counts
as warm-up; what is resident after it must not grow.
"""

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from progcodec.codec.codec import Codec
from progcodec.errors import ProgcodecError

WARM_SHARE = 0.1
SAMPLES = 20
GROWTH_MB = 32.0
"""Growth after warm-up that still counts as flat: a few blocks of the allocator."""


class Soak(NamedTuple):
    """What was resident, in MB: before the first round, after warm-up, and at even distances from there to the end."""

    count: int  # type: ignore[assignment]  # hides tuple.count
    seconds: float
    before: float
    warm: float
    samples: tuple[float, ...]

    @property
    def growth(self) -> float:
        """MB from the end of warm-up to the highest later sample."""
        return max(self.samples) - self.warm

    def __str__(self) -> str:
        end = self.samples[-1]
        return (
            f"{self.count} pictures encoded and decoded twice in {self.seconds:.0f} s; resident: {self.before:.0f} MB before, "
            f"{self.warm:.1f} MB warm, {end:.1f} MB at the end, {self.growth:+.1f} MB at most after warm-up"
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
    pixels = (
        (ramp + rng.normal(0, 40 * rng.random(), (height, width, 3))).clip(0, 255).astype(np.uint8)
    )
    data = codec.encode(pixels)
    whole = codec.decode_latent(data)
    codec.synthesise([whole])
    size = codec.decode(data).size
    cut = codec.decode_latent(data, max_bytes=int(rng.integers(20, len(data) + 1)))
    assert size == (width, height)
    for part, full in ((cut.z, whole.z), (cut.q, whole.q)):
        assert np.array_equal(part[part != 0], full[part != 0])
    assert all(some <= every for some, every in zip(cut.received, whole.received, strict=True))


def resident_mb() -> float:
    """Memory of this process that is in use now; where the system does not tell, the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10
        )


@click.command()
@click.option("--count", type=click.IntRange(10), default=2000, show_default=True, help="Pictures.")
@click.option(
    "--side", type=click.IntRange(1), default=64, show_default=True, help="Pixels a side, at most."
)
@click.option("--model", metavar="NAME|FILE", help="Checkpoint; the default one otherwise.")
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--allow",
    type=float,
    default=GROWTH_MB,
    show_default=True,
    help="MB of growth that are still flat.",
)
def main(count: int, side: int, model: str | None, device: str, allow: float) -> None:
    """Encode and decode many pictures in one process; exit code 1 if memory grows."""
    try:
        result = soak(Codec.load(model, device), count, side)
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None
    click.echo(str(result))
    if result.growth > allow:
        raise click.ClickException(f"memory grew by {result.growth:.1f} MB")


if __name__ == "__main__":
    main()
