"""Which device the float networks run on."""

from typing import Any, TypeVar

import torch
from torch import nn

from progcodec.errors import ProgcodecError

Network = TypeVar("Network", bound=nn.Module)
LAYOUT: dict[str, Any] = {"memory_format": torch.channels_last}


def pick_device(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one. Raises ProgcodecError if there is no such device here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ProgcodecError(f"unknown device {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ProgcodecError("there is no CUDA device here; use device 'cpu'")
    return device


def placed(network: Network, device: torch.device) -> Network:
    """The network itself, on the device, its weights channels last."""
    return network.to(device, **LAYOUT)
