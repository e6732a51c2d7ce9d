"""Networks with weights and what pictures go through first: the built-in one, those of timm and
torchvision, those of files.

Networks of timm and torchvision have their own preprocessing, and weights from a file or, if none
is named, theirs.

Downloads are the libraries' own, and happen only here, when a name comes without a file.
"""

import contextlib
import difflib
import io
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier import BUILTIN, Specification
from progcodec.classification.classifier_file import SHIPPED, ClassifierFile
from progcodec.errors import ClassifierError, in_one_line
from progcodec.network.efficientnet import NAME

REASON_MAX = 160
"""Characters of another library's message that are passed on."""
NESTED = ("state_dict", "model")
"""Names under which training programs store a state dict inside their files."""
SPEC_MAX = 200
SAFE_OPTIONS = {"num_classes", "pad_type"}
"""Options that a classifier's file may name: others of timm's fetch files, or read them."""
INPUT_MAX, CROP_MIN = 1024, 0.25
"""Limits of what it may say about the input: the side in pixels, and its share of the picture."""
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
PARALLEL_PREFIX = "module."
"""What torch's data parallelism puts before every name."""


class Loaded(NamedTuple):
    """`preprocess` makes (3, h, w) float32 of any RGB picture; `calibration` is of the logits."""

    model: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Square:
    """The built-in network's preprocessing: the central square, at so many pixels a side."""

    size: int = 256
    mean: float = 127 / 255
    std: float = 128 / 255

    def __call__(self, picture: Image.Image) -> Tensor:
        side = min(picture.size)
        left, top = ((length - side) / 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        square = picture.resize((self.size, self.size), Image.Resampling.BICUBIC, box)
        x = torch.from_numpy(np.array(square)).permute(2, 0, 1).float()
        return x.div_(255).sub_(self.mean).div_(self.std)


def load(spec: Specification) -> Loaded:
    """The model that a specification names, with weights and preprocessing. Raises ClassifierError:
    no library, no such model, unfit options or weights, a failed download.
    """
    if spec.library == BUILTIN:
        return _load_own(ClassifierFile.load(spec.file or SHIPPED), spec.file)
    return _load_timm(spec) if spec.library == "timm" else _load_torchvision(spec)


def short(error: BaseException) -> str:
    """Another library's message in one short line."""
    text = in_one_line(error)
    return text if len(text) <= REASON_MAX else text[: REASON_MAX - 1] + "…"


def read_weights(file: str) -> dict[str, Tensor]:
    """A state dict of safetensors or torch, whose code is not run. Raises ClassifierError."""
    try:
        if file.endswith(".safetensors"):
            from safetensors.torch import load_file

            state: Any = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ClassifierError(f"{file}: no such file") from None
    except Exception as error:  # A file that is none of these breaks readers in many ways.
        raise ClassifierError(f"{file}: cannot be read as weights ({short(error)})") from error
    for name in NESTED:
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, Tensor) for value in state.values())
    ):
        raise ClassifierError(f"{file}: holds no state dict")
    if all(name.startswith(PARALLEL_PREFIX) for name in state):
        state = {name.removeprefix(PARALLEL_PREFIX): value for name, value in state.items()}
    weights: dict[str, Tensor] = state
    return weights


def _load_own(file: ClassifierFile, path: str | None) -> Loaded:
    if file.network == NAME:
        return Loaded(file.build(), Square(), file.calibration)
    spec = Specification.parse(file.network[:SPEC_MAX])
    size, share = (spec.preprocessing.get(name, 1) for name in ("input_size", "crop_pct"))
    numbers = all(isinstance(number, int | float) for number in (size, share))
    within = numbers and size <= INPUT_MAX and share >= CROP_MIN
    if spec.library != "timm" or not spec.options.keys() <= SAFE_OPTIONS or not within:
        raise ClassifierError(f"{path}: its network, {spec.name}, is none that a file may name")
    if spec.options.get("num_classes", file.classes) != file.classes:
        raise ClassifierError(f"{path}: its network has another number of classes than its groups")
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in file.tensors.items()
    }
    return _load_timm(spec._replace(file=path), state)._replace(calibration=file.calibration)


def _load_timm(spec: Specification, state: dict[str, Tensor] | None = None) -> Loaded:
    timm = _library(spec)
    if not timm.is_model(spec.model):
        raise _unknown(spec, timm.list_models())
    create = partial(timm.create_model, spec.model)
    if state is not None:  # what a file names must be no larger than the file: it is drawn first
        drawn = {name: tensor.to("meta") for name, tensor in state.items()}
        _build(spec, create, {}, drawn, "meta")
    model = _build(spec, create, {"pretrained": True}, state)
    # In timm's own terms: what was overridden here comes before what the weights were trained with.
    overrides = _overrides(spec)
    if "input_size" in overrides:
        overrides["input_size"] = (3, overrides["input_size"], overrides["input_size"])
    config = timm.data.resolve_data_config(overrides, model=model)
    return Loaded(model, timm.data.create_transform(**config))


