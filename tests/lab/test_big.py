"""The measurement of very large pictures, on small ones."""

import numpy as np
import pytest
from click.testing import CliRunner

from progcodec.lab.bench import big


@pytest.fixture
def photo(tmp_path, photograph):
    photograph.resize((320, 240)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_tiles_are_compared_with_one_piece(tiny_checkpoint, photograph):
    pixels = np.asarray(photograph.resize((320, 240)))
    found = big.seam(str(tiny_checkpoint), pixels, side=4)
    assert found.tiles == 20 and found.largest <= 1 and found.share < 1e-3
    assert abs(found.psnr - found.psnr_tiled) <= 0.01 and found.bytes > 100
    assert big._psnr(pixels, pixels) == float("inf")


def test_the_command(photo, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(big, "_alone", lambda threads, function, *arguments: function(*arguments))
    line = [
        "--images",
        str(photo),
        "--model",
        str(tiny_checkpoint),
        "--megapixels",
        "0.1",
        "--compare",
        "0.1",
    ]
    result = CliRunner().invoke(big.main, line)
    assert (
        result.exit_code == 1
        and "nothing was compared" in result.output
        and "Traceback" not in result.output
    )
    rows = [row.split("|")[1].strip() for row in result.output.splitlines() if row.startswith("|")][
        2:
    ]
    assert rows == ["encode", "decode", "decode a region"] and "| 365 × 274 |" in result.output
    monkeypatch.setattr(big.seam, "__defaults__", (4,))
    result = CliRunner().invoke(big.main, line)
    assert result.exit_code == 0 and "in 30 tiles and in one piece" in result.output, result.output
