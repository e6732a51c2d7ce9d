"""Pillow reads and writes .shc files as it does its own formats."""

import copy
import io
import os
import pickle
import runpy
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
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
from tests.conftest import GOLDEN
from tests.product.test_imports import loaded_by

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "dataset_from_shc.py"
WHOLE = (GOLDEN / "v1-96x64.shc").read_bytes()
HEADER = parse(WHOLE).header


@pytest.fixture(autouse=True)
def tiny(tiny_checkpoint):
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
def decoded(tiny_codec):
    """The pixels that the codec itself gets from a stream."""
    return lambda data, **cut: np.asarray(tiny_codec.decode(data, **cut))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def saved(picture: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, "SHC", **options)
    return file.getvalue()


class Counting(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


# --- registration ---------------------------------------------------------------------------------


def test_only_importing_the_module_registers():
    code = (
        "from PIL import Image; import progcodec; progcodec.info; Image.init(); "
        "assert 'SHC' not in Image.OPEN"
    )
    assert loaded_by(code, "progcodec.pillow") == set()
    code = (
        "from PIL import Image; import progcodec.pillow; Image.init(); "
        "assert 'SHC' in Image.OPEN and 'SHC' in Image.SAVE"
    )
    loaded_by(code)


def test_opening_needs_neither_torch_nor_numpy(file):
    code = (
        "from PIL import Image; import progcodec.pillow; "
        f"im = Image.open({str(file)!r}); im.info; im.draft(None, (9, 9))"
    )
    assert (
        loaded_by(
            f"{code}; Image.open({str(file)!r}).verify()",
            "torch",
            "numpy",
            "constriction",
            "safetensors",
        )
        == set()
    )
    code += f"; progcodec.pillow.register(model={str(GOLDEN / 'tiny.safetensors')!r}); im.load()"
    assert "torch" in loaded_by(code, "torch")


def test_the_format_is_known_by_suffix_and_type(file):
    Image.init()
    assert Image.registered_extensions()[".shc"] == "SHC"
    with Image.open(file) as image:
        assert (image.format, image.get_format_mimetype()) == ("SHC", "image/x-shc")
        assert image.format_description


def test_registering_twice_adds_nothing():
    before = Image.ID.count("SHC"), len(Image.EXTENSION)
    progcodec.pillow.register()
    assert (Image.ID.count("SHC"), len(Image.EXTENSION)) == before
    assert before[0] == 1


# --- opening --------------------------------------------------------------------------------------


def test_open_tells_what_the_header_and_the_lengths_tell(file):
    with Image.open(file) as image:
        assert (image.size, image.mode) == ((96, 64), "RGB")
        assert image.info == {
            "bytes": len(WHOLE),
            "levels": ("coarse", "intermediate", "fine"),
            "model": HEADER.fingerprint.hex(),
            "checksums": True,
            "quality_step": 0,
        }


def test_open_is_lazy(decoded):
    data = saved(Image.effect_noise((512, 512), 90).convert("RGB"))
    file = Counting(data)
    image = Image.open(file)
    assert file.count < 128 and len(data) > 2000
    image.level = "coarse"
    image.load()
    assert file.count < 128 + len(progcodec.truncate(data, level="coarse"))
    assert np.array_equal(np.asarray(image), decoded(data, level="coarse"))


@pytest.mark.parametrize("end", range(HEADER.size, len(WHOLE) + 1, 7))
def test_info_agrees_with_the_library_at_every_cut(end):
    info = progcodec.info(WHOLE[:end])
    levels = tuple(part.name for part in info.segments[1:] if part.complete)
    facts = {
        "bytes": end,
        "levels": levels,
        "model": info.fingerprint,
        "checksums": True,
        "quality_step": 0,
    }
    assert opened(WHOLE[:end]).info == facts


def test_info_without_checksums():
    data = (GOLDEN / "v1-50x33-no-checksums.shc").read_bytes()
    image = opened(data)
    assert image.info["levels"] == ("coarse", "intermediate", "fine")
    assert image.info["checksums"] is False
    assert opened(data[:-1]).info["levels"] == ("coarse", "intermediate")


def test_a_loaded_picture_is_what_the_codec_decodes(file, decoded):
    with Image.open(file) as image:
        assert np.array_equal(np.asarray(image), decoded(WHOLE))
        assert image.load() is not None and image.fp is None
        assert np.array_equal(np.asarray(image), decoded(WHOLE))
    assert image.getpixel((5, 5)) == tuple(decoded(WHOLE)[5, 5])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, len(WHOLE)))
