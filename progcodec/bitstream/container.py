"""The ``.shc`` container, version 1.

Standard library only, so that cutting and inspecting files start at once.

::

    header | segment 0: hyperlatent | segment 1: coarse | segment 2: intermediate | segment 3: fine

All numbers are big-endian. A *varint* is an unsigned base-128 number, high group first: 7 bits a
byte, 0x80 set on every byte but the last, minimal length only (the first byte is never 0x80), at
most 5 bytes.

Header, 14 bytes for the smallest pictures, 16 up to 16,383 pixels a side::

    bytes  field         meaning; what is refused
    4      magic         93 53 48 43 ("\\x93SHC"): no text file starts so (it is no ASCII)
    1      version       01; any other: UnsupportedVersionError
    1      flags         bit 0: checksums on; bits 1-3: number of segments, 4; bits 4-7: quality,
                         two's complement, -7 to 7; all else: UnsupportedVersionError
    4      fingerprint   first bytes of the SHA-256 of the model that the file was written with
    1..4   width         varint, pixels; zero or above the limits: LimitError
    1..4   height        varint, pixels; likewise
    2      header check  high 16 bits of the CRC-32 of all bytes before it; mismatch: CorruptError

Then each segment, in order::

    1..5   length        varint, bytes of the payload
    length payload       range-coded symbols, see ``rangecoder.py``
    4      checksum      CRC-32 over length and payload, if checksums are on; mismatch: CorruptError

A file may end anywhere after its header: it is then *cut*, which is no error. A torn length means
that the segment is absent, a torn checksum that a whole payload is unverified (the bytes that are
there must agree all the same). Nothing may follow the last segment. ``docs/format.md`` says what
the payloads hold, and in which order errors are found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from progcodec.config import DEFAULT_PIXEL_LIMIT, LEVELS, QUALITY_MAX
from progcodec.errors import CorruptError, LimitError, NotShcError, UnsupportedVersionError
from progcodec.geometry import check_size, latent_size

MAGIC = b"\x93SHC"
VERSION = 1
SEGMENT_NAMES = ("hyperlatent", *LEVELS)
FINGERPRINT_SIZE = 4
CHECK_SIZE = 2
CRC_SIZE = 4
MAX_SIDE = 1 << 24
"""Pixels a side that no limit of the caller can raise."""
MAX_VARINT_SIZE = 5
HEADER_ROOM = 64
"""Bytes that hold any header, to be read before it is known."""
MAX_BYTES_PER_POSITION = 4096 * 4
"""Bound on a latent position's payload: 4096 channels, below 4 bytes a symbol (24-bit tables)."""


@dataclass(frozen=True)
class Header:
    """What a file says before its first segment.

    Raises LimitError on impossible sizes, ValueError on other misuse.

    Attributes:
        width, height: pixels, 1 to ``MAX_SIDE``.
        fingerprint: 4 bytes that name the model.
        checksums: whether each segment carries a CRC-32.
        quality: -7 to 7; the quantisation step shrinks by a fixed ratio with each unit, 0 is the
            model's own.
    """

    width: int
    height: int
    fingerprint: bytes
    checksums: bool = True
    quality: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise LimitError(f"impossible picture size: {self.width} x {self.height} pixels")
        if len(self.fingerprint) != FINGERPRINT_SIZE:
            raise ValueError(
                f"a fingerprint has {FINGERPRINT_SIZE} bytes, not {len(self.fingerprint)}"
            )
        if not -QUALITY_MAX <= self.quality <= QUALITY_MAX:
            raise ValueError(f"a quality lies between {-QUALITY_MAX} and {QUALITY_MAX}")

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def size(self) -> int:
        """Bytes of the header itself."""
        return len(self.to_bytes())

    def to_bytes(self) -> bytes:
        flags = self.checksums | len(SEGMENT_NAMES) << 1 | (self.quality & 0xF) << 4
        data = MAGIC + bytes([VERSION, flags]) + self.fingerprint
        data += varint(self.width) + varint(self.height)
        return data + _crc(data)[:CHECK_SIZE]


@dataclass(frozen=True)
class Segment:
    """One segment as far as it has arrived.

    Attributes:
        index: position in ``SEGMENT_NAMES``.
        start, payload_start, end: offsets of its length, of its payload, and of the first byte
            after the whole segment, checksum included, as declared; ``end`` may lie beyond the
            data.
        declared: bytes of the whole payload.
        payload: the payload bytes that are there, at most ``declared``.
        complete: the payload is there entirely.
        verified: its checksum is there entirely, and right.
    """

    index: int
    start: int
    payload_start: int
    end: int
    declared: int
    payload: bytes
    complete: bool
    verified: bool


@dataclass(frozen=True)
class Stream:
    """A parsed file of ``size`` bytes; ``segments`` holds those whose length has arrived."""

    header: Header
    header_size: int
    segments: tuple[Segment, ...]
    size: int


def write(header: Header, payloads: Sequence[bytes]) -> bytes:
    """The whole file for one payload per segment."""
    if len(payloads) != len(SEGMENT_NAMES):
        raise ValueError(f"{len(SEGMENT_NAMES)} payloads are needed, not {len(payloads)}")
    parts = [header.to_bytes()]
    for payload in payloads:
        segment = varint(len(payload)) + bytes(payload)
        parts += [segment, _crc(segment)] if header.checksums else [segment]
    return b"".join(parts)


