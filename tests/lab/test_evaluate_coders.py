"""The peers: whole files and cut ones."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders import jpegxl, registry, webp
from progcodec.lab.evaluate.coders.base import SCALES, Coder, UndecodableError, reduced, restored
from progcodec.metrics import psnr

THERE = registry.choose("all").coders
PROGRESSIVE = {"jpeg-progressive": 0.3, "jpeg2000": 0.1, "jpegxl": 0.6}
"""Peers of which a share of the file shows the whole picture coarsely."""


@pytest.fixture(scope="module")
def picture(photograph) -> Image.Image:
    return photograph.resize((96, 64), Image.Resampling.LANCZOS)


def quality(first: Image.Image, second: Image.Image) -> float:
    return psnr(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("coder", THERE, ids=lambda coder: coder.key)
def test_ladders(coder, picture):
    for scale in SCALES:
        settings = coder.ladder(scale)
        assert len(settings) >= 10 and set(settings) <= set(coder.settings)
        small = reduced(picture, scale)
        files = [coder.encode(small, setting, scale) for setting in (settings[0], settings[-1])]
        shown = [restored(coder.decode(data), picture.size) for data in files]
        assert len(files[0]) < len(files[1]) and quality(picture, shown[0]) < quality(
            picture, shown[1]
        )
        assert all(image.size == picture.size and image.mode == "RGB" for image in shown)


@pytest.mark.parametrize("coder", THERE, ids=lambda coder: coder.key)
def test_cuts(coder, picture):
    data = coder.encode_for_cuts(picture)
    whole = coder.decode(data)
    assert quality(picture, whole) > 27
    assert quality(whole, coder.decode_cut(data)) > 60
    with pytest.raises(UndecodableError):
        coder.decode_cut(data[:20])
    shown = []
    for share in (0.1, 0.3, 0.6, 0.9, 0.99):
        try:
            image = coder.decode_cut(data[: int(share * len(data))])
            assert image.size == picture.size
            shown.append(quality(picture, image))
        except UndecodableError:
            assert not shown, "a longer cut shows less than a shorter one"
    assert len(shown) >= {"avif": 0, "webp": 1}.get(coder.key, 2)
    if coder.key in PROGRESSIVE:
        assert (
            quality(picture, coder.decode_cut(data[: int(PROGRESSIVE[coder.key] * len(data))])) > 15
        )
        assert shown == sorted(shown)


@pytest.mark.parametrize("coder", THERE, ids=lambda coder: coder.key)
def test_files_hold_nothing_that_can_be_done_without(coder, picture):
    data = coder.encode(picture, coder.settings[5], 1)
    marks = {
        "jpeg": b"\xff\xd8\xff\xdb",
        "jpeg-progressive": b"\xff\xd8\xff\xdb",
        "jpeg2000": b"\xff\x4f\xff\x51",
    }
    marks |= {"jpegxl": b"\xff\x0a", "webp": b"RIFF", "avif": b"\0\0\0"}
    assert data.startswith(marks[coder.key])
    assert not any(
        word in data for word in (b"JFIF", b"Exif", b"OpenJPEG", b"http", b"ICC_PROFILE")
    )


def test_jpeg2000_meets_its_rate(picture):
    coder = registry.CODERS["jpeg2000"]
    for scale in (1, 0.5):
        size = len(coder.encode(reduced(picture, scale), 1.0, scale))
        assert size == pytest.approx(96 * 64 / 8, rel=0.12), (
            "bits per full-size pixel, whatever the scale"
        )
    assert len(coder.ladder(0.25)) < len(coder.settings)


def test_rows_of_webp_that_did_not_come_are_grey(picture):
    data = registry.CODERS["webp"].encode_for_cuts(picture)
    shown = np.asarray(webp.decode_start(data[: int(0.7 * len(data))]))
    assert (shown[-1] == webp.MISSING).all() and not (shown[0] == webp.MISSING).all()


@pytest.mark.skipif("jpegxl" not in {coder.key for coder in THERE}, reason="no libjxl here")
def test_jpegxl_passes(picture):
    data = jpegxl.encode_progressive(np.asarray(picture), 2.0)
    import imagecodecs

    assert np.array_equal(imagecodecs.jpegxl_decode(data), jpegxl.decode_start(data))
    with pytest.raises(UndecodableError):
        jpegxl.decode_start(b"\xff\x0a")
    with pytest.raises(UndecodableError):
        jpegxl.decode_start(b"no codestream")


def test_choosing(monkeypatch):
    assert registry.choose("none").coders == ()
    assert [coder.key for coder in registry.choose("webp, jpeg").coders] == ["webp", "jpeg"]
    with pytest.raises(EvaluationError, match="no peer 'bpg'"):
        registry.choose("jpeg,bpg")

    def missing(self):
        raise EvaluationError("not built in")

    monkeypatch.setattr(type(registry.CODERS["avif"]), "library", missing)
    choice = registry.choose("avif,jpeg")
    assert [coder.key for coder in choice.coders] == ["jpeg"] and choice.missing == (
        "AVIF: not built in",
    )


def test_a_version_changes_with_the_options(monkeypatch):
    coder: Coder = registry.CODERS["jpeg"]
    before = coder.version()
    monkeypatch.setattr(type(coder), "settings", (1, 2))
    assert coder.version() != before


def test_a_progressive_jpeg_shows_no_less_where_a_table_is_torn(picture):
    coder = registry.CODERS["jpeg-progressive"]
    data = coder.encode_for_cuts(picture)
    first = data.index(b"\xff\xda")
    shown = [
        quality(picture, coder.decode_cut(data[:size])) for size in range(first + 60, len(data), 7)
    ]
    assert min(shown) > 10 and all(later > earlier - 1 for earlier, later in pairwise(shown))