def test_any_cut_opens_or_is_unidentified(decoded, end):
    if end < HEADER.size:
        with pytest.raises(UnidentifiedImageError):
            opened(WHOLE[:end])
    else:
        image = opened(WHOLE[:end])
        assert np.array_equal(np.asarray(image), decoded(WHOLE[:end]))
        opened(WHOLE[:end]).verify()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_damage_is_an_oserror_or_a_bomb(at, flip):
    damaged = bytearray(WHOLE)
    damaged[at] ^= flip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unknown version
        with pytest.raises(OSError):
            opened(bytes(damaged)).load()


def test_a_file_object_without_seek(file):
    class Pipe:
        def __init__(self) -> None:
            self._file = io.BytesIO(WHOLE)
            self.read = self._file.read

    assert np.asarray(Image.open(Pipe())).shape == (64, 96, 3)


def test_the_parser_is_fed_piece_by_piece(decoded):
    parser = ImageFile.Parser()
    for start in range(0, len(WHOLE), 9):
        parser.feed(WHOLE[start : start + 9])
    assert np.array_equal(np.asarray(parser.close()), decoded(WHOLE))


def test_the_file_is_closed_once_the_pixels_are_there(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image = Image.open(file)
        handle = image.fp
        image.load()
        assert handle.closed
    mine = io.BytesIO(WHOLE)
    Image.open(mine).load()
    assert not mine.closed
    with Image.open(file) as unread:
        pass
    with pytest.raises(ValueError, match="closed image"):
        unread.load()


# --- choosing a part ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["coarse", "intermediate", "fine"])
def test_a_level(decoded, level):
    image = opened(WHOLE)
    image.level = level
    assert image.level == level and np.array_equal(np.asarray(image), decoded(WHOLE, level=level))
    assert np.array_equal(
        np.asarray(progcodec.pillow.open(io.BytesIO(WHOLE), level=level)),
        decoded(WHOLE, level=level),
    )


@pytest.mark.parametrize("budget", [HEADER.size, 60, 150, 10**9])
def test_a_byte_budget(decoded, budget):
    image = opened(WHOLE)
    image.max_bytes = budget
    assert np.array_equal(np.asarray(image), decoded(WHOLE, max_bytes=budget))
    both = progcodec.pillow.open(io.BytesIO(WHOLE), level="coarse", max_bytes=budget)
    assert np.array_equal(np.asarray(both), decoded(WHOLE, level="coarse", max_bytes=budget))


def test_a_level_that_a_cut_does_not_reach(decoded):
    image = opened(WHOLE[:40])
    image.level = "fine"
    assert np.array_equal(np.asarray(image), decoded(WHOLE[:40]))


def test_what_lies_behind_the_chosen_part_may_be_damaged(decoded):
    end = len(progcodec.truncate(WHOLE, level="coarse"))
    data = WHOLE[:end] + bytes(5) + WHOLE[end + 5 :]
    image = opened(data)
    image.level = "coarse"
    assert np.array_equal(np.asarray(image), decoded(WHOLE, level="coarse"))
    with pytest.raises(OSError, match="damaged"):
        opened(data).load()


def test_wrong_choices(file):
    image = opened(WHOLE)
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
    [
        ((96, 64), None),
        ((25, 17), None),
        ((24, 16), "intermediate"),
        ((24, 64), None),
        ((6, 4), "coarse"),
        ((1, 1), "coarse"),
    ],
)
def test_draft(size, level):
    image = opened(WHOLE)
    assert image.draft("L", size) == (None if level is None else ("RGB", (0, 0, 96, 64)))
    assert (image.level, image.size, image.mode) == (level, (96, 64), "RGB")


