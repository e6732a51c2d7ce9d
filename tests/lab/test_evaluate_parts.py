"""Rows on disk, pictures with classes, and budgets: what an evaluation stands on."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import EvaluationError, HierarchyError, ImageError
from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf
from progcodec.lab.evaluate.contest import BUDGETS, Budget, parse_budgets
from progcodec.lab.evaluate.measurements import KEPT, Kept, Measurement, read, write
from progcodec.lab.evaluate.workload import fingerprint, load_samples

ROW = Measurement(
    "n1/a.jpg", 3, 20, 10, "JPEG", "v1", "ladder", "30", 0.5, None, None, 512, True, "judge", 0.5, 0.25, 0.125,
    True, False, False, 0.75, True, False, False, 31.25, 0.5, 0.125, None, "ab12", "cd34",
)  # fmt: skip
TORN = ROW._replace(
    image='b, "quoted".jpg',
    label=None,
    mode="cut",
    budget=100,
    decoded=False,
    hit_coarse=None,
    psnr=None,
)
TREE = Hierarchy(
    ((Cluster("thing", None),), (Cluster("animal", 0), Cluster("tool", 0))),
    (Leaf("jay", "n1", 0), Leaf("kite", "n2", 0), Leaf("saw", "n3", 1)),
)


def test_rows_survive_the_disk(tmp_path):
    write(tmp_path / "m.csv", [ROW, TORN])
    assert list(read(tmp_path / "m.csv")) == [ROW, TORN]


@pytest.mark.parametrize("lost", [1, 3, 40])
def test_a_torn_last_line_is_dropped_and_the_next_row_is_whole(tmp_path, lost):
    Kept(tmp_path).add([ROW, TORN])
    path = tmp_path / KEPT
    path.write_bytes(path.read_bytes()[:-lost])
    kept = Kept(tmp_path)
    assert list(kept.rows.values()) == [ROW]
    kept.add([TORN])
    assert list(Kept(tmp_path).rows.values()) == [ROW, TORN]


def test_rows_of_another_kind_are_refused(tmp_path):
    (tmp_path / KEPT).write_text("image,bytes\na,1\n")
    with pytest.raises(EvaluationError, match="no file of measurements"):
        Kept(tmp_path)


def test_whatever_a_row_depends_on_is_in_its_key():
    changed = {
        "digest": "x", "label": 4, "codec": "WebP", "weights": "v2", "mode": "cut", "setting": "31", "scale": 1.0,
        "budget": 7, "budget_bpp": 0.5, "classifier": "other", "hierarchy": "x",
    }  # fmt: skip
    assert len(
        {ROW.key, *(ROW._replace(**{name: value}).key for name, value in changed.items())}
    ) == 1 + len(changed)
    assert ROW._replace(image="renamed.jpg", psnr=1.0).key == ROW.key


def jpeg(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (shade, 80, 10)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pictures(tmp_path):
    """Six pictures in a shard, three of them in folders too."""
    names = [f"{group}/{n}.png" for group in ("n1", "n3", "unlabelled") for n in (1, 2)]
    with tarfile.open(tmp_path / "shard.tar.gz", "w:gz") as archive:
        for shade, name in enumerate(reversed(names)):
            member = tarfile.TarInfo(name)
            member.size = len(jpeg(shade))
            archive.addfile(member, io.BytesIO(jpeg(shade)))
    for shade, name in enumerate(("n2/deep/x.png", "y.png", "n3/z.PNG"), 100):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(shade))
    return tmp_path


def test_classes_come_from_paths(pictures):
    shard = load_samples([str(pictures / "shard.tar.gz")], TREE)
    assert [(s.name, s.label) for s in shard][:3] == [
        ("n1/1.png", 0),
        ("n1/2.png", 0),
        ("n3/1.png", 2),
    ]
    assert [s.label for s in shard[4:]] == [None, None]
    assert [s.label for s in load_samples([str(pictures / "folder")], TREE)] == [1, 2, None]


def test_a_csv_comes_before_the_paths(pictures):
    (pictures / "labels.csv").write_text("file,label\ny.png,kite\nx.png,2\n")
    samples = load_samples([str(pictures / "folder")], TREE, labels=str(pictures / "labels.csv"))
    assert [s.label for s in samples] == [2, 2, 1]
    (pictures / "labels.csv").write_text("y.png,unicorn\n")
    with pytest.raises(HierarchyError, match="unicorn"):
        load_samples([str(pictures / "folder")], TREE, labels=str(pictures / "labels.csv"))


def test_the_draw_depends_on_the_seed_alone(pictures):
    sources = [str(pictures / "shard.tar.gz"), str(pictures / "folder")]
    first = load_samples(sources, TREE, limit=4, seed=1)
    again = load_samples(sources[::-1], TREE, limit=4, seed=1)
    assert len(first) == 4 and [s.name for s in first] == [s.name for s in again]
    assert fingerprint(first) == fingerprint(again) != fingerprint(first[:3])
    others = [
        tuple(s.name for s in load_samples(sources, TREE, limit=4, seed=seed)) for seed in range(5)
    ]
    assert len(set(others)) > 1


def test_two_shards_may_share_names(pictures):
    (pictures / "more").mkdir()
    (pictures / "more" / "shard.tar.gz").write_bytes((pictures / "shard.tar.gz").read_bytes())
    assert (
        len(
            load_samples(
                [str(pictures / "shard.tar.gz"), str(pictures / "more" / "shard.tar.gz")], TREE
            )
        )
        == 12
    )


def test_what_holds_no_pictures(pictures):
    (pictures / "empty").mkdir()
    (pictures / "bad.tar").write_bytes(b"no tar")
    (pictures / "bad.png").write_bytes(jpeg(1)[:30])
    for source, error, line in (
        ("empty", EvaluationError, "no pictures"),
        ("bad.tar", EvaluationError, "tar archive"),
        ("missing", EvaluationError, "no such file"),
        ("bad.png", ImageError, "bad.png"),
    ):
        with pytest.raises(error, match=line):
            load_samples([str(pictures / source)], TREE)


def test_budgets():
    assert parse_budgets(None, None) == tuple(Budget(size, None) for size in BUDGETS)
    assert parse_budgets("300, 100,300", "0.5") == (
        Budget(100, None),
        Budget(300, None),
        Budget(None, 0.5),
    )
    (sample,) = [s for s in [type("S", (), {"pixels": np.zeros((20, 30, 3), np.uint8)})]]
    assert Budget(None, 0.5).of(sample) == 37 and Budget(50, None).of(sample) == 50
    for text in ("0", "-5", "x", "1.5"):
        with pytest.raises(EvaluationError, match="byte budget"):
            parse_budgets(text, None)
    with pytest.raises(EvaluationError, match="rate"):
        parse_budgets(None, "inf")
