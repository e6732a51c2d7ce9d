"""Muon for matrices, AdamW for the rest.

Muon (K. Jordan et al., 2024) replaces the momentum of each weight matrix by its nearest
semi-orthogonal matrix, found with a Newton-Schulz iteration. PyTorch has ``torch.optim.Muon``, but
it always iterates in bfloat16, which CPUs without bfloat16 arithmetic emulate slowly; this one does
where the networks do.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
BLOCK_SHARE = 2.0
"""Learning rate of the blocks' matrices and of the mean path, as a share of the schedule's."""
SKELETON_SHARE = 0.3
"""The same for the other matrices, which start near a solution: large steps only shake them."""
EDGE_SHARE = 0.1
"""The same for the convolutions next to the pixels."""
QUANTILE_SHARE = 10.0
"""The bottleneck's medians have a loss of their own and must keep up with z."""
BOTTLENECK_SHARE = 4.0
"""The bottleneck's densities start far too wide."""


def orthogonalise(matrices: Tensor, bfloat16: bool = False) -> Tensor:
    """About the nearest semi-orthogonal matrices, (..., rows, columns): singular values between
    0.7 and 1.2.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16() if bfloat16 else matrices
    transposed = x.shape[-2] > x.shape[-1]
    if transposed:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    nearest: Tensor = (x.mT if transposed else x).to(matrices.dtype)
    return nearest


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised.

    The step's root mean square is 0.2·lr, as AdamW's, so both share one learning rate.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        bfloat16: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.bfloat16 = bfloat16

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            # Many small matrices: all of a shape at once.
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    pair = parameter, parameter.grad
                    alike.setdefault(parameter.shape, []).append(pair)
            for shape, pairs in alike.items():
                parameters, gradients = zip(*pairs, strict=True)
                momenta = [
                    self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    for parameter in parameters
                ]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
                directions = orthogonalise(torch.stack(ahead), self.bfloat16).unbind()
                size = -0.2 * group["lr"] * max(shape) ** 0.5
                torch._foreach_add_(parameters, directions, alpha=size)


def build_optimizers(
    model: nn.Module, bottleneck: nn.Module, lr: float, bfloat16: bool = False
) -> list[torch.optim.Optimizer]:
    """Muon on the matrices of 1×1 convolutions and Swin blocks, AdamW on everything else, Adam on
    the bottleneck's quantiles. ``bfloat16``: Muon iterates in it.

    Each group's "share" is its learning rate relative to the schedule's.
    """
    blocks: list[nn.Parameter] = []
    skeleton: list[nn.Parameter] = []
    edges: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    residual = (".expand.", ".project.", ".qkv.")
    for name, parameter in model.named_parameters():
        transform = name.startswith(("analysis.", "synthesis."))
        if parameter.ndim == 2 and not name.startswith("scale_path."):
            linear = transform and not any(part in name for part in residual)
            (skeleton if linear or ".skip." in name else blocks).append(parameter)
        else:
            edge = transform and parameter.ndim == 4 and parameter.shape[1] > 1
            (edges if edge else others).append(parameter)
    quantiles = [p for name, p in bottleneck.named_parameters() if name.endswith("quantiles")]
    densities = [p for name, p in bottleneck.named_parameters() if not name.endswith("quantiles")]
    muon = [{"params": blocks, "share": BLOCK_SHARE}, {"params": skeleton, "share": SKELETON_SHARE}]
    adam = [{"params": others, "share": 1.0}, {"params": edges, "share": EDGE_SHARE}]
    adam += [{"params": densities, "share": BOTTLENECK_SHARE}]
    return [
        Muon(muon, lr=lr, bfloat16=bfloat16),
        torch.optim.AdamW(adam, lr=lr, betas=(0.9, 0.99), weight_decay=0.0),
        torch.optim.Adam([{"params": quantiles, "share": QUANTILE_SHARE}], lr=lr),
    ]
