"""The start of the tic family: the block transform that `initialise.py` gives lite, made of
convolutions of stride 2.

A convolution of stride 2 sees the 2×2 inputs that its output stands for, among others: with
principal components at these taps, and nothing at the others, four of them in a row make a block
transform of 16×16 pixels, as long as the Swin blocks' residual branches are silent. At 1/2 and 1/4
resolution there are more channels than components: these start as random filters, which nothing
reads yet.
"""

from typing import Any

import torch
from torch import Tensor, nn

from progcodec.lab.train.initialise import SPREAD_MIN, fill_latent, fill_linear, principal, vectors
from progcodec.network.model import Model
from progcodec.network.swin import SpreadNorm
from progcodec.network.transform import PIXEL_GAIN

STAGE_GAIN = 2.0
"""What a stage with silent branches multiplies by."""
MEASURED = 32
"""Crops on which deviations are measured."""


@torch.no_grad()
def initialise_tic(model: Model, crops: Tensor, refine: bool = True) -> None:
    """Fills the transforms of a fresh model of the tic family in place.

    Args:
        crops: (N, 3, H, W) in [0, 1], sides multiples of 16; some hundred crops suffice. refine: as
            in `initialise.py`.
    """
    into: Any = model.analysis.convolutions
    out: Any = model.synthesis.convolutions
    for layer in (*into, *out):
        layer.weight.zero_()
        layer.bias.zero_()
    x = PIXEL_GAIN * (crops.double().cpu() - 0.5)
    gain = 1.0
    for number in range(len(into) - 1):
        grouped = nn.functional.pixel_unshuffle(x, 2)
        mean, basis = principal(vectors(grouped), min(into[number].out_channels, grouped.shape[1]))
        _set_taps(into[number].weight, basis / gain)
        into[number].bias[: len(basis)] = -basis @ mean
        _set_taps(out[-1 - number].weight, basis / STAGE_GAIN)
        if number == 0:
            out[-1].bias.copy_(mean.view(3, 4).mean(1))  # of the 2×2 pixels
        x = torch.einsum("oc,nchw->nohw", basis, grouped - mean[:, None, None])
        gain = STAGE_GAIN
    grouped = vectors(nn.functional.pixel_unshuffle(x, 2))
    _, basis = principal(grouped, min(model.config.latent_channels, grouped.shape[1]))
    leave, enter = fill_latent(model, grouped @ basis.T, refine)
    _set_taps(into[-1].weight, leave @ basis / gain)
    _set_taps(out[0].weight, enter.T @ basis)

    some = PIXEL_GAIN * (crops[:MEASURED].to(into[0].weight) - 0.5)
    y = _fill_rest(into, model.analysis.stages, some)
    if model.config.hyper_linear:
        fill_linear(model, y.double())
    _fill_rest(out, model.synthesis.stages, y)


def _set_taps(weight: Tensor, matrix: Tensor) -> None:
    """Puts (O, 4·I) at the taps of a kernel (≥ O, ≥ I, k, k) that see, or make, the 2×2 positions
    of its other side.
    """
    first = weight.shape[-1] // 2
    taps = matrix.view(len(matrix), -1, 2, 2)
    weight[: len(matrix), : taps.shape[1], first : first + 2, first : first + 2] = taps.to(weight)


def _fill_rest(convolutions: Any, stages: Any, x: Tensor) -> Tensor:
    """Random filters for the channels that are still zero; the deviation of each channel for the
    blocks that follow.

    Args:
        x: what enters the first convolution. Returns what leaves the last one.
    """
    for convolution, stage in zip(convolutions, stages, strict=False):
        weight = convolution.weight
        transposed = isinstance(convolution, nn.ConvTranspose2d)
        by_output = weight.transpose(0, 1) if transposed else weight  # a view
        idle = by_output.flatten(1).abs().sum(1) == 0
        spread = vectors(x).std(0).clamp_min(SPREAD_MIN)[:, None, None]
        random = torch.randn_like(by_output[idle]) / spread
        by_output[idle] = random - random.mean((2, 3), keepdim=True)
        deviations = vectors(convolution(x)).std(0)
        by_output[idle] /= deviations[idle, None, None, None]
        deviations[idle] = 1
        for norm in (module for module in stage.modules() if isinstance(module, SpreadNorm)):
            norm.spread.copy_(deviations.clamp_min(SPREAD_MIN))
        x = STAGE_GAIN * convolution(x)
    y: Tensor = convolutions[-1](x)
    return y
