"""Standard input while it arrives: answers and pictures as soon as their bytes are there.

    pieces()    what is there, as soon as it is there; never waits for a buffer to fill
    begin()     the same, but the first piece holds the header
    answers()   what classify prints: a change of words, a size that was asked for, the end
    picture()   what decode writes: once at the end, and, if asked, again and again before

A pipe that ends early is a cut file. Torch is imported by whoever makes the StreamDecoder.
"""

import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from progcodec.bitstream.container import parse_arriving_header, parse_header

if TYPE_CHECKING:
    from PIL.Image import Image

    from progcodec.api import StreamDecoder
    from progcodec.classification.answer import Answer

CHUNK = 1 << 16


class Piece(NamedTuple):
    """Bytes that have arrived, and whether more, or the end, wait already."""

    data: bytes
    more: bool


class Arrival(NamedTuple):
    """What the first ``bytes`` bytes show; ``budget`` is the size asked for, if one was."""

    budget: int | None
    bytes: int
    answer: "Answer"


def pieces(patience: float | None = None) -> Iterator[Piece]:
    """Standard input in pieces of what is there, an empty one whenever nothing came for `patience`
    seconds. Raises OSError if it is closed.
    """
    if sys.stdin is None:
        raise OSError("standard input is closed")
    stream: Any = sys.stdin.buffer
    try:
        descriptor = stream.fileno()
    except OSError:  # in memory: all of it is there
        while data := stream.read1(CHUNK):
            yield Piece(data, True)
        return
    while True:
        while patience is not None and not _ready(descriptor, patience, unknown=True):
            yield Piece(b"", False)
        if not (data := os.read(descriptor, CHUNK)):
            return
        yield Piece(data, _ready(descriptor, 0, unknown=False))


def begin(source: Iterator[Piece]) -> tuple[bytes, Iterator[Piece]]:
    """What is there once the header is, and all pieces, of which that is the first.

    Raises what :func:`parse_header` raises, as soon as it is sure.
    """
    start = b""
    for data, more in source:
        start += data
        if parse_arriving_header(start, max_pixels=None) is not None:
            return start, chain([Piece(start, more)], source)
    parse_header(start, max_pixels=None)
    raise AssertionError("a header that is not complete was read")


def answers(
    source: Iterator[Piece],
    decoder: "StreamDecoder",
    ask: Callable[[], "Answer"],
    budgets: Iterable[int | None] = (None,),
    *,
    until: Callable[["Answer"], bool] | None = None,
) -> Iterator[Arrival]:
    """Answers as they come.

    With no other budget than None (all): one whenever the words of the answer change, and one of
    all bytes at the end. Otherwise one as each size is reached, in rising order; sizes beyond the
    end are answered with all there is.

    Args:
        source: of :func:`begin`. Answers wait while more bytes do, so a file that is there entirely
            gets one.
        ask: the answer of what `decoder` has been fed.
        budgets: sizes that hold the header.
        until: enough; the answer that fulfils it is the last, and no more is read. Reading also
            ends with the last budget.
    """
    marks = sorted(budget for budget in budgets if budget is not None)
    changes, to_end = set(budgets) == {None}, None in budgets
    last: Arrival | None = None
    for data, more in source:
        while marks and decoder.size + len(data) >= marks[0]:
            room = marks[0] - decoder.size
            decoder.feed(data[:room])
            data = data[room:]
            yield Arrival(marks.pop(0), decoder.size, ask())
        if not marks and not to_end:
            return
        decoder.feed(data)
        if changes and not more:
            now = Arrival(None, decoder.size, ask())
            enough = until is not None and until(now.answer)
            if last is None or enough or _words(now.answer) != _words(last.answer):
                last = now
                yield now
            if enough:
                return
    for mark in (*marks, None) if to_end else marks:
        if last is None or last.bytes < decoder.size:
            last = Arrival(None, decoder.size, ask())
        elif changes:
            return
        yield last._replace(budget=mark)


def picture(
    source: Iterator[Piece],
    decoder: "StreamDecoder",
    *,
    max_bytes: int | None = None,
    every: float | None = None,
    show: "Callable[[Image], None]" = lambda image: None,
) -> "Image":
    """The picture of all that arrives, or of the first `max_bytes` bytes; reads no further than
    `decoder` has use for.

    Args:
        every: also call `show` with the picture so far, at most once in so many seconds, while no
            more bytes wait. `source` should give an empty piece now and then, or the last picture
            before a pause may be withheld.
    """
    due, shown = time.monotonic(), 0
    for data, more in source:
        if max_bytes is not None:
            data = data[: max_bytes - decoder.size]
        decoder.feed(data)
        if decoder.finished or decoder.size == max_bytes:
            break
        if every is not None and not more and shown < decoder.size and time.monotonic() >= due:
            show(decoder.picture())
            due, shown = time.monotonic() + every, decoder.size
    return decoder.picture()


def _ready(descriptor: int, seconds: float, unknown: bool) -> bool:
    """Whether bytes, or the end, come in so many seconds; `unknown` if the system can't tell."""
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    except (OSError, ValueError):  # Windows has it for sockets only.
        return unknown


def _words(answer: "Answer") -> tuple[object, ...]:
    """All of an answer but its numbers."""
    return (
        answer.stated,
        answer.sure,
        *(guess.name for guess in answer.path[: max(1, answer.stated)]),
    )
