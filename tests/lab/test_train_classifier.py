"""Training of the built-in classifier: views, coded views, lessons, the loop, the command."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from progcodec.classification.latent import LatentClassifier
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.classifier import ClassifierSettings, fit, level_loss, start_head
from progcodec.lab.train.coded_views import cut_views, draw_cut, latents, pack
from progcodec.lab.train.lessons import Lessons, Mixing
from progcodec.lab.train.views import ViewCounts, plan, read_pictures, render
from tests.support.command import run

CLASSES = (7, 130, 980)
TEACHER = "timm:mobilenetv2_035"


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    return Hierarchy.load()


def striped(kind: int, side: int, seed: int) -> Image.Image:
    """A picture that tells its class by its stripes, whatever part of it is seen."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] * (64 / side)
    wave = np.sin((x, y, (x + y) / 1.4)[kind] * (0.35, 0.7, 1.2)[kind] + rng.uniform(0, 6))[
        ..., None
    ]
    pixels = 128 + 90 * wave * (np.arange(3) != kind) + rng.normal(0, 8, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, hierarchy):
    """Small pictures with labels, and a few larger ones of which half have none."""
    root = tmp_path_factory.mktemp("pictures")
    for n in range(30):
        where = root / hierarchy.classes[CLASSES[n % 3]].wnid
        where.mkdir(exist_ok=True)
        striped(n % 3, 64, n).save(where / f"{n}.png")
    for n in range(2):
        where = root / (hierarchy.classes[CLASSES[n]].wnid if n else "unlabelled")
        where.mkdir(exist_ok=True)
        striped(n, 140, n).save(where / f"large{n}.png")
    return root


@pytest.fixture(scope="module")
def pictures(folder, hierarchy):
    return read_pictures([str(folder)], hierarchy)


def test_views_are_the_same_for_the_same_seed(pictures):
    first, second, other = (plan(pictures, ViewCounts(2, 1, 3), seed) for seed in (0, 0, 1))
    assert first.chunks == second.chunks and first.key == second.key
    assert other.chunks != first.chunks and other.key != first.key
    assert sum(map(len, first.chunks)) == 30 * 2 + 1 + 3
    for chunk in first.chunks:
        assert len({view.side for view in chunk}) == 1
    assert first.key != plan(pictures[:-1], ViewCounts(2, 1, 3), 0).key


def test_labels_come_from_folders(pictures):
    assert {picture.label for picture in pictures} == {None, *CLASSES}
    views = plan(pictures, ViewCounts(), 0)
    asked = np.concatenate([views.asked(n) for n in range(len(views.chunks))])
    assert asked.sum() == 3 + 10  # the views of the two large pictures


def test_a_view_is_the_crop_it_says(pictures):
    views = plan(pictures, ViewCounts(), 0)
    data, view = views.sources(0)[0]
    shown = render(data, view)
    assert shown.size == (view.side, view.side) and render(data, view, 40).size == (40, 40)
    mirrored = render(data, view._replace(mirrored=not view.mirrored))
    assert np.array_equal(np.asarray(shown)[:, ::-1], np.asarray(mirrored))
    with pytest.raises(TrainingError, match="damaged"):
        render(data[:100], view)


def test_nothing_to_learn_from(tmp_path, hierarchy):
    (tmp_path / "no.jpg").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="no readable picture"):
        read_pictures([str(tmp_path)], hierarchy)


@pytest.fixture(scope="module")
def square(photograph):
    return photograph.resize((84, 84))


def test_a_whole_coded_view_is_the_decoders_latent(tiny_codec, square):
    view = pack(tiny_codec.coded_segments([square])[0], 84)
    truth = tiny_codec.decode_latent(tiny_codec.encode(square))
    y, bits = latents(tiny_codec, [view], [view.ends[-1]])
    assert torch.equal(y, truth.y)
    assert float(bits[0]) == pytest.approx(truth.bits / 36, rel=0.02)
    z, q = cut_views(
        [view], [np.inf], tiny_codec.config.latent_channels, tiny_codec.config.hyper_channels
    )
    assert np.array_equal(z[0], truth.z) and np.array_equal(q[0], truth.q) and np.any(truth.q)


def test_a_cut_coded_view_is_about_the_decoders_latent(tiny_codec, square):
    """The same bits give the same symbols, up to the few that a range coder holds back at a cut."""
    data = tiny_codec.encode(square)
    view = pack(tiny_codec.coded_segments([square])[0], 84)
    for n in range(60, len(data), 97):
        truth = tiny_codec.decode_latent(data, max_bytes=n)
        _, q = cut_views(
            [view],
            [truth.bits],
            tiny_codec.config.latent_channels,
            tiny_codec.config.hyper_channels,
        )
        missing = (q[0] != truth.q).sum()
        assert missing <= 0.02 * max(1, (q[0] != 0).sum()) + 24
        assert np.all((truth.q == 0) | (truth.q == q[0]))


def test_no_bits_no_symbols(tiny_codec, square):
    view = pack(tiny_codec.coded_segments([square])[0], 84)
    z, q = cut_views(
        [view], [0.0], tiny_codec.config.latent_channels, tiny_codec.config.hyper_channels
    )
    assert not z.any() and not q.any()


