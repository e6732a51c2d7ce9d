"""The commands that need a model: encode, decode, demo, train, export."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import progcodec
from tests.support.command import STREAM, errors, run


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with one stream in it, of no model that there is."""
    monkeypatch.chdir(tmp_path)
    Path("a.shc").write_bytes(STREAM)
    return tmp_path


@pytest.fixture
def picture(here) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("picture.png")
    return Path("picture.png")


def test_encode_and_decode(picture, tiny_checkpoint):
    line = run("encode", picture, "--model", tiny_checkpoint).stdout
    data = Path("picture.shc").read_bytes()
    assert (
        line == f"picture.png -> picture.shc  {len(data):,} bytes  {8 * len(data) / 2000:.3f} bpp\n"
    )
    assert (
        run("decode", "picture.shc", "--model", tiny_checkpoint, code=1).stderr.count("exists") == 1
    )
    run("decode", "picture.shc", "--model", tiny_checkpoint, "-o", "back.png")
    expected = progcodec.decode(data, model=tiny_checkpoint)
    assert np.array_equal(np.asarray(Image.open("back.png")), np.asarray(expected))
    run("decode", "picture.shc", "--model", tiny_checkpoint, "-o", "back.jpg")
    assert Image.open("back.jpg").format == "JPEG"


def test_encode_to_a_budget_is_a_prefix(picture, tiny_checkpoint):
    def encoded(*options: object) -> bytes:
        return run("encode", picture, "--model", tiny_checkpoint, "-o", "-", *options).stdout_bytes

    whole = encoded()
    assert encoded("--bytes", 60) == whole[:60]
    assert encoded("--bpp", 0.5) == whole[:125]
    assert encoded("--level", "coarse") == progcodec.truncate(whole, level="coarse")
    assert len(encoded("--no-checksums")) == len(whole) - 16
    (line,) = errors(run("encode", picture, "--model", tiny_checkpoint, "--bytes", 3, code=1))
    assert "cannot hold the header" in line


def test_decode_a_prefix_equals_decoding_the_cut_file(picture, tiny_checkpoint):
    run("encode", picture, "--model", tiny_checkpoint)
    data = Path("picture.shc").read_bytes()

    def decoded(stdin: bytes, *options: object) -> bytes:
        return run("decode", "-", "--model", tiny_checkpoint, *options, stdin=stdin).stdout_bytes

    assert decoded(data, "--bytes", 70) == decoded(data[:70])
    assert decoded(data, "--level", "coarse") == decoded(progcodec.truncate(data, level="coarse"))
    assert Image.open(io.BytesIO(decoded(data))).format == "PNG"


def test_a_batch_goes_on_past_what_it_cannot_read(here, tiny_checkpoint):
    Path("photos").mkdir()
    for name, size in (("a.png", (1, 1)), ("b.jpg", (33, 18)), ("big.png", (70, 70))):
        Image.new("RGB", size, "teal").save(f"photos/{name}")
    Path("photos/broken.jpg").write_bytes(Path("photos/b.jpg").read_bytes()[:300])
    Path("photos/notes.txt").write_text("not a picture")
    options = ["--model", tiny_checkpoint, "--max-pixels", 1000]
    result = run("encode", "photos", *options, "-o", "streams", code=1)
    assert sorted(os.listdir("streams")) == ["a.shc", "b.shc"]
    note, *lines = errors(result)
    assert note == "note: not taken for pictures, by their suffix: .txt 1"
    assert [line.split(": ")[1] for line in lines] == [
        "photos/big.png",
        "photos/broken.jpg",
    ]
    run("decode", "streams", *options, "-o", "back")
    assert Image.open("back/a.png").size == (1, 1)
    assert Image.open("back/b.png").size == (33, 18)
    options[-1] = 100
    (line,) = errors(run("decode", "streams/b.shc", *options, "-o", "c.png", code=1))
    assert "limit" in line


