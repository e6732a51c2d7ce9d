r"""Symbols of one segment to payload bytes and back, also from a payload that was cut anywhere.

A range coder narrows an interval of [0, 1) with every symbol and writes a number from the last
one::

    0 |-----------------------[== interval of all symbols ==)-----------------| 1
                                     ^ payload, read as 0.b0 b1 b2 ... in base 256, then zeros

**The canonical payload** is the shortest byte string whose number, followed by zeros, lies in the
interval; of several, the smallest. It never gets more than ``MAX_TRIM`` bytes shorter than the
words that the coder has settled, zeros or not (a matter of one payload in 2**32): so a payload that
lacks its end is no canonical payload of anything.

**The two-tail rule**, for a payload cut after n bytes. What was cut off is some tail between 00 00
... and FF FF ..., and the decoder is monotone: the numbers that decode to given first symbols are
an interval. So whatever the two extreme tails both decode to is what the true tail, and every
other, decodes to; at the first disagreement we stop. The tail fills up the torn word and adds
``TAIL_WORDS`` more: the interval at hand is always narrower than one step of the first of the two
words in the decoder's window, so two numbers a step of 256**-n apart can no longer agree on
anything once that window has left the payload by more than two words, and what follows later cannot
matter.
"""

from collections.abc import Sequence
from typing import TypeAlias

import constriction
import numpy as np

from progcodec.arrays import Ints, Symbols
from progcodec.bitstream.tables import Tables
from progcodec.config import Q_MAX
from progcodec.errors import CorruptError

RangeEncoder: TypeAlias = constriction.stream.queue.RangeEncoder
RangeDecoder: TypeAlias = constriction.stream.queue.RangeDecoder

WORD = 4
"""Bytes of a word of the coder; its interval is kept in a window of two words."""
TAIL_WORDS = 4
MAX_TRIM = WORD
BYTES_PER_SYMBOL = 4
"""Bound on a payload: no symbol of a 24-bit table costs as much."""
STEP, SYMBOLS_PER_BYTE = 64, 16
"""Symbols that are tried at once at first: a few, and as many as what has arrived may well hold."""
SHRINK = 8
"""By what a rejected stretch shrinks; any value above 1 gives the same symbols."""

Runs = Sequence[tuple[int, int]]
"""``(table index, count)`` for symbols in coding order."""


def encode_segment(symbols: Ints, runs: Runs, tables: Tables) -> bytes:
    """The canonical payload.

    Args:
        symbols: integers in -127..127, in coding order; as many as the runs count.
        runs: which table each stretch of symbols uses.
        tables: the tables.

    Raises:
        ValueError: symbols out of range, or not as many as the runs count.
    """
    if len(symbols) != _total(runs):
        raise ValueError(f"{len(symbols)} symbols do not fit runs of {_total(runs)}")
    return canonical_payload(_encode(symbols, runs, tables))


class SegmentReader:
    """Turns the growing payload of one segment into the symbols that are certain, each decoded
    once.

    The tables of later symbols may depend on earlier ones, so runs are added as they are known. A
    decoder cannot wait in the middle of a word, but an encoder can: fed with the certain symbols,
    it stands exactly where a decoder has to go on, and tells that place (``pos``). Once all symbols
    are there, it holds the canonical payload that the segment is checked against.

    Args:
        declared: bytes of the whole payload, as the segment's length says.
        total: symbols of the segment.
        tables: as given to :func:`encode_segment`.

    Attributes:
        count: symbols that are certain so far. due: symbols whose runs were added.

    Raises:
        CorruptError: no segment of so many symbols is so long.
    """

    def __init__(self, declared: int, total: int, tables: Tables) -> None:
        if declared > BYTES_PER_SYMBOL * total + 2 * WORD:
            raise CorruptError(
                f"a segment is damaged: a length of {declared} bytes is impossible for its symbols"
            )
        self.declared, self.total, self.tables = declared, total, tables
        self.count = self.due = 0
        self._runs: list[tuple[int, int]] = []
        self._encoder = RangeEncoder()
        self._seen = 0

    @property
    def complete(self) -> bool:
        return self.count == self.total

    def add(self, runs: Runs) -> None:
        """The runs that follow those of earlier calls. Raises ValueError if that is too much."""
        self._runs += [run for run in runs if run[1]]
        self.due += _total(runs)
        if self.due > self.total:
            raise ValueError(f"runs of {self.due} symbols in a segment of {self.total}")

    def extend(self, payload: bytes | memoryview) -> Symbols:
        """Symbols of the runs so far that are certain and did not come before, in coding order.

        Args:
            payload: the first bytes of the payload, all that have arrived.
        Returns:
            int32 in -127..127.
        Raises:
            CorruptError: no encoder writes such a payload. Not every damage shows: many byte
                strings are the canonical payload of something.
        """
        if not self._seen <= len(payload) <= self.declared:
            raise ValueError(
                f"{len(payload)} bytes after {self._seen}, of a payload of {self.declared}"
            )
        self._seen = len(payload)
        symbols = self._decode(payload) if self._runs else np.empty(0, np.int32)
        # Once all symbols are certain, so is the payload. A damaged length does not pass for a cut
        # then: the symbols end before the bytes do, let alone before the declared length. A right
        # checksum spares nobody this, as a reader that meets the payload before the checksum would
        # answer otherwise.
        if self.complete:
            whole = canonical_payload(self._encoder)
            if len(whole) != self.declared or whole[: len(payload)] != payload:
                raise CorruptError(
                    "a segment is damaged: its payload is not what its symbols are written as"
                )
        return symbols

    def _decode(self, payload: bytes | memoryview) -> Symbols:
        words, state = self._encoder.pos()
        low, high = (open_decoder(payload[WORD * words :], tail) for tail in (b"\0", b"\xff"))
        low.seek(0, state)
        high.seek(0, state)
        if len(payload) == self.declared:
            try:
                parts = [low.decode(self.tables.model(index), count) for index, count in self._runs]
            except AssertionError as error:  # a number that lies in no symbol's interval
                raise undecodable() from error
            coded = np.concatenate(parts)
        else:
            step = max(STEP, SYMBOLS_PER_BYTE * (len(payload) - WORD * words))
            coded = agreed_symbols(low, high, self._runs, self.tables, step)
        start = 0
        while start < len(coded):
            index, count = self._runs[0]
            step = min(count, len(coded) - start)
            self._encoder.encode(coded[start : start + step], self.tables.model(index))
            self._runs[:1] = [(index, count - step)] if step < count else []
            start += step
        self.count += len(coded)
        symbols: Symbols = coded - np.int32(Q_MAX)
        return symbols


