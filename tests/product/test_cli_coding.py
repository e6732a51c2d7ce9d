"""The commands that need a model: encode, decode, demo."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import progcodec
from progcodec.viewer import demo
from progcodec.viewer.frames import looks
from tests.conftest import noise_image
from tests.support.command import ENVIRONMENT, errors, python, run


@pytest.fixture
def picture(tmp_path, monkeypatch) -> Path:
    """In a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise_image(40, 50)).save("picture.png")
    return Path("picture.png")


def test_encode_and_decode(picture, tiny, tiny_checkpoint):
    line = run("encode", picture, *tiny).stdout
    data = Path("picture.shc").read_bytes()
    rate = f"{8 * len(data) / 2000:.3f}"
    assert line == f"picture.png -> picture.shc  {len(data):,} bytes  {rate} bpp\n"
    assert run("decode", "picture.shc", *tiny, code=1).stderr.count("exists") == 1
    run("decode", "picture.shc", *tiny, "-o", "back.png")
    expected = progcodec.decode(data, model=tiny_checkpoint)
    assert np.array_equal(np.asarray(Image.open("back.png")), np.asarray(expected))
    run("decode", "picture.shc", *tiny, "-o", "back.jpg")
    assert Image.open("back.jpg").format == "JPEG"


def test_budgets_and_levels_are_prefixes(picture, tiny):
    def encoded(*options: object) -> bytes:
        return run("encode", picture, *tiny, "-o", "-", *options).stdout_bytes

    def decoded(stdin: bytes, *options: object) -> bytes:
        return run("decode", "-", *tiny, *options, stdin=stdin).stdout_bytes

    whole = encoded()
    coarse = progcodec.truncate(whole, level="coarse")
    assert encoded("--bytes", 60) == whole[:60]
    assert encoded("--bpp", 0.5) == whole[:125]
    assert encoded("--level", "coarse") == coarse
    assert len(encoded("--no-checksums")) == len(whole) - 16
    assert decoded(whole, "--bytes", 70) == decoded(whole[:70])
    assert decoded(whole, "--level", "coarse") == decoded(coarse)
    assert Image.open(io.BytesIO(decoded(whole))).format == "PNG"


def test_a_batch_goes_on_past_what_it_cannot_read(picture, tiny):
    Path("photos").mkdir()
    for name, size in (("a.png", (1, 1)), ("b.jpg", (33, 18)), ("big.png", (70, 70))):
        Image.new("RGB", size, "teal").save(f"photos/{name}")
    Path("photos/broken.jpg").write_bytes(Path("photos/b.jpg").read_bytes()[:300])
    Path("photos/notes.txt").write_text("not a picture")
    result = run("encode", "photos", *tiny, "--max-pixels", 1000, "-o", "streams", code=1)
    assert sorted(os.listdir("streams")) == ["a.shc", "b.shc"]
    note, *lines = errors(result)
    assert note == "note: not taken for pictures, by their suffix: .txt 1"
    assert [line.split(": ")[1] for line in lines] == ["photos/big.png", "photos/broken.jpg"]
    run("decode", "streams", *tiny, "-o", "back")
    assert [Image.open(f"back/{n}.png").size for n in "ab"] == [(1, 1), (33, 18)]
    Image.new("RGB", (8, 8)).save("picture.jpg")  # two pictures of one stem
    run("encode", "picture.png", "picture.jpg", *tiny, code=1)
    assert not Path("picture.shc").exists()


def test_encode_to_a_psnr_or_a_quality(picture, tiny):
    finest = run("encode", picture, *tiny, "--psnr", 99, code=1).stderr
    assert "picture.png: no quality reaches a PSNR of 99 dB; the finest gives" in finest
    assert run("encode", picture, *tiny, "--psnr", 1).stdout.endswith("quality -7\n")
    assert progcodec.info(Path("picture.shc").read_bytes()).quality == -7
    run("encode", picture, *tiny, "--quality", "-4", "--force")
    assert " -4 " in run("info", "picture.shc").stdout
    run("encode", picture, *tiny, "--quality", "8", code=2)


def test_streams_larger_than_their_sources_get_one_note(picture, tiny):
    Path("drawn").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), "teal").save(f"drawn/{name}.png", optimize=True)
    tiny = [*tiny, "--force"]
    (note,) = errors(run("encode", "drawn", *tiny))
    assert note.startswith("note: 2 streams are larger than their sources: drawn/a.shc (")
    (note,) = errors(run("encode", "drawn/a.png", *tiny))
    assert note.startswith("note: drawn/a.shc (") and "is larger than drawn/a.png (" in note
    for quiet in (["--quiet"], ["--bytes", 60]):
        assert errors(run("encode", "drawn/a.png", *tiny, *quiet)) == []


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["before torch", "after it"])
def test_threads(picture, tiny_checkpoint, late):
    script = (
        "import sys; from progcodec.cli import main\n"
        "if sys.argv[2] == 'True': import torch\n"
        "line = ['encode', 'picture.png', '--model', sys.argv[1], '--threads', '1']\n"
        "main(line, standalone_mode=False)\n"
        "import torch; print(torch.get_num_threads())"
    )
    env = {**ENVIRONMENT, "OMP_NUM_THREADS": "3"}
    assert python("-c", script, tiny_checkpoint, late, env=env).stdout.splitlines()[-1] == "1"


def test_demo(picture, tiny, tiny_codec):
    lines = run("demo", picture, *tiny[:2]).stdout.splitlines()
    sheet = Image.open("contact-sheet.png")
    assert sheet.width > 1400 and sheet.format == "PNG"
    assert "PSNR" in lines[0] and lines[-1] == "wrote contact-sheet.png"
    sizes = [int(line.split()[0].replace(",", "")) for line in lines[1:-1]]
    assert len(sizes) == 8 and sizes == sorted(sizes) and lines[-2].endswith("fine")
    run("demo", picture, *tiny[:2], code=1)
    run("demo", picture, *tiny[:2], "-o", "sheet.jpg")
    assert Image.open("sheet.jpg").format == "JPEG"
    assert demo.photograph().size == (640, 427)
    for size in ((1, 1), (3, 300)):
        image = Image.new("RGB", size, "olive")
        data = tiny_codec.encode(image)
        decoder = progcodec.StreamDecoder(codec=tiny_codec, max_pixels=None)
        taken = list(looks(data, decoder, demo.cuts(data), image))
        assert taken[-1].stream.file_bytes == len(data)
        demo.contact_sheet(image, taken, demo.CREDIT)
