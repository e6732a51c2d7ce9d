"""A start that already is a progressive codec: principal components, refined from level to level.

With its residual blocks at zero, the lite transform is linear: 8×8 pixels to ``width`` channels,
2×2 of these to ``inner_width``, these to the latent. Filled with the principal components of
training crops, it starts at the quality of a block transform; from random weights, the same takes
thousands of steps. (The tic family: `initialise_tic.py`.) The levels start as successive
refinement:

    ẑ               the lowest frequencies of the first block over 4×4 positions, coarsest step
    coarse          the strongest components, at a coarse step; each further block at a third of it
    intermediate    some of them again, at a finer step, and the next components
    fine            some again, at the finest step, and the components after these

A channel that refines an earlier one is predicted from it (``skip`` of the mean path), so it costs
only the added precision, and where it did not arrive its μ is the coarser value: synthesis reads
just the finest channel of each component. Within the coarse level the steps nest: a third of a
step, centred, divides a cell into three and loses nothing. The base σ-indices start at the measured
deviations of what is coded.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from progcodec.config import HYPER_STRIDE, SCALE_COUNT, SCALE_MIN, ModelConfig
from progcodec.lab.train.tables import LOG_STEP
from progcodec.network.model import Model
from progcodec.network.scale import INDEX_CENTRE
from progcodec.network.transform import PIXEL_GAIN, Block, Down, Pointwise, Up

REFINING_GAINS = (0.14, 0.36, 0.7)
"""Latent per orthonormal component (pixels times ``PIXEL_GAIN``) of the channels in each block that
refine earlier ones."""
NEW_GAINS = (0.14, 0.4, 0.55)
"""The same for components that a block is the first, and often the last, to code."""
REFINED = (0.0, 0.25, 0.25)
"""Share of the channels of each level's last block that refine components of the blocks before. In
the coarse level, a block refines all that the one before it has."""
NESTING = 3
"""How many times finer each block of the coarse level is than the one before it."""
HYPER_STEP = 8.0
"""Quantisation steps of the coarse level in one of ẑ's linear channels."""
SPREAD_MIN = 0.5
NEIGHBOUR_SHARE = 0.15


class Channel(NamedTuple):
    """What one latent channel starts as: a component, its gain, and the channel that it refines, if
    any.
    """

    component: int
    gain: float
    parent: int | None


