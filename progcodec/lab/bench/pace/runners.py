"""Codecs that race: each from a uint8 array to bytes (or what it calls so) and back."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image

from progcodec.arrays import Pixels
from progcodec.codec.codec import Codec
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders.registry import CODERS, choose

PEER_PADDING = 64
CLASSIC_SETTINGS = {"jpeg": 46, "webp": 62, "jpeg2000": 0.9, "avif": 60, "jpegxl": 2.6}
"""Rate settings near the fine end of our files, by the keys of ``coders.registry``."""


class Runner(Protocol):
    name: str

    def encode(self, pixels: Pixels) -> Any: ...

    def decode(self, coded: Any) -> Any: ...


class Ours:
    name = "progcodec"

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def encode(self, pixels: Pixels) -> bytes:
        return self._codec.encode(pixels, max_pixels=pixels.size)

    def decode(self, coded: bytes) -> Image.Image:
        return self._codec.decode(coded, max_pixels=1 << 40)


class Learned:
    """A model of compressai with random weights: for times alone. A trained one has more to code, which only takes longer."""

    def __init__(self, name: str, build: Callable[[], Any]) -> None:
        self.name = name
        torch.manual_seed(0)
        self._model = build().eval()
        self._model.update(force=True)

    @torch.inference_mode()
    def encode(self, pixels: Pixels) -> dict[str, Any]:
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        bottom, right = (-side % PEER_PADDING for side in pixels.shape[:2])
        coded: dict[str, Any] = self._model.compress(
            torch.nn.functional.pad(image, (0, right, 0, bottom), mode="replicate")
        )
        return coded

    @torch.inference_mode()
    def decode(self, coded: dict[str, Any]) -> Pixels:
        image = self._model.decompress(coded["strings"], coded["shape"])["x_hat"][0]
        pixels: Pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        return pixels


class Classic:
    """A peer of the evaluation at one setting, in one thread."""

    def __init__(self, key: str) -> None:
        self._coder, self._setting = CODERS[key], CLASSIC_SETTINGS[key]
        self.name = self._coder.name

    def encode(self, pixels: Pixels) -> bytes:
        return self._coder.encode(Image.fromarray(pixels), self._setting, 1.0)

    def decode(self, coded: bytes) -> Image.Image:
        return self._coder.decode(coded)


class Field(NamedTuple):
    runners: list[Runner]
    missing: list[str]
    """A line for each that cannot run here: its name, and why."""


def learned() -> dict[str, Callable[[], torch.nn.Module]]:
    """compressai's models by name, as builders. Raises EvaluationError without compressai."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            from compressai.models import Elic2022Official
            from compressai.zoo import bmshj2018_hyperprior, mbt2018_mean
    except ImportError as error:
        raise EvaluationError(
            f"comparing speed needs an extra: pip install 'progcodec[evaluate]' ({error})"
        ) from None
    return {
        "bmshj2018_hyperprior(quality=8)": lambda: bmshj2018_hyperprior(quality=8),
        "mbt2018_mean(quality=8)": lambda: mbt2018_mean(quality=8),
        "ELIC (compressai's Elic2022Official)": Elic2022Official,
    }


def field(codec: Codec, everyone: bool) -> Field:
    """Ours first. ``everyone``: all of compressai's three and the classic codecs; else its hyperprior alone."""
    builders = learned()
    names = list(builders) if everyone else list(builders)[:1]
    runners: list[Runner] = [Ours(codec), *(Learned(name, builders[name]) for name in names)]
    missing: list[str] = []
    if everyone:
        choice = choose(",".join(CLASSIC_SETTINGS))
        runners += [Classic(coder.key) for coder in choice.coders]
        missing += choice.missing
    return Field(runners, missing)
