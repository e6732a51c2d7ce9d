"""The same integers in other orders: any cut decodes, and nothing is lost."""

import numpy as np
import pytest

from progcodec.config import Q_MAX
from progcodec.errors import ProgcodecError
from progcodec.lab.evaluate.streams import ORDERINGS, _planes, cut_sizes, open_stream
from progcodec.metrics import psnr
from tests.support.rounding import assert_same_picture

every_ordering = pytest.mark.parametrize("ordering", ORDERINGS)


@pytest.fixture(scope="module")
def pixels(photograph) -> np.ndarray:
    return np.array(photograph.crop((200, 150, 328, 246)))


def test_ours_is_the_file_that_encode_writes(golden_codec, pixels):
    data = golden_codec.encode(pixels, quality=2)
    stream = open_stream(None, golden_codec, pixels, quality=2)
    assert stream.size == len(data) == list(stream.ends.values())[-1]
    sizes = [5, stream.ends["coarse"], len(data), 60]
    none, *shown = stream.pictures(sizes)
    assert none is None, "too short for a header"
    for size, picture in zip(sizes[1:], shown, strict=True):
        assert_same_picture(picture, golden_codec.decode(data[:size]))
    cuts = cut_sizes(stream)
    assert len(cuts) == 10 and (cuts[0], cuts[-1]) == (stream.ends["hyperlatent"], len(data))
    assert np.allclose(np.diff(np.log(cuts)), np.diff(np.log(cuts)).mean(), atol=0.05)


@every_ordering
def test_a_whole_stream_is_the_whole_picture_and_quality_rises(ordering, golden_codec, pixels):
    stream = open_stream(ordering, golden_codec, pixels)
    data = golden_codec.encode(pixels, checksums=False)
    assert stream.size == len(data)
    sizes = [5, *np.geomspace(24, stream.size, 10).astype(int)]
    none, *shown = stream.pictures(sizes)
    assert none is None
    assert_same_picture(shown[-1], golden_codec.decode(data))
    quality = [psnr(pixels, np.asarray(picture)) for picture in shown]
    assert quality[-1] > quality[0] + 3
    if ordering != "zero-masking":  # which our networks were never trained for
        assert min(np.diff(quality)) > -0.3


def test_our_own_order_by_the_tables_is_our_own_file(golden_codec, pixels):
    """To within the bytes that a range coder leaves unused at a cut."""
    stream = open_stream("sigma", golden_codec, pixels)
    data = golden_codec.encode(pixels, checksums=False)
    for size in np.linspace(30, len(data) - 8, 9).astype(int):
        latent = golden_codec.decode_latent(data[:size])
        counted = sum(np.count_nonzero(part.arrives <= size) for part in stream._passes)
        counted += np.count_nonzero(stream._hyper.arrives <= size)
        longer = golden_codec.decode_latent(data[: size + 8])
        assert sum(latent.received) <= counted + 1 and counted <= sum(longer.received) + 1


@pytest.mark.parametrize("ordering", ["raster", "tritplanes"])
def test_other_orders_cost_the_same_in_all(ordering, golden_codec, pixels):
    ours = [p for p in open_stream("sigma", golden_codec, pixels)._passes]
    other = open_stream(ordering, golden_codec, pixels)._passes
    assert other[-1].arrives[-1] == pytest.approx(ours[-1].arrives[-1], rel=0.01)
    raster = open_stream("raster", golden_codec, pixels)._passes
    assert all((np.diff(part.places) > 0).all() for part in raster)


def test_zero_masking_shows_zero_where_nothing_arrived(golden_codec, pixels):
    size = open_stream("sigma", golden_codec, pixels).ends["coarse"]
    ours, zero = (
        np.asarray(open_stream(name, golden_codec, pixels).pictures([size])[0])
        for name in ("sigma", "zero-masking")
    )
    assert not np.array_equal(ours, zero)


def test_digits_make_the_number_and_probabilities_the_tables(golden_codec):
    q = np.arange(-Q_MAX, Q_MAX + 1)
    tables = golden_codec.walker.tables
    for index in (0, 20, 40, 63):
        known, bits = np.zeros(len(q), np.int64), np.zeros(len(q))
        for plane in _planes(golden_codec):
            context = plane.context(np.full(len(q), index), known)
            digits = ((q + plane.unit // 2) // plane.unit + 1) % 3 - 1
            bits += plane.bits[context, digits + 1]
            known = known + digits * plane.unit
        assert np.array_equal(known, q)
        likely = tables.frequencies[index] > 5000
        assert bits[likely] == pytest.approx(tables.bits[index][likely], abs=0.01)


def test_an_unknown_ordering_is_refused(golden_codec, pixels):
    with pytest.raises(ProgcodecError, match="unknown ordering 'nonsense'; there are: sigma"):
        open_stream("nonsense", golden_codec, pixels)
