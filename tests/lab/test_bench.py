"""The benches: what is counted and how it is shown; never how long anything takes."""

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import EvaluationError
from progcodec.lab.bench import big, speed
from progcodec.lab.bench.fleet import Measured, crops, table
from progcodec.lab.bench.measuring import enlarged, peak_memory
from progcodec.lab.evaluate.peers import PEERS
from progcodec.lab.evaluate.pictures import Picture
from tests.conftest import noise_image
from tests.lab.test_evaluate import judge  # noqa: F401
from tests.support.command import errors, run


@pytest.fixture(scope="module")
def pixels(photograph) -> np.ndarray:
    return np.asarray(photograph.resize((96, 64)))


@pytest.fixture
def folder(tmp_path):
    for n in range(2):
        Image.fromarray(noise_image(40, 50, n)).save(tmp_path / f"{n}.png")
    return tmp_path


def test_a_race_gives_everybody_every_turn(tiny_codec, pixels):
    runners = [speed.ours(tiny_codec), *(speed.peer(PEERS[key]) for key in ("jpeg", "webp"))]
    for runner in runners:
        assert np.asarray(runner.decode(runner.encode(pixels))).shape == pixels.shape
    races = speed.race(runners, [Picture("a", pixels), Picture("b", pixels)], repeats=2)
    for way in ("encode", "decode"):
        assert [race.name for race in races[way]] == ["JPEG", "WebP"]
        assert all(len(r.ours) == len(r.theirs) == 4 and r.ratio > 0 for r in races[way])
    assert speed.races_table(races).count("\n") == 4
    assert set(speed.PEER_SETTINGS) == set(PEERS)


def test_operations_are_counted(tiny_codec, pixels):
    told = speed.operations(tiny_codec, Picture("a", pixels))
    # the 3×3 convolution next to the pixels, a pixel
    first = 192 * 9 * tiny_codec.config.width / 64
    encode, decode = (int(part.split()[1].replace(",", "")) for part in told.split("; "))
    assert min(encode, decode) > first


@pytest.mark.slow
def test_speed(tiny_checkpoint, folder):
    pytest.importorskip("compressai")
    line = ["--data", folder, "--model", tiny_checkpoint, "--repeats", 1, "--threads", 1]
    told = run("bench", "speed", *line).stdout
    for word in ("bmshj2018_hyperprior", "range coding", "multiply-adds a pixel", "truncate"):
        assert word in told


def test_shares_are_of_turns_and_costs_of_cores():
    measured = Measured("encode", 100, [10.0, 20.0, 40.0], [9.0, 10.0, 38.0], process=1.0)
    assert measured.over_processes == pytest.approx(100 * 3 / 70)
    assert measured.core_hours(2) == pytest.approx(1e6 * 2 * 0.2 / 3600)
    assert "| encode | 5.0 | 10.0 | 1.00 | 4 |" in table([measured])


def test_squares_are_of_each_picture_in_turn(folder):
    found = crops([str(folder)], 5, 32)
    assert [square.shape for square in found] == [(32, 32, 3)] * 5
    assert np.array_equal(found[1], noise_image(40, 50, 1)[:32, :32])
    assert not np.array_equal(found[0], found[2])
    with pytest.raises(EvaluationError, match="48 x 48"):
        crops([str(folder)], 1, 48)


@pytest.mark.slow
def test_fleet(folder, tiny_checkpoint, judge):  # noqa: F811
    sizes = {"count": 4, "size": 32, "batch": 2, "repeats": 1, "processes": 1}
    options = [part for name, value in sizes.items() for part in (f"--{name}", value)]
    options += ["--classifier", judge]
    told = run("bench", "fleet", "--data", folder, "--model", tiny_checkpoint, *options).stdout
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == ["| encode", "| decode", "| classify"]
    assert "computed from 1 of them" in told and "core hours to decode" in told


def test_big_pictures(folder, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(big, "_alone", lambda threads, function, *arguments: function(*arguments))
    line = ["--data", folder, "--model", tiny_checkpoint, "--megapixels", 0.1, "--compare", 0.1]
    told = run("bench", "big", *line, code=1)
    assert "| 0.1 (365×274, " in told.stdout and "nothing was compared" in errors(told)[0]
    options = {"model": str(tiny_checkpoint), "megapixels": (), "compare": 0.1, "threads": 1}
    *_, last = big.report([str(folder)], **options, side=4)
    assert "in 30 tiles and in one piece" in last


def test_enlarged_pictures_and_memory(pixels):
    for megapixels in (0.003, 0.05, 0.3):
        height, width = enlarged(pixels, megapixels).shape[:2]
        assert height * width == pytest.approx(megapixels * 1e6, rel=0.03) and width > height
    assert peak_memory() > 10


def test_soak(tiny_checkpoint):
    line = ["--model", tiny_checkpoint, "--count", 10, "--side", 32, "--device", "cpu"]
    assert "10 pictures encoded" in run("bench", "soak", *line, "--allow", 1000).stdout
    assert "memory grew" in errors(run("bench", "soak", *line, "--allow", -1, code=1))[0]
