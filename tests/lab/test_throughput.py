"""Throughput: what is compared does the work that it says."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progcodec.errors import EvaluationError
from progcodec.lab.bench.throughput import Measured, crops, main, table
from tests.conftest import noise_image


@pytest.fixture
def pictures(tmp_path):
    for n in range(2):
        Image.fromarray(noise_image(40, 50, n)).save(tmp_path / f"{n}.png")
    return str(tmp_path)


def test_shares_are_of_turns_and_costs_of_cores():
    measured = Measured(
        "encode", 100, [10.0, 20.0, 40.0], [9.0, 10.0, 38.0], process=1.0, threads=2
    )
    assert measured.of_network == 0.9
    assert measured.over_processes == pytest.approx(100 * 3 / 70)
    assert measured.core_hours == pytest.approx(1e6 * 2 * 0.2 / 3600)
    assert "| encode | 5.0 | 10.0 | 90 % | 1.00 | 4 |" in table([measured])


def test_squares_are_of_each_picture_in_turn(pictures):
    found = crops([pictures], 5, 32)
    assert [square.shape for square in found] == [(32, 32, 3)] * 5
    assert np.array_equal(found[1], noise_image(40, 50, 1)[:32, :32])
    assert not np.array_equal(found[0], found[2])
    with pytest.raises(EvaluationError, match="48 x 48"):
        crops([pictures], 1, 48)


@pytest.mark.slow
def test_the_command(pictures, tiny_checkpoint):
    options = [
        "--count",
        "5",
        "--size",
        "32",
        "--batch",
        "2",
        "--repeats",
        "2",
        "--processes",
        "1",
        "--device",
        "cpu",
    ]
    result = CliRunner().invoke(
        main, ["--images", pictures, "--model", str(tiny_checkpoint), *options]
    )
    assert result.exit_code == 0, result.output
    rows = [
        line.split(" | ")
        for line in result.output.splitlines()
        if line.startswith(("| encode", "| decode", "| classify"))
    ]
    assert len(rows) == 3 and all(
        float(row[1]) > float(row[4]) for row in rows
    )  # a process for each picture is slower
    assert "computed from 1 of them" in result.output and "core hours to decode" in result.output
    refused = CliRunner().invoke(main, ["--images", pictures, "--size", "30"])
    assert refused.exit_code == 2 and "multiple of 16" in refused.output
