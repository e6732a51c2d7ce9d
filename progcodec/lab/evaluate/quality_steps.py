"""Rate and distortion at every quality: ``python -m progcodec.lab.evaluate.quality_steps --images kodak.tar --quality -4..4``.

Each picture is encoded once a quality; every point is what ``decode`` makes of a prefix of that file, as in ``rate_distortion``:
the level ends, and ten cuts. Then every quality stands beside two others:

- **the cuts of quality 0**: what the same bytes, or the same PSNR, would be without this knob, by cutting alone;
- **the envelope**: at every rate the best that any quality gives, whole or cut. What a file loses against it is the price of having
  been made for another rate, by weights that know one step only.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click
from tqdm import tqdm

import progcodec
from progcodec.codec.codec import Codec
from progcodec.config import LEVELS, QUALITY_MAX
from progcodec.errors import ProgcodecError
from progcodec.lab.evaluate.metrics import Curve, bd_rate, efficient, rate_at
from progcodec.lab.evaluate.plots import plot_qualities
from progcodec.lab.evaluate.points import Mean, Point, as_curve, means, write_points
from progcodec.lab.evaluate.rate_distortion import CUTS_CURVE, ENDS_CURVE, measure_ours
from progcodec.lab.evaluate.sources import Picture, read_pictures
from progcodec.lab.evaluate.tables import NOTHING, markdown
from progcodec.network.quality import step_size

DEFAULT = "-4..4"


class AtQuality(NamedTuple):
    """Means over the pictures at one quality: the three level ends, and the cuts by rising rate."""

    ends: list[Mean]
    cuts: list[Mean]


class _Fixed:
    """A codec whose files all have one quality, for what measures any codec."""

    def __init__(self, codec: Codec, quality: int) -> None:
        self._codec, self._quality = codec, quality

    def encode(self, image: object) -> bytes:
        return self._codec.encode(image, quality=self._quality)

    def decode(self, data: bytes) -> object:
        return self._codec.decode(data)


def qualities(text: str) -> list[int]:
    """``"-4..4"``, ``"-4,0,4"`` or both mixed, rising. Raises ValueError for what is no such list."""
    chosen: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([+-]?\d+)\s*(?:\.\.\s*([+-]?\d+)\s*)?", part)
        if found is None:
            raise ValueError(f"{part!r} is neither a quality nor a range such as {DEFAULT}")
        first, last = int(found[1]), int(found[2] or found[1])
        if not -QUALITY_MAX <= first <= last <= QUALITY_MAX:
            raise ValueError(
                f"qualities run from {-QUALITY_MAX} to {QUALITY_MAX}, not {part.strip()}"
            )
        chosen.update(range(first, last + 1))
    return sorted(chosen)


def measure_quality(codec: Codec, picture: Picture, quality: int) -> list[Point]:
    """The points of one picture at one quality; their curves are named ``level ends 3`` and ``cuts 3``."""
    return [
        point._replace(curve=f"{point.curve} {quality}")
        for point in measure_ours(_Fixed(codec, quality), picture)
    ]


def by_quality(points: list[Point], chosen: list[int]) -> dict[int, AtQuality]:
    return {
        n: AtQuality(means(points, f"{ENDS_CURVE} {n}"), means(points, f"{CUTS_CURVE} {n}"))
        for n in chosen
    }


def envelope(measured: Mapping[int, AtQuality]) -> list[tuple[float, float]]:
    """The points of all qualities that no other point beats, by rising rate."""
    return efficient(
        [point for at in measured.values() for point in (*as_curve(at.cuts), *as_curve(at.ends))]
    )


def quality_table(measured: Mapping[int, AtQuality]) -> str:
    best = envelope(measured)
    plain = as_curve(measured[0].cuts) if 0 in measured else None
    head = ["quality", "step", *(f"{level}: bpp / dB" for level in LEVELS), "whole file against quality 0, cut",
            "whole file against the envelope", "cuts against the envelope (BD-rate)"]  # fmt: skip
    rows = []
    for quality, (ends, cuts) in measured.items():
        last = ends[-1]
        rows.append([
            f"{quality:+d}" if quality else "0", f"{step_size(quality):.3f}",
            *(f"{end.bpp:.3f} / {end.psnr:.2f}" for end in ends),
            NOTHING if plain is None or not quality else _more(last, plain), _more(last, best), _bd(best, as_curve(cuts)),
        ])  # fmt: skip
    return markdown(head, rows)


def _more(end: Mean, curve: Curve) -> str:
    """Rate beside the curve's at the same PSNR; + 0 turns -0.0 into 0.0."""
    other = rate_at(curve, end.psnr)
    return NOTHING if math.isnan(other) else f"{round(100 * (end.bpp / other - 1), 1) + 0:+.1f} %"


def _bd(reference: Curve, curve: Curve) -> str:
    try:
        return f"{bd_rate(reference, curve):+.1f} %"
    except ValueError:
        return NOTHING


@click.command(help=__doc__.splitlines()[0].split(":")[0] + ".")
@click.option(
    "--images",
    "sources",
    multiple=True,
    required=True,
    help="Picture, folder, glob or tar; repeatable.",
)
@click.option(
    "--quality",
    "listed",
    default=DEFAULT,
    show_default=True,
    metavar="LIST",
    help="Such as -4..4 or -6,-3,0,3,6.",
)
@click.option("--model", default=None, help="Checkpoint name or path.  [default: the shipped one]")
@click.option(
    "--limit", type=click.IntRange(min=1), default=None, help="Use the first N pictures only."
)
@click.option("--device", default="auto", show_default=True)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Folder for quality.csv, quality.png and quality.svg.")  # fmt: skip
def main(
    sources: tuple[str, ...],
    listed: str,
    model: str | None,
    limit: int | None,
    device: str,
    output: Path | None,
) -> None:
    try:
        chosen = qualities(listed)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--quality") from None
    try:
        pictures = list(read_pictures(sources, limit))
        codec = Codec.load(model, device=device)
        points = [
            point
            for picture in tqdm(pictures, disable=None)
            for quality in chosen
            for point in measure_quality(codec, picture, quality)
        ]
        measured = by_quality(points, chosen)
        click.echo(
            f"progcodec {progcodec.__version__}, {codec}, {len(pictures)} pictures; real files, header and checksums counted.\n"
        )
        click.echo(quality_table(measured))
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            write_points(output / "quality.csv", points)
            curves = {n: (as_curve(at.ends), as_curve(at.cuts)) for n, at in measured.items()}
            plot_qualities(
                output, curves, f"{len(pictures)} pictures, mean bits per pixel and mean PSNR"
            )
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
