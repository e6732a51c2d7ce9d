"""A latent head as a file: safetensors with half-precision weights, the calibration, the config, and what it came from."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from progcodec import assets
from progcodec.classification.calibration import Calibration
from progcodec.errors import ClassifierError
from progcodec.network import weights_file
from progcodec.network.head import HeadConfig, LatentHead

FORMAT = "progcodec-latent-head-1"
FOLDER = assets.FOLDER / "classifiers"
"""The heads that come with the package."""
PREFIX = "calibration."
OWN = ("format", "config", "codec", "digest")
"""What a file's metadata hold beside free text."""


@dataclass(frozen=True)
class HeadFile:
    """The content of a head's file.

    Attributes:
        config: shape of the head. tensors: its weights, by name. calibration: of its logits.
        codec: fingerprint of the checkpoint whose latents it reads, in hexadecimal.
        metadata: free text: data, steps, licence, the classes that had labels, accuracy.
    """

    config: HeadConfig
    tensors: dict[str, Tensor]
    calibration: Calibration
    codec: str
    metadata: dict[str, str] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Writes the file whole or not at all."""
        tensors = {
            name: tensor.detach().cpu().half().contiguous() for name, tensor in self.tensors.items()
        }
        tensors |= {f"{PREFIX}groups": torch.from_numpy(self.calibration.groups.astype(np.int16))}
        for name in ("knots", "log_temperature", "size_slope"):
            tensors[PREFIX + name] = torch.from_numpy(
                getattr(self.calibration, name).astype(np.float32)
            )
        config = json.dumps(self.config.to_dict(), sort_keys=True)
        metadata = {**self.metadata, "format": FORMAT, "config": config, "codec": self.codec}
        metadata["digest"] = _digest(tensors, config, self.codec)
        weights_file.write(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "HeadFile":
        """Reads and checks a file. Raises ClassifierError on anything but a sound head."""
        metadata, tensors = weights_file.read(path, "classifier", ClassifierError)
        if metadata.get("format") != FORMAT:
            raise ClassifierError(f"{path}: not a classifier of this package")
        if metadata.get("digest") != _digest(
            tensors, metadata.get("config", ""), metadata.get("codec", "")
        ):
            raise ClassifierError(
                f"{path}: damaged classifier (its digest does not match its content)"
            )
        try:
            config = HeadConfig.from_dict(json.loads(metadata["config"]))
            arrays: dict[str, Any] = {
                name: tensors.pop(PREFIX + name)
                .numpy()
                .astype(np.int64 if name == "groups" else np.float64)
                for name in ("groups", "knots", "log_temperature", "size_slope")
            }
            loaded = cls(config, tensors, Calibration(**arrays), metadata["codec"])
        except (KeyError, TypeError, ValueError, RecursionError, ClassifierError) as error:
            raise ClassifierError(
                f"{path}: unusable config or calibration in the classifier ({weights_file.one_line(error)})"
            ) from None
        loaded.metadata.update({name: text for name, text in metadata.items() if name not in OWN})
        return loaded

    def build(self) -> LatentHead:
        """The head in float32, on the CPU, in evaluation mode. Raises ClassifierError if the weights do not fit."""
        try:
            weights_file.check_fit(
                lambda: LatentHead(self.config),
                self.config.depth + self.config.inner_depth,
                self.tensors,
            )
            head = LatentHead(self.config)
            head.load_state_dict({name: tensor.float() for name, tensor in self.tensors.items()})
        except (RuntimeError, ValueError) as error:
            raise ClassifierError(
                f"the classifier's weights do not fit its config: {weights_file.one_line(error)}"
            ) from None
        if self.calibration.groups.shape[1] != self.config.classes:
            raise ClassifierError("the classifier's calibration is for another number of classes")
        return head.eval().requires_grad_(False)


def shipped(codec: str) -> Path:
    """The head in the package that reads latents of this checkpoint. Raises ClassifierError if there is none."""
    for path in sorted(FOLDER.glob("*.safetensors")):
        if assets.metadata(path).get("codec") == codec:
            return path
    raise ClassifierError(
        f"no built-in classifier comes with model {codec}; train one, or name a classifier of pictures"
    )


def _digest(tensors: dict[str, Tensor], config: str, codec: str) -> str:
    return weights_file.digest(f"{config}:{codec}", tensors).hex()[:16]
