"""Muon for matrices, AdamW for the rest.

Muon (K. Jordan et al., 2024) replaces the momentum of each weight matrix by its nearest semi-orthogonal matrix, found with a
Newton-Schulz iteration. PyTorch has ``torch.optim.Muon``, but it iterates in bfloat16, which CPUs without bfloat16 arithmetic
emulate slowly; this one iterates in float32 on the CPU.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MUON_SHARE = 0.4
"""Muon's learning rate as a share of AdamW's: equal rates shake the transforms, which start near a good solution."""


def orthogonalise(matrix: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix: singular values between 0.7 and 1.2."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    transposed = x.shape[0] > x.shape[1]
    if transposed:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.T if transposed else x).to(matrix.dtype)

QUANTILE_SHARE = 10.0
"""The bottleneck's medians have a loss of their own and must keep up with z."""


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. The step's root mean square is 0.2·lr, as AdamW's, so both share one learning rate."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                direction = orthogonalise(torch.lerp(parameter.grad, momentum, group["momentum"]))
                if group["decay"]:
                    parameter.mul_(1 - group["lr"] * group["decay"])
                parameter.add_(direction, alpha=-0.2 * group["lr"] * max(parameter.shape) ** 0.5)


def build_optimizers(model: nn.Module, bottleneck: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Muon on the 1×1 convolutions' matrices, AdamW on everything else, Adam on the bottleneck's quantiles.

    Each group's "share" is its learning rate relative to the schedule's.
    """
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and not name.startswith("scale_path.")
        (matrices if is_matrix else others).append(parameter)
    quantiles = [p for name, p in bottleneck.named_parameters() if name.endswith("quantiles")]
    others += [p for name, p in bottleneck.named_parameters() if not name.endswith("quantiles")]
    optimizers = [
        Muon(matrices, lr=lr),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=0.0),
        torch.optim.Adam(quantiles, lr=lr),
    ]
    for optimizer, share in zip(optimizers, (MUON_SHARE, 1.0, QUANTILE_SHARE), strict=True):
        for group in optimizer.param_groups:
            group["share"] = share
    return optimizers
