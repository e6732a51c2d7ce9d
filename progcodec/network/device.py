"""Which device the float networks run on."""

import torch

from progcodec.errors import ProgcodecError


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
