"""Where a stream stops: every limit is a pure prefix, the nearest of several holds."""

import json

import numpy as np
import pytest

from progcodec import truncate
from progcodec.bitstream import container
from progcodec.cut import Cut, log_spaced
from progcodec.errors import BudgetError, NotShcError
from tests.support.command import STREAM

HEADER = container.parse_header(STREAM)
ENDS = [segment.end for segment in container.parse(STREAM).segments]


def test_every_budget_is_a_prefix():
    for size in range(HEADER.size, len(STREAM) + 5):
        assert Cut(max_bytes=size).apply(STREAM) == STREAM[:size]
    for size in (HEADER.size - 1, 0, -3):
        with pytest.raises(BudgetError):
            Cut(max_bytes=size).apply(STREAM)
    with pytest.raises(NotShcError):
        Cut(max_bytes=5).apply(b"P6 1 1 255")
    assert not Cut() and Cut().apply(b"anything") == b"anything"


@pytest.mark.parametrize(("level", "segment"), [("coarse", 1), ("intermediate", 2), ("fine", 3)])
def test_a_level_ends_with_its_segment_or_with_the_data(level, segment):
    for size in (len(STREAM), HEADER.size, HEADER.size + 12, 60):
        assert Cut(level).apply(STREAM[:size]) == STREAM[: min(size, ENDS[segment])]


def test_a_rate_counts_the_whole_file_and_the_nearest_limit_holds():
    assert len(Cut(bpp=0.2).apply(STREAM)) == int(0.2 * HEADER.pixels / 8)
    assert Cut("coarse", 30).apply(STREAM) == STREAM[:30]
    assert Cut("coarse", 200).apply(STREAM) == STREAM[: ENDS[1]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "finest"}, {"bpp": -0.1}, {"bpp": float("nan")}, {"bpp": "1"},
        {"max_bytes": float("nan")}, {"max_bytes": 40.0}, {"max_bytes": "40"}, {"max_bytes": True},
    ],
)  # fmt: skip
def test_what_makes_no_sense(wrong):
    with pytest.raises(ValueError, match="level|bits per pixel|a whole number"):
        Cut(**wrong)


def test_numbers_of_numpy_are_numbers():
    for cut in (Cut(max_bytes=np.uint8(40)), Cut(bpp=np.float64(0.11))):
        assert json.loads(json.dumps(cut.limits())) == cut.limits()
        assert len(cut.apply(STREAM)) in (40, 42)


def test_truncate_takes_exactly_one_limit():
    assert truncate(STREAM, max_bytes=40) == STREAM[:40]
    for limits in ({}, {"max_bytes": 40, "level": "coarse"}):
        with pytest.raises(ValueError, match="exactly one"):
            truncate(STREAM, **limits)


def test_names():
    assert [str(cut) for cut in (Cut("fine"), Cut(max_bytes=2000), Cut(bpp=0.25))] == [
        "fine", "2000B", "0.25bpp"
    ]  # fmt: skip


def test_sizes_rise_by_one_factor():
    sizes = log_spaced(100, 1600, 5)
    assert sizes == [100, 200, 400, 800, 1600]
    assert log_spaced(7, 7, 4) == [7] and log_spaced(3, 90, 1) == [3]
    assert np.all(np.diff(log_spaced(1, 10, 40)) > 0)
