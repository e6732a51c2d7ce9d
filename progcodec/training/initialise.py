"""A start that already is a codec: the transforms begin as two stages of principal component analysis.

With its residual blocks at zero, the lite transform is linear: 8×8 pixels to ``width`` channels, 2×2 of these to
``inner_width``, these to the latent. Filled with the principal components of training crops, by falling variance, it starts at
the quality of a block transform; from random weights, the same takes thousands of steps. The base σ-indices start at the
measured standard deviations. As in a progressive JPEG, the coarse block starts with few components, the strongest, and at a
coarser step; the next ones go to the intermediate and the fine block, and what is left of the coarse block starts with the
weakest, quantised to zero: room for whatever training puts there.
"""

import torch
from torch import Tensor, nn

from progcodec.config import SCALE_COUNT, SCALE_MIN, ModelConfig
from progcodec.network.model import Model
from progcodec.network.scale import INDEX_CENTRE, LOG_STEP
from progcodec.network.transform import PIXEL_GAIN, Down, Pointwise, Up

DEVIATION_MAX = 30.0
"""Components stronger than this are scaled down, so that few symbols are clamped before μ has been learned."""
START_GAINS = (0.4, 0.45, 0.5)
"""Latent per orthonormal component (pixels times ``PIXEL_GAIN``) in each block: steps that suit about 34 dB in the end."""
SPARE_GAIN = 0.15
COARSE_SHARE = 4
"""One in so many coarse channels starts with one of the strongest components."""



def _principal(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and basis (count, D) of the strongest components of vectors (N, D); orthonormal rows, zero rows beyond D."""
    mean = vectors.mean(0)
    centred = vectors - mean
    _, basis = torch.linalg.eigh(centred.T @ centred / len(vectors))
    basis = basis.flip(1).T[:count]
    if len(basis) < count:
        basis = torch.cat((basis, basis.new_zeros(count - len(basis), basis.shape[1])))
    return mean, basis


def _vectors(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


@torch.no_grad()
def initialise(model: Model, crops: Tensor) -> None:
    """Fills the transforms of a fresh model in place.

    Args:
        crops: (N, 3, H, W) in [0, 1], sides multiples of 16; some hundred crops suffice.
    """
    into, out = model.analysis.layers, model.synthesis.layers
    first, last = (next(m for m in layers if isinstance(m, nn.Conv2d)) for layers in (into, out))
    down, up = (next(m for m in layers if isinstance(m, kind)) for layers, kind in ((into, Down), (out, Up)))
    leave, enter = into[-1], out[0]
    assert isinstance(leave, Pointwise) and isinstance(enter, Pointwise)

    pixels = nn.functional.pixel_unshuffle(PIXEL_GAIN * (crops.double().cpu() - 0.5), 8)
    mean, basis = _principal(_vectors(pixels), first.out_channels)
    _set_centre(first, basis, -basis @ mean)
    _set_centre(last, basis.T, mean)

    hidden = torch.einsum("oc,nchw->nohw", basis, pixels - mean[:, None, None])
    grouped = _vectors(nn.functional.pixel_unshuffle(hidden, 2))
    _, basis = _principal(grouped, down[1].weight.shape[0])
    _set_matrix(down[1], basis)
    _set_matrix(up[0], basis.T)

    deviations = (grouped @ basis.T).std(0)
    component, gains = _allocation(model.config)
    used = component < len(basis)
    deviations = torch.where(used, deviations[component.clamp_max(len(basis) - 1)], 0)
    gains = torch.minimum(gains, DEVIATION_MAX / deviations.clamp_min(1e-6))
    select = torch.zeros(len(component), len(basis), dtype=torch.float64)
    select[used, component[used]] = 1
    _set_matrix(leave, select * gains[:, None])
    _set_matrix(enter, (select / gains[:, None]).T)

    indexes = ((deviations * gains).clamp_min(SCALE_MIN) / SCALE_MIN).log() / LOG_STEP
    model.scale_path.base.bias.copy_(indexes.clamp_max(SCALE_COUNT - 1) - INDEX_CENTRE)


def _allocation(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """For each latent channel, the component (by falling variance) and the gain that it starts with."""
    coarse, *later = config.blocks
    head = max(1, coarse // COARSE_SHARE)
    component = torch.cat((torch.arange(head), torch.arange(head + sum(later), config.latent_channels)))
    component = torch.cat((component, torch.arange(head, head + sum(later))))
    gains = [START_GAINS[0]] * head + [SPARE_GAIN] * (coarse - head)
    for gain, channels in zip(START_GAINS[1:], later, strict=True):
        gains += [gain] * channels
    return component, torch.tensor(gains, dtype=torch.float64)


def _set_centre(layer: nn.Conv2d, matrix: Tensor, bias: Tensor) -> None:
    layer.weight.zero_()
    layer.weight[:, :, 1, 1] = matrix.to(layer.weight)
    layer.bias.copy_(bias)  # type: ignore[union-attr]


def _set_matrix(layer: Pointwise, matrix: Tensor) -> None:
    layer.weight.copy_(matrix)
    layer.bias.zero_()
