"""The class term: what it is made of, where its gradients go, and that it is trained and logged."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

pytest.importorskip("compressai")

from progcodec.errors import ClassifierError, TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train import trainer
from progcodec.lab.train.class_term import ClassTerm, Clusters
from progcodec.lab.train.differentiable import Forward, forward
from progcodec.lab.train.loss import PRESETS, LossWeights, cut_place, distortion_pull, objective
from progcodec.lab.train.step import Step
from progcodec.lab.train.teacher import Input, Teacher
from progcodec.lab.train.trainer import Trainer, train
from progcodec.network.checkpoint import Checkpoint
from tests.support.classifying import TREE as HIERARCHY
from tests.support.samples import file_of, tar_of
from tests.support.tiny_training import few_start_crops, read_state, settings  # noqa: F401

SIX = len(HIERARCHY.classes)
CPU = torch.device("cpu")


class Linear(nn.Module):
    """Logits that are linear in the picture's mean colours over quarters."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, SIX), nn.BatchNorm1d(SIX)
        self.layer = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(1)
        self.layer[2].weight.data = torch.randn(SIX, 12, generator=generator) * 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher("linear", Linear(), Input(32, 32, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5)))


def term(teacher: Teacher, soft: float = 0.0, weights: LossWeights = PRESETS["paper"]) -> ClassTerm:
    return ClassTerm([teacher], HIERARCHY, weights, soft, 0.0)


def decoded(fine: torch.Tensor, second: torch.Tensor, kind: list[int], cut: list[float]) -> Forward:
    """Level ends lie at 100, 400 and 1600 bits."""
    hyper, *blocks = (torch.full((len(fine),), bits) for bits in (10.0, 90.0, 300.0, 1200.0))
    bits = torch.tensor(cut)
    return Forward(hyper, tuple(blocks), hyper, fine, second, torch.tensor(kind), bits, bits)


