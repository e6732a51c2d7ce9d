"""Quality: another quantisation step on the same weights.

Exact tables, exact symbols at any cut, nothing changed at 0.
"""

from fractions import Fraction

import numpy as np
import pytest
import torch

from progcodec.bitstream import container
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
from tests.conftest import GOLDEN
from tests.support.quality_maps import generate_heads

QUALITIES = range(-QUALITY_MAX, QUALITY_MAX + 1)
STEPS = (
    269697, 220346, 180025, 147083, 120169, 98179, 80214, 65536,
    53543, 43745, 35741, 29200, 23857, 19491, 15925,
)  # fmt: skip
"""Frozen: S at qualities -7 to 7."""
CODEC = Codec.load(GOLDEN / "tiny.safetensors", device="cpu")


# --- tables ---------------------------------------------------------------------------------------


def test_steps_are_frozen_and_what_is_said():
    assert tuple(step_numerator(quality) for quality in QUALITIES) == STEPS
    assert Fraction(*SCALE_RATIO) == Fraction(str(SCALE_MAX)) / Fraction(str(SCALE_MIN))
    for quality in QUALITIES:
        said = (SCALE_MAX / SCALE_MIN) ** (-2 * quality / 63)
        assert step_size(quality) == pytest.approx(said, rel=1e-4)
        assert float(np.float32(step_size(quality))) == step_size(quality)  # exact on every device


def test_magnitudes_are_exact_and_eight_bit():
    assert MAGNITUDE_STEPS == ACTIVATION_STEPS
    for quality in QUALITIES:
        table = magnitude_table(quality)
        assert len(table) == Q_MAX + 1 and table[0] == 0 and max(table) <= ACTIVATION_MAX
        assert list(table) == sorted(table)
        step = Fraction(step_numerator(quality), 2**16)
        for n, value in enumerate(table):  # value = floor(16 log2(1 + n step)), by fractions
            assert 2**value <= (1 + n * step) ** 16 < 2 ** (value + 1)
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


# --- streams --------------------------------------------------------------------------------------


def test_quality_0_is_what_was_before(small_photograph):
    data = CODEC.encode(small_photograph, quality=0)
    assert data == CODEC.encode(small_photograph)
    assert container.parse_header(data).to_bytes()[5] == 0x09


def test_finer_is_longer_and_nearer(photograph):
    picture = photograph.resize((160, 112))
    files = [CODEC.encode(picture, quality=quality) for quality in QUALITIES]
    near = [psnr(np.asarray(picture), np.asarray(CODEC.decode(data))) for data in files]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    assert near == sorted(near) and near[7] > near[0] + 1
    hyper = {container.parse(data).segments[0].payload for data in files}
    assert len(hyper) == 1  # the hyperlatent is the same at every quality


def test_a_batch_may_mix_qualities(golden_codec, small_photograph):
    streams = [golden_codec.encode(small_photograph, quality=quality) for quality in (0, -6, 3, 7)]
    streams[2] = streams[2][: len(streams[2]) // 2]
    for data, latent in zip(streams, golden_codec.decode_latents(streams), strict=True):
        alone = golden_codec.decode_latent(data)
        assert np.array_equal(latent.q, alone.q) and latent.quality == alone.quality
        torch.testing.assert_close(latent.y, alone.y, rtol=1e-4, atol=1e-4)
        again = golden_codec.assemble(latent.z[None], latent.q[None], latent.quality)
        torch.testing.assert_close(again, alone.y, rtol=1e-4, atol=1e-4)
