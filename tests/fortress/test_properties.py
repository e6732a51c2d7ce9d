"""Any picture, any cut, any chunks, any damage: what holds for every stream, tried on many."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from progcodec.api import StreamDecoder
from progcodec.bitstream import container
from progcodec.codec.codec import Codec
from progcodec.config import QUALITY_MAX
from progcodec.errors import LimitError, ProgcodecError
from tests.conftest import GOLDEN, GOLDEN_STREAMS, noise_image
from tests.support.nightly import nightly

CODECS = [Codec.load(GOLDEN / f"{name}.safetensors", "cpu") for name in GOLDEN_STREAMS]
ANY_CODEC = st.sampled_from(CODECS)
MODES = ("RGB", "L", "1", "P", "LA", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "I;16", "F")
MANY = settings(
    max_examples=nightly(25, 2000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def pictures(draw) -> Image.Image:
    """1 to 70 pixels a side, of any mode: flat, ramps, noise."""
    mode = draw(st.sampled_from(MODES))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ramp = np.linspace(0, draw(st.integers(0, 255)), width)[None, :, None] * np.ones((height, 1, 3))
    noise = rng.normal(0, draw(st.sampled_from((0, 3, 60))), ramp.shape)
    pixels = (ramp + noise + draw(st.integers(0, 255))).clip(0, 255).astype(np.uint8)
    if mode == "RGBa":
        return Image.fromarray(pixels).convert("RGBA").convert("RGBa")
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray((pixels[..., 0] / 255.0).astype(np.float32))
    return Image.fromarray(pixels).convert(mode)


@st.composite
def options(draw) -> dict[str, object]:
    """Of an encoding."""
    quality = draw(st.integers(-QUALITY_MAX, QUALITY_MAX))
    return {"quality": quality, "checksums": draw(st.booleans())}


def scattered(
    codec: Codec, image: Image.Image, quality: int, received: tuple[int, ...]
) -> list[np.ndarray]:
    """The integers that are coded of each segment, flat, of which so many have arrived, as the
    encoder knows them; 0 elsewhere.
    """
    parts = []
    segments = codec.coded_segments([image], quality=quality)[0]
    for trace, count in zip(segments, received, strict=True):
        values = np.zeros(len(trace.order), np.int32)
        values[trace.order[:count]] = trace.symbols[:count]
        parts.append(values)
    return parts


@MANY
@given(ANY_CODEC, pictures(), options(), st.data())
def test_any_cut_of_any_picture_decodes_to_a_prefix_of_its_symbols(codec, image, given, data):
    stream = codec.encode(image, **given)
    header = container.parse(stream).header_size
    cut = stream[: data.draw(st.integers(header, len(stream)))]
    latent = codec.decode_latent(cut)
    wanted = scattered(codec, image, given["quality"], latent.received)
    z = codec.walker.hyper.restored(wanted[0].reshape(1, *latent.z.shape))
    np.testing.assert_array_equal(latent.z[None], z)
    np.testing.assert_array_equal(latent.q.ravel(), np.concatenate(wanted[1:]))
    whole = [got == total for got, total in zip(latent.received, latent.total, strict=True)]
    # no hole between segments
    assert all(not any(latent.received[k + 1 :]) for k, full in enumerate(whole) if not full)
    assert all(whole) or len(cut) < len(stream)
    picture = codec.synthesise([latent])[0]
    assert (picture.mode, picture.size) == ("RGB", image.size)
    for k, segment in enumerate(container.parse(cut).segments):
        assert not segment.complete or whole[k], "a payload that is there holds every symbol"


@MANY
@given(ANY_CODEC, pictures(), options(), st.data())
def test_any_chunks_of_any_picture_give_what_the_prefix_gives(codec, image, given, data):
    stream = codec.encode(image, **given)
    decoder, at = StreamDecoder(codec=codec), 0
    sizes = data.draw(st.lists(st.integers(0, len(stream)), min_size=1, max_size=6))
    for size in (*sizes, len(stream)):
        chunk = stream[at : at + size]
        decoder.feed(chunk)
        at += len(chunk)
        if decoder.header is not None and data.draw(st.booleans()):
            check_same(decoder.latent(), codec.decode_latent(stream[:at]))
    check_same(decoder.latent(), codec.decode_latent(stream))


def check_same(one, other) -> None:
    assert one.received == other.received and one.total == other.total and one.bits == other.bits
    np.testing.assert_array_equal(one.z, other.z)
    np.testing.assert_array_equal(one.q, other.q)
    torch.testing.assert_close(one.y, other.y, rtol=1e-5, atol=1e-4)


SIZES = ((33, 50, True), (64, 64, True), (20, 70, False), (1, 1, True))
ORIGINALS = [
    (codec, codec.encode(noise_image(h, w, n), checksums=sums))
    for codec in CODECS
    for n, (h, w, sums) in enumerate(SIZES)
]
TRUTHS = [codec.decode_latent(stream) for codec, stream in ORIGINALS]


@st.composite
def damages(draw) -> tuple[int, bytes]:
    """One of the originals, by number, after a few bytes overwritten, lost, slipped in or doubled,
    and perhaps cut.
    """
    number = draw(st.integers(0, len(ORIGINALS) - 1))
    data = bytearray(ORIGINALS[number][1])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("overwrite", "insert", "delete", "repeat")))
        if kind == "overwrite":
            some = draw(st.binary(min_size=1, max_size=8))
            data[at : at + len(some)] = some
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 40))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
    return number, bytes(data[: draw(st.integers(len(data) // 2, len(data)))])


@settings(MANY, max_examples=nightly(150, 20_000))
@given(damages(), st.integers(1, 60))
def test_any_damage_is_a_named_error_or_leaves_what_is_verified_right(damage, step):
    number, data = damage
    (codec, original), truth = ORIGINALS[number], TRUTHS[number]
    latent = outcome(lambda: codec.decode_latent(data, max_pixels=10_000))

    def piecewise():
        decoder = StreamDecoder(codec=codec, max_pixels=10_000)
        for at in range(0, len(data), step):
            decoder.feed(data[at : at + step])
        return decoder.latent()

    pieces = outcome(piecewise)
    if latent is None:
        assert pieces is None, "refused whole, taken in pieces"
        return
    assert pieces is not None, "taken whole, refused in pieces"
    check_same(pieces, latent)
    stream = container.parse(data)
    if stream.header != container.parse_header(original):
        return  # the header's check is of 16 bits: damage passes one time in 65,536
    channels = codec.config.level_offsets
    for segment in stream.segments:
        place = original.find(data[segment.start : segment.end])
        # A checksum vouches for a segment's bytes, not for its place: assume that none was moved
        # whole.
        start = container.parse(original).segments[segment.index].start
        assume(not segment.verified or place == start)
        if not segment.verified:
            break
        if segment.index == 0:
            np.testing.assert_array_equal(latent.z, truth.z)
        else:
            part = slice(channels[segment.index - 1], channels[segment.index])
            np.testing.assert_array_equal(latent.q[part], truth.q[part])


def outcome(read):
    """What a reader gives; None after a named error.

    Anything else that is raised fails the test.
    """
    try:
        return read()
    except ProgcodecError as error:
        assert type(error) is not ProgcodecError
        assert "\n" not in str(error) and len(str(error)) < 500
        return None


@settings(MANY, max_examples=nightly(50, 5000))
@given(
    st.integers(1, container.MAX_SIDE),
    st.integers(1, container.MAX_SIDE),
    st.binary(max_size=30),
    st.booleans(),
)
def test_any_declared_size_beyond_the_limit_is_refused_at_once(width, height, tail, sums):
    assume(width * height > 4000)
    data = container.Header(width, height, CODECS[0].fingerprint, sums).to_bytes() + tail
    with pytest.raises(LimitError):
        CODECS[0].decode_latent(data, max_pixels=4000)
    with pytest.raises(LimitError):
        StreamDecoder(codec=CODECS[0], max_pixels=4000).feed(data)
