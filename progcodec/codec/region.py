"""Which part of a latent is needed to show a part of a picture."""

from collections.abc import Sequence

from progcodec.config import LATENT_STRIDE, ModelConfig
from progcodec.errors import RegionError
from progcodec.geometry import ceil_div, latent_size
from progcodec.network.tiles import Box, region_halo


def region_box(region: Sequence[int] | None, width: int, height: int) -> Box:
    """The box of pixels that (x, y, width, height) names, the whole picture for None.

    Raises RegionError unless they are whole numbers, and the region is not empty and lies inside the picture.
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


def latent_box(config: ModelConfig, pixels: Box, width: int, height: int) -> Box:
    """The latent positions that a box of pixels of a picture depends on, through g_s and the whole mean path."""
    reach, unit = region_halo(config)
    needed = pixels.over(LATENT_STRIDE)
    rows, columns = latent_size(height, width)
    top, left = (max(0, (place - reach) // unit * unit) for place in needed[:2])
    bottom, right = (ceil_div(place + reach, unit) * unit for place in needed[2:])
    return Box(top, left, min(bottom, rows), min(right, columns))
