"""A reader of ``.shc`` streams, written from ``docs/format.md`` alone: numpy, and plain.

    python reference_reader.py CHECKPOINT STREAM     prints all bytes and symbols of a small one

:func:`decode` gives the integers of a stream, whole or cut, or raises the error that fits.
"""

import hashlib
import json
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

MAGIC, VERSION = b"\x93SHC", 1
MAX_SIDE, MAX_PIXELS, MAX_PADDING = 1 << 24, 120_000_000, 1 << 20
Q_MAX = 127
PRECISION = 24  # bits of a table
HEADS = {
    -7: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9),
    -6: (0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9),
    -5: (0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8, 9),
    -4: (0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 8, 9, 10),
    -3: (0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10),
    -2: (0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10),
    -1: (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    0: (),
    1: (1, 2, 3, 4, 5, 6, 7, 8, 9),
    2: (2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13),
    3: (3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15),
    4: (5, 6, 7, 8, 9, 10, 12, 13, 15, 16),
    5: (6, 7, 8, 9, 11, 12, 13, 15, 17, 18),
    6: (7, 8, 10, 11, 12, 14, 16, 17, 19, 20),
    7: (8, 10, 11, 13, 14, 16, 18, 19, 21, 22),
}


class FormatError(Exception):
    """Base of the errors that the page names."""


class NotShcError(FormatError): ...


class UnsupportedVersionError(FormatError): ...


class CorruptError(FormatError): ...


class LimitError(FormatError): ...


class WrongModelError(FormatError): ...


class CheckpointError(FormatError): ...


