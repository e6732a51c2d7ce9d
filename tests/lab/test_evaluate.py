"""The whole command, on a few pictures, with a classifier that has learnt nothing."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import EvaluationError, HierarchyError, ImageError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate import run as running
from progcodec.lab.evaluate import statistics, unusual
from progcodec.lab.evaluate.pictures import fingerprint, load_pictures
from progcodec.lab.evaluate.plan import Budget, best_file, parse_budgets, parse_qualities
from progcodec.lab.evaluate.rows import ROWS, Kept, Row
from tests.support.classifying import TREE
from tests.support.command import errors
from tests.support.command import run as command
from tests.support.samples import file_of, tar_of

BUDGETS = "60,150,600"


@pytest.fixture(scope="session")
def judge(tmp_path_factory) -> str:
    """A specification of a small classifier with random weights."""
    timm = pytest.importorskip("timm")
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
        cutting = photograph.crop((left, left // 2, left + 160, left // 2 + 120))
        cutting.resize((64, 48)).save(group / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def evaluate(pictures, tiny_checkpoint):
    """Runs the command on the pictures; later options override earlier ones."""

    def call(out, *more, **options):
        line = ["--data", pictures, "--model", tiny_checkpoint, "--jobs", 1, "-o", out, *more]
        return command("evaluate", *line, **options)

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory, evaluate, judge):
    out = tmp_path_factory.mktemp("out")
    line = ["--classifier", judge, "--peers", "jpeg,jpeg2000", "--budgets", BUDGETS]
    return out, line, evaluate(out, *line)


def rows_of(out, **fields):
    """Rows without what a clock says."""
    rows = (row._replace(encode_s=None, decode_s=None) for row in Kept(out).rows.values())
    return [row for row in rows if all(getattr(row, name) == v for name, v in fields.items())]


def test_judged(finished, judge):
    out, _, result = finished
    for text in (
        "8 pictures, 64 × 48", "accuracy over 6 pictures", "| level end |", "| JPEG 2000, cut |",
        "| coarse (%) within bytes | clean | 60 |", "| JPEG, best file |", "bytes to 90 % of clean",
    ):  # fmt: skip
        assert text in result.stdout, result.stdout
    assert (out / "report.md").read_text().strip() in result.stdout
    rows = rows_of(out)
    assert {row.codec for row in rows} == {"clean", "progcodec", "JPEG", "JPEG 2000"}
    for row in rows:
        assert not row.budget or row.bytes <= int(row.budget)
        assert (row.fine is not None) == bool(row.judge)
    judged = {(row.digest, row.unit) for row in rows if row.judge and row.codec == "JPEG"}
    files = [row for row in rows if row.codec == "JPEG" and not row.judge]
    assert 0 < len(judged) < len(files), "of a ladder, only what a budget would choose is judged"
    for picture in {row.digest for row in files}:
        of_half = (row for row in files if row.digest == picture and row.scale == 0.5)
        best = best_file([row for row in of_half if not row.budget], 600)
        assert best is None or (picture, best.unit) in judged
    with (out / "points.csv").open() as stream:
        points = list(csv.DictReader(stream))
    drawn = {(p["codec"], p["mode"]) for p in points}
    assert drawn >= {("progcodec", "cut"), ("JPEG", "best file")}
    assert (out / "accuracy-1.png").stat().st_size > 5000 and (out / "psnr.png").exists()


def test_our_rows_are_cuts_of_the_file_that_encode_writes(finished, pictures, tiny_codec):
    out, _, _ = finished
    name = next(pictures.glob("*/3.png"))
    data = tiny_codec.encode(Image.open(name))
    own = [row for row in rows_of(out, codec="progcodec", judge="") if row.image == str(name)]
    assert [row.bytes for row in own if row.budget] == [60, 150, min(600, len(data))]
    assert [row.bytes for row in own if row.setting == "fine"] == [len(data)]
    shown = np.asarray(tiny_codec.decode(data[:150]), float)
    (cut,) = [row for row in own if row.budget == "150"]
    error = np.mean((shown - np.asarray(Image.open(name), float)) ** 2)
    assert cut.psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


def test_nothing_is_measured_twice_and_the_seed_reaches_the_report(finished, evaluate, monkeypatch):
    out, line, result = finished
    before = (out / ROWS).read_bytes()
    monkeypatch.setattr(running, "_finished", lambda *_: pytest.fail("measured again"))
    assert evaluate(out, *line).stdout == result.stdout
    seeds = set()
    draw = statistics.shares
    monkeypatch.setattr(statistics, "shares", lambda n, seed: seeds.add(seed) or draw(n, seed))
    evaluate(out, *line, "--seed", 5)
    assert seeds == {5} and (out / ROWS).read_bytes() == before


@pytest.mark.slow
def test_an_interrupted_run_goes_on(finished, tmp_path, evaluate):
    out, line, _ = finished
    lines = (out / ROWS).read_bytes().splitlines(keepends=True)
    (tmp_path / ROWS).write_bytes(b"".join(lines[: len(lines) // 3]) + lines[-1][:50])
    evaluate(tmp_path, *line)
    assert sorted(map(repr, rows_of(out))) == sorted(map(repr, rows_of(tmp_path)))


def test_other_weights_leave_the_peers_rows(finished, tmp_path, evaluate, monkeypatch):
    from progcodec.lab.evaluate import measure

    out, line, result = finished
    kept = Kept(tmp_path)
    kept.add([r._replace(version="old", psnr=9.0) if r.codec == "progcodec" else r
              for r in Kept(out).rows.values()])  # fmt: skip
    monkeypatch.setattr(measure, "_ladder", lambda *_: pytest.fail("a peer was measured again"))
    monkeypatch.setattr(measure, "_cut", lambda *_: pytest.fail("a peer was measured again"))
    assert evaluate(tmp_path, *line).stdout.splitlines()[:-1] == result.stdout.splitlines()[:-1]


def test_larger_budgets_carry_a_ladder_on(tmp_path, evaluate):
    counts = []
    for budgets in ("300", "300", "300,700"):
        evaluate(tmp_path, "--no-ours", "--peers", "jpeg", "--budgets", budgets, "--limit", 1)
        ladder = rows_of(tmp_path, codec="JPEG", scale=1.0, budget="")
        most = 1.25 * int(budgets.split(",")[-1])
        assert all(row.decoded == (row.bytes <= most) for row in ladder)
        counts.append(len(ladder))
    assert counts[0] == counts[1] < counts[2]


@pytest.mark.slow
def test_rows_do_not_depend_on_processes(finished, tmp_path, evaluate):
    out, line, _ = finished
    evaluate(tmp_path, *line, "--peers", "jpeg", "--limit", 2, "--jobs", 2)
    here, there = ({row.key: row for row in rows_of(place)} for place in (out, tmp_path))
    assert len(there) > 50
    for key, row in there.items():
        assert row.bytes == here[key].bytes
        # a process of fewer threads may round pixels otherwise
        assert row.psnr == pytest.approx(here[key].psnr, abs=0.02)


def test_rate_and_distortion(tmp_path, evaluate):
    result = evaluate(tmp_path, "--peers", "jpeg", "--limit", 2, "--quality", "-1,0")
    lines = "| fine |", "| JPEG | measured |", "| cut 9 |", "| -1 | 1.224 |", "The whole file:"
    assert all(text in result.stdout for text in lines), result.stdout
    assert (tmp_path / "curves.png").stat().st_size > 10_000 and (tmp_path / "quality.png").exists()


@pytest.mark.slow
def test_first_bytes(tmp_path, evaluate):
    result = evaluate(tmp_path, "--first-bytes", "--limit", 2, "--budgets", "60,500")
    assert "| PSNR (dB) within bytes | 60 | 500 |" in result.stdout
    assert "| JPEG 2000, best file |" in result.stdout
    assert 0.125 in {row.scale for row in rows_of(tmp_path, codec="WebP")}
    assert Image.open(tmp_path / "first-bytes-500.png").size == (2 * 2 * 34, 24 + 16)


@pytest.mark.slow
def test_unusual(tmp_path, tiny_checkpoint):
    line = ["--unusual", "--model", tiny_checkpoint, "--jobs", 1, "-o", tmp_path]
    told = command("evaluate", *line).stdout
    drawn = unusual.pictures()
    assert {p.pixels.shape for p in drawn} == {(16, 16, 3), (128, 128, 3)} and len(drawn) >= 80
    assert all(f"| {picture.name} | " in told for picture in drawn)


def test_orderings(tmp_path, evaluate):
    more = ["--peers", "none", "--budgets", "60,300", "--limit", 1]
    result = evaluate(tmp_path, *more, "--orderings", "raster,sigma")
    found = {(row.codec, row.budget) for row in rows_of(tmp_path) if row.budget}
    names = ("progcodec", "raster", "sigma")
    assert found == {(name, size) for name in names for size in ("60", "300")}
    assert all(f"| {name}, cut |" in result.stdout for name in names)


def test_bits_per_pixel(tmp_path, evaluate):
    result = evaluate(tmp_path, "--peers", "jpeg", "--budgets", "0.3bpp", "--limit", 1)
    assert "| PSNR (dB) within bytes | 0.3 bpp |" in result.stdout
    assert {row.bytes for row in rows_of(tmp_path, budget="0.3bpp", codec="progcodec")} == {115}


def test_a_judge_of_one_codec_alone(tmp_path, evaluate, judge):
    more = ["--peers", "jpeg,webp", "--budgets", "600", "--limit", 2, "--peer-classifier"]
    result = evaluate(tmp_path, *more, f"JPEG={judge}", "--classifier", judge)
    assert "Each codec judged by a network adapted to its own pictures" in result.stdout
    adapted = {row.codec for row in rows_of(tmp_path) if row.judge.startswith("JPEG: ")}
    assert adapted == {"clean", "JPEG"}
    refused = evaluate(tmp_path, *more, "JPEG", code=1)
    assert "is not CODEC=CLASSIFIER" in errors(refused)[0]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--peers", "jpeg,bpg"], "no peer 'bpg'"),
        (["--budgets", "ten"], "is no budget"),
        (["--no-ours", "--peers", "none"], "no codec takes part"),
        (["--orderings", "nobody"], "unknown ordering 'nobody'"),
        (["--quality", "9"], "qualities are -7 to 7"),
        (["--model", "nothing.safetensors"], "nothing.safetensors"),
        (["--data", "nowhere"], "nowhere: no such file"),
        (["--classifier", "nobody"], "unknown classifier 'nobody'"),
    ],
)
def test_errors_are_one_line(tmp_path, evaluate, more, line):
    result = evaluate(tmp_path, *more, code=1)
    assert len(errors(result)) == 1 and line in errors(result)[0]


def test_a_hierarchy_of_other_levels_is_refused(tmp_path, evaluate, judge):
    shipped = json.loads(Hierarchy.load().to_json())
    flat = {**shipped, "levels": [shipped["levels"][1]]}
    for entry in flat["levels"][0]:
        entry["parent"] = None
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    more = ["--hierarchy", tmp_path / "flat.json", "--classifier", judge]
    assert "coarse, intermediate, fine" in errors(evaluate(tmp_path, *more, code=1))[0]


# --- rows ---

ROW = Row("ab12", "n1/a.jpg", "judge#1", "JPEG", "v1", "30", 0.5, "", 512, 31.25, None, 0.125, None,
          1, 2, 3)  # fmt: skip
CUT = ROW._replace(image='b, "quoted".jpg', budget="100", psnr=None, coarse=None)


@pytest.mark.parametrize("lost", [1, 3, 40])
def test_a_torn_last_line_is_dropped_and_the_next_row_is_whole(tmp_path, lost):
    Kept(tmp_path).add([ROW, CUT])
    path = tmp_path / ROWS
    path.write_bytes(path.read_bytes()[:-lost])
    kept = Kept(tmp_path)
    assert list(kept.rows.values()) == [ROW]
    kept.add([CUT])
    assert list(Kept(tmp_path).rows.values()) == [ROW, CUT]


def test_rows_of_another_kind_are_refused(tmp_path):
    (tmp_path / ROWS).write_text("image,bytes\na,1\n")
    with pytest.raises(EvaluationError, match="holds no rows"):
        Kept(tmp_path)


def test_whatever_a_row_depends_on_is_in_its_key():
    changed = {
        "digest": "x", "judge": "other", "codec": "WebP", "version": "v2", "setting": "31",
        "scale": 1.0, "budget": "7",
    }  # fmt: skip
    keys = {ROW._replace(**{name: value}).key for name, value in changed.items()}
    assert len({ROW.key, *keys}) == 1 + len(changed)
    assert ROW._replace(image="renamed.jpg", psnr=1.0).key == ROW.key


# --- pictures ---


def png(shade: int) -> bytes:
    return file_of(Image.new("RGB", (9, 7), (shade, 80, 10)))


KITE, JAY, VIOLIN = (TREE.classes[index].wnid for index in (0, 2, 3))


@pytest.fixture
def desk(tmp_path):
    """Six pictures in a shard, three more in folders, and what is no picture."""
    names = [f"{group}/{n}.png" for group in (JAY, KITE, "unlabelled") for n in (1, 2)]
    members = [(name, png(shade)) for shade, name in enumerate(reversed(names))]
    (tmp_path / "shard.tar.gz").write_bytes(tar_of(*members, mode="w:gz"))
    others = (f"{VIOLIN}/deep/x.png", "y.png", f"{JAY}/z.PNG", ".hidden.png", "notes.txt")
    for shade, name in enumerate(others, 100):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(shade))
    return tmp_path


def test_classes_come_from_paths_or_a_csv(desk):
    def labels(name: str, **options: object) -> dict[str, int | None]:
        return {
            p.name.rsplit("folder/")[-1]: p.label
            for p in load_pictures([desk / name], TREE, **options)
        }

    shard = labels("shard.tar.gz")
    assert list(shard.values()) == [2, 2, 0, 0, None, None] and list(shard) == sorted(shard)
    inside, beside, upper = f"{VIOLIN}/deep/x.png", "y.png", f"{JAY}/z.PNG"
    assert labels("folder") == {inside: 3, beside: None, upper: 2}
    (desk / "labels.csv").write_text("file,label\ny.png,kite\nx.png,2\n")
    listed = labels("folder", labels=str(desk / "labels.csv"))
    assert listed == {inside: 2, beside: 0, upper: 2}


def test_the_draw_depends_on_the_seed_alone(desk):
    folder = desk / "folder"
    sources = [desk / "shard.tar.gz", folder / "*.png", folder / JAY]
    first = load_pictures(sources, TREE, limit=4, seed=1)
    again = load_pictures(sources[::-1], TREE, limit=4, seed=1)
    assert len(first) == 4 and [p.name for p in first] == [p.name for p in again]
    assert fingerprint(first) == fingerprint(again) != fingerprint(first[:3])
    drawn = {tuple(p.name for p in load_pictures(sources, limit=4, seed=n)) for n in range(5)}
    assert len(drawn) > 1


def test_shards_that_share_names_and_what_holds_no_pictures(desk):
    (desk / "more").mkdir()
    (desk / "more" / "shard.tar.gz").write_bytes((desk / "shard.tar.gz").read_bytes())
    assert len(load_pictures([desk / "shard.tar.gz", desk / "more" / "shard.tar.gz"])) == 12
    (desk / "empty").mkdir()
    (desk / "bad.tar").write_bytes(b"no tar")
    (desk / "bad.png").write_bytes(png(1)[:30])
    for source, error, line in (
        ("empty", EvaluationError, "no pictures"),
        ("bad.tar", EvaluationError, "tar archive"),
        ("missing", EvaluationError, "no such file"),
        ("bad.png", ImageError, "bad.png"),
    ):
        with pytest.raises(error, match=line):
            load_pictures([desk / source])
    (desk / "labels.csv").write_text("y.png,unicorn\n")
    with pytest.raises(HierarchyError, match="unicorn"):
        load_pictures([desk / "folder"], TREE, labels=str(desk / "labels.csv"))


def test_budgets_and_qualities():
    found = parse_budgets("300, 100,0.5bpp,300")
    assert list(map(str, found)) == ["100", "300", "0.5bpp"]
    assert [budget.of(1000) for budget in found] == [100, 300, 62]
    assert found[0] == Budget(100, False)
    for text in ("", "0", "-5", "1.5", "bpp", "1e3"):
        with pytest.raises(EvaluationError, match="no budget"):
            parse_budgets(text)
    assert parse_qualities("-4..-2,0, 3", 7) == [-4, -3, -2, 0, 3]
    for text in ("a", "-4...4", "2..1", "8", "-8..0"):
        with pytest.raises(EvaluationError, match="qualities are -7 to 7"):
            parse_qualities(text, 7)