def undecodable() -> CorruptError:
    return CorruptError("a segment is damaged: its payload cannot be decoded")


def _total(runs: Runs) -> int:
    return sum(count for _, count in runs)


def _encode(symbols: Ints, runs: Runs, tables: Tables) -> RangeEncoder:
    symbols = np.asarray(symbols)
    if len(symbols) and (symbols.min() < -Q_MAX or symbols.max() > Q_MAX):
        raise ValueError(f"symbols must lie in {-Q_MAX}..{Q_MAX}")
    encoder = RangeEncoder()
    start = 0
    for index, count in runs:
        part = symbols[start : start + count].astype(np.int32) + np.int32(Q_MAX)
        if len(part):
            encoder.encode(part, tables.model(index))
        start += count
    return encoder


def canonical_payload(encoder: RangeEncoder) -> bytes:
    """The canonical payload of an encoder's interval."""
    # The interval is [lower, lower + width) in units of the last bit of the two-word window that
    # follows `settled` words. Where it reaches beyond the window (lower + width > 2**64), those
    # words may still receive a carry.
    settled, (lower, width) = encoder.pos()
    head: bytes = encoder.get_compressed()[:settled].astype(">u4").tobytes()
    window = 8 * 2 * WORD
    # most trailing zero bytes first; width >= 2**32, so one fits
    for shift in range(window, -1, -8):
        value = -(-lower >> shift) << shift
        if value < lower + width:
            break
    # get_compressed() has put the carry into its words by itself
    carried = lower + (1 << window // 2) > 1 << window
    if value >> window and not carried:
        head = head.rstrip(b"\xff")
        head = head[:-1] + bytes([head[-1] + 1])
    data: bytes = head.ljust(settled * WORD, b"\0") + (value % (1 << window)).to_bytes(
        2 * WORD, "big"
    )
    return data.rstrip(b"\0").ljust(settled * WORD - MAX_TRIM, b"\0")


def open_decoder(payload: bytes | memoryview, tail: bytes) -> RangeDecoder:
    """A decoder of what is there, followed by enough of a repeated tail byte."""
    filled = bytes(payload) + tail * (-len(payload) % WORD + TAIL_WORDS * WORD)
    return RangeDecoder(np.frombuffer(filled, dtype=">u4").astype(np.uint32))


def agreed_symbols(
    low: RangeDecoder, high: RangeDecoder, runs: Runs, tables: Tables, step: int
) -> Symbols:
    """The symbols, as 0..254, that two decoders of the lowest and the highest tail give alike.

    Tried by ``step`` at first, by twice as many after each success, and by fewer once that is
    rejected: the work is that of what comes out, however long the runs are.
    """
    agreed, growth = [np.empty(0, dtype=np.int32)], 2
    for index, count in runs:
        model = tables.model(index)
        while count:
            tried = min(step, count)
            # A rejected stretch leaves a decoder in no known place, so it is tried on copies.
            ahead = low.clone(), high.clone()
            try:
                first = ahead[0].decode(model, tried)
            except AssertionError as error:
                first, failure = None, error
            try:
                second = ahead[1].decode(model, tried)
            except AssertionError:
                second = None
            if first is None or second is None:
                if tried > 1:
                    step, growth = max(1, tried // SHRINK), 1
                    continue
                # The gap that no symbol owns is at an interval's top: all higher tails are in it.
                if first is None:
                    raise undecodable() from failure
                return np.concatenate(agreed)
            differs = np.flatnonzero(first != second)
            if len(differs):
                return np.concatenate([*agreed, first[: differs[0]]])
            agreed.append(first)
            low, high = ahead
            count -= tried
            if tried == step:
                step *= growth
    return np.concatenate(agreed)
