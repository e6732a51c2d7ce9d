"""One segment's symbols while its payload arrives: each is decoded once, as soon as it is certain.

The decoder cannot wait in the middle of a word, but an encoder can: fed with the certain symbols, it stands exactly where a
decoder has to go on, and tells that place (``pos``). So every piece of payload costs its own symbols and no earlier ones,
and once all symbols are there, the encoder holds the canonical payload that the segment is checked against.
"""

import numpy as np

from progcodec.arrays import Symbols
from progcodec.bitstream.rangecoder import (
    WORD,
    RangeEncoder,
    Runs,
    agreed_symbols,
    canonical_payload,
    check_length,
    not_canonical,
    open_decoder,
    undecodable,
)
from progcodec.bitstream.tables import Tables
from progcodec.config import Q_MAX


class SegmentReader:
    """Turns the growing payload of one segment into the symbols that are certain.

    Args:
        declared: bytes of the whole payload.
        runs, tables: as given to ``rangecoder.encode_segment``.

    Attributes:
        total: symbols of the segment.
        count: symbols that are certain so far.

    Raises:
        CorruptError: no segment of these symbols is so long.
    """

    def __init__(self, declared: int, runs: Runs, tables: Tables) -> None:
        check_length(declared, runs)
        self.declared, self.tables = declared, tables
        self.total, self.count = sum(count for _, count in runs), 0
        self._runs = [run for run in runs if run[1]]
        self._encoder = RangeEncoder()
        self._seen = 0
        self._parts: list[Symbols] = []

    @property
    def complete(self) -> bool:
        return self.count == self.total

    @property
    def symbols(self) -> Symbols:
        """The certain symbols, int32 (count,), in coding order."""
        return np.concatenate([np.empty(0, np.int32), *self._parts])

    def extend(self, payload: bytes) -> Symbols:
        """Symbols that the payload so far makes certain, and that did not come before: int32, in coding order.

        Args:
            payload: the first bytes of the payload, all that have arrived, those of earlier calls included.
        Raises:
            CorruptError: no encoder writes such a payload.
        """
        if not self._seen <= len(payload) <= self.declared:
            raise ValueError(
                f"{len(payload)} bytes after {self._seen}, of a payload of {self.declared}"
            )
        self._seen = len(payload)
        symbols = self._decode(payload) if self._runs else np.empty(0, np.int32)
        if self.complete:
            whole = canonical_payload(self._encoder)
            if len(whole) != self.declared or whole[: len(payload)] != payload:
                raise not_canonical()
        return symbols

    def _decode(self, payload: bytes) -> Symbols:
        words, state = self._encoder.pos()
        rest = payload[WORD * words :]
        low = open_decoder(rest, b"\0")
        low.seek(0, state)
        if len(payload) == self.declared:
            try:
                parts = [low.decode(self.tables.model(index), count) for index, count in self._runs]
            except AssertionError as error:
                raise undecodable() from error
            coded = np.concatenate(parts)
        else:
            high = open_decoder(rest, b"\xff")
            high.seek(0, state)
            coded = agreed_symbols(low, high, self._runs, self.tables)
        self._advance(coded)
        symbols: Symbols = coded - np.int32(Q_MAX)
        self._parts.append(symbols)
        self.count += len(symbols)
        return symbols

    def _advance(self, coded: Symbols) -> None:
        start = 0
        while start < len(coded):
            index, count = self._runs[0]
            step = min(count, len(coded) - start)
            self._encoder.encode(coded[start : start + step], self.tables.model(index))
            self._runs[:1] = [(index, count - step)] if step < count else []
            start += step
