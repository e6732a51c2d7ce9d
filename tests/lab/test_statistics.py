"""Curves, targets and tables, from rows whose every answer is known."""

import math

import numpy as np
import pytest

from progcodec.config import LEVELS
from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf
from progcodec.lab.evaluate import tables
from progcodec.lab.evaluate.judges import Judge
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import CLEAN, OURS, Entry, Plan, parse_budgets
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.statistics import BEST, CUT, Study, bounds, crossing, shares

TREE = Hierarchy(
    (
        (Cluster("thing", None), Cluster("being", None)),
        (Cluster("tool", 0), Cluster("bird", 1), Cluster("fish", 1)),
    ),
    (Leaf("saw", "n3", 0), Leaf("jay", "n1", 1), Leaf("kite", "n2", 1), Leaf("cod", "n4", 2)),
)
JUDGE = "judge#1"
PEER = Entry("JPEG", "v", "peer", "jpeg")


def pictures(*labels):
    return [Picture(f"{n}.png", np.full((10, 10, 3), n, np.uint8), k) for n, k in enumerate(labels)]


def plan(budgets, *entries):
    return Plan(
        entries or (Entry(OURS, "w", "ours", "0"), PEER), (Judge(JUDGE, "timm:x"),),
        parse_budgets(budgets), (1.0, 0.5), False, None, None, "cpu",
    )  # fmt: skip


def answer(label):
    return (*TREE.ancestors(label), label)


def row(picture, codec, size, label=None, judge=JUDGE, psnr=30.0, **unit):
    said = dict(zip(LEVELS, answer(label), strict=True)) if label is not None else {}
    version = {CLEAN: "", OURS: "w"}.get(codec, "v")
    unit = {"setting": "", "scale": 1.0, "budget": "", **unit}
    return Row(picture.digest, picture.name, judge, codec, version, unit["setting"], unit["scale"],
               unit["budget"], size, psnr, **said)  # fmt: skip


def test_crossings():
    sizes = [100.0, 200.0, 400.0]
    assert crossing(sizes, np.array([0.2, 0.4, 0.8]), 0.6) == pytest.approx(200 * 2**0.5)
    assert crossing(sizes, np.array([0.2, 0.4, 0.8]), 0.1) == 100
    assert crossing(sizes, np.array([0.2, 0.9, 0.3]), 0.9) == 200
    assert crossing(sizes, np.array([0.2, 0.4, 0.8]), 0.9) == math.inf
    assert crossing(sizes, np.array([0.0, 0.4, 0.8]), 0.0) == math.inf, "never right when clean"


def test_draws_are_of_the_seed_and_intervals_hold_the_mean():
    assert np.array_equal(shares(20, 3), shares(20, 3))
    assert not np.array_equal(shares(20, 3), shares(20, 4))
    values = np.arange(20.0)
    low, high = bounds(shares(20, 0) @ values)
    assert 5 < low < 9.5 < high < 14 and shares(20, 0).sum(1) == pytest.approx(np.ones(1000))
    assert bounds(np.array([1.0] * 900 + [math.inf] * 100)) == (1.0, math.inf)


def study(rows, shown, budgets="100,200", judge=JUDGE, hierarchy=TREE, **options):
    return Study(plan(budgets, **options), shown, rows, judge, hierarchy)


def test_answers_are_held_against_labels_and_no_answer_is_wrong():
    shown = pictures(1, 3, None)
    rows = [row(p, CLEAN, 300, k) for p, k in zip(shown, (1, 2, 0), strict=True)]
    rows += [row(shown[0], OURS, 100, 2, budget="100"), row(shown[0], OURS, 150, 1, budget="200")]
    rows += [row(shown[1], OURS, 200, 3, budget="200"), row(shown[2], OURS, 90, 0, budget="100")]
    found = study(rows, shown)
    (ours,) = found.curves
    assert (ours.codec, ours.mode, found.labelled, len(found.counted)) == (OURS, CUT, True, 2)
    assert ours.clean == (1.0, 0.5, 0.5)
    values = [[interval.value for interval in at] for at in ours.accuracy]
    assert values == [[0.5, 0.5, 0.0], [1.0, 1.0, 1.0]]
    assert math.isnan(ours.psnr()[0]), "one picture has no file of 100 bytes"


