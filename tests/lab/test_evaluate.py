"""The whole command, on a few pictures, with a classifier that has learnt nothing."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate import bench, run
from progcodec.lab.evaluate.coders.registry import choose
from progcodec.lab.evaluate.contest import parse_budgets
from progcodec.lab.evaluate.measurements import KEPT, MEASUREMENTS, Kept, read
from progcodec.lab.evaluate.workload import load_samples
from tests.support.command import errors
from tests.support.command import run as command

pytest.importorskip("timm")

BUDGETS = "60,150,600"
PEERS = "jpeg,jpeg2000"


@pytest.fixture(scope="session")
def judge(tmp_path_factory) -> str:
    """A specification of a small classifier with random weights."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=1000)
    path = tmp_path_factory.mktemp("judge") / "weights.safetensors"
    save_file(model.state_dict(), path)
    return f"timm:test_efficientnet?input_size=64@{path}"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory, photograph):
    """Eight cuttings of a photograph, six of them in folders of classes."""
    folder = tmp_path_factory.mktemp("pictures")
    wnids = [leaf.wnid for leaf in Hierarchy.load().classes[::150]]
    for number in range(8):
        group = folder / (wnids[number] if number < 6 else "unlabelled")
        group.mkdir(exist_ok=True)
        left = 40 * number
        photograph.crop((left, left // 2, left + 160, left // 2 + 120)).resize((64, 48)).save(
            group / f"{number}.png"
        )
    return folder


def evaluate(pictures, judge, tiny_checkpoint, out, *more, **options):
    arguments = [
        "--data",
        pictures,
        "--classifier",
        judge,
        "--model",
        tiny_checkpoint,
        "--jobs",
        1,
        "-o",
        out,
        *more,
    ]
    return command("evaluate", *arguments, **options)


def rows_of(out):
    """Rows without what a clock says."""
    return [row._replace(encode_s=None, decode_s=None) for row in read(out / MEASUREMENTS)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pictures, judge, tiny_checkpoint):
    out = tmp_path_factory.mktemp("out")
    result = evaluate(
        pictures, judge, tiny_checkpoint, out, "--smoke", "--peers", PEERS, "--budgets", BUDGETS
    )
    return out, result


def test_smoke_run(finished):
    out, result = finished
    for text in (
        "Coarse accuracy (%)",
        "| progcodec, cut |",
        "| JPEG, best setting |",
        "| JPEG 2000, cut |",
        "rows on 8 images",
    ):
        assert text in result.stdout, result.stdout
    rows = rows_of(out)
    assert {row.codec for row in rows} == {"clean", "progcodec", "JPEG", "JPEG 2000"}
    assert (
        len({row.key for row in rows}) == len(rows)
        and len({row.image for row in rows if row.label is None}) == 2
    )
    for row in rows:
        if row.mode == "cut":
            assert row.bytes <= row.budget
        if not row.decoded:
            assert row.psnr is None and not row.agree_fine and row.hit_fine in (False, None)
        if row.hit_fine and row.codec == "clean":
            assert row.wup == 1
    with (out / "summary.csv").open() as stream:
        points = list(csv.DictReader(stream))
    assert {(p["codec"], p["mode"]) for p in points} >= {
        ("progcodec", "cut"),
        ("JPEG", "best"),
        ("JPEG 2000", "best"),
    }


def test_probabilities_are_of_the_true_groups(finished):
    """Of clean pictures, from the classifier itself."""
    out, _ = finished
    (row,) = [row for row in rows_of(out) if row.codec == "clean" and row.image.endswith("/0.png")]
    assert row.p_true_coarse > row.p_true_intermediate > row.p_true_fine > 0
    assert (row.psnr, row.ms_ssim, row.agree_coarse) == (None, None, True)


def test_our_rows_are_cuts_of_the_file_that_encode_writes(finished, pictures, tiny_codec):
    out, _ = finished
    name = next(pictures.glob("*/3.png"))
    data = tiny_codec.encode(Image.open(name))
    own = [row for row in rows_of(out) if row.codec == "progcodec" and row.image == str(name)]
    assert [row.bytes for row in own if row.mode == "cut"] == [60, 150, min(600, len(data))]
    assert [row.bytes for row in own if row.setting == "fine"] == [len(data)]
    shown = np.asarray(tiny_codec.decode(data[:150]), float)
    (cut,) = [row for row in own if row.budget == 150]
    error = np.mean((shown - np.asarray(Image.open(name), float)) ** 2)
    assert cut.psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


def test_nothing_is_measured_twice(finished, pictures, judge, tiny_checkpoint, monkeypatch):
    out, result = finished
    before = (out / MEASUREMENTS).read_bytes()
    monkeypatch.setattr(bench, "Bench", lambda *_: pytest.fail("measured again"))
    monkeypatch.setattr(run, "Bench", bench.Bench)
    again = evaluate(
        pictures, judge, tiny_checkpoint, out, "--smoke", "--peers", PEERS, "--budgets", BUDGETS
    )
    assert again.stdout == result.stdout and (out / MEASUREMENTS).read_bytes() == before


def test_an_interrupted_run_goes_on(finished, tmp_path, pictures, judge, tiny_checkpoint):
    out, _ = finished
    lines = (out / KEPT).read_bytes().splitlines(keepends=True)
    (tmp_path / KEPT).write_bytes(b"".join(lines[: len(lines) // 3]) + lines[-1][:50])
    evaluate(
        pictures,
        judge,
        tiny_checkpoint,
        tmp_path,
        "--smoke",
        "--peers",
        PEERS,
        "--budgets",
        BUDGETS,
    )
    for first, second in zip(rows_of(out), rows_of(tmp_path), strict=True):
        assert first._replace(
            p_true_coarse=0, p_true_intermediate=0, p_true_fine=0
        ) == second._replace(p_true_coarse=0, p_true_intermediate=0, p_true_fine=0)
        assert second.p_true_fine is None or second.p_true_fine == pytest.approx(
            first.p_true_fine, rel=1e-3
        )


def test_stale_rows_do_not_mix(finished, tmp_path, pictures, judge, tiny_checkpoint):
    out, _ = finished
    (tmp_path / KEPT).write_bytes((out / KEPT).read_bytes())
    kept = Kept(tmp_path)
    old = [
        row._replace(weights="older", psnr=99.0)
        for row in kept.rows.values()
        if row.codec == "progcodec"
    ]
    kept.add(old)
    # of codecs that take no part now, the rows stay; pictures that were not drawn do not
    evaluate(
        pictures,
        judge,
        tiny_checkpoint,
        tmp_path,
        "--peers",
        "none",
        "--budgets",
        "60,150",
        "--limit",
        3,
    )
    rows = rows_of(tmp_path)
    assert len({row.digest for row in rows}) == 3 and {row.codec for row in rows} >= {
        "JPEG",
        "progcodec",
    }
    assert not any(row.weights == "older" for row in rows)
    assert {row.budget for row in rows} == {None, 60, 150}
    assert len(Kept(tmp_path).rows) == len(kept.rows)


def test_larger_budgets_carry_a_ladder_on(tmp_path, pictures, judge):
    samples = load_samples([str(pictures)], Hierarchy.load(), limit=1)
    options = {
        "hierarchy": None,
        "classifiers": [judge],
        "model": None,
        "ours": False,
        "rivals": (),
        "device": "cpu",
    }
    counts = []
    for budgets in ("300", "300", "300,700"):
        contest = run.plan(choose("jpeg"), budgets=parse_budgets(budgets, None), **options)
        rows = run.run(contest, samples, tmp_path)
        ladder = [row for row in rows if row.mode == "ladder" and row.scale == 1]
        assert all(
            row.decoded == (row.bytes <= 1.25 * int(budgets.split(",")[-1])) for row in ladder
        )
        counts.append(len(ladder))
    assert counts[0] == counts[1] < counts[2]


def test_rows_do_not_depend_on_processes(finished, tmp_path, pictures, judge, tiny_checkpoint):
    out, _ = finished
    evaluate(
        pictures,
        judge,
        tiny_checkpoint,
        tmp_path,
        "--peers",
        "jpeg",
        "--budgets",
        BUDGETS,
        "--limit",
        2,
        "--jobs",
        2,
    )
    here = {row.key: row for row in rows_of(out)}
    for row in rows_of(tmp_path):
        assert row == here[row.key]


def test_rivals_take_part(tmp_path, pictures, judge, tiny_checkpoint):
    more = ["--peers", "none", "--budgets", "60,300", "--limit", 1, "--rivals", "plonq,progcodec"]
    result = evaluate(pictures, judge, tiny_checkpoint, tmp_path, *more)
    found = {(row.codec, row.budget) for row in rows_of(tmp_path) if row.mode == "cut"}
    assert found == {
        (name, size)
        for name in ("progcodec", "plonq", "progcodec, no checksums")
        for size in (60, 300)
    }
    table = (tmp_path / "rivals.md").read_text()
    assert table.split("\n\n")[1] in result.stdout
    # the one picture that is drawn has no class
    assert (
        "|  | PSNR (dB) at 60 | 300 bytes | coarse agreement with the clean answer (%) at 60 | 300 bytes |\n"
        in table
    )
    assert "| σ order without blocks (PLONQ) |" in table
    with (tmp_path / "rivals.csv").open() as stream:
        assert {(line["codec"], int(line["budget"])) for line in csv.DictReader(stream)} == found


def test_bits_per_pixel(tmp_path, pictures, judge, tiny_checkpoint):
    result = evaluate(
        pictures, judge, tiny_checkpoint, tmp_path, "--peers", "jpeg", "--bpp", "1.5", "--limit", 1
    )
    assert "bits per pixel" in result.stdout
    cuts = [row for row in rows_of(tmp_path) if row.mode == "cut"]
    assert {(row.budget, row.budget_bpp) for row in cuts} == {(int(1.5 * 64 * 48 / 8), 1.5)}
    with (tmp_path / "bytes_to_target.csv").open() as stream:
        assert {line["codec"] for line in csv.DictReader(stream)} == {"progcodec", "JPEG"}
    assert "576 bytes" in (tmp_path / "report.html").read_text()


def test_the_built_in_classifier_judges_clean_pictures_and_every_codec(
    tmp_path, pictures, judge, tiny_checkpoint
):
    more = ["--classifier", "builtin", "--peers", "jpeg", "--budgets", "60,600", "--limit", 1]
    evaluate(pictures, judge, tiny_checkpoint, tmp_path / "out", *more)
    judges = {row.classifier: set() for row in rows_of(tmp_path / "out")}
    for row in rows_of(tmp_path / "out"):
        judges[row.classifier].add((row.codec, row.mode))
    (own,) = [name for name in judges if name.startswith("builtin#")]
    assert len(judges) == 2 and len({frozenset(seen) for seen in judges.values()}) == 1
    assert ("clean", "clean") in judges[own] and ("progcodec", "cut") in judges[own]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--peers", "jpeg,bpg"], "no peer 'bpg'"),
        (["--budgets", "ten"], "no byte budget"),
        (["--no-ours", "--peers", "none"], "no codec takes part"),
        (["--rivals", "nobody"], "unknown rival 'nobody'"),
        (["--model", "nothing.safetensors"], "nothing.safetensors"),
        (["--data", "nowhere"], "nowhere: no such file"),
    ],
)
def test_errors_are_one_line(tmp_path, pictures, judge, tiny_checkpoint, more, line):
    result = evaluate(pictures, judge, tiny_checkpoint, tmp_path, *more, code=1)
    assert (
        len(errors(result)) == 1 and line in errors(result)[0] and "Traceback" not in result.stderr
    )


def test_a_missing_peer_is_left_out_and_named(
    tmp_path, pictures, judge, tiny_checkpoint, monkeypatch
):
    from progcodec.errors import EvaluationError
    from progcodec.lab.evaluate.coders.raster import WebP

    def missing(self):
        raise EvaluationError("not built in")

    monkeypatch.setattr(WebP, "library", missing)
    result = evaluate(
        pictures,
        judge,
        tiny_checkpoint,
        tmp_path,
        "--peers",
        "webp",
        "--budgets",
        "60",
        "--limit",
        1,
    )
    assert errors(result) == ["progcodec: left out: WebP: not built in"]
    assert {row.codec for row in rows_of(tmp_path)} == {"clean", "progcodec"}


def test_a_hierarchy_of_other_levels_is_refused(tmp_path, pictures, judge, tiny_checkpoint):
    shipped = json.loads(Hierarchy.load().to_json())
    flat = {**shipped, "levels": [shipped["levels"][1]]}
    for entry in flat["levels"][0]:
        entry["parent"] = None
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    more = ["--hierarchy", tmp_path / "flat.json"]
    assert (
        "coarse, intermediate, fine"
        in errors(evaluate(pictures, judge, tiny_checkpoint, tmp_path, *more, code=1))[0]
    )
