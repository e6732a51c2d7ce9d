"""Pillow reads and writes .shc files as it does its own formats."""

import copy
import io
import pickle
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

import progcodec
import progcodec.pillow
from progcodec.bitstream.container import Header, parse
from progcodec.errors import CheckpointError, CorruptError, ImageError, WrongModelError
from progcodec.image import open_image
from progcodec.metrics import psnr
from tests.conftest import GOLDEN
from tests.product.test_imports import loaded_by
from tests.support.command import ROOT, python
from tests.support.samples import file_of, flipped

EXAMPLE = ROOT / "examples" / "dataset_from_shc.py"
WHOLE = (GOLDEN / "v1-96x64.shc").read_bytes()
HEADER = parse(WHOLE).header
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def registered(tiny_checkpoint):
    """The tiny checkpoint for every picture of a test, the defaults after it."""
    progcodec.pillow.register(model=tiny_checkpoint, device="cpu")
    yield
    progcodec.pillow.register()


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "picture.shc"
    path.write_bytes(WHOLE)
    return path


@pytest.fixture
def shows(tiny_codec):
    """Whether a picture has the pixels that the codec itself gets from a stream."""

    def same(image: object, data: bytes = WHOLE, **cut: object) -> bool:
        return np.array_equal(np.asarray(image), np.asarray(tiny_codec.decode(data, **cut)))

    return same


def opened(data: bytes = WHOLE, **choices: object) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    for name, value in choices.items():
        setattr(image, name, value)
    return image


def saved(picture: Image.Image, **options: object) -> bytes:
    return file_of(picture, "SHC", **options)


class Counting(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


# --- registration ---------------------------------------------------------------------------------


def test_importing_the_module_registers_the_format_once():
    code = "from PIL import Image; import progcodec{}; Image.init(); assert {}"
    plain = code.format("; progcodec.info", "'SHC' not in Image.OPEN")
    assert loaded_by(plain, "progcodec.pillow") == set()
    loaded_by(code.format(".pillow", "'SHC' in Image.OPEN and 'SHC' in Image.SAVE"))
    progcodec.pillow.register()
    assert Image.ID.count("SHC") == 1 and Image.registered_extensions()[".shc"] == "SHC"


def test_opening_needs_neither_torch_nor_numpy(file):
    code = (
        "from PIL import Image; import progcodec.pillow; "
        f"im = Image.open({str(file)!r}); im.info; im.draft(None, (9, 9))"
    )
    heavy = ("torch", "numpy", "constriction", "safetensors")
    assert loaded_by(f"{code}; Image.open({str(file)!r}).verify()", *heavy) == set()
    code += f"; progcodec.pillow.register(model={str(GOLDEN / 'tiny.safetensors')!r}); im.load()"
    assert "torch" in loaded_by(code, "torch")


# --- opening --------------------------------------------------------------------------------------


def test_open_tells_what_the_header_and_the_lengths_tell(file):
    with Image.open(file) as image:
        assert (image.format, image.get_format_mimetype()) == ("SHC", "image/x-shc")
        assert image.format_description and (image.size, image.mode) == ((96, 64), "RGB")
    for end in range(HEADER.size, len(WHOLE) + 1, 7):
        info = progcodec.info(WHOLE[:end])
        assert opened(WHOLE[:end]).info == {
            "bytes": end,
            "levels": tuple(part.name for part in info.segments[1:] if part.complete),
            "model": HEADER.fingerprint.hex(),
            "checksums": True,
            "quality_step": 0,
        }
    data = (GOLDEN / "v1-50x33-no-checksums.shc").read_bytes()
    assert opened(data).info["levels"] == ("coarse", "intermediate", "fine")
    assert opened(data[:-1]).info["levels"] == ("coarse", "intermediate")
    assert opened(data).info["checksums"] is False


def test_open_is_lazy(shows):
    data = saved(Image.effect_noise((512, 512), 90).convert("RGB"))
    file = Counting(data)
    image = Image.open(file)
    assert file.count < 128 and len(data) > 2000
    image.level = "coarse"
    image.load()
    assert file.count < 128 + len(progcodec.truncate(data, level="coarse"))
    assert shows(image, data, level="coarse")


@MANY
@given(st.integers(0, len(WHOLE)))
def test_any_cut_opens_or_is_unidentified(shows, end):
    if end < HEADER.size:
        with pytest.raises(UnidentifiedImageError):
            opened(WHOLE[:end])
    else:
        assert shows(opened(WHOLE[:end]), WHOLE[:end])
        opened(WHOLE[:end]).verify()


@MANY
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_damage_is_an_oserror(at, flip):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unknown version
        with pytest.raises(OSError):
            opened(flipped(WHOLE, at, flip)).load()


def test_files_without_seek_and_pieces(shows):
    class Pipe:
        def __init__(self) -> None:
            self._file = io.BytesIO(WHOLE)
            self.read = self._file.read

    assert shows(Image.open(Pipe()))
    parser = ImageFile.Parser()
    for start in range(0, len(WHOLE), 9):
        parser.feed(WHOLE[start : start + 9])
    assert shows(parser.close())


def test_the_file_is_closed_once_the_pixels_are_there(file, shows):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image = Image.open(file)
        handle = image.fp
        image.load()
        assert handle.closed and image.fp is None and shows(image)
    mine = io.BytesIO(WHOLE)
    Image.open(mine).load()
    assert not mine.closed
    with Image.open(file) as unread:
        pass
    with pytest.raises(ValueError, match="closed image"):
        unread.load()


# --- choosing a part ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice",
    [
        {"level": "coarse"}, {"level": "intermediate"}, {"level": "fine"},
        {"max_bytes": HEADER.size}, {"max_bytes": 60}, {"max_bytes": 10**9},
        {"level": "coarse", "max_bytes": 60},
    ],
)  # fmt: skip
def test_a_part(shows, choice):
    assert shows(opened(**choice), **choice)
    assert shows(progcodec.pillow.open(io.BytesIO(WHOLE), **choice), **choice)
    assert shows(opened(WHOLE[:40], **choice), WHOLE[:40], **choice), "a cut that lacks it"


