"""A stream decoded while it arrives: events as soon as the bytes allow them, the picture at any
time.

    feed(chunk) ─► header known ─► symbols of a segment … ─► level complete ─► …
                       latent(), picture(): what has arrived so far, when asked

Every symbol is range-decoded once, however small the chunks are. Pictures are made only when
somebody asks; what the coder itself needs of the networks runs whenever a segment is complete.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from progcodec.arrays import Ints
from progcodec.bitstream import container, ordering
from progcodec.bitstream.rangecoder import Runs, SegmentReader
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.codec.loaded import codec_for
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walked
from progcodec.config import DEFAULT_PIXEL_LIMIT, LEVELS
from progcodec.cut import Cut
from progcodec.errors import CorruptError, NotShcError, ProgcodecError
from progcodec.geometry import hyper_size, latent_size
from progcodec.network.device import steady

CHUNK = 4096


class HeaderKnown(NamedTuple):
    """The header has arrived: what the picture is, before anything of it."""

    header: container.Header


class SymbolsArrived(NamedTuple):
    """More symbols of a segment are certain: ``received`` of ``total`` by now."""

    segment: str
    received: int
    total: int


class LevelComplete(NamedTuple):
    """All symbols of a level have arrived: "coarse", "intermediate" or "fine"."""

    level: str


Event: TypeAlias = HeaderKnown | SymbolsArrived | LevelComplete


class IncrementalDecoder:
    """Decodes one ``.shc`` stream piece by piece.

    Args:
        codec: a loaded codec; None finds the one that wrote the stream, once its header is there.
        model: a checkpoint's name or file, instead.
        device: where the networks run, as for :meth:`Codec.load`.
        level: take nothing beyond this level's end; what follows is dropped unread.
        max_pixels: larger pictures are refused as soon as the header is known.

    Attributes:
        size: bytes taken so far.
        header: None until it has arrived.
        codec: None until the header has arrived, unless it was given.
    """

    def __init__(
        self,
        *,
        codec: Codec | None = None,
        model: str | Path | None = None,
        device: str = "auto",
        level: str | None = None,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> None:
        Cut(level)  # raises ValueError
        self.codec = codec
        self.header: container.Header | None = None
        self.size = 0
        self._options: dict[str, Any] = {"model": model, "device": device, "max_pixels": max_pixels}
        self._given = bytearray()  # all of them: a copy is made by reading them again
        self._last_segment = container.SEGMENT_NAMES.index(LEVELS[-1] if level is None else level)
        # from the start of the current segment (first of all, of the header)
        self._buffer = bytearray()
        self._payload_bytes = 0
        self._walk: Generator[Step, Reply, Walked] | None = None
        self._step: Step | None = None
        self._symbols: list[Ints] = []  # of each step so far, (1, *shape); 0 where none came yet
        self._order: Ints = np.empty(0, np.int64)  # places of the last step's that are to come
        self._runs: Runs = []  # of the last step, until a reader takes them
        self._reader: SegmentReader | None = None
        self._segment: container.Segment | None = None  # the current one, as it was last read
        self._received: list[int] = []  # symbols of each complete segment
        self._failed: Exception | None = None
        self._latent: Latent | None = None

    def __reduce__(self) -> tuple[object, ...]:
        level = container.SEGMENT_NAMES[self._last_segment]
        options = {**self._options, "codec": self.codec, "level": level}
        return _again, (type(self), options, bytes(self._given))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size} bytes, {self.received_level or 'no level yet'})"

    @property
    def received_level(self) -> str | None:
        """The finest level that is complete, None before the first."""
        return LEVELS[len(self._received) - 2] if len(self._received) > 1 else None

    @property
    def complete(self) -> bool:
        """All four segments have arrived."""
        return len(self._received) == len(container.SEGMENT_NAMES)

    @property
    def finished(self) -> bool:
        """All that is wanted has arrived, its checksums included: nothing more has to be read."""
        return self.header is not None and self._step is None

    def feed(self, chunk: bytes) -> list[Event]:
        """Takes the next bytes of the stream and says what they brought; often nothing.

        Raises:
            NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError: as soon
                as the bytes show it, and again at every later call: nothing can be made of what
                follows damage.
        """
        if self._failed:
            raise self._failed
        if self.finished and self._ends_early:
            return []
        chunk = container.as_bytes(chunk)
        self.size += len(chunk)
        self._buffer += chunk
        self._given += chunk
        try:
            events = self._read_header() if self.header is None else []
            while self._step is not None and self._read_segment(events):
                pass
            if self.finished and self._buffer:
                if not self._ends_early:
                    raise CorruptError(f"{len(self._buffer)} bytes follow the last segment")
                self.size -= len(self._buffer)
                self._buffer.clear()
        except Exception as error:
            self._failed = error
            raise
        return events

    async def events(self, reader: asyncio.StreamReader) -> AsyncIterator[Event]:
        """Reads to the end, or that of ``level``; events as they come. It works in a thread."""
        while not (self.finished and self._ends_early) and (chunk := await reader.read(CHUNK)):
            for event in await asyncio.to_thread(self.feed, chunk):
                yield event

    # --- what has arrived so far ------------------------------------------------------------------

    def latent(self) -> Latent:
        """As :meth:`Codec.decode_latent`, of what has arrived. Raises NotShcError without any."""
        if self.header is None or self.codec is None:
            raise NotShcError(f"the .shc stream is cut inside its header ({self.size} bytes)")
        bits = 8 * (self._payload_bytes + self._torn_payload())
        if self._segment is None and not self._received:
            return self.codec.blank_latent(self.header)
        if self._latent is None:
            self._latent = self._assembled(self.codec, self.header, bits)
        elif self._latent.bits != bits:  # bytes that made no further symbol certain
            self._latent = replace(self._latent, bits=bits)
        return self._latent

    def picture(self) -> Image.Image:
        """The picture of what has arrived."""
        latent = self.latent()
        assert self.codec is not None
        return self.codec.synthesise([latent])[0]

    # --- bytes to symbols -------------------------------------------------------------------------

    def _read_header(self) -> list[Event]:
        start = bytes(self._buffer)
        header = container.parse_arriving_header(start, self._options["max_pixels"])
        if header is None:
            return []
        codec = self.codec or codec_for(start, **self._options)
        codec.check_model(header)
        self.header, self.codec = header, codec
        del self._buffer[: header.size]
        self._walk = codec.walker.steps([header.quality], *latent_size(header.height, header.width))
        self._advance(None)
        return [HeaderKnown(header)]

    def _advance(self, reply: Reply | None) -> None:
        """Takes the walk's next step; its first takes no reply."""
        assert self.codec is not None and self._walk is not None
        with steady(self.codec.device):
            self._step = next(self._walk) if reply is None else self._walk.send(reply)
        self._symbols.append(np.zeros((1, *self._step.shape), np.int8))
        self._order, self._runs, self._tables = self.codec.walker.order(self._step, 0)

    def _read_segment(self, events: list[Event]) -> bool:
        """Takes what there is of the current segment; True at its end, if the next may follow."""
        assert self.header is not None and self._step is not None
        index, total = self._step.segment, self._step.total
        segment = self._segment
        if segment is None or len(self._buffer) >= segment.payload_start + segment.declared:
            # Between its length and its checksum, which needs all of it, a segment is not read
            # again: each piece would cost as much as all before it.
            segment = container.read_segment(self._buffer, 0, index, self.header)
        if segment is None:
            return False
        self._segment = segment
        payload = slice(segment.payload_start, segment.payload_start + segment.declared)
        name = container.SEGMENT_NAMES[index]
        reader = self._reader = self._reader or SegmentReader(segment.declared, total, self._tables)
        while True:
            reader.add(self._runs)
            self._runs = []
            with stage("range coding"), memoryview(self._buffer)[payload] as arrived:
                fresh = reader.extend(arrived)
            if len(fresh):
                self._latent = None
                ordering.place(fresh, self._order, self._symbols[-1])
                self._order = self._order[len(fresh) :]
                events.append(SymbolsArrived(name, reader.count, total))
            if reader.complete or len(self._order):
                break
            self._advance((self._symbols[-1], [True]))
        if reader.complete and len(self._received) == index:
            self._received.append(total)
            if index:
                events.append(LevelComplete(name))
        if len(self._buffer) < segment.end:
            return False
        self._payload_bytes += segment.declared
        del self._buffer[: segment.end]
        self._reader = self._segment = None
        if index == self._last_segment:
            self._step = self._walk = None
        else:
            self._advance((self._symbols[-1], [True]))
        return True

    @property
    def _ends_early(self) -> bool:
        return self._last_segment < len(container.SEGMENT_NAMES) - 1

    def _assembled(self, codec: Codec, header: container.Header, bits: int) -> Latent:
        """What is there, and zeros."""
        (height, width), config = latent_size(header.height, header.width), codec.config
        z = np.zeros((config.hyper_channels, *hyper_size(height, width)), np.int32)
        q = np.zeros((config.latent_channels, height, width), np.int32)
        received = list(self._received)
        if self._reader is not None and not self._reader.complete:
            received.append(self._reader.count)
        hyper = codec.walker.hyper
        steps = hyper.steps(*z.shape[1:])
        for step, values in zip(steps, self._symbols, strict=False):
            z.reshape(-1)[step.places] = values[0]
        z[:] = hyper.restored(z[None])[0]
        parts = (q[start:end] for start, end in pairwise(config.offsets))
        for part, values in zip(parts, self._symbols[len(steps) :], strict=False):
            part[:] = values[0]
        y = codec.assemble(z[None], q[None], header.quality)
        levels = (q[start:end].size for start, end in pairwise(config.level_offsets))
        totals = z.size, *levels
        received += [0] * (len(totals) - len(received))
        size = header.width, header.height
        return Latent(y, z, q, tuple(received), totals, *size, bits, header.quality)

    def _torn_payload(self) -> int:
        if self._segment is None:
            return 0
        return min(len(self._buffer) - self._segment.payload_start, self._segment.declared)


def _again(
    kind: type[IncrementalDecoder], options: dict[str, Any], given: bytes
) -> IncrementalDecoder:
    """A decoder that stands where one stood that was given these bytes."""
    decoder = kind(**options)
    with contextlib.suppress(ProgcodecError):  # it fails where that one failed
        decoder.feed(given)
    return decoder
