"""The peers: whole files and cut ones."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.peers import PEERS, choose
from progcodec.lab.evaluate.peers.base import Peer, UndecodableError, reduced, restored
from progcodec.lab.evaluate.plan import SCALES
from progcodec.metrics import psnr

THERE = choose("all").peers
every_peer = pytest.mark.parametrize("peer", THERE, ids=lambda peer: peer.key)


@pytest.fixture(scope="module")
def picture(photograph) -> Image.Image:
    return photograph.resize((96, 64), Image.Resampling.LANCZOS)


def quality(first: Image.Image, second: Image.Image) -> float:
    return psnr(np.asarray(first), np.asarray(second))


@every_peer
def test_ladders(peer, picture):
    for scale in SCALES:
        settings = peer.ladder(scale)
        assert len(settings) >= 10 and set(settings) <= set(peer.settings)
        small = reduced(picture, scale)
        files = [peer.encode(small, setting, scale) for setting in (settings[0], settings[-1])]
        shown = [restored(peer.decode(data), picture.size) for data in files]
        assert len(files[0]) < len(files[1])
        assert quality(picture, shown[0]) < quality(picture, shown[1])
        assert all(image.size == picture.size and image.mode == "RGB" for image in shown)


@pytest.mark.parametrize(("key", "share"), [("jpeg", 0.3), ("jpeg2000", 0.1)])
def test_cuts(key, share, picture):
    peer = PEERS[key]
    data = peer.encode_for_cuts(picture)
    whole = peer.decode(data)
    assert quality(picture, whole) > 27 and quality(whole, peer.decode_cut(data)) > 60
    with pytest.raises(UndecodableError):
        peer.decode_cut(data[:20])
    shown = [
        quality(picture, peer.decode_cut(data[: int(part * len(data))]))
        for part in (share, 0.6, 0.9, 0.99)
    ]
    assert shown[0] > 15 and shown == sorted(shown)


def test_a_progressive_jpeg_shows_no_less_where_a_table_is_torn(picture):
    peer = PEERS["jpeg"]
    data = peer.encode_for_cuts(picture)
    sizes = range(data.index(b"\xff\xda") + 60, len(data), 7)
    shown = [quality(picture, peer.decode_cut(data[:size])) for size in sizes]
    assert min(shown) > 10 and all(later > earlier - 1 for earlier, later in pairwise(shown))


@every_peer
def test_files_hold_nothing_that_can_be_done_without(peer, picture):
    data = peer.encode(picture, peer.settings[5], 1)
    marks = {
        "jpeg": b"\xff\xd8\xff\xdb", "jpeg2000": b"\xff\x4f\xff\x51", "jpegxl": b"\xff\x0a",
        "webp": b"RIFF", "avif": b"\0\0\0",
    }  # fmt: skip
    assert data.startswith(marks[peer.key])
    assert not any(
        word in data for word in (b"JFIF", b"Exif", b"OpenJPEG", b"http", b"ICC_PROFILE")
    )


def test_jpeg2000_meets_its_rate_with_the_colour_transform(picture):
    peer = PEERS["jpeg2000"]
    for scale in (1, 0.5):
        data = peer.encode(reduced(picture, scale), 1.0, scale)
        bits = 8 * len(data) / (96 * 64)
        assert bits == pytest.approx(1, rel=0.12), "per full-size pixel, whatever the scale"
        style = data.index(b"\xff\x52")
        assert data[style + 8] == 1, "the colour transform is off"
        assert data[style + 13] == 0, "the wavelet is not the irreversible one"
    assert len(peer.ladder(0.25)) < len(peer.settings)


def test_choosing(monkeypatch):
    assert choose("none").peers == ()
    assert [peer.key for peer in choose("webp, jpeg").peers] == ["webp", "jpeg"]
    with pytest.raises(EvaluationError, match="no peer 'bpg'"):
        choose("jpeg,bpg")

    def missing(self):
        raise EvaluationError("not built in")

    monkeypatch.setattr(type(PEERS["avif"]), "library", missing)
    choice = choose("avif,jpeg")
    assert [peer.key for peer in choice.peers] == ["jpeg"]
    assert choice.missing == ("AVIF: not built in",)


def test_a_version_changes_with_the_options(monkeypatch):
    peer: Peer = PEERS["jpeg"]
    before = peer.version()
    monkeypatch.setattr(type(peer), "options", lambda self: "others")
    assert peer.version() != before
