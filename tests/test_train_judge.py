"""The independent judge: crops, the loop, a file that says itself what it is for, the command."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

pytest.importorskip("timm")

from progcodec.classification.classifier import Specification, described, reads_pictures, resolve
from progcodec.classification.pixel import PixelClassifier
from progcodec.errors import ClassifierError, TrainingError
from progcodec.evaluation.judges import name_judge
from progcodec.hierarchy import Hierarchy
from progcodec.training.judge import JudgeSettings, train_judge
from progcodec.training.squares import Labelled, batch_at, comparable, crop, load_labelled
from progcodec.training.verdict import judge_clean
from tests.command import errors, run
from tests.test_train_classifier import CLASSES, striped

NETWORK = "test_resnet"
"""A few hundred thousand parameters, made for tests."""


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    return Hierarchy.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, hierarchy):
    root = tmp_path_factory.mktemp("pictures")
    for n in range(30):
        where = root / hierarchy.classes[CLASSES[n % 3]].wnid
        where.mkdir(exist_ok=True)
        striped(n % 3, 48, n).save(where / f"{n}.png")
    (root / "unlabelled").mkdir()
    striped(0, 48, 99).save(root / "unlabelled" / "none.png")
    (root / "n01440764").mkdir(exist_ok=True)
    (root / "n01440764" / "broken.png").write_bytes(b"nothing")
    return root


def settings(folder, out, **more: object) -> JudgeSettings:
    given = {
        "model": NETWORK,
        "steps": 12,
        "side": 32,
        "first_side": 16,
        "batch": 12,
        "device": "cpu",
        "log_steps": 4,
        **more,
    }
    return JudgeSettings(**{"data": (str(folder),), "out": str(out), **given})


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Long enough to tell stripes apart."""
    out = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    train_judge(settings(folder, out, steps=60, lr=4e-3, ema=0.9))
    return out


def test_it_learns_what_labels_say(trained, folder):
    (verdict,) = judge_clean(str(trained), [str(folder)], "cpu")
    assert verdict.all.pictures == 30 and verdict.all.accuracy[-1] >= 0.8
    assert verdict.met == verdict.all  # it has met every class
    assert (
        trained.with_name("judge.safetensors.csv")
        .read_text()
        .splitlines()[0]
        .startswith("step,minutes,side")
    )


def test_its_path_is_all_that_is_needed(trained, hierarchy, folder):
    classifier = PixelClassifier.load(Specification.parse(str(trained)), "cpu")
    assert classifier.name == "judge" and classifier.classes == 1000
    p = classifier.predict([striped(1, 48, 500).resize((227, 200))])
    assert p.argmax() == CLASSES[1] and p.sum() == pytest.approx(1)
    said = described(str(trained))
    assert (
        said["licence"]
        and said["labelled"].split() == [str(c) for c in sorted(CLASSES)]
        and said["pictures"] == "30"
    )
    full = resolve(Specification.parse(str(trained)))
    assert (
        full.model == NETWORK
        and full.preprocessing["input_size"] == 32
        and full.file == str(trained)
    )
    assert reads_pictures(str(trained))
    name = name_judge(str(trained), None)
    assert name.name.startswith("judge#") and name.pictures


def test_weights_are_half_precision(trained):
    kinds = {tensor.dtype for tensor in load_file(trained).values()}
    assert kinds == {torch.float16, torch.int64}


def test_files_that_say_nothing_are_told_apart(tmp_path, tiny_checkpoint):
    plain, head = tmp_path / "plain.safetensors", tmp_path / "head.safetensors"
    save_file({"a": torch.zeros(1)}, str(plain))
    save_file({"a": torch.zeros(1)}, str(head), {"codec": "0123"})
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for name, message in (
        ("plain", "does not say"), ("head", "builtin@"), ("none", "no such file"), ("broken", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(ClassifierError, match=message):
            PixelClassifier.load(Specification.parse(str(tmp_path / f"{name}.safetensors")), "cpu")
    assert Specification.parse("timm:resnet18@x.safetensors").library == "timm"
    assert Specification.parse("builtin@x.safetensors").library == "builtin"
    evil = tmp_path / "evil.safetensors"
    save_file({"a": torch.zeros(1)}, str(evil), {"classifier": "timm:resnet18@/another/file"})
    with pytest.raises(ClassifierError, match="does not say"):
        resolve(Specification.parse(str(evil)))


def test_crops_stay_inside_and_follow_from_the_step():
    random = np.random.default_rng(0)
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None] * 4, (60, 90, 3)).copy()
    for _ in range(50):
        piece = crop(ramp, 16, random)
        assert piece.shape == (16, 16, 3) and (np.diff(piece[:, 0, 0].astype(int)) >= 0).all()
    pictures = [Labelled(np.full((20, 20, 3), n, np.uint8), n, 20) for n in range(10)]
    first, again, other = (
        batch_at(pictures, 3, 4, 16, 0),
        batch_at(pictures, 3, 4, 16, 0),
        batch_at(pictures, 3, 4, 16, 1),
    )
    assert torch.equal(first.pixels, again.pixels) and not torch.equal(first.labels, other.labels)
    epoch = [int(label) for step in range(5) for label in batch_at(pictures, step, 4, 16, 0).labels]
    assert sorted(epoch[:10]) == sorted(epoch[10:]) == list(range(10)) and epoch[:10] != epoch[10:]
    assert [int(v) for v in first.pixels[:, 0, 0, 0]] == first.labels.tolist()


