"""The walk, end to end: any cut gives exactly the encoder's symbols, and floats never
decide a bit.
"""

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import progcodec
from progcodec.api import decode, encode
from progcodec.bitstream import container, ordering
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.codec.timing import stage_times
from progcodec.config import LEVELS, QUALITY_MAX
from progcodec.cut import Cut
from progcodec.errors import CheckpointError, ImageError, WrongModelError
from progcodec.network.checkpoint import Checkpoint
from tests.conftest import GOLDEN, noise_image
from tests.support.segments import coded_bits

UNUSED_MAX = 8
"""Bytes that a cut may leave unused."""


def symbols_in_order(
    codec: Codec, whole: Latent, segment: int
) -> tuple[np.ndarray, np.ndarray, list]:
    """(order, symbols in it, runs) of one segment, worked out again from a complete latent.

    The order counts from the segment's first symbol.
    """
    if segment == 0:
        hyper, z = codec.walker.hyper, np.zeros((1, *whole.z.shape), np.int8)
        orders, parts, runs = [], [], []
        for step in hyper.steps(*whole.z.shape[1:]):
            guess = hyper.guess(z, step)
            symbols = guess.symbols(whole.z[None])
            guess.put(z, symbols)
            order, own = hyper.coding_order(guess.rows[0])
            orders.append(step.places[order])
            parts.append(symbols[0, order].astype(np.int32))
            runs += own
        return np.concatenate(orders), np.concatenate(parts), runs
    config, path = codec.config, codec.walker.scale_path
    start, end = config.level_offsets[segment - 1 : segment + 1]
    orders, runs = [], []
    with torch.inference_mode():
        features = path.features(torch.from_numpy(whole.z)[None].float(), *whole.q.shape[1:])
        for k in range(sum(config.steps[: segment - 1]), sum(config.steps[:segment])):
            first = config.offsets[k]
            earlier = torch.from_numpy(whole.q[:first])[None].float() if k else None
            indexes = path.index(k, features, earlier)[0].to(torch.uint8).numpy()
            table = codec.walker.priorities
            own = None if table is None else table[first : first + config.blocks[k]]
            order, found = ordering.coding_order(indexes, own)
            orders.append(order + whole.q[start:first].size)
            runs += found
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
            expected = np.zeros(values.shape, np.int32)
            ordering.place(symbols[:n], order, expected)
            if s == 0:
                expected = self.codec.walker.hyper.restored(expected[None])[0]
            assert np.array_equal(values, expected), (length, s)
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
def test_every_cut_of_a_small_image(golden_codec, photograph, checksums):
    truth = Truth(golden_codec, photograph.resize((50, 33)), checksums)
    sizes = range(truth.stream.header_size, len(truth.data) + 1)
    counts = [sum(truth.check(n).received) for n in sizes]
    assert counts == sorted(counts)
    assert counts[0] == 0 and counts[-1] == sum(truth.latent.total)


def test_300_cuts_of_a_kodak_image(kodak):
    truth = Truth(Codec.load(device="cpu"), kodak[4])
    random, start, size = np.random.default_rng(0), truth.stream.header_size, len(truth.data)
    lengths = set(random.integers(start, size + 1, 240).tolist())
    for segment in truth.stream.segments:  # torn lengths and torn checksums, byte by byte
        lengths |= {*range(segment.start, segment.payload_start + 4)}
        lengths |= {*range(segment.end - 7, segment.end + 1)}
    while len(lengths) < 300:
        lengths.add(int(random.integers(start, size)))
    received = [sum(truth.check(n).received) for n in sorted(lengths)]
    assert received == sorted(received) and len(received) >= 300


def test_levels_and_budgets_are_prefixes(golden_codec, small_photograph):
    data = golden_codec.encode(small_photograph)
    for level, segment in zip(LEVELS, container.parse(data).segments[1:], strict=True):
        cut = data[: segment.end]
        assert Cut(level).apply(data) == cut
        wanted = golden_codec.decode(cut).tobytes()
        for options in ({"level": level}, {"max_bytes": segment.end}):
            assert golden_codec.decode(data, **options).tobytes() == wanted


