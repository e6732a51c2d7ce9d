"""Training runs: what they leave, how they go on and stop, what they refuse."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("compressai")

from progcodec.codec import Codec
from progcodec.config import ModelConfig
from progcodec.errors import TrainingError
from progcodec.network.checkpoint import Checkpoint
from progcodec.training import loop, loss
from progcodec.training.loop import COLUMNS, Trainer, export_state, train
from tests.command import errors, run
from tests.tiny_training import CROP, PHOTOGRAPH, TINY, few_start_crops, read_state, settings  # noqa: F401


def log(out: Path) -> list[dict[str, str]]:
    with Path(f"{out}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Path:
    """The checkpoint of a run of six steps; its state and log lie beside it. Tests must not change them."""
    out = tmp_path_factory.mktemp("short") / "short.safetensors"
    last = train(settings(out, description="one photograph"))
    assert set(last) <= set(COLUMNS) and last["step"] == 6
    return out


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_checkpoint_state_and_log(short, small_photograph):
    assert sorted(os.listdir(short.parent)) == [short.name, f"{short.name}.csv", f"{short.name}.state.pt"]
    checkpoint = Checkpoint.load(short)
    assert checkpoint.config == TINY and checkpoint.metadata["steps"] == "6" and checkpoint.metadata["images"] == "12"
    assert checkpoint.metadata["data"] == "one photograph" and "ImageNet" in checkpoint.metadata["licence"]
    codec = Codec.load(short, "cpu")
    data = codec.encode(small_photograph)
    assert codec.decode(data).size == small_photograph.size
    assert codec.decode(data[: len(data) // 2]).size == small_photograph.size


def test_log_has_the_documented_columns(short):
    rows = log(short)
    assert list(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    for row in rows:
        for name in COLUMNS:
            # A kind of prefix that no image of these few steps drew has no mean.
            drawn = name in ("psnr_coarse", "psnr_inter", "psnr_cut")
            assert (drawn and row[name] == "") or np.isfinite(float(row[name]))
        total = sum(float(row[name]) for name in ("hyper", "block1", "block2", "block3"))
        assert float(row["total"]) == pytest.approx(total, rel=1e-3)


def test_a_run_goes_on_from_its_state(short, tmp_path):
    out = tmp_path / "more.safetensors"
    train(settings(out, steps=4, resume=f"{short}.state.pt", config=ModelConfig()))
    state = read_state(out)
    assert state["step"] == 10 and state["images"] == 20 and state["minutes"] > read_state(short)["minutes"]
    assert state["config"] == TINY.to_dict()  # the state's model wins over the settings'
    assert [int(row["step"]) for row in log(out)] == [8, 10]
    assert Checkpoint.load(out).metadata["steps"] == "10"
    assert Checkpoint.load(out).fingerprint != Checkpoint.load(short).fingerprint


def test_the_command_resumes_its_own_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = ["width=16", "depth=1", "inner_width=24", "inner_depth=1", "blocks=(12,8,8)", "hyper_channels=8"]
    options = [part for size in [*sizes, "mean_width=16", "scale_width=16"] for part in ("--set", f"config.{size}")]
    base = ["train", "--data", PHOTOGRAPH, "--out", "m.safetensors", "--crop", CROP, "--batch", 2, "--device", "cpu"]
    assert run(*base, "--steps", 2, *options).stdout.startswith("wrote m.safetensors")
    run(*base, "--steps", 2, code=1)  # it exists
    run(*base, "--steps", 3, "--resume", "m.safetensors.state.pt")
    assert read_state(Path("m.safetensors"))["step"] == 5


def test_init_takes_the_averaged_weights_alone(short, tmp_path):
    state = read_state(short)
    fresh = Trainer(settings(tmp_path / "m", init=f"{short}.state.pt", config=ModelConfig()), torch.device("cpu"))
    assert fresh.step == fresh.images_seen == 0 and fresh.minutes_before == 0 and not fresh.fresh
    assert not any(optimizer.state for optimizer in fresh.optimizers)
    for name, value in fresh.both.state_dict().items():
        assert torch.equal(value, state["average"][name]) and torch.equal(value, fresh.average[name])
    out = tmp_path / "init.safetensors"
    train(settings(out, init=f"{short}.state.pt", steps=2))
    assert read_state(out)["step"] == 2 and read_state(out)["config"] == TINY.to_dict()


def test_export_writes_what_the_run_exported(short, tmp_path):
    for name, export in (
        ("a", lambda out: export_state(f"{short}.state.pt", out, "one photograph")),
        ("b", lambda out: run("export", f"{short}.state.pt", "-o", out, "--description", "one photograph")),
    ):
        out = str(tmp_path / f"{name}.safetensors")
        export(out)
        again, first = Checkpoint.load(out), Checkpoint.load(short)
        assert again.fingerprint == first.fingerprint and again.config == first.config
        assert {k: again.metadata[k] for k in ("steps", "images", "minutes", "data", "licence")} == {
            k: first.metadata[k] for k in ("steps", "images", "minutes", "data", "licence")
        }
    assert len(os.listdir(tmp_path)) == 2  # an export changes no state and writes no log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_and_saves_it(tmp_path, monkeypatch, number):
    out, before = tmp_path / "m.safetensors", signal.getsignal(number)
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), number)
        return loss.objective(*arguments)

    monkeypatch.setattr(loop, "objective", interrupted)
    train(settings(out, steps=1000))
    assert read_state(out)["step"] == len(calls) == 3 and Checkpoint.load(out).metadata["steps"] == "3"
    assert signal.getsignal(number) is before


def test_a_loss_that_stays_infinite_ends_the_run(tmp_path, monkeypatch):
    def broken(*arguments):
        value, parts = loss.objective(*arguments)
        return value * float("nan"), parts

    monkeypatch.setattr(loop, "objective", broken)
    with pytest.raises(TrainingError, match="loss"):
        train(settings(tmp_path / "m.safetensors", steps=1000))


@pytest.mark.parametrize("wrong", [{"steps": None}, {"crop": 70}, {"crop": 0}, {"preset": "best"}])
def test_settings_that_make_no_sense(tmp_path, wrong):
    with pytest.raises(ValueError):
        settings(tmp_path / "m", **wrong)


def test_a_state_that_is_none(short, tmp_path):
    state = read_state(short)
    bad = tmp_path / "bad.pt"

    def refusal() -> str:
        for kind in ("resume", "init"):
            with pytest.raises(TrainingError) as caught:
                train(settings(tmp_path / "m.safetensors", **{kind: str(bad)}))
        assert "\n" not in str(caught.value) and "bad.pt" in str(caught.value)
        return str(caught.value)

    assert "no such" in refusal()
    for content in (b"", b"nonsense", Path(f"{short}.state.pt").read_bytes()[:2000], short.read_bytes()):
        bad.write_bytes(content)
        assert "not a training state" in refusal()
    for other in ({}, [1, 2], {"config": state["config"]}, {k: v for k, v in state.items() if k != "average"}, object):
        torch.save(other, bad)
        assert "not a training state" in refusal()
    lacking = {k: v for k, v in state["weights"].items() if not k.endswith("spread")}
    for change in ({"config": {"width": "wide"}}, {"config": {**TINY.to_dict(), "width": 24}},
                   {"weights": lacking, "average": lacking}):  # fmt: skip
        torch.save({**state, **change}, bad)
        assert "does not fit" in refusal()
    (line,) = errors(run("export", bad, "-o", tmp_path / "m.safetensors", code=1))
    assert "does not fit" in line
    assert os.listdir(tmp_path) == ["bad.pt"]


def test_init_from_a_checkpoint(tiny_checkpoint, tmp_path):
    """Weights come back from half precision and integers; freezing them again gives nearly the same integers."""
    from progcodec.network.checkpoint import Checkpoint, freeze

    checkpoint = Checkpoint.load(tiny_checkpoint)
    trainer = Trainer(settings(tmp_path / "m.safetensors", init=str(tiny_checkpoint)), torch.device("cpu"))
    assert not trainer.fresh and trainer.config == checkpoint.config
    medians = trainer.bottleneck.quantiles[:, 0, 1].detach()
    torch.testing.assert_close(medians, checkpoint.tensors["tables.hyper_medians"])
    for name, tensor in freeze(trainer.model).items():
        stored = checkpoint.tensors[name]
        if stored.is_floating_point():
            assert torch.equal(tensor, stored), name
        elif name.endswith(".weight"):
            assert int((tensor.int() - stored.int()).abs().max()) <= 1, name
    with pytest.raises(TrainingError, match="no training state"):
        Trainer(settings(tmp_path / "m.safetensors", resume=str(tiny_checkpoint)), torch.device("cpu"))