def test_what_lies_behind_the_chosen_part_may_be_damaged(shows):
    end = len(progcodec.truncate(WHOLE, level="coarse"))
    data = WHOLE[:end] + bytes(5) + WHOLE[end + 5 :]
    assert shows(opened(data, level="coarse"), level="coarse")
    with pytest.raises(OSError, match="damaged"):
        opened(data).load()


def test_wrong_choices(file):
    image = opened()
    with pytest.raises(ValueError, match="unknown level 'rough'; there are: coarse"):
        image.level = "rough"
    with pytest.raises(ValueError, match="3 bytes cannot hold the header"):
        image.max_bytes = 3
    image.load()
    image.level = None  # nothing new
    for name, value in (("level", "coarse"), ("max_bytes", 90)):
        with pytest.raises(ValueError, match="loaded already"):
            setattr(image, name, value)
    with pytest.raises(ValueError, match="unknown level"):
        progcodec.pillow.open(file, level="rough")


@pytest.mark.parametrize(
    ("size", "level"),
    [((25, 17), None), ((24, 16), "intermediate"), ((24, 64), None), ((6, 4), "coarse")],
)
def test_draft(size, level):
    image = opened()
    assert image.draft("L", size) == (None if level is None else ("RGB", (0, 0, 96, 64)))
    assert (image.level, image.size, image.mode) == (level, (96, 64), "RGB")


@pytest.mark.parametrize(("factor", "level"), progcodec.pillow.DRAFT_LEVELS)
def test_the_level_of_a_draft_is_good_enough(photograph, factor, level):
    size = photograph.width // factor, photograph.height // factor
    image = opened(saved(photograph, model="lite"))
    image.draft(None, size)
    assert image.level == level
    found, wanted = (each.resize(size, Image.Resampling.BICUBIC) for each in (image, photograph))
    assert psnr(np.asarray(found), np.asarray(wanted)) > 37


def test_draft_never_takes_more_than_was_chosen(shows):
    image = opened(level="coarse")
    assert image.draft(None, (24, 16)) is None and image.level == "coarse"
    image.level = "intermediate"
    assert image.draft(None, (6, 4)) and image.level == "coarse"
    loaded = opened()
    loaded.load()
    assert loaded.draft(None, (6, 4)) is None and loaded.level is None
    assert opened().draft("RGB", None) is None


# --- what else people do with a picture -----------------------------------------------------------


def test_thumbnail(tiny_codec):
    image, expected = opened(), tiny_codec.decode(WHOLE, level="intermediate")
    for each in (image, expected):
        each.thumbnail((8, 8))
    assert image.size == (8, 5) and image.level == "intermediate"
    assert np.array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    "duplicate",
    [Image.Image.copy, copy.copy, copy.deepcopy, lambda image: pickle.loads(pickle.dumps(image))],
)
def test_copies_and_pickles(shows, duplicate, loaded):
    image = opened()
    if loaded:
        image.load()
    other = duplicate(image)
    assert shows(other) and other.info == image.info
    other.putpixel((0, 0), (1, 2, 3))
    assert other.getpixel((0, 0)) == (1, 2, 3) and shows(image)