@pytest.mark.parametrize(("factor", "level"), progcodec.pillow.DRAFT_LEVELS)
def test_the_level_of_a_draft_is_good_enough(photograph, factor, level):
    from progcodec.metrics import psnr

    size = photograph.width // factor, photograph.height // factor
    image = opened(saved(photograph, model="lite"))
    image.draft(None, size)
    assert image.level == level
    bicubic = Image.Resampling.BICUBIC
    assert (
        psnr(np.asarray(image.resize(size, bicubic)), np.asarray(photograph.resize(size, bicubic)))
        > 37
    )


def test_draft_never_takes_more_than_was_chosen():
    image = opened(WHOLE)
    image.level = "coarse"
    assert image.draft(None, (24, 16)) is None and image.level == "coarse"
    image.level = "intermediate"
    assert image.draft(None, (6, 4)) and image.level == "coarse"
    loaded = opened(WHOLE)
    loaded.load()
    assert loaded.draft(None, (6, 4)) is None and loaded.level is None
    assert opened(WHOLE).draft("RGB", None) is None


# --- what else people do with a picture -----------------------------------------------------------


def test_thumbnail(decoded):
    image = opened(WHOLE)
    image.thumbnail((8, 8))
    assert image.size == (8, 5) and image.level == "intermediate"
    expected = Image.fromarray(decoded(WHOLE, level="intermediate"))
    expected.thumbnail((8, 8))
    assert np.array_equal(np.asarray(image), np.asarray(expected))


def test_copies_and_pickles(decoded):
    pixels = decoded(WHOLE)
    for loaded in (False, True):
        for duplicate in (
            Image.Image.copy,
            copy.copy,
            copy.deepcopy,
            lambda image: pickle.loads(pickle.dumps(image)),
        ):
            image = opened(WHOLE)
            if loaded:
                image.load()
            other = duplicate(image)
            assert np.array_equal(np.asarray(other), pixels) and other.info == image.info
            other.putpixel((0, 0), (1, 2, 3))
            assert np.array_equal(np.asarray(image), pixels)


def test_operations(decoded, file):
    reference = Image.fromarray(decoded(WHOLE))
    for operation in (
        ImageOps.exif_transpose,
        ImageOps.grayscale,
        ImageOps.mirror,
        lambda image: ImageOps.fit(image, (30, 30)),
        lambda image: image.convert("L"),
        lambda image: image.crop((90, 60, 99, 70)),
        lambda image: image.rotate(90, expand=True),
        lambda image: image.reduce(3),
        lambda image: image.resize((20, 20)),
        lambda image: image.split()[1],
        lambda image: Image.blend(image, image, 0.5),
    ):
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(operation(image)), np.asarray(operation(reference)))
    image = opened(WHOLE)
    assert (image.getexif() == {}) and image.tell() == 0
    with pytest.raises(EOFError):
        image.seek(1)
    image.putpixel((0, 0), (9, 8, 7))
    assert image.getpixel((0, 0)) == (9, 8, 7)


def test_other_formats_take_it(file, tmp_path, decoded):
    Image.open(file).save(tmp_path / "picture.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), decoded(WHOLE))


def test_threads_open_and_load(file, decoded):
    pixels = decoded(WHOLE)

    def read(_: int) -> bool:
        with Image.open(file) as image:
            return np.array_equal(np.asarray(image), pixels)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(40)))


def test_the_library_reads_it_as_any_picture(file, decoded):
    from progcodec.image import open_image

    assert np.array_equal(np.asarray(open_image(file)), decoded(WHOLE))


# --- damage, models, limits -----------------------------------------------------------------------


def test_verify(file):
    image = Image.open(file)
    handle = image.fp
    image.verify()
    assert handle.closed
    with pytest.raises(ValueError, match="closed image"):
        image.load()
    damaged = bytearray(WHOLE)
    damaged[-6] ^= 1
    image = opened(bytes(damaged))
    with pytest.raises(OSError, match="broken .shc file: the fine segment is damaged") as caught:
        image.verify()
    assert isinstance(caught.value.__cause__, CorruptError) and image.fp is None


def test_bytes_behind_the_end_are_damage():
    image = opened(WHOLE + b"?")
    with pytest.raises(OSError, match="follow the last segment"):
        image.load()


