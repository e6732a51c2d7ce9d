"""A frozen picture classifier that gradients pass through, on their way to the codec.

decoded picture in [0, 1] ─clamp─ resize to its input ─ (x − mean)/std ─► classifier ─► logits
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.classification import libraries
from progcodec.classification.classifier import Specification
from progcodec.errors import ClassifierError
from progcodec.network.device import placed


class Input(NamedTuple):
    """How a classifier wants its pictures."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Teacher(nn.Module):
    """Logits (N, classes) float32 of pictures (N, 3, H, W).

    Always in eval mode; its weights take no gradient.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, model: nn.Module, wanted: Input) -> None:
        """Raises ClassifierError unless the model gives one row of classes for a picture."""
        super().__init__()
        self.name, self.size = name, (wanted.height, wanted.width)
        self.model = model.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(wanted.mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(wanted.std).reshape(-1, 1, 1))
        self.eval()
        try:
            with torch.no_grad():
                tried = self(torch.full((1, 3, *self.size), 0.5))
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise ClassifierError(
                f"{name} does not take a picture ({libraries.short(error)})"
            ) from error
        if tried.ndim != 2:
            raise ClassifierError(
                f"{name} is no classifier: it gives {tuple(tried.shape)} for one picture"
            )
        self.classes = tried.shape[1]

    @classmethod
    def load(cls, text: str, device: torch.device) -> "Teacher":
        """The classifier of a specification, ``timm:NAME?OPTION=VALUE@FILE`` or ``torchvision:…``.

        Raises ClassifierError.
        """
        spec = Specification.parse(text)
        loaded = libraries.load(spec)
        return placed(cls(spec.name, loaded.model, input_of(spec, loaded.preprocess)), device)

    def train(self, mode: bool = True) -> "Teacher":
        """Stays in eval mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(0, 1)  # what a decoder would store
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True, align_corners=False)
        logits: Tensor = self.model(
            ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        )
        return logits.float()


def input_of(spec: Specification, preprocess: object) -> Input:
    """From the preprocessing that the classifier's library gives it: that of timm is a list of
    steps, torchvision's one step.
    """
    steps: list[Any] = list(getattr(preprocess, "transforms", [preprocess]))
    names = {"mean": ["mean"], "std": ["std"], "size": ["size", "crop_size"]}  # the last one counts
    found: dict[str, Any] = {
        name: value
        for name, own in names.items()
        for step in steps
        for attribute in own
        if (value := getattr(step, attribute, None)) is not None
    }
    try:
        mean, std = (
            tuple(float(v) for v in torch.as_tensor(found[name]).flatten())
            for name in ("mean", "std")
        )
        size = found["size"]
        height, width = (size, size) if isinstance(size, int) else (tuple(size) * 2)[:2]
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(
            f"{spec.name}: its preprocessing does not say mean, std and size ({error})"
        ) from error
    return Input(int(height), int(width), mean, std)