def test_cuts_cover_the_stream(tiny_codec, square):
    view = pack(tiny_codec.coded_segments([square])[0], 84)
    rng = np.random.default_rng(0)
    cuts = np.array([draw_cut(view, rng) for _ in range(500)])
    assert cuts.min() < view.ends[0] and cuts.max() == view.ends[-1]
    assert {float(end) for end in view.ends} <= set(cuts.tolist())


def test_targets_mix_label_and_teacher():
    answers = np.zeros((2, 5), np.float16)
    answers[0, 3] = answers[1, 4] = 1
    lessons = Lessons([], np.array([2, 1, -1]), np.array([False, True, True]), answers)
    targets = lessons.targets(np.array([0, 1, 2]), Mixing(teacher=0.6, smoothing=0.0)).numpy()
    assert np.allclose(targets, [[0, 0, 1, 0, 0], [0, 0.4, 0, 0.6, 0], [0, 0, 0, 0, 1]])


def test_the_loss_counts_every_level():
    groups = [torch.tensor([0, 0, 1, 1])]
    targets = torch.tensor([[1.0, 0, 0, 0]])
    sure_of_the_group = torch.tensor([[5.0, 5, 0, 0]])
    p = torch.softmax(sure_of_the_group, 1)[0]
    loss = level_loss(sure_of_the_group, targets, groups, (2.0, 1.0))
    assert float(loss) == pytest.approx(float(-2 * (p[0] + p[1]).log() - p[0].log()), rel=1e-5)


def settings(folder, codec_file, tmp_path, **more) -> ClassifierSettings:
    small = {"width": 24, "inner_width": 32, "inner_depth": 1}
    base = {
        "data": (str(folder),), "val": (str(folder),), "teacher": TEACHER, "model": str(codec_file), "minutes": 5.0, "steps": 20,
        "out": str(tmp_path / "head.safetensors"), "cache": str(tmp_path / "cache"), "device": "cpu", "positions": 256,
    }  # fmt: skip
    made = ClassifierSettings(**{**base, **more})
    return ClassifierSettings(
        **{**vars(made), "config": type(made.config)(**{**made.config.to_dict(), **small})}
    )


def test_the_loss_falls(tiny_codec, tiny_checkpoint, pictures, folder, hierarchy, tmp_path):
    views = [
        view
        for view in plan(pictures, ViewCounts(), 0).chunks
        for view in view
        if pictures[view.picture].small
    ]
    shown = [render(pictures[view.picture].data, view, 64) for view in views]
    coded = [pack(trace, 64) for trace in tiny_codec.coded_segments(shown)]
    labels = np.array([pictures[view.picture].label for view in views])
    lessons = Lessons(coded, labels, np.zeros(len(coded), bool), np.zeros((0, 1000), np.float16))
    run_settings = settings(folder, tiny_checkpoint, tmp_path, steps=25, lr=5e-3)
    head = start_head(run_settings, hierarchy, tiny_codec, lessons)
    groups = [torch.from_numpy(level) for level in hierarchy.assignments]

    def loss() -> float:
        with torch.no_grad():
            y, bits = latents(tiny_codec, coded, [view.ends[-1] for view in coded])
            targets = lessons.targets(np.arange(len(coded)), run_settings.mixing)
            return float(level_loss(head.eval()(y, bits), targets, groups, run_settings.levels))

    before = loss()
    assert fit(run_settings, hierarchy, tiny_codec, lessons, head.train()) == 25
    assert loss() < 0.8 * before


def test_the_whole_command(folder, tiny_codec, tiny_checkpoint, tmp_path, hierarchy):
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(timm.create_model("mobilenetv2_035").state_dict(), tmp_path / "teacher.safetensors")
    out = tmp_path / "head.safetensors"
    teacher = f"{TEACHER}@{tmp_path / 'teacher.safetensors'}"
    arguments = ["train-classifier", "--data", folder, "--val", folder, "--teacher", teacher,
                 "--model", tiny_checkpoint, "--out", out, "--minutes", "5", "--steps", "3", "--cache", tmp_path / "cache",
                 "--views", "1,1,1", "--device", "cpu", "--val-limit", "6"]  # fmt: skip
    done = run(*arguments)
    assert "coarse" in done.stdout and f"wrote {out}" in done.output
    metadata = LatentClassifier.load(tiny_codec, out).metadata
    assert set(json.loads(metadata["labelled"])) == {
        hierarchy.classes[index].wnid for index in CLASSES
    }
    assert (
        metadata["steps"] == "3"
        and metadata["licence"]
        and json.loads(metadata["judged"])[0]["pictures"] == 3
    )
    cached = sorted(path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz"))
    run(*arguments, "--init", out, "--force")
    assert (
        sorted(path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")) == cached
    )  # nothing done twice


def test_wrong_usage_is_told(folder, tiny_checkpoint, tmp_path):
    common = [
        "train-classifier",
        "--data",
        folder,
        "--val",
        folder,
        "--out",
        tmp_path / "h",
        "--minutes",
        "1",
    ]
    run(*common, code=2)
    run(*common, "--teacher", "timm:resnet18", "--views", "1,2", code=2)
    done = run(
        *common, "--teacher", "builtin", "--model", tiny_checkpoint, "--cache", tmp_path, code=1
    )
    assert "teacher must be" in done.stderr
