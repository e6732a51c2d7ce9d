"""Damaged and hostile streams, end to end: a named error or a latent, never a crash or a huge
allocation.
"""

import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from progcodec.bitstream import container
from progcodec.bitstream.container import Header
from progcodec.codec.codec import Codec
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
from tests.support.samples import flipped

MASKS = (0xFF, 0x80, 0x01)
PEAK_MAX = 200_000
"""Bytes that refusing a stream may take: room for the error itself, far below anything sized by the
picture."""
RANDOM_STREAMS, RANDOM_WITH_HEADER, RANDOM_SEALED = 100_000, 3_000, 1_000


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.shc").read_bytes()


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


@pytest.mark.parametrize(
    ("name", "masks"),
    [
        ("v1-96x64", MASKS),
        pytest.param("v1-96x64", range(1, 256), marks=pytest.mark.slow),
        pytest.param("v1-1x1", range(1, 256), marks=pytest.mark.slow),
    ],
)
def test_every_byte_with_checksums(tiny_codec, name, masks):
    """An error or the right integers, for wrong values of each byte, at length all 255.

    One thing no reader can tell: a damaged length that points past the end of the file looks like a
    cut. Mostly the symbols give it away. Where they do not, the segment is not whole, and
    everything before it is right.
    """
    data = golden(name)
    stream = container.parse(data)
    outcomes = Counter()
    truth = tiny_codec.decode_latent(data)
    for at in range(len(data)):
        for mask in masks:
            result = outcome(tiny_codec, flipped(data, at, mask))
            if isinstance(result, str) or same_integers(result, truth):
                outcomes[result if isinstance(result, str) else "right"] += 1
                continue
            (hit,) = [s for s in stream.segments if s.start <= at < s.payload_start]
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
        sides = random.integers(1, 50, 2).tolist()
        header = Header(*sides, tiny_codec.fingerprint, bool(number % 4 == 0))
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


def sized(sides: bytes) -> Callable[[Codec], bytes]:
    return lambda codec: raw_header(codec, sides) + bytes(100)


OTHER = bytes(4)
WHOLE = golden("v1-96x64")


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (sized(b"\x87\xff\xff\x7f" * 2), LimitError, None),  # 2^24 - 1 a side
        (sized(b"\x88\x80\x80\x00" * 2), LimitError, None),  # 2^24: the most that a header may say
        (sized(b"\x88\x80\x80\x01\x01"), LimitError, None),
        (sized(b"\x8f\xff\xff\xff\x7f" * 2), LimitError, None),  # the largest number there is
        (sized(b"\x00\x05"), LimitError, None),
        (sized(b"\x05\x00"), LimitError, None),
        (sized(b"\x80\x10\x10"), CorruptError, "shortest"),
        (lambda codec: raw_header(codec, b"\x28\x28") + b"\xff" * 4 + b"\x7f" + bytes(50),
         CorruptError, "impossible"),
        (lambda codec: Header(16, 16, OTHER).to_bytes(), WrongModelError, OTHER.hex()),
        (lambda codec: container.write(Header(96, 64, OTHER), [b""] * 4), WrongModelError, None),
        (lambda codec: raw_header(codec, b"\x10\x10", 0x89), UnsupportedVersionError, "feature"),
        (lambda codec: WHOLE[:4] + b"\xff" + WHOLE[5:], UnsupportedVersionError, "255"),
        (lambda codec: WHOLE[:13], NotShcError, None),
        (lambda codec: b"\x89PNG\r\n" + bytes(60), NotShcError, None),
    ],
)  # fmt: skip
def test_bad_starts_are_refused_before_anything_is_allocated(
    tiny_codec, monkeypatch, make, error, told
):
    data = make(tiny_codec)
    monkeypatch.setattr(
        tiny_codec.walker, "steps", lambda *_: pytest.fail("the networks were asked")
    )
    tracemalloc.start()
    try:
        with pytest.raises(error, match=told):
            tiny_codec.decode_latent(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < PEAK_MAX


@pytest.mark.parametrize("name", ["v1-96x64", "v1-1x1", "v1-50x33-no-checksums"])
@pytest.mark.parametrize("tail", [b"\0", b"\n", bytes(1000)])
def test_trailing_bytes(tiny_codec, name, tail):
    with pytest.raises(CorruptError, match="follow the last segment"):
        tiny_codec.decode_latent(golden(name) + tail)


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
