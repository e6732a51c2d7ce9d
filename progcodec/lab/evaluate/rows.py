"""One row for each thing measured, and the CSV file that holds them.

A row is one picture, coded by one codec at one setting, as it decodes; or, where a judge is named,
what that judge sees in it. Rows are appended as they are measured, and a run that finds a row does
not measure it again: of other codecs, all rows outlive a change of our weights.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from progcodec.errors import EvaluationError
from progcodec.files import write_whole

ROWS = "rows.csv"


class Unit(NamedTuple):
    """One way to send a picture: a codec's whole file at a setting and a scale, or, with a budget,
    the start of its file.

    Attributes:
        codec: "progcodec", "JPEG", … or "clean", the picture itself.
        version: fingerprint of our weights, or of a library and its options.
        setting: quality, distance, bits per pixel; of our files where they end: a level's name, or
            a cut's number.
        scale: by which the picture was reduced before coding.
        budget: as a :class:`~progcodec.lab.evaluate.plan.Budget` is written.
    """

    codec: str
    version: str
    setting: str = ""
    scale: float = 1.0
    budget: str = ""


Key = tuple[str, str, Unit]
"""What a row depends on: the picture's digest, the judge's name or "", the unit."""


class Row(NamedTuple):
    """A blank cell is None.

    Attributes:
        digest, image: of the picture's samples, and its name then.
        judge: classifier with the fingerprint of all that its answers depend on; "" where nobody
            was asked.
        codec, version, setting, scale, budget: the unit.
        bytes: of the file, header included, that this was decoded from.
        psnr, ms_ssim: at full size, against the original; psnr is None where nothing was decoded.
        encode_s, decode_s: seconds.
        coarse, intermediate, fine: the likeliest group or class at each level, each by itself.
    """

    digest: str
    image: str
    judge: str
    codec: str
    version: str
    setting: str
    scale: float
    budget: str
    bytes: int
    psnr: float | None = None
    ms_ssim: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    coarse: int | None = None
    intermediate: int | None = None
    fine: int | None = None

    @property
    def unit(self) -> Unit:
        return Unit(self.codec, self.version, self.setting, self.scale, self.budget)

    @property
    def key(self) -> Key:
        return self.digest, self.judge, self.unit

    @property
    def decoded(self) -> bool:
        return self.psnr is not None

    @property
    def answer(self) -> tuple[int | None, ...]:
        return self.coarse, self.intermediate, self.fine


_TEXTS = {"digest", "image", "judge", "codec", "version", "setting", "budget"}
_WHOLE = {"bytes", "coarse", "intermediate", "fine"}


class Kept:
    """The rows of a folder, by key, and new ones appended to its file.

    Raises EvaluationError if the file's columns are not these, OSError if it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ROWS
        self.rows: dict[Key, Row] = {}
        if not self.path.exists():
            self._rewrite()
            return
        text = self.path.read_bytes().decode(errors="replace")  # a torn character, too
        lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        if tuple(next(lines, ())) != Row._fields:
            raise EvaluationError(f"{self.path} holds no rows, or those of another version")
        parsed = [row for line in lines if (row := _parse(line))]
        self.rows = {row.key: row for row in parsed}
        if not text.endswith("\n"):  # a torn last line must not swallow the next one
            self._rewrite()

    def add(self, rows: Iterable[Row]) -> None:
        """Appends rows; they are in the file when this returns."""
        rows = list(rows)
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
        self.rows |= {row.key: row for row in rows}

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([Row._fields, *self.rows.values()])
        write_whole(self.path, text.getvalue().encode())


def _parse(line: list[str]) -> Row | None:
    try:
        return Row(
            **{name: _value(name, text) for name, text in zip(Row._fields, line, strict=True)}
        )
    except ValueError:
        return None


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    return (int if name in _WHOLE else float)(text) if text else None
