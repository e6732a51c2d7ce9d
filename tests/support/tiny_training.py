"""How the tests train: a model of a few thousand parameters, on the photograph that the package
brings.
"""

from pathlib import Path

import pytest
import torch

from progcodec import assets
from progcodec.config import ModelConfig
from progcodec.lab.train import trainer
from progcodec.lab.train.settings import TrainSettings

PHOTOGRAPH = str(assets.FOLDER / "china.jpg")
TINY = ModelConfig(width=16, depth=1, inner_width=24, inner_depth=1, blocks=(4, 12, 8, 8),
                   steps=(2, 1, 1), hyper_channels=12, hyper_linear=4, mean_width=16,
                   scale_width=16)  # fmt: skip
CROP = 64


def options_of(config: ModelConfig = TINY, **more: object) -> list[str]:
    """The settings of :func:`settings`, for the command line."""
    given = {f"config.{name}": value for name, value in config.to_dict().items()}
    pairs = [f"{name}={value}".replace(" ", "") for name, value in {**given, **more}.items()]
    line = ["--data", PHOTOGRAPH, "--crop", str(CROP), "--batch", "2", "--device", "cpu"]
    return [*line, *(part for pair in pairs for part in ("--set", pair))]


def settings(out: Path, **more: object) -> TrainSettings:
    given = {"data": (PHOTOGRAPH,), "steps": 6, "crop": CROP, "batch": 2, "device": "cpu",
             "log_steps": 2, "config": TINY}  # fmt: skip
    return TrainSettings(out=str(out), **{**given, **more})


def read_state(out: Path) -> dict:
    return torch.load(f"{out}.state.pt", weights_only=True)


@pytest.fixture(scope="module", autouse=True)
def few_start_crops():
    """Components of a tenth of the crops do for a model this small.

    Holds in every module that imports it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "START_CROPS", 40)
        yield
