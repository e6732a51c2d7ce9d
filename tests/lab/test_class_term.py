"""The class term: what it is made of, where its gradients go, and that it is trained and logged."""

import csv
import math
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

pytest.importorskip("compressai")

from progcodec.errors import ClassifierError, TrainingError
from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf
from progcodec.lab.train import trainer
from progcodec.lab.train.class_term import ClassTerm, Clusters
from progcodec.lab.train.loss import (
    PRESETS,
    Forward,
    LossWeights,
    cut_place,
    distortion_pull,
    forward,
    objective,
)
from progcodec.lab.train.step import Step
from progcodec.lab.train.teacher import Input, Teacher
from progcodec.lab.train.trainer import Trainer, train
from progcodec.network.checkpoint import Checkpoint
from tests.support.tiny_training import (  # noqa: F401
    PHOTOGRAPH,
    few_start_crops,
    read_state,
    settings,
)

HIERARCHY = Hierarchy(
    (
        (Cluster("a", None), Cluster("b", None)),
        (Cluster("aa", 0), Cluster("ab", 0), Cluster("bb", 1)),
    ),
    tuple(Leaf(f"class {i}", f"n{i:08d}", parent) for i, parent in enumerate((0, 0, 1, 2, 2, 2))),
)
SIX = len(HIERARCHY.classes)


