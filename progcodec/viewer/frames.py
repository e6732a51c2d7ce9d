"""What every cut of a stream gives.

The stream is fed to one decoder, so each symbol is decoded once.
"""

import builtins
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, features

from progcodec.bitstream.description import StreamInfo, info
from progcodec.errors import ImageError
from progcodec.image import to_array
from progcodec.metrics import psnr
from progcodec.viewer.cuts import COUNT, cuts

if TYPE_CHECKING:
    from progcodec.api import StreamDecoder
    from progcodec.classification.answer import Answer

MAX_SIDE = 960
"""Pixels of the longer side of an embedded picture, by default."""
QUALITY = 82


class Frame(NamedTuple):
    """One cut.

    Attributes:
        bytes: its size. reached: how far it goes, in words.
        picture: a picture file, for the page. psnr: in dB against the original, infinite if equal;
            None without one.
        answer: None without a classifier.
    """

    bytes: int
    reached: str
    picture: builtins.bytes
    psnr: float | None
    answer: "Answer | None"


@dataclass(frozen=True)
class View:
    """A stream as the page shows it.

    Attributes:
        name: for people. description: of the file as it is, cut or whole.
        frames: at rising sizes; the last is of all bytes.
        original: a picture file of the same size on the page, if there is one.
        classifier: its name for people, if there is one.
    """

    name: str
    description: StreamInfo
    frames: tuple[Frame, ...]
    original: bytes | None
    classifier: str | None


def view(
    data: bytes,
    decoder: "StreamDecoder",
    *,
    name: str = "",
    count: int = COUNT,
    max_side: int = MAX_SIDE,
    original: Image.Image | None = None,
    classifier: str | None = None,
    ask: "Callable[[], Answer] | None" = None,
    steps: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> View:
    """Everything the page shows of a stream.

    Args:
        decoder: new, nothing fed yet.
        count: how many cuts besides the ends of the parts.
        original: what was encoded, RGB, for PSNR at full size.
        ask: the answer of what `decoder` has been fed; None: no answers.
        steps: passes the sizes through, for a progress bar.
    Raises:
        ImageError: the original has another size. And what :meth:`StreamDecoder.feed` raises.
    """
    description = info(data)
    if original is not None:
        check_original(original, description)
    reference = None if original is None else to_array(original)
    frames = []
    for size in steps(cuts(description, count)):
        decoder.feed(data[decoder.size : size])
        picture = decoder.picture()
        quality = None if reference is None else psnr(reference, np.asarray(picture))
        answer = None if ask is None else ask()
        frames.append(
            Frame(size, info(data[:size]).reached, embedded(picture, max_side), quality, answer)
        )
    shown = None if original is None else embedded(original, max_side)
    return View(name, description, tuple(frames), shown, classifier)


def check_original(original: Image.Image, description: StreamInfo) -> None:
    """Raises ImageError unless the stream may be of that picture."""
    if original.size != (description.width, description.height):
        sizes = "{} x {} pixels, and the stream's picture {} x {}".format(
            *original.size, description.width, description.height
        )
        raise ImageError(f"this is not the original: it has {sizes}")


def embedded(picture: Image.Image, max_side: int) -> bytes:
    """A picture file for the page, WebP where Pillow has it, no side longer than `max_side`."""
    if max(picture.size) > max_side:
        scale = max_side / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP" if features.check("webp") else "JPEG", quality=QUALITY)
    return file.getvalue()
