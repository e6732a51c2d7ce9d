"""What a run writes down as it goes: means over some steps, of all processes, a line of a CSV file
each.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from progcodec.files import write_whole
from progcodec.lab.train.parallel import Parallel

BITS = ["hyper", "block1", "block2", "block3", "total", "bpp_coarse", "bpp_inter"]
LEVELS = ("coarse", "inter", "cut", "fine")
MEASURED = [
    "loss",
    *BITS,
    *(f"{what}_{level}" for what in ("psnr", "class", "acc") for level in LEVELS),
]
"""Bits per pixel of each part, of all and up to each level; dB; nats and agreement with the target
at each level."""
RUN = ("step", "minutes", "lr", "images_per_s")
COLUMNS = [*RUN, *MEASURED, "gpu_gb"]


class Means:
    """Running means of what is logged, between two log lines; ``names`` are the columns that they
    fill.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._sums: dict[str, list[Tensor]] = {}

    def add(self, measured: dict[str, Tensor]) -> None:
        """Values stay on their device until they are asked for, so that the loop need not wait for
        it.
        """
        for name, values in measured.items():
            if values.numel():
                self._sums.setdefault(name, []).append(values.detach().reshape(-1))

    def take(self, parallel: Parallel) -> dict[str, float]:
        """The means over all processes since the last call."""
        sums, counts = [], []
        for name in self._names:
            parts = self._sums.get(name, [])
            sums.append(float(sum(part.double().sum() for part in parts)))
            counts.append(float(sum(part.numel() for part in parts)))
        self._sums.clear()
        agreed = parallel.sum(sums + counts)
        count = len(self._names)
        pairs = zip(self._names, agreed[:count], agreed[count:], strict=True)
        return {name: total / number for name, total, number in pairs if number}


def append(path: Path, columns: Sequence[str], row: dict[str, float]) -> None:
    """Adds a line. A log of other columns, from an earlier version, is brought to these first."""
    columns = list(columns)
    fresh = not path.exists()
    if not fresh:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            names, older = reader.fieldnames, list(reader)
        fresh = names is None
        if names not in (None, columns):
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="")
            writer.writeheader()
            writer.writerows(older)
            write_whole(path, text.getvalue().encode())
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        if fresh:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