# --- container ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    size: int
    checksums: bool
    quality: int
    fingerprint: bytes
    width: int
    height: int

    @property
    def latent_size(self) -> tuple[int, int]:
        return -(-self.height // 16), -(-self.width // 16)


@dataclass(frozen=True)
class Segment:
    start: int
    payload_start: int
    declared: int
    payload: bytes

    @property
    def whole(self) -> bool:
        return len(self.payload) == self.declared


def read_varint(data: bytes, at: int) -> tuple[int | None, int]:
    """Value and the offset behind it; None where the data end first."""
    value = 0
    for offset in range(at, at + 5):
        if offset >= len(data):
            return None, at
        byte = data[offset]
        if offset == at and byte == 0x80:
            raise CorruptError("a varint is not minimal")
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, offset + 1
    raise CorruptError("a varint is longer than 5 bytes")


def read_header(data: bytes, max_pixels: int) -> Header:
    if not data or not MAGIC.startswith(data[:4]):
        raise NotShcError("magic")
    if len(data) > 4 and data[4] != VERSION:
        raise UnsupportedVersionError("version")
    width, at = read_varint(data, 10)
    height, at = (None, at) if width is None else read_varint(data, at)
    if width is None or height is None or len(data) < at + 2:
        raise NotShcError("cut inside the header")
    if data[at : at + 2] != checksum(data[:at])[:2]:
        raise CorruptError("header check")
    flags, quality = data[5], (data[5] >> 4 ^ 8) - 8
    if flags >> 1 & 7 != 4 or quality == -8:
        raise UnsupportedVersionError("flags")
    pixels = max(width, 16) * max(height, 16)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or pixels > min(
        max_pixels, width * height + MAX_PADDING
    ):
        raise LimitError("size")
    return Header(at + 2, bool(flags & 1), quality, data[6:10], width, height)


def read_segments(data: bytes, header: Header) -> list[Segment]:
    segments: list[Segment] = []
    at, (height, width) = header.size, header.latent_size
    while len(segments) < 4:
        start = at
        declared, at = read_varint(data, at)
        if declared is None:
            return segments
        if declared > 16_384 * height * width:
            raise CorruptError("an impossible length")
        end = at + declared
        check = data[end : end + 4] if header.checksums else b""
        if check and not checksum(data[start:end]).startswith(check):
            raise CorruptError("checksum")
        segments.append(Segment(start, at, declared, data[at:end]))
        at = end + 4 * header.checksums
    if len(data) > at:
        raise CorruptError("bytes after the last segment")
    return segments


def checksum(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "big")


# --- checkpoint ---------------------------------------------------------------------------------

DTYPES = {  # safetensors' name: numpy's, the name in the fingerprint
    "F16": ("<f2", "torch.float16"),
    "F32": ("<f4", "torch.float32"),
    "I8": ("i1", "torch.int8"),
    "U8": ("u1", "torch.uint8"),
    "I32": ("<i4", "torch.int32"),
    "U32": ("<u4", "torch.uint32"),
}


class Model:
    """What a reader needs of a checkpoint: config, tables, scale path, fingerprint."""

    def __init__(self, file: bytes) -> None:
        size = int.from_bytes(file[:8], "little")
        entries = json.loads(file[8 : 8 + size])
        metadata = entries.pop("__metadata__")
        if metadata["format"] != "progcodec-checkpoint-1":
            raise CheckpointError("format")
        self.tensors: dict[str, np.ndarray] = {}
        digest = hashlib.sha256(metadata["config"].encode())
        for name, entry in sorted(entries.items()):
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            numpy_name, torch_name = DTYPES[entry["dtype"]]
            digest.update(f"{name}:{tuple(entry['shape'])}:{torch_name}:".encode())
            digest.update(file[start:end])
            self.tensors[name] = np.frombuffer(file[start:end], numpy_name).reshape(entry["shape"])
        self.fingerprint = digest.digest()[:4]
        if self.fingerprint.hex() != metadata["fingerprint"]:
            raise CheckpointError("fingerprint")
        config = json.loads(metadata["config"])
        self.blocks: list[int] = config["blocks"]
        numbers = iter(range(len(self.blocks)))  # of the blocks in each segment after the first
        self.segments = [list(islice(numbers, n)) for n in config.get("steps", (1, 1, 1))]
        self.hyper_channels: int = config["hyper_channels"]
        self.delta: bool = config.get("delta", True)
        self.hyper_order = self.tensors["tables.hyper_order"]
        self.hyper_groups: list[int] = config.get("hyper_groups", [])
        latent_channels = sum(self.blocks)
        self.priorities = np.zeros((latent_channels, 64), np.int64)
        if config.get("priorities", False):
            self.priorities[:] = self.tensors["tables.priorities"]
        self.hyper_tables = [cumulative(row) for row in self.tensors["tables.hyper"]]
        self.tables = [cumulative(row) for row in self.tensors["tables.gaussian"]]

    def layer(self, name: str, x: np.ndarray, kernel: int, low: int, high: int) -> np.ndarray:
        """One layer of the scale path: int64 (C, h, w) to int64 (outputs, h, w)."""
        parts = ("weight", "bias", "multiplier")
        weight, bias, multiplier = (self.tensors[f"scale_path.{name}.{part}"] for part in parts)
        _, height, width = x.shape
        pad = kernel // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        shifted = [
            padded[:, row : row + height, column : column + width]
            for row in range(kernel)
            for column in range(kernel)
        ]
        columns = np.stack(shifted, 1).reshape(-1, height * width)
        # Below 2^24, so exact in float64, whose product of matrices is much quicker than int64's.
        accumulator = (weight.astype(float) @ columns.astype(float)).astype(np.int64)
        accumulator += bias[:, None]
        result = accumulator * multiplier.astype(np.int64)[:, None] + (1 << 23) >> 24
        return result.clip(low, high).reshape(-1, height, width)


