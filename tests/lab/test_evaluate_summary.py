"""What is derived from rows, on rows that can be worked out by hand."""

import csv
import math

import numpy as np
import pytest

from progcodec.lab.evaluate.measurements import Measurement
from progcodec.lab.evaluate.statistics import Draws, Interval
from progcodec.lab.evaluate.summary import BEST, SUMMARY, summarise, write_summary
from progcodec.lab.evaluate.targets import bd_accuracy, crossing, deltas, reaches, write_targets

IMAGES = ("a", "b", "c", "d")


def row(
    image,
    codec="JPEG",
    mode="ladder",
    setting="1",
    scale=1.0,
    budget=None,
    size=100,
    hits="111",
    psnr=30.0,
    **more,
):
    hit = tuple(mark == "1" for mark in hits) if hits else (False,) * 3
    values = dict(  # noqa: C408  the names of fields, as in the class
        image=image, label=1, width=10, height=10, codec=codec, weights="w", mode=mode, setting=setting, scale=scale,
        budget=budget, budget_bpp=None, bytes=size, decoded=bool(hits), classifier="judge",
        p_true_coarse=0.5, p_true_intermediate=0.5, p_true_fine=0.5, hit_coarse=hit[0], hit_intermediate=hit[1],
        hit_fine=hit[2], wup=1.0 if hit[2] else 0.5 if hits else 0.0, agree_coarse=hit[0], agree_intermediate=hit[1],
        agree_fine=hit[2], psnr=psnr if hits else None, ms_ssim=None, encode_s=0.1, decode_s=0.2, digest=image,
        hierarchy="h",
    )  # fmt: skip
    return Measurement(**(values | more))


def clean(hits="111"):
    return [row(image, codec="clean", mode="clean", setting="", hits=hits) for image in IMAGES]


def cuts(codec, shares):
    """Cuts at each budget, with so many of the four images hit at every level."""
    return [
        row(image, codec=codec, mode="cut", setting="", budget=budget, size=budget, hits="111" if n < hit else "000")
        for budget, hit in shares.items() for n, image in enumerate(IMAGES)
    ]  # fmt: skip


def only(summary, codec, mode):
    return {
        point.budget: point
        for point in summary.points
        if (point.codec, point.mode) == (codec, mode)
    }


def test_no_answer_hits_nothing():
    rows = clean() + [
        row("a", mode="cut", budget=50, hits="111"), row("b", mode="cut", budget=50, hits="100"),
        row("c", mode="cut", budget=50, hits=""), row("d", mode="cut", budget=50, hits=""),
    ]  # fmt: skip
    point = only(summarise(rows), "JPEG", "cut")[50]
    assert [interval.value for interval in point.accuracy] == [0.5, 0.25, 0.25]
    assert (
        point.answered == 0.5
        and point.wup.value == pytest.approx((1 + 0.5) / 4)
        and point.psnr == 30
    )
    assert point.accuracy[0].low < 0.5 < point.accuracy[0].high


def test_the_clever_sender_takes_the_best_file_that_fits_each_picture():
    ladder = []
    for image, sizes in (
        ("a", (40, 80, 160)),
        ("b", (60, 120, 240)),
        ("c", (90, 180, 360)),
        ("d", (120, 200, 300)),
    ):
        for setting, size in enumerate(sizes):
            ladder.append(
                row(
                    image,
                    setting=str(setting),
                    size=size,
                    hits="100" if setting == 0 else "110",
                    psnr=20 + setting,
                )
            )
    found = only(summarise(clean() + ladder + cuts("x", {50: 1, 100: 1, 200: 2})), "JPEG", BEST)
    assert [found[size].answered for size in (50, 100, 200)] == [0.25, 0.75, 1]
    assert [found[100].accuracy[level].value for level in range(3)] == [0.75, 0.25, 0]
    assert found[100].bytes == pytest.approx((80 + 60 + 90) / 3)
    assert found[200].bytes == pytest.approx((160 + 120 + 180 + 200) / 4)


def test_the_scale_is_chosen_for_all_pictures_never_by_a_label():
    full = [
        row(i, setting="q", size=90, hits="100" if i in "ab" else "000", psnr=40) for i in IMAGES
    ]
    half = [
        row(i, setting="q", scale=0.5, size=90, hits="000" if i in "ab" else "110", psnr=20)
        for i in IMAGES
    ]
    # one more coarse hit decides for half size, though the union of both would hit all four
    half[0] = row("a", setting="q", scale=0.5, size=90, hits="100", psnr=20)
    point = only(summarise(clean() + full + half + cuts("x", {100: 1})), "JPEG", BEST)[100]
    assert point.scale == 0.5 and [interval.value for interval in point.accuracy] == [0.75, 0.5, 0]


