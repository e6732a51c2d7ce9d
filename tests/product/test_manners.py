"""A guest in another program: nothing of the process is changed, and nothing that the process has
set changes a byte of a stream, but for a lower precision of products.
"""

import contextlib
import copy
import io
import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import progcodec
from progcodec.bitstream.container import Header
from progcodec.codec.codec import Codec
from progcodec.errors import CorruptError, ImageError, LimitError
from progcodec.image import open_image
from tests.conftest import noise_image
from tests.support.rounding import assert_same_picture

PICTURE = noise_image(40, 56)
PATIENCE = 120
"""Seconds after which what should be done at once counts as hung."""


def state() -> dict[str, object]:
    """What a program may have set, or counts on."""
    return {
        "default type": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "random state": (torch.get_rng_state().tolist(), str(np.random.get_state())),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "warnings": list(warnings.filters),
        "numpy's errors": np.geterr(),
        "Pillow's limit": Image.MAX_IMAGE_PIXELS,
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
    }


@contextlib.contextmanager
def set_to(get, put, value):
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)


def default_type(value):
    return set_to(torch.get_default_dtype, torch.set_default_dtype, value)


SETTINGS = {
    "nothing": contextlib.nullcontext,
    "float64": lambda: default_type(torch.float64),
    "float16": lambda: default_type(torch.float16),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "no gradients": torch.no_grad,
    "deterministic": lambda: set_to(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "one thread": lambda: set_to(torch.get_num_threads, torch.set_num_threads, 1),
    "numpy raises": lambda: np.errstate(all="raise"),
}


def everything(codec: Codec) -> tuple[bytes, Image.Image, Image.Image]:
    """A stream, its picture, and the picture of its pieces."""
    data = codec.encode(PICTURE)
    decoder = progcodec.StreamDecoder(codec=codec)
    for start in range(0, len(data), 700):
        decoder.feed(data[start : start + 700])
    return data, codec.decode(data), decoder.picture()


def assert_same(found: tuple, wanted: tuple) -> None:
    """The very stream; threads and precision may round pixels otherwise."""
    assert found[0] == wanted[0]
    for picture, expected in zip(found[1:], wanted[1:], strict=True):
        assert_same_picture(picture, expected)


@pytest.fixture(scope="module")
def wanted(tiny_checkpoint):
    return everything(Codec.load(tiny_checkpoint, device="cpu"))


@pytest.mark.parametrize("when", ["load", "use"])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_process_change_nothing_and_stay(name, when, tiny_checkpoint, wanted):
    before_load, before_use = (SETTINGS[name], contextlib.nullcontext)[
        :: 1 if when == "load" else -1
    ]
    with before_load():
        codec = Codec.load(tiny_checkpoint, device="cpu")
    with before_use():
        found = state()
        assert_same(everything(codec), wanted)
        assert state() == found


def test_low_precision_products_change_what_is_encoded_and_never_what_a_stream_holds(
    tiny_checkpoint,
):
    """A process that asks torch for it gets other symbols on processors with bfloat16 arithmetic:
    analysis rounds, within 3 % of the stream's length here. What is read must not depend on it.
    """
    codec = Codec.load(tiny_checkpoint, device="cpu")
    data = codec.encode(PICTURE)
    with set_to(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"):
        found = state()
        rounded = codec.encode(PICTURE)
        latents = [codec.decode_latent(stream) for stream in (data, rounded)]
        assert state() == found
    assert abs(len(rounded) - len(data)) < 0.03 * len(data)
    for stream, latent in zip((data, rounded), latents, strict=True):
        wanted = codec.decode_latent(stream)
        assert np.array_equal(latent.q, wanted.q) and np.array_equal(latent.z, wanted.z)


def test_loading_and_classifying_leave_everything_as_it_was():
    before = state()
    codec = Codec.load(device="cpu")
    data = codec.encode(PICTURE)
    progcodec.classify(data, device="cpu")
    assert state() == before


@pytest.mark.parametrize("name", ["float64", "bfloat16", "meta", "autocast", "inference"])
def test_answers_do_not_depend_on_the_settings_either(name):
    from progcodec.classification.classifier import load_classifier

    codec = Codec.load(device="cpu")
    latent = codec.decode_latent(codec.encode(PICTURE))
    wanted = load_classifier(None, "cpu").probabilities(codec, [latent])
    with SETTINGS[name]():
        found = load_classifier(None, "cpu").probabilities(codec, [latent])
    assert np.array_equal(found, wanted)


def test_a_latent_may_go_into_a_programs_own_training(tiny_codec):
    data = tiny_codec.encode(PICTURE)
    with torch.autocast("cpu", torch.bfloat16):
        latent = tiny_codec.decode_latent(data)
    assert latent.y.dtype == torch.float32
    weight = torch.ones((), requires_grad=True)
    (latent.y * weight).sum().backward()
    assert weight.grad == latent.y.sum()
    assert tiny_codec.synthesise([latent])[0].tobytes() == tiny_codec.decode(data).tobytes()


# --- processes and threads --------------------------------------------------------------------


def test_a_codec_in_use_is_copied_and_pickled(tiny_codec, wanted):
    assert_same(everything(tiny_codec), wanted)
    for twin in (copy.deepcopy(tiny_codec), pickle.loads(pickle.dumps(tiny_codec))):
        assert_same(everything(twin), wanted)


@pytest.mark.parametrize("level", [None, "coarse"])
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_decoder_goes_on_as_its_copy_at_any_byte(tiny_codec, twin, level):
    data = tiny_codec.encode(PICTURE)
    decoder = progcodec.StreamDecoder(codec=tiny_codec, level=level)
    for byte in range(len(data)):
        if byte % 97 in (0, 5):
            other, decoder = decoder, twin(decoder)
            assert repr(decoder) == repr(other)
        decoder.feed(data[byte : byte + 1])
    assert decoder.picture().tobytes() == tiny_codec.decode(data, level=level).tobytes()
    if level is None:
        with pytest.raises(CorruptError):
            decoder.feed(b"!")
        with pytest.raises(CorruptError):
            twin(decoder).feed(b"")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_every_kind_take_a_codec(tiny_codec, wanted, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    everything(tiny_codec)
    with multiprocessing.get_context(method).Pool(1, torch.set_num_threads, (1,)) as pool:
        assert_same(pool.apply_async(everything, (tiny_codec,)).get(PATIENCE), wanted)


@pytest.fixture
def slow_picture(monkeypatch):
    """A file that Pillow takes long to read, an event that says that it reads, and one that ends
    it.
    """
    reads, end = threading.Event(), threading.Event()

    def plugin(file, name):
        reads.set()
        assert end.wait(PATIENCE)
        raise SyntaxError

    Image.init()  # what would be registered later would be lost with the patch
    monkeypatch.setitem(Image.OPEN, "SLOW", (plugin, lambda prefix: prefix.startswith(b"slow")))
    monkeypatch.setattr(Image, "ID", ["SLOW", *Image.ID])
    yield b"slow picture", reads, end
    end.set()


def small_file() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def test_nothing_of_the_process_is_other_while_a_thread_reads(slow_picture):
    data, reads, end = slow_picture
    before = state()
    thread = threading.Thread(target=lambda: pytest.raises(ImageError, open_image, data))
    thread.start()
    assert reads.wait(PATIENCE)
    assert state() == before
    with warnings.catch_warnings():  # one that ends after the reading has ended
        Image.MAX_IMAGE_PIXELS, kept = 12_345, Image.MAX_IMAGE_PIXELS
        assert open_image(small_file()).size == (8, 8)
        end.set()
        thread.join()
        assert Image.MAX_IMAGE_PIXELS == 12_345
        Image.MAX_IMAGE_PIXELS = kept
    assert state() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_reads_while_a_thread_of_its_parent_did(slow_picture):
    data, reads, _ = slow_picture
    threading.Thread(target=lambda: pytest.raises(ImageError, open_image, data)).start()
    assert reads.wait(PATIENCE)
    if not (child := os.fork()):
        open_image(small_file())
        os._exit(0)
    for _ in range(10 * PATIENCE):
        if (done := os.waitpid(child, os.WNOHANG)) != (0, 0):
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert done == (child, 0)


# --- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [np.int64(3), np.int8(-7), np.uint8(0)])
def test_integers_of_numpy_are_integers(tiny_codec, quality):
    assert tiny_codec.encode(PICTURE, quality=quality) == tiny_codec.encode(
        PICTURE, quality=int(quality)
    )


@pytest.mark.parametrize("quality", [3.0, "3", True, None, np.float32(1), 8, np.int64(-8)])
def test_what_is_no_quality(tiny_codec, quality):
    with pytest.raises(ValueError, match="quality must be an integer from -7 to 7"):
        tiny_codec.encode(PICTURE, quality=quality)


def test_anything_that_holds_bytes_is_a_stream(tiny_codec):
    data = tiny_codec.encode(PICTURE)
    data = data[: len(data) // 2 * 2]
    wanted = tiny_codec.decode(data).tobytes()
    wide = np.frombuffer(data, np.uint16)
    for form in (bytearray(data), memoryview(data), wide.view(np.uint8), memoryview(wide), wide):
        assert tiny_codec.decode(form).tobytes() == wanted
        assert progcodec.truncate(form, max_bytes=100) == data[:100]
        assert progcodec.info(form) == progcodec.info(data)
        decoder = progcodec.StreamDecoder(codec=tiny_codec)
        decoder.feed(form)
        assert decoder.size == len(data) and decoder.picture().tobytes() == wanted


@pytest.mark.parametrize("what", ["photo.shc", None, 3, io.BytesIO(b"")])
def test_what_holds_no_bytes_is_told_at_once(tiny_codec, what):
    decoder = progcodec.StreamDecoder(codec=tiny_codec)
    for call in (
        progcodec.decode, progcodec.classify, progcodec.info, tiny_codec.decode, decoder.feed,
        lambda data: progcodec.truncate(data, max_bytes=100),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="a .shc stream is bytes, not"):
            call(what)
    assert decoder.size == 0
    decoder.feed(tiny_codec.encode(PICTURE))
    assert decoder.complete


def test_no_limit_of_pixels(tiny_codec):
    data = tiny_codec.encode(PICTURE, max_pixels=None)
    assert tiny_codec.decode(data, max_pixels=None).size == (56, 40)
    assert progcodec.StreamDecoder(codec=tiny_codec, max_pixels=None).feed(data)
    assert open_image(small_file(), max_pixels=None).size == (8, 8)


@pytest.mark.parametrize(("width", "height"), [(1, 1000), (1000, 1), (15, 1000), (16, 1000)])
def test_limits_are_about_the_work(tiny_codec, width, height):
    """Sides are padded to 16: a picture of 1 × N costs as 16 × N, and so it counts."""
    data = tiny_codec.encode(np.zeros((height, width, 3), np.uint8), max_pixels=16_000)
    assert tiny_codec.decode(data, max_pixels=16_000).size == (width, height)
    for refused in (
        lambda: tiny_codec.encode(np.zeros((height, width, 3), np.uint8), max_pixels=15_999),
        lambda: tiny_codec.decode(data, max_pixels=15_999),
        lambda: progcodec.StreamDecoder(codec=tiny_codec, max_pixels=15_999).feed(data),
    ):
        with pytest.raises(LimitError):
            refused()


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_far_more_padding_than_picture_is_refused(tiny_codec, turned):
    def header(*size: int) -> bytes:
        return Header(*size[:: -1 if turned else 1], tiny_codec.fingerprint).to_bytes()

    for size in ((1, 70_000), (15, 1_048_577), (1, 1_000_000)):
        with pytest.raises(
            LimitError, match=r"too thin: padded to [\d,]+, they would cost \d+ times"
        ):
            tiny_codec.decode(header(*size))
        with pytest.raises(LimitError, match="too thin"):
            progcodec.StreamDecoder(codec=tiny_codec).feed(header(*size))
    with pytest.raises(LimitError, match="too thin"):
        tiny_codec.encode(np.zeros((1, 70_000, 3), np.uint8))
    for size in ((1, 69_000), (15, 1_000_000), (16, 2_000_000)):
        assert set(tiny_codec.decode(header(*size)).size) == set(size)


def test_the_pixels_of_a_picture_inside_an_icon_count():
    inner = small_file()
    entry = (
        bytes([8, 8, 0, 0, 1, 0, 32, 0]) + len(inner).to_bytes(4, "little") + bytes([22, 0, 0, 0])
    )
    icon = bytes([0, 0, 1, 0, 1, 0]) + entry + inner
    assert open_image(icon, max_pixels=64).size == (8, 8)
    with pytest.raises(LimitError):
        open_image(icon, max_pixels=63)
