"""The built-in classifier: reads the latent of whatever prefix arrived, and decodes no picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from progcodec.arrays import Floats
from progcodec.classification.head_file import HeadFile, shipped
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.errors import ClassifierError

BATCH = 64
"""Latents that go through the head together."""


class LatentClassifier:
    """A classifier of latents. See :class:`progcodec.classification.classifier.Classifier`.

    Attributes:
        name: for people. classes: number of its outputs.
        codec: fingerprint, in hexadecimal, of the only checkpoint whose latents it reads.
        metadata: what it was trained on, its licence, how good it is.
    """

    def __init__(
        self, file: HeadFile, device: str | torch.device = "cpu", name: str = "builtin"
    ) -> None:
        """Raises ClassifierError if the weights do not fit the config."""
        self.name = name
        self.classes = file.config.classes
        self.codec = file.codec
        self.metadata = dict(file.metadata)
        self.calibration = file.calibration
        self._channels = file.config.latent_channels
        self._head = file.build().to(device)

    @classmethod
    def load(cls, codec: Codec, path: str | Path | None = None) -> "LatentClassifier":
        """From a file; None finds the shipped one for this codec.

        Raises:
            ClassifierError: none fits, or the file is damaged or reads another codec's latents.
        """
        wanted = codec.fingerprint.hex()
        file = HeadFile.load(shipped(wanted) if path is None else path)
        if file.codec != wanted:
            raise ClassifierError(
                f"{path or 'the classifier'}: reads latents of model {file.codec}, not of {wanted}"
            )
        if file.config.latent_channels != codec.config.latent_channels:
            raise ClassifierError(
                f"{path or 'the classifier'}: reads {file.config.latent_channels} latent channels"
            )
        return cls(file, codec.device, "builtin" if path is None else f"builtin@{path}")

    def __repr__(self) -> str:
        return f"LatentClassifier({self.name!r}, {self.classes} classes, model {self.codec})"

    def probabilities(self, codec: Codec, latents: Sequence[Latent]) -> Floats:
        """(N, classes) float64 for N latents of one size that `codec` decoded; rows sum to 1.

        Raises ClassifierError if this is another codec than the one it was trained for.
        """
        if codec.fingerprint.hex() != self.codec:
            raise ClassifierError(
                f"{self.name} reads latents of model {self.codec}, not of {codec.fingerprint.hex()}"
            )
        if not latents:
            return np.empty((0, self.classes))
        positions = np.array([latent.y.shape[2] * latent.y.shape[3] for latent in latents])
        bits = np.array([latent.bits for latent in latents]) / positions
        return self.calibration.probabilities(self.logits(latents), bits, positions)

    @torch.inference_mode()
    def logits(self, latents: Sequence[Latent]) -> Floats:
        """(N, classes) float32, before calibration."""
        rows = []
        for start in range(0, len(latents), BATCH):
            part = latents[start : start + BATCH]
            y = torch.cat([latent.y for latent in part])
            bits = torch.tensor(
                [latent.bits / (y.shape[2] * y.shape[3]) for latent in part], device=y.device
            )
            rows.append(self._head(y, bits).float().cpu().numpy())
        return np.concatenate(rows)
