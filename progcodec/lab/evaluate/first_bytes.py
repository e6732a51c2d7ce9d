"""The first bytes beside thumbnails: contact sheets of ours and the best WebP file."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from progcodec.lab.evaluate.measure import Measurer
from progcodec.lab.evaluate.peers.modern import WebP
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import OURS, Plan
from progcodec.lab.evaluate.plots import contact_sheet
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.statistics import BEST, CUT, Study

BUDGETS = "200,350,500,750,1000,1500,2000,3000,4000,6000"
PEERS = "webp,avif,jpegxl,jpeg2000"
SCALES = (1.0, 0.5, 0.25, 0.125)
SHEETS = ("500", "1000", "2000", "4000")
COLUMNS = 3
"""Pairs in a row."""


def sheets(
    plan: Plan, pictures: Sequence[Picture], rows: Sequence[Row], folder: Path
) -> list[Path]:
    """``first-bytes-500.png`` and so on: pairs at half size, ours on the left."""
    study, measurer = Study(plan, pictures, rows), Measurer(plan)
    curves = {(curve.codec, curve.mode): curve for curve in study.curves}
    shown = [curves[key].rows for key in ((OURS, CUT), (WebP.name, BEST)) if key in curves]
    places = [n for n, budget in enumerate(plan.budgets) if str(budget) in SHEETS]
    tiles: dict[int, list[tuple[str, Image.Image]]] = {place: [] for place in places}
    for n, picture in enumerate(pictures):
        pairs = {place: [own[place][n] for own in shown] for place in places}
        wanted = [row for pair in pairs.values() for row in pair if row is not None]
        images: dict[object, Image.Image] = {}
        for entry in plan.entries:
            units = list(dict.fromkeys(row.unit for row in wanted if row.codec == entry.name))
            for unit, outcome in measurer.code(entry, picture, units).items():
                assert outcome.picture is not None, "it decoded when it was measured"
                images[unit] = outcome.picture.reduce(2)
        for place, pair in pairs.items():
            blank = Image.fromarray(picture.pixels).reduce(2).convert("L").point(lambda _: 255)
            tiles[place] += [
                (f"{row.codec}, {row.bytes:,} bytes, {row.psnr:.2f} dB", images[row.unit])
                if row
                else ("nothing fits", blank)
                for row in pair
            ]
    paths = []
    for place, own in tiles.items():
        width = COLUMNS * len(shown)
        paths.append(folder / f"first-bytes-{plan.budgets[place]}.png")
        contact_sheet(paths[-1], [own[at : at + width] for at in range(0, len(own), width)])
    return paths