def principal(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and basis (count, D) of the strongest components of vectors (N, D); orthonormal
    rows, zero rows beyond D.
    """
    mean = vectors.mean(0)
    centred = vectors - mean
    _, basis = torch.linalg.eigh(centred.T @ centred / len(vectors))
    basis = basis.flip(1).T[:count]
    if len(basis) < count:
        basis = torch.cat((basis, basis.new_zeros(count - len(basis), basis.shape[1])))
    return mean, basis


def vectors(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N·H·W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


@torch.no_grad()
def initialise(model: Model, crops: Tensor, refine: bool = True) -> None:
    """Fills the transforms of a fresh model of the lite family in place.

    Args:
        crops: (N, 3, H, W) in [0, 1], sides multiples of 16; some hundred crops suffice.
        refine: False: one step size for all channels and none that refines another, as a codec of
            one level wants it.
    """
    into: Any = model.analysis.layers
    out: Any = model.synthesis.layers
    first, last = (next(m for m in layers if isinstance(m, nn.Conv2d)) for layers in (into, out))
    down: Any = next(m for m in into if isinstance(m, Down))
    up: Any = next(m for m in out if isinstance(m, Up))

    pixels = nn.functional.pixel_unshuffle(PIXEL_GAIN * (crops.double().cpu() - 0.5), 8)
    mean, basis = principal(vectors(pixels), first.out_channels)
    _set_centre(first, basis, -basis @ mean)
    _set_centre(last, basis.T, mean)

    hidden = torch.einsum("oc,nchw->nohw", basis, pixels - mean[:, None, None])
    grouped = vectors(nn.functional.pixel_unshuffle(hidden, 2))
    _, basis = principal(grouped, down[1].weight.shape[0])
    _set_matrix(down[1], basis)
    _set_matrix(up[0], basis.T)

    deviations = (grouped @ basis.T).std(0)
    for network in (model.analysis, model.synthesis):
        for block in (module for module in network.modules() if isinstance(module, Block)):
            outer = len(block.spatial.weight) == model.config.width
            _whiten(block, vectors(hidden).std(0) if outer else deviations)
    leave, enter = fill_latent(model, grouped @ basis.T, refine)
    _set_matrix(into[-1], leave)
    _set_matrix(out[0], enter)
    if model.config.hyper_linear:
        fill_linear(
            model,
            torch.einsum("oc,nchw->nohw", leave @ basis, nn.functional.pixel_unshuffle(hidden, 2)),
        )


@torch.no_grad()
def fill_latent(model: Model, components: Tensor, refine: bool = True) -> tuple[Tensor, Tensor]:
    """Sets the prediction of refining channels and the σ-indices, for latents that hold principal
    components.

    Args:
        components: (N, D), float64: samples of the strongest components.
    Returns:
        (latent channels, D), which makes the latent of components, and (D, latent channels), which
        makes components of it.
    """
    channels, finest = _allocation(model.config, components.shape[1], refine)
    delta: Any = model.mean_path.delta
    leave = components.new_zeros(len(channels), components.shape[1])
    enter = torch.zeros_like(leave.T)
    hats: list[Tensor] = []
    for number, (component, gain, parent) in enumerate(channels):
        leave[number, component] = gain
        if finest[component] == number:
            enter[component, number] = 1 / gain
        value = gain * components[:, component]
        mean = (
            torch.zeros_like(value)
            if parent is None
            else hats[parent] * (gain / channels[parent].gain)
        )
        residual = value - mean
        hats.append(mean + residual.round())
        spread = value.std().clamp_min(SPREAD_MIN)
        model.mean_path.spread[number] = spread
        model.hyper_analysis.spread[number] = spread
        index = (residual.std().clamp_min(SCALE_MIN) / SCALE_MIN).log() / LOG_STEP
        model.scale_path.base.bias[number] = index.clamp_max(SCALE_COUNT - 1) - INDEX_CENTRE
        if parent is not None:
            block = next(k for k in range(len(delta), 0, -1) if number >= model.config.offsets[k])
            skip = delta[block - 1].skip.weight
            share = gain / channels[parent].gain * model.mean_path.spread[parent] / spread
            skip[number - model.config.offsets[block], parent] = share
    return leave, enter


def _allocation(
    config: ModelConfig, available: int, refine: bool = True
) -> tuple[list[Channel], dict[int, int]]:
    """What each latent channel starts as, and for each component the finest channel that has it.

    Channels beyond the available components share the last ones, and start unread by synthesis.
    """
    channels: list[Channel] = []
    finest: dict[int, int] = {}
    levels = [level for level, steps in enumerate(config.steps) for _ in range(steps)]
    for k, (level, count) in enumerate(zip(levels, config.blocks, strict=True)):
        share = 1.0 if k and level == 0 else REFINED[level]
        refined = min(int(share * count), len(finest)) if refine else 0
        nested = NESTING ** (config.steps[0] - 1 - k) if level == 0 and refine else 1
        fresh = [min(len(finest) + i, available - 1) for i in range(count - refined)]
        parents = dict(finest)
        for component in range(refined):
            channels.append(Channel(component, REFINING_GAINS[level] / nested, parents[component]))
            finest[component] = len(channels) - 1
        for component in fresh:
            gain = NEW_GAINS[level if refine else -1] / nested
            channels.append(Channel(component, gain, None))
            finest.setdefault(component, len(channels) - 1)
    return channels, finest


def fill_linear(model: Model, y: Tensor) -> None:
    """Sets the linear branches between the first block and ẑ to its principal components over 4×4
    positions.

    Args:
        y: (N, C, h, w), float64, of training crops; h and w multiples of 4 (what is beyond is left
            out).
    """
    config = model.config
    height, width = (side // HYPER_STRIDE * HYPER_STRIDE for side in y.shape[2:])
    low = y[:, : config.blocks[0], :height, :width]
    grouped = vectors(nn.functional.pixel_unshuffle(low, HYPER_STRIDE))
    mean, basis = principal(grouped, config.hyper_linear)
    step = HYPER_STEP / NESTING ** (config.steps[0] - 1)
    analysis: Any = model.hyper_analysis.linear
    synthesis: Any = model.mean_path.linear
    analysis.weight.copy_(basis / step)
    analysis.bias.copy_(-basis @ mean / step)
    synthesis.weight.copy_(basis.T * step)
    synthesis.bias.copy_(mean)
    coarse = (((grouped - mean) @ basis.T / step).round() * step) @ basis + mean
    # Of the 4×4 positions of each channel, together.
    residual = (grouped - coarse).view(len(grouped), config.blocks[0], -1)
    deviation = residual.square().mean((0, 2)).sqrt().clamp_min(SCALE_MIN)
    index = (deviation / SCALE_MIN).log() / LOG_STEP
    bias = model.scale_path.base.bias
    bias[: config.blocks[0]] = (index.clamp_max(SCALE_COUNT - 1) - INDEX_CENTRE).to(bias)


def _whiten(block: Block, deviations: Tensor) -> None:
    """Lets a block's gates see every channel at about unit variance, mostly where they stand.

    The strongest components are a hundred times the weakest; as they are, they alone would drive
    all gates, to the ends.
    """
    weight = block.spatial.weight
    weight.normal_(0, NEIGHBOUR_SHARE)
    weight[:, 0, 2, 2] += 1
    weight.div_(deviations.clamp_min(SPREAD_MIN).to(weight)[:, None, None, None])
    block.spatial.bias.zero_()  # type: ignore[union-attr]


def _set_centre(layer: nn.Conv2d, matrix: Tensor, bias: Tensor) -> None:
    layer.weight.zero_()
    layer.weight[:, :, 1, 1] = matrix.to(layer.weight)
    layer.bias.copy_(bias)  # type: ignore[union-attr]


def _set_matrix(layer: Pointwise, matrix: Tensor) -> None:
    layer.weight.copy_(matrix)
    layer.bias.zero_()
