"""The classifier's network: timm's, without timm."""

import pytest
import torch

from progcodec.lab.train.start import folded
from progcodec.network.efficientnet import NAME, EfficientNetLite


@pytest.fixture(scope="module")
def theirs():
    """timm's network with random weights and statistics."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(NAME, num_classes=7).eval()
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(std=0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    return network


@pytest.fixture(scope="module")
def ours(theirs):
    network = EfficientNetLite(7)
    # Other names, the same order: so do the weights come that others converted.
    network.load_state_dict(folded({f"x{n}": v for n, v in enumerate(_floats(theirs))}))
    return network.eval()


def _floats(network):
    return [v for name, v in network.state_dict().items() if "num_batches" not in name]


@torch.no_grad()
@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_equals_timms(theirs, ours, size):
    x = torch.rand(2, 3, *size) * 2 - 1
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)
    features = ours.forward_head(ours.forward_features(x), pre_logits=True)
    wanted = theirs.forward_head(theirs.forward_features(x), pre_logits=True)
    torch.testing.assert_close(features, wanted, atol=1e-4, rtol=1e-4)


def test_gradients_are_timms(theirs, ours):
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(
        ours.classifier.weight.grad, theirs.classifier.weight.grad, atol=1e-3, rtol=1e-3
    )
    wanted = theirs.bn1.bias.grad
    torch.testing.assert_close(ours.stem.bias.grad, wanted, atol=1e-3, rtol=1e-3)


def test_weights_of_another_network_are_refused(theirs):
    tensors = _floats(theirs)
    for wrong in ([], tensors[:-1], [tensors[-1], *tensors[:-1]]):
        with pytest.raises(ValueError, match="tensors are not those"):
            folded({str(n): value for n, value in enumerate(wrong)})
