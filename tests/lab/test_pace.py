"""Speed: what is counted and how it is shown; never how long anything takes."""

import numpy as np
import pytest
from click.testing import CliRunner

from progcodec.lab.bench.pace.growth import Grown, enlarged, exponent, grow
from progcodec.lab.bench.pace.operations import measured_peak, work
from progcodec.lab.bench.pace.plots import growth_plot
from progcodec.lab.bench.pace.runners import CLASSIC_SETTINGS, Classic, Ours
from progcodec.lab.bench.speed import main, race, races_table, work_table
from progcodec.lab.evaluate.sources import Picture


@pytest.fixture
def pixels(photograph) -> np.ndarray:
    return np.asarray(photograph.resize((96, 64)))


def test_every_runner_gives_the_picture_back(tiny_codec, pixels):
    for runner in [Ours(tiny_codec), *map(Classic, ("jpeg", "webp", "jpeg2000"))]:
        decoded = np.asarray(runner.decode(runner.encode(pixels)))
        assert decoded.shape == pixels.shape, runner.name
    assert set(CLASSIC_SETTINGS) <= {"jpeg", "webp", "jpeg2000", "avif", "jpegxl"}


def test_a_race_gives_everybody_every_turn(tiny_codec, pixels):
    runners = [Ours(tiny_codec), Classic("jpeg"), Classic("webp")]
    races = race(runners, [Picture("a", pixels), Picture("b", pixels)], repeats=2)
    for direction in ("encode", "decode"):
        assert [r.name for r in races[direction]] == ["JPEG", "WebP"]
        assert all(len(r.ours) == len(r.theirs) == 4 and r.ratio > 0 for r in races[direction])
    assert races_table(races).count("\n") == 4


def test_operations_of_the_tiny_model_follow_from_its_shape(tiny_codec):
    parts = {part.part: part for part in work(tiny_codec)}
    config = tiny_codec.config
    first = 192 * 9 * config.width / 64  # the 3×3 convolution next to the pixels, a pixel
    assert parts["analysis g_a"].macs_per_pixel > first
    assert parts["synthesis g_s"].macs_per_pixel > first
    assert all(part.macs_per_pixel > 0 and part.seconds > 0 for part in parts.values())
    peak = measured_peak()
    assert peak > 0 and f"{peak:.0f}" in work_table(list(parts.values()), peak)


def test_growth(tiny_checkpoint, pixels, tmp_path):
    for megapixels in (0.05, 0.3):
        shape = enlarged(pixels, megapixels).shape
        assert (
            shape[0] * shape[1] == pytest.approx(megapixels * 1e6, rel=0.02) and shape[1] > shape[0]
        )
    (row,) = grow(str(tiny_checkpoint), pixels, 1, (0.05,))
    assert row.peak >= row.base > 0 and row.bytes > 100
    rows = [Grown(int(m * 1e6), m, 2 * m, 100, 100 + 50 * m, 1) for m in (0.05, 1, 10)]
    assert exponent(rows, [r.encode_s for r in rows]) == pytest.approx(1)
    png, svg = growth_plot(tmp_path, rows)
    assert png.stat().st_size > 5000 and svg.read_text().lstrip().startswith("<?xml")


def test_the_command(tiny_checkpoint, pixels, tmp_path):
    from PIL import Image

    Image.fromarray(pixels).save(tmp_path / "a.png")
    arguments = [
        "--images",
        str(tmp_path / "a.png"),
        "--model",
        str(tiny_checkpoint),
        "--repeats",
        "1",
        "--threads",
        "1",
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    for word in ("bmshj2018_hyperprior", "range coding", "analysis g_a", "progcodec truncate"):
        assert word in done.output
