"""One row for each thing measured, and the CSV files that hold the rows.

A row says what one classifier makes of one picture, coded by one codec, in one of two modes: **ladder**, a whole file at
a setting and a scale; **cut**, the first ``budget`` bytes of one file. (``clean`` is the picture itself.)

``kept.csv`` is the memory of a folder: rows are appended as they are measured, and a run that finds a row there does not
measure it again. ``measurements.csv`` holds the rows of the last run's pictures, classifiers and versions alone, in a
fixed order: nothing stale can mix into what is read from it.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from progcodec.errors import EvaluationError
from progcodec.files import write_whole

KEPT, MEASUREMENTS = "kept.csv", "measurements.csv"
CLEAN, LADDER, CUT = "clean", "ladder", "cut"
OURS = "progcodec"


class Key(NamedTuple):
    """What a measurement depends on, fields of it by the same names: two rows with one key are the same measurement."""

    digest: str
    label: int | None
    codec: str
    weights: str
    mode: str
    setting: str
    scale: float
    budget: int | None
    budget_bpp: float | None
    classifier: str
    hierarchy: str


_of_key = attrgetter(*Key._fields)


class Measurement(NamedTuple):
    """A blank cell is None: not known, not asked for, or without meaning.

    Attributes:
        image: name of the picture. label: its class index, if known. width, height: pixels.
        codec: "progcodec", "JPEG", … or "clean". weights: fingerprint of the weights, or version of the library.
        mode: "ladder", "cut" or "clean".
        setting: quality, distance, bits per pixel or, for our own ladder, the level's name.
        scale: by which the picture was reduced before coding; 1, 0.5 or 0.25.
        budget: bytes allowed, for cuts. budget_bpp: where the budget was given in bits per pixel, that.
        bytes: of the file, header included, that this was decoded from.
        decoded: whether there was a picture; without one no level is hit.
        classifier: its name and fingerprint.
        p_true_*: probability of the true group or class. hit_*: whether the likeliest one (free argmax) is true.
        wup: Wu-Palmer similarity of the likeliest and the true class; 0 without a picture.
        agree_*: whether the answer is the one on the clean picture.
        psnr, ms_ssim: at full size, against the original. encode_s, decode_s: seconds.
        digest: of the picture's samples. hierarchy: fingerprint of the groups.
    """

    image: str
    label: int | None
    width: int
    height: int
    codec: str
    weights: str
    mode: str
    setting: str
    scale: float
    budget: int | None
    budget_bpp: float | None
    bytes: int
    decoded: bool
    classifier: str
    p_true_coarse: float | None
    p_true_intermediate: float | None
    p_true_fine: float | None
    hit_coarse: bool | None
    hit_intermediate: bool | None
    hit_fine: bool | None
    wup: float | None
    agree_coarse: bool
    agree_intermediate: bool
    agree_fine: bool
    psnr: float | None
    ms_ssim: float | None
    encode_s: float | None
    decode_s: float | None
    digest: str
    hierarchy: str

    @property
    def key(self) -> Key:
        return Key(*_of_key(self))


def read(path: Path) -> Iterator[Measurement]:
    """The rows of a file, in its order; a row that a broken run left torn is passed over.

    Raises EvaluationError if the file's columns are not these, OSError if it cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        lines = csv.reader(_whole_lines(stream))
        head = next(lines, None)
        if head is not None and tuple(head) != Measurement._fields:
            raise EvaluationError(f"{path} is no file of measurements, or one of another version")
        for line in lines:
            row = _parse(line)
            if row is not None:
                yield row


def _whole_lines(stream: Iterable[str]) -> Iterator[str]:
    """A last line without its end may have lost a part of its last cell, and still look like a row."""
    return (line for line in stream if line.endswith("\n"))


def write(path: Path, rows: Iterable[Measurement]) -> None:
    """The file of all rows: whole, or as it was."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Measurement._fields)
    writer.writerows(map(_line, rows))
    write_whole(path, text.getvalue().encode())


class Kept:
    """The rows of a folder's ``kept.csv``, by key, and new ones appended to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEPT
        self.rows: dict[Key, Measurement] = {}
        if self.path.exists():
            self.rows = {row.key: row for row in read(self.path)}
            self._mend()

    def __contains__(self, key: Key) -> bool:
        return key in self.rows

    def add(self, rows: Iterable[Measurement]) -> None:
        """Appends rows; they are on the disk when this returns."""
        rows = list(rows)
        new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(Measurement._fields)
            writer.writerows(map(_line, rows))
        self.rows |= {row.key: row for row in rows}

    def _mend(self) -> None:
        """A torn last line must not swallow the first line that is appended."""
        with self.path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            size = stream.tell()
            stream.seek(max(0, size - 1))
            whole = stream.read() in (b"", b"\n")
        if not whole:
            write(self.path, self.rows.values())


_INTEGERS = {"width", "height", "bytes"}
_MAYBE_INTEGERS = {"label", "budget"}
_TEXTS = {"image", "codec", "weights", "mode", "setting", "classifier", "digest", "hierarchy"}
_FLAGS = {"decoded", "agree_coarse", "agree_intermediate", "agree_fine"}
_MAYBE_FLAGS = {"hit_coarse", "hit_intermediate", "hit_fine"}


def _line(row: Measurement) -> list[Any]:
    return [_cell(value) for value in row]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value


def _parse(line: list[str]) -> Measurement | None:
    if len(line) != len(Measurement._fields):
        return None
    try:
        return Measurement(
            *(_value(name, text) for name, text in zip(Measurement._fields, line, strict=True))
        )
    except ValueError:
        return None


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    if name in _INTEGERS:
        return int(text)
    if name in _FLAGS:
        return _flag(text)
    if not text:
        return None
    if name in _MAYBE_INTEGERS:
        return int(text)
    return _flag(text) if name in _MAYBE_FLAGS else float(text)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is neither 0 nor 1")
    return text == "1"
