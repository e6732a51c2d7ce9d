"""Where a run starts from: a training state, or the weights of a checkpoint.

Checked before use; no pickled code is ever run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from progcodec.config import ModelConfig
from progcodec.errors import TrainingError
from progcodec.network.checkpoint import PRIORITIES, Checkpoint
from progcodec.network.model import Model
from progcodec.network.scale import ACTIVATION_STEPS, SHIFT, IntegerConv

WIDTHS = tuple(10 ** (exponent / 10) for exponent in range(-20, 11))
"""Factors tried for the width of a bottleneck channel's density, relative to an untrained one."""
KEYS = {"weights", "average", "optimizers", "step", "images", "minutes"}


def load_state(path: str | None) -> dict[str, Any] | None:
    """The content of a codec's state file, with its config as a ModelConfig; None for None.

    Raises TrainingError otherwise.

    Of a checkpoint (.safetensors): its config, its weights as "average", the hyperlatent's
    "medians", and the "priorities", None or (C, 64).
    """
    if path is None:
        return None
    if path.endswith(".safetensors"):
        checkpoint = Checkpoint.load(path)
        medians = checkpoint.tensors["tables.hyper_medians"].float()
        ancestor = (
            f"{checkpoint.fingerprint.hex()} "
            f"({checkpoint.metadata.get('recipe', 'recipe not recorded')})"
        )
        return {
            "config": checkpoint.config,
            "average": thaw(checkpoint),
            "medians": medians,
            "priorities": checkpoint.tensors.get(PRIORITIES),
            "recipe": [f"from {ancestor}"],
            "description": checkpoint.metadata.get("data", ""),
        }
    state = read_state(path)
    if "config" not in state:
        raise TrainingError(f"{path}: not a training state of a codec")
    with fitting(path):
        return {**state, "config": ModelConfig.from_dict(state["config"])}


def read_state(path: str) -> dict[str, Any]:
    """The content of any state file that the loop saved. Raises TrainingError."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such training state") from None
    except Exception as error:  # noqa: BLE001  # torch.load raises many kinds on a damaged file
        raise TrainingError(f"{path}: not a training state ({type(error).__name__})") from None
    if not isinstance(state, dict) or not KEYS <= state.keys():
        raise TrainingError(f"{path}: not a training state")
    return state


@contextmanager
def fitting(path: str | None) -> Iterator[None]:
    """What a state of another version raises while it is put in place becomes a TrainingError of
    one line.
    """
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"{path}: the training state does not fit ({reason})") from None


def thaw(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Trainable weights of a checkpoint, by their names in a Trainer: floats again, also where
    integers were stored.
    """
    checkpoint.build()  # raises CheckpointError where tensors and config disagree
    weights = {}
    for name, module in Model(checkpoint.config).named_modules():
        if isinstance(module, IntegerConv):
            integers = {
                part: checkpoint.tensors[f"{name}.{part}"].float()
                for part in ("weight", "bias", "multiplier")
            }
            scale = integers["multiplier"] * (module.unit / (ACTIVATION_STEPS * 2.0**SHIFT))
            weights[f"{name}.weight"] = integers["weight"] * scale[:, None]
            weights[f"{name}.bias"] = integers["bias"] * scale / module.unit
    for name, tensor in checkpoint.tensors.items():
        if not name.startswith("tables.") and not name.endswith(".multiplier"):
            weights.setdefault(name, tensor.float())
    return {f"model.{name}": tensor for name, tensor in weights.items()}


def fresh_bottleneck(bottleneck: nn.Module, medians: Tensor) -> dict[str, Tensor]:
    """Weights of an untrained bottleneck, by their names in a Trainer, with its quantiles moved to
    the given medians.

    A checkpoint keeps the bottleneck's tables, not its densities: these are learned again, in some
    hundred steps.
    """
    weights = {
        f"bottleneck.{name}": tensor.clone() for name, tensor in bottleneck.state_dict().items()
    }
    quantiles = weights["bottleneck.quantiles"]
    quantiles += medians.to(quantiles)[:, None, None] - quantiles[:, :, 1:2]
    return weights


@torch.no_grad()
def fit_widths(bottleneck: Any, z: Tensor) -> None:
    """Widens or narrows each channel's untrained density to the factor that costs fewest bits on z
    (N, C, h, w).
    """
    first = bottleneck.matrices[0]
    slope = torch.nn.functional.softplus(first)
    kept, best = first.clone(), torch.full((z.shape[1],), float("inf"), device=z.device)
    for width in WIDTHS:
        first.copy_(torch.log(torch.expm1(slope / width)))
        bits = -torch.log2(bottleneck(z, training=True)[1].clamp_min(1e-9)).mean((0, 2, 3))
        better = bits < best
        best = torch.where(better, bits, best)
        kept[better] = first[better]
    first.copy_(kept)
