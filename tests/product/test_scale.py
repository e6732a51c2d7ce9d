"""The integer scale path: exact against plain int64, the same in training and after export, within
its bounds.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

from progcodec.config import ModelConfig
from progcodec.network.checkpoint import freeze
from progcodec.network.scale import (
    ACCUMULATOR_LIMIT,
    ACTIVATION_MAX,
    INDEX_RANGE,
    MAGNITUDE_TABLE,
    FrozenConv,
    IntegerConv,
    ScalePath,
    integer_layer,
    magnitude,
)

CONFIG = ModelConfig(width=16, depth=1, inner_width=24, inner_depth=1, blocks=(12, 8, 8),
    hyper_channels=8,
                     mean_width=16, scale_width=16)  # fmt: skip


def reference_layer(x, weight, bias, multiplier, kernel, low, high):
    """The same layer in int64 numpy, one output position at a time."""
    _, height, width = x.shape
    pad = kernel // 2
    padded = np.pad(x.astype(np.int64), ((0, 0), (pad, pad), (pad, pad)))
    out = np.empty((len(weight), height, width), np.int64)
    for row in range(height):
        for column in range(width):
            window = padded[:, row : row + kernel, column : column + kernel].reshape(-1)
            accumulator = weight.astype(np.int64) @ window + bias
            out[:, row, column] = (accumulator * multiplier + (1 << 23)) >> 24
    return np.clip(out, low, high)


def reference_indexes(
    path: ScalePath, z: np.ndarray, q: np.ndarray, height: int, width: int
) -> np.ndarray:
    def run(layer: FrozenConv, x: np.ndarray) -> np.ndarray:
        tensors = (
            layer.weight.numpy(),
            layer.bias.numpy().astype(np.int64),
            layer.multiplier.numpy().astype(np.int64),
        )
        return reference_layer(x, *tensors, layer.kernel, layer.low, layer.high)

    def shuffle(x: np.ndarray) -> np.ndarray:
        c, h, w = x.shape
        return x.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * w)

    x = z
    for layer in path.up:
        x = shuffle(run(layer, x))
    features = run(path.body, x[:, :height, :width])
    base = run(path.base, features) + 16 * 24
    result = []
    for k in range(len(path.offsets) - 1):
        total = base[path.offsets[k] : path.offsets[k + 1]]
        if k:
            loudness = np.array(MAGNITUDE_TABLE)[np.abs(q[: path.offsets[k]])]
            x = np.concatenate((features, loudness))
            for layer in path.delta[k - 1]:
                x = run(layer, x)
            total = total + x
        result.append(np.clip((total + 8) >> 4, 0, 63))
    return np.concatenate(result)


def indexes(
    path: ScalePath, z: torch.Tensor, q: torch.Tensor, height: int, width: int
) -> torch.Tensor:
    features = path.features(z, height, width)
    starts = path.offsets
    return torch.cat(
        [path.index(k, features, q[:, : starts[k]] if k else None) for k in range(len(starts) - 1)],
        1,
    )


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


def inputs(
    case: str, batch: int = 1, height: int = 6, width: int = 7
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = (batch, 8, 2, 2), (batch, 28, height, width)
    if case == "random":
        return tuple(torch.randint(-127, 128, s, generator=generator).float() for s in shapes)
    value = {"zeros": 0.0, "highest": 127.0, "lowest": -127.0, "alternating": 127.0}[case]
    tensors = tuple(torch.full(s, value, dtype=torch.float32) for s in shapes)
    if case == "alternating":
        for tensor in tensors:
            tensor.view(-1)[::2] *= -1
    return tensors


@pytest.mark.parametrize("case", CASES)
def test_equals_plain_int64(pair, case):
    z, q = inputs(case)
    got = indexes(pair[1], z, q, 6, 7)[0].numpy()
    expected = reference_indexes(
        pair[1], z[0].numpy().astype(np.int64), q[0].numpy().astype(np.int64), 6, 7
    )
    np.testing.assert_array_equal(got, expected)


def test_random_inputs_use_many_indexes(pair):
    z, q = inputs("random")
    assert len(indexes(pair[1], z, q, 6, 7).unique()) > 20


@pytest.mark.parametrize("case", CASES)
def test_training_forward_is_the_exported_one(pair, case):
    z, q = inputs(case)
    trained = indexes(pair[0], z, q, 6, 7)
    assert trained.requires_grad
    torch.testing.assert_close(trained.detach(), indexes(pair[1], z, q, 6, 7), rtol=0, atol=0)


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
    tensors = (
        layer.weight.numpy(),
        layer.bias.numpy().astype(np.int64),
        layer.multiplier.numpy().astype(np.int64),
    )
    expected = reference_layer(x[0].numpy().astype(np.int64), *tensors, 3, 0, 255)
    assert len(np.unique(expected)) > 30
    np.testing.assert_array_equal(layer(x)[0].numpy(), expected)


def test_batches_and_threads_change_nothing(pair):
    z, q = inputs("random", batch=4)
    whole = indexes(pair[1], z, q, 6, 7)
    single = torch.cat([indexes(pair[1], z[i : i + 1], q[i : i + 1], 6, 7) for i in range(4)])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = indexes(pair[1], z, q, 6, 7)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(whole, single) and torch.equal(whole, alone)


def test_gradients_reach_every_weight(pair):
    z, q = inputs("random")
    z = z.float().requires_grad_()
    indexes(pair[0], z, q.float(), 6, 7).sum().backward()
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


def test_a_checkpoint_over_the_limit_is_refused():
    layer = FrozenConv(96, 4, 3)
    layer.weight.fill_(127)
    layer.multiplier.fill_(1)
    with pytest.raises(ValueError, match="2\\^24"):
        layer.check()


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


def test_magnitudes_are_eight_bit_and_grow():
    assert MAGNITUDE_TABLE[0] == 0 and MAGNITUDE_TABLE[1] == 16 and MAGNITUDE_TABLE[127] == 112
    assert all(a <= b for a, b in pairwise(MAGNITUDE_TABLE))
    assert magnitude(torch.tensor([-3.0, 3.0])).tolist() == [32.0, 32.0]


def test_index_range_leaves_room_for_every_index():
    assert INDEX_RANGE[0] <= -16 * 63 and INDEX_RANGE[1] >= 16 * 63
