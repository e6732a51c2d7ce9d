"""What a very large picture takes: seconds and peak memory of encode, decode and a region, and that its tiles leave no seam.

Run: ``python -m progcodec.lab.bench.big --images PHOTO --megapixels 100``. Each operation runs in a process of its own, whose
peak is that of the whole process, interpreter, libraries, model and picture included.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import click
import numpy as np

from progcodec.arrays import Pixels
from progcodec.errors import EvaluationError, ProgcodecError
from progcodec.geometry import latent_size
from progcodec.lab.bench.pace.growth import enlarged, peak_memory
from progcodec.lab.evaluate.sources import read_pictures
from progcodec.lab.evaluate.tables import markdown

REGION = 1024
"""Side of the region that is decoded from the middle, in pixels."""
SEAM_SIDE = 48
"""Side of the tiles in which the smaller picture is coded for comparison, in latent positions: small, so that seams are many."""


class Taken(NamedTuple):
    """One operation: its seconds, MiB before it and at most, and what it made."""

    seconds: float
    base: float
    peak: float
    made: Any


class Seam(NamedTuple):
    """One picture coded in tiles and in one piece.

    Attributes:
        tiles: of g_a and g_s.
        psnr, psnr_tiled: dB, of each from the original.
        largest: largest difference between both, in grey levels.
        share: of the values that differ.
        bytes, bytes_tiled: lengths of the streams.
    """

    tiles: int
    psnr: float
    psnr_tiled: float
    largest: int
    share: float
    bytes: int
    bytes_tiled: int


def seam(model: str | None, pixels: Pixels, side: int = SEAM_SIDE) -> Seam:
    """Codes a picture in tiles of that side, and in one piece."""
    from progcodec.codec.codec import Codec
    from progcodec.network.tiles import Tiling

    def coded(codec: Codec) -> tuple[bytes, Pixels]:
        data = codec.encode(pixels, max_pixels=limit)
        return data, np.asarray(codec.decode(data, max_pixels=limit))

    limit = pixels.shape[0] * pixels.shape[1]
    one = Codec.load(model, "cpu", Tiling(limit, limit))
    many = Codec.load(model, "cpu", Tiling(side, side))
    (data, plain), (data_tiled, tiled) = coded(one), coded(many)
    difference = np.abs(plain.astype(np.int16) - tiled)
    height, width = latent_size(*pixels.shape[:2])
    tiles = len(many.walker.tiling.transform(many.config, height, width))
    psnr, psnr_tiled = (_psnr(pixels, picture) for picture in (plain, tiled))
    return Seam(
        tiles,
        psnr,
        psnr_tiled,
        int(difference.max()),
        float((difference > 0).mean()),
        len(data),
        len(data_tiled),
    )


def _psnr(a: Pixels, b: Pixels) -> float:
    error = sum(
        float(np.square(x.astype(np.float32) - y).sum(dtype=np.float64))
        for x, y in zip(a, b, strict=True)
    )
    return float(10 * np.log10(255**2 * a.size / error)) if error else float("inf")


def _encode(model: str | None, pixels: Pixels, megapixels: float) -> Taken:
    from progcodec.codec.codec import Codec

    codec, picture = Codec.load(model, "cpu"), enlarged(pixels, megapixels)
    return _taken(lambda: codec.encode(picture, max_pixels=picture.size))


def _decode(model: str | None, data: bytes, region: tuple[int, int, int, int] | None) -> Taken:
    from progcodec.bitstream.container import parse_header
    from progcodec.codec.codec import Codec

    codec = Codec.load(model, "cpu")
    limit = parse_header(data, None).pixels
    taken = _taken(lambda: codec.decode(data, region=region, max_pixels=limit))
    return taken._replace(made=taken.made.size)


def _taken(action: Callable[[], Any]) -> Taken:
    base = peak_memory()
    start = time.perf_counter()
    made = action()
    return Taken(time.perf_counter() - start, base, peak_memory(), made)


def _alone(threads: int, function: Callable[..., Any], *arguments: object) -> Any:
    """The result of a function that runs in a process of its own. Raises EvaluationError if that dies, of its memory say."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_with_threads, threads, function, arguments).result()
        except BrokenProcessPool:
            raise EvaluationError(
                f"the process of {function.__name__.strip('_')} was ended; not enough memory?"
            ) from None


def _with_threads(threads: int, function: Callable[..., Any], arguments: Sequence[object]) -> Any:
    import torch

    torch.set_num_threads(threads)
    return function(*arguments)


def report(
    sources: Sequence[str],
    *,
    model: str | None = None,
    megapixels: float = 100,
    compare: float = 6,
    threads: int = 1,
) -> Iterator[str]:
    """Tables as they get done."""
    pixels = next(iter(read_pictures(sources, 1))).pixels
    encoded = _alone(threads, _encode, model, pixels, megapixels)
    rows = [["encode", *_cells(encoded), f"{len(encoded.made):,} bytes"]]
    decoded = _alone(threads, _decode, model, encoded.made, None)
    width, height = decoded.made
    rows.append(["decode", *_cells(decoded), f"{width} × {height}"])
    side = min(REGION, width, height)
    middle = ((width - side) // 2, (height - side) // 2, side, side)
    cropped = _alone(threads, _decode, model, encoded.made, middle)
    rows.append(["decode a region", *_cells(cropped), f"{side} × {side}"])
    yield markdown(["", "s", "peak before (MiB)", "peak (MiB)", ""], rows) + "\n"
    s = _alone(threads, seam, model, enlarged(pixels, compare))
    if s.tiles < 2:
        raise EvaluationError(
            f"{compare:g} megapixels are too few to be cut into tiles, so nothing was compared; try --compare 2"
        )
    yield (
        f"{compare:g} megapixels in {s.tiles} tiles and in one piece: {s.psnr_tiled:.4f} and {s.psnr:.4f} dB "
        f"({s.psnr_tiled - s.psnr:+.5f}), {s.bytes_tiled:,} and {s.bytes:,} bytes; at most {s.largest} grey levels apart, "
        f"{100 * (1 - s.share):.4f} % of the values equal"
    )


def _cells(taken: Taken) -> list[str]:
    return [f"{taken.seconds:.1f}", f"{taken.base:,.0f}", f"{taken.peak:,.0f}"]


@click.command(
    help="Seconds and peak memory of one very large picture, and that its tiles leave no seam."
)
@click.option(
    "--images",
    "sources",
    multiple=True,
    required=True,
    help="Picture to enlarge, by mirroring; a folder or tar's first.",
)
@click.option("--model", default=None, help="Checkpoint name or path.  [default: the shipped one]")
@click.option("--megapixels", type=click.FloatRange(min=0.01), default=100, show_default=True)
@click.option(
    "--compare",
    type=click.FloatRange(min=0.01),
    default=6,
    show_default=True,
    help="Megapixels of the seam test.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=min(2, os.cpu_count() or 1), show_default=True
)
def main(sources: tuple[str, ...], **options: Any) -> None:
    try:
        for text in report(sources, **options):
            click.echo(text)
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