def test_equal_coarse_accuracy_is_decided_further_down():
    full = [row(i, setting="q", size=90, hits="100") for i in IMAGES]
    half = [row(i, setting="q", scale=0.5, size=90, hits="110", psnr=10) for i in IMAGES]
    assert (
        only(summarise(clean() + full + half + cuts("x", {100: 1})), "JPEG", BEST)[100].scale == 0.5
    )


def test_without_labels_agreement_stands_in():
    blank = dict.fromkeys(("label", "hit_coarse", "hit_intermediate", "hit_fine", "wup"))
    rows = [r._replace(**blank) for r in clean() + cuts("progcodec", {100: 2, 400: 4})]
    summary = summarise(rows)
    point = only(summary, "progcodec", "cut")[100]
    assert point.accuracy is None and point.wup is None and point.labelled == 0
    assert [interval.value for interval in point.agreement] == [0.5] * 3
    assert {reach.level: reach.bytes for reach in reaches(summary)} == pytest.approx(
        dict.fromkeys(("coarse", "intermediate", "fine"), 100 * 4**0.8)
    )


@pytest.mark.parametrize(
    ("accuracy", "goal", "size"),
    [
        ([0.5, 0.7, 0.9], 0.8, 200 * math.sqrt(2)),
        ([0.5, 0.7, 0.9], 0.7, 200),
        ([0.5, 0.7, 0.9], 0.3, 100),
        ([0.5, 0.7, 0.9], 0.95, math.inf),
        ([0.5, 0.9, 0.4], 0.8, 100 * 2**0.75),
    ],
)
def test_crossing_by_hand(accuracy, goal, size):
    assert crossing(np.array([100, 200, 400]), np.array(accuracy), goal) == pytest.approx(size)


def test_bytes_to_the_target_and_its_interval():
    summary = summarise(
        clean()
        + cuts("progcodec", {100: 0, 200: 4, 400: 4})
        + cuts("JPEG", {100: 0, 200: 1, 400: 2})
    )
    found = {(reach.codec, reach.level): reach for reach in reaches(summary)}
    ours = found["progcodec", "coarse"]
    assert (ours.clean, ours.target) == (1, 0.9) and ours.bytes == pytest.approx(100 * 2**0.9)
    assert ours.low == pytest.approx(ours.bytes) == pytest.approx(ours.high) and not ours.at_most
    other = found["JPEG", "coarse"]
    assert other.bytes is None and other.high is None


def test_half_the_clean_answers_make_an_easier_target():
    summary = summarise(clean("110") + cuts("progcodec", {100: 4}))
    found = {reach.level: reach for reach in reaches(summary)}
    assert found["coarse"].at_most and found["coarse"].bytes == 100 and found["fine"].clean == 0


def test_deltas():
    summary = summarise(
        clean() + cuts("progcodec", {100: 1, 200: 2, 400: 3}) + cuts("x", {100: 2, 200: 3, 400: 4})
    )
    (coarse,) = [delta for delta in deltas(summary) if delta.level == "coarse"]
    assert (coarse.codec, coarse.reference) == ("x", "progcodec")
    assert coarse.bd_accuracy == pytest.approx(0.25) and coarse.bd_rate == pytest.approx(-50)
    assert coarse.bd_rate_psnr is None  # all the same PSNR: nothing to integrate
    assert bd_accuracy([(100, 0.5)], [(100, 0.7)]) is None


def test_draws_are_paired_and_seeded():
    draws = Draws.of([True, False, True], 3)
    assert draws.of_labelled.shape == (1000, 2) and np.allclose(draws.of_all.sum(axis=1), 1)
    assert np.array_equal(draws.of_all, Draws.of([True] * 3, 3).of_all)
    assert not np.array_equal(draws.of_all, Draws.of([True] * 3, 4).of_all)
    assert Draws.interval(np.array([1.0, 1.0]), draws.of_labelled) == Interval(1, 1, 1)
    values = np.arange(200) % 2
    low, high = Draws.interval(values, Draws.of([True] * 200, 0).of_all)[1:]
    assert low == pytest.approx(
        0.5 - 1.96 * 0.5 / math.sqrt(200), abs=0.01
    ) and high == pytest.approx(1 - low, abs=0.015)


def test_files(tmp_path):
    summary = summarise(clean() + cuts("progcodec", {100: 2, 400: 4}))
    write_summary(tmp_path, summary)
    write_targets(tmp_path, reaches(summary), deltas(summary))
    with (tmp_path / SUMMARY).open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["budget"] for line in lines] == ["", "100", "400"] and lines[1][
        "accuracy_coarse"
    ] == "0.5"
    assert float(lines[1]["accuracy_coarse_low"]) <= 0.5 <= float(lines[1]["accuracy_coarse_high"])
    assert (tmp_path / "bytes_to_target.csv").read_text().count("progcodec") == 3
