"""The whole evaluation on two small pictures; and its parts on a codec whose every answer is known."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progcodec.bitstream import container
from progcodec.bitstream.description import info
from progcodec.lab.evaluate import checks, peers, rate_distortion, tables
from progcodec.lab.evaluate.points import Kept, Mean, Point, digest, means
from progcodec.lab.evaluate.sources import Picture, read_pictures

PAYLOADS = (40, 120, 400, 1400)


class GreyCodec:
    """Files of fixed sizes; a prefix decodes to the picture plus an error that falls with its length."""

    def __init__(self, bump: int = 0) -> None:
        self.bump = bump

    def encode(self, pixels, checksums=True):
        self.pixels = pixels
        header = container.Header(pixels.shape[1], pixels.shape[0], b"grey", checksums)
        return container.write(header, [bytes(size) for size in PAYLOADS])

    def decode(self, data):
        error = 40 - 20 * len(data) // 1000 + (self.bump if 1000 < len(data) < 1100 else 0)
        return Image.fromarray(self.pixels + np.uint8(error))

    def estimate_bits(self, pixels):
        return 8.0 * sum(PAYLOADS)


@pytest.fixture
def picture():
    return Picture("grey.png", np.full((32, 48, 3), 90, np.uint8))


def test_points_are_prefixes_of_the_file(picture):
    points = rate_distortion.measure_ours(GreyCodec(), picture)
    data = GreyCodec().encode(picture.pixels)
    ends = [p.bytes for p in points if p.curve == "level ends"]
    cuts = [p.bytes for p in points if p.curve == "cuts"]
    header = info(data).header_bytes
    after_hyperlatent = header + 1 + 40 + 4
    assert ends == [
        after_hyperlatent + 1 + 120 + 4,
        after_hyperlatent + 125 + 2 + 400 + 4,
        len(data),
    ]
    assert cuts[0] == after_hyperlatent and cuts[-1] == len(data) and len(cuts) == 10
    steps = np.diff(np.log(cuts))
    assert np.allclose(steps, steps[0], rtol=0.02)
    assert points[2][3:6] == points[-1][3:6]


def test_falls_are_found(picture):
    (steady,) = checks.falls(GreyCodec(), [picture])
    (bumpy,) = checks.falls(GreyCodec(bump=30), [picture])
    assert steady.fall == 0 and "holds" in checks.falls_report([steady])
    assert bumpy.fall > 3 and bumpy.shorter < bumpy.longer and 1000 < bumpy.longer < 1100
    assert "BROKEN" in checks.falls_report([steady, bumpy])


def test_sizes_against_the_estimate(picture):
    (size,) = checks.sizes(GreyCodec(), [picture])
    assert size.bytes == sum(PAYLOADS) + 14 + (1 + 1 + 2 + 2)  # header; lengths
    assert size.ratio == pytest.approx((size.bytes - 32) / sum(PAYLOADS))
    assert f"{size.ratio:.5f}" in checks.sizes_report([size])


def test_means_are_of_rates_and_decibels():
    points = [Point("c", "1", "a", 10, 80, 30.0, 0.9), Point("c", "1", "b", 30, 80, 34.0, 0.7)]
    assert means(points, "c") == [Mean("1", 2.0, 32.0, pytest.approx(0.8), 20.0)]
    assert means(points, "other") == []


def test_level_ends_beside_a_measured_curve():
    end = Mean("fine", 0.5, 33.0, float("nan"), 1234.5)
    table = tables.levels_table(
        [end], {"JPEG": [(1, 30), (1, 33), (2, 36)], "far": [(1, 40), (2, 42)]}
    )
    assert table.splitlines()[-1] == "| fine | 1,234 | 0.5000 | 33.00 | – | -50.0 % | – |"


def test_kept_points_outlive_the_run(tmp_path, picture):
    point = Point("JPEG", "50", picture.name, 10, 80, 30.0, float("nan"))
    path, key = tmp_path / "peers.csv", digest(picture.pixels)
    Kept(path).add(key, "v1", point)
    with path.open("a") as stream:
        stream.write("torn,line")
    found = Kept(path).get(key, "v1", "JPEG", "50")
    assert found[:6] == point[:6]
    assert Kept(path).get(key, "v2", "JPEG", "50") is None
    assert digest(picture.pixels) != digest(picture.pixels.reshape(48, 32, 3))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, phase in (("one", 0), ("two", 2)):
        down, right = np.mgrid[:48, :64] / 9
        colours = [120 + 90 * np.sin(down + phase + c) * np.cos(right - c) for c in range(3)]
        Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_whole_run(tmp_path, pictures, tiny_checkpoint, monkeypatch):
    out = tmp_path / "out"
    line = [
        "--images",
        str(pictures),
        "--model",
        str(tiny_checkpoint),
        "--device",
        "cpu",
        "-o",
        str(out),
    ]
    result = CliRunner().invoke(rate_distortion.main, line, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for text in (
        "| coarse |",
        "| fine |",
        "| JPEG | measured |",
        "| JPEG 2000 |",
        "At the file's end",
        "left out",
    ):
        assert text in result.output
    with (out / "points.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    settings = sum(len(peer.settings) for peer in peers.peers(*rate_distortion.PEERS))
    assert len(rows) == 2 * (3 + 10 + settings)
    assert (out / "curves.png").stat().st_size > 10_000 and b"<svg" in (
        out / "curves.svg"
    ).read_bytes()

    # the second run takes the other codecs from the first
    monkeypatch.setattr(rate_distortion, "code", lambda *_: pytest.fail("measured again"))
    again = CliRunner().invoke(rate_distortion.main, line, catch_exceptions=False)
    assert again.output == result.output


def test_shares_of_the_hyperlatent():
    picture = Picture("p", np.zeros((32, 32, 3), np.uint8))
    (share,) = checks.shares(GreyCodec(), [picture])
    described = info(GreyCodec().encode(picture.pixels))
    hyperlatent, coarse = described.segments[:2]
    assert (
        share.file
        == hyperlatent.received / described.file_bytes
        < share.coarse
        == hyperlatent.received / coarse.end
    )
    assert "over 1 pictures" in checks.shares_report([share])


def test_checks_run(pictures, tiny_checkpoint):
    line = [
        "--images",
        str(pictures),
        "--model",
        str(tiny_checkpoint),
        "--limit",
        "1",
        "--monotone",
        "--size",
    ]
    result = CliRunner().invoke(rate_distortion.main, line, catch_exceptions=False)
    assert (
        result.exit_code == 0
        and "worst fall" in result.output
        and "estimate is at most" in result.output
    )


def test_no_pictures_is_one_line(tmp_path):
    result = CliRunner().invoke(rate_distortion.main, ["--images", str(tmp_path)])
    assert (
        result.exit_code == 1
        and "no pictures found" in result.output
        and "Traceback" not in result.output
    )


def test_names_do_not_decide_what_a_picture_is(pictures):
    first, second = read_pictures(pictures)
    assert digest(first.pixels) != digest(second.pixels)
