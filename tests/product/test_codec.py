"""The walk, end to end: any cut gives exactly the encoder's symbols, and floats never
decide a bit.
"""

import numpy as np
import pytest
import torch
from PIL import Image

import progcodec
from progcodec.api import decode, encode
from progcodec.bitstream import container, ordering
from progcodec.bitstream.rangecoder import coded_bits
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.codec.timing import stage_times
from progcodec.config import LEVELS
from progcodec.cut import Cut
from progcodec.errors import CheckpointError, ImageError, LimitError, WrongModelError
from progcodec.network.checkpoint import Checkpoint
from tests.conftest import noise_image

UNUSED_MAX = 8
"""Bytes that a cut may leave unused."""


def symbols_in_order(
    codec: Codec, whole: Latent, segment: int
) -> tuple[np.ndarray, np.ndarray, list]:
    """(order, symbols in it, runs) of one segment, worked out again from a complete latent.

    The order counts from the segment's first symbol.
    """
    if segment == 0:
        size = whole.z.shape[1:]
        order = ordering.hyper_coding_order(codec.walker.hyper_order, *size)
        return (
            order,
            ordering.gather(whole.z, order),
            ordering.hyper_runs(codec.walker.hyper_order, *size),
        )
    config, path = codec.config, codec.walker.scale_path
    start, end = config.level_offsets[segment - 1 : segment + 1]
    orders, runs = [], []
    with torch.inference_mode():
        features = path.features(torch.from_numpy(whole.z)[None].float(), *whole.q.shape[1:])
        for k in range(sum(config.steps[: segment - 1]), sum(config.steps[:segment])):
            first = config.offsets[k]
            earlier = torch.from_numpy(whole.q[:first])[None].float() if k else None
            indexes = path.index(k, features, earlier)[0].to(torch.uint8).numpy()
            orders.append(ordering.coding_order(indexes) + whole.q[start:first].size)
            runs += ordering.runs(indexes)
    order = np.concatenate(orders)
    return order, ordering.gather(whole.q[start:end], order), runs


class Truth:
    """What an encoder wrote: stream, symbols of each segment in coding order."""

    def __init__(self, codec: Codec, image: object, checksums: bool = True) -> None:
        self.codec = codec
        self.data = codec.encode(image, checksums=checksums)
        self.latent = codec.decode_latent(self.data)
        self.segments = [symbols_in_order(codec, self.latent, s) for s in range(4)]
        self.stream = container.parse(self.data)

    def check(self, length: int) -> Latent:
        """The prefix of that length holds exactly the first symbols, and leaves at most 8 payload
        bytes unused.
        """
        data = self.data[:length]
        got = self.codec.decode_latent(data)
        parsed = container.parse(data)
        for s, (order, symbols, runs) in enumerate(self.segments):
            n = got.received[s]
            levels = self.codec.config.level_offsets
            values = got.z if s == 0 else got.q[levels[s - 1] : levels[s]]
            expected = np.zeros_like(symbols)
            expected[:n] = symbols[:n]
            assert np.array_equal(ordering.gather(values, order), expected), (length, s)
            if s < len(parsed.segments):
                segment = parsed.segments[s]
                if segment.complete:
                    assert n == len(symbols), (length, s)
                elif n < len(symbols):
                    tables = self.codec.walker.hyper_tables if s == 0 else self.codec.walker.tables
                    unused = len(segment.payload) - coded_bits(symbols[:n], runs, tables) / 8
                    assert unused <= UNUSED_MAX, (length, s, unused)
            else:
                assert n == 0
        return got


def test_symbols_are_those_of_the_encoder(golden_codec, small_photograph):
    """The encoder's own integers, caught on their way into the range coder."""
    written = [part.symbols for part in golden_codec.coded_segments([small_photograph])[0]]
    truth = Truth(golden_codec, small_photograph)
    for mine, (_, symbols, _) in zip(written, truth.segments, strict=True):
        assert np.array_equal(mine, symbols)
    # a test of all-zero blocks would prove little
    assert sum(len(np.unique(s)) > 1 for s in written) >= 3


@pytest.mark.parametrize("checksums", [True, False])
def test_every_cut_of_a_small_image(golden_codec, small_photograph, checksums):
    truth = Truth(golden_codec, small_photograph, checksums)
    counts = [
        sum(truth.check(n).received) for n in range(truth.stream.header_size, len(truth.data) + 1)
    ]
    assert counts == sorted(counts)
    assert counts[0] == 0 and counts[-1] == sum(truth.latent.total)


def test_pixels_of_a_few_cuts(golden_codec, small_photograph):
    """A cut equals q = 0 in everything after it, also in pixels."""
    truth = Truth(golden_codec, small_photograph)
    for n in np.linspace(truth.stream.header_size, len(truth.data), 6).astype(int):
        latent = truth.check(int(n))
        picture = golden_codec.decode(truth.data[:n])
        assert picture.size == (77, 50)
        assert np.array_equal(np.asarray(golden_codec.synthesise([latent])[0]), np.asarray(picture))


