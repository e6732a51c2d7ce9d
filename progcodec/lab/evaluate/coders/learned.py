"""compressai's models as peers, with weights from files that the user has: ``compressai:bmshj2018-hyperprior@FILE``.

A file of weights is one quality, so a ladder is as many files: several specifications of one model, or a glob. Each file is
a state dict (``.pth``, ``.pth.tar``, ``.safetensors``), bare or under ``state_dict``, as compressai publishes and saves them.

compressai returns strings and a shape, and has no file format. Here a picture's file is the least that its own decoder needs:

    setting (varint) · width (varint) · height (varint) · length of each string but the last (varint) · the strings

Such a file decodes whole or not at all: compressai's rANS decoder reads past the end of a shortened buffer, so a cut is never
given to it, and counts as no answer.
"""

import glob
import hashlib
import re
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from progcodec.bitstream.container import read_varint, varint
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders.base import Coder, UndecodableError

PREFIX = "compressai:"
MODELS = {
    "bmshj2018-factorized": "FactorizedPrior",
    "bmshj2018-factorized-relu": "FactorizedPriorReLU",
    "bmshj2018-hyperprior": "ScaleHyperprior",
    "mbt2018-mean": "MeanScaleHyperprior",
    "mbt2018": "JointAutoregressiveHierarchicalPriors",
    "cheng2020-anchor": "Cheng2020Anchor",
    "cheng2020-attn": "Cheng2020Attention",
}
"""By the names of compressai's zoo: the classes of ``compressai.models``."""
QUALITY_IN_NAME = re.compile(
    r"(?:quality|q)[-_=]?(\d+)(?!\d)|-(\d+)-[0-9a-f]{8}(?![0-9a-f])", re.IGNORECASE
)
"""``…-q3.pth``, ``quality_3.safetensors``, or as compressai publishes them: ``bmshj2018-hyperprior-3-6d87be32.pth.tar``."""
NOT_KNOWN = 1


class Weights(NamedTuple):
    """A file, and the quality that it was trained for: the setting by which it is named in the rows."""

    file: str
    quality: int


def is_learned(key: str) -> bool:
    """Whether a peer's key names files for a model of compressai."""
    return key.startswith(PREFIX)


@lru_cache(maxsize=16)
def learned(key: str) -> "Learned":
    """The peer of one model's specifications with commas between. Loads nothing yet.

    Raises EvaluationError: no such model or file, a quality that is given twice.
    """
    found: dict[str, list[Weights]] = {}
    for spec in key.split(","):
        model, weights = _parse(spec)
        found.setdefault(model, []).extend(weights)
    if len(found) != 1:
        raise EvaluationError(f"{key!r} mixes models; a peer is one of them")
    ((model, weights),) = found.items()
    ladder = sorted(weights, key=lambda one: one.quality)
    for one, other in pairwise(ladder):
        if one.quality == other.quality:
            raise EvaluationError(
                f"{Path(one.file).name} and {Path(other.file).name} both count as quality {one.quality}; tell them apart with ?quality=N"
            )
    return Learned(key, model, tuple(ladder))


def grouped(specs: list[str]) -> list[str]:
    """Keys of peers: the specifications of each model, joined. Raises EvaluationError as :func:`learned`."""
    by_model: dict[str, list[str]] = {}
    for spec in specs:
        by_model.setdefault(_parse(spec)[0], []).append(spec)
    return [",".join(dict.fromkeys(own)) for own in by_model.values()]


