"""A stream fed in pieces gives what its cuts give, in events that only go forward."""

import asyncio

import numpy as np
import pytest
import torch

from progcodec.api import StreamDecoder
from progcodec.bitstream import container
from progcodec.codec.codec import Codec
from progcodec.codec.incremental import HeaderKnown, LevelComplete, SymbolsArrived
from progcodec.config import LEVELS
from progcodec.cut import truncate
from progcodec.errors import CorruptError, LimitError, NotShcError, WrongModelError
from tests.conftest import GOLDEN
from tests.support.classifying import Fixed
from tests.support.samples import flipped

TINY = GOLDEN / "tiny.safetensors"
CODEC = Codec.load(TINY, "cpu")


def picture(seed: int = 0, height: int = 70, width: int = 90) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, height)[:, None, None] * np.ones((1, width, 3))
    return (ramp * 0.6 + rng.integers(0, 100, (height, width, 3))).clip(0, 255).astype(np.uint8)


STREAM = CODEC.encode(picture())


@pytest.fixture(scope="module")
def stream(golden_codec) -> bytes:
    return golden_codec.encode(picture())


def same(latent, other) -> None:
    assert latent.received == other.received
    assert latent.total == other.total
    assert latent.bits == other.bits
    np.testing.assert_array_equal(latent.z, other.z)
    np.testing.assert_array_equal(latent.q, other.q)
    torch.testing.assert_close(latent.y, other.y, rtol=1e-5, atol=1e-4)


def outcome(read):
    """The integers of a stream, or the name of what is wrong with it."""
    try:
        latent = read()
    except CorruptError:
        return "CorruptError"
    return latent.received, latent.z.tobytes(), latent.q.tobytes()


def in_pieces(codec: Codec, data: bytes, size: int):
    decoder = StreamDecoder(codec=codec)
    for start in range(0, len(data), size):
        decoder.feed(data[start : start + size])
    return decoder.latent()


def test_damage_under_right_checksums_has_one_answer_whole_cut_and_in_pieces(golden_codec):
    """And what is wrong with a cut is wrong with whatever continues it."""
    random = np.random.default_rng(0)
    sound = container.parse(golden_codec.encode(picture(0, 20, 33)))
    found = set()
    for _ in range(40):
        payloads = [bytearray(segment.payload) for segment in sound.segments]
        payload = payloads[random.integers(len(payloads))]
        if random.random() < 0.5 and payload:
            payload[random.integers(len(payload))] ^= 1 << random.integers(8)
        else:
            payload += random.bytes(random.integers(1, 6))
        data = container.write(sound.header, payloads)
        whole = outcome(lambda data=data: golden_codec.decode_latent(data))
        for size in (1, 7, 64):
            assert outcome(lambda data=data, n=size: in_pieces(golden_codec, data, n)) == whole
        cut = data[: random.integers(sound.header_size, len(data))]
        part = outcome(lambda cut=cut: golden_codec.decode_latent(cut))
        assert outcome(lambda cut=cut: in_pieces(golden_codec, cut, 5)) == part
        assert whole == "CorruptError" or part != "CorruptError"
        found.add(whole if isinstance(whole, str) else "sound")
    assert "CorruptError" in found


@pytest.mark.parametrize("checksums", [True, False])
def test_byte_by_byte_events_only_go_forward(golden_codec, checksums):
    data = golden_codec.encode(picture(1, 20, 33), checksums=checksums)
    decoder = StreamDecoder(codec=golden_codec)
    events = []
    for n in range(len(data)):
        events += decoder.feed(data[n : n + 1])
        if decoder.header is not None:
            same(decoder.latent(), golden_codec.decode_latent(data[: n + 1]))
    assert isinstance(events[0], HeaderKnown) and events[0].header.width == 33
    completed = [event.level for event in events if isinstance(event, LevelComplete)]
    assert completed == list(LEVELS)
    whole = golden_codec.decode_latent(data)
    counts: dict[str, list[int]] = {}
    for event in events:
        if isinstance(event, SymbolsArrived):
            counts.setdefault(event.segment, []).append(event.received)
    assert list(counts) == ["hyperlatent", *LEVELS]
    for rising, total in zip(counts.values(), whole.total, strict=True):
        assert rising == sorted(set(rising)) and rising[-1] == total
    assert decoder.complete and decoder.received_level == "fine"
    assert decoder.picture().tobytes() == golden_codec.decode(data).tobytes()