def test_300_cuts_of_a_kodak_image(kodak):
    codec = Codec.load(device="cpu")
    truth = Truth(codec, kodak[4])
    random = np.random.default_rng(0)
    lengths = set(random.integers(truth.stream.header_size, len(truth.data) + 1, 240).tolist())
    for segment in truth.stream.segments:  # torn lengths and torn checksums, byte by byte
        lengths |= set(range(segment.start, segment.payload_start + 4)) | set(
            range(segment.end - 7, segment.end + 1)
        )
    while len(lengths) < 300:
        lengths.add(int(random.integers(truth.stream.header_size, len(truth.data))))
    received = [sum(truth.check(n).received) for n in sorted(lengths)]
    assert received == sorted(received) and len(received) >= 300


def test_levels_and_budgets_are_prefixes(golden_codec, small_photograph):
    data = golden_codec.encode(small_photograph)
    stream = container.parse(data)
    for k, level in enumerate(LEVELS):
        end = stream.segments[k + 1].end
        assert Cut(level).apply(data) == data[:end]
        at_level = np.asarray(golden_codec.decode(data, level=level))
        assert np.array_equal(at_level, np.asarray(golden_codec.decode(data[:end])))
        assert np.array_equal(at_level, np.asarray(golden_codec.decode(data, max_bytes=end)))


@pytest.fixture
def noisy_mean_path(golden_codec):
    """Adds relative noise of 1e-3 to the output of every module of the mean path, and counts how
    often it did.
    """
    generator = torch.Generator().manual_seed(3)
    hits = []

    def disturb(module, inputs, output):
        hits.append(module)
        return output * (1 + 1e-3 * (2 * torch.rand(output.shape, generator=generator) - 1))

    handles = [
        m.register_forward_hook(disturb)
        for m in golden_codec.walker.mean_path.modules()
        if m is not golden_codec.walker.mean_path
    ]
    original = golden_codec.walker.mean_path.mean

    def noisy_mean(*args):
        mean = original(*args)
        return disturb(None, None, mean)

    golden_codec.walker.mean_path.mean = noisy_mean
    yield hits
    del golden_codec.walker.mean_path.mean
    for handle in handles:
        handle.remove()


def test_noise_in_the_mean_path_changes_no_symbol(golden_codec, small_photograph, request):
    data = golden_codec.encode(small_photograph)
    clean = golden_codec.decode_latent(data)
    hits = request.getfixturevalue("noisy_mean_path")
    noisy = golden_codec.decode_latent(data)
    assert len(hits) > 20
    assert np.array_equal(clean.q, noisy.q) and np.array_equal(clean.z, noisy.z)
    assert not torch.equal(clean.y, noisy.y)  # the noise did arrive
    for n in range(40, len(data), 97):
        part = golden_codec.decode_latent(data[:n])
        assert np.array_equal(part.q[part.q != 0], clean.q[part.q != 0])


def test_threads_batches_and_memory_format_change_no_symbol(
    golden_codec, golden_checkpoint, photograph
):
    images = [photograph.crop((80 * i, 60, 80 * i + 80, 132)) for i in range(4)]
    alone = [golden_codec.encode(image) for image in images]
    latents = [golden_codec.decode_latent(data) for data in alone]
    together = golden_codec.decode_latents(alone)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        other = [golden_codec.decode_latent(data) for data in alone]
    finally:
        torch.set_num_threads(threads)
    plain = Codec.load(golden_checkpoint, device="cpu")
    for network in (
        plain.walker.analysis,
        plain.walker.synthesis,
        plain.walker.hyper_analysis,
        plain.walker.mean_path,
    ):
        network.to(memory_format=torch.contiguous_format)
    contiguous = [plain.decode_latent(data) for data in alone]
    for first, *rest in zip(latents, together, other, contiguous, strict=True):
        for latent in rest:
            assert np.array_equal(first.q, latent.q) and np.array_equal(first.z, latent.z)
    for data, latent in zip(golden_codec.encode_batch(images), latents, strict=True):
        again = golden_codec.decode_latent(data)
        # the encoder may round a tie elsewhere; its own stream decodes
        assert (again.q != latent.q).mean() < 0.01


def test_a_batch_of_streams_cut_differently(golden_codec, photograph):
    images = [photograph.crop((80 * i, 60, 80 * i + 80, 132)) for i in range(4)]
    streams = [data[: 30 + 150 * i] for i, data in enumerate(golden_codec.encode_batch(images))]
    for data, latent in zip(streams, golden_codec.decode_latents(streams), strict=True):
        alone = golden_codec.decode_latent(data)
        assert latent.received == alone.received and np.array_equal(latent.q, alone.q)
        torch.testing.assert_close(latent.y, alone.y, rtol=1e-4, atol=1e-4)


