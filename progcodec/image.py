"""Picture file <-> array <-> tensor (1, 3, H, W) in [0, 1], padded to a multiple of 16.

    file ─open_image→ PIL.Image (RGB, 8 bit) ─as_tensor→ (1, 3, H, W) ─pad_to_multiple→ network
    pixels ←to_pixels─ (1, 3, H, W) ← network

torch is imported inside the functions that need it, so that reading and writing pictures does not.
Nothing of the process changes: no lock is held (a fork would inherit it), and neither Pillow's
pixel limit nor the warning filters are touched, which other threads would feel.
"""

import io
import os
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

from progcodec.arrays import Array, Pixels
from progcodec.colour import plain, to_rgb, transparent_key
from progcodec.config import DEFAULT_PIXEL_LIMIT, LATENT_STRIDE
from progcodec.errors import ColourWarning, ImageError, LimitError, in_one_line

if TYPE_CHECKING:
    import torch

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, for each EXIF orientation but 1 (upright already)."""

_SAVING = {
    "JPEG": {"quality": 95},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
    "PNG": {"compress_type": zlib.Z_RLE},
}
"""How pictures are written. Pillow's own PNG takes 4 times as long and saves 4 %."""


def open_image(
    source: str | os.PathLike[str] | bytes | BinaryIO, max_pixels: int | None = DEFAULT_PIXEL_LIMIT
) -> Image.Image:
    """Read a picture as 8-bit sRGB: first frame, upright by its EXIF orientation, on white where it
    is transparent, by its colour profile (relative colorimetric).

    Grey of more bits is scaled to 8. An open file is read from where it stands.

    Args:
        max_pixels: limit that is checked before any pixel is decoded; None: only Pillow's own hold.
    Raises:
        ImageError: it cannot be read. LimitError: its header declares more than ``max_pixels``.
    Warns:
        ColourWarning: the profile cannot be used; the numbers are taken for sRGB.
    """
    image, wrong = read_image(source, max_pixels)
    if wrong:
        warnings.warn(wrong, ColourWarning, stacklevel=2)
    return image


def read_image(
    source: str | os.PathLike[str] | bytes | BinaryIO, max_pixels: int | None = DEFAULT_PIXEL_LIMIT
) -> tuple[Image.Image, str]:
    """As :func:`open_image`; what that would warn of comes back ("" if nothing)."""
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            return _read(io.BytesIO(source), max_pixels)
        if hasattr(source, "read"):
            return _read(io.BytesIO(source.read()), max_pixels)
        with open(source, "rb") as file:
            # A pipe (`<(command)`) has a path too, but Pillow must be able to go back in it.
            return _read(file if file.seekable() else io.BytesIO(file.read()), max_pixels)
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error


def check_picture(file: BinaryIO, max_pixels: int | None = DEFAULT_PIXEL_LIMIT) -> None:
    """Refuse early what :func:`open_image` would; the file is seekable, no pixel is read."""
    _read(file, max_pixels, header_only=True)


def check_pixels(pixels: int, max_pixels: int | None) -> None:
    """Raises LimitError for more pixels than ``max_pixels``, if that is not None."""
    if max_pixels is not None and pixels > max_pixels:
        raise LimitError(f"{pixels:,} pixels are more than the limit of {max_pixels:,}")


def to_array(image: Image.Image) -> Pixels:
    """uint8 (H, W, 3) of a picture of any mode."""
    return np.array(plain(image), dtype=np.uint8)


def as_tensor(image: object) -> "torch.Tensor":
    """float32 (1, 3, H, W) in [0, 1] of whatever a caller may hold.

    Accepts a PIL.Image (taken as it lies, without its EXIF orientation), uint8 numpy (H, W, 3) or
    (H, W), and a floating-point torch tensor (3, H, W) or (1, 3, H, W) in [0, 1]. Raises ImageError
    on anything else.
    """
    import torch

    size_of(image)
    if isinstance(image, Image.Image):
        return _array_to_tensor(to_array(image))
    if isinstance(image, np.ndarray):
        return _array_to_tensor(image)
    assert isinstance(image, torch.Tensor), "size_of lets nothing else through"
    tensor = image.detach().float()
    if not bool(((tensor >= 0) & (tensor <= 1)).all()):
        raise ImageError("a tensor's values must lie in [0, 1]")
    return tensor[None] if tensor.ndim == 3 else tensor


def size_of(image: object) -> tuple[int, int]:
    """(height, width) of what :func:`as_tensor` accepts, values unseen. Raises ImageError."""
    import torch

    if isinstance(image, Image.Image):
        height, width = image.height, image.width
    elif isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (
            image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        ):
            given = f"{image.dtype} of shape {image.shape}"
            raise ImageError(f"an array must be uint8 of shape (H, W, 3) or (H, W), not {given}")
        height, width = image.shape[:2]
    elif isinstance(image, torch.Tensor):
        if (
            not image.is_floating_point()
            or (1, *image.shape)[-4:-2] != (1, 3)
            or image.ndim > 4
            or not image.numel()
        ):
            raise ImageError(
                "a tensor must be floating-point of shape (3, H, W) or (1, 3, H, W), "
                f"not {str(image.dtype).removeprefix('torch.')} of shape {tuple(image.shape)}"
            )
        height, width = image.shape[-2:]
    else:
        raise ImageError(
            "an image must be a PIL.Image, a numpy array or a torch tensor, not "
            f"{type(image).__name__}"
            " (progcodec.image.open_image reads a file)"
        )
    if not height * width:
        raise ImageError(f"an image without pixels: {width} x {height}")
    return height, width


