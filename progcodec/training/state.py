"""Training state files: read and checked before any of it is used. No pickled code is ever run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from progcodec.config import ModelConfig
from progcodec.errors import TrainingError

KEYS = {"config", "weights", "average", "optimizers", "step", "images", "minutes"}


def load_state(path: str | None) -> dict | None:
    """The content of a state file, with its config as a ModelConfig; None for None. Raises TrainingError otherwise."""
    if path is None:
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such training state") from None
    except Exception as error:  # torch.load raises many kinds on a damaged file
        raise TrainingError(f"{path}: not a training state ({type(error).__name__})") from None
    if not isinstance(state, dict) or not KEYS <= state.keys():
        raise TrainingError(f"{path}: not a training state")
    with fitting(path):
        return {**state, "config": ModelConfig.from_dict(state["config"])}


@contextmanager
def fitting(path: str | None) -> Iterator[None]:
    """What a state of another version raises while it is put in place becomes a TrainingError of one line."""
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"{path}: the training state does not fit ({reason})") from None
