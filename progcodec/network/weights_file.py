"""Files of weights: safetensors with metadata, read and written, digested, and compared with the
module that they are for.

A file of a few bytes may declare a model of any size. What it declares is built without storage
first, and only what the file itself holds in full is built for real; so a file costs memory in
proportion to its own size.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from progcodec.errors import ProgcodecError, in_one_line
from progcodec.files import write_whole

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
REASON_LENGTH = 200

Network = TypeVar("Network", bound=nn.Module)


def read(
    path: str | Path, kind: str, error: type[ProgcodecError]
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file. Raises ``error``, with a line that names the file."""
    try:
        with safe_open(str(path), framework="pt") as file:
            # Copied, as they are mapped from the file: who overwrites it would change a running
            # model.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return dict(file.metadata() or {}), tensors
    except FileNotFoundError:
        raise error(f"{path}: no such {kind}") from None
    except (SafetensorError, OSError) as reason:
        raise error(f"{path}: cannot be read as a {kind} ({one_line(reason)})") from None


def write(path: str | Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """The file, whole or not at all. Raises OSError."""
    write_whole(path, save({name: t.contiguous() for name, t in tensors.items()}, metadata))


def digest(config: str, tensors: Mapping[str, Tensor]) -> bytes:
    """SHA-256 over a config and every tensor: name, shape, type, bytes."""
    found = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}:".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return found.digest()


def build(make: Callable[[], Network], blocks: int, tensors: Mapping[str, Tensor]) -> Network:
    """The module that ``make`` builds, with a file's tensors, floats as float32, as
    :func:`check_fit` takes and raises. Nothing is initialised first: slow, and random numbers are
    the program's.
    """
    module = check_fit(make, blocks, tensors)
    state = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    module.load_state_dict(state, assign=True)
    return module


def orthogonal(weight: Tensor, gain: float = 1.0) -> None:
    """``nn.init.orthogonal_``, but not without storage: slow, and half precision fails."""
    if not weight.is_meta:
        nn.init.orthogonal_(weight, gain)


def check_fit(make: Callable[[], Network], blocks: int, tensors: Mapping[str, Tensor]) -> Network:
    """The module that ``make`` builds, without storage.

    Raises ValueError unless ``tensors`` are, by name, shape and kind, exactly its state.

    Args:
        make: builds the module; called on torch's "meta" device, where tensors have shapes and no
            storage.
        blocks: repeated parts that the module will have, each with a tensor of its own at least:
            even shapes without storage take time, so no more are built than the file can fill.
        tensors: what is to be loaded. Floats must be finite.
    """
    if blocks > len(tensors):
        raise ValueError(f"{len(tensors)} tensors for {blocks} blocks")
    with torch.device("meta"):
        module = make()
    wanted = module.state_dict()
    if missing := wanted.keys() - tensors.keys():
        raise ValueError(f"{len(missing)} tensors are missing, {min(missing)} for one")
    if extra := tensors.keys() - wanted.keys():
        raise ValueError(f"{len(extra)} tensors are not known, {min(extra)} for one")
    for name, shape in wanted.items():
        tensor = tensors[name]
        if tensor.shape != shape.shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)} in place of {tuple(shape.shape)}"
            )
        if shape.is_floating_point():
            if tensor.dtype not in FLOATS:
                raise ValueError(f"{name} is {tensor.dtype}, no floats")
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} holds values that are no numbers")
        elif tensor.dtype != shape.dtype:
            raise ValueError(f"{name} is {tensor.dtype} in place of {shape.dtype}")
    return module


def one_line(error: Exception) -> str:
    """What an error says, in one line of bounded length: its text may quote the file."""
    return in_one_line(error)[:REASON_LENGTH]