def _load_torchvision(spec: Specification) -> Loaded:
    models = _library(spec).models
    known = models.list_models(module=models)
    if spec.model not in known:
        raise _unknown(spec, known)
    weights = models.get_model_weights(spec.model).DEFAULT
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    download = {"weights": weights, "progress": on_terminal}
    model = _build(spec, partial(models.get_model, spec.model), download)
    return Loaded(model, _torchvision_transform(spec, weights.transforms))


def _torchvision_transform(
    spec: Specification, transforms: Callable[..., Any]
) -> Callable[[Image.Image], Tensor]:
    chosen, overrides = transforms(), _overrides(spec)
    if "interpolation" in overrides:
        modes = import_module("torchvision.transforms").InterpolationMode
        overrides["interpolation"] = modes(overrides["interpolation"])
    size = overrides.pop("input_size", chosen.crop_size[0])
    share = overrides.pop("crop_pct", chosen.crop_size[0] / chosen.resize_size[0])
    transform: Callable[[Image.Image], Tensor] = transforms(
        **overrides, crop_size=size, resize_size=round(size / share)
    )
    return transform


def _overrides(spec: Specification) -> dict[str, Any]:
    """What a specification says about the input, checked. Raises ClassifierError."""
    checked: dict[str, Any] = {}
    for name, value in spec.preprocessing.items():
        if name == "input_size":
            good = type(value) is int and value > 0
        elif name == "interpolation":
            good = value in INTERPOLATIONS
        else:
            if name in ("mean", "std") and not isinstance(value, tuple):
                value = (value,) * 3
            numbers = value if isinstance(value, tuple) else (value,)
            good = all(
                type(number) in (int, float) and 0 <= number < float("inf") for number in numbers
            )
            good = good and len(numbers) == (1 if name == "crop_pct" else 3)
            good = good and (name == "mean" or min(numbers) > 0)
        if not good:
            raise ClassifierError(f"{spec.name}: {name}={value} makes no sense")
        checked[name] = value
    return checked


def _build(
    spec: Specification,
    create: Callable[..., nn.Module],
    download: dict[str, Any],
    state: dict[str, Tensor] | None = None,
    device: str = "cpu",
) -> nn.Module:
    """The model with weights: `state`, the file's, or, by `download`'s keywords, the library's."""
    if spec.file is None and "num_classes" in spec.options:
        raise ClassifierError(
            f"{spec.name}: weights for other classes must come from a file: @FILE"
        )
    if state is None and spec.file is not None:
        state = read_weights(spec.file)  # before a model is built for nothing
    with _quiet(), torch.device(device), torch.random.fork_rng(devices=()):
        try:
            model = create(**spec.options, **({} if spec.file else download))
        except TypeError as error:
            raise ClassifierError(
                f"{spec.name} does not take these options ({short(error)})"
            ) from error
        except Exception as error:  # Each library, and each way to download, has errors of its own.
            if spec.file:
                raise ClassifierError(f"{spec.name} cannot be built ({short(error)})") from error
            raise ClassifierError(
                f"{spec.name}: {spec.library} cannot give its weights; "
                f"name a file of weights, {spec.name}@FILE ({short(error)})"
            ) from error
    if state is not None:
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            reason = short(error).partition(": ")[2] or short(error)
            raise ClassifierError(
                f"{spec.file}: these weights do not fit {spec.name} ({reason})"
            ) from error
    return model


def _library(spec: Specification) -> ModuleType:
    try:
        import_module("timm.data" if spec.library == "timm" else "torchvision.models")
        return import_module(spec.library)
    except ImportError as error:
        how = f"needs {spec.library}: pip install 'progcodec[classify]' ({short(error)})"
        raise ClassifierError(f"{spec.name} {how}") from error


def _unknown(spec: Specification, known: list[str]) -> ClassifierError:
    near = difflib.get_close_matches(spec.model, known, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return ClassifierError(f"{spec.library} has no classifier {spec.model!r}{hint}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No lines of other libraries about failing downloads; about others only on a terminal."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    try:
        target = sys.stderr if terminal else io.StringIO()
        # torch tells stdout
        with contextlib.redirect_stderr(target), contextlib.redirect_stdout(target):
            yield
    finally:
        logger.setLevel(before)
