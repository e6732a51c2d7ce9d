"""Tables for people, from rows that can be worked out by hand: orderings at equal bytes, published curves, bits per pixel."""

import csv
from dataclasses import fields

import pytest

from progcodec.lab.evaluate import kodak, peers, results, summary_tables
from progcodec.lab.evaluate.measurements import CUT, OURS, Key, Measurement
from progcodec.lab.evaluate.report import plots, style, tables
from progcodec.lab.evaluate.report.reading import studies
from progcodec.lab.evaluate.rivals import RIVALS
from progcodec.lab.evaluate.rivals.table import TITLES, is_rival, orderings, shown_budgets, text
from progcodec.lab.evaluate.summary import BEST, summarise
from progcodec.lab.evaluate.targets import deltas, reaches
from tests.lab.test_evaluate_summary import clean, cuts, row

NAMES = [f"kodim{number:02d}.png" for number in range(1, 25)]


def test_a_key_is_some_fields_of_a_measurement():
    for name, kind in Key.__annotations__.items():
        assert Measurement.__annotations__[name] == kind
    one = row("a")
    assert one.key == Key(*(getattr(one, name) for name in Key._fields))


# --- what each ordering gets --------------------------------------------------------------------------------------------


def ordering(codec, psnr, hits=(4, 4)):
    """Four pictures at 100 and 250 bytes, so many of them hit at every level."""
    made = cuts(codec, dict(zip((100, 250), hits, strict=True)))
    return [one._replace(psnr=psnr + 2 * (one.budget == 250)) for one in made]


RIVAL_ROWS = [
    *clean(), *ordering(OURS, 20.0, (1, 3)), *ordering("plonq", 20.25, (1, 2)), *ordering("raster", 18.0, (1, 4)),
    *ordering(f"{OURS}, no checksums", 20.3, (1, 3)), *ordering("JPEG", 30.0),
]  # fmt: skip


def test_the_table_of_orderings():
    points = orderings(summarise(RIVAL_ROWS), "judge")
    lines = text(points).splitlines()
    assert lines[:6] == [
        "|  | PSNR (dB) at 100 | 250 bytes | coarse accuracy (%) at 100 | 250 bytes |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| progcodec | 20.0 | 22.0 | 25 | 75 |",
        "| σ order without blocks (PLONQ) | 20.2 | 22.2 | 25 | 50 |",
        "| ours in raster order | 18.0 | 20.0 | 25 | **100** |",
        "| progcodec, no checksums | **20.3** | **22.3** | 25 | 75 |",
    ]
    assert lines[7].startswith(
        "|  | intermediate accuracy (%) at 100 | 250 bytes | fine accuracy (%) at 100 |"
    )
    assert not any("JPEG" in line for line in lines)


def test_the_files_of_orderings(tmp_path):
    results.conclude(RIVAL_ROWS, tmp_path)
    with (tmp_path / "rivals.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["scheme"], r["codec"], r["budget"]) for r in rows[:3]] == [
        ("progcodec", "progcodec", "100"), ("progcodec", "progcodec", "250"), ("σ order without blocks (PLONQ)", "plonq", "100"),
    ]  # fmt: skip
    assert (
        len(rows) == 8
        and rows[1]["accuracy_coarse"] == "0.75"
        and float(rows[1]["accuracy_coarse_low"]) < 0.75
    )
    written = (tmp_path / "rivals.md").read_text()
    assert written.startswith("Judged by judge, 4 images:\n\n|  | PSNR (dB) at 100 |")


def test_without_rivals_there_is_no_such_table(tmp_path):
    results.conclude([*clean(), *ordering(OURS, 20.0), *ordering("JPEG", 30.0)], tmp_path)
    assert not list(tmp_path.glob("rivals.*")) and (tmp_path / "summary.csv").exists()


def test_without_labels_agreement_stands_for_accuracy():
    points = orderings(summarise([one._replace(label=None) for one in RIVAL_ROWS]), "judge")
    assert "| coarse agreement with the clean answer (%) at 100 |" in text(points)


def test_every_rival_has_a_title_and_is_told_from_ours():
    assert set(TITLES) == set(RIVALS) - {OURS}
    assert all(is_rival(name) for name in TITLES) and is_rival(f"{OURS}, no checksums")
    assert not is_rival(OURS) and not is_rival("JPEG")


def test_of_many_budgets_some_are_shown():
    assert shown_budgets([300, 100, 200]) == [100, 200, 300]
    assert shown_budgets([100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800]) == [
        100,
        200,
        400,
        800,
        1600,
        3200,
    ]


def test_the_report_has_the_table():
    (study,) = studies(RIVAL_ROWS)
    page = tables.rivals(study)
    for words in ("PLONQ", "Coarse (10 classes)", "PSNR (dB)"):
        assert words in page


# --- published beside measured ------------------------------------------------------------------------------------------


