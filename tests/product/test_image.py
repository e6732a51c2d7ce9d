"""Picture files of every kind in, tensors out and back."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from progcodec.errors import ImageError, LimitError
from progcodec.image import (
    as_tensor,
    open_image,
    pad_to_multiple,
    to_array,
    to_pixels,
)
from tests.support.samples import file_of

RAMP = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3) * 2
ORIENTATION = 0x0112


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header is sound and whose pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def one_pixel(data: bytes) -> tuple[int, ...]:
    return tuple(to_array(open_image(data))[0, 0])


def test_reads_paths_bytes_and_open_files(tmp_path):
    data = file_of(Image.fromarray(RAMP))
    path = tmp_path / "ramp.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (path, str(path), data, io.BytesIO(data), file):
            image = open_image(source)
            assert image.mode == "RGB"
            assert np.array_equal(to_array(image), RAMP)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (17, 3)])
def test_any_size(size):
    image = Image.new("RGB", size, (10, 20, 30))
    tensor = as_tensor(open_image(file_of(image)))
    assert tensor.shape == (1, 3, size[1], size[0])
    padded = pad_to_multiple(tensor)
    assert padded.shape[2] % 16 == padded.shape[3] % 16 == 0
    assert np.array_equal(to_pixels(padded)[0, : size[1], : size[0]], to_array(image))


def test_padding_repeats_the_edge_and_keeps_whole_multiples():
    tensor = as_tensor(RAMP)
    padded = pad_to_multiple(tensor, 16)
    assert torch.equal(padded[..., :5, 7:], tensor[..., 6:].expand(-1, -1, -1, 9))
    assert torch.equal(padded[..., 5:, :7], tensor[..., 4:, :].expand(-1, -1, 11, -1))
    assert pad_to_multiple(torch.zeros(1, 3, 32, 16)).shape == (1, 3, 32, 16)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(form):
    grey = np.array([[0, 128, 257, 0x8000, 65535]], np.uint16)
    array = to_array(open_image(file_of(Image.fromarray(grey), form)))
    assert array[0].tolist() == [[0] * 3, [0] * 3, [1] * 3, [128] * 3, [255] * 3]


def grey(value: float, kind: type) -> bytes:
    return file_of(Image.fromarray(np.array([[value]], kind)), "TIFF")


@pytest.mark.parametrize(
    ("value", "kind", "seen"), [(65535, np.int32, 255), (0.5, np.float32, 128)]
)
def test_grey_of_32_bits_is_scaled_and_beyond_its_range_refused(value, kind, seen):
    assert one_pixel(grey(value, kind)) == (seen,) * 3
    for wrong in (value * 3, float("nan") if kind is np.float32 else -1):
        with pytest.raises(ImageError, match="grey values"):
            open_image(grey(wrong, kind))


@pytest.mark.parametrize(
    ("mode", "colour", "options", "seen"),
    [
        ("L", 77, {}, (77, 77, 77)),
        ("1", 1, {}, (255, 255, 255)),
        ("P", 1, {}, (9, 8, 7)),
        # what is transparent lies on white
        ("RGBA", (255, 0, 0, 0), {}, (255, 255, 255)),
        ("RGBA", (200, 100, 0, 255), {}, (200, 100, 0)),
        ("RGBA", (0, 0, 0, 128), {}, (127, 127, 127)),
        ("LA", (0, 0), {}, (255, 255, 255)),
        ("P", 1, {"transparency": 1}, (255, 255, 255)),
        ("L", 5, {"transparency": 5}, (255, 255, 255)),
        ("RGB", (1, 2, 3), {"transparency": (1, 2, 3)}, (255, 255, 255)),
    ],
)
def test_modes(mode, colour, options, seen):
    image = Image.new(mode, (2, 2), colour)
    if mode == "P":
        image.putpalette([0, 0, 0, 9, 8, 7])
    assert one_pixel(file_of(image, **options)) == seen


def test_cmyk():
    red = file_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(np.array(one_pixel(red), int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation, form):
    upright = {
        1: RAMP, 2: RAMP[:, ::-1], 3: RAMP[::-1, ::-1], 4: RAMP[::-1], 5: RAMP.transpose(1, 0, 2),
        6: np.rot90(RAMP, -1), 7: np.rot90(RAMP, 2).transpose(1, 0, 2), 8: np.rot90(RAMP),
    }  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    image = open_image(file_of(Image.fromarray(RAMP), form, exif=exif, **options))
    assert np.array_equal(to_array(image), upright[orientation])


def test_damaged_exif_does_not_matter():
    data = file_of(Image.fromarray(RAMP), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(to_array(open_image(data)), RAMP)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#ff0000", "#00ff00")]
    data = file_of(frames[0], form, save_all=True, append_images=frames[1:])
    assert abs(one_pixel(data)[0] - 255) <= 3 and one_pixel(data)[1] <= 3


def test_what_cannot_be_read(tmp_path):
    photo = file_of(Image.effect_noise((64, 64), 50), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        open_image(photo[: len(photo) // 2])
    for data in (b"", b"no picture at all", photo[:1]):
        with pytest.raises(ImageError, match="not a picture"):
            open_image(data)
    with pytest.raises(ImageError, match="(?i)directory"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="No such file"):
        open_image(tmp_path / "missing.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_damage_never_escapes_as_another_error(form):
    sound = bytearray(file_of(Image.effect_noise((24, 24), 50).convert("RGB"), form))
    random = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(sound)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(256)
        try:
            assert open_image(bytes(data), max_pixels=100_000).mode == "RGB"
        except (ImageError, LimitError) as error:
            assert "\n" not in str(error)


def test_pixel_limit_is_checked_on_the_header():
    with pytest.raises(LimitError):
        open_image(png_claiming(50_000, 50_000))
    with pytest.raises(ImageError):  # Within the limit, so the missing pixels are what is wrong.
        open_image(png_claiming(50, 50))
    picture = file_of(Image.new("RGB", (10, 10)))
    assert open_image(picture, max_pixels=100).size == (10, 10)
    with pytest.raises(LimitError, match="99"):
        open_image(picture, max_pixels=99)


def test_our_limit_replaces_pillows_for_the_time_of_reading_only(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert open_image(file_of(Image.new("RGB", (100, 100)))).size == (100, 100)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_as_tensor_takes_pictures_arrays_and_tensors():
    expected = torch.from_numpy(RAMP).permute(2, 0, 1)[None].float() / 255
    assert torch.equal(as_tensor(Image.fromarray(RAMP)), expected)
    assert torch.equal(as_tensor(RAMP), expected)
    assert torch.equal(as_tensor(RAMP[::-1].copy()[::-1]), expected)
    assert torch.equal(as_tensor(RAMP[..., 0]), expected[:, :1].expand(-1, 3, -1, -1))
    for tensor in (expected, expected[0], expected.double(), expected.clone().requires_grad_()):
        assert torch.equal(as_tensor(tensor), expected)
        assert as_tensor(tensor).dtype == torch.float32


@pytest.mark.parametrize(
    "image",
    [
        "photo.png", None, 3, RAMP.astype(np.float32), RAMP[None], RAMP[..., :2], RAMP[:0],
        RAMP[0, 0], torch.from_numpy(RAMP), torch.zeros(1, 4, 4), torch.zeros(2, 3, 4, 4),
        torch.zeros(3, 0, 4), torch.full((3, 4, 4), 1.5), torch.full((3, 4, 4), float("nan")),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
    ],
)  # fmt: skip
def test_as_tensor_refuses_the_rest(image):
    with pytest.raises(ImageError):
        as_tensor(image)


def test_pixels_are_rounded_and_clamped():
    values = torch.tensor([-1.0, 0.49 / 255, 0.51 / 255, 2.0, float("nan"), 254.6 / 255])
    array = to_pixels(values.expand(1, 3, 1, 6))
    assert array[0, 0, :, 0].tolist() == [0, 0, 1, 255, 0, 255]