def cumulative(counts: np.ndarray) -> list[int]:
    """C_0 … C_255 of a table of 255 counts."""
    prefix = np.cumsum([0, *counts], dtype=np.int64)
    shared = (1 << PRECISION) - 255
    return [int(p) * shared // (1 << PRECISION) + i for i, p in enumerate(prefix)]


# --- σ-indexes ----------------------------------------------------------------------------------


def features(model: Model, z: np.ndarray, height: int, width: int) -> np.ndarray:
    for name in ("up.0", "up.1"):
        x = model.layer(name, z, 3, 0, 255)
        count, h, w = x.shape
        # channel 4·c + 2·i + j to row 2·y + i, column 2·x + j
        split = x.reshape(count // 4, 2, 2, h, w)
        z = split.transpose(0, 3, 1, 4, 2).reshape(count // 4, 2 * h, 2 * w)
    return model.layer("body", z[:, :height, :width], 3, 0, 255)


def scale_indexes(
    model: Model, block: int, f: np.ndarray, earlier: np.ndarray, quality: int
) -> np.ndarray:
    """σ-indexes of a block, 0..63; ``earlier``: q of all blocks before it, its segment's too."""
    start = len(earlier)
    total = model.layer("base", f, 1, -4096, 4096)[start : start + model.blocks[block]] + 16 * 24
    if block and model.delta:
        x = np.concatenate((f, np.array(loudness(quality))[abs(earlier)]))
        for number, (kernel, low, high) in enumerate(((1, 0, 255), (3, 0, 255), (1, -4096, 4096))):
            x = model.layer(f"delta.{block - 1}.{number}", x, kernel, low, high)
        total = total + x
    return np.array(index_map(quality))[(total + 8 >> 4).clip(0, 63)]


def step_numerator(quality: int) -> int:
    """S, the largest integer with (S / 2^16)^63 ≤ (11 / 6400)^(2 · quality)."""
    above, below = (11, 6400) if quality >= 0 else (6400, 11)
    power = 2 * abs(quality)
    low, high = 0, 1 << 24
    while high - low > 1:
        middle = (low + high) // 2
        fits = middle**63 * below**power <= above**power << 16 * 63
        low, high = (middle, high) if fits else (low, middle)
    return low


def loudness(quality: int) -> list[int]:
    """ℓ(0) … ℓ(127): floor(16 · log2(1 + n·S / 2^16)), as a bit length."""
    one, step = 1 << 16, step_numerator(quality)
    return [((one + n * step) ** 16).bit_length() - 257 for n in range(Q_MAX + 1)]


def index_map(quality: int) -> list[int]:
    head = HEADS[quality]
    return [*head, *(min(max(i + 2 * quality, 0), 63) for i in range(len(head), 64))]


# --- range coder --------------------------------------------------------------------------------


class RangeDecoder:
    """Symbols of one payload, one at a time; of a cut one, those that all continuations share.

    ``lower``, ``width``: the interval of the symbols so far, in units of 2^-(64 + 32·words).
    ``offsets``: how far the payload's number lies above ``lower``, once for each tail.
    """

    def __init__(self, payload: bytes, whole: bool) -> None:
        self.payload = payload
        self.tails = (0x00,) if whole else (0x00, 0xFF)
        self.words, self.lower, self.width = 0, 0, (1 << 64) - 1
        self.offsets = [self._word(0, tail) << 32 | self._word(1, tail) for tail in self.tails]

    def _word(self, number: int, tail: int) -> int:
        piece = self.payload[4 * number : 4 * number + 4]
        return int.from_bytes(piece + bytes([tail]) * (4 - len(piece)), "big")

    def symbol(self, table: list[int]) -> int | None:
        """The next symbol, or None where the tails part."""
        scale = self.width >> PRECISION
        quantiles = [offset // scale for offset in self.offsets]
        if quantiles[0] >= 1 << PRECISION:
            raise CorruptError("the payload lies in no symbol's interval")
        low, high = (
            bisect_right(table, quantile) - 1 for quantile in (quantiles[0], quantiles[-1])
        )
        if low != high:  # also where the high tail lies in no symbol's interval: then high is 255
            return None
        self.lower += scale * table[low]
        self.width = scale * (table[low + 1] - table[low])
        self.offsets = [offset - scale * table[low] for offset in self.offsets]
        if self.width < 1 << 32:
            self.lower <<= 32
            self.width <<= 32
            self.words += 1
            self.offsets = [
                offset << 32 | self._word(self.words + 1, tail)
                for offset, tail in zip(self.offsets, self.tails, strict=True)
            ]
        return low - Q_MAX

    def canonical(self) -> bytes:
        """What an encoder writes for the symbols so far."""
        bits = 64 + 32 * self.words
        for size in range(max(0, 4 * self.words - 4), bits // 8 + 1):
            unit = 1 << bits - 8 * size
            number = -(-self.lower // unit)
            if number * unit < self.lower + self.width:
                return number.to_bytes(size, "big")
        raise AssertionError("an interval is never narrower than its unit")


# --- all of it ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decoded:
    """The integers of a stream.

    Attributes:
        z: int64 (hyper channels, ⌈h/4⌉, ⌈w/4⌉). q: int64 (channels, h, w), block after block.
            Where nothing arrived, q is 0 and z what is expected.
        z_arrived, q_arrived: bool, where a symbol arrived.
        counts: symbols that arrived, of each of the four segments.
    """

    header: Header
    z: np.ndarray
    q: np.ndarray
    z_arrived: np.ndarray
    q_arrived: np.ndarray
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """z or a block: symbols whose tables are known together.

    Their positions in coding order, and a table for each.
    """

    values: np.ndarray
    arrived: np.ndarray
    order: np.ndarray
    tables: list[list[int]]


def decode(
    data: bytes,
    model: Model,
    max_pixels: int = MAX_PIXELS,
    decoder: Callable[[bytes, bool], RangeDecoder] = RangeDecoder,
) -> Decoded:
    """The integers of a stream, whole or cut. Raises FormatError's children."""
    header = read_header(data, max_pixels)
    if header.fingerprint != model.fingerprint:
        raise WrongModelError(header.fingerprint.hex())
    segments = read_segments(data, header)
    height, width = header.latent_size
    z = np.zeros((model.hyper_channels, -(-height // 4), -(-width // 4)), np.int64)
    q = np.zeros((sum(model.blocks), height, width), np.int64)
    z_arrived, q_arrived = np.zeros(z.shape, bool), np.zeros(q.shape, bool)
    groups = hyper_steps(model, *z.shape[1:])
    symbols = np.zeros_like(z)
    sizes = [
        [len(step) for step in groups],
        *([model.blocks[k] * height * width for k in s] for s in model.segments),
    ]
    counts = [0] * len(sizes)
    parts = coded_parts(model, header, symbols, q, z_arrived, q_arrived)
    for index, segment in enumerate(segments):
        if segment.declared > 4 * sum(sizes[index]) + 8:
            raise CorruptError("an impossible length for the symbols")
        coder = decoder(segment.payload, segment.whole)
        for size in sizes[index]:
            found = fill(next(parts), coder)
            counts[index] += found
            if found < size:
                break
        if counts[index] < sum(sizes[index]):
            break
        canonical = coder.canonical()
        if len(canonical) != segment.declared or not canonical.startswith(segment.payload):
            raise CorruptError("not what an encoder writes")
    for step in groups:
        for place in step:
            put(model, z, symbols, place)
    return Decoded(header, z, q, z_arrived, q_arrived, tuple(counts))


Place = tuple[int, int, int]


def hyper_steps(model: Model, height: int, width: int) -> list[list[Place]]:
    """(channel, row, column) of the symbols of z that are coded together, step after step."""
    grid = [(y, x) for y in range(height) for x in range(width)]
    order = [int(channel) for channel in model.hyper_order]
    if not model.hyper_groups:
        return [[(channel, y, x) for channel in order for y, x in grid]]
    steps, channels = [], iter(order)
    for count in model.hyper_groups:
        group = list(islice(channels, count))
        for phase in range(3):
            there = [(y, x) for y, x in grid if phase_of(y, x) == phase]
            steps.append([(channel, y, x) for channel in group for y, x in there])
    return [step for step in steps if step]


def phase_of(y: int, x: int) -> int:
    return 2 if (y + x) % 2 else y % 2


def expected(model: Model, z: np.ndarray, place: Place) -> tuple[int, int, int]:
    """μ, sign and row of the table, from the z of earlier steps."""
    channel, y, x = place
    if not model.hyper_groups:
        return 0, 1, channel
    phase = phase_of(y, x)
    if phase == 0:
        return 0, 1, 10 * channel
    height, width = z.shape[1:]

    def at(y: int, x: int) -> int:
        y, x = (
            0 if n == 1 else 1 if i < 0 else n - 2 if i == n else i
            for i, n in ((y, height), (x, width))
        )
        return int(z[channel, y, x])

    diagonal, vertical, horizontal = map(int, model.tensors["tables.hyper_weights"][channel])
    if phase == 1:
        around = [at(y + dy, x + dx) for dy in (-1, 1) for dx in (-1, 1)]
        m = diagonal * sum(around)
    else:
        around = [at(y - 1, x), at(y + 1, x), at(y, x - 1), at(y, x + 1)]
        m = vertical * sum(around[:2]) + horizontal * sum(around[2:])
    mean = max(-Q_MAX, min(Q_MAX, (m + 128) // 256))
    left = m - 256 * mean
    activity = 2 * (max(around) - min(around)) + sum(map(abs, around))
    limits = model.tensors["tables.hyper_thresholds"][channel, phase - 1]
    bin_ = sum(int(limit) < activity for limit in limits)
    row = 1 + bin_ if phase == 1 else 4 + 2 * bin_ + (abs(left) > 51)
    return mean, -1 if left < 0 else 1, 10 * channel + row


def put(model: Model, z: np.ndarray, symbols: np.ndarray, place: Place) -> None:
    mean, sign, _ = expected(model, z, place)
    z[place] = max(-Q_MAX, min(Q_MAX, mean + sign * symbols[place]))


def coded_parts(
    model: Model,
    header: Header,
    symbols: np.ndarray,
    q: np.ndarray,
    z_arrived: np.ndarray,
    q_arrived: np.ndarray,
) -> Iterator[Part]:
    """The parts in coding order; each is asked for once all before it are filled."""
    z, rank = np.zeros_like(symbols), np.argsort(model.hyper_order)
    for step in hyper_steps(model, *z.shape[1:]):
        rows = {place: expected(model, z, place)[2] for place in step}
        each = 10 if model.hyper_groups else 1
        ordered = sorted(step, key=lambda place: (rank[place[0]], rows[place] % each))
        places = np.ravel_multi_index(np.transpose(ordered), z.shape)
        yield Part(symbols, z_arrived, places, [model.hyper_tables[rows[p]] for p in ordered])
        for place in step:
            put(model, z, symbols, place)
    f = features(model, z, *header.latent_size)
    start = 0
    for block, count in enumerate(model.blocks):
        indexes = scale_indexes(model, block, f, q[:start], header.quality).reshape(-1)
        end = start + count
        channels = np.arange(start, end).repeat(len(indexes) // count)
        order = np.lexsort((-indexes, -model.priorities[channels, indexes]))
        tables = [model.tables[index] for index in indexes[order]]
        yield Part(q[start:end], q_arrived[start:end], order, tables)
        start = end


def fill(part: Part, coder: RangeDecoder) -> int:
    """Puts symbols in place until they end; says how many there were."""
    values, arrived = part.values.reshape(-1), part.arrived.reshape(-1)  # views
    for count, (position, table) in enumerate(zip(part.order, part.tables, strict=True)):
        symbol = coder.symbol(table)
        if symbol is None:
            return count
        values[position], arrived[position] = symbol, True
    return len(part.order)


# --- a small stream, explained ------------------------------------------------------------------


def explain(data: bytes, model: Model) -> Iterator[str]:
    """What each byte is, what each symbol comes from, and what the scale path gives."""
    steps: list[list[tuple[int, int, list[int], int | None]]] = []

    class Traced(RangeDecoder):
        def __init__(self, payload: bytes, whole: bool) -> None:
            super().__init__(payload, whole)
            steps.append([])

        def symbol(self, table: list[int]) -> int | None:
            width, offset = self.width, self.offsets[0]
            found = super().symbol(table)
            steps[-1].append((width, offset, table, found))
            return found

    decoded = decode(data, model, decoder=Traced)
    header = decoded.header
    _, height_at = read_varint(data, 10)
    flags = f"checksums {header.checksums}, 4 segments, quality {header.quality}"
    for start, end, what in (
        (0, 4, "magic"),
        (4, 5, "version"),
        (5, 6, f"flags: {flags}"),
        (6, 10, "fingerprint"),
        (10, height_at, f"width {header.width}"),
        (height_at, header.size - 2, f"height {header.height}"),
        (header.size - 2, header.size, "header check"),
    ):
        yield row(data, start, end, what)
    for index, segment in enumerate(read_segments(data, header)):
        end = segment.payload_start + len(segment.payload)
        name = f"segment {index}: {segment.declared} bytes"
        yield row(data, segment.start, segment.payload_start, name)
        yield row(data, segment.payload_start, end, "payload")
        for width, offset, table, symbol in steps[index] if index < len(steps) else ():
            scale = width >> PRECISION
            tables = model.tables if index else model.hyper_tables
            number = next(i for i, other in enumerate(tables) if other is table)
            yield (
                f"        width {width:016x}  offset {offset:016x}  quantile {offset // scale:8}"
                f"  table {number:2}  symbol {symbol}"
            )
        if checked := data[end : end + 4 * (header.checksums and segment.whole)]:
            yield row(data, end, end + len(checked), "checksum")
    f = features(model, decoded.z, *header.latent_size)
    yield f"F at the first position: {listed(f)}"
    start = 0
    for block, count in enumerate(model.blocks):
        indexes = scale_indexes(model, block, f, decoded.q[:start], header.quality)
        yield f"block {block + 1}: σ-indexes there {listed(indexes)}"
        yield f"block {block + 1}: q there {listed(decoded.q[start : start + count])}"
        start += count


def row(data: bytes, start: int, end: int, what: str) -> str:
    return f"{start:4}  {data[start:end].hex(' '):13} {what}"


def listed(values: np.ndarray) -> str:
    return " ".join(map(str, values[:, 0, 0]))


if __name__ == "__main__":
    checkpoint, stream = (Path(path).read_bytes() for path in sys.argv[1:])
    try:
        print(*explain(stream, Model(checkpoint)), sep="\n")
    except FormatError as error:
        sys.exit(f"{type(error).__name__}: {error}")
