"""Ablations: what each variant switches, the runs, and the table of differences."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("compressai")

from progcodec.codec.codec import Codec
from progcodec.config import ModelConfig
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train import differentiable, loss
from progcodec.lab.train.ablation import run as module
from progcodec.lab.train.ablation.measure import Measured
from progcodec.lab.train.ablation.run import AblationSettings, ablate, plan
from progcodec.lab.train.ablation.table import (
    BD,
    END_RATE,
    as_csv,
    as_markdown,
    differences,
)
from progcodec.lab.train.ablation.variants import BASE, VARIANTS, chosen
from progcodec.lab.train.class_term import load_groups
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.trainer import Trainer, train
from progcodec.network.model import Model
from tests.support.command import run
from tests.support.tiny_training import (  # noqa: F401
    CROP,
    PHOTOGRAPH,
    TINY,
    few_start_crops,
    settings,
)

TRAIN = {"crop": CROP, "batch": 2, "warmup": 2, "log_steps": 2}
SCRATCH = "base (from nothing)"


@pytest.fixture(scope="module")
def held_out(tmp_path_factory, photograph) -> Path:
    """Three pictures of 64 × 48 pixels, two of them with a class."""
    root = tmp_path_factory.mktemp("held-out")
    for n, name in enumerate(("n01440764", "n01443537", "unlabelled")):
        (root / name).mkdir()
        photograph.crop((100 * n, 50, 100 * n + 64, 98)).save(root / name / f"{n}.png")
    return root


def asked(held_out: Path, out: Path, **more: object) -> AblationSettings:
    given = {"steps": 2, "config": TINY, "train": TRAIN, "device": "cpu", **more}
    return AblationSettings(data=(PHOTOGRAPH,), val=(str(held_out),), out=str(out), **given)


def run_quietly(given: AblationSettings):
    return ablate(given, say=lambda line: None)


@pytest.fixture
def trainer(tmp_path) -> Trainer:
    return Trainer(settings(tmp_path / "new.safetensors"), torch.device("cpu"))


@pytest.fixture
def crops() -> torch.Tensor:
    with Image.open(PHOTOGRAPH) as image:
        pixels = np.asarray(image.convert("RGB"))[100:164, 50:114]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def test_without_delta_a_block_still_has_what_refines_it():
    with_delta, without = (Model(replace(TINY, delta=delta)) for delta in (True, False))
    left, all_of = ({n for n, _ in model.named_parameters()} for model in (without, with_delta))
    assert left < all_of
    assert all("path.delta." in name and ".skip." not in name for name in all_of - left)
    assert any(name.startswith("mean_path.delta.0.skip") for name in left)
    features = torch.randint(0, 255, (1, TINY.scale_width, 4, 4)).float()
    earlier = [torch.full((1, TINY.offsets[1], 4, 4), value) for value in (0.0, 100.0)]
    with torch.no_grad():
        for model, same in ((without, True), (with_delta, False)):
            indexes = [model.scale_path.index(1, features, q) for q in earlier]
            assert torch.equal(*indexes) is same


def test_zero_missing_drops_the_means_too(trainer, crops):
    """Coarse alone: what is missing of ŷ is 0, and synthesis sees just that."""
    seen = []
    model = trainer.model
    model.synthesis.register_forward_hook(lambda _, given, __: seen.append(given[0].detach()))
    for prefixes in (differentiable.AS_SENT, differentiable.Prefixes(zero_missing=True)):
        torch.manual_seed(0)
        differentiable.forward(model, trainer.bottleneck, crops, (1.0, 0.0, 0.0), prefixes)
    first = TINY.level_offsets[1]
    means, zeros = seen[1], seen[3]
    assert torch.equal(means[:, :first], zeros[:, :first])
    assert bool(means[:, first:].any())
    assert not zeros[:, first:].any()


def test_raster_cuts_come_in_raster_order():
    generator = torch.Generator().manual_seed(0)
    indexes = torch.randint(0, 64, (8, 6, 3, 3), generator=generator).float()
    bits = torch.rand(8, 6, 3, 3, generator=generator) + 0.1
    kind, hyper = torch.full((8,), 2), torch.full((8,), 2.0)
    none = torch.empty(0)
    coded = differentiable.Coded(hyper, none, none, none, bits, indexes, none, none)
    config = replace(TINY, blocks=(2, 2, 1, 1))
    budget = differentiable._budget(coded, kind, 1, None)
    mask = differentiable._received(coded, config, kind, budget, True)
    flat = mask.reshape(8, -1)
    counts = flat.sum(1)
    # a prefix in raster order
    assert all(bool(row[:count].all()) for row, count in zip(flat, counts, strict=True))
    spent = (bits.reshape(8, -1) * flat).sum(1) + hyper
    assert bool((spent <= budget + 1e-4)[counts > 0].all()) and 0 < int(counts.sum()) < flat.numel()


def test_one_level_is_rate_and_distortion_alone(trainer, crops):
    weights = replace(loss.PRESETS["shipped"], progressive=False)
    out = differentiable.forward(trainer.model, trainer.bottleneck, crops, weights.second_pass)
    value, _ = loss.objective(out, crops, weights)
    bits = (out.hyper_bits + sum(out.block_bits)) / crops[0, 0].numel()
    expected = bits + weights.distortion[-1] * 255**2 * (out.fine - crops).square().mean()
    assert torch.allclose(value, expected.mean())
    with pytest.raises(ValueError, match="without a class term"):
        TrainSettings(data=(), out="", steps=1, progressive=False, teachers=("timm:resnet10t",))


def test_groups_of_a_file_are_checked(tmp_path):
    hierarchy = Hierarchy.load()
    good = hierarchy.assignments
    np.save(tmp_path / "good.npy", good)
    assert np.array_equal(load_groups(str(tmp_path / "good.npy"), hierarchy), good)
    for name, groups in (("shape", good[:, 1:]), ("float", good.astype(float)), ("gap", good * 2)):
        np.save(tmp_path / f"{name}.npy", groups)
        with pytest.raises(TrainingError, match=name):
            load_groups(str(tmp_path / f"{name}.npy"), hierarchy)
    with pytest.raises(TrainingError, match="no group numbers"):
        load_groups(str(tmp_path / "none.npy"), hierarchy)


def test_every_variant_is_a_valid_run():
    for variant in VARIANTS.values():
        teachers = ("timm:resnet10t",) if variant.teacher else ()
        TrainSettings(data=(), out="", steps=1, teachers=teachers, **variant.train)
        assert sum(ModelConfig(**variant.config).blocks) == 320 and variant.against in VARIANTS


def test_what_is_chosen_comes_with_what_it_is_compared_with():
    names, left_out = chosen((), False, False)
    assert set(left_out) == {"class-term", "flat-groups"}
    assert set(names) == set(VARIANTS) - set(left_out)
    assert list(chosen(("flat-groups",), True, True)[0]) == [BASE, "class-term", "flat-groups"]
    for only, teacher, message in (
        ("nonsense", True, "nonsense"),
        ("class-term", False, "a teacher"),
        ("flat-groups", True, "embeddings"),
    ):
        with pytest.raises(TrainingError, match=message):
            chosen((only,), teacher, False)


def test_given_weights_start_what_has_their_shape_only(tmp_path, tiny_checkpoint):
    config = Codec.load(tiny_checkpoint, "cpu").config
    given = asked(tmp_path, tmp_path, base_init=str(tiny_checkpoint), config=config)
    jobs, against = plan(given, chosen(("no-cut", "no-delta", "one-level"), False, False)[0], None)
    started = {job.name: bool(job.settings.init) for job in jobs}
    assert list(started) == [BASE, SCRATCH, "no-delta", "no-cut", "one-level"]
    assert [name for name, given in started.items() if given] == [BASE, "no-cut"]
    assert against == {"no-delta": SCRATCH, "no-cut": BASE, "one-level": SCRATCH}


def test_runs_are_measured_once_and_kept(held_out, tmp_path, monkeypatch):
    only = ("no-delta", "raster-coder", "zero-masked-decoder")
    given = asked(held_out, tmp_path / "runs", only=only)
    found = run_quietly(given)
    models = sorted((tmp_path / "runs").glob("*/model.safetensors"))
    # base and no-delta, two seeds each
    assert len(models) == 4 and not list((tmp_path / "runs").glob("*/*.state.pt"))
    assert not Codec.load(next(m for m in models if "no-delta" in str(m)), "cpu").config.delta
    assert {row.variant for row in found} == set(only)
    assert all(len(row.by_seed) == 2 and row.noise is not None for row in found)
    by_name = {(row.variant, row.measure): row.by_seed for row in found}
    # the order of whole segments changes nothing, nor does what a decoder puts where all is there
    for name in only[1:]:
        for measure in ("PSNR at the fine end", "bits at the fine end"):
            assert by_name[name, measure] == (0.0, 0.0)
    text = (tmp_path / "runs" / "ablations.md").read_text()
    assert "2 steps" in text and "no Δ-networks" in text and "What “base” itself reaches" in text
    for name in ("train", "measure"):
        monkeypatch.setattr(module, name, lambda *_, name=name: pytest.fail(f"{name} again"))
    assert run_quietly(given) == found
    # other settings are other runs
    with pytest.raises(pytest.fail.Exception, match="train again"):
        run_quietly(replace(given, steps=3))


def test_a_run_that_broke_off_goes_on(held_out, tmp_path, monkeypatch):
    given = asked(held_out, tmp_path, only=(BASE,), seeds=(0,), steps=6)
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", lambda s: train(replace(s, steps=2)))
        with pytest.raises(KeyboardInterrupt):
            run_quietly(given)
    assert list(tmp_path.glob("*/running.safetensors.state.pt"))
    run_quietly(given)
    model = next(tmp_path.glob("*/model.safetensors"))
    assert Codec.load(model, "cpu").metadata["steps"] == "6"


def measured(shift: float, rate: float = 1.0, hit: float = 0.5) -> Measured:
    cuts = [(rate * 0.1 * 2**n, 24 + 2 * n + shift) for n in range(5)]
    return Measured(cuts, cuts[2:], {"judge, coarse at its end": hit})


def test_differences_are_paired_by_seed_and_told_from_noise(tmp_path):
    results = {
        BASE: [measured(0), measured(0.1)],
        "no-cut": [measured(0, rate=1.1), measured(0.1, rate=1.12)],
        "raster": [measured(0.02, hit=0.6), measured(0.05, hit=0.4)],
        "one-level": [measured(-1), measured(-0.9)],
    }
    against = dict.fromkeys(("no-cut", "raster", "one-level"), BASE)
    found = differences(results, VARIANTS, against)
    by_name = {(row.variant, row.measure): row for row in found}
    slower = by_name["no-cut", BD]
    assert slower.by_seed == pytest.approx((10, 12)) and slower.within_noise is False
    assert by_name["raster", "PSNR at the fine end"].within_noise is True
    accuracy = by_name["raster", "accuracy, judge, coarse at its end"]
    assert accuracy.by_seed == pytest.approx((10, -10))
    rate = by_name["one-level", END_RATE]
    assert rate.by_seed == pytest.approx((2**0.5 * 100 - 100,) * 2, rel=1e-2)
    single = {name: rows[:1] for name, rows in results.items()}
    assert differences(single, VARIANTS, against)[0].within_noise is None

    text = as_markdown(found, results, VARIANTS, against, "6 steps")
    assert "**+11.0** (+10.0, +12.0)" in text and "6 steps" in text
    text = as_csv(found, VARIANTS, against)
    lines = csv.DictReader(io.StringIO(text, newline=""))
    rows = {(row["variant"], row["measure"]): row for row in lines}
    assert len(rows) == len(found) and rows["no-cut", BD]["mean difference"] == "+11.0000"
    assert rows["no-cut", BD]["within noise"] == "no"
    assert rows["raster", "PSNR at the fine end"]["within noise"] == "yes"


def test_the_command(held_out, tmp_path):
    assert "split-128-96-96" in run("ablate", "--list").output
    line = ["ablate", "--val", held_out, "-o", tmp_path / "runs"]
    plain = ["--data", PHOTOGRAPH, "--device", "cpu"]
    assert "--steps or --minutes" in run(*line, *plain, code=2).output
    line += ["--steps", 1]
    shape = {f"config.{name}": value for name, value in TINY.to_dict().items()}
    pairs = [f"{name}={value}" for name, value in {**TRAIN, **shape}.items()]
    options = [part for pair in pairs for part in ("--set", pair)]
    done = run(*line, *plain, "--seeds", 0, "--only", "no-cut", *options)
    assert "no random cuts" in done.output
    assert "nonsense" in run(*line, *plain, "--only", "nonsense", code=1).output
    run(*line, *plain, "--small", "--base-init", "lite", code=2)
