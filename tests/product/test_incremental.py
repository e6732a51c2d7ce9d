"""A segment that arrives piece by piece gives the symbols that its cuts give, each once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progcodec.bitstream import rangecoder
from progcodec.bitstream.rangecoder import SegmentReader, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.errors import CorruptError
from progcodec.lab.train.tables import gaussian_frequencies
from tests.support.segments import decode_segment

TABLES = Tables(gaussian_frequencies())


def sample(
    seed: int, counts: list[int], indexes: list[int]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    rng = np.random.default_rng(seed)
    runs = list(zip(indexes, counts, strict=True))
    parts = [
        np.rint(rng.normal(0, 0.11 * (64 / 0.11) ** (i / 63), n)).clip(-127, 127) for i, n in runs
    ]
    return np.concatenate([np.empty(0), *parts]).astype(np.int32), runs


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 63)), min_size=1, max_size=5),
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
)
def test_any_chunks_give_the_symbols_of_every_cut(seed, stretches, chunks):
    symbols, runs = sample(seed, [n for n, _ in stretches], [i for _, i in stretches])
    payload = encode_segment(symbols, runs, TABLES)
    reader = SegmentReader(len(payload), len(symbols), TABLES)
    at, got = 0, []
    reader.add(runs)
    while True:
        cut = decode_segment(payload[:at], len(payload), runs, TABLES)
        got.append(reader.extend(payload[:at]))
        assert reader.count == len(cut.symbols)
        np.testing.assert_array_equal(np.concatenate(got), cut.symbols)
        if at == len(payload):
            break
        at = min(len(payload), at + chunks[len(got) % len(chunks)])
    np.testing.assert_array_equal(np.concatenate(got), symbols)
    assert reader.complete and len(reader.extend(payload)) == 0


def test_the_work_is_that_of_what_comes_however_small_the_pieces_are(monkeypatch):
    tried = []

    class Counted:
        def __init__(self, decoder) -> None:
            self.decoder = decoder

        def clone(self) -> "Counted":
            return Counted(self.decoder.clone())

        def seek(self, *place) -> None:
            self.decoder.seek(*place)

        def decode(self, model, count: int) -> np.ndarray:
            tried.append(count)
            return self.decoder.decode(model, count)

    make = rangecoder.open_decoder
    monkeypatch.setattr(rangecoder, "open_decoder", lambda *given: Counted(make(*given)))
    symbols, runs = sample(4, [30_000, 30_000], [30, 5])
    payload = encode_segment(symbols, runs, TABLES)
    pieces = len(payload) // 8
    reader = SegmentReader(len(payload), len(symbols), TABLES)
    reader.add(runs)
    for end in range(8, 8 * pieces, 8):
        reader.extend(payload[:end])
    assert reader.count > 20_000 and pieces > 1000
    assert sum(tried) < 1000 * pieces + 8 * reader.count  # all that is to come: 60,000 a piece


def test_runs_that_become_known_on_the_way():
    """What follows may depend on what came: the same symbols, from whole and from cut payloads."""
    symbols, runs = sample(3, [700, 0, 900, 50], [30, 2, 12, 60])
    payload = encode_segment(symbols, runs, TABLES)
    for size in (0, 5, 200, 400, len(payload) - 1, len(payload)):
        reader, got = SegmentReader(len(payload), len(symbols), TABLES), []
        for run in runs:
            if reader.count == reader.due:
                reader.add([run])
                got.append(reader.extend(payload[:size]))
        cut = decode_segment(payload[:size], len(payload), runs, TABLES)
        np.testing.assert_array_equal(np.concatenate(got), cut.symbols)
        assert reader.complete == cut.complete
    with pytest.raises(ValueError, match="in a segment of"):
        reader.add([(0, 1)])


def test_damage_is_told_apart_from_a_cut():
    symbols, runs = sample(2, [200], [30])
    payload = encode_segment(symbols, runs, TABLES)
    longer = SegmentReader(len(payload) + 30, 200, TABLES)  # as a damaged length would say
    longer.add(runs)
    with pytest.raises(CorruptError):
        longer.extend(payload + bytes(30))
    with pytest.raises(CorruptError, match="impossible"):
        SegmentReader(10_000, 200, TABLES)
    reader = SegmentReader(len(payload), 200, TABLES)
    reader.add(runs)
    with pytest.raises(ValueError, match="bytes after"):
        reader.extend(payload + b"x")
    reader.extend(payload[:20])
    with pytest.raises(ValueError, match="bytes after"):
        reader.extend(payload[:10])
