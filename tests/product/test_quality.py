"""Quality: another quantisation step on the same weights.

Exact tables, exact symbols at any cut, nothing changed at 0.
"""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import progcodec
from progcodec.api import StreamDecoder
from progcodec.bitstream import container, ordering
from progcodec.codec.codec import Codec
from progcodec.config import Q_MAX, QUALITY_MAX, SCALE_COUNT, SCALE_MAX, SCALE_MIN
from progcodec.metrics import psnr
from progcodec.network.quality import (
    HEADS,
    MAGNITUDE_STEPS,
    SCALE_RATIO,
    index_map,
    magnitude_table,
    step_numerator,
    step_size,
)
from progcodec.network.scale import ACTIVATION_MAX, ACTIVATION_STEPS
from tests.conftest import GOLDEN, noise_image
from tests.product.test_codec import ideal_bytes
from tests.support.command import run
from tests.support.quality_maps import generate_heads

QUALITIES = range(-QUALITY_MAX, QUALITY_MAX + 1)
STEPS = (
    269697,
    220346,
    180025,
    147083,
    120169,
    98179,
    80214,
    65536,
    53543,
    43745,
    35741,
    29200,
    23857,
    19491,
    15925,
)
"""Frozen: S at qualities -7 to 7."""
CODEC = Codec.load(GOLDEN / "tiny.safetensors", device="cpu")


# --- tables ---------------------------------------------------------------------------------------


def test_steps_are_frozen_and_what_is_said():
    assert tuple(step_numerator(quality) for quality in QUALITIES) == STEPS
    assert Fraction(*SCALE_RATIO) == Fraction(str(SCALE_MAX)) / Fraction(str(SCALE_MIN))
    for quality in QUALITIES:
        assert step_size(quality) == pytest.approx(
            (SCALE_MAX / SCALE_MIN) ** (-2 * quality / 63), rel=1e-4
        )
        assert float(np.float32(step_size(quality))) == step_size(quality)  # exact on every device


def test_magnitudes_are_exact_and_eight_bit():
    assert MAGNITUDE_STEPS == ACTIVATION_STEPS
    for quality in QUALITIES:
        table = magnitude_table(quality)
        assert len(table) == Q_MAX + 1 and table[0] == 0 and max(table) <= ACTIVATION_MAX
        assert list(table) == sorted(table)
        for n, value in enumerate(table):  # value = floor(16 log2(1 + n step)), by fractions
            assert (
                2**value
                <= (1 + n * Fraction(step_numerator(quality), 2**16)) ** 16
                < 2 ** (value + 1)
            )
    assert magnitude_table(0) == tuple(((1 + n) ** 16).bit_length() - 1 for n in range(Q_MAX + 1))


def test_index_maps_are_what_their_generator_makes():
    assert generate_heads() == HEADS
    assert index_map(0) == tuple(range(SCALE_COUNT))
    for quality in QUALITIES:
        row = index_map(quality)
        assert len(row) == SCALE_COUNT
        assert list(row) == sorted(row)
        assert 0 <= row[0]
        assert row[-1] < SCALE_COUNT
        # a shift but for small σ
        assert list(row[24:]) == [min(index + 2 * quality, 63) for index in range(24, 64)]


@pytest.mark.parametrize("quality", [-8, 8, 1.0, True, "3", None])
def test_no_such_quality(quality):
    with pytest.raises(ValueError, match="-7 to 7"):
        CODEC.encode(noise_image(16, 16), quality=quality)


# --- streams --------------------------------------------------------------------------------------


def test_every_quality_has_its_header():
    for quality in QUALITIES:
        header = container.Header(100, 70, b"abcd", quality=quality)
        assert container.parse_header(header.to_bytes()) == header and header.size == 14


@pytest.mark.parametrize("quality", QUALITIES)
def test_noise_in_the_mean_path_changes_no_symbol(
    golden_codec, quality, small_photograph, monkeypatch
):
    data = golden_codec.encode(small_photograph, quality=quality)
    clean = golden_codec.decode_latent(data)
    mean = golden_codec.walker.mean_path.mean
    generator = torch.Generator().manual_seed(3)
    noise = lambda x: x * (1 + 1e-3 * torch.rand(x.shape, generator=generator))
    monkeypatch.setattr(
        golden_codec.walker.mean_path, "mean", lambda *inputs: noise(mean(*inputs)), raising=False
    )
    noisy = golden_codec.decode_latent(data)
    assert not torch.equal(clean.y, noisy.y)
    assert np.array_equal(clean.q, noisy.q)
    assert clean.quality == quality


