"""compressai's models as peers, with weights from the user's files: ``compressai:bmshj2018-hyperprior@FILES``.

A file of weights is one quality, so a ladder is a glob of files, in the order of their names' numbers. Each is a state dict
(``.pth``, ``.pth.tar``, ``.safetensors``), bare or under ``state_dict``, as compressai publishes and saves them.

compressai returns strings and a shape, and has no file format. Here a picture's file is the least that its own decoder needs:

    setting · width · height · length of each string but the last (varints) · the strings
"""

import glob
import hashlib
import re
import warnings
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from progcodec.bitstream.container import read_varint, varint
from progcodec.errors import ClassifierError, EvaluationError
from progcodec.lab.evaluate.peers.base import Peer

PREFIX = "compressai:"


@lru_cache(maxsize=16)
def learned(key: str) -> "Learned":
    """The peer of ``compressai:MODEL@FILE``, or a glob of files. Loads nothing yet. Raises EvaluationError: no such file."""
    model, _, pattern = key.removeprefix(PREFIX).partition("@")
    files = sorted(glob.glob(pattern), key=_numbers)
    if not files:
        raise EvaluationError(f"{key!r} names no file of weights: {PREFIX}MODEL@FILE")
    return Learned(key, model, files)


class Learned(Peer):
    """One model at the qualities of its files, on the CPU in one thread. The settings count the files from 1."""

    def __init__(self, key: str, model: str, files: list[str]) -> None:
        self.key, self.name = key, model
        self.settings = tuple(float(n) for n in range(1, len(files) + 1))
        self._files = dict(zip(self.settings, files, strict=True))
        self._networks: dict[float, Any] = {}

    def library(self) -> str:
        try:
            import compressai
        except ImportError as error:
            raise EvaluationError(f"compressai is not installed ({error})") from None
        return f"compressai-{compressai.__version__}"

    def options(self) -> object:
        files = (Path(file).read_bytes() for file in self._files.values())
        return self.name, [hashlib.sha256(file).hexdigest()[:8] for file in files]

    def check(self) -> None:
        for setting in self.settings:
            self._network(setting)

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        import torch

        network = self._network(setting)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        right, bottom = (-side % network.downsampling_factor for side in picture.size)
        with torch.inference_mode():
            padded = torch.nn.functional.pad(pixels, (0, right, 0, bottom), mode="replicate")
            strings = [string for (string,) in network.compress(padded)["strings"]]
        numbers = (int(setting), *picture.size, *map(len, strings[:-1]))
        return b"".join((*map(varint, numbers), *strings))

    def decode(self, data: bytes) -> Image.Image:
        """Of a whole file alone: compressai's decoder reads past the end of a shortened one."""
        import torch

        place, numbers = 0, []
        for _ in range(3 if "factorized" in self.name else 4):
            number, place = read_varint(data, place)
            numbers.append(number or 0)
        quality, width, height, *lengths = numbers
        network = self._network(float(quality))
        ends = [place, *(place + length for length in lengths), len(data)]
        strings = [[data[start:end]] for start, end in pairwise(ends)]
        shape = tuple(-(-side // network.downsampling_factor) for side in (height, width))
        with torch.inference_mode():
            shown = network.decompress(strings, shape)["x_hat"][0, :, :height, :width]
        return Image.fromarray((shown.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())

    def _network(self, setting: float) -> Any:
        if setting not in self._networks:
            self._networks[setting] = _load(self.name, self._files[setting])
        return self._networks[setting]


def _load(model: str, file: str) -> Any:
    from progcodec.classification.libraries import read_weights

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from compressai.zoo import load_state_dict
        from compressai.zoo.image import model_architectures

    if model not in model_architectures:
        known = ", ".join(model_architectures)
        raise EvaluationError(f"compressai has no model {model!r}; there are: {known}")
    try:
        network = model_architectures[model].from_state_dict(load_state_dict(read_weights(file)))
    except (KeyError, IndexError, RuntimeError, ValueError, ClassifierError) as error:
        raise EvaluationError(f"{file}: no weights of {model} ({type(error).__name__})") from None
    network.update()  # the coder's tables, where the file holds none
    return network.eval()


def _numbers(name: str) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d+", Path(name).name)], name
