"""Rate-distortion curves of real files: ``python -m progcodec.lab.evaluate.rate_distortion --images kodak.tar``.

Each picture is encoded once, to the file that a user gets: header, lengths and checksums are all counted. Every point
is then what ``decode`` makes of a *prefix* of these bytes.

- **Level ends**: the prefixes that end with the coarse, the intermediate and the fine segment.
- **Cuts**: ten prefixes, evenly spaced in the logarithm of bytes from the end of the hyperlatent to the whole file, so
  that the short prefixes, where PSNR rises fastest, get their share. Each picture is cut at the same *fractions* of its
  own range, not at the same bytes: then bits are shared between pictures as in the whole files, easy ones getting few
  and hard ones many, at every point of the curve.

A mean curve depends on that sharing. JPEG and the published learned codecs share as we do, one quality for all. JPEG
2000 is run at equal *rates* for all pictures, as is its custom, and that lifts its mean PSNR: at equal PSNR for all,
its mean curve over the Kodak images needs 28 % more bits. So the BD-rates against measured codecs are also given
picture by picture, where sharing plays no part.
"""

from pathlib import Path
from typing import Any, Protocol

import click
import numpy as np
from tqdm import tqdm

import progcodec
from progcodec.bitstream.description import info
from progcodec.codec.codec import Codec
from progcodec.config import LEVELS
from progcodec.cut import log_spaced
from progcodec.errors import ProgcodecError
from progcodec.lab.evaluate import checks, tables
from progcodec.lab.evaluate.kodak import is_kodak
from progcodec.lab.evaluate.peers import Peer, code, peers, published
from progcodec.lab.evaluate.plots import plot
from progcodec.lab.evaluate.points import (
    Kept,
    Point,
    as_curve,
    digest,
    means,
    measure,
    write_points,
)
from progcodec.lab.evaluate.sources import Picture, read_pictures

CUTS = 10
ENDS_CURVE, CUTS_CURVE = "level ends", "cuts"
PEERS = ("JPEG", "JPEG 2000", "JPEG 2000, Pillow's defaults")
PUBLISHED = ("JPEG 2000", "bmshj2018-hyperprior", "BPG 4:4:4", "mbt2018-mean", "VTM (VVC intra)")


def cut_sizes(data: bytes, count: int = CUTS) -> list[int]:
    """At most ``count`` prefix lengths, evenly spaced in log-bytes from the end of the hyperlatent to the whole file."""
    first = info(data).segments[0].end
    assert first is not None, "a cut file"
    return log_spaced(first, len(data), count)


class Encodes(Protocol):
    """What :func:`measure_ours` needs of a codec."""

    def encode(self, image: Any, /) -> bytes: ...

    def decode(self, data: bytes, /) -> object: ...


def measure_ours(codec: Encodes, picture: Picture) -> list[Point]:
    """The points of both our curves for one picture."""
    data = codec.encode(picture.pixels)
    ends = [segment.end for segment in info(data).segments[1:] if segment.end is not None]
    cuts = cut_sizes(data)
    # the longest cut is the fine level's end: decode each length once
    decoded = {size: np.asarray(codec.decode(data[:size])) for size in {*ends, *cuts}}
    named = [(ENDS_CURVE, name, size) for name, size in zip(LEVELS, ends, strict=True)]
    named += [(CUTS_CURVE, f"{index}/{CUTS - 1}", size) for index, size in enumerate(cuts)]
    return [measure(curve, name, picture, size, decoded[size]) for curve, name, size in named]


def measure_peer(peer: Peer, picture: Picture, kept: Kept) -> list[Point]:
    """One point a setting, taken from ``kept`` where it has been measured before."""
    points, key = [], digest(picture.pixels)
    for setting in peer.settings:
        point = kept.get(key, peer.version, peer.name, str(setting))
        if point is None:
            coded = code(peer, picture.pixels, setting)
            point = measure(peer.name, str(setting), picture, len(coded.data), coded.pixels)
            kept.add(key, peer.version, point)
        points.append(
            point._replace(image=picture.name)
        )  # the same picture may go by another name now
    return points


