"""Picture file <-> array <-> tensor (1, 3, H, W) in [0, 1]; padding to a multiple of 16 and cropping back.

    file, bytes ─open_image→ PIL.Image (RGB, 8 bit) ─to_tensor→ (1, 3, H, W) ─pad_to_multiple→ network
    PIL.Image ←from_tensor─ (1, 3, H, W) ←crop─ network

torch is imported inside the functions that need it, so that reading and writing pictures does not.
Colour profiles are not applied: the numbers in the file are taken for sRGB.
"""

import io
import os
import threading
import warnings
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from progcodec.arrays import Array, Pixels
from progcodec.config import DEFAULT_PIXEL_LIMIT, LATENT_STRIDE
from progcodec.errors import ImageError, LimitError, in_one_line

if TYPE_CHECKING:
    import torch

_PILLOW_LIMIT = threading.Lock()
"""Pillow's own pixel limit is one global; only one thread at a time may stand in for it with ours."""

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
"""How pictures are written. What Pillow does to a PNG by itself takes 4 times as long and saves 4 % of a photograph."""


def open_image(
    source: str | os.PathLike[str] | bytes | BinaryIO, max_pixels: int = DEFAULT_PIXEL_LIMIT
) -> Image.Image:
    """Read a picture as 8-bit RGB: first frame, EXIF orientation applied, transparency composited on white.

    16-bit grey is scaled to 8 bits. An open file is read from where it stands.
    Raises ImageError if it cannot be read, LimitError if its header declares more than `max_pixels` pixels (checked
    before any pixel is decoded).
    """
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


def check_picture(file: BinaryIO, max_pixels: int = DEFAULT_PIXEL_LIMIT) -> None:
    """Refuse what :func:`open_image` would, as far as the start of a file tells; its pixels are not read. The file must be seekable."""
    _read(file, max_pixels, header_only=True)


def to_array(image: Image.Image) -> Pixels:
    """uint8 (H, W, 3) of a picture of any mode."""
    return np.array(_to_rgb(image), dtype=np.uint8)


def to_tensor(image: Image.Image) -> "torch.Tensor":
    """float32 (1, 3, H, W) in [0, 1] of a picture of any mode."""
    return _array_to_tensor(to_array(image))


def as_tensor(image: object) -> "torch.Tensor":
    """float32 (1, 3, H, W) in [0, 1] of whatever a caller may hold.

    Accepts a PIL.Image (taken as it lies, without its EXIF orientation), uint8 numpy (H, W, 3) or (H, W), and a
    floating-point torch tensor (3, H, W) or (1, 3, H, W) in [0, 1]. Raises ImageError on anything else.
    """
    import torch

    size_of(image)
    if isinstance(image, Image.Image):
        return to_tensor(image)
    if isinstance(image, np.ndarray):
        return _array_to_tensor(image)
    assert isinstance(image, torch.Tensor), "size_of lets nothing else through"
    tensor = image.detach().float()
    if not bool(((tensor >= 0) & (tensor <= 1)).all()):
        raise ImageError("a tensor's values must lie in [0, 1]")
    return tensor[None] if tensor.ndim == 3 else tensor


def size_of(image: object) -> tuple[int, int]:
    """(height, width) of what :func:`as_tensor` accepts; raises ImageError as it does, but looks at no value."""
    import torch

    if isinstance(image, Image.Image):
        height, width = image.height, image.width
    elif isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (
            image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        ):
            raise ImageError(
                f"an array must be uint8 of shape (H, W, 3) or (H, W), not {image.dtype} of shape {image.shape}"
            )
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
            f"an image must be a PIL.Image, a numpy array or a torch tensor, not {type(image).__name__}"
            " (progcodec.image.open_image reads a file)"
        )
    if not height * width:
        raise ImageError(f"an image without pixels: {width} x {height}")
    return height, width


def cut_out(image: Any, top: int, left: int, bottom: int, right: int) -> Any:
    """Rows [top, bottom) and columns [left, right) of whatever :func:`as_tensor` accepts, in the same form."""
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


def from_tensor(tensor: "torch.Tensor") -> Image.Image:
    """RGB picture of a float (1, 3, H, W) or (3, H, W); rounded, values outside [0, 1] clamped."""
    return Image.fromarray(to_pixels(tensor.reshape(1, *tensor.shape[-3:]))[0])


def picture_file(image: Image.Image, form: str) -> bytes:
    """The file of a picture in a format of Pillow's; lossy formats at high quality. Raises ImageError."""
    file = io.BytesIO()
    try:
        image.save(file, form, **_SAVING.get(form, {}))
    except Exception as error:  # Formats have limits of their own (WebP: 16,383 pixels), told in many kinds of error.
        raise ImageError(f"the picture cannot be written as {form}: {error}") from error
    return file.getvalue()


def pad_to_multiple(tensor: "torch.Tensor", multiple: int = LATENT_STRIDE) -> "torch.Tensor":
    """(N, C, H, W) with the last row and column repeated until both sides are multiples of `multiple`."""
    import torch.nn.functional as F

    height, width = tensor.shape[-2:]
    return F.pad(tensor, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def crop(tensor: "torch.Tensor", height: int, width: int) -> "torch.Tensor":
    """Inverse of :func:`pad_to_multiple`."""
    return tensor[..., :height, :width]


def _read(file: BinaryIO, max_pixels: int, header_only: bool = False) -> Image.Image:
    with _PILLOW_LIMIT, warnings.catch_warnings():
        # Pillow warns from its limit on; as an error that warning is our limit, and it also covers pictures inside
        # pictures (an .ico that holds a .png), whose size the outer header does not tell.
        warnings.simplefilter(
            "ignore"
        )  # What Pillow tells about odd files would be lines without a file name.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        saved, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            with Image.open(file) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise LimitError(
                        f"{width} x {height} pixels are more than the limit of {max_pixels:,}"
                    )
                if header_only:
                    return image
                image.load()
                return _to_rgb(upright(image))
        except LimitError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise LimitError(
                f"the picture has more pixels than the limit of {max_pixels:,}"
            ) from error
        except UnidentifiedImageError as error:
            raise ImageError("not a picture of a known format") from error
        except ImageError:
            raise
        except MemoryError as error:
            raise ImageError("not enough memory for the picture") from error
        except Exception as error:
            # Pillow's readers let struct.error, SyntaxError, ValueError, EOFError and more escape from damaged files.
            raise ImageError(f"damaged or unsupported picture: {in_one_line(error)}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = saved


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; itself where that says nothing, or nothing readable."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  # A damaged EXIF block is common, and says nothing about the pixels.
        return image
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image.copy()
    if image.mode == "F" or image.mode.startswith("I"):
        return _deep_grey_to_rgb(image)
    try:
        if image.has_transparency_data:
            opaque = Image.new("RGBA", image.size, "white")
            return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:  # Some modes (LAB) have no way to RGB in Pillow.
        raise ImageError(f"pictures of mode {image.mode} cannot be converted to RGB") from error


def _deep_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: 16-bit integers over their full range, floats over [0, 1]. Pillow's convert clips."""
    values = np.asarray(image).astype(np.float32)
    white = 1.0 if image.mode == "F" else 65535.0
    if not values.size or not (values.min() >= 0 and values.max() <= white):
        raise ImageError(f"no grey values, or some outside 0..{white:g}")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        values[values == transparent] = white
    grey = np.floor(values * (255.0 / white) + 0.5).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


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
