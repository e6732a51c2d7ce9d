"""What very large pictures take: seconds and peak memory of encode, decode and a region, and that
tiles leave no seam.

Each operation runs in a process of its own, whose peak is that of the whole process, interpreter,
libraries, model and picture included.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from progcodec.arrays import Pixels
from progcodec.errors import EvaluationError
from progcodec.lab.bench.measuring import enlarged, peak_memory, timed
from progcodec.lab.evaluate.pictures import load_pictures
from progcodec.lab.evaluate.tables import markdown
from progcodec.metrics import psnr

REGION = 1024
"""Side of the region that is decoded from the middle, in pixels."""
SEAM_SIDE = 48
"""Side of the seam test's tiles, in latent positions: small, so that seams are many."""


class Taken(NamedTuple):
    """One operation: what it made, its seconds, MiB before it and at most."""

    made: Any
    seconds: float
    base: float
    peak: float


class Seam(NamedTuple):
    """One picture coded in tiles and in one piece.

    Attributes:
        tiles: of g_a and g_s. psnr, psnr_tiled: dB, of each from the original. bytes, bytes_tiled:
            lengths of the streams.
        largest: largest difference between both, in grey levels. share: of the values that differ.
    """

    tiles: int
    psnr: float
    psnr_tiled: float
    largest: int
    share: float
    bytes: int
    bytes_tiled: int


def seam(model: str | None, pixels: Pixels, side: int) -> Seam:
    """Codes a picture in tiles of that side, and in one piece."""
    from progcodec.codec.codec import Codec
    from progcodec.geometry import latent_size
    from progcodec.network.tiles import Tiling

    limit = pixels.shape[0] * pixels.shape[1]
    found = []
    for tile in (limit, side):
        codec = Codec.load(model, "cpu", Tiling(tile, tile))
        data = codec.encode(pixels, max_pixels=limit)
        found.append((len(data), np.asarray(codec.decode(data, max_pixels=limit))))
    (size, plain), (size_tiled, tiled) = found
    difference = np.abs(plain.astype(np.int16) - tiled)
    tiles = len(codec.walker.tiling.transform(codec.config, *latent_size(*pixels.shape[:2])))
    share = float((difference > 0).mean())
    quality = psnr(pixels, plain), psnr(pixels, tiled)
    return Seam(tiles, *quality, int(difference.max()), share, size, size_tiled)


def _encode(model: str | None, pixels: Pixels, megapixels: float) -> Taken:
    from progcodec.codec.codec import Codec

    codec, picture = Codec.load(model, "cpu"), enlarged(pixels, megapixels)
    return _taken(partial(codec.encode, picture, max_pixels=picture.size))


def _decode(model: str | None, data: bytes, region: tuple[int, int, int, int] | None) -> Taken:
    from progcodec.bitstream.container import parse_header
    from progcodec.codec.codec import Codec

    codec, limit = Codec.load(model, "cpu"), parse_header(data, None).pixels
    taken = _taken(partial(codec.decode, data, region=region, max_pixels=limit))
    return taken._replace(made=taken.made.size)


def _taken(action: Callable[[], Any]) -> Taken:
    base = peak_memory()
    made, seconds = timed(action)
    return Taken(made, seconds, base, peak_memory())


def _alone(threads: int, function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process of its own. Raises EvaluationError if that dies."""
    # spawned, not forked: a fork would start with this process's memory
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_with_threads, threads, function, arguments).result()
        except BrokenProcessPool:
            name = function.__name__.strip("_")
            raise EvaluationError(f"the process of {name} was ended; not enough memory?") from None


def _with_threads(threads: int, function: Callable[..., Any], arguments: Sequence[object]) -> Any:
    import torch

    torch.set_num_threads(threads)
    return function(*arguments)


def report(
    sources: Sequence[str], *, model: str | None, megapixels: Sequence[float], compare: float,
    threads: int, side: int = SEAM_SIDE,
) -> Iterator[str]:  # fmt: skip
    """A table of all sizes, then the seam test on a picture of ``compare`` megapixels."""
    pixels = load_pictures(sources, limit=1)[0].pixels
    rows = []
    for size in megapixels:
        encoded = _alone(threads, _encode, model, pixels, size)
        decoded = _alone(threads, _decode, model, encoded.made, None)
        width, height = decoded.made
        part = min(REGION, width, height)
        middle = ((width - part) // 2, (height - part) // 2, part, part)
        region = _alone(threads, _decode, model, encoded.made, middle)
        cells = [f"{one.seconds:.1f} / {one.peak:,.0f}" for one in (encoded, decoded, region)]
        rows.append([f"{size:g} ({width}×{height}, {len(encoded.made):,} bytes)", *cells])
    head = ["megapixels; s / peak MiB", "encode", "decode", f"decode a region of {REGION}×{REGION}"]
    yield markdown(head, rows) + "\n"
    s = _alone(threads, seam, model, enlarged(pixels, compare), side)
    if s.tiles < 2:
        raise EvaluationError(
            f"{compare:g} megapixels are too few to be cut into tiles, so nothing was compared; "
            "try --compare 2"
        )
    yield (
        f"{compare:g} megapixels in {s.tiles} tiles and in one piece: {s.psnr_tiled:.4f} and "
        f"{s.psnr:.4f} dB ({s.psnr_tiled - s.psnr:+.5f}), {s.bytes_tiled:,} and {s.bytes:,} bytes; "
        f"at most {s.largest} grey levels apart, {100 * (1 - s.share):.4f} % of the values equal"
    )
