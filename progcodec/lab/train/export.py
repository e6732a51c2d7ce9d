"""From trained weights to a shippable checkpoint: integers, tables, half precision."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from progcodec.bitstream.ordering import channel_order
from progcodec.bitstream.tables import gaussian_frequencies, quantise_pmf
from progcodec.config import Q_MAX
from progcodec.network.checkpoint import Checkpoint, freeze
from progcodec.network.model import Model


@torch.no_grad()
def hyper_pmf(bottleneck: Any) -> Tensor:
    """Mass of each integer −127..127 of round(z − median), per channel: (C, 255) float64, rows sum
    to 1.

    Both tails go to the outermost integers, as the encoder clamps.
    """
    medians = bottleneck.quantiles[:, 0, 1]
    edges = torch.arange(-Q_MAX, Q_MAX, device=medians.device) + 0.5
    points = (edges[None, :] + medians[:, None])[:, None, :]
    cumulative = (
        torch.sigmoid(bottleneck._logits_cumulative(points, stop_gradient=True))[:, 0]
        .double()
        .cpu()
    )
    zeros, ones = (
        torch.zeros(len(medians), 1, dtype=torch.float64),
        torch.ones(len(medians), 1, dtype=torch.float64),
    )
    return torch.diff(torch.cat((zeros, cumulative, ones), 1), dim=1).clamp_min(0)


def export(model: Model, bottleneck: Any, metadata: dict[str, str]) -> Checkpoint:
    """The checkpoint of a trainable model and its entropy bottleneck (compressai's
    EntropyBottleneck).
    """
    hyper = quantise_pmf(hyper_pmf(bottleneck).numpy())
    tensors = freeze(model)
    tensors["tables.gaussian"] = torch.from_numpy(gaussian_frequencies().copy())
    tensors["tables.hyper"] = torch.from_numpy(hyper.copy())
    tensors["tables.hyper_order"] = torch.from_numpy(
        channel_order(hyper, model.config.hyper_linear).astype("int32")
    )
    tensors["tables.hyper_medians"] = bottleneck.quantiles[:, 0, 1].detach().float().cpu().clone()
    return Checkpoint(model.config, tensors, metadata)


def describe_settings(settings: Any) -> str:
    """Settings as ``name=value`` pairs for the metadata."""
    return ", ".join(
        f"{key}={value}" for key, value in asdict(settings).items() if value is not None
    )
