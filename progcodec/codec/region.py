"""Which part of a latent is needed to show a part of a picture."""

from progcodec.config import LATENT_STRIDE, ModelConfig
from progcodec.geometry import Box, ceil_div, latent_size
from progcodec.network.tiles import region_halo


def latent_box(config: ModelConfig, pixels: Box, width: int, height: int) -> Box:
    """The latent positions that a box of pixels of a picture depends on, through g_s and the whole
    mean path.
    """
    reach, unit = region_halo(config)
    needed = pixels.over(LATENT_STRIDE)
    rows, columns = latent_size(height, width)
    top, left = (max(0, (place - reach) // unit * unit) for place in needed[:2])
    bottom, right = (ceil_div(place + reach, unit) * unit for place in needed[2:])
    return Box(top, left, min(bottom, rows), min(right, columns))
