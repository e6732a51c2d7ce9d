"""Several processes, and several passes a step, make the run that one of the same crops
would make.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("compressai")

from progcodec.lab.train.trainer import train
from tests.support.command import ENVIRONMENT, python, run
from tests.support.tiny_training import options_of, read_state, settings

pytestmark = pytest.mark.slow
STEPS = ["--steps", 6]
OURS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""What a launcher would have set for these tests themselves."""


def torchrun(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """``python -m progcodec train`` in two gloo processes on this machine."""
    env = {name: value for name, value in ENVIRONMENT.items() if name not in OURS}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return python(*launcher, "-m", "progcodec", "train", *arguments, code=code, env=env)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """A run of six steps in two processes, from the command line."""
    out = tmp_path_factory.mktemp("two") / "two.safetensors"
    done = torchrun("--out", out, *STEPS, *options_of(log_steps=2))
    assert done.stdout.count("wrote") == 1 and "images_per_s" in done.stdout
    return out


def losses(out: Path) -> np.ndarray:
    return np.genfromtxt(f"{out}.csv", delimiter=",", names=True)["loss"]


def test_two_processes_are_one_with_two_passes(two, tmp_path):
    """The same crops and noise: equal but for the order in which gradients are summed."""
    one = tmp_path / "one.safetensors"
    run("train", "--out", one, *STEPS, *options_of(log_steps=2, accumulate=2))
    both, alone = read_state(two), read_state(one)
    assert both["step"] == alone["step"] == 6 and both["images"] == alone["images"] == 24
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(both["weights"][name], weight, rtol=1e-3, atol=1e-4, msg=name)
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-3)
    # one of them wrote
    assert sorted(os.listdir(two.parent)) == [two.name, f"{two.name}.csv", f"{two.name}.state.pt"]
    assert "2 processes" in both["recipe"][-1] and "2 passes" in alone["recipe"][-1]


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


def test_two_processes_resume_and_tell_errors_in_one_line(two, tmp_path):
    out = tmp_path / "more.safetensors"
    options = ["--out", out, *options_of(), "--steps", 2, "--resume"]
    torchrun(*options, f"{two}.state.pt")
    assert read_state(out)["step"] == 8
    done = torchrun(*options, "nothing.pt", "--force", code=1)
    assert "nothing.pt: no such file" in done.stderr and "progcodec/lab/train" not in done.stderr
