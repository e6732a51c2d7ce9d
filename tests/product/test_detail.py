"""Pictures unlike photographs: the encoder looks at what would decode, and takes detail away that
the model cannot carry.
"""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from progcodec.bitstream.container import parse_header
from progcodec.codec import encode
from progcodec.codec.detail import Blocks
from progcodec.codec.loaded import codec_named
from progcodec.errors import DetailWarning, PictureWarning
from progcodec.fleet.operation import Encode
from progcodec.fleet.shards import Shard, convert
from progcodec.metrics import psnr
from tests.conftest import noise_image
from tests.support.command import errors, run
from tests.support.samples import tar_of

Y, X = np.mgrid[0:64, 0:80]
NOISE = np.random.default_rng(0)


def shades(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=2)


def bayer() -> np.ndarray:
    found = np.zeros((*X.shape, 3), np.uint8)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        part = slice(row, None, 2), slice(column, None, 2)
        found[(*part, channel)] = (128 + 100 * np.sin(X / 17) * np.cos(Y / 13))[part]
    return found


PICTURES = {
    "chessboard": shades(255 * ((X + Y) % 2)),
    "chessboard of 2 px": shades(255 * ((X // 2 + Y // 2) % 2)),
    "columns": shades(255 * (X % 2)),
    "rows": shades(255 * (Y % 2)),
    "columns of colours": np.where(X[..., None] % 2, [0, 0, 255], [255, 255, 0]).astype(np.uint8),
    "dots": shades(255 * (X % 2 * Y % 2)),
    "code": shades(255 * NOISE.integers(0, 2, X.shape)),
    "noise": NOISE.integers(0, 256, (*X.shape, 3), dtype=np.uint8),
    "dithered": shades(255 * (X + Y > NOISE.integers(0, 144, X.shape))),
    "patches": np.kron(NOISE.integers(0, 2, (8, 10, 3)), np.full((8, 8, 1), 255)).astype(np.uint8),
    "mosaic": bayer(),
    "icon": np.full((16, 16, 3), (0, 255, 0), np.uint8),
    "swatch": np.full((7, 40, 3), (255, 0, 0), np.uint8),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::progcodec.errors.DetailWarning")
@pytest.mark.parametrize("quality", [-7, 0, 7])
@pytest.mark.parametrize("name", PICTURES)
def test_nothing_comes_out_worse_than_its_mean_colour_or_longer_than_raw(name, quality):
    codec, pixels = codec_named(None, "cpu"), PICTURES[name]
    data = codec.encode(pixels, quality=quality)
    flat = np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
    wanted = min(psnr(pixels, flat) - 0.1, 30)
    assert psnr(pixels, np.asarray(codec.decode(data))) > wanted and len(data) <= pixels.nbytes


@pytest.fixture
def wild(tiny_codec):
    """The codec as if its transform went astray on fine detail, and on nothing else."""

    def astray(module, inputs, y):
        detail = (inputs[0] - F.avg_pool2d(inputs[0], 3, 1, 1, count_include_pad=False)).abs()
        return torch.where(F.avg_pool2d(detail, 16).mean(1, keepdim=True) > 0.2, 300 * y, y)

    handle = tiny_codec.walker.analysis.register_forward_hook(astray)
    yield tiny_codec
    handle.remove()


@pytest.mark.parametrize("form", [np.array, Image.fromarray, "tensor"])
def test_blocks_that_the_transform_cannot_carry_are_smoothed(wild, photograph, monkeypatch, form):
    pixels = np.array(photograph.crop((200, 150, 370, 250)))
    pixels[16:48, 32:80] = PICTURES["chessboard"][:32, :48]
    image = form(pixels) if callable(form) else torch.from_numpy(pixels).permute(2, 0, 1) / 255
    with pytest.warns(DetailWarning, match=r"cannot carry .* as it is: \d+% of it was smoothed"):
        data = wild.encode(image)
    monkeypatch.setattr(encode, "ATTEMPTS", 0)
    first, blocks = wild.encode(image), Blocks(pixels)
    kept, lost = (blocks.errors(np.asarray(wild.decode(one))) for one in (data, first))
    assert len(data) < len(first) and kept.sum() < blocks.spread.sum() < lost.sum()


def test_symbols_that_leave_the_alphabet_take_a_coarser_step(tiny_codec, monkeypatch):
    pixels = noise_image(48, 80)
    reach = max(np.abs(part.symbols).max() for part in tiny_codec.coded_segments([pixels])[0])
    monkeypatch.setattr(encode, "Q_MAX", int(reach) + 1)  # of quality 0 all fit
    monkeypatch.setattr(encode, "RAW_RATE", 1000)
    with pytest.warns(DetailWarning, match="it has quality -?[0-3], not 7"):
        data = tiny_codec.encode(pixels, quality=7)
    monkeypatch.setattr(encode, "ATTEMPTS", 0)
    clamped = tiny_codec.encode(pixels, quality=7)
    assert (parse_header(clamped).quality, parse_header(data).quality) == (7, 3)
    kept, lost = (psnr(pixels, np.asarray(tiny_codec.decode(one))) for one in (data, clamped))
    assert kept > lost


def test_photographs_are_not_looked_at(photograph, monkeypatch):
    monkeypatch.setattr(encode, "Blocks", lambda image: pytest.fail("looked at"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec_named(None, "cpu").encode(photograph)


def test_commands_name_the_picture(tmp_path, monkeypatch, tiny_checkpoint):
    monkeypatch.setattr(encode, "Q_MAX", 12)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise_image(48, 80)).save("wild.png")
    found = run("encode", "wild.png", "--model", tiny_checkpoint, "--quality", 7)
    assert len(errors(found)) == 1
    assert errors(found)[0].startswith("progcodec: wild.png: the model cannot carry the picture")
    (tmp_path / "in.tar").write_bytes(tar_of(("a.png", (tmp_path / "wild.png").read_bytes())))
    with pytest.warns(PictureWarning, match="^a.png: the model cannot"):
        convert(Shard("in.tar", "out.tar"), Encode(str(tiny_checkpoint), "cpu", quality=7))