def test_no_symbol_is_decoded_twice(golden_codec, stream, monkeypatch):
    from progcodec.bitstream import rangecoder

    decoded = []
    original = rangecoder.SegmentReader._decode

    def count(self, payload):
        symbols = original(self, payload)
        decoded.append(len(symbols))
        return symbols

    monkeypatch.setattr(rangecoder.SegmentReader, "_decode", count)
    decoder = StreamDecoder(codec=golden_codec)
    for start in range(0, len(stream), 7):
        decoder.feed(stream[start : start + 7])
        if start % 35 == 0 and decoder.header:
            decoder.picture()
    assert sum(decoded) == sum(decoder.latent().total)


def test_over_a_header_alone_no_network_runs(golden_codec):
    seen, networks = [], (golden_codec.walker.synthesis, golden_codec.walker.mean_path.context)
    hooks = [
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[2:]))
        for network in networks
    ]
    head = container.Header(3000, 2000, golden_codec.fingerprint).to_bytes()
    decoder = StreamDecoder(codec=golden_codec)
    decoder.feed(head)
    latent, picture = golden_codec.decode_latent(head), golden_codec.decode(head)
    same(decoder.latent(), latent)
    pictures = [picture, decoder.picture(), golden_codec.synthesise([latent])[0]]
    assert {(one.size, tuple(one.getcolors()[0])) for one in pictures} == {
        ((3000, 2000), tuple(picture.getcolors()[0]))
    }
    assert latent.y.shape[2:] == (125, 188) and latent.y.untyped_storage().nbytes() < 10_000
    for hook in hooks:
        hook.remove()
    assert seen and max(map(max, seen)) == 4


FOREIGN = container.Header(16, 16, bytes(4)).to_bytes()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x89PNG", NotShcError),
        (STREAM[:6] + bytes(4) + STREAM[10:], CorruptError),
        (FOREIGN, WrongModelError),
        (STREAM + b"!", CorruptError),
        (flipped(STREAM, len(STREAM) // 2, 0x55), CorruptError),
        (container.Header(2000, 100, CODEC.fingerprint).to_bytes(), LimitError),
    ],
)
def test_bad_streams_fail_as_soon_as_they_can_and_stay_failed(data, error):
    decoder = StreamDecoder(codec=CODEC, max_pixels=100_000)
    with pytest.raises(error):
        for start in range(0, len(data), 50):
            decoder.feed(data[start : start + 50])
    with pytest.raises(error):
        decoder.feed(b"more")


def test_an_asyncio_reader():
    async def play() -> list:
        reader = asyncio.StreamReader()
        decoder = StreamDecoder(model=str(TINY), device="cpu")
        reader.feed_data(STREAM)
        reader.feed_eof()
        return [event async for event in decoder.events(reader)]

    events = asyncio.run(play())
    assert isinstance(events[0], HeaderKnown) and events[-1] == LevelComplete("fine")


def test_the_answer_while_it_arrives():
    judge = Fixed(lambda latent: [1] * 23 + [1 + 1000 * latent.received[1]] + [1] * 976, 1000)
    decoder = StreamDecoder(codec=CODEC)
    decoder.feed(STREAM[:20])
    assert not decoder.classify(classifier=judge).sure
    decoder.feed(STREAM[20:])
    assert decoder.classify(classifier=judge, top=1).top[0].index == 23


def test_a_level_is_all_that_is_taken(golden_codec, stream):
    end = len(truncate(stream, level="coarse"))
    for size in (1, 13, len(stream)):
        decoder = StreamDecoder(codec=golden_codec, level="coarse")
        for start in range(0, len(stream), size):
            decoder.feed(stream[start : start + size])
            assert decoder.finished == (start + size >= end)
        assert decoder.size == end and decoder.received_level == "coarse" and not decoder.complete
        same(decoder.latent(), golden_codec.decode_latent(stream[:end]))
    with pytest.raises(ValueError, match="unknown level"):
        StreamDecoder(codec=golden_codec, level="hyperlatent")
