"""Damaged and hostile streams, end to end: a named error or a latent, never a crash or a huge
allocation.
"""

import tracemalloc
import zlib
from collections import Counter

import numpy as np
import pytest

from progcodec.bitstream import container
from progcodec.bitstream.container import Header
from progcodec.codec.latent import Latent
from progcodec.config import Q_MAX
from progcodec.errors import (
    CorruptError,
    LimitError,
    NotShcError,
    ProgcodecError,
    UnsupportedVersionError,
    WrongModelError,
)
from tests.conftest import GOLDEN

MASKS = (0xFF, 0x80, 0x01)
PEAK_MAX = 200_000
"""Bytes that refusing a stream may take: room for the error itself, far below anything sized by the
picture."""
RANDOM_STREAMS, RANDOM_WITH_HEADER, RANDOM_SEALED = 100_000, 3_000, 1_000


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.shc").read_bytes()


def flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def raw_header(codec, sides: bytes, flags: int = 0x09) -> bytes:
    """A header with a right check around any bytes for width and height: what `Header` itself
    refuses to write.
    """
    front = b"\x93SHC\x01" + bytes([flags]) + codec.fingerprint + sides
    return front + zlib.crc32(front).to_bytes(4, "big")[: container.CHECK_SIZE]


def outcome(codec, data: bytes) -> Latent | str:
    """The latent, or the name of the named error; anything else that is raised fails the test."""
    try:
        latent = codec.decode_latent(data)
    except ProgcodecError as error:
        assert type(error) is not ProgcodecError and "\n" not in str(error)
        return type(error).__name__
    header = container.parse_header(data)
    h, w = -(-header.height // 16), -(-header.width // 16)
    assert latent.q.shape == (codec.config.latent_channels, h, w)
    assert latent.y.shape[1:] == latent.q.shape
    assert latent.q.dtype == latent.z.dtype == np.int32
    assert max(np.abs(latent.q).max(), np.abs(latent.z).max()) <= Q_MAX
    assert all(0 <= got <= total for got, total in zip(latent.received, latent.total, strict=True))
    return latent


def same_integers(one: Latent, other: Latent) -> bool:
    return (
        np.array_equal(one.z, other.z)
        and np.array_equal(one.q, other.q)
        and one.received == other.received
    )


def right_before(codec, one: Latent, other: Latent, segment: int) -> bool:
    """Whether two latents have the same integers in all segments before one."""
    channels = codec.config.offsets[max(0, segment - 1)]
    return segment == 0 or (
        np.array_equal(one.z, other.z) and np.array_equal(one.q[:channels], other.q[:channels])
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v1-96x64", "v1-1x1"])
def test_every_value_of_every_byte(tiny_codec, name):
    """With checksums: an error or the right integers, for all 255 wrong values of each byte, the
    flips among them.

    One thing no reader can tell: a damaged length that points past the end of the file looks like a
    cut. Mostly the symbols give it away. Where they do not, the segment is not whole, and
    everything before it is right.
    """
    data = golden(name)
    stream = container.parse(data)
    outcomes = Counter()
    truth = tiny_codec.decode_latent(data)
    for at in range(len(data)):
        for mask in range(1, 256):
            result = outcome(tiny_codec, flipped(data, at, mask))
            if isinstance(result, str) or same_integers(result, truth):
                outcomes[result if isinstance(result, str) else "right"] += 1
                continue
            (hit,) = [
                segment
                for segment in stream.segments
                if segment.start <= at < segment.payload_start
            ]
            assert result.received[hit.index] < result.total[hit.index], (at, mask)
            assert right_before(tiny_codec, result, truth, hit.index), (at, mask)
            outcomes["passed for a cut"] += 1
    assert outcomes["CorruptError"] > outcomes.total() / 2, outcomes
    assert outcomes["passed for a cut"] < outcomes.total() / 1000, outcomes


def test_every_flip_without_checksums(tiny_codec):
    """Nothing vouches for the payloads then: damage may give other integers, yet a latent of its
    size or an error.

    What came before the damaged byte still holds: whole segments in front of it decode to the right
    integers.
    """
    data = golden("v1-50x33-no-checksums")
    truth = tiny_codec.decode_latent(data)
    stream = container.parse(data)
    outcomes = Counter()
    for at in range(len(data)):
        for mask in MASKS:
            result = outcome(tiny_codec, flipped(data, at, mask))
            outcomes[result if isinstance(result, str) else "latent"] += 1
            if isinstance(result, Latent):
                assert at >= stream.header_size
                intact = sum(segment.end <= at for segment in stream.segments)
                assert right_before(tiny_codec, result, truth, intact)
    assert outcomes["latent"] and outcomes["CorruptError"]


@pytest.mark.slow
def test_random_bytes(tiny_codec):
    """Mostly without a valid magic; some thousand are a right header, or a wholly sound container,
    around noise.
    """
    random = np.random.default_rng(1)
    outcomes = Counter()
    for number in range(RANDOM_STREAMS):
        noise = random.bytes(int(random.integers(0, 201)))
        header = Header(
            *random.integers(1, 50, 2).tolist(), tiny_codec.fingerprint, bool(number % 4 == 0)
        )
        if number < RANDOM_WITH_HEADER:
            data = header.to_bytes() + noise
        # with right checksums only the range coder can object
        elif number < RANDOM_WITH_HEADER + RANDOM_SEALED:
            data = container.write(header, np.array_split(np.frombuffer(noise, np.uint8), 4))
        elif number % 10 == 0:
            data = container.MAGIC + b"\x01" + noise
        else:
            data = noise
        result = outcome(tiny_codec, data)
        outcomes[result if isinstance(result, str) else "latent"] += 1
    for kind in ("latent", "NotShcError", "CorruptError"):
        assert outcomes[kind] > 20, outcomes


@pytest.mark.parametrize(
    "sides",
    [
        b"\x87\xff\xff\x7f" * 2,  # 2^24 - 1 a side
        b"\x88\x80\x80\x00" * 2,  # 2^24 a side: the largest that a header may say
        b"\x88\x80\x80\x01\x01",  # 2^24 + 1 by 1
        b"\x8f\xff\xff\xff\x7f" * 2,  # the largest number there is
        b"\x00\x05",
        b"\x05\x00",
        b"\x00\x00",
    ],
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(tiny_codec, monkeypatch, sides):
    monkeypatch.setattr(
        tiny_codec.walker, "steps", lambda *_: pytest.fail("the networks were asked")
    )
    data = raw_header(tiny_codec, sides) + bytes(100)
    tracemalloc.start()
    try:
        with pytest.raises(LimitError):
            tiny_codec.decode_latent(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < PEAK_MAX


def test_an_absurd_length_is_refused_before_anything_is_allocated(tiny_codec, monkeypatch):
    monkeypatch.setattr(
        tiny_codec.walker, "steps", lambda *_: pytest.fail("the networks were asked")
    )
    data = Header(40, 40, tiny_codec.fingerprint).to_bytes() + b"\xff\xff\xff\xff\x7f" + bytes(50)
    with pytest.raises(CorruptError, match="impossible"):
        tiny_codec.decode_latent(data)


def test_a_bare_header_costs_what_its_picture_costs(tiny_codec):
    """A few bytes may ask for any picture up to the pixel limit: the cost is linear in its pixels,
    no worse.
    """

    def peak(side: int) -> int:
        data = Header(side, side, tiny_codec.fingerprint).to_bytes()
        tiny_codec.decode_latent(data)  # what is built once is not counted
        tracemalloc.start()
        try:
            latent = tiny_codec.decode_latent(data)
            assert sum(latent.received) == 0 and not latent.q.any()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(1024) < 1.5 * 4 * peak(512)


@pytest.mark.parametrize("name", ["v1-96x64", "v1-1x1", "v1-50x33-no-checksums"])
@pytest.mark.parametrize("tail", [b"\0", b"\n", bytes(1000)])
def test_trailing_bytes(tiny_codec, name, tail):
    with pytest.raises(CorruptError, match="follow the last segment"):
        tiny_codec.decode_latent(golden(name) + tail)


def test_wrong_model(tiny_codec):
    other = bytes(value ^ 0xFF for value in tiny_codec.fingerprint)
    for data in (
        Header(16, 16, other).to_bytes(),
        container.write(Header(96, 64, other), [b""] * 4),
    ):
        with pytest.raises(WrongModelError, match=other.hex()):
            tiny_codec.decode_latent(data)


def test_future_version_and_features(tiny_codec):
    data = golden("v1-96x64")
    for version in (0, 2, 255):
        with pytest.raises(UnsupportedVersionError, match=str(version)):
            tiny_codec.decode_latent(data[:4] + bytes([version]) + data[5:])
    for flags in (0x07, 0x0B, 0x89, 0x88):
        with pytest.raises(UnsupportedVersionError, match="feature"):
            tiny_codec.decode_latent(raw_header(tiny_codec, b"\x10\x10", flags))


@pytest.mark.parametrize(
    "data", [b"", b"\x93", b"SHC\x93", b"\x89PNG\r\n" + bytes(60), b"GIF89a", b"{}", bytes(64)]
)
def test_no_stream_at_all(tiny_codec, data):
    with pytest.raises(NotShcError):
        tiny_codec.decode_latent(data)


@pytest.mark.parametrize("name", ["v1-96x64", "v1-1x1", "v1-17x130"])
def test_every_cut_of_a_header(tiny_codec, name):
    data = golden(name)
    size = container.parse(data).header_size
    for length in range(size):
        with pytest.raises(NotShcError):
            tiny_codec.decode_latent(data[:length])
    assert sum(tiny_codec.decode_latent(data[:size]).received) == 0


def test_a_number_in_more_bytes_than_it_needs(tiny_codec):
    with pytest.raises(CorruptError, match="shortest"):
        tiny_codec.decode_latent(raw_header(tiny_codec, b"\x80\x10\x10"))


def test_memoryviews_and_bytearrays_are_streams_too(tiny_codec):
    data = golden("v1-96x64")
    truth = tiny_codec.decode_latent(data)
    for same in (bytearray(data), memoryview(data)):
        assert same_integers(tiny_codec.decode_latent(same), truth)
