"""A classifier as a file: half-precision weights, the calibration, and what it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from progcodec import assets
from progcodec.classification.calibration import Calibration
from progcodec.errors import ClassifierError
from progcodec.network import weights_file
from progcodec.network.efficientnet import NAME, EfficientNetLite
from progcodec.network.weights_file import one_line

FORMAT = "progcodec-classifier-1"
SHIPPED = assets.FOLDER / "classifiers" / f"{NAME}.safetensors"
"""The built-in classifier."""
PREFIX = "calibration."
TABLES = ("groups", "knots", "log_temperature")
OWN = ("format", "network", "digest")
"""What a file's metadata hold beside free text."""


@dataclass(frozen=True)
class ClassifierFile:
    """The content of a classifier's file.

    Attributes:
        network: NAME, or a network of timm with its options: ``timm:resnet50?num_classes=1000``.
        tensors: its weights, by name. calibration: of its logits.
        metadata: free text: origin, data, steps, licence, accuracy.
    """

    network: str
    tensors: dict[str, Tensor]
    calibration: Calibration
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        return self.calibration.groups.shape[1]

    def save(self, path: str | Path) -> None:
        """Writes the file whole or not at all."""
        tensors = {name: _stored(tensor) for name, tensor in self.tensors.items()}
        for name in TABLES:
            array = getattr(self.calibration, name)
            array = array.astype(np.int16 if name == "groups" else np.float32)
            tensors[PREFIX + name] = torch.from_numpy(array)
        metadata = {**self.metadata, "format": FORMAT, "network": self.network}
        metadata["digest"] = mark_of(self.network, tensors)
        weights_file.write(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "ClassifierFile":
        """Reads and checks a file. Raises ClassifierError on anything but a sound classifier."""
        metadata, tensors = weights_file.read(path, "classifier", ClassifierError)
        if metadata.get("format") != FORMAT:
            raise ClassifierError(
                f"{path}: not a classifier of this package; weights of a library's network "
                f"are named with it: timm:MODEL@{path}"
            )
        network = metadata.get("network", "")
        if metadata.get("digest") != mark_of(network, tensors):
            raise ClassifierError(
                f"{path}: damaged classifier (its digest does not match its content)"
            )
        try:
            groups, knots, temperatures = (tensors.pop(PREFIX + name).numpy() for name in TABLES)
            calibration = Calibration(
                groups.astype(np.int64), knots.astype(np.float64), temperatures.astype(np.float64)
            )
        except (KeyError, TypeError, ValueError, ClassifierError) as error:
            reason = f"unusable calibration in the classifier ({one_line(error)})"
            raise ClassifierError(f"{path}: {reason}") from None
        text = {name: value for name, value in metadata.items() if name not in OWN}
        return cls(network, tensors, calibration, text)

    def build(self) -> EfficientNetLite:
        """The network, float32, on the CPU, for evaluation. Raises ClassifierError if unfit."""
        try:
            network = weights_file.build(lambda: EfficientNetLite(self.classes), 1, self.tensors)
        except ValueError as error:
            reason = f"the classifier's weights do not fit its network: {one_line(error)}"
            raise ClassifierError(reason) from None
        return network.eval().requires_grad_(False)


def _stored(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return tensor.half() if tensor.is_floating_point() else tensor


def mark_of(network: str, tensors: Mapping[str, Tensor]) -> str:
    """What a file says its content's digest is."""
    return weights_file.digest(network, tensors).hex()[:16]