def cut_out(image: Any, top: int, left: int, bottom: int, right: int) -> Any:
    """Rows [top, bottom) and columns [left, right) of what :func:`as_tensor` accepts."""
    if isinstance(image, Image.Image):
        return image.crop((left, top, right, bottom))
    if isinstance(image, np.ndarray):
        return image[top:bottom, left:right]
    return image[..., top:bottom, left:right]


def to_pixels(tensor: "torch.Tensor") -> Pixels:
    """uint8 (N, H, W, 3) of a float (N, 3, H, W); rounded, values outside [0, 1] clamped."""
    import torch

    pixels = tensor.detach().float().nan_to_num().clamp_(0, 1).mul_(255).round_()
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def picture_file(image: Image.Image, form: str) -> bytes:
    """A picture's file in a format of Pillow's, at high quality. Raises ImageError."""
    file = io.BytesIO()
    try:
        image.save(file, form, **_SAVING.get(form, {}))
    # Formats have limits of their own (WebP: 16,383 pixels), told in many kinds of error.
    except Exception as error:
        raise ImageError(f"the picture cannot be written as {form}: {error}") from error
    return file.getvalue()


def pad_to_multiple(tensor: "torch.Tensor", multiple: int = LATENT_STRIDE) -> "torch.Tensor":
    """(N, C, H, W), last row and column repeated until sides are multiples of `multiple`."""
    import torch.nn.functional as F

    height, width = tensor.shape[-2:]
    return F.pad(tensor, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _read(
    file: BinaryIO, max_pixels: int | None, header_only: bool = False
) -> tuple[Image.Image, str]:
    try:
        with _identified(file, max_pixels) as image:
            check_pixels(image.width * image.height, max_pixels)
            if header_only:
                return image, ""
            if "transparency" in image.info:
                image.info["transparency"] = transparent_key(image)
            image.load()
            check_pixels(image.width * image.height, max_pixels)  # of a picture inside the picture
            return upright(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError("the picture has more pixels than Pillow's own limit") from error
    except (ImageError, LimitError):
        raise
    except MemoryError as error:
        raise ImageError("not enough memory for the picture") from error
    except Exception as error:
        # Pillow's readers let struct.error, SyntaxError, ValueError, EOFError and more escape from
        # damaged files.
        raise ImageError(f"damaged or unsupported picture: {in_one_line(error)}") from error


def _identified(file: BinaryIO, max_pixels: int | None) -> ImageFile.ImageFile:
    """As ``Image.open``, which also holds a picture to Pillow's one limit for the whole process,
    and warns from there on: not our limit, and not our process.
    """
    file.seek(0)
    prefix = file.read(16)
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):
        load_plugins()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            make, accept = Image.OPEN[name]
            try:
                known = accept is None or accept(prefix)
                if not known or isinstance(known, str):  # text: Pillow's reason against it
                    continue
                if name == "ICO":  # alone in reading pixels at once
                    _check_icon(file, max_pixels)
                file.seek(0)
                return make(file, "")
            # not of this format after all
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    raise ImageError("not a picture of a known format")


def _check_icon(file: BinaryIO, max_pixels: int | None) -> None:
    """Raises LimitError for too large a picture in an icon: its directory may say anything."""
    from PIL.BmpImagePlugin import DibImageFile
    from PIL.IcoImagePlugin import IcoFile
    from PIL.PngImagePlugin import PngImageFile

    file.seek(0)
    start = IcoFile(file).entry[0].offset
    file.seek(start)
    make = PngImageFile if file.read(4) == b"\x89PNG" else DibImageFile
    file.seek(start)
    image = make(file)
    check_pixels(image.width * image.height, max_pixels)


def upright(image: Image.Image) -> tuple[Image.Image, str]:
    """As :func:`to_rgb`, of a loaded picture, turned as its EXIF orientation says."""
    try:
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    # A damaged EXIF block is common, and says nothing about the pixels.
    except Exception:  # noqa: BLE001
        turn = None
    picture, wrong = to_rgb(image)
    return (picture if turn is None else picture.transpose(turn)), wrong


def _array_to_tensor(array: Array) -> "torch.Tensor":
    """float32 (1, 3, H, W) in [0, 1] of a uint8 (H, W, 3) or (H, W)."""
    import torch

    if array.size == 0:
        raise ImageError(f"an image without pixels: shape {array.shape}")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    # A copy: torch takes neither negative strides nor, without a warning, read-only memory.
    pixels = torch.from_numpy(array.transpose(2, 0, 1).copy())
    return pixels[None].float().div(255)
