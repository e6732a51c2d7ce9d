"""The measurement of every quality: its numbers on curves that are known, and a whole run on two small pictures."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progcodec.lab.evaluate import quality_steps
from progcodec.lab.evaluate.points import Mean
from progcodec.lab.evaluate.quality_steps import AtQuality, envelope, qualities, quality_table


def test_lists_of_qualities():
    assert qualities("-4..4") == list(range(-4, 5)) and qualities("3, -1,+2..3") == [-1, 2, 3]
    for wrong in ("", "a", "-4...4", "2..1", "8", "-8..0", "1;2"):
        with pytest.raises(ValueError):
            qualities(wrong)


def curve(*points: tuple[float, float]) -> list[Mean]:
    return [
        Mean(str(n), bpp, decibels, float("nan"), 0.0) for n, (bpp, decibels) in enumerate(points)
    ]


def test_the_table_compares_with_cuts_and_with_the_best():
    plain = curve((0.1, 20), (0.2, 25), (0.4, 30), (0.8, 35))
    twice = curve((0.2, 20), (0.4, 25), (0.8, 30))  # the same for twice the bits
    finer = curve((0.1, 20), (0.8, 35), (1.6, 40))
    measured = {
        -1: AtQuality(twice, twice),
        0: AtQuality(plain[1:], plain),
        1: AtQuality(finer, finer),
    }
    assert envelope(measured) == [(0.1, 20), (0.2, 25), (0.4, 30), (0.8, 35), (1.6, 40)]
    _, _, worse, zero, best = quality_table(measured).splitlines()
    assert worse.startswith("| -1 | 1.224 | 0.200 / 20.00 |") and worse.endswith(
        "| +100.0 % | +100.0 % | +100.0 % |"
    )
    assert zero.endswith("| – | +0.0 % | +0.0 % |")
    assert "| – | +0.0 % |" in best  # no cut of quality 0 reaches its end


def test_whole_run(tmp_path, tiny_checkpoint):
    for name, phase in (("one", 0), ("two", 2)):
        down, right = np.mgrid[:48, :64] / 9
        colours = [120 + 90 * np.sin(down + phase + c) * np.cos(right - c) for c in range(3)]
        Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8)).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    line = [
        "--images",
        str(tmp_path),
        "--model",
        str(tiny_checkpoint),
        "--device",
        "cpu",
        "--quality",
        "-3,0,2",
        "-o",
        str(out),
    ]
    result = CliRunner().invoke(quality_steps.main, line, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert all(
        f"\n| {quality} | {step} |" in result.output
        for quality, step in (("-3", 1.834), ("0", "1.000"), ("+2", 0.667))
    )
    with (out / "quality.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 3 * (3 + 10) and {row["curve"] for row in rows} >= {
        "cuts -3",
        "level ends 2",
    }
    sizes = [
        sum(int(row["bytes"]) for row in rows if row["curve"] == f"level ends {n}")
        for n in (-3, 0, 2)
    ]
    assert sizes == sorted(sizes)
    assert (out / "quality.png").stat().st_size > 10_000 and b"<svg" in (
        out / "quality.svg"
    ).read_bytes()


def test_misuse_is_one_line(tmp_path):
    result = CliRunner().invoke(quality_steps.main, ["--images", str(tmp_path), "--quality", "9"])
    assert result.exit_code == 2 and "from -7 to 7" in result.output
    result = CliRunner().invoke(quality_steps.main, ["--images", str(tmp_path)])
    assert (
        result.exit_code == 1
        and "no pictures found" in result.output
        and "Traceback" not in result.output
    )
