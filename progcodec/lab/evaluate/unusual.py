"""Pictures unlike photographs, drawn, and how each kind fares beside JPEG at equal bytes."""

from collections.abc import Sequence

import numpy as np

from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import Plan, best_file
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.tables import NOTHING, markdown
from progcodec.lab.train.drawn import KINDS

PEERS = "jpeg"
SIDES, EACH = (16, 128), 4


def pictures(seed: int = 0) -> list[Picture]:
    """A few of each kind and size."""
    random = np.random.default_rng(seed)
    return [
        Picture(f"{kind}, {side} px", np.ascontiguousarray(draw(random, side)))
        for kind, draw in KINDS.items()
        for side in SIDES
        for _ in range(EACH)
    ]


def table(plan: Plan, shown: Sequence[Picture], rows: Sequence[Row]) -> str:
    """Means of our whole files, and of the best JPEGs of at most as many bytes."""
    files: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        files.setdefault((row.codec, row.digest), []).append(row)
    lines = []
    for name in dict.fromkeys(picture.name for picture in shown):
        own = [picture for picture in shown if picture.name == name]
        pairs = []
        for picture in own:
            mine = files[plan.entries[0].name, picture.digest]
            ours = next(row for row in mine if row.setting == "fine")
            pairs.append((ours, best_file(files.get(("JPEG", picture.digest), []), ours.bytes)))
        size = float(np.mean([ours.bytes for ours, _ in pairs]))
        quality = [ours.psnr or 0.0 for ours, _ in pairs]
        theirs = [jpeg.psnr or 0.0 for _, jpeg in pairs if jpeg]
        behind = sum(
            jpeg is not None and (jpeg.psnr or 0) > (ours.psnr or 0) for ours, jpeg in pairs
        )
        cells = [f"{size:,.0f}", f"{8 * size / own[0].size:.2f}", _decibels(quality)]
        cells += [f"{min(quality):.1f}", _decibels(theirs), f"{behind} of {len(own)}"]
        lines.append([name, *cells])
    head = ["", "bytes", "bpp", "PSNR (dB)", "the worst", "JPEG at equal bytes", "ours is behind"]
    return markdown(head, lines)


def _decibels(values: Sequence[float]) -> str:
    """The mean; infinite where nothing is lost."""
    mean = sum(values) / len(values) if values else np.nan
    return NOTHING if np.isnan(mean) else "∞" if np.isinf(mean) else f"{mean:.1f}"
