"""From trained weights to a shippable checkpoint: integers, tables, half precision."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from progcodec.config import Q_MAX
from progcodec.lab.train.tables import channel_order, gaussian_frequencies, quantise_pmf
from progcodec.network.checkpoint import Checkpoint
from progcodec.network.model import Model
from progcodec.network.scale import IntegerConv


@torch.no_grad()
def hyper_pmf(bottleneck: Any) -> Tensor:
    """Mass of each integer −127..127 of round(z − median), per channel: (C, 255) float64, rows sum
    to 1.

    Both tails go to the outermost integers, as the encoder clamps.
    """
    medians = bottleneck.quantiles[:, 0, 1]
    edges = torch.arange(-Q_MAX, Q_MAX, device=medians.device) + 0.5
    points = (edges[None, :] + medians[:, None])[:, None, :]
    logits = bottleneck._logits_cumulative(points, stop_gradient=True)[:, 0]
    cumulative = torch.sigmoid(logits).double().cpu()
    cumulative = nn.functional.pad(nn.functional.pad(cumulative, (1, 0)), (0, 1), value=1.0)
    return torch.diff(cumulative).clamp_min(0)


def freeze(model: Model) -> dict[str, Tensor]:
    """Tensors as exported: half-precision floats, the scale path's int8 and int32 integers."""
    tensors = {}
    for name, module in model.named_modules():
        if isinstance(module, IntegerConv):
            with torch.no_grad():
                weight, bias, multiplier = module.integers()
            tensors[f"{name}.weight"] = weight.to(torch.int8)
            tensors[f"{name}.bias"] = bias.to(torch.int32)
            tensors[f"{name}.multiplier"] = multiplier.to(torch.int32)
    for name, tensor in model.state_dict().items():
        if name not in tensors:
            tensors[name] = tensor.detach().half()
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def export(model: Model, bottleneck: Any, metadata: dict[str, str]) -> Checkpoint:
    """The checkpoint of a trainable model and its entropy bottleneck (compressai's
    EntropyBottleneck).
    """
    hyper = quantise_pmf(hyper_pmf(bottleneck).numpy())
    order = channel_order(hyper, model.config.hyper_linear).astype("int32")
    tables = {
        "tables.gaussian": torch.from_numpy(gaussian_frequencies()),
        "tables.hyper": torch.from_numpy(hyper),
        "tables.hyper_order": torch.from_numpy(order),
        "tables.hyper_medians": bottleneck.quantiles[:, 0, 1].detach().float().cpu().clone(),
    }
    # what belongs to these is fitted afterwards
    config = replace(model.config, hyper_groups=(), priorities=False)
    return Checkpoint(config, freeze(model) | tables, metadata)
