"""How close pictures are that float networks drew in another batch, tiling, number of threads or on
another device: the integers are the same, and floats round otherwise.
"""

import numpy as np
from numpy.typing import ArrayLike


def assert_same_picture(a: ArrayLike, b: ArrayLike) -> None:
    """Pictures or arrays: at most one grey level apart, in one value of a thousand, or in three."""
    one, other = np.asarray(a).astype(np.int16), np.asarray(b).astype(np.int16)
    assert one.shape == other.shape
    difference = np.abs(one - other)
    assert difference.max() <= 1 and np.count_nonzero(difference) <= 3 + difference.size / 1000