PICTURES = st.builds(
    lambda height, width, seed, flat: noise_image(height, width, seed) // flat,
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 9), st.sampled_from([1, 8, 64]),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    picture=PICTURES,
    quality=st.sampled_from(QUALITIES),
    share=st.floats(0, 1),
    checksums=st.booleans(),
)
def test_any_cut_of_any_quality_holds_the_first_symbols(
    golden_codec, picture, quality, share, checksums
):
    data = golden_codec.encode(picture, quality=quality, checksums=checksums)
    start = container.parse_header(data).size
    part = data[: start + round(share * (len(data) - start))]
    latent = golden_codec.decode_latent(part)
    offsets = golden_codec.config.level_offsets
    for s, written in enumerate(golden_codec.coded_segments([picture], quality=quality)[0]):
        values = latent.z if s == 0 else latent.q[offsets[s - 1] : offsets[s]]
        expected = np.where(
            np.arange(len(written.symbols)) < latent.received[s], written.symbols, 0
        )
        assert np.array_equal(ordering.gather(values, written.order), expected)
    if share == 1:
        assert latent.received == latent.total
    decoder = StreamDecoder(codec=golden_codec)
    for at in range(0, len(part), 61):
        decoder.feed(part[at : at + 61])
    assert np.array_equal(decoder.latent().q, latent.q)
    assert torch.equal(decoder.latent().y, latent.y)
    assert golden_codec.decode(part).size == picture.shape[1::-1]


def test_quality_0_is_what_was_before(small_photograph):
    assert CODEC.encode(small_photograph, quality=0) == CODEC.encode(small_photograph)
    assert container.parse_header(CODEC.encode(small_photograph)).to_bytes()[5] == 0x09


def test_finer_is_longer_and_nearer(photograph):
    picture = photograph.resize((160, 112))
    files = [CODEC.encode(picture, quality=quality) for quality in QUALITIES]
    near = [psnr(np.asarray(picture), np.asarray(CODEC.decode(data))) for data in files]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    assert near == sorted(near) and near[7] > near[0] + 1
    hyper = {container.parse(data).segments[0].payload for data in files}
    assert len(hyper) == 1  # the hyperlatent is the same at every quality


def test_real_size_is_the_estimate(photograph):
    picture = photograph.resize((256, 171))
    for quality in (-5, 6):
        size = len(CODEC.encode(picture, checksums=False, quality=quality))
        ideal = ideal_bytes(CODEC, picture, quality)
        assert 0.9 * size < ideal + 32 and size <= 1.005 * ideal + 32


def test_a_batch_may_mix_qualities(golden_codec, small_photograph):
    streams = [golden_codec.encode(small_photograph, quality=quality) for quality in (0, -6, 3, 7)]
    streams[2] = streams[2][: len(streams[2]) // 2]
    for data, latent in zip(streams, golden_codec.decode_latents(streams), strict=True):
        alone = golden_codec.decode_latent(data)
        assert np.array_equal(latent.q, alone.q) and latent.quality == alone.quality
        torch.testing.assert_close(latent.y, alone.y, rtol=1e-4, atol=1e-4)
        again = golden_codec.assemble(latent.z[None], latent.q[None], latent.quality)
        torch.testing.assert_close(again, alone.y, rtol=1e-4, atol=1e-4)


# --- where users meet it --------------------------------------------------------------------------


def test_in_the_library(small_photograph, tiny_checkpoint):
    data = progcodec.encode(small_photograph, model=tiny_checkpoint, device="cpu", quality=-3)
    assert progcodec.info(data).quality == -3 and data == CODEC.encode(small_photograph, quality=-3)
    assert progcodec.truncate(data, max_bytes=60) == data[:60]
    assert progcodec.info(data[:60]).quality == -3


def test_on_the_command_line(tmp_path, small_photograph, tiny_checkpoint):
    small_photograph.save(tmp_path / "a.png")
    line = [
        "encode",
        tmp_path / "a.png",
        "--model",
        tiny_checkpoint,
        "--device",
        "cpu",
        "--quality",
        "-4",
        "-o",
        tmp_path / "a.shc",
    ]
    run(*line)
    assert (tmp_path / "a.shc").read_bytes() == CODEC.encode(small_photograph, quality=-4)
    assert " -4 " in run("info", tmp_path / "a.shc").stdout
    assert '"quality": -4' in run("info", tmp_path / "a.shc", "--format", "jsonl").stdout
    line[7] = "8"
    run(*line, code=2)


def test_in_pillow(tmp_path, small_photograph, tiny_checkpoint):
    import progcodec.pillow

    path = tmp_path / "a.shc"
    options = {"model": tiny_checkpoint, "device": "cpu"}
    small_photograph.save(path, quality_step=4, **options)
    assert path.read_bytes() == CODEC.encode(small_photograph, quality=4)
    with progcodec.pillow.open(path, **options) as image:
        assert image.info["quality_step"] == 4 and image.convert("L").size == (77, 50)
    small_photograph.save(path, quality=85, **options)  # what programs pass to every format
    assert path.read_bytes() == CODEC.encode(small_photograph, quality=3)
    with pytest.raises(ValueError, match="-7 to 7"):
        small_photograph.save(path, quality_step=85, **options)


def test_the_golden_streams_have_one(tiny_codec):
    found = {progcodec.info(path.read_bytes()).quality for path in GOLDEN.glob("*.shc")}
    assert found == {0, 5, -4}


def test_a_picture_of_one_colour(tiny_codec):
    picture = Image.new("RGB", (33, 20), (200, 30, 90))
    for quality in QUALITIES:
        assert tiny_codec.decode(tiny_codec.encode(picture, quality=quality)).size == (33, 20)