def test_noise_in_the_mean_path_changes_no_symbol(golden_codec, small_photograph, monkeypatch):
    """Relative noise of 1e-3 on the output of each of its modules, at every quality."""
    generator, hits = torch.Generator().manual_seed(3), []
    mean_path = golden_codec.walker.mean_path
    mean = mean_path.mean

    def disturbed(output):
        hits.append(output)
        return output * (1 + 1e-3 * (2 * torch.rand(output.shape, generator=generator) - 1))

    def noisy(data: bytes) -> Latent:
        modules = [module for module in mean_path.modules() if module is not mean_path]
        handles = [m.register_forward_hook(lambda *given: disturbed(given[2])) for m in modules]
        with monkeypatch.context() as patch:
            patch.setattr(mean_path, "mean", lambda *given: disturbed(mean(*given)), raising=False)
            latent = golden_codec.decode_latent(data)
        for handle in handles:
            handle.remove()
        return latent

    for quality in range(-QUALITY_MAX, QUALITY_MAX + 1):
        data = golden_codec.encode(small_photograph, quality=quality)
        clean, other = golden_codec.decode_latent(data), noisy(data)
        assert len(hits) > 20 and not torch.equal(clean.y, other.y)  # the noise did arrive
        assert np.array_equal(clean.q, other.q) and np.array_equal(clean.z, other.z)
    for n in range(40, len(data), 97):
        part = noisy(data[:n])
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
    walker = plain.walker
    for network in (walker.analysis, walker.synthesis, walker.hyper_analysis, walker.mean_path):
        network.to(memory_format=torch.contiguous_format)
    contiguous = [plain.decode_latent(data) for data in alone]
    for first, *rest in zip(latents, together, other, contiguous, strict=True):
        for latent in rest:
            assert np.array_equal(first.q, latent.q) and np.array_equal(first.z, latent.z)
    for data, latent in zip(golden_codec.encode_batch(images), latents, strict=True):
        again = golden_codec.decode_latent(data)
        # the encoder may round a tie elsewhere; its own stream decodes
        assert (again.q != latent.q).mean() < 0.01


def test_the_integer_path_never_sees_a_partly_received_block(
    golden_codec, small_photograph, monkeypatch
):
    truth = Truth(golden_codec, small_photograph)
    seen = []
    path = golden_codec.walker.scale_path
    features, index = path.features, path.index

    def seen_features(z, *size):
        seen.append(("z", z))
        return features(z, *size)

    def seen_index(k, f, q, *rest):
        seen.append((k, q))
        return index(k, f, q, *rest)

    monkeypatch.setattr(path, "features", seen_features)
    monkeypatch.setattr(path, "index", seen_index)
    for n in range(truth.stream.header_size, len(truth.data) + 1, 13):
        seen.clear()
        golden_codec.decode_latent(truth.data[:n])
        for kind, tensor in seen:
            if kind == "z":
                assert np.array_equal(tensor[0].numpy(), truth.latent.z)
            elif tensor is not None:
                assert np.array_equal(tensor[0].numpy(), truth.latent.q[: tensor.shape[1]])


@pytest.mark.parametrize(
    ("name", "quality"), [("tiny", 0), ("steps", 0), ("tiny", -5), ("tiny", 6), (None, 0)]
)
def test_real_size_is_what_the_tables_say(photograph, name, quality):
    codec = Codec.load(GOLDEN / f"{name}.safetensors" if name else None, "cpu")
    image = photograph.resize((256, 171)) if name else photograph
    size = len(codec.encode(image, checksums=False, quality=quality))
    (segments,) = codec.coded_segments([image], quality=quality)
    ideal = sum(float(segment.bits.sum()) for segment in segments) / 8
    assert 0.9 * size < ideal + 32 and size <= 1.005 * ideal + 32


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 70), (70, 1), (16, 16), (17, 15), (64, 64), (65, 129)]
)
def test_odd_sizes_come_back(tiny_codec, size):
    image = Image.fromarray(noise_image(size[1], size[0]))
    decoded = tiny_codec.decode(tiny_codec.encode(image))
    assert decoded.size == size and decoded.mode == "RGB"


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


def test_a_model_file_that_was_replaced_is_loaded_anew(tmp_path, small_photograph):
    model, marks = tmp_path / "model.safetensors", []
    for name in ("tiny", "steps", "tiny"):
        shutil.copy(GOLDEN / f"{name}.safetensors", tmp_path / "new")
        os.utime(tmp_path / "new", (0, 0))
        os.replace(tmp_path / "new", model)
        data = encode(small_photograph, model=model, device="cpu")
        assert decode(data, model=model, device="cpu").size == small_photograph.size
        marks.append(data[6:10])
    assert marks[0] == marks[2] != marks[1]


@pytest.mark.parametrize(("kind", "factor"), [(torch.float32, 1e30), (torch.float64, 1e300)])
@pytest.mark.parametrize("network", ["analysis.", "hyper_analysis.", "mean_path.", "synthesis."])
def test_a_model_whose_numbers_overflow_is_told(
    tiny_checkpoint, small_photograph, network, kind, factor
):
    """All weights are sound numbers; what they make of a picture is none."""
    checkpoint = Checkpoint.load(tiny_checkpoint)
    for name, tensor in checkpoint.tensors.items():
        if name.startswith(network) and tensor.is_floating_point():
            checkpoint.tensors[name] = tensor.to(kind) * factor
    with pytest.raises(CheckpointError, match="overflow"):
        codec = Codec(checkpoint, "cpu")
        codec.decode(codec.encode(small_photograph))


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
    names = "transform, mean path, scale path, ordering, range coding, container"
    assert set(times) == set(names.split(", "))
    assert all(seconds > 0 for seconds in times.values())
