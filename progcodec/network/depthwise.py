"""Depthwise convolution with a weight gradient that does not starve a CPU.

oneDNN's own weight gradient of a depthwise convolution takes 8 to 20 times as long as the forward
pass does, in float32 and more so in bfloat16. Here it is one more depthwise convolution: each
channel of each picture is correlated with its own output gradient, which plays the kernel, and
pictures are summed. Values, gradients and checkpoints are those of ``nn.Conv2d``.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Correlation(torch.autograd.Function):
    """Depthwise convolution, zero padding, odd kernel: (N, C, H, W), (C, 1, k, k)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        n, channels, height, width = x.shape
        padding = weight.shape[-1] // 2
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = F.conv2d(gradient, weight.flip(2, 3), padding=padding, groups=channels)
        if ctx.needs_input_grad[1]:
            pictures = x.reshape(1, n * channels, height, width)
            kernels = gradient.reshape(n * channels, 1, height, width)
            taps = F.conv2d(pictures, kernels, padding=padding, groups=n * channels)
            of_weight = taps.view(n, channels, *weight.shape[2:]).sum(0)[:, None]
        return of_x, of_weight


class Depthwise(nn.Conv2d):
    """A depthwise ``nn.Conv2d``, zero padding, odd kernel, that CPUs train faster."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(x)
        weight, bias = self.weight, self.bias
        assert bias is not None
        if torch.is_autocast_enabled("cpu"):
            x, weight, bias = (t.to(torch.get_autocast_dtype("cpu")) for t in (x, weight, bias))
        return _Correlation.apply(x, weight) + bias[:, None, None]
