"""Whether tensors from a file are those of a module: asked before the module costs any memory.

A file of a few bytes may declare a model of any size. What it declares is built without storage first, and only what the file
itself holds in full is built for real; so a checkpoint costs memory in proportion to its own size.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from progcodec.errors import in_one_line

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
REASON_LENGTH = 200


def check_fit(make: Callable[[], nn.Module], blocks: int, tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError unless ``tensors`` are, by name, shape and kind, exactly the state of the module that ``make`` builds.

    Args:
        make: builds the module; called on torch's "meta" device, where tensors have shapes and no storage.
        blocks: repeated parts that the module will have, each with a tensor of its own at least: even shapes without storage
            take time, so no more are built than the file can fill.
        tensors: what is to be loaded. Floats must be finite.
    """
    if blocks > len(tensors):
        raise ValueError(f"{len(tensors)} tensors for {blocks} blocks")
    with torch.device("meta"):
        wanted = make().state_dict()
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


def one_line(error: Exception) -> str:
    """What an error says, in one line of bounded length: its text may quote the file."""
    return in_one_line(error)[:REASON_LENGTH]
