"""The range coder: frozen words, shortest payloads, and the two-tail rule at hundreds of cuts."""

import numpy as np
import pytest

from progcodec.bitstream import rangecoder
from progcodec.bitstream.rangecoder import encode_segment
from progcodec.bitstream.tables import TOTAL, Tables
from progcodec.config import Q_MAX
from progcodec.errors import CorruptError
from progcodec.lab.train.tables import gaussian_frequencies
from tests.support.segments import coded_bits, decode_segment

GAUSSIAN = Tables(gaussian_frequencies())


def integer_table(favourite: int, steep: int) -> np.ndarray:
    """A table made of integers alone: counts fall by ``steep`` with the distance from the favourite
    symbol.
    """
    distances = abs(np.arange(255) - favourite - 127).clip(0, 20).tolist()
    counts = np.array([max(1, TOTAL // 4 // steep**distance) for distance in distances])
    counts[favourite + 127] += TOTAL - counts.sum()
    return counts


def lcg(count: int, span: int) -> np.ndarray:
    """Deterministic symbols in -span..span, small ones more often."""
    state, out = 12345, []
    for _ in range(count):
        state = (1103515245 * state + 12345) % (1 << 31)
        small = (state >> 9) % 3 == 0
        out.append(((state >> 16) % (2 * span + 1) - span) * small)
    return np.array(out, dtype=np.int32)


# Steep ones code their favourite in next to no bits: at the alphabet's ends this makes empty
# payloads and long carries.
UNIFORM = np.full(255, TOTAL // 255) + (np.arange(255) < TOTAL % 255)
STEEP = integer_table(-127, 4000), integer_table(127, 4000)
MIXED = Tables(np.stack([integer_table(0, 2), *STEEP, integer_table(3, 5), UNIFORM]))


def random_case(rng: np.random.Generator, longest: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    count = rng.integers(4)
    runs = [(int(rng.integers(len(MIXED))), int(rng.integers(longest))) for _ in range(count)]
    parts = [np.empty(0, np.int64)]
    for index, count in runs:
        likely = rng.choice(255, count, p=MIXED.frequencies[index] / TOTAL)
        rare = rng.random(count) < 0.02
        parts.append(np.where(rare, rng.integers(255, size=count), likely) - 127)
    return np.concatenate(parts), runs


def decode_any(payload: bytes, runs: list[tuple[int, int]], tables: Tables) -> np.ndarray:
    """What any number decodes to, be it the one that an encoder writes or not."""
    decoder = rangecoder.open_decoder(payload, b"\0")
    try:
        parts = [decoder.decode(tables.model(index), count) for index, count in runs if count]
    except AssertionError as error:
        raise CorruptError("undecodable") from error
    return np.concatenate([np.empty(0, np.int32), *parts]) - Q_MAX


def decodes_to(payload: bytes, symbols: np.ndarray, runs: list[tuple[int, int]]) -> bool:
    try:
        return np.array_equal(decode_any(payload, runs, MIXED), symbols)
    except CorruptError:
        return False


@pytest.mark.parametrize(
    ("tables", "runs", "span", "expected"),
    [
        (MIXED, [(0, 40), (3, 20)], 6,
         "4a0cf49e307656909dd203181bd9e4d411fb22731bcbf4342b06916e62ed1d7cb832ddee"),
        (MIXED, [(1, 9), (4, 7), (2, 5)], 6,
         ("ffff01fffbfc01fe0801f3c0031820fddf8207c103ef"
          "8107ef010feffe20b08735ff1b68828470b2081b641036c81f26")),
        (GAUSSIAN, [(50, 20), (33, 20), (25, 20)], 9,
         "808b70ec64a849b6388bda1ed51759ca6357a4e2fc7857e835173bbfe96f6743659f183a0d0c68f759"),
    ],
    ids=["mixed", "steep", "gaussian"],
)  # fmt: skip
def test_words_are_frozen(tables, runs, span, expected):
    symbols = lcg(sum(count for _, count in runs), span)
    assert encode_segment(symbols, runs, tables).hex() == expected


def test_payloads_decode_and_no_shorter_string_does():
    rng = np.random.default_rng(7)
    lengths = set()
    for case in range(4000):
        symbols, runs = random_case(rng, 40 if case % 2 else 5)
        payload = encode_segment(symbols, runs, MIXED)
        decoded = decode_segment(payload, len(payload), runs, MIXED)
        np.testing.assert_array_equal(decoded.symbols, symbols)
        assert decoded.complete and decoded.symbols.dtype == np.int32
        lengths.add(len(payload))
        if payload:
            # The numbers that decode rightly are an interval around the payload's: of all shorter
            # strings only its two neighbours could lie in it.
            below = int.from_bytes(payload[:-1], "big")
            for neighbour in (below, below + 1):
                if neighbour < 256 ** (len(payload) - 1):
                    shorter = neighbour.to_bytes(len(payload) - 1, "big")
                    assert not decodes_to(shorter, symbols, runs)
            # the smallest of its length
            assert not decodes_to(payload[:-1] + bytes([payload[-1] - 1]), symbols, runs)
    assert {0, 1, 2, 3, 4, 5, 6, 7, 8, 9} <= lengths


def test_two_byte_payloads_by_brute_force():
    rng = np.random.default_rng(8)
    seen = 0
    while seen < 40:
        symbols, runs = random_case(rng, 5)
        payload = encode_segment(symbols, runs, MIXED)
        if len(payload) == 2:
            seen += 1
            assert not any(decodes_to(bytes([byte]), symbols, runs) for byte in range(256))
            assert not decodes_to(b"", symbols, runs)


def test_carries_run_through_settled_words():
    """Symbols at the top of the interval hold words back; what follows decides on the carry."""
    for count in range(1, 60):
        for last in (-127, 0, 127):
            symbols = np.array([100] + [127] * count + [last])
            runs = [(4, 1), (0, count), (0, 1)]
            payload = encode_segment(symbols, runs, MIXED)
            assert decodes_to(payload, symbols, runs)
            for cut in range(len(payload)):
                found = decode_segment(payload[:cut], len(payload), runs, MIXED).symbols
                np.testing.assert_array_equal(found, symbols[: len(found)])


def test_numbers_with_long_tails_of_zeros():
    """The interval closes in on a round number from both sides: the payload stays that number,
    whatever carries.
    """
    reached = 0
    for first in range(1, 256):
        number = bytes([first])
        runs = [(4, 4), (0, 30), (3, 10), (4, 10)]
        try:
            symbols = decode_any(number, runs, MIXED)
        except CorruptError:  # the number ends up in a gap between intervals
            continue
        reached += 1
        for count in range(2, len(symbols) + 1):
            part, left = [], count
            for index, most in runs:
                part.append((index, min(most, left)))
                left -= part[-1][1]
            payload = encode_segment(symbols[:count], part, MIXED)
            assert payload.rstrip(b"\0") == number
            assert decodes_to(payload, symbols[:count], part)
    assert reached > 150


def test_lowest_symbols_do_not_make_a_payload_vanish():
    symbols, runs = np.full(1000, -127), [(0, 1000)]
    payload = encode_segment(symbols, runs, MIXED)
    assert payload == bytes(len(payload))
    assert abs(len(payload) - coded_bits(symbols, runs, MIXED) / 8) < 9
    assert decodes_to(payload, symbols, runs)
    with pytest.raises(CorruptError):
        decode_segment(b"", 0, runs, MIXED)


def skewed() -> tuple[np.ndarray, list[tuple[int, int]]]:
    runs = [(index, 1200 if index > 8 else 6000) for index in range(63, -1, -1)]
    rng = np.random.default_rng(11)
    sigma = np.repeat([0.11 * (64 / 0.11) ** (i / 63) for i, _ in runs], [n for _, n in runs])
    return np.clip(np.rint(rng.normal(0, sigma)), -127, 127).astype(np.int32), runs


def test_random_cuts_give_a_prefix_and_waste_little():
    symbols, runs = skewed()
    payload = encode_segment(symbols, runs, GAUSSIAN)
    assert len(payload) - 1 <= coded_bits(symbols, runs, GAUSSIAN) / 8 <= len(payload) + 1
    rng = np.random.default_rng(12)
    ends = {*range(6), len(payload) - 1, len(payload) - 2}
    cuts = ends | set(rng.integers(len(payload), size=300).tolist())
    unused = []
    for cut in sorted(cuts):
        found = decode_segment(payload[:cut], len(payload), runs, GAUSSIAN)
        np.testing.assert_array_equal(found.symbols, symbols[: len(found.symbols)])
        assert found.total == len(symbols) and not found.complete
        unused.append(cut - coded_bits(found.symbols, runs, GAUSSIAN) / 8)
    assert max(unused) <= 8 and np.mean(unused) < 3


def test_every_continuation_agrees_with_a_cut():
    symbols, runs = skewed()
    payload = encode_segment(symbols, runs, GAUSSIAN)
    rng = np.random.default_rng(13)
    for cut in rng.integers(100, 4000, 25).tolist():
        certain = decode_segment(payload[:cut], len(payload), runs, GAUSSIAN).symbols
        few = [(63, 1200), (62, 1200), (61, 1200), (60, 1200)]
        for _ in range(4):
            try:
                other = decode_any(payload[:cut] + rng.bytes(6000), few, GAUSSIAN)
            except CorruptError:
                continue
            shared = min(len(certain), len(other))
            np.testing.assert_array_equal(other[:shared], certain[:shared])


def test_a_damaged_length_does_not_pass_for_a_cut():
    rng = np.random.default_rng(14)
    for _ in range(300):
        symbols, runs = random_case(rng, 40)
        payload = encode_segment(symbols, runs, MIXED)
        # what stands behind a segment when its length points too far
        junk = rng.bytes(rng.integers(9, 30))
        with pytest.raises(CorruptError):
            decode_segment(
                payload + junk, len(payload) + len(junk) + int(rng.integers(1, 50)), runs, MIXED
            )


def test_a_payload_must_be_canonical():
    symbols, runs = skewed()
    payload = encode_segment(symbols, runs, GAUSSIAN)
    for bad in (payload + b"\0", payload + b"\x01", payload[:-20]):
        with pytest.raises(CorruptError):
            decode_segment(bad, len(bad), runs, GAUSSIAN)
    with pytest.raises(CorruptError):
        decode_segment(b"\0", 1, [], GAUSSIAN)


def test_impossible_data_are_named():
    """All ones lie in the gap above the last symbol's interval."""
    runs = [(0, 3000)]
    with pytest.raises(CorruptError, match="cannot be decoded"):
        decode_segment(b"\xff" * 400, 400, runs, GAUSSIAN)
    with pytest.raises(CorruptError, match="cannot be decoded"):
        decode_segment(b"\xff" * 400, 401, runs, GAUSSIAN)


def test_random_payloads_raise_only_named_errors():
    rng = np.random.default_rng(15)
    for _ in range(2000):
        _, runs = random_case(rng, 30)
        payload = rng.bytes(rng.integers(40))
        try:
            decode_segment(payload, len(payload) + int(rng.integers(3)), runs, MIXED)
        except CorruptError:
            pass


def test_misuse():
    for symbols, runs in (([1, 2], [(0, 3)]), ([128], [(0, 1)]), ([-128], [(0, 1)])):
        with pytest.raises(ValueError):
            encode_segment(np.array(symbols), runs, GAUSSIAN)
    with pytest.raises(ValueError):
        decode_segment(b"abc", 2, [(0, 1)], GAUSSIAN)
