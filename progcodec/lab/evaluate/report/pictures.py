"""Pictures at equal bytes: what each codec shows of an image for the same budget, with a classifier's answer to it."""

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from progcodec.arrays import Pixels

SHOWN_SIDE = 224
"""Pixels of a picture's longer side in the page; larger ones are scaled down."""
SHOWN_QUALITY = 88
"""WebP quality of the pictures in the page: far above what is compared."""


class Subject(NamedTuple):
    """An image to show.

    Attributes:
        name: its file's.
        pixels: uint8 (H, W, 3).
        label: its true class, in words; empty where unknown.
        index: of that class.
    """

    name: str
    pixels: Pixels
    label: str = ""
    index: int | None = None  # type: ignore[assignment]  # hides tuple.index


class Shown(NamedTuple):
    """What a codec made of a picture within a budget: bytes spent, pixels uint8 (H, W, 3), the setting in words."""

    bytes: int
    pixels: Pixels
    setting: str = ""


Send: TypeAlias = Callable[[Pixels, Sequence[int]], Sequence[Shown | None]]
"""From a picture and budgets to what is shown within each; None where nothing decodes."""


class Sender(NamedTuple):
    name: str
    send: Send
    ours: bool = False


class Answer(NamedTuple):
    """A classifier's first answer to a picture at one level, in words, and whether it is right; None where not known."""

    text: str
    right: bool | None = None


Answers: TypeAlias = Callable[[Sequence[Pixels], Subject], Sequence[Sequence[Answer]]]
"""From pictures that were made of a subject to the classifier's answers to each, coarsest first."""


class Tile(NamedTuple):
    """``uri`` is None where the codec shows nothing."""

    codec: str
    ours: bool
    uri: str | None
    bytes: int | None = None
    setting: str = ""
    answers: Sequence[Answer] = ()


class Comparison(NamedTuple):
    """One image: itself, and for each budget one tile a codec."""

    subject: str
    label: str
    original: Tile
    rows: list[tuple[int, list[Tile]]]


def compare(
    subjects: Iterable[Subject],
    senders: Sequence[Sender],
    budgets: Sequence[int],
    answers: Answers | None = None,
) -> list[Comparison]:
    """Every subject through every codec at every budget. Raises ValueError where a codec spends more than the budget."""
    return [_compare_one(subject, senders, sorted(budgets), answers) for subject in subjects]


def _compare_one(
    subject: Subject, senders: Sequence[Sender], budgets: Sequence[int], answers: Answers | None
) -> Comparison:
    sent = [list(sender.send(subject.pixels, budgets)) for sender in senders]
    for sender, column in zip(senders, sent, strict=True):
        for budget, shown in zip(budgets, column, strict=True):
            if shown is not None and shown.bytes > budget:
                raise ValueError(
                    f"{sender.name} sends {shown.bytes} bytes of {subject.name} where {budget} are allowed"
                )
    # one call to the classifier for everything that shows this subject
    made = [shown.pixels for column in sent for shown in column if shown is not None]
    replies = iter(answers([subject.pixels, *made], subject) if answers else [()] * (1 + len(made)))
    original = Tile("original", False, data_uri(subject.pixels), None, "", next(replies))
    tiles = [
        [_tile(sender, shown, replies) for shown in column]
        for sender, column in zip(senders, sent, strict=True)
    ]
    rows = [(budget, [column[index] for column in tiles]) for index, budget in enumerate(budgets)]
    return Comparison(subject.name, subject.label, original, rows)


def _tile(sender: Sender, shown: Shown | None, replies: Iterator[Sequence[Answer]]) -> Tile:
    if shown is None:
        return Tile(sender.name, sender.ours, None)
    return Tile(
        sender.name, sender.ours, data_uri(shown.pixels), shown.bytes, shown.setting, next(replies)
    )


def data_uri(pixels: Pixels) -> str:
    """A picture, uint8 (H, W, 3), as a ``data:`` address."""
    from PIL import Image

    image = Image.fromarray(pixels)
    if max(image.size) > SHOWN_SIDE:
        image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=SHOWN_QUALITY, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
