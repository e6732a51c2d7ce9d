"""Names for the kinds of numpy array that functions pass on; docstrings say width and shape."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""An RGB picture, (height, width, 3), 0..255; or several of one size."""

Ints: TypeAlias = npt.NDArray[np.integer[Any]]
"""Whole numbers: orders (int64), σ-indexes (uint8), counts (uint32), symbols kept (int8)."""

Symbols: TypeAlias = npt.NDArray[np.int32]
"""What the range coder takes and gives."""

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
"""Real numbers of any width. Nothing that the bitstream depends on."""

Flags: TypeAlias = npt.NDArray[np.bool_]
"""Which of several, True or False."""

Array: TypeAlias = npt.NDArray[Any]
"""Of any kind of number: read from a file or handed in, and checked there."""
