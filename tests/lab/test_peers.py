"""Other codecs, and where pictures come from."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import ImageError, ProgcodecError
from progcodec.lab.evaluate import metrics, peers
from progcodec.lab.evaluate.sources import read_pictures
from progcodec.metrics import psnr


def smooth_picture(height=64, width=80):
    down, right = np.mgrid[:height, :width] / 16
    return np.stack(
        [120 + 90 * np.sin(down + c) * np.cos(right) for c in range(3)], axis=-1
    ).astype(np.uint8)


@pytest.mark.parametrize("peer", peers.peers(), ids=lambda peer: peer.name)
def test_ladders_rise(peer):
    picture = smooth_picture()
    coded = list(peers.ladder(peer, picture))
    assert [c.setting for c in coded] == sorted(peer.settings)
    assert all(c.pixels.shape == picture.shape and c.pixels.dtype == np.uint8 for c in coded)
    assert len(coded[-1].data) > len(coded[0].data)
    assert psnr(picture, coded[-1].pixels) > psnr(picture, coded[0].pixels) + 3


def test_peers_by_name():
    assert [peer.name for peer in peers.peers("JPEG")] == ["JPEG"]
    assert len({peer.version for peer in peers.peers()}) == len(peers.peers())


def test_jpeg2000_is_a_bare_codestream_near_its_rate_with_the_colour_transform():
    (peer,) = peers.peers("JPEG 2000")
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    data = peers.code(peer, picture, 1.0).data
    assert data[:4] == b"\xff\x4f\xff\x51"
    assert len(data) * 8 / picture[..., 0].size == pytest.approx(1.0, rel=0.03)
    coding_style = data.index(b"\xff\x52")
    assert data[coding_style + 8] == 1, "the colour transform is off"
    assert data[coding_style + 13] == 0, "the wavelet is not the irreversible one"


def test_published_curves_rise():
    curves = peers.published()
    assert {"JPEG", "JPEG 2000", "mbt2018-mean", "VTM (VVC intra)"} <= set(curves)
    for curve in curves.values():
        assert metrics.efficient(curve) == curve
    assert -45 < metrics.bd_rate(curves["JPEG 2000"], curves["mbt2018-mean"]) < -35


def png(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    for name, shade in (("b.png", 2), ("a.PNG", 1), (".hidden.png", 9)):
        (tmp_path / name).write_bytes(png(shade))
    (tmp_path / "notes.txt").write_text("no picture")
    with tarfile.open(tmp_path / "more.tar.gz", "w:gz") as archive:
        for name, shade in (("set/d.png", 4), ("set/c.png", 3)):
            member = tarfile.TarInfo(name)
            member.size = len(png(shade))
            archive.addfile(member, io.BytesIO(png(shade)))
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "shades"),
    [
        ([""], [1, 2]),
        (["b.png"], [2]),
        (["*.[pP]*"], [1, 2]),
        (["more.tar.gz"], [3, 4]),
        (["*.gz", "a.PNG"], [3, 4, 1]),
    ],
)
def test_sources(folder, sources, shades):
    pictures = list(read_pictures([folder / source for source in sources]))
    assert [picture.pixels[0, 0, 0] for picture in pictures] == shades
    assert all(picture.size == 6 and picture.pixels.dtype == np.uint8 for picture in pictures)


def test_limit_spans_sources(folder):
    found = read_pictures([folder, folder / "more.tar.gz"], limit=3)
    assert [picture.name for picture in found] == ["a.PNG", "b.png", "set/c.png"]


def test_no_pictures(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_bytes(png(1)[:30])
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    for source, error, line in (
        ("empty", ProgcodecError, "no pictures found"),
        ("missing.png", ProgcodecError, "no such file"),
        ("*.bmp", ProgcodecError, "no such file"),
        ("broken.png", ImageError, "broken.png"),
        ("broken.tar", ProgcodecError, "tar archive"),
    ):
        with pytest.raises(error, match=line):
            list(read_pictures(tmp_path / source))
