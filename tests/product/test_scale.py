"""The integer scale path: exact against plain int64, the same in training and after export, within
its bounds.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

from progcodec.config import ModelConfig
from progcodec.lab.train.export import freeze
from progcodec.network.scale import (
    ACCUMULATOR_LIMIT,
    ACTIVATION_MAX,
    FrozenConv,
    IntegerConv,
    ScalePath,
    integer_layer,
)
from tests.support import reference_reader as reference

CONFIG = ModelConfig(width=16, depth=1, inner_width=24, inner_depth=1, blocks=(12, 8, 8),
                     hyper_channels=8, mean_width=16, scale_width=16)  # fmt: skip


class Plain(reference.Model):
    """The reference reader's scale path, in int64, with tensors of ours."""

    def __init__(self, **modules: torch.nn.Module) -> None:
        self.blocks, self.delta = list(CONFIG.blocks), True
        self.tensors = {
            f"{name}.{key}": tensor.numpy()
            for name, module in modules.items()
            for key, tensor in module.state_dict().items()
        }


def indexes(path: ScalePath, z: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    features, starts = path.features(z, *q.shape[2:]), path.offsets
    parts = [path.index(k, features, q[:, : starts[k]] if k else None) for k in range(3)]
    return torch.cat(parts, 1)


@pytest.fixture(scope="module")
def pair():
    """A trainable path with weights spread enough to use every index, and its exported form."""
    torch.manual_seed(1)
    trainable = ScalePath(CONFIG)
    with torch.no_grad():
        for name, parameter in trainable.named_parameters():
            parameter.mul_(3.0) if "base" in name or "delta" in name else None
            if name.endswith("bias"):
                parameter.normal_(0, 2)
    frozen = ScalePath(CONFIG, frozen=True)
    frozen.load_state_dict(freeze(trainable))
    return trainable, frozen


CASES = ["random", "zeros", "highest", "lowest", "alternating"]


def inputs(case: str, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = (batch, 8, 2, 2), (batch, 28, 6, 7)
    if case == "random":
        return tuple(torch.randint(-127, 128, s, generator=generator).float() for s in shapes)
    value = {"zeros": 0.0, "highest": 127.0, "lowest": -127.0, "alternating": 127.0}[case]
    tensors = tuple(torch.full(s, value, dtype=torch.float32) for s in shapes)
    if case == "alternating":
        for tensor in tensors:
            tensor.view(-1)[::2] *= -1
    return tensors


@pytest.mark.parametrize("case", CASES)
def test_equals_plain_int64_and_the_training_forward(pair, case):
    trainable, frozen = pair
    z, q = inputs(case)
    got = indexes(frozen, z, q)
    plain, (z_plain, q_plain) = (
        Plain(scale_path=frozen),
        (x[0].numpy().astype(np.int64) for x in (z, q)),
    )
    features = reference.features(plain, z_plain, 6, 7)
    for k, (start, end) in enumerate(pairwise(frozen.offsets)):
        expected = reference.scale_indexes(plain, k, features, q_plain[:start], 0)
        np.testing.assert_array_equal(got[0, start:end].numpy(), expected)
    assert case != "random" or len(got.unique()) > 20
    trained = indexes(trainable, z, q)
    assert trained.requires_grad
    torch.testing.assert_close(trained.detach(), got, rtol=0, atol=0)


@pytest.fixture(params=["highest", "high", "medium", "autocast"])
def lowered(request):
    """Settings of a process that make float32 products less exact."""
    before = torch.get_float32_matmul_precision()
    if request.param != "autocast":
        torch.set_float32_matmul_precision(request.param)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=request.param == "autocast"):
            yield request.param
    finally:
        torch.set_float32_matmul_precision(before)


def test_lowered_precision_changes_nothing(lowered):
    """A layer of real size at its bound: accumulators next to 2^24, every input used."""
    generator = torch.Generator().manual_seed(3)
    layer = FrozenConv(57, 64, 3)
    layer.weight = torch.randint(120, 128, layer.weight.shape, generator=generator).to(torch.int8)
    layer.multiplier = torch.randint(150, 260, (64,), generator=generator).to(torch.int32)
    layer.bias = torch.randint(-100, 100, (64,), generator=generator).to(torch.int32)
    layer.check()
    x = torch.randint(0, 256, (1, 57, 24, 25), generator=generator).float()
    plain = Plain(scale_path=torch.nn.ModuleDict({"layer": layer}))
    expected = plain.layer("layer", x[0].numpy().astype(np.int64), 3, 0, 255)
    assert len(np.unique(expected)) > 30
    np.testing.assert_array_equal(layer(x)[0].numpy(), expected)


def test_batches_and_threads_change_nothing(pair):
    z, q = inputs("random", batch=4)
    whole = indexes(pair[1], z, q)
    single = torch.cat([indexes(pair[1], z[i : i + 1], q[i : i + 1]) for i in range(4)])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = indexes(pair[1], z, q)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(whole, single) and torch.equal(whole, alone)


def test_gradients_reach_every_weight(pair):
    z, q = inputs("random")
    z = z.float().requires_grad_()
    indexes(pair[0], z, q.float()).sum().backward()
    assert z.grad is not None and float(z.grad.abs().sum()) > 0
    assert all(p.grad is not None for p in pair[0].parameters())


def test_exported_accumulators_stay_below_the_limit():
    torch.manual_seed(0)
    wild = IntegerConv(96, 32, 3)
    with torch.no_grad():
        wild.weight[0] = 5.0  # all equal: the sum, not the largest weight, decides its scale
        wild.weight[1] = 0.0
        wild.bias[2] = 1e6
    weight, bias, multiplier = (tensor.detach() for tensor in wild.integers())
    assert float((weight.abs().sum(1) * ACTIVATION_MAX + bias.abs()).max()) < ACCUMULATOR_LIMIT
    assert float(multiplier.min()) >= 1


def test_other_dtypes_are_refused():
    x = torch.zeros(1, 2, 3, 3, dtype=torch.bfloat16)
    with pytest.raises(TypeError):
        integer_layer(x, torch.zeros(4, 2), torch.zeros(4), torch.ones(4).double(), 1, 0, 255)
    with pytest.raises(TypeError):
        integer_layer(
            x.float(), torch.zeros(4, 2).double(), torch.zeros(4), torch.ones(4).double(), 1, 0, 255
        )


def test_earlier_blocks_must_be_whole(pair):
    z, q = inputs("random")
    features = pair[1].features(z, 6, 7)
    with pytest.raises(ValueError, match="whole"):
        pair[1].index(2, features, q[:, :12])
