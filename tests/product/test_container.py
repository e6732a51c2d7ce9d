"""The container: round trips, one test per named error, every cut of a small file."""

import zlib

import pytest

from progcodec import errors
from progcodec.bitstream import container
from progcodec.bitstream.container import Header
from progcodec.bitstream.description import info
from progcodec.cut import Cut

PRINT = b"\x01\x02\x03\x04"
HEADER = Header(100, 70, PRINT)
PAYLOADS = (b"hyper", b"", b"x" * 200, b"fine!")
WHOLE = container.write(HEADER, PAYLOADS)
PLAIN = container.write(Header(100, 70, PRINT, checksums=False), PAYLOADS)
FRONT = b"\x93SHC\x01"


def sealed(front: bytes) -> bytes:
    """Header bytes with the right check."""
    return front + zlib.crc32(front).to_bytes(4, "big")[:2]


def checked(segment: bytes) -> bytes:
    """Length and payload with the right checksum."""
    return segment + zlib.crc32(segment).to_bytes(4, "big")


def test_bytes_of_a_whole_file_are_frozen():
    head = b"\x93SHC\x01\x09" + PRINT + b"\x64\x46"
    assert HEADER.to_bytes() == sealed(head) == head + b"\x88\x86"
    expected = [b"\x05hyper", b"\x00", b"\x81\x48" + b"x" * 200, b"\x05fine!"]
    assert WHOLE == sealed(head) + b"".join(map(checked, expected))
    assert PLAIN == sealed(b"\x93SHC\x01\x08" + PRINT + b"\x64\x46") + b"".join(expected)


@pytest.mark.parametrize("width", [1, 127, 128, 16_383, 16_384, container.MAX_SIDE])
def test_header_round_trip_and_size(width):
    for height in (1, 127, 128, 16_383, 16_384, container.MAX_SIDE):
        header = Header(width, height, PRINT, checksums=height % 2 == 0)
        data = header.to_bytes()
        assert container.parse_header(data, max_pixels=None) == header
        assert len(data) == header.size <= (16 if max(width, height) <= 16_383 else 20)


@pytest.mark.parametrize("data", [WHOLE, PLAIN])
def test_every_cut_of_the_container(data):
    whole = container.parse(data)
    for size in range(len(data) + 1):
        if size < whole.header_size:
            told = "cut inside its header" if size else "no data"
            with pytest.raises(errors.NotShcError, match=told):
                container.parse(data[:size])
            continue
        stream = container.parse(data[:size])
        for cut, full in zip(stream.segments, whole.segments):
            assert (cut.start, cut.end, cut.declared) == (full.start, full.end, full.declared)
            assert cut.payload == full.payload[: max(0, size - full.payload_start)]
            assert cut.complete == (size >= full.payload_start + full.declared)
            assert cut.verified == (data is WHOLE and size >= full.end)
        assert len(stream.segments) == sum(s.payload_start <= size for s in whole.segments)


SIDES = b"\x64\x46"


@pytest.mark.parametrize(
    ("data", "error", "told"),
    [
        *(
            (data, errors.NotShcError, "magic")
            for data in (b"\x89PNG\r\n", b"SHC", b"\x93SHD\x01", bytes(40))
        ),
        (b"\x93SHC\x02", errors.UnsupportedVersionError, "version 2"),
        *(
            (sealed(FRONT + flags + PRINT + SIDES), errors.UnsupportedVersionError, "flags")
            for flags in (b"\x07", b"\x0b", b"\x89", b"\x88", b"\x00")
        ),
        *(
            (sealed(FRONT + b"\x09" + PRINT + sides), errors.LimitError, None)
            for sides in (b"\x00\x46", b"\x64\x00", b"\xd6\x40\xd6\x40", b"\x88\x80\x80\x01\x01")
        ),
    ],
)
def test_what_a_header_may_not_say(data, error, told):
    with pytest.raises(error, match=told):
        container.parse(data)


def test_pixel_limit_is_adjustable():
    container.parse(WHOLE, max_pixels=7000)
    with pytest.raises(errors.LimitError, match="6,999"):
        container.parse(WHOLE, max_pixels=6999)
    vast = Header(container.MAX_SIDE, container.MAX_SIDE, PRINT).to_bytes()
    assert info(vast).width == container.MAX_SIDE
    assert Cut(max_bytes=30).apply(vast) == vast


CORRUPT = {
    "header check": WHOLE[:11] + b"\x47" + WHOLE[12:],
    "side not minimal": sealed(FRONT + b"\x09" + PRINT + b"\x80\x64\x46"),
    "side too long": sealed(FRONT + b"\x09" + PRINT + b"\x81\x80\x80\x80\x80\x01\x46"),
    "length not minimal": HEADER.to_bytes() + checked(b"\x80\x05hyper"),
    "length not minimal, torn": HEADER.to_bytes() + b"\x80",
    "length too long": HEADER.to_bytes() + b"\xff\xff\xff\xff\xff",
    "length impossible": HEADER.to_bytes() + b"\xff\xff\xff\xff\x7f",
    "checksum": HEADER.to_bytes() + checked(b"\x05hyper")[:-1] + b"!",
    "checksum, torn": HEADER.to_bytes() + b"\x05hyper" + b"!",
    "bytes after the end": WHOLE + b"\0",
    "bytes after the end, plain": PLAIN + b"\0",
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt(name):
    with pytest.raises(errors.CorruptError):
        container.parse(CORRUPT[name])


def test_every_single_byte_error_in_the_header_is_seen():
    for side in (1, 300, 70_000, container.MAX_SIDE):
        data = bytearray(Header(side, side, PRINT).to_bytes())
        for at in range(len(data)):
            for change in range(1, 256):
                data[at] ^= change
                with pytest.raises(errors.ProgcodecError):
                    container.parse(bytes(data) + WHOLE[HEADER.size :], max_pixels=None)
                data[at] ^= change


def test_info():
    found = info(WHOLE)
    assert [s.name for s in found.segments] == ["hyperlatent", "coarse", "intermediate", "fine"]
    assert (found.file_bytes, found.header_bytes, found.fingerprint) == (len(WHOLE), 14, "01020304")
    assert found.bits_per_pixel == 8 * len(WHOLE) / 7000
    assert all(s.verified for s in found.segments)
    for size in range(HEADER.size, len(WHOLE)):
        cut = info(WHOLE[:size])
        assert cut.header_bytes + sum(s.received for s in cut.segments) == size
        for now, full in zip(cut.segments, found.segments):
            assert now.start in (None, full.start) and now.end in (None, full.end)
    half = info(WHOLE[:60])
    assert [s.end for s in half.segments] == [24, 29, 235, None]
    assert [s.start for s in half.segments] == [14, 24, 29, 235]


def test_header_refuses_misuse():
    with pytest.raises(errors.LimitError):
        Header(0, 5, PRINT)
    for wrong in ({"fingerprint": b"abc"}, {"quality": 8}, {"quality": -8}):
        with pytest.raises(ValueError):
            Header(**{"width": 1, "height": 1, "fingerprint": PRINT, **wrong})
    with pytest.raises(ValueError):
        container.write(HEADER, PAYLOADS[:3])