def test_without_labels_answers_are_held_against_those_on_clean_pictures():
    shown = pictures(None, None)
    rows = [row(shown[0], CLEAN, 300, 1), row(shown[1], CLEAN, 300, 2)]
    rows += [row(p, OURS, 200, 2, budget="200", psnr=25.0 + n) for n, p in enumerate(shown)]
    found = study(rows, shown)
    assert not found.labelled and found.curves[0].clean == (1, 1, 1)
    assert [i.value for i in found.curves[0].accuracy[1]] == [1, 1, 0.5]
    assert found.curves[0].psnr()[1] == 25.5 and found.curves[0].bytes()[1] == 200


def test_a_sender_takes_the_best_file_it_sees_and_one_scale_for_all_pictures():
    shown = pictures(1, 1)
    rows = []
    for p in shown:
        rows.append(row(p, CLEAN, 300, 1))
        rows.append(row(p, "JPEG", 90, 0, setting="5", psnr=31))  # full size: sharper, not known
        rows.append(row(p, "JPEG", 95, 0, setting="4", psnr=29))
        rows.append(row(p, "JPEG", 80, 2, setting="9", scale=0.5, psnr=28))
        rows.append(row(p, "JPEG", 180, 1, setting="30", psnr=35))
    rows.append(row(shown[0], "JPEG", 170, 1, setting="20", scale=0.5, psnr=34))
    (best,) = study(rows, shown).curves
    assert best.mode == BEST
    first, second = ([(r.scale, r.setting) for r in own] for own in best.rows)
    assert first == [(0.5, "9")] * 2, "it is seen as a bird, which the sharper file is not"
    assert second == [(1.0, "30")] * 2
    plain = study([r._replace(judge="") for r in rows], shown, judge="", hierarchy=None)
    assert [[r.setting for r in own] for own in plain.curves[0].rows] == [["5", "5"], ["30", "30"]]


def test_bytes_to_the_target_and_the_seed():
    shown = pictures(*[1] * 20)
    rows = [row(p, CLEAN, 300, 1) for p in shown]
    for budget, right in (("100", 8), ("200", 16), ("400", 20)):
        rows += [row(p, OURS, int(budget), 1 if n < right else 0, budget=budget)
                 for n, p in enumerate(shown)]  # fmt: skip
    (ours,) = study(rows, shown, "100,200,400").curves
    reach = ours.reach[0]
    assert reach.value == pytest.approx(200 * 2**0.5) and reach.low < reach.value < reach.high
    assert reach.high <= 400
    options = plan("100,200,400"), shown, rows, JUDGE, TREE
    assert Study(*options, seed=1).curves[0].reach != Study(*options, seed=2).curves[0].reach
    assert Study(*options, seed=1).curves[0].reach == Study(*options, seed=1).curves[0].reach


def test_tables():
    shown = pictures(1, 3)
    rows = [row(p, CLEAN, 300, k) for p, k in zip(shown, (1, 2), strict=True)]
    for p, k in zip(shown, (1, 3), strict=True):
        rows += [row(p, OURS, 100, 0, budget="100"), row(p, OURS, 200, k, budget="200")]
        rows += [row(p, OURS, 150, k, setting=level) for level in LEVELS]
        rows += [row(p, "JPEG", 190, 0, setting="30", psnr=31.0)]
    found = study(rows, shown)
    text = tables.judged(found)
    assert "Judged by judge#1: accuracy over 2 pictures." in text
    assert "| fine (%) within bytes | clean | 100 | 200 |" in text
    assert "| progcodec, cut | 50.0 | 0.0 | 100.0 |" in text
    assert "| JPEG, best file | 50.0 | 0.0 | 0.0 |" in text
    assert "| progcodec, cut | 187 [187–187] | 137 [" in text, "at 90 and at 45 % accuracy"
    assert "| JPEG, best file | – | – | – | – |" in text, "a level that is not reached"
    assert "| fine | 150 | 100.0 | 100.0 | 100.0 | 30.00 |" in text
    plain = study([r._replace(judge="") for r in rows], shown, judge="", hierarchy=None)
    table = tables.by_budget(plain)
    assert "| progcodec, cut | 30.00 | 30.00 |" in table
    assert "| JPEG, best file | – | 31.00 (2) |" in table
    adapted = tables.adapted(found, [found])
    assert adapted.count("| progcodec, cut |") == 8 and "| JPEG, best file |" in adapted
