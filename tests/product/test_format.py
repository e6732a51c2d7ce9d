"""``docs/format.md`` is enough to write a reader: one that was, held against the package."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from progcodec.assets import find
from progcodec.bitstream.container import varint
from progcodec.bitstream.rangecoder import encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.codec.codec import Codec
from progcodec.errors import ProgcodecError
from progcodec.network.quality import HEADS, index_map, magnitude_table, step_numerator
from tests.conftest import GOLDEN, GOLDEN_STREAMS
from tests.support import reference_reader as reference
from tests.support.segments import decode_segment

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
MAX_PIXELS = 1 << 16
MUTATIONS = 2000


@pytest.fixture(scope="module")
def model(golden_checkpoint) -> reference.Model:
    return reference.Model(golden_checkpoint.read_bytes())


@pytest.fixture(scope="module")
def golden(golden_checkpoint) -> dict[str, bytes]:
    """The streams of the checkpoint at hand, by their names without its prefix."""
    start = f"{GOLDEN_STREAMS[golden_checkpoint.stem]}-"
    paths = sorted(GOLDEN.glob(f"{start}*.shc"))
    return {path.stem.removeprefix(start): path.read_bytes() for path in paths}


def read(data: bytes, model: reference.Model) -> tuple[object, ...]:
    """What the reference reader makes of a stream, to compare: an error's name, or the integers."""
    try:
        found = reference.decode(data, model, MAX_PIXELS)
    except reference.FormatError as error:
        return (type(error).__name__,)
    ends = np.cumsum([sum(model.blocks[k] for k in level) for level in model.segments])
    spans = np.split(found.q_arrived, ends[:-1])
    assert found.counts == tuple(int(part.sum()) for part in (found.z_arrived, *spans))
    assert model.hyper_groups or not found.z[~found.z_arrived].any()
    assert not found.q[~found.q_arrived].any()
    return found.counts, found.z.tolist(), found.q.tolist()


def decoded(streams: list[bytes], codec: Codec) -> list[tuple[object, ...]]:
    """The package's answers to sound streams of one size, as :func:`read` gives them."""
    latents = codec.decode_latents(streams, max_pixels=MAX_PIXELS)
    return [(latent.received, latent.z.tolist(), latent.q.tolist()) for latent in latents]


def answer(data: bytes, codec: Codec) -> tuple[object, ...]:
    try:
        return decoded([data], codec)[0]
    except ProgcodecError as error:
        return (type(error).__name__,)


# --- the reader ---------------------------------------------------------------------------------


def test_golden_files(golden, model, golden_codec):
    prefix = GOLDEN_STREAMS[golden_codec.name]
    facts = json.loads((GOLDEN / f"{prefix}.json").read_text())
    assert {f"{prefix}-{name}" for name in golden} == facts.keys()
    for name, data in golden.items():
        assert read(data, model) == answer(data, golden_codec), name
        found = reference.decode(data, model)
        hasher = hashlib.sha256(repr((found.z.shape, found.q.shape, found.counts)).encode())
        for values in (found.z, found.q):
            hasher.update(values.astype(">i4").tobytes())
        assert hasher.hexdigest() == facts[f"{prefix}-{name}"]["integers"]


@pytest.mark.parametrize("name", ["90x70-coarser", "50x33-no-checksums"])
def test_every_cut(golden, model, golden_codec, name):
    data = golden[name]
    size = reference.read_header(data, MAX_PIXELS).size
    for end in range(size):
        assert read(data[:end], model) == answer(data[:end], golden_codec) == ("NotShcError",)
    cuts = [data[:end] for end in range(size, len(data) + 1)]
    assert [read(cut, model) for cut in cuts] == decoded(cuts, golden_codec)


