"""How many positions cover so many pixels."""

from progcodec.config import HYPER_STRIDE, LATENT_STRIDE


def ceil_div(length: int, unit: int) -> int:
    """⌈length / unit⌉, exactly."""
    return -(-length // unit)


def latent_size(height: int, width: int) -> tuple[int, int]:
    """(h, w): latent positions of a picture of so many pixels."""
    return ceil_div(height, LATENT_STRIDE), ceil_div(width, LATENT_STRIDE)


def hyper_size(height: int, width: int) -> tuple[int, int]:
    """(hz, wz): hyperlatent positions of so many latent positions."""
    return ceil_div(height, HYPER_STRIDE), ceil_div(width, HYPER_STRIDE)
