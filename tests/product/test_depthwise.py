"""Depthwise convolution whose weight gradient is computed our way: values and gradients are those
of nn.Conv2d.
"""

import pytest
import torch
from torch import nn

from progcodec.network.depthwise import Depthwise
from progcodec.network.transform import gated


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (3, 8), (11, 6)])
def test_gradients_are_those_of_conv2d(kernel, size):
    torch.manual_seed(0)
    ours = Depthwise(12, kernel).double()
    theirs = nn.Conv2d(12, 12, kernel, padding=kernel // 2, groups=12).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 12, *size, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [layer(value) for layer, value in zip((ours, theirs), inputs, strict=True)]
    push = torch.randn_like(outputs[0])
    for output in outputs:
        output.backward(push)
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*(value.grad for value in inputs))
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, msg=name)


def test_autocast_computes_in_bfloat16_and_keeps_float32_gradients():
    torch.manual_seed(0)
    layer, x = Depthwise(8, 5), torch.randn(2, 8, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    y.float().square().sum().backward()
    exact = layer(x)
    assert y.dtype == torch.bfloat16 and layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), exact, rtol=0.05, atol=0.05)


def test_the_gate_is_glu():
    x = torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(gated(x), torch.nn.functional.glu(x, 1))
