"""Several processes, and several passes a step, make the run that one of the same crops
would make.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("compressai")

import progcodec
from progcodec.lab.train.trainer import train
from tests.support.command import run
from tests.support.tiny_training import CROP, PHOTOGRAPH, TINY_OPTIONS, read_state, settings


def torchrun(processes: int, *arguments: object) -> subprocess.CompletedProcess:
    """``python -m progcodec`` in so many gloo processes on this machine."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(progcodec.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    env = {
        name: value
        for name, value in env.items()
        if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    }
    whole = [*command, "-m", "progcodec", *map(str, arguments)]
    return subprocess.run(whole, check=False, env=env, capture_output=True, text=True, timeout=1200)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """A run of six steps in two processes, from the command line."""
    out = tmp_path_factory.mktemp("two") / "two.safetensors"
    options = [
        "--crop",
        CROP,
        "--batch",
        2,
        "--steps",
        6,
        "--device",
        "cpu",
        "--set",
        "log_steps=2",
    ]
    done = torchrun(2, "train", "--data", PHOTOGRAPH, "--out", out, *options, *TINY_OPTIONS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1 and "images_per_s" in done.stdout
    return out


def losses(out: Path) -> np.ndarray:
    return np.genfromtxt(f"{out}.csv", delimiter=",", names=True)["loss"]


@pytest.mark.slow
def test_two_processes_are_one_with_two_passes(two, tmp_path):
    """The same crops and noise: equal but for the order in which gradients are summed."""
    one = tmp_path / "one.safetensors"
    options = [
        "--crop",
        CROP,
        "--batch",
        2,
        "--steps",
        6,
        "--device",
        "cpu",
        "--set",
        "log_steps=2",
    ]
    run(
        "train",
        "--data",
        PHOTOGRAPH,
        "--out",
        one,
        *options,
        "--set",
        "accumulate=2",
        *TINY_OPTIONS,
    )
    both, alone = read_state(two), read_state(one)
    assert both["step"] == alone["step"] == 6 and both["images"] == alone["images"] == 24
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(both["weights"][name], weight, rtol=1e-3, atol=1e-4, msg=name)
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-3)
    # one of them wrote
    assert sorted(os.listdir(two.parent)) == [
        two.name,
        f"{two.name}.csv",
        f"{two.name}.state.pt",
    ]
    assert "2 processes" in both["recipe"][-1] and "2 passes" in alone["recipe"][-1]


@pytest.mark.slow
def test_two_processes_are_as_good_as_one_with_twice_the_batch(two, tmp_path):
    """Other crops and noise, so equal only within what seeds make of it."""
    finals = []
    for seed in range(4):
        out = tmp_path / f"{seed}.safetensors"
        train(settings(out, batch=4, seed=seed))
        finals.append(losses(out))
    curves = np.stack(finals)
    spread = curves.std(0, ddof=1) + 0.02 * curves.mean(0)
    assert (np.abs(losses(two) - curves.mean(0)) < 4 * spread).all()


@pytest.mark.slow
def test_two_processes_resume_and_tell_errors_in_one_line(two, tmp_path):
    out = tmp_path / "more.safetensors"
    options = ["--crop", CROP, "--batch", 2, "--device", "cpu", "--data", PHOTOGRAPH, "--out", out]
    done = torchrun(2, "train", *options, "--steps", 2, "--resume", f"{two}.state.pt")
    assert done.returncode == 0, done.stderr
    assert read_state(out)["step"] == 8
    done = torchrun(2, "train", *options, "--steps", 2, "--resume", "nothing.pt", "--force")
    assert done.returncode != 0
    assert "nothing.pt: no such file" in done.stderr and "progcodec/lab/train" not in done.stderr
