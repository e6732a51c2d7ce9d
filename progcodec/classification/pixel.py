"""A classifier of pictures: prefix ─► picture ─► as the model wants it ─► probabilities."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from progcodec.arrays import Floats
from progcodec.classification import libraries
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier import Specification
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.errors import ClassifierError
from progcodec.network.device import pick_device, placed, steadily

BATCH = 32
"""Pictures that go through the model together."""

Preprocess = Callable[[Image.Image], Tensor]
"""RGB picture of any size to (3, h, w) float32, the model's input."""


class PixelClassifier:
    """A classifier of pictures. See :class:`progcodec.classification.classifier.Classifier`."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        preprocess: Preprocess,
        device: str | torch.device = "auto",
        calibration: Calibration | None = None,
    ) -> None:
        """Tries the model on a grey picture, unless a calibration tells its classes (without one,
        probabilities are the softmax). Raises ClassifierError unless that gives a row of classes.
        """
        self.name = name
        self.calibration = calibration
        self.device = pick_device(device)
        self._model = placed(model.float(), self.device).eval().requires_grad_(False)
        self._preprocess = preprocess
        if calibration is not None:
            self.classes = calibration.groups.shape[1]
            return
        try:
            tried = self._outputs([Image.new("RGB", (64, 64), "grey")])
        except (RuntimeError, ValueError, TypeError, AssertionError, AttributeError) as error:
            raise ClassifierError(
                f"{name} does not take a picture ({libraries.short(error)})"
            ) from error
        if tried.ndim != 2 or len(tried) != 1:
            raise ClassifierError(
                f"{name} is no classifier: it gives {tuple(tried.shape)} for one picture"
            )
        self.classes = tried.shape[1]

    @classmethod
    def load(cls, spec: Specification, device: str | torch.device = "auto") -> "PixelClassifier":
        """The classifier of a name. Raises ClassifierError."""
        loaded = libraries.load(spec)
        return cls(spec.name, loaded.model, loaded.preprocess, device, loaded.calibration)

    def __repr__(self) -> str:
        return f"PixelClassifier({self.name!r}, {self.classes} classes, {self.device})"

    def probabilities(self, codec: Codec, latents: Sequence[Latent]) -> Floats:
        """(N, classes) float64 for N latents of one size; rows sum to 1. Raises ClassifierError."""
        rows = [np.empty((0, self.classes))]
        for start in range(0, len(latents), BATCH):
            part = latents[start : start + BATCH]
            bits = np.array([latent.bits for latent in part], np.float64)
            rows.append(self.predict(codec.synthesise(part), bits))
        return np.concatenate(rows)

    def predict(self, pictures: Sequence[Image.Image], bits: Floats | None = None) -> Floats:
        """As :meth:`probabilities`, for RGB pictures of any sizes, in one batch.

        Args:
            bits: received bits of each, (N,); None: these are clean pictures.
        """
        logits = self.logits(pictures)
        if self.calibration is None:
            return torch.softmax(torch.from_numpy(logits), dim=1).numpy()
        clean = np.full(len(pictures), np.inf)
        return self.calibration.probabilities(logits, clean if bits is None else bits)

    def logits(self, pictures: Sequence[Image.Image]) -> Floats:
        """(N, classes) float64, before calibration. Raises ClassifierError on outputs like NaN."""
        outputs = self._outputs(pictures).double()
        if not bool(torch.isfinite(outputs).all()):
            raise ClassifierError(
                f"{self.name} gives values that are no numbers; are its weights right?"
            )
        return outputs.cpu().numpy()

    @steadily
    def _outputs(self, pictures: Sequence[Image.Image]) -> Tensor:
        with torch.device("cpu"):  # whatever the program's default device and type are
            x = torch.stack([self._preprocess(picture) for picture in pictures])
        x = x.to(self.device, torch.float32)
        outputs = self._model(x.contiguous(memory_format=torch.channels_last))
        if not isinstance(outputs, Tensor):
            raise TypeError(f"it gives {type(outputs).__name__}")
        return outputs