def pictures(n: int, side: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


# --- the teacher ----------------------------------------------------------------------------------


def test_the_teacher_stays_frozen_and_normalises(teacher):
    x = pictures(3, 32)
    teacher.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    expected = teacher.model((x - 0.5) / torch.tensor([0.25, 0.5, 0.5])[:, None, None])
    torch.testing.assert_close(teacher(x), expected)
    # a decoder stores no more
    torch.testing.assert_close(teacher(x * 3 - 1), teacher((x * 3 - 1).clamp(0, 1)))
    x.requires_grad_()
    teacher(x).sum().backward()
    assert x.grad.abs().max() > 0


def test_a_teacher_of_timm(tmp_path):
    timm = pytest.importorskip("timm")
    model = timm.create_model("mobilenetv2_050", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    options = "num_classes=7&mean=0.5&std=0.25&input_size=96"
    loaded = Teacher.load(f"timm:mobilenetv2_050?{options}@{tmp_path / 'weights.pth'}", CPU)
    assert loaded.classes == 7 and loaded.size == (96, 96) and loaded.name == "timm:mobilenetv2_050"
    x = pictures(2, 96)
    torch.testing.assert_close(loaded(x), model.eval()((x - 0.5) / 0.25), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "spec", ["timm:no_such_net", "resnet50", "timm:mobilenetv2_050@nothing.pth"]
)
def test_no_teacher(spec):
    pytest.importorskip("timm")
    with pytest.raises(ClassifierError):
        Teacher.load(spec, CPU)


# --- the term -------------------------------------------------------------------------------------


def test_clusters_sum_probabilities():
    generator = torch.Generator().manual_seed(0)
    log_classes = torch.log_softmax(torch.randn(5, SIX, generator=generator) * 20, 1)
    for level in (0, 1):
        groups = HIERARCHY.assignments[level]
        clusters = Clusters(groups.tolist(), CPU)
        expected = HIERARCHY.aggregate(log_classes.double().exp().numpy(), level)
        found = clusters.log_probabilities(log_classes).exp()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)
        smooth = clusters.smoothed(torch.tensor([3, 0]), 0.1)
        torch.testing.assert_close(smooth.sum(1), torch.ones(2))
        assert smooth.argmax(1).tolist() == [groups[3], groups[0]]
        assert float(smooth.min()) == pytest.approx(0.1 / clusters.count)


def test_targets_are_label_prediction_or_both(teacher):
    clean, labels = pictures(3), (4, None, 0)
    hard, known = term(teacher).targets(teacher, clean, labels)
    assert known.tolist() == [True, False, True]
    for level, target in enumerate(hard):
        own = HIERARCHY.aggregate(np.eye(SIX), level)
        np.testing.assert_array_equal(target, [own[4], np.zeros(len(own[0])), own[0]])
    soft, known = term(teacher, soft=1.0).targets(teacher, clean, labels)
    mixed, _ = term(teacher, soft=0.7).targets(teacher, clean, labels)
    assert known.all()
    predicted = torch.softmax(teacher(clean), 1)
    for level, (target, both, one) in enumerate(zip(soft, mixed, hard, strict=True)):
        expected = HIERARCHY.aggregate(predicted, level)
        np.testing.assert_allclose(target, expected, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(both[[0, 2]], (0.7 * target + 0.3 * one)[[0, 2]])
        torch.testing.assert_close(both[1], target[1])  # no label: the prediction alone


def test_the_term_is_the_formula(teacher):
    """γ_k·CE_k of the fine level, and of the second decoding over its probability; from plain
    numpy.
    """
    fine, second, clean = pictures(4, 64, 1), pictures(4, 64, 2), pictures(4, 64, 3)
    labels, kind = (4, 1, 0, 2), [0, 1, 2, 2]
    weights = LossWeights((1e-4, 1e-3, 1e-2), (0.5, 1.0, 2.0))
    out = decoded(fine, second, kind, [50.0, 50.0, 200.0, 25.0])
    judged = term(teacher, weights=weights)(out, clean, labels)
    p_fine, p_second = (torch.softmax(teacher(x), 1).double().numpy() for x in (fine, second))

    def ce(p: np.ndarray, image: int, level: int) -> float:
        group = HIERARCHY.aggregate(np.eye(SIX)[labels[image]], level).argmax()
        return -math.log(HIERARCHY.aggregate(p, level)[image][group])

    half = math.log(2) / math.log(4)  # 200 bits lie half way from 100 to 400, by the log
    seconds = [
        0.5 * ce(p_second, 0, 0) / 0.3,
        1.0 * ce(p_second, 1, 1) / 0.3,
        ((1 - half) * 0.5 * ce(p_second, 2, 0) + half * 1.0 * ce(p_second, 2, 1)) / 0.4,
        25 / 100 * 0.5 * ce(p_second, 3, 0) / 0.4,
    ]
    expected = np.mean([2.0 * ce(p_fine, i, 2) + seconds[i] for i in range(4)]) * 256**2 / 64**2
    assert float(judged.loss) == pytest.approx(expected, rel=1e-4)
    first = [ce(p_fine, 0, 2), ce(p_second, 0, 0)]
    assert judged.losses[0].tolist() == pytest.approx(first, rel=1e-4)
    group = HIERARCHY.aggregate(p_second, 1)[1].argmax()
    assert bool(judged.right[1, 1]) == (group == HIERARCHY.ancestors(1)[1])
    shares, shortfall = cut_place(out)
    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    falls = [math.log(0.5)] * 2 + [0.0, math.log(0.25)]
    assert shortfall.tolist() == pytest.approx(falls, abs=1e-6)


def test_pictures_without_a_target_count_nothing(teacher):
    out = decoded(pictures(2), pictures(2, seed=1), [0, 2], [50.0, 50.0])
    judged = term(teacher)(out, pictures(2, seed=2), (None, None))
    assert float(judged.loss) == 0 and not judged.known.any()
    with pytest.raises(TrainingError, match="6 classes"):
        ClassTerm([teacher], Hierarchy.load(), PRESETS["paper"], 0.5, 0.1)


def test_presets_and_their_parts():
    paper = PRESETS["paper"]
    assert (paper.distortion, paper.gamma) == ((1e-4, 1e-3, 1e-2), (0.5, 1.0, 2.0))
    chosen = settings(Path("m"), preset="paper", gamma=(1, 1, 1), cut=0).weights()
    assert chosen == LossWeights((1e-4, 1e-3, 1e-2), (1, 1, 1), 0)
    assert chosen.second_pass == (0.5, 0.5, 0.0)
    low = settings(Path("m"), relief=0.5, second=(0.2, 0, 0.8), cut_range=(0.05, 0.2))
    assert low.weights().relief == 0.5 and low.weights().second_pass == (0.2, 0, 0.8)
    assert "from 0.05 to 0.2" in low.objective()


@pytest.mark.parametrize(
    "wrong",
    [
        {"relief": -1}, {"second": (0.5, 0.5, 0.5)}, {"second": (1, 0)},
        {"second": (0, 0, 1), "cut": 0}, {"cut_range": (0.2, 0.1)}, {"cut_range": (0.1,)},
        {"gamma": (1, 2)}, {"gamma": 3}, {"distortion": (0, 1, 1)}, {"cut": -1}, {"soft": 2},
        {"class_push": 0}, {"class_side": 200},
    ],
)  # fmt: skip
def test_weights_that_make_no_sense(wrong):
    with pytest.raises(ValueError):
        settings(Path("m"), **wrong)


# --- training with it -----------------------------------------------------------------------------


@pytest.fixture
def codec(tmp_path) -> Trainer:
    return Trainer(settings(tmp_path / "m"), CPU)


def test_a_step_weighs_crops_and_whole_pictures_by_their_pixels(teacher, codec):
    chosen = replace(codec.settings, gamma=(0, 0, 0), class_push=None)
    weights = chosen.weights()
    step = Step(codec.model, codec.bottleneck, chosen, term(teacher, weights=weights))
    crops, whole = ((pictures(n, side, n) * 255).byte() for n, side in ((3, 32), (2, 64)))
    torch.manual_seed(0)
    losses = step(crops, whole, (0, 1))
    torch.manual_seed(0)
    parts = []
    for x in (crops.float() / 255, whole.float() / 255):
        parts.append(objective(forward(codec.model, codec.bottleneck, x), x, weights)[0].item())
    expected = (3 * 32**2 * parts[0] + 2 * 64**2 * parts[1]) / 11264
    assert float(losses.watched) == pytest.approx(expected, rel=1e-4)
    assert {"class_fine", "acc_fine", "psnr_fine", "bpp_coarse"} <= losses.measured.keys()
    torch.testing.assert_close(losses.total - losses.watched, codec.bottleneck.loss())


def test_a_push_is_capped_picture_by_picture(teacher, codec):
    """Shortened where it is longer than the distortion's own gradient, whose length is what
    autograd says it is.
    """
    weights, whole, labels = PRESETS["paper"], pictures(5, 64), (0, 1, 2, 3, None)
    class_term = term(teacher, weights=weights)
    with torch.no_grad():
        out = forward(codec.model, codec.bottleneck, whole)
    out = out._replace(fine=out.fine.requires_grad_(), second=out.second.requires_grad_())

    def lengths(loss: torch.Tensor) -> torch.Tensor:
        gradients = torch.autograd.grad(loss, (out.fine, out.second))
        return torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients], 1)

    pull = lengths(objective(out, whole, weights)[0])
    torch.testing.assert_close(distortion_pull(out, whole, weights), pull)
    free = lengths(class_term(out, whole, labels).loss)
    caps = pull * torch.tensor([0.01, 100.0])
    capped = lengths(class_term(out, whole, labels, caps).loss)
    torch.testing.assert_close(capped, torch.minimum(free, caps))
    assert (capped[:4, 0] < free[:4, 0]).any() and (capped[:, 1] == free[:, 1]).any()