def test_the_integer_path_never_sees_a_partly_received_block(
    golden_codec, small_photograph, monkeypatch
):
    truth = Truth(golden_codec, small_photograph)
    seen = []
    path = golden_codec.walker.scale_path
    features, index = path.features, path.index
    monkeypatch.setattr(
        path, "features", lambda z, *size: seen.append(("z", z)) or features(z, *size)
    )
    monkeypatch.setattr(
        path, "index", lambda k, f, q, *rest: seen.append((k, q)) or index(k, f, q, *rest)
    )
    for n in range(truth.stream.header_size, len(truth.data) + 1, 13):
        seen.clear()
        golden_codec.decode_latent(truth.data[:n])
        for kind, tensor in seen:
            if kind == "z":
                assert np.array_equal(tensor[0].numpy(), truth.latent.z)
            elif tensor is not None:
                assert np.array_equal(tensor[0].numpy(), truth.latent.q[: tensor.shape[1]])


def ideal_bytes(codec: Codec, image: object, quality: int = 0) -> float:
    """What a perfect coder would take, by the tables' probabilities."""
    (segments,) = codec.coded_segments([image], quality=quality)
    return sum(float(segment.bits.sum()) for segment in segments) / 8


def test_real_size_is_the_estimate(golden_codec, photograph):
    image = photograph.resize((256, 171))
    size = len(golden_codec.encode(image, checksums=False))
    assert size <= 1.005 * ideal_bytes(golden_codec, image) + 32


def test_real_size_is_the_estimate_with_the_shipped_model(photograph):
    codec = Codec.load(device="cpu")
    size = len(codec.encode(photograph, checksums=False))
    assert size <= 1.005 * ideal_bytes(codec, photograph) + 32


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 70), (70, 1), (16, 16), (17, 15), (64, 64), (65, 129)]
)
def test_odd_sizes_come_back(tiny_codec, size):
    image = Image.fromarray(noise_image(size[1], size[0]))
    decoded = tiny_codec.decode(tiny_codec.encode(image))
    assert decoded.size == size and decoded.mode == "RGB"


def test_arrays_tensors_and_pictures_are_one(tiny_codec, small_photograph):
    array = np.asarray(small_photograph)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255
    assert (
        tiny_codec.encode(array) == tiny_codec.encode(small_photograph) == tiny_codec.encode(tensor)
    )


def test_module_functions(tiny_checkpoint, small_photograph):
    data = encode(small_photograph, model=tiny_checkpoint, device="cpu")
    assert decode(data, model=tiny_checkpoint, device="cpu").size == small_photograph.size
    assert encode(small_photograph, model=tiny_checkpoint, device="cpu", max_bytes=60) == data[:60]
    assert progcodec.truncate(data, max_bytes=60) == data[:60]
    assert progcodec.info(data).width == 77
    with pytest.raises(WrongModelError):
        decode(data)  # the tiny model does not come with the package
    with pytest.raises(WrongModelError):
        decode(encode(small_photograph), model=tiny_checkpoint)


def test_the_shipped_model_is_found_by_fingerprint(small_photograph):
    data = encode(small_photograph)
    assert decode(data).size == small_photograph.size
    assert decode(data[:40]).size == small_photograph.size


def test_limits_come_before_work(tiny_codec):
    with pytest.raises(LimitError):
        tiny_codec.encode(np.zeros((100, 100, 3), np.uint8), max_pixels=9999)
    data = tiny_codec.encode(np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(LimitError):
        tiny_codec.decode(data, max_pixels=9999)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float64), np.zeros((4, 4, 4), np.uint8), "a path", None]
)
def test_not_an_image(tiny_codec, image):
    with pytest.raises(ImageError):
        tiny_codec.encode(image)


@pytest.mark.parametrize("network", ["analysis.", "hyper_analysis.", "mean_path."])
def test_a_model_whose_numbers_overflow_is_told(tiny_checkpoint, small_photograph, network):
    """All weights are sound numbers; what they make of a picture is none."""
    checkpoint = Checkpoint.load(tiny_checkpoint)
    for name in [
        name
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(network) and tensor.is_floating_point()
    ]:
        checkpoint.tensors[name] = checkpoint.tensors[name].float() * 1e30
    with pytest.raises(CheckpointError, match="overflow"):
        Codec(checkpoint, "cpu").encode(small_photograph)


def test_batches_need_one_size(tiny_codec):
    images = [noise_image(20, 20), noise_image(20, 21)]
    with pytest.raises(ImageError):
        tiny_codec.encode_batch(images)
    with pytest.raises(ImageError):
        tiny_codec.decode_batch([tiny_codec.encode(image) for image in images])
    assert tiny_codec.encode_batch([]) == [] == tiny_codec.decode_batch([])


def test_stages_are_timed(tiny_codec, small_photograph):
    with stage_times() as times:
        tiny_codec.decode(tiny_codec.encode(small_photograph))
    assert set(times) == {
        "transform",
        "mean path",
        "scale path",
        "ordering",
        "range coding",
        "container",
    }
    assert all(seconds > 0 for seconds in times.values())