def test_pictures_without_a_class_are_left_out_and_large_ones_shrunk(folder, hierarchy, tmp_path):
    pictures = load_labelled([str(folder)], hierarchy, 24)
    assert len(pictures) == 30 and {picture.label for picture in pictures} == set(CLASSES)
    assert {(picture.pixels.shape, picture.side) for picture in pictures} == {((24, 24, 3), 48)}
    Image.new("RGB", (20, 20)).save(tmp_path / "none.png")
    with pytest.raises(TrainingError, match="no readable picture"):
        load_labelled([str(tmp_path)], hierarchy, 24)


def test_classes_are_compared_with_those_of_about_their_size():
    """Class 0 has thumbnails, 1 larger ones, 2 photographs of two sizes, 3 both."""
    stored = [(0, 64), (1, 84), (2, 224), (2, 250), (3, 64), (3, 240)]
    table, rows = comparable(
        [Labelled(np.zeros((4, 4, 3), np.uint8), label, side) for label, side in stored], 5
    )
    of = {
        picture: set(np.flatnonzero(table[row])) for picture, row in zip(stored, rows, strict=True)
    }
    assert (
        of[0, 64] == of[3, 64] == {0, 3}
        and of[1, 84] == {1}
        and of[2, 224] == of[2, 250] == of[3, 240] == {2, 3}
    )


def test_sides_grow_and_the_rate_falls():
    chosen = JudgeSettings((), "x", steps=10, side=80, first_side=48)
    sides = [chosen.side_at(progress / 20) for progress in range(21)]
    assert (
        sides[0] == 48 and sides[-1] == 80 and sides == sorted(sides) and set(sides) == {48, 64, 80}
    )
    rates = [chosen.lr_at(progress / 20) for progress in range(21)]
    assert rates[-1] == 0 and max(rates) == rates[1] and rates[0] < rates[1]
    for wrong in ({}, {"steps": 1, "side": 16, "first_side": 32}):
        with pytest.raises(ValueError):
            JudgeSettings((), "x", **wrong)


def test_a_run_that_is_resumed_takes_the_same_steps(folder, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train_judge(settings(folder, whole))
    from progcodec.training import judge

    original, calls = judge._update, []

    def interrupted(*given: object) -> None:
        original(*given)
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(judge, "_update", interrupted)
    assert train_judge(settings(folder, parts)) == 5
    monkeypatch.setattr(judge, "_update", original)
    assert train_judge(settings(folder, parts, resume=True)) == 12
    for name, tensor in load_file(whole).items():
        assert torch.equal(tensor, load_file(parts)[name]), name
    train_judge(settings(folder, parts, init=str(whole), steps=1, lr=1e-9))
    for name, tensor in load_file(whole).items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(tensor, load_file(parts)[name], atol=1e-3), name
    with pytest.raises(TrainingError, match="another network"):
        train_judge(settings(folder, parts, init=str(whole), model="resnet10t"))
    with pytest.raises(TrainingError, match="no such training state"):
        train_judge(settings(folder, tmp_path / "other.safetensors", resume=True))
    (tmp_path / "other.safetensors.state.pt").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="not a state"):
        train_judge(settings(folder, tmp_path / "other.safetensors", resume=True))


def test_the_command(folder, tmp_path):
    out = tmp_path / "judge.safetensors"
    arguments = [
        "train-judge",
        "--data",
        folder,
        "--out",
        out,
        "--device",
        "cpu",
        "--side",
        32,
        "--first-side",
        16,
        "--batch",
        8,
    ]
    done = run(*arguments, "--steps", 2, "--network", NETWORK, "--val", folder)
    assert "K=1000" in done.stdout and "met in training" in done.stdout
    assert run(*arguments, "--steps", 2, code=1).stderr  # it is there
    assert "say when to stop" in errors(run(*arguments, "--force", code=2))[-1]
    assert (
        "no network"
        in errors(run(*arguments, "--force", "--steps", 1, "--network", "nonsense", code=1))[-1]
    )
    arguments[4] = tmp_path / "judge.pt"
    assert ".safetensors" in errors(run(*arguments, "--steps", 1, code=2))[-1]