@pytest.fixture
def given(tmp_path, monkeypatch, teacher) -> dict[str, object]:
    """Settings with this teacher and its hierarchy."""
    (tmp_path / "six.json").write_text(HIERARCHY.to_json())
    monkeypatch.setattr(trainer.Teacher, "load", lambda spec, device: teacher)
    return {"teachers": ("timm:linear@secret/path",), "hierarchy": str(tmp_path / "six.json")}


@pytest.fixture
def labelled(tmp_path) -> str:
    """Twelve pictures of two colours, 208 to 256 px, in folders named as the hierarchy's classes,
    as a tar file.
    """
    random, members = np.random.default_rng(0), []
    for number in range(12):
        base = np.array([(200, 60, 60), (60, 60, 200)][number % 2])
        noise = random.normal(0, 25, (208 + 4 * number, 256, 3))
        picture = Image.fromarray((base + noise).clip(0, 255).astype(np.uint8))
        wnid = HIERARCHY.classes[(0, 3)[number % 2]].wnid
        members.append((f"{wnid}/{number}.png", file_of(picture)))
    (tmp_path / "labelled.tar").write_bytes(tar_of(*members))
    return str(tmp_path / "labelled.tar")


@pytest.mark.parametrize("memory", [16.0, 1e-6], ids=["in memory", "streamed"])
def test_a_run_with_a_class_term(labelled, tmp_path, given, memory):
    out = tmp_path / "m.safetensors"
    more = {"class_from": 0.5, "memory_gb": memory, "class_batch": 3, "class_side": 208}
    last = train(settings(out, data=(labelled,), steps=8, buffer=5, **more, **given))
    with Path(f"{out}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class_fine"] != "" for row in rows] == [False, False, True, True]  # half way
    assert 0 <= last["acc_fine"] <= 1 and last["class_fine"] > 0
    assert last["bpp_coarse"] < last["bpp_inter"] < last["total"]
    recipe = Checkpoint.load(out).metadata["recipe"]
    assert "timm:linear" in recipe and "secret" not in recipe
    assert "3 whole pictures of 208 px" in recipe
    (position,) = read_state(out)["positions"]
    if memory > 1:
        assert position == [None, None]
    else:  # 40 crops to start from and 8 steps of 2; 4 steps of 3 whole pictures
        assert [12 * epoch + taken for epoch, taken in position] == [40 + 16, 12]


def test_images_too_small_for_the_class_term(tmp_path, given):
    Image.new("RGB", (150, 150)).save(tmp_path / "small.png")
    with pytest.raises(TrainingError, match="200 pixels"):
        train(settings(tmp_path / "m.safetensors", data=(str(tmp_path / "small.png"),), **given))


@pytest.mark.parametrize(("grouped", "counts"), [(True, [2, 3, SIX]), (False, [SIX, SIX, SIX])])
def test_groups_can_be_left_out(tmp_path, given, grouped, counts):
    """Then every level's clusters are the classes themselves."""
    chosen = settings(tmp_path / "m", grouped=grouped, **given)
    assert [level.count for level in trainer._class_term(chosen, CPU).levels] == counts
    assert ("ungrouped" in chosen.objective()) is not grouped