class Linear(nn.Module):
    """Logits that are linear in the picture's mean colours over quarters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, SIX), nn.BatchNorm1d(SIX)
        )
        generator = torch.Generator().manual_seed(1)
        self.layer[2].weight.data = torch.randn(SIX, 12, generator=generator) * 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher("linear", Linear(), Input(32, 32, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5)))


def term(
    teacher: Teacher,
    soft: float = 0.0,
    smoothing: float = 0.0,
    weights: LossWeights = PRESETS["paper"],
) -> ClassTerm:
    return ClassTerm(teacher, HIERARCHY, weights, soft, smoothing)


def decoded(
    fine: torch.Tensor, second: torch.Tensor, kind: list[int], cut_bits: list[float]
) -> Forward:
    n = len(fine)
    hyper, blocks = (
        torch.full((n,), 10.0),
        (torch.full((n,), 90.0), torch.full((n,), 300.0), torch.full((n,), 1200.0)),
    )
    bits = torch.tensor(cut_bits)
    return Forward(hyper, blocks, fine, second, torch.tensor(kind), bits, bits)


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


def test_a_teacher_sees_a_picture_of_any_size(teacher):
    grey = torch.full((2, 3, 96, 80), 0.25)
    torch.testing.assert_close(teacher(grey), teacher(torch.full((2, 3, 32, 32), 0.25)))


def test_a_teacher_of_timm(tmp_path):
    timm = pytest.importorskip("timm")
    model = timm.create_model("mobilenetv2_050", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    spec = (
        "timm:mobilenetv2_050?num_classes=7&mean=0.5&std=0.25&input_size=96"
        f"@{tmp_path / 'weights.pth'}"
    )
    loaded = Teacher.load(spec, torch.device("cpu"))
    assert loaded.classes == 7 and loaded.size == (96, 96) and loaded.name == "timm:mobilenetv2_050"
    x = pictures(2, 96)
    torch.testing.assert_close(loaded(x), model.eval()((x - 0.5) / 0.25), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "spec", ["timm:no_such_net", "resnet50", "timm:mobilenetv2_050@nothing.pth"]
)
def test_no_teacher(spec):
    pytest.importorskip("timm")
    with pytest.raises(ClassifierError):
        Teacher.load(spec, torch.device("cpu"))


def test_the_real_teacher_knows_a_photograph():
    """The file of weights that PROGCODEC_TEACHER names, of timm's mobilenetv2_100, says something
    sure and stable.
    """
    file = os.environ.get("PROGCODEC_TEACHER")
    if not file:
        pytest.skip("name the weights of a mobilenetv2_100 in PROGCODEC_TEACHER")
    teacher = Teacher.load(
        f"timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5@{file}", torch.device("cpu")
    )
    with Image.open(PHOTOGRAPH) as image:
        pixels = np.asarray(image.convert("RGB").resize((224, 224)))
    with torch.no_grad():
        logits = teacher(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)
    classes = Hierarchy.load().classes
    assert classes[int(logits.argmax())].name in (
        "monastery",
        "palace",
        "boathouse",
        "bell cote",
        "stupa",
        "castle",
    )


# --- the term -------------------------------------------------------------------------------------


def test_clusters_sum_probabilities():
    log_classes = torch.log_softmax(
        torch.randn(5, SIX, generator=torch.Generator().manual_seed(0)) * 20, 1
    )
    for level in (0, 1):
        clusters = Clusters(HIERARCHY.assignments[level].tolist(), torch.device("cpu"))
        expected = HIERARCHY.aggregate(log_classes.double().exp().numpy(), level)
        np.testing.assert_allclose(
            clusters.log_probabilities(log_classes).exp(), expected, rtol=1e-5, atol=1e-12
        )
        smooth = clusters.smoothed(torch.tensor([3, 0]), 0.1)
        torch.testing.assert_close(smooth.sum(1), torch.ones(2))
        assert smooth.argmax(1).tolist() == [
            HIERARCHY.assignments[level][3],
            HIERARCHY.assignments[level][0],
        ]
        assert float(smooth.min()) == pytest.approx(0.1 / clusters.count)


def test_targets_are_label_prediction_or_both(teacher):
    clean, labels = pictures(3), (4, None, 0)
    hard, known = term(teacher).targets(clean, labels)
    assert known.tolist() == [True, False, True]
    for level, target in enumerate(hard):
        own = HIERARCHY.aggregate(np.eye(SIX), level)
        np.testing.assert_array_equal(target, [own[4], np.zeros(len(own[0])), own[0]])
    soft, known = term(teacher, soft=1.0).targets(clean, labels)
    mixed, _ = term(teacher, soft=0.7).targets(clean, labels)
    assert known.all()
    predicted = torch.softmax(teacher(clean), 1)
    for level, (target, both, one) in enumerate(zip(soft, mixed, hard, strict=True)):
        np.testing.assert_allclose(
            target, HIERARCHY.aggregate(predicted, level), rtol=1e-5, atol=1e-7
        )
        torch.testing.assert_close(both[[0, 2]], (0.7 * target + 0.3 * one)[[0, 2]])
        torch.testing.assert_close(both[1], target[1])  # no label: the prediction alone


def test_the_term_is_the_formula(teacher):
    """γ_k·CE_k of the fine level, and of the second decoding over its probability; from plain
    numpy.
    """
    fine, second, clean = pictures(4, 64, 1), pictures(4, 64, 2), pictures(4, 64, 3)
    labels, kind = (4, 1, 0, 2), [0, 1, 2, 2]
    weights = LossWeights((1e-4, 1e-3, 1e-2), (0.5, 1.0, 2.0))
    # level ends at 100, 400 and 1600 bits
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
    assert judged.losses[0].tolist() == pytest.approx(
        [ce(p_fine, 0, 2), ce(p_second, 0, 0)], rel=1e-4
    )
    group = HIERARCHY.aggregate(p_second, 1)[1].argmax()
    assert bool(judged.right[1, 1]) == (group == HIERARCHY.ancestors(1)[1])
    shares, shortfall = cut_place(out)
    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    assert shortfall.tolist() == pytest.approx(
        [math.log(0.5)] * 2 + [0.0, math.log(0.25)], abs=1e-6
    )


def test_pictures_without_a_target_count_nothing(teacher):
    out = decoded(pictures(2), pictures(2, seed=1), [0, 2], [50.0, 50.0])
    judged = term(teacher)(out, pictures(2, seed=2), (None, None))
    assert float(judged.loss) == 0 and not judged.known.any()


def test_a_hierarchy_that_does_not_fit(teacher):
    with pytest.raises(TrainingError, match="6 classes"):
        ClassTerm(teacher, Hierarchy.load(), PRESETS["paper"], 0.5, 0.1)


def test_presets_and_their_parts():
    assert PRESETS["paper"].distortion == (1e-4, 1e-3, 1e-2) and PRESETS["paper"].gamma == (
        0.5,
        1.0,
        2.0,
    )
    chosen = settings(Path("m"), preset="paper", gamma=(1, 1, 1), cut=0).weights()
    assert chosen == LossWeights((1e-4, 1e-3, 1e-2), (1, 1, 1), 0) and chosen.second_pass == (
        0.5,
        0.5,
        0.0,
    )
    low = settings(Path("m"), relief=0.5, second=(0.2, 0, 0.8), cut_range=(0.05, 0.2))
    assert low.weights().relief == 0.5
    assert low.weights().second_pass == (0.2, 0, 0.8)
    assert "from 0.05 to 0.2" in low.objective()
    wrong_draws = ({"relief": -1}, {"second": (0.5, 0.5, 0.5)}, {"second": (1, 0)}, {"second": (0,
        0, 1), "cut": 0},
                   {"cut_range": (0.2, 0.1)}, {"cut_range": (0.1,)})  # fmt: skip
    for wrong in (
        *wrong_draws,
        {"gamma": (1, 2)},
        {"gamma": 3},
        {"distortion": (0, 1, 1)},
        {"cut": -1},
        {"soft": 2},
        {"class_push": 0},
        {"class_side": 200},
    ):
        with pytest.raises(ValueError):
            settings(Path("m"), **wrong)


# --- training with it -----------------------------------------------------------------------------


def test_its_gradient_reaches_the_codec_alone(teacher, tmp_path):
    """The loss with the term, less the loss without, has a gradient in every part of the codec and
    none in the teacher.
    """
    trainer = Trainer(settings(tmp_path / "m"), torch.device("cpu"))
    class_term = term(teacher, soft=0.5)
    torch.manual_seed(0)
    whole = pictures(6)
    seen = forward(trainer.model, trainer.bottleneck, whole)
    class_term(seen, whole, (0, 1, 2, 3, 4, None)).loss.backward()
    for part in ("analysis", "synthesis", "mean_path"):
        assert (
            max(
                float(p.grad.abs().max())
                for p in getattr(trainer.model, part).parameters()
                if p.grad is not None
            )
            > 0
        )
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert trainer.bottleneck.quantiles.grad is None


def test_a_step_weighs_crops_and_whole_pictures_by_their_pixels(teacher, tmp_path):
    trainer = Trainer(settings(tmp_path / "m"), torch.device("cpu"))
    weights = LossWeights(gamma=(0, 0, 0))
    step = Step(trainer.model, trainer.bottleneck, weights, term(teacher, weights=weights))
    crops, whole = ((pictures(n, side, n) * 255).byte() for n, side in ((3, 32), (2, 64)))
    torch.manual_seed(0)
    losses = step(crops, whole, (0, 1))
    torch.manual_seed(0)
    parts = []
    for x in (crops, whole):
        x = x.float() / 255
        parts.append(objective(forward(trainer.model, trainer.bottleneck, x), x, weights)[0].item())
    assert float(losses.watched) == pytest.approx(
        (3 * 32**2 * parts[0] + 2 * 64**2 * parts[1]) / 11264, rel=1e-4
    )
    assert {"class_fine", "acc_fine", "psnr_fine", "bpp_coarse"} <= losses.measured.keys()
    torch.testing.assert_close(losses.total - losses.watched, trainer.bottleneck.loss())


def test_a_push_is_capped_picture_by_picture(teacher, tmp_path):
    """Shortened where it is longer than the distortion's own gradient, whose length is what
    autograd says it is.
    """
    trainer = Trainer(settings(tmp_path / "m"), torch.device("cpu"))
    weights, whole, labels = PRESETS["paper"], pictures(5, 64), (0, 1, 2, 3, None)
    class_term = term(teacher, weights=weights)
    with torch.no_grad():
        out = forward(trainer.model, trainer.bottleneck, whole)
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
def labelled(tmp_path) -> Path:
    """Twelve pictures of two colours, 208 to 256 px, in folders named as the hierarchy's classes,
    as a tar file.
    """
    random = np.random.default_rng(0)
    with tarfile.open(tmp_path / "labelled.tar", "w") as archive:
        for number in range(12):
            label = (0, 3)[number % 2]
            base = np.array([(200, 60, 60), (60, 60, 200)][number % 2])
            pixels = (
                (base + random.normal(0, 25, (208 + 4 * number, 256, 3)))
                .clip(0, 255)
                .astype(np.uint8)
            )
            path = tmp_path / f"{number}.png"
            Image.fromarray(pixels).save(path)
            archive.add(path, f"n{label:08d}/{number}.png")
    return tmp_path / "labelled.tar"


@pytest.mark.parametrize("memory", [16.0, 1e-6], ids=["in memory", "streamed"])
def test_a_run_with_a_class_term(labelled, tmp_path, monkeypatch, teacher, memory):
    (tmp_path / "six.json").write_text(HIERARCHY.to_json())
    monkeypatch.setattr(trainer.Teacher, "load", lambda spec, device: teacher)
    out = tmp_path / "m.safetensors"
    given = {
        "teacher": "timm:linear@secret/path",
        "hierarchy": str(tmp_path / "six.json"),
        "class_from": 0.5,
        "memory_gb": memory,
    }
    last = train(
        settings(
            out, data=(str(labelled),), steps=8, class_batch=3, class_side=208, buffer=5, **given
        )
    )
    with Path(f"{out}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # it joins half way
    assert [row["class_fine"] != "" for row in rows] == [
        False,
        False,
        True,
        True,
    ]
    assert 0 <= last["acc_fine"] <= 1
    assert last["class_fine"] > 0
    assert last["bpp_coarse"] < last["bpp_inter"] < last["total"]
    recipe = Checkpoint.load(out).metadata["recipe"]
    assert "timm:linear" in recipe
    assert "secret" not in recipe
    assert "3 whole pictures of 208 px" in recipe
    (position,) = read_state(out)["positions"]
    if memory > 1:
        assert position == [None, None]
    else:  # 40 crops to start from and 8 steps of 2; 4 steps of 3 whole pictures
        assert [12 * epoch + taken for epoch, taken in position] == [40 + 16, 12]


def test_images_too_small_for_the_class_term(tmp_path, monkeypatch, teacher):
    Image.new("RGB", (150, 150)).save(tmp_path / "small.png")
    (tmp_path / "six.json").write_text(HIERARCHY.to_json())
    monkeypatch.setattr(trainer.Teacher, "load", lambda spec, device: teacher)
    given = {
        "teacher": "timm:linear",
        "hierarchy": str(tmp_path / "six.json"),
        "data": (str(tmp_path / "small.png"),),
    }
    with pytest.raises(TrainingError, match="200 pixels"):
        train(settings(tmp_path / "m.safetensors", **given))


def test_groups_can_be_left_out(tmp_path, monkeypatch, teacher):
    """Then every level's clusters are the classes themselves."""
    (tmp_path / "six.json").write_text(HIERARCHY.to_json())
    monkeypatch.setattr(trainer.Teacher, "load", lambda spec, device: teacher)
    given = {"teacher": "timm:linear", "hierarchy": str(tmp_path / "six.json")}
    for grouped, counts in ((True, [2, 3, SIX]), (False, [SIX, SIX, SIX])):
        chosen = settings(tmp_path / "m", grouped=grouped, **given)
        class_term = trainer._class_term(chosen, torch.device("cpu"))
        assert [level.count for level in class_term.levels] == counts
        assert ("ungrouped" in chosen.objective()) is not grouped
