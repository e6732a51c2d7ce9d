"""Training runs: what they leave, how they go on and stop, what they refuse."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("compressai")

from progcodec.bitstream.description import info
from progcodec.codec.codec import Codec
from progcodec.config import ModelConfig
from progcodec.errors import TrainingError
from progcodec.lab.commands.options import typed
from progcodec.lab.train import differentiable, loss, step
from progcodec.lab.train import log as log_module
from progcodec.lab.train.export import freeze
from progcodec.lab.train.log import COLUMNS
from progcodec.lab.train.loop import flushed_denormals
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.trainer import Trainer, export_state, train
from progcodec.network.checkpoint import Checkpoint
from tests.support.command import STREAM, errors, run
from tests.support.tiny_training import CROP, PHOTOGRAPH, TINY, options_of, read_state, settings

CPU = torch.device("cpu")


def log(out: Path) -> list[dict[str, str]]:
    with Path(f"{out}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Path:
    """The checkpoint of a run of six steps; its state and log lie beside it.

    Tests must not change them.
    """
    out = tmp_path_factory.mktemp("short") / "short.safetensors"
    last = train(settings(out, description="one photograph"))
    assert set(last) <= set(COLUMNS) and last["step"] == 6
    return out


@pytest.fixture
def at_step(monkeypatch):
    """Does something at a step, and keeps the arguments of all."""

    def patched(number: int, action) -> list:
        calls = []

        def objective(*arguments):
            calls.append(arguments)
            if len(calls) == number:
                action()
            return loss.objective(*arguments)

        monkeypatch.setattr(step, "objective", objective)
        return calls

    return patched


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_leaves_checkpoint_state_and_log(short, small_photograph):
    names = [short.name, f"{short.name}.csv", f"{short.name}.state.pt"]
    assert sorted(os.listdir(short.parent)) == names
    checkpoint = Checkpoint.load(short)
    told = checkpoint.metadata
    assert (told["steps"], told["images"], told["data"]) == ("6", "12", "one photograph")
    assert checkpoint.config == TINY and "ImageNet" in told["licence"]
    codec = Codec.load(short, "cpu")
    data = codec.encode(small_photograph)
    for part in (data, data[: len(data) // 2]):
        assert codec.decode(part).size == small_photograph.size
    # denormal numbers are flushed in training alone: else the whole process counted them as 0
    assert float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) != 0.0
    with flushed_denormals():
        assert float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) == 0.0


def test_log_has_the_documented_columns(short):
    rows = log(short)
    assert list(rows[0]) == COLUMNS and [int(row["step"]) for row in rows] == [2, 4, 6]
    # no image drew that kind of prefix, there was no class term, there is no GPU
    sometimes = {n for n in COLUMNS if n.startswith(("psnr_", "class_", "acc_", "gpu_gb"))}
    sometimes.remove("psnr_fine")
    for row in rows:
        for name in COLUMNS:
            assert (name in sometimes and row[name] == "") or np.isfinite(float(row[name]))
        assert row["acc_fine"] == row["gpu_gb"] == ""
        total = sum(float(row[name]) for name in ("hyper", "block1", "block2", "block3"))
        assert float(row["total"]) == pytest.approx(total, rel=1e-3)


def test_a_log_of_an_earlier_version_goes_on(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss,gone\n1,0.5,7\n")
    log_module.append(path, COLUMNS, {"step": 2, "loss": 0.25, "gpu_gb": 1.0})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    found = [(row["step"], row["loss"], row["gpu_gb"]) for row in rows]
    assert found == [("1", "0.5", ""), ("2", "0.25", "1")]


def test_a_run_goes_on_from_its_state(short, tmp_path):
    out = tmp_path / "more.safetensors"
    train(settings(out, steps=4, resume=f"{short}.state.pt", config=ModelConfig()))
    state = read_state(out)
    assert (state["step"], state["images"]) == (10, 20)
    assert state["minutes"] > read_state(short)["minutes"]
    assert state["config"] == TINY.to_dict()  # the state's model wins over the settings'
    assert [int(row["step"]) for row in log(out)] == [8, 10]
    assert Checkpoint.load(out).metadata["steps"] == "10"
    assert Checkpoint.load(out).fingerprint != Checkpoint.load(short).fingerprint


def test_the_command_resumes_its_own_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["train", "--out", "m.safetensors", *options_of()]
    assert run(*line, "--steps", 2).stdout.startswith("wrote m.safetensors")
    run(*line, "--steps", 2, code=1)  # it exists
    run(*line, "--steps", 3, "--resume", "m.safetensors.state.pt")
    assert read_state(Path("m.safetensors"))["step"] == 5


@pytest.mark.slow
def test_a_run_that_is_finished_is_the_run_uninterrupted(tmp_path, at_step):
    """The same weights, to the bit: crops, noise, learning rates and momenta go on from the
    step.
    """
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    train(settings(whole, steps=8, warmup=3))
    at_step(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(settings(cut, steps=8, warmup=3))
    assert read_state(cut)["step"] == 5
    train(settings(cut, steps=8, warmup=3, resume=f"{cut}.state.pt", finish=True))
    one, other = read_state(whole), read_state(cut)
    for part in ("weights", "average"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])
    assert one["step"] == other["step"] == 8 and one["recipe"] == other["recipe"]
    assert Checkpoint.load(whole).fingerprint == Checkpoint.load(cut).fingerprint
    # without finish: a stage of its own
    train(settings(cut, steps=2, warmup=3, resume=f"{cut}.state.pt"))
    assert [entry.split(",")[0] for entry in read_state(cut)["recipe"]] == ["8 steps", "2 steps"]
    with pytest.raises(ValueError, match="resumed"):
        settings(cut, finish=True)


@pytest.mark.slow
def test_compiled_networks_train_the_same(tmp_path, monkeypatch):
    """Traced as the compiler would see them, without the wait for a compiler; names in the state
    stay the same.
    """
    monkeypatch.setattr(step, "COMPILER", "aot_eager")
    plain, compiled = tmp_path / "plain.safetensors", tmp_path / "compiled.safetensors"
    train(settings(plain, steps=3))
    train(settings(compiled, steps=3, compile=True))
    one, other = read_state(plain)["weights"], read_state(compiled)["weights"]
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_a_compiler_that_fails_is_one_line(tmp_path, monkeypatch):
    from torch._inductor.exc import InductorError

    def broken(graph, inputs):
        raise InductorError(RuntimeError("no compiler"), None)

    monkeypatch.setattr(step, "COMPILER", broken)
    torch.compiler.reset()
    with pytest.raises(TrainingError, match="torch.compile failed"):
        train(settings(tmp_path / "m.safetensors", compile=True))
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_run_on_a_gpu(tmp_path):
    out = tmp_path / "m.safetensors"
    last = train(settings(out, device="cuda", steps=4, compile=True, accumulate=2))
    assert 0 < last["gpu_gb"] < 10 and np.isfinite(last["loss"])
    train(settings(out, device="cuda", steps=6, resume=f"{out}.state.pt", finish=True))
    assert read_state(out)["step"] == 6 and Checkpoint.load(out).metadata["steps"] == "6"


def test_coded_latents_are_what_the_forward_decodes(tmp_path):
    trainer = Trainer(settings(tmp_path / "m"), CPU)
    x = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.manual_seed(1)
        coded = differentiable.code(
            trainer.model, trainer.bottleneck, trainer.model.analysis(x).float()
        )
        torch.manual_seed(1)
        out = differentiable.forward(trainer.model, trainer.bottleneck, x)
        torch.testing.assert_close(trainer.model.synthesis(coded.hat), out.fine)
    assert torch.equal(coded.symbols, coded.symbols.round()) and coded.indexes.max() <= 63
    per_block = differentiable.block_bits(coded, TINY)
    torch.testing.assert_close(sum(per_block), coded.bits.sum((1, 2, 3)))
    for mine, theirs in zip(per_block, out.block_bits, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_synthesis_alone_keeps_streams(short, small_photograph, tmp_path):
    """Symbols, rates and what predicts them stay; the picture changes."""
    out = tmp_path / "m.safetensors"
    train(settings(out, init=f"{short}.state.pt", synthesis_only=True, steps=3))
    codecs = [Codec.load(path, "cpu") for path in (short, out)]
    streams = [codec.encode(small_photograph) for codec in codecs]
    start = info(streams[0]).header_bytes
    # the model's name differs
    assert streams[0][start:] == streams[1][start:] and streams[0] != streams[1]
    pictures = [np.asarray(codec.decode(data)) for codec, data in zip(codecs, streams, strict=True)]
    assert not np.array_equal(*pictures)
    assert "g_s alone" in Checkpoint.load(out).metadata["recipe"]


def test_export_writes_what_the_run_exported(short, tmp_path):
    state, about = f"{short}.state.pt", "one photograph"
    first, kept = Checkpoint.load(short), ("steps", "images", "minutes", "data", "licence")
    for name in ("a.safetensors", "b.safetensors"):
        out = str(tmp_path / name)
        if name.startswith("a"):
            export_state(state, out, about)
        else:
            run("export", state, "-o", out, "--description", about)
        again = Checkpoint.load(out)
        assert again.fingerprint == first.fingerprint and again.config == first.config
        assert [again.metadata[key] for key in kept] == [first.metadata[key] for key in kept]
    assert len(os.listdir(tmp_path)) == 2  # an export changes no state and writes no log
    (tmp_path / "a.shc").write_bytes(STREAM)
    (line,) = errors(run("export", tmp_path / "a.shc", "-o", tmp_path / "m.safetensors", code=1))
    assert "not a training state" in line
    (line,) = errors(run("export", state, "-o", tmp_path / "a.shc", code=1))
    assert "--force" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_and_saves_it(tmp_path, at_step, number):
    out, before = tmp_path / "m.safetensors", signal.getsignal(number)
    calls = at_step(3, lambda: os.kill(os.getpid(), number))
    train(settings(out, steps=1000))
    assert read_state(out)["step"] == len(calls) == 3
    assert Checkpoint.load(out).metadata["steps"] == "3" and signal.getsignal(number) is before


def test_a_loss_that_stays_infinite_ends_the_run(tmp_path, monkeypatch):
    def broken(*arguments):
        value, parts = loss.objective(*arguments)
        return value * float("nan"), parts

    monkeypatch.setattr(step, "objective", broken)
    with pytest.raises(TrainingError, match="loss"):
        train(settings(tmp_path / "m.safetensors", steps=1000))


# --- where a run begins ---------------------------------------------------------------------------


def test_init_takes_the_averaged_weights_alone(short, tmp_path):
    averaged = read_state(short)["average"]
    start = settings(tmp_path / "m", init=f"{short}.state.pt", config=ModelConfig())
    fresh = Trainer(start, CPU)
    assert fresh.step == fresh.images_seen == 0 and fresh.minutes_before == 0 and not fresh.fresh
    assert not any(optimizer.state for optimizer in fresh.optimizers)
    for name, value in fresh.weights.state_dict().items():
        assert torch.equal(value, averaged[name]) and torch.equal(value, fresh.average[name])


def test_init_from_a_checkpoint(tiny_checkpoint, tmp_path):
    """Weights come back from half precision and integers; freezing them again gives nearly the same
    integers. A checkpoint keeps no densities: fitted ones start cheaper than a bottleneck's own,
    far too wide.
    """
    checkpoint, out = Checkpoint.load(tiny_checkpoint), tmp_path / "m.safetensors"
    trainer = Trainer(settings(out, init=str(tiny_checkpoint)), CPU)
    assert not trainer.fresh and trainer.config == checkpoint.config
    medians = trainer.bottleneck.quantiles[:, 0, 1].detach()
    torch.testing.assert_close(medians, checkpoint.tensors["tables.hyper_medians"])
    for name, tensor in freeze(trainer.model).items():
        stored = checkpoint.tensors[name]
        if stored.is_floating_point():
            assert torch.equal(tensor, stored), name
        elif name.endswith(".weight"):
            assert int((tensor.int() - stored.int()).abs().max()) <= 1, name

    crops = np.random.default_rng(0).integers(0, 256, (8, 3, CROP, CROP), np.uint8)
    x = torch.from_numpy(crops)

    def hyper_bits() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            out = differentiable.forward(trainer.model, trainer.bottleneck, x.float() / 255)
        return float(out.hyper_bits.mean())

    wide = hyper_bits()
    assert trainer.untrained_densities
    trainer.fit_densities(x)
    assert hyper_bits() < 0.9 * wide
    weights = trainer.weights.state_dict()
    assert all(torch.equal(trainer.average[name], value) for name, value in weights.items())
    train(settings(out, init=str(tiny_checkpoint), steps=2))
    recipe = Checkpoint.load(out).metadata["recipe"]
    assert recipe.startswith(f"from {checkpoint.fingerprint.hex()} (") and "; then 2 st" in recipe
    with pytest.raises(TrainingError, match="no training state"):
        Trainer(settings(out, resume=str(tiny_checkpoint)), CPU)


def test_a_state_that_is_none(short, tmp_path):
    state, bad = read_state(short), tmp_path / "bad.pt"

    def refusal() -> str:
        for kind in ("resume", "init"):
            with pytest.raises(TrainingError) as caught:
                train(settings(tmp_path / "m.safetensors", **{kind: str(bad)}))
        assert "\n" not in str(caught.value) and "bad.pt" in str(caught.value)
        return str(caught.value)

    assert "no such" in refusal()
    torn = Path(f"{short}.state.pt").read_bytes()[:2000]
    for content in (b"", b"nonsense", torn, short.read_bytes()):
        bad.write_bytes(content)
        assert "not a training state" in refusal()
    without = {name: value for name, value in state.items() if name != "average"}
    for other in ({}, [1, 2], without, object):
        torch.save(other, bad)
        assert "not a training state" in refusal()
    lacking = {k: v for k, v in state["weights"].items() if not k.endswith("spread")}
    for change in ({"config": {"width": "wide"}}, {"config": {**TINY.to_dict(), "width": 24}},
                   {"weights": lacking, "average": lacking}):  # fmt: skip
        torch.save({**state, **change}, bad)
        assert "does not fit" in refusal()
    assert os.listdir(tmp_path) == ["bad.pt"]


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": None}, {"crop": 70}, {"crop": 0}, {"preset": "best"}, {"synthesis_only": True},
        {"groups": "g.npy", "grouped": False},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(tmp_path, wrong):
    with pytest.raises(ValueError):
        settings(tmp_path / "m", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "--finish", "--preset best", "--seed -1", "--set gamma=(1,2)", "--set accumulate=0",
        "--set bfloat16=maybe",
    ],
)  # fmt: skip
def test_options_that_make_no_sense(tmp_path, wrong):
    line = ["train", "--data", PHOTOGRAPH, "--out", tmp_path / "m.safetensors", "--steps", 1]
    run(*line, *wrong.split(), code=2)
    assert not os.listdir(tmp_path)


def test_settings_are_typed():
    given = typed({"lr": "0.5", "config.width": "32", "preset": "shipped"}, TrainSettings)
    assert given["lr"] == 0.5 and given["preset"] == "shipped" and given["config"].width == 32
    for unknown in ("nonsense", "data", "config.nonsense"):
        with pytest.raises(ValueError, match="nonsense|data"):
            typed({unknown: "1"}, TrainSettings)