def test_two_pictures_of_one_stem_are_refused(here, tiny_checkpoint):
    for name in ("p.png", "p.jpg"):
        Image.new("RGB", (16, 16)).save(name)
    run("encode", "p.png", "p.jpg", "--model", tiny_checkpoint, code=2)
    assert not Path("p.shc").exists()


def test_model_errors_are_one_line(picture, tiny_checkpoint):
    Path("no.safetensors").write_bytes(b"nonsense")
    for model in ("no.safetensors", "./missing.safetensors", "nobody"):
        (line,) = errors(run("encode", picture, "--model", model, code=1))
        assert line.startswith("progcodec: ")
    (line,) = errors(run("decode", "a.shc", code=1))  # Written by no shipped checkpoint.
    assert "61626364" in line
    (line,) = errors(run("decode", "a.shc", "--model", tiny_checkpoint, code=1))
    assert "61626364" in line


def test_encode_to_a_psnr_says_the_quality(picture, tiny_checkpoint):
    model = ["--model", tiny_checkpoint]
    finest = run("encode", picture, *model, "--psnr", 99, code=1).stderr
    assert "picture.png: no quality reaches a PSNR of 99 dB; the finest gives" in finest
    line = run("encode", picture, *model, "--psnr", 1).stdout
    assert line.endswith("quality -7\n")
    assert progcodec.info(Path("picture.shc").read_bytes()).quality == -7


def test_streams_larger_than_their_sources_get_one_note(here, tiny_checkpoint):
    Path("drawn").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), "teal").save(f"drawn/{name}.png", optimize=True)
    model = ["--model", tiny_checkpoint, "--force"]
    (note,) = errors(run("encode", "drawn", *model))
    assert note.startswith("note: 2 streams are larger than their sources: drawn/a.shc (")
    (note,) = errors(run("encode", "drawn/a.png", *model))
    assert note.startswith("note: drawn/a.shc (") and "is larger than drawn/a.png (" in note
    assert errors(run("encode", "drawn/a.png", *model, "--quiet")) == []
    assert errors(run("encode", "drawn/a.png", *model, "--bytes", 60)) == []


def test_threads(here, tiny_checkpoint):
    script = (
        "import torch; from progcodec.cli import main\n"
        "line = ['encode', 'p.png', '--model', sys.argv[1], '--threads', '1']\n"
        "main(line, standalone_mode=False)\n"
        "print(torch.get_num_threads())"
    )
    Image.new("RGB", (16, 16)).save("p.png")
    for late in ("import sys; ", "import sys, os; os.environ['OMP_NUM_THREADS'] = '3'; "):
        done = subprocess.run(
            [sys.executable, "-c", late + script, str(tiny_checkpoint)],
            check=True, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "1"
        Path("p.shc").unlink()


def test_demo(picture, tiny_checkpoint):
    lines = run("demo", picture, "--model", tiny_checkpoint).stdout.splitlines()
    sheet = Image.open("contact-sheet.png")
    assert sheet.width > 1400 and sheet.format == "PNG"
    assert "PSNR" in lines[0] and lines[-1] == "wrote contact-sheet.png"
    sizes = [int(line.split()[0].replace(",", "")) for line in lines[1:-1]]
    assert len(sizes) == 8 and sizes == sorted(sizes) and lines[-2].endswith("fine")
    run("demo", picture, "--model", tiny_checkpoint, code=1)
    run("demo", picture, "--model", tiny_checkpoint, "-o", "sheet.jpg")
    assert Image.open("sheet.jpg").format == "JPEG"


def test_demo_takes_any_picture_and_brings_its_own(tiny_codec):
    from progcodec.viewer import demo

    assert demo.photograph().size == (640, 427)
    for size in ((1, 1), (3, 300)):
        image = Image.new("RGB", size, "olive")
        data = tiny_codec.encode(image)
        taken = list(demo.shots(tiny_codec, image, data, demo.cuts(data)))
        assert taken[-1].size == len(data)
        demo.contact_sheet(image, taken, demo.CREDIT)