def starts_stream(data: bytes) -> bool:
    """Whether a file that starts so is to be read as a stream: by MAGIC, as far as it is there."""
    return bytes(data[: len(MAGIC)]) == MAGIC[: len(data)]


def parse_header(data: bytes, max_pixels: int | None = DEFAULT_PIXEL_LIMIT) -> Header:
    """Read and check the header alone.

    Args:
        data: the file, cut or whole.
        max_pixels: limit on width times height, a side below 16 counted as 16; None leaves only
            ``MAX_SIDE`` (for callers that allocate nothing).

    Raises:
        NotShcError, UnsupportedVersionError, CorruptError, LimitError: checked in this order.
    """
    data = as_bytes(data)
    if not data:
        raise NotShcError("not a .shc stream: no data")
    if not starts_stream(data):
        raise NotShcError("not a .shc stream: wrong magic bytes")
    fixed = len(MAGIC) + 2 + FINGERPRINT_SIZE
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise UnsupportedVersionError(
            f"format version {data[len(MAGIC)]} is not known (this reader knows {VERSION})"
        )
    width, at = read_varint(data, fixed)
    height, at = read_varint(data, at) if width is not None else (None, at)
    check = data[at : at + CHECK_SIZE]
    if width is None or height is None or len(check) < CHECK_SIZE:
        raise NotShcError(f"the .shc stream is cut inside its header ({len(data)} bytes)")
    if check != _crc(data[:at])[:CHECK_SIZE]:
        raise CorruptError("the header is damaged: its check fails")
    flags = data[len(MAGIC) + 1]
    # Flags are judged after the check, so that damage to them is called damage and not an unknown
    # feature.
    quality = (flags >> 4 ^ 8) - 8
    if flags >> 1 & 7 != len(SEGMENT_NAMES) or abs(quality) > QUALITY_MAX:
        raise UnsupportedVersionError(f"flags {flags:#04x} ask for a feature that is not known")
    check_size(height, width, max_pixels)
    fingerprint = data[fixed - FINGERPRINT_SIZE : fixed]
    return Header(width, height, fingerprint, bool(flags & 1), quality=quality)


def parse_arriving_header(
    data: bytes, max_pixels: int | None = DEFAULT_PIXEL_LIMIT
) -> Header | None:
    """As :func:`parse_header`, where more data may come: None while these may begin a header."""
    try:
        return parse_header(data[:HEADER_ROOM], max_pixels)
    except NotShcError:
        if len(data) >= HEADER_ROOM or not starts_stream(data):
            raise
        return None


def parse(data: bytes, max_pixels: int | None = DEFAULT_PIXEL_LIMIT) -> Stream:
    """Header and segments as far as the data go, undecoded; raises as :func:`parse_header`."""
    data = as_bytes(data)
    header = parse_header(data, max_pixels)
    segments: list[Segment] = []
    start = header.size
    for index in range(len(SEGMENT_NAMES)):
        segment = read_segment(data, start, index, header)
        if segment is None:
            break
        segments.append(segment)
        start = segment.end
    if len(segments) == len(SEGMENT_NAMES) and len(data) > start:
        raise CorruptError(f"{len(data) - start} bytes follow the last segment")
    return Stream(header, header.size, tuple(segments), len(data))


def read_segment(data: bytes | bytearray, start: int, index: int, header: Header) -> Segment | None:
    """Segment ``index``, from byte ``start`` of ``data``, as far as it is there; None before its
    length is. Raises CorruptError: an impossible length, or a checksum that fails.
    """
    declared, payload_start = read_varint(data, start)
    if declared is None:
        return None
    name = SEGMENT_NAMES[index]
    rows, columns = latent_size(header.height, header.width)
    if declared > rows * columns * MAX_BYTES_PER_POSITION:
        raise CorruptError(
            f"the {name} segment is damaged: a length of {declared} bytes is impossible"
        )
    payload_end = payload_start + declared
    end = payload_end + (CRC_SIZE if header.checksums else 0)
    payload = bytes(data[payload_start:payload_end])
    complete = len(payload) == declared
    crc = bytes(data[payload_end:end])
    if complete and crc and not _crc(data[start:payload_end]).startswith(crc):
        raise CorruptError(f"the {name} segment is damaged: its checksum fails")
    verified = header.checksums and len(crc) == CRC_SIZE
    return Segment(index, start, payload_start, end, declared, payload, complete, verified)


def as_bytes(data: object) -> bytes:
    """The bytes of anything that holds bytes. Raises TypeError for what does not: a name, say."""
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"a .shc stream is bytes, not {type(data).__name__}"
            " (pathlib.Path(...).read_bytes() reads a file)"
        ) from None


def _crc(data: bytes | bytearray) -> bytes:
    return crc32(data).to_bytes(CRC_SIZE, "big")


def varint(value: int) -> bytes:
    """``value`` in its shortest form."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def read_varint(data: bytes | bytearray, at: int) -> tuple[int | None, int]:
    """Value and the offset behind it; the value is None where the data end before it does."""
    value = 0
    for offset in range(at, min(at + MAX_VARINT_SIZE, len(data))):
        byte = data[offset]
        if offset == at and byte == 0x80:
            raise CorruptError("a number is not written in its shortest form")
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, offset + 1
    if len(data) >= at + MAX_VARINT_SIZE:
        raise CorruptError(f"a number takes more than {MAX_VARINT_SIZE} bytes")
    return None, at
