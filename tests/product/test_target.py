"""The lowest quality that reaches a PSNR."""

import numpy as np
import pytest

import progcodec
from progcodec.bitstream.container import parse_header
from progcodec.codec.codec import Codec
from progcodec.codec.loaded import codec_named
from progcodec.codec.target import QUALITIES, encode_to_psnr
from progcodec.errors import QualityError
from progcodec.image import to_array
from progcodec.metrics import psnr


@pytest.fixture(scope="module")
def codec() -> Codec:
    return codec_named(None, "cpu")


@pytest.fixture(scope="module")
def curve(codec, small_photograph) -> dict[int, float]:
    """PSNR in dB at every quality."""
    original = to_array(small_photograph)
    decoded = {q: codec.decode(codec.encode(small_photograph, quality=q)) for q in QUALITIES}
    return {q: psnr(original, to_array(picture)) for q, picture in decoded.items()}


@pytest.mark.parametrize("wanted", [-7, -6, -1, 0, 4, 7])
def test_the_lowest_quality_that_is_good_enough(codec, small_photograph, curve, wanted):
    data = encode_to_psnr(codec, small_photograph, curve[wanted]).data
    assert data == codec.encode(small_photograph, quality=wanted)
    assert all(value < curve[wanted] for quality, value in curve.items() if quality < wanted)


def test_every_form_of_a_picture_and_the_call_of_users(codec, small_photograph, curve):
    target = curve[-2] + 0.001
    data = progcodec.encode(small_photograph, psnr=target, device="cpu")
    assert parse_header(data).quality == -1
    assert data == encode_to_psnr(codec, np.asarray(small_photograph), target).data
    with pytest.raises(ValueError, match="quality"):
        progcodec.encode(small_photograph, psnr=target, quality=1)


def test_a_target_that_no_quality_reaches_is_told_with_the_best(codec, small_photograph, curve):
    with pytest.raises(QualityError, match=f"99 dB; the finest gives {curve[7]:.2f} dB"):
        encode_to_psnr(codec, small_photograph, 99)
