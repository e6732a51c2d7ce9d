"""Which device the float networks run on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch import nn

from progcodec.errors import ProgcodecError

Network = TypeVar("Network", bound=nn.Module)
P = ParamSpec("P")
Result = TypeVar("Result")
LAYOUT: dict[str, Any] = {"memory_format": torch.channels_last}


class _OnDevice(Protocol):
    device: torch.device


Own = TypeVar("Own", bound=_OnDevice)


def pick_device(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" is CUDA if there. Raises ProgcodecError if there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ProgcodecError(f"unknown device {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ProgcodecError("there is no CUDA device here; use device 'cpu'")
    return device


@contextmanager
def steady(device: torch.device) -> Iterator[None]:
    """Plain inference, whatever the program around it has set: no gradients, no autocast.

    Not torch's inference mode: what comes out may go into a program's own training.
    """
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


def steadily(
    method: Callable[Concatenate[Own, P], Result],
) -> Callable[Concatenate[Own, P], Result]:
    """A method that runs :func:`steady` on the ``device`` of its object."""

    @wraps(method)
    def run(own: Own, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        with steady(own.device):
            return method(own, *args, **kwargs)

    return run


def placed(network: Network, device: torch.device) -> Network:
    """The network itself, on the device, its weights channels last."""
    return network.to(device, **LAYOUT)
