"""What every rival shares: framing, the hyperlatent, and one generator of passes with two short users, encode and decode.

    header | ẑ | pass 1 | pass 2 | …        header: as in a .shc file, no checksums; each segment: length (varint), payload

The framing is that of a ``.shc`` file without checksums, so bytes compare with ours one to one; a scheme pays for each pass
that it needs (a length of 1 to 3 bytes, and what sealing a range coder costs). The whole ``.shc`` file, as written by default,
has 4 bytes of checksum more for each of its four segments. These streams are for measuring, in memory: they are no format.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from progcodec.arrays import Flags, Ints
from progcodec.bitstream import container
from progcodec.bitstream.ordering import gather, scatter
from progcodec.bitstream.rangecoder import Runs, decode_segment, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.codec.walk import drive
from progcodec.errors import CorruptError, WrongModelError
from progcodec.lab.evaluate.rivals.latent import (
    Scales,
    analyse,
    hyperlatent,
    latent_shape,
    picture,
    reconstruct,
)

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec


@dataclass(frozen=True)
class Pass:
    """One range-coded segment.

    Attributes:
        runs, tables: which table each stretch of symbols uses. Integers alone decide them: ẑ and the passes before.
        symbols: from q, int32 (C, h, w), to the pass's symbols in coding order; only the encoder calls it.
    """

    runs: Runs
    tables: Tables
    symbols: Callable[[Ints], Ints]


class Received(NamedTuple):
    """What of a latent has arrived: q̂, float32 (C, h, w), 0 or an expectation where nothing has; and where something has."""

    q: Ints
    there: Flags


class Decoded(NamedTuple):
    """A decoded prefix: ẑ, integers; what of q arrived; the size in pixels."""

    z: Ints
    received: Received
    width: int
    height: int


Walk = Generator[Pass, Ints, Received]
"""Yields passes, is sent each one's symbols as far as they arrived, and ends after the first that is not whole."""


class Scheme(ABC):
    """A rival that is a walk over q."""

    name: str

    @abstractmethod
    def walk(self, scales: Scales) -> Walk:
        """The passes that follow ẑ."""

    def encode(self, codec: "Codec", image: object) -> bytes:
        """The whole stream. Raises ImageError and LimitError as :meth:`Codec.encode`."""
        source = analyse(codec, image)
        header = container.Header(source.width, source.height, codec.fingerprint, checksums=False)
        hyper = hyperlatent(codec, source.width, source.height)
        parts = [
            header.to_bytes(),
            _segment(encode_segment(gather(source.z, hyper.order), hyper.runs, hyper.tables)),
        ]

        def reply(step: Pass) -> Ints:
            symbols = step.symbols(source.q)
            parts.append(_segment(encode_segment(symbols, step.runs, step.tables)))
            return symbols

        drive(self.walk(Scales(codec, source.z, source.width, source.height)), reply)
        return b"".join(parts)

    def decode(self, codec: "Codec", data: bytes) -> Image.Image:
        """The picture that a stream, whole or cut after its header, holds.

        Raises NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError.
        """
        decoded = self.decode_latent(codec, data)
        y = reconstruct(codec, decoded.z, decoded.received.q, self.kept(decoded.received))
        return picture(codec, y, decoded.width, decoded.height)

    def kept(self, received: Received) -> Flags | None:
        """Where ŷ is more than 0; None for everywhere: what has not arrived is replaced by its mean."""
        return None

    def decode_latent(self, codec: "Codec", data: bytes) -> Decoded:
        """The integers that a stream, whole or cut after its header, holds. Raises as :meth:`decode`."""
        header = container.parse_header(data)
        if header.fingerprint != codec.fingerprint:
            raise WrongModelError(
                f"the stream was written with another model than {codec.fingerprint.hex()}"
            )
        segments = _segments(data, header.size)
        hyper = hyperlatent(codec, header.width, header.height)
        symbols = _arrived(segments, hyper.runs, hyper.tables)
        z, there = scatter(symbols, hyper.order, hyper.shape)
        if not there.all():
            return Decoded(
                z,
                nothing(latent_shape(codec, header.width, header.height)),
                header.width,
                header.height,
            )
        walk = self.walk(Scales(codec, z, header.width, header.height))
        received = drive(walk, lambda step: _arrived(segments, step.runs, step.tables))
        if segments:
            raise CorruptError("a segment follows the last pass")
        return Decoded(z, received, header.width, header.height)


def nothing(shape: tuple[int, int, int]) -> Received:
    return Received(np.zeros(shape, np.float32), np.zeros(shape, bool))


def elements(order: Ints, indexes: Ints, tables: Tables) -> Pass:
    """The pass of whole elements: flat positions ``order`` of q, each with the table of its entry in ``indexes`` (C, h, w)."""
    return Pass(runs_of(indexes.reshape(-1)[order]), tables, lambda q: gather(q, order))


def place(received: Received, order: Ints, symbols: Ints) -> bool:
    """Puts the first ``len(symbols)`` elements of an order into ``received``. Whether that is all of them."""
    there = order[: len(symbols)]
    received.q.reshape(-1)[there] = symbols
    received.there.reshape(-1)[there] = True
    return len(symbols) == len(order)


def runs_of(tables: Ints) -> list[tuple[int, int]]:
    """``(table, count)`` for stretches of equal entries."""
    if not len(tables):
        return []
    starts = np.flatnonzero(np.concatenate(([True], tables[1:] != tables[:-1])))
    counts = np.diff(np.append(starts, len(tables)))
    return list(zip(tables[starts].tolist(), counts.tolist(), strict=True))


class _Segment(NamedTuple):
    payload: bytes
    declared: int


def _segment(payload: bytes) -> bytes:
    return container.varint(len(payload)) + payload


def _segments(data: bytes, at: int) -> list[_Segment]:
    """The segments of which at least the length is there."""
    found: list[_Segment] = []
    while True:
        declared, at = container.read_varint(data, at)
        if declared is None:
            return found
        found.append(_Segment(data[at : at + declared], declared))
        at += declared


def _arrived(segments: list[_Segment], runs: Sequence[tuple[int, int]], tables: Tables) -> Ints:
    """The symbols of the next segment as far as they are certain; takes it off the list."""
    if not segments:
        return np.empty(0, np.int32)
    segment = segments.pop(0)
    return decode_segment(segment.payload, segment.declared, runs, tables).symbols