def test_a_damaged_length_is_told_when_loading():
    at = HEADER.size
    image = opened(WHOLE[:at] + b"\x80" + WHOLE[at + 1 :])
    assert image.info["levels"] == ()
    with pytest.raises(OSError, match="shortest form"):
        image.load()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93SHC",
        WHOLE[: HEADER.size - 1],
        b"\x93SHC" + bytes(60),
        WHOLE[:9] + b"?" + WHOLE[10:],
    ],
)
@pytest.mark.filterwarnings("ignore:image file could not be identified")
def test_a_broken_header_is_not_identified(data):
    with pytest.raises(UnidentifiedImageError):
        opened(data)
    with pytest.raises(UnidentifiedImageError):
        progcodec.pillow.open(io.BytesIO(data))


def test_a_later_version_is_warned_of():
    with (
        pytest.warns(UserWarning, match=".shc version 7 is not known"),
        pytest.raises(UnidentifiedImageError),
    ):
        opened(WHOLE[:4] + b"\x07" + WHOLE[5:])


def test_only_shc_files_are_opened(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "picture.png")
    with pytest.raises(UnidentifiedImageError):
        progcodec.pillow.open(tmp_path / "picture.png")
    with pytest.raises(FileNotFoundError):
        progcodec.pillow.open(tmp_path / "missing.shc")


def test_models(file, tiny_checkpoint, decoded):
    progcodec.pillow.register()
    image = Image.open(file)
    with pytest.raises(
        OSError, match=r"name its checkpoint \(progcodec.pillow.register\(model=...\) does\)"
    ) as caught:
        image.load()
    assert isinstance(caught.value.__cause__, WrongModelError)
    progcodec.pillow.register(model=tiny_checkpoint, device="cpu")
    # The same picture, once the model is known.
    assert np.array_equal(np.asarray(image), decoded(WHOLE))
    progcodec.pillow.register(model="no/such.safetensors")
    with pytest.raises(OSError) as caught:
        Image.open(file).load()
    assert isinstance(caught.value.__cause__, CheckpointError)
    own = progcodec.pillow.open(file, model=tiny_checkpoint, device="cpu")
    assert np.array_equal(np.asarray(own), decoded(WHOLE))


def test_shipped_models_are_found_beside_a_registered_one():
    picture = Image.new("RGB", (32, 32), "teal")
    data = saved(picture, model="lite")
    assert np.array_equal(
        np.asarray(opened(data)), np.asarray(progcodec.decode(data, device="cpu"))
    )
    assert opened(data).info["model"] != HEADER.fingerprint.hex()


def test_limits(monkeypatch, tiny_checkpoint):
    huge = Header(16000, 8000, b"abcd").to_bytes()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000_000)
    with pytest.raises(
        Image.DecompressionBombError,
        match="16000 x 8000 pixels are more than the limit of 120,000,000",
    ):
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


def test_save(tmp_path, small_photograph, tiny_codec):
    path = tmp_path / "picture.shc"
    small_photograph.save(path)
    assert path.read_bytes() == tiny_codec.encode(small_photograph)
    small_photograph.save(path, checksums=False)
    assert path.read_bytes() == tiny_codec.encode(small_photograph, checksums=False)
    with path.open("wb") as file:
        small_photograph.save(file)  # by the name of the file
    assert path.read_bytes() == tiny_codec.encode(small_photograph)