def test_operations(tiny_codec, file, tmp_path, shows):
    reference = tiny_codec.decode(WHOLE)
    for operation in (
        ImageOps.exif_transpose,
        ImageOps.grayscale,
        lambda image: ImageOps.fit(image, (30, 30)),
        lambda image: image.crop((90, 60, 99, 70)),
        lambda image: image.rotate(90, expand=True),
        lambda image: image.reduce(3),
        lambda image: image.split()[1],
        lambda image: Image.blend(image, image, 0.5),
    ):
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(operation(image)), np.asarray(operation(reference)))
    image = opened()
    assert (image.getexif() == {}) and image.tell() == 0
    with pytest.raises(EOFError):
        image.seek(1)
    Image.open(file).save(tmp_path / "picture.png")
    assert shows(Image.open(tmp_path / "picture.png")) and shows(open_image(file))


# --- damage, models, limits -----------------------------------------------------------------------


def test_verify(file):
    image = Image.open(file)
    handle = image.fp
    image.verify()
    assert handle.closed
    with pytest.raises(ValueError, match="closed image"):
        image.load()
    image = opened(flipped(WHOLE, -6))
    with pytest.raises(OSError, match="broken .shc file: the fine segment is damaged") as caught:
        image.verify()
    assert isinstance(caught.value.__cause__, CorruptError) and image.fp is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (WHOLE + b"?", "follow the last segment"),
        (WHOLE[: HEADER.size] + b"\x80" + WHOLE[HEADER.size + 1 :], "shortest form"),
    ],
)
def test_damage_behind_the_header_is_told_when_loading(data, told):
    image = opened(data)
    with pytest.raises(OSError, match=told):
        image.load()


@pytest.mark.filterwarnings("ignore:image file could not be identified")
def test_what_is_not_identified(tmp_path):
    for data in (b"", b"\x93SHC" + bytes(60), WHOLE[:9] + b"?" + WHOLE[10:], file_of(opened())):
        with pytest.raises(UnidentifiedImageError):
            progcodec.pillow.open(io.BytesIO(data))
    with (
        pytest.warns(UserWarning, match=".shc version 7 is not known"),
        pytest.raises(UnidentifiedImageError),
    ):
        opened(WHOLE[:4] + b"\x07" + WHOLE[5:])
    with pytest.raises(FileNotFoundError):
        progcodec.pillow.open(tmp_path / "missing.shc")


def test_models(file, tiny_checkpoint, shows):
    progcodec.pillow.register()
    image = Image.open(file)
    hint = r"name its checkpoint \(progcodec.pillow.register\(model=...\) does\)"
    with pytest.raises(OSError, match=hint) as caught:
        image.load()
    assert isinstance(caught.value.__cause__, WrongModelError)
    progcodec.pillow.register(model=tiny_checkpoint, device="cpu")
    assert shows(image), "the same picture, once the model is known"
    progcodec.pillow.register(model="no/such.safetensors")
    with pytest.raises(OSError) as caught:
        Image.open(file).load()
    assert isinstance(caught.value.__cause__, CheckpointError)
    assert shows(progcodec.pillow.open(file, model=tiny_checkpoint, device="cpu"))


def test_shipped_models_are_found_beside_a_registered_one(shows):
    data = saved(Image.new("RGB", (32, 32), "teal"), model="lite")
    assert opened(data).info["model"] != HEADER.fingerprint.hex()
    assert np.array_equal(opened(data), progcodec.decode(data, device="cpu"))


def test_limits(monkeypatch, tiny_checkpoint):
    huge = Header(16000, 8000, b"abcd").to_bytes()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000_000)
    told = "16000 x 8000 pixels are more than the limit of 120,000,000"
    with pytest.raises(Image.DecompressionBombError, match=told):
        opened(huge)
    progcodec.pillow.register(model=tiny_checkpoint, max_pixels=128_000_000)
    assert opened(huge).size == (16000, 8000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000_000)
    with pytest.raises(Image.DecompressionBombError):
        opened(huge)
    progcodec.pillow.register(model=tiny_checkpoint, max_pixels=99)
    with pytest.raises(OSError, match="limit of 99"):
        saved(Image.new("RGB", (10, 10)))


# --- saving ---------------------------------------------------------------------------------------