ORDER = (
    ("magic", "NotShcError"),
    ("version", "UnsupportedVersionError"),
    ("width", "CorruptError"),
    ("height", "CorruptError"),
    ("check", "CorruptError"),
    ("flags", "UnsupportedVersionError"),
    ("size", "LimitError"),
    ("model", "WrongModelError"),
    ("checksum", "CorruptError"),
)


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_order_of_errors(golden, model, golden_codec, first):
    """With this fault and all that come later in the page's order, this one is named."""
    data = bytearray(golden["1x1"])
    size = reference.read_header(data, MAX_PIXELS).size
    for fault, _ in ORDER[first:]:
        if fault in ("magic", "version", "flags", "model"):
            data[{"magic": 3, "version": 4, "flags": 5, "model": 6}[fault]] ^= 4
    faults = {fault for fault, _ in ORDER[first:]}
    width = b"\x80\1" if "width" in faults else b"\0" if "size" in faults else b"\1"
    header = data[:10] + width + (b"\x80\1" if "height" in faults else b"\1")
    header += bytes(byte ^ ("check" in faults) for byte in crc32(header).to_bytes(4, "big")[:2])
    damaged = bytes(header + data[size:-1]) + bytes([data[-1] ^ 1])
    assert read(damaged, model) == answer(damaged, golden_codec) == (ORDER[first][1],)


def test_the_bound_on_a_length_counts_all_blocks_of_a_segment(golden, model, golden_codec):
    data = golden["1x1"]
    coarse = reference.read_segments(data, reference.read_header(data, MAX_PIXELS))[1]
    bound = 4 * sum(model.blocks[k] for k in model.segments[0]) + 8
    for length in (bound, bound + 1):
        cut = data[: coarse.start] + varint(length) + coarse.payload[:1]
        assert read(cut, model) == answer(cut, golden_codec)
        assert (read(cut, model) == ("CorruptError",)) == (length > bound)


@pytest.mark.slow
@pytest.mark.parametrize("quality", [-4, 0, 5])
def test_cuts_of_a_photograph(photograph, quality):
    model, codec = reference.Model(find().read_bytes()), Codec.load(device="cpu")
    data = codec.encode(photograph.resize((80, 48)), quality=quality)
    size = reference.read_header(data, MAX_PIXELS).size
    ends = np.random.default_rng(quality + 7).integers(size, len(data), 200)
    cuts = [data[:end] for end in ends]
    assert [read(cut, model) for cut in cuts] == decoded(cuts, codec)


