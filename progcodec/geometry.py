"""How many positions cover so many pixels, and parts of pictures. Imports no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from progcodec.config import HYPER_STRIDE, LATENT_STRIDE
from progcodec.errors import LimitError, RegionError

if TYPE_CHECKING:
    from torch import Tensor

    from progcodec.arrays import Array

PADDING_LIMIT = 1 << 20
"""Pixels that thin pictures may be padded by: a strip of one pixel may be 69,905 long."""

Plane = TypeVar("Plane", "Tensor", "Array")


def ceil_div(length: int, unit: int) -> int:
    """⌈length / unit⌉, exactly."""
    return -(-length // unit)


def latent_size(height: int, width: int) -> tuple[int, int]:
    """(h, w): latent positions of a picture of so many pixels."""
    return ceil_div(height, LATENT_STRIDE), ceil_div(width, LATENT_STRIDE)


def hyper_size(height: int, width: int) -> tuple[int, int]:
    """(hz, wz): hyperlatent positions of so many latent positions."""
    return ceil_div(height, HYPER_STRIDE), ceil_div(width, HYPER_STRIDE)


def coded_pixels(height: int, width: int) -> int:
    """Pixels as limits count them: a side below 16 counts as 16, by padding."""
    return max(height, LATENT_STRIDE) * max(width, LATENT_STRIDE)


def check_size(height: int, width: int, max_pixels: int | None) -> None:
    """Raises LimitError for a picture whose coding would cost more than ``max_pixels`` (None: no
    limit), or far more than its own pixels.
    """
    pixels = coded_pixels(height, width)
    if max_pixels is None:
        return
    if pixels > max_pixels:
        raise LimitError(f"{width} x {height} pixels are more than the limit of {max_pixels:,}")
    if pixels - height * width > PADDING_LIMIT:
        raise LimitError(
            f"{width} x {height} pixels are too thin: padded to {pixels:,}, they would cost "
            f"{pixels / height / width:.0f} times as much"
        )


class Box(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of a picture or of a latent."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def moved(self, down: int, right: int) -> "Box":
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def cut(self, x: Plane) -> Plane:
        """That part of (..., H, W), tensor or array."""
        return x[..., self.top : self.bottom, self.left : self.right]

    def within(self, other: "Box") -> "Box":
        """The part of it that lies in another one."""
        top, left = map(max, self[:2], other[:2])
        bottom, right = map(min, self[2:], other[2:])
        return Box(top, left, bottom, right)

    def times(self, stride: int) -> "Box":
        """The same on a grid so many times finer."""
        return Box(*(stride * edge for edge in self))

    def over(self, stride: int) -> "Box":
        """The smallest box on a grid so many times coarser that holds this one."""
        bottom, right = ceil_div(self.bottom, stride), ceil_div(self.right, stride)
        return Box(self.top // stride, self.left // stride, bottom, right)


def region_box(region: Sequence[int] | None, width: int, height: int) -> Box:
    """The box of pixels that (x, y, width, height) names, or all. Raises RegionError unless they
    are whole numbers, and the region is not empty and lies inside the picture.
    """
    if region is None:
        return Box(0, 0, height, width)
    try:
        x, y, w, h = region
        whole = all(value == int(value) for value in (x, y, w, h))
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise RegionError(
            f"a region is four whole numbers: x, y, width and height in pixels, not {region!r}"
        )
    if min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height:
        raise RegionError(
            f"the region {x},{y},{w},{h} is not inside the picture of {width} x {height} pixels"
        )
    return Box(int(y), int(x), int(y + h), int(x + w))