@pytest.mark.parametrize(
    "limit",
    [{"level": "coarse"}, {"max_bytes": 100}, {"bpp": 0.2}, {"level": "fine"}, {"max_bytes": None}],
)
def test_save_a_part(small_photograph, tiny_codec, limit):
    whole = tiny_codec.encode(small_photograph)
    given = {name: value for name, value in limit.items() if value is not None}
    assert saved(small_photograph, **limit) == (
        progcodec.truncate(whole, **given) if given else whole
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "rough"}, "unknown level"),
        ({"level": "coarse", "max_bytes": 90}, "at most one"),
        ({"max_bytes": 3}, "cannot hold the header"),
        ({"bpp": -1.0}, "not negative"),
        ({"save_all": True}, "one picture"),
        ({"append_images": [Image.new("RGB", (2, 2))]}, "one picture"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        Image.new("RGB", (20, 20)).save(tmp_path / "picture.shc", **options)
    assert not list(tmp_path.iterdir())


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
    assert picture.mode == mode
    assert saved(picture) == tiny_codec.encode(picture)


def test_transparency_of_a_palette(small_photograph, tiny_codec):
    picture = small_photograph.convert("P")
    picture.info["transparency"] = int(np.bincount(np.asarray(picture).ravel()).argmax())
    assert (
        saved(picture)
        == tiny_codec.encode(picture)
        != tiny_codec.encode(small_photograph.convert("P"))
    )


def test_what_cannot_be_converted_is_an_oserror():
    with pytest.raises(OSError, match="outside 0..65535") as caught:
        saved(Image.new("I", (20, 20), -1))
    assert isinstance(caught.value.__cause__, ImageError)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_saved_upright_as_by_the_command_line(
    tmp_path, small_photograph, tiny_codec, orientation
):
    from progcodec.image import open_image

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    small_photograph.save(path, exif=exif)
    data = saved(Image.open(path))
    assert data == tiny_codec.encode(open_image(path))
    assert opened(data).size == ((77, 50) if orientation < 5 else (50, 77))


def test_over_the_file_it_was_read_from(file, tiny_codec, decoded):
    with Image.open(file) as image:
        image.save(file)
    assert file.read_bytes() == tiny_codec.encode(Image.fromarray(decoded(WHOLE)))


def test_the_model_of_one_file(small_photograph, tiny_checkpoint, tiny_codec):
    progcodec.pillow.register()
    assert saved(small_photograph, model=tiny_checkpoint, device="cpu") == tiny_codec.encode(
        small_photograph
    )


# --- the example ----------------------------------------------------------------------------------


def shc_folder(folder, **options):
    return runpy.run_path(str(EXAMPLE))["ShcFolder"](folder, **options)


def test_the_dataset_reads_at_a_byte_budget(tmp_path, tiny_checkpoint, decoded):
    for name in ("a.shc", "b.shc"):
        (tmp_path / name).write_bytes(WHOLE)
    for budget in (60, None):
        dataset = shc_folder(tmp_path, max_bytes=budget, model=tiny_checkpoint)
        assert len(dataset) == 2 and dataset[1].shape == (3, 64, 96)
        assert np.array_equal(
            (dataset[1] * 255).round().numpy().transpose(1, 2, 0), decoded(WHOLE, max_bytes=budget)
        )


@pytest.mark.slow
def test_the_example_runs_on_a_folder_with_workers(tmp_path, tiny_checkpoint):
    for name in ("a.shc", "b.shc", "c.shc"):
        (tmp_path / name).write_bytes(WHOLE)
    command = [
        sys.executable,
        str(EXAMPLE),
        str(tmp_path),
        "--bytes",
        "60",
        "9999",
        "--model",
        str(tiny_checkpoint),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--workers", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=1200,
        env=env,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("(3, 3, 64, 96)" in line for line in lines)
    part, whole = (float(line.split(" dB")[0].split()[-1]) for line in lines)
    assert part < 60 < whole


def test_the_example_explains_itself(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "--bytes" in capsys.readouterr().out


# --- settings of other formats --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quality", "step"), [(0, -7), (10, -7), (50, -3), (75, 0), (85, 3), (90, 5), (95, 7), (100, 7)]
)
def test_quality_is_that_of_jpeg(quality, step):
    picture = Image.new("RGB", (16, 16), "teal")
    assert saved(picture, quality=quality) == saved(picture, quality_step=step)


def test_settings_of_other_formats_do_nothing_or_are_refused():
    picture = Image.new("RGB", (16, 16), "teal")
    assert saved(picture, optimize=True, exif=b"", dpi=(72, 72)) == saved(picture)
    for options, told in (
        ({"lossless": True}, "no setting lossless; there are: level, max_bytes"),
        ({"quality": "high"}, "from 0 to 100"),
        ({"quality": 101}, "from 0 to 100"),
        ({"quality": 75, "quality_step": 0}, "at most one of quality and quality_step"),
    ):
        with pytest.raises(ValueError, match=told):
            saved(picture, **options)
