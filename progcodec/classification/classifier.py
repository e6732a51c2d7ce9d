"""What a classifier is, how one is named, and how it is found by that name.

builtin                                      the network that comes with the package
builtin@mine.safetensors                     a classifier of ``train-classifier``
timm:resnet50                                any classifier of timm; timm fetches its weights
torchvision:resnet50@weights.pth             any classifier of torchvision, with weights from a file
timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5@weights.safetensors

All look at pictures: that of whatever prefix arrived, or a clean one.
"""

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from progcodec.arrays import Floats
from progcodec.errors import ClassifierError, HierarchyError
from progcodec.hierarchy.hierarchy import Hierarchy

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from progcodec.codec.codec import Codec
    from progcodec.codec.latent import Latent

BUILTIN = "builtin"
LIBRARIES = ("timm", "torchvision")
PREPROCESSING = ("mean", "std", "input_size", "crop_pct", "interpolation")
"""Options that say how the picture reaches the model, as timm calls them."""


class Classifier(Protocol):
    """Anything that says how likely each class is, given decoded prefixes or clean pictures.

    Attributes:
        name: for people.
        classes: number of its outputs.
    """

    name: str
    classes: int

    def probabilities(self, codec: "Codec", latents: "Sequence[Latent]") -> Floats:
        """(N, classes) float64 for N latents of one size that `codec` decoded; rows sum to 1."""
        ...

    def predict(self, pictures: "Sequence[Image]") -> Floats:
        """As :meth:`probabilities`, for clean RGB pictures of any sizes."""
        ...


class Specification(NamedTuple):
    """A classifier's name, taken apart: ``LIBRARY:MODEL?OPTION=VALUE&...@FILE``."""

    library: str
    model: str
    options: dict[str, Any]
    """The model's own keyword options."""
    preprocessing: dict[str, Any]
    file: str | None

    @classmethod
    def parse(cls, text: str) -> "Specification":
        """Raises ClassifierError if the text names no classifier."""
        front, at, file = text.partition("@")
        front, _, tail = front.partition("?")
        library, _, model = front.partition(":")
        if at and not file:
            raise ClassifierError(f"{text!r} names no file after its '@'")
        if front == BUILTIN and not tail:
            return cls(BUILTIN, "", {}, {}, file or None)
        if library not in LIBRARIES or not model:
            known = f"{BUILTIN}, " + ", ".join(f"{library}:NAME" for library in LIBRARIES)
            raise ClassifierError(
                f"unknown classifier {text!r}; there are: {known}, each with or without @FILE"
            )
        options = dict(_option(text, part) for part in tail.split("&") if part)
        preprocessing = {name: options.pop(name) for name in PREPROCESSING if name in options}
        return cls(library, model, options, preprocessing, file or None)

    @property
    def name(self) -> str:
        """Without options and file, as ``timm:resnet50``."""
        return f"{self.library}:{self.model}" if self.model else self.library


def load_classifier(spec: str | None, device: "str | torch.device" = "auto") -> Classifier:
    """The classifier of a name, or the built-in one. Raises ClassifierError."""
    from progcodec.classification.pixel import PixelClassifier

    return PixelClassifier.load(Specification.parse(spec or BUILTIN), device)


def check_fit(classifier: Classifier, hierarchy: Hierarchy) -> None:
    """Raises HierarchyError unless the hierarchy groups as many classes as the classifier knows."""
    if classifier.classes != len(hierarchy.classes):
        raise HierarchyError(
            f"{classifier.name} has {classifier.classes} classes, and the hierarchy "
            f"{len(hierarchy.classes)}"
        )


def _option(text: str, part: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not (name.isidentifier() and equals and value):
        raise ClassifierError(f"{text!r}: options look like ?NAME=VALUE&NAME=VALUE, not {part!r}")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value