def test_save(tmp_path, file, small_photograph, tiny_codec, tiny_checkpoint):
    path = tmp_path / "other.shc"
    whole = tiny_codec.encode(small_photograph)
    small_photograph.save(path)
    assert path.read_bytes() == whole
    with path.open("wb") as stream:
        small_photograph.save(stream)  # by the name of the file
    assert path.read_bytes() == whole
    without = tiny_codec.encode(small_photograph, checksums=False)
    assert saved(small_photograph, checksums=False) == without
    for limit in ({"level": "coarse"}, {"max_bytes": 100}, {"bpp": 0.2}):
        assert saved(small_photograph, **limit) == progcodec.truncate(whole, **limit)
    assert saved(small_photograph, max_bytes=None) == whole
    with Image.open(file) as image:  # over the file that it was read from
        image.save(file)
    assert file.read_bytes() == tiny_codec.encode(tiny_codec.decode(WHOLE))
    progcodec.pillow.register()
    assert saved(small_photograph, model=tiny_checkpoint, device="cpu") == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "rough"}, "unknown level"),
        ({"level": "coarse", "max_bytes": 90}, "at most one"),
        ({"max_bytes": 3}, "cannot hold the header"),
        ({"bpp": -1.0}, "above zero"),
        ({"save_all": True}, "one picture"),
        ({"append_images": [Image.new("RGB", (2, 2))]}, "one picture"),
        ({"lossless": True}, "no setting lossless; there are: level, max_bytes"),
        ({"quality": "high"}, "from 0 to 100"),
        ({"quality": 101}, "from 0 to 100"),
        ({"quality": 75, "quality_step": 0}, "at most one of quality and quality_step"),
        ({"quality_step": 85}, "-7 to 7"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        Image.new("RGB", (20, 20)).save(tmp_path / "picture.shc", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("quality", "step"), [(0, -7), (10, -7), (50, -3), (75, 0), (85, 3), (95, 7), (100, 7)]
)
def test_quality_is_that_of_jpeg(quality, step):
    picture = Image.new("RGB", (16, 16), "teal")
    data = saved(picture, quality=quality, optimize=True, exif=b"", dpi=(72, 72))
    assert data == saved(picture, quality_step=step) and opened(data).info["quality_step"] == step


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"]
)
def test_modes_are_converted_as_the_library_does(mode, small_photograph, tiny_codec):
    picture = small_photograph
    if mode in ("RGBA", "LA", "PA"):
        picture = picture.convert("RGBA")
        picture.putalpha(128)
        picture = picture if mode == "RGBA" else picture.convert("LA").convert(mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 256)
    picture = picture.convert(mode)
    assert saved(picture) == tiny_codec.encode(picture)
    if mode == "P":
        picture.info["transparency"] = int(np.bincount(np.asarray(picture).ravel()).argmax())
        plain = tiny_codec.encode(small_photograph.convert("P"))
        assert saved(picture) == tiny_codec.encode(picture) != plain


def test_what_cannot_be_converted_is_an_oserror():
    with pytest.raises(OSError, match="outside 0..65535") as caught:
        saved(Image.new("I", (20, 20), -1))
    assert isinstance(caught.value.__cause__, ImageError)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_pictures_are_saved_upright(small_photograph, tiny_codec, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = file_of(small_photograph, exif=exif)
    data = saved(Image.open(io.BytesIO(turned)))
    assert data == tiny_codec.encode(open_image(turned))
    assert opened(data).size == ((77, 50) if orientation < 5 else (50, 77))


@pytest.mark.parametrize(
    "made",
    [
        lambda image: image.transpose(Image.Transpose.ROTATE_270), ImageOps.exif_transpose,
        lambda image: image.rotate(90, expand=True), Image.Image.copy,
        lambda image: image.resize((30, 20)), lambda image: image.convert("L"),
    ],
)  # fmt: skip
def test_what_a_program_made_of_a_file_is_saved_as_it_lies(small_photograph, tiny_codec, made):
    """As other formats do: it may have been turned upright, and its EXIF data say nothing of it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = made(Image.open(io.BytesIO(file_of(small_photograph, exif=exif))))
    assert Image.open(io.BytesIO(file_of(picture))).size == opened(saved(picture)).size
    bare = Image.fromarray(np.asarray(picture))
    assert saved(picture) == tiny_codec.encode(bare)


# --- the example ----------------------------------------------------------------------------------


def test_the_dataset_reads_at_a_byte_budget(tmp_path, tiny_checkpoint, shows):
    for name in ("a.shc", "b.shc"):
        (tmp_path / name).write_bytes(WHOLE)
    folder = runpy.run_path(str(EXAMPLE))["ShcFolder"]
    for budget in (60, None):
        dataset = folder(tmp_path, max_bytes=budget, model=tiny_checkpoint)
        assert len(dataset) == 2 and dataset[1].shape == (3, 64, 96)
        pixels = (dataset[1] * 255).round().numpy().transpose(1, 2, 0)
        assert shows(pixels, max_bytes=budget)


@pytest.mark.slow
def test_the_example_runs_on_a_folder_with_workers(tmp_path, tiny_checkpoint):
    for name in ("a.shc", "b.shc", "c.shc"):
        (tmp_path / name).write_bytes(WHOLE)
    options = ["--bytes", 60, 9999, "--model", tiny_checkpoint, "--workers", 2]
    lines = python(EXAMPLE, tmp_path, *options).stdout.splitlines()
    assert len(lines) == 2 and all("(3, 3, 64, 96)" in line for line in lines)
    part, whole = (float(line.split(" dB")[0].split()[-1]) for line in lines)
    assert part < 60 < whole