@pytest.mark.slow
def test_mutations(golden, model, golden_codec):
    """Same verdict, same integers. Most are sealed again, or checks would refuse nearly all."""
    rng = np.random.default_rng(14)
    verdicts: Counter[object] = Counter()
    for _ in range(MUTATIONS):
        name = list(golden)[rng.integers(len(golden))]
        data = mutated(golden[name], rng)
        ours = read(data, model)
        assert ours == answer(data, golden_codec), (name, data.hex())
        verdicts[ours[0] if len(ours) == 1 else "decoded"] += 1
    errors = {"NotShcError", "UnsupportedVersionError", "WrongModelError", "CorruptError"}
    assert verdicts.keys() == errors | {"LimitError", "decoded"}
    assert min(verdicts.values()) >= MUTATIONS // 100, verdicts


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A golden file, its raw bytes damaged, or its content behind right checks; perhaps cut."""
    kind = rng.integers(4)
    if kind == 0:
        changed = bytearray(data)
        place = int(rng.integers(len(data)))
        changed[place : place + int(rng.integers(3))] = rng.bytes(int(rng.integers(3)))
    elif kind == 1:
        changed = bytearray(sealed_header(data, rng))
    else:
        changed = bytearray(sealed_segments(data, rng))
    return bytes(changed[: rng.integers(len(changed) + 1)] if rng.random() < 0.3 else changed)


def sealed_header(data: bytes, rng: np.random.Generator) -> bytes:
    header = reference.read_header(data, MAX_PIXELS)
    fixed, rest = bytearray(data[:10]), data[header.size :]
    sides = [header.width, header.height]
    kind = rng.integers(4)
    if kind == 0:
        fixed[rng.integers(4, 6)] ^= 1 << rng.integers(8)
    elif kind == 1:
        fixed[rng.integers(6, 10)] ^= 1 << rng.integers(8)
    elif kind == 2:
        sides[rng.integers(2)] = int(rng.choice([0, 1, 300, 70_000, (1 << 24) + 1]))
    else:
        sides[rng.integers(2)] += int(rng.integers(40))
    start = bytes(fixed) + varint(sides[0]) + varint(sides[1])
    return start + crc32(start).to_bytes(4, "big")[:2] + rest


def sealed_segments(data: bytes, rng: np.random.Generator) -> bytes:
    """One payload or length changed; checksums right, or left out."""
    header = reference.read_header(data, MAX_PIXELS)
    segments = reference.read_segments(data, header)
    checksums = bool(rng.integers(2))
    flags = data[5] & 0xFE | checksums
    start = data[:5] + bytes([flags]) + data[6 : header.size - 2]
    stream = start + crc32(start).to_bytes(4, "big")[:2]
    target, kind = rng.integers(len(segments)), rng.integers(5)
    for index, segment in enumerate(segments):
        payload, more = bytearray(segment.payload), segment.declared - len(segment.payload)
        if index == target and payload:
            place = int(rng.integers(len(payload)))
            if kind == 0:
                payload[place] ^= 1 << rng.integers(8)
            elif kind == 1:
                payload[place:] = rng.bytes(len(payload) - place)
            elif kind == 2:
                del payload[place:]
            elif kind == 3:
                payload += rng.choice([b"\0", b"\xff", b"\0" * 12, b"\xff" * 12])
            else:
                more += int(rng.integers(1, 1 << rng.integers(1, 18)))
        part = varint(len(payload) + more) + payload
        stream += part + (crc32(part).to_bytes(4, "big") if checksums and more == 0 else b"")
        if more:
            break
    return stream


# --- the page -----------------------------------------------------------------------------------


def test_constants(model, golden_codec):
    rows = dict(re.findall(r"^ ?(-?\d): ?([\d ]*)$", EXAMPLES[0], re.MULTILINE))
    heads = {int(quality): tuple(map(int, row.split())) for quality, row in rows.items()}
    assert heads == HEADS == reference.HEADS
    steps = "".join(re.findall(r"^\| S (.*)\|$", PAGE, re.MULTILINE))
    assert list(map(int, re.findall(r"\d+", steps))) == [step_numerator(q) for q in range(-7, 8)]
    for quality in HEADS:
        assert reference.step_numerator(quality) == step_numerator(quality)
        assert reference.loudness(quality) == list(magnitude_table(quality))
        assert reference.index_map(quality) == list(index_map(quality))
    assert model.fingerprint == golden_codec.fingerprint


def test_a_file_to_the_last_byte(tiny_checkpoint):
    model = reference.Model(tiny_checkpoint.read_bytes())
    data = (GOLDEN / "v1-1x1.shc").read_bytes()
    lines = EXAMPLES[1].splitlines()
    assert lines == list(reference.explain(data, model))
    told = [re.match(r" *(\d+)  ((?:[\da-f]{2} )+)", line) for line in lines]
    assert b"".join(bytes.fromhex(row[2]) for row in told if row) == data
    dump = re.findall(r"^    [\da-f]{8}: ([\da-f ]*)$", PAGE, re.MULTILINE)
    assert bytes.fromhex("".join(dump)) == data
    rows = re.findall(r"^from (\d+) bytes: (.*)$", EXAMPLES[2], re.MULTILINE)
    counts = {int(size): tuple(map(int, row.split())) for size, row in rows}
    for size in range(min(counts), len(data) + 1):
        last = max(start for start in counts if start <= size)
        assert reference.decode(data[:size], model).counts == counts[last]


def test_vectors():
    frequencies = np.ones((1, 255), np.uint32)
    frequencies[0, 127] = (1 << 24) - 254
    tables, table = Tables(frequencies), reference.cumulative(frequencies[0])
    assert (table[127], table[128]) == (253, 16_776_962)
    for line in EXAMPLES[3].splitlines():
        symbols, payload = (part.split() for part in line.split("|"))
        expected, data = list(map(int, symbols)), bytes.fromhex("".join(payload))
        runs = [(0, len(expected))]
        assert encode_segment(np.array(expected), runs, tables) == data
        assert decode_segment(data, len(data), runs, tables).symbols.tolist() == expected
        decoder = reference.RangeDecoder(data, True)
        assert [decoder.symbol(table) for _ in expected] == expected and decoder.canonical() == data