def report(points: list[Point], folder: Path | None = None) -> str:
    """The Markdown of all tables; with a folder, also ``points.csv``, ``curves.png`` and ``curves.svg`` in it."""
    images = {point.image for point in points}
    ends, cuts = means(points, ENDS_CURVE), means(points, CUTS_CURVE)
    names = [
        name
        for name in dict.fromkeys(p.curve for p in points)
        if name not in (ENDS_CURVE, CUTS_CURVE)
    ]
    measured = {name: as_curve(means(points, name)) for name in names}
    # curves quoted from others are means over these 24 pictures, and say nothing beside any other set
    kodak = is_kodak(images)
    quoted = (
        {name: curve for name, curve in published().items() if name in PUBLISHED} if kodak else {}
    )
    parts = [
        tables.end_line(ends),
        "Level ends, and their rate against the measured codecs at the same PSNR:",
        tables.levels_table(ends, measured),
        "BD-rate (PSNR) of our level ends and of our cuts; negative is better:",
        tables.bd_table(as_curve(ends), as_curve(cuts), measured, quoted),
        "BD-rate (PSNR) picture by picture:",
        tables.per_picture_table(points, names),
        "Cuts:",
        tables.cuts_table(cuts),
    ]
    if not kodak:
        parts.append("Published curves are left out: they hold for the 24 Kodak images only.")
    if folder is not None:
        write_points(folder / "points.csv", points)
        title = f"{len(images)} pictures, mean bits per pixel and mean PSNR"
        plot(folder, as_curve(ends), as_curve(cuts), measured, quoted, title)
    return "\n\n".join(parts)


@click.command(help=__doc__.splitlines()[0].split(":")[0] + ".")
@click.option(
    "--images",
    "sources",
    multiple=True,
    required=True,
    help="Picture, folder, glob or tar; repeatable.",
)
@click.option("--model", default=None, help="Checkpoint name or path.  [default: the shipped one]")
@click.option(
    "--limit", type=click.IntRange(min=1), default=None, help="Use the first N pictures only."
)
@click.option("--device", default="auto", show_default=True)
@click.option("--extras", is_flag=True, help="Also measure WebP.")
@click.option("--monotone", is_flag=True, help="Instead: check that longer prefixes look no worse.")
@click.option(
    "--size", is_flag=True, help="Instead: check the files' size against the model's own estimate."
)
@click.option(
    "--hyperlatent", is_flag=True, help="Instead: what share of the files the hyperlatent takes."
)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Folder for points.csv, the plot, and the other codecs' points, kept for the next run.")  # fmt: skip
def main(
    sources: tuple[str, ...], model: str | None, limit: int | None, device: str, extras: bool, monotone: bool,
    size: bool, hyperlatent: bool, output: Path | None,
) -> None:  # fmt: skip
    try:
        pictures = list(read_pictures(sources, limit))
        codec = Codec.load(model, device=device)
        if monotone or size or hyperlatent:
            shown = tqdm(pictures, disable=None)
            if monotone:
                click.echo(checks.falls_report(checks.falls(codec, shown)))
            if size:
                click.echo(checks.sizes_report(checks.sizes(codec, shown)))
            if hyperlatent:
                click.echo(checks.shares_report(checks.shares(codec, shown)))
            return
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        kept = Kept(output / "peers.csv" if output else None)
        others = peers(*PEERS, *(["WebP"] if extras else []))
        points: list[Point] = []
        for picture in tqdm(pictures, disable=None):
            points += measure_ours(codec, picture)
            for peer in others:
                points += measure_peer(peer, picture, kept)
        click.echo(
            f"progcodec {progcodec.__version__}, {codec}, {len(pictures)} pictures; measured beside it: "
            + ", ".join(f"{peer.name} ({peer.version})" for peer in others)
            + ". Real files, header and checksums counted.\n"
        )
        click.echo(report(points, output))
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
