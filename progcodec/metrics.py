"""How far a decoded picture is from the original."""

import numpy as np

from progcodec.arrays import Pixels


def psnr(reference: Pixels, picture: Pixels) -> float:
    """PSNR in dB of two uint8 arrays, from the error over all colours; infinite if equal."""
    check_pair(reference, picture)
    # float64 sums of whole numbers are exact here, so the result does not depend on their order
    error = float(np.mean(np.square(reference.astype(np.float64) - picture.astype(np.float64))))
    return float("inf") if error == 0 else 10 * float(np.log10(255.0**2 / error))


def check_pair(reference: Pixels, picture: Pixels) -> None:
    """Raises ValueError unless both are uint8 arrays of one shape."""
    if reference.dtype != np.uint8 or picture.dtype != np.uint8 or reference.shape != picture.shape:
        raise ValueError(
            f"need two uint8 arrays of one shape, not {reference.dtype} {reference.shape} "
            f"and {picture.dtype} {picture.shape}"
        )