class Learned(Coder):
    """One model at the qualities of its files, on the CPU in one thread.

    The settings are qualities. A cut gives nothing before the whole file is there.
    """

    def __init__(self, key: str, model: str, weights: tuple[Weights, ...]) -> None:
        self.key, self.name = key, model
        self.settings = tuple(float(one.quality) for one in weights)
        self._files = {float(one.quality): one.file for one in weights}
        self._networks: dict[float, Any] = {}

    def library(self) -> str:
        return f"compressai-{_compressai().__version__}"

    def options(self) -> object:
        return self.name, self._digests

    @cached_property
    def _digests(self) -> tuple[str, ...]:
        return tuple(hashlib.sha256(_read(file)).hexdigest()[:8] for file in self._files.values())

    def check(self) -> None:
        """Loads every file. Raises EvaluationError if one holds no weights of this model."""
        for setting in self.settings:
            self._network(setting)

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        import torch

        network = self._network(setting)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        right, bottom = (padded(side, network) - side for side in picture.size)
        with torch.inference_mode():
            coded = network.compress(
                torch.nn.functional.pad(pixels, (0, right, 0, bottom), mode="replicate")
            )
        strings = [string for (string,) in coded["strings"]]
        numbers = (int(setting), *picture.size, *map(len, strings[:-1]))
        return b"".join((*map(varint, numbers), *strings))

    def decode(self, data: bytes) -> Image.Image:
        """Of a whole file alone: one that lacks its end may end the process."""
        import torch

        (quality, width, height), place = _numbers(data, 0, 3)
        network = self._network(float(quality))
        lengths, place = _numbers(
            data, place, 0 if self.name.startswith("bmshj2018-factorized") else 1
        )
        strings = []
        for length in (*lengths, None):
            end = len(data) if length is None else place + length
            strings.append([data[place:end]])
            place = end
        shape = tuple(
            padded(side, network) // network.downsampling_factor for side in (height, width)
        )
        with torch.inference_mode():
            shown = network.decompress(strings, shape)["x_hat"][0, :, :height, :width]
        return Image.fromarray((shown.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        return self.encode(picture, self.settings[-1], 1)

    def decode_cut(self, data: bytes) -> Image.Image:
        raise UndecodableError("a cut stream of an rANS coder cannot be decoded")

    def _network(self, setting: float) -> Any:
        if setting not in self._networks:
            self._networks[setting] = _load(self.name, self._files[setting])
        return self._networks[setting]


def padded(side: int, network: Any) -> int:
    """The next side that a network takes, in pixels."""
    factor: int = network.downsampling_factor
    return side + -side % factor


def _numbers(data: bytes, place: int, count: int) -> tuple[list[int], int]:
    found = []
    for _ in range(count):
        number, place = read_varint(data, place)
        if number is None:
            raise UndecodableError("the head of the file is torn")
        found.append(number)
    return found, place


def _parse(spec: str) -> tuple[str, list[Weights]]:
    """``compressai:MODEL[?quality=N]@FILE`` to the model and its files."""
    front, _, file = spec.partition("@")
    model, asked, option = front.removeprefix(PREFIX).partition("?")
    if model not in MODELS:
        raise EvaluationError(
            f"{spec!r}: compressai has no model {model!r} here; there are: {', '.join(MODELS)}"
        )
    if not file:
        raise EvaluationError(f"{spec!r} needs a file of weights: {PREFIX}{model}@FILE")
    name, _, number = option.partition("=")
    if asked and (name != "quality" or not re.fullmatch(r"\d{1,3}", number)):
        raise EvaluationError(f"{spec!r}: the one option is ?quality=N, not {option!r}")
    files = (
        [file]
        if Path(file).is_file()
        else sorted(match for match in glob.glob(file) if Path(match).is_file())
    )
    if not files:
        raise EvaluationError(f"{file}: no such file of weights, nor a match")
    if asked and len(files) > 1:
        raise EvaluationError(f"{spec!r}: one quality for {len(files)} files")
    return model, [Weights(one, int(number) if asked else _quality(model, one)) for one in files]


def _quality(model: str, file: str) -> int:
    """What the file's name says; else the lowest quality that compressai trained with the file's channels."""
    said = QUALITY_IN_NAME.search(Path(file).name)
    if said:
        return int(said[1] or said[2])
    from compressai.zoo.image import cfgs

    state = _state(file)
    last = "g_a.6.weight"
    channels = tuple(len(state[name]) for name in ("g_a.0.weight", last) if name in state)
    return next((quality for quality, known in cfgs[model].items() if known == channels), NOT_KNOWN)


def _compressai() -> Any:
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            import compressai
            import compressai.models
    except ImportError as error:
        raise EvaluationError(f"compressai is not installed ({error})") from None
    return compressai


def _load(model: str, file: str) -> Any:
    state = _state(file)
    try:
        network = getattr(_compressai().models, MODELS[model]).from_state_dict(state)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise EvaluationError(
            f"{file}: no weights of {model}: {str(error).splitlines()[0]}"
        ) from None
    network.update()  # the coder's tables, where the file holds none
    return network.eval()


def _state(file: str) -> dict[str, Any]:
    """The tensors by compressai's names of today."""
    import torch
    from safetensors.torch import load

    _compressai()
    from compressai.zoo import load_state_dict

    try:
        if file.endswith(".safetensors"):
            state: Any = load(_read(file))
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except EvaluationError:
        raise
    except Exception as error:  # noqa: BLE001  the refusals of two formats have many shapes, some without words
        raise EvaluationError(f"{file}: not a file of weights ({type(error).__name__})") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise EvaluationError(f"{file}: not a state dict")
    renamed: dict[str, Any] = load_state_dict(state)
    return renamed


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise EvaluationError(f"{file}: {error.strerror or error}") from None