def kodak_rows(names=NAMES, size=(768, 512), codec="JPEG"):
    made = []
    for place, name in enumerate(names):
        width, height = size if place % 2 else size[::-1]
        picture = {"image": name, "digest": name, "width": width, "height": height, "label": None}
        made.append(row(codec="clean", mode="clean", setting="", **picture))
        for codec_, budget in ((OURS, 9000), (OURS, 60000), (codec, 9000), (codec, 60000)):
            made.append(
                row(
                    codec=codec_,
                    mode="cut",
                    setting="",
                    budget=budget,
                    size=budget,
                    psnr=28.0,
                    **picture,
                )
            )
        made += [
            row(codec=codec, setting=f"{budget}", size=budget, psnr=30.0, **picture)
            for budget in (9000, 60000)
        ]
    return made


def test_published_curves_are_in_bytes_and_only_where_they_were_published():
    images = [(name, 768, 512) for name in NAMES]
    found = {curve.name: curve for curve in kodak.quoted(images, ["JPEG", "mbt2018-mean"])}
    assert set(found) == set(kodak.QUOTED) - {"mbt2018-mean"}
    rate, value = peers.published()["bmshj2018-hyperprior"][2]
    curve = found["bmshj2018-hyperprior"]
    assert curve.at(rate * 768 * 512 / 8) == pytest.approx(value)
    low, high = curve.points[0], curve.points[-1]
    assert (
        curve.at(low[0] - 1) is None is curve.at(high[0] + 1)
        and low[1] < curve.at((low[0] * high[0]) ** 0.5) < high[1]
    )
    for others in (
        images[1:],
        [*images, ("more.png", 768, 512)],
        [(n, w, h // 2) for n, w, h in images],
        [*images[1:], images[1]],
    ):
        assert kodak.quoted(others, []) == ()


def test_published_curves_stand_in_tables_and_plots_and_are_marked(tmp_path):
    made = kodak_rows()
    (study,) = studies(made)
    assert [curve.name for curve in study.quoted] == list(kodak.QUOTED)
    curve = study.quoted[1]
    expected = f"{curve.at(9000):.2f}", f"{curve.at(60000):.2f}"
    line = f"| mbt2018-mean† | {expected[0]} | {expected[1]} |"
    told = summary_tables.text(summarise(made), [])
    assert line in told and "† published for these pictures, not measured" in told
    page = tables.psnr(study, BEST)
    assert all(f">{value}<" in page for value in expected) and "quoted, not measured" in page
    looks = style.looks(["JPEG", *(one.name for one in study.quoted)], [OURS])
    drawn = {plot.name: plot.svg for plot in plots.draw_all(study, looks, tmp_path)}
    assert (
        "mbt2018-mean†" in drawn["psnr-best"] and "† published, not measured" in drawn["psnr-best"]
    )
    assert not any("†" in svg for name, svg in drawn.items() if name != "psnr-best")


def test_a_measured_model_is_not_quoted_and_other_pictures_quote_nothing():
    (study,) = studies(kodak_rows(codec="mbt2018-mean"))
    assert "mbt2018-mean" not in [curve.name for curve in study.quoted] and study.quoted
    made = kodak_rows(NAMES[:23])
    assert studies(made)[0].quoted == () and "†" not in summary_tables.text(summarise(made), [])


# --- budgets in bits per pixel ------------------------------------------------------------------------------------------


def test_targets_and_deltas_where_budgets_are_in_bits_per_pixel_alone():
    """Of pictures of 10 × 10: the same as in bytes."""
    made = [*clean(), *cuts(OURS, {25: 1, 50: 2, 100: 4}), *cuts("JPEG", {25: 0, 50: 1, 100: 4})]
    in_bytes = summarise(made)
    rates = summarise(
        [one if one.mode != CUT else one._replace(budget_bpp=8 * one.budget / 100) for one in made]
    )
    assert all(point.budget is None for point in rates.points if point.mode == CUT)
    same = [
        [
            reach._replace(bytes=pytest.approx(reach.bytes), low=None, high=None)
            for reach in reaches(one)
        ]
        for one in (in_bytes, rates)
    ]
    assert (
        same[1] == [reach._replace(low=None, high=None) for reach in reaches(in_bytes)]
        and len(same[1]) == 6
    )
    first, second = deltas(in_bytes), deltas(rates)
    assert [d.bd_accuracy for d in second] == pytest.approx(
        [d.bd_accuracy for d in first]
    ) and first[0].bd_accuracy < 0
    assert [d.bd_rate for d in second] == pytest.approx([d.bd_rate for d in first])


def test_the_report_shows_deltas():
    (study,) = studies(
        [*clean(), *cuts(OURS, {25: 1, 50: 2, 100: 4}), *cuts("JPEG", {25: 0, 50: 1, 100: 4})]
    )
    page = tables.deltas(study)
    assert (
        "JPEG, cut" in page
        and f"{100 * study.deltas[0].bd_accuracy:+.1f}" in page
        and "BD-rate, PSNR" in page
    )
    assert {one.name for one in fields(study)} >= {"deltas", "quoted"}
