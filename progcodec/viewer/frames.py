"""What every cut of a stream gives, by one decoder: each symbol is decoded once."""

import builtins
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, features

from progcodec.bitstream.description import StreamInfo, info
from progcodec.cut import log_spaced
from progcodec.errors import ImageError
from progcodec.image import to_array
from progcodec.metrics import psnr

if TYPE_CHECKING:
    from progcodec.api import StreamDecoder
    from progcodec.classification.answer import Answer

COUNT = 24
"""Cuts besides the ends of the parts, by default."""
NEAR = 0.4
"""A cut nearer than this part of a step to the end of a part is left out."""
MAX_SIDE = 960
"""Pixels of the longer side of an embedded picture, by default."""
QUALITY = 82


class Look(NamedTuple):
    """What one cut gives: the stream as it is then, its picture, and the PSNR in dB against the
    original, infinite if equal; None without one.
    """

    stream: StreamInfo
    picture: Image.Image
    psnr: float | None


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


def cuts(description: StreamInfo, count: int = COUNT) -> list[int]:
    """Sizes in bytes, rising, from the header alone to the whole file.

    The end of the header and of every part that is whole are among them; the others rise from a
    quarter of the hyperlatent on, because there is little to see in less.
    """
    first, last = description.header_bytes, description.file_bytes
    all_ends = (segment.end for segment in description.segments)
    ends = {first, last, *(end for end in all_ends if end is not None and end <= last)}
    hyperlatent = description.segments[0].end
    start = max(first + 1, min(last, last if hyperlatent is None else hyperlatent) // 4)
    ratio = (last / start) ** (1 / max(1, count - 1)) if last > start else 1.0
    sizes = log_spaced(start, last, count) if last > first else []
    near = ratio**NEAR
    inner = (size for size in sizes if first < size < last)
    return sorted(ends | {n for n in inner if all(n > near * m or m > near * n for m in ends)})


def looks(
    data: bytes, decoder: "StreamDecoder", sizes: Iterable[int], original: Image.Image | None = None
) -> Iterator[Look]:
    """What a stream gives at rising sizes, one after the other; `decoder` is new."""
    reference = None if original is None else to_array(original)
    for size in sizes:
        decoder.feed(data[decoder.size : size])
        picture = decoder.picture()
        quality = None if reference is None else psnr(reference, np.asarray(picture))
        yield Look(info(data[:size]), picture, quality)


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
    frames = []
    for look in looks(data, decoder, steps(cuts(description, count)), original):
        picture, answer = embedded(look.picture, max_side), None if ask is None else ask()
        size, reached = look.stream.file_bytes, look.stream.reached
        frames.append(Frame(size, reached, picture, look.psnr, answer))
    shown = None if original is None else embedded(original, max_side)
    return View(name, description, tuple(frames), shown, classifier)


def check_original(original: Image.Image, description: StreamInfo) -> None:
    """Raises ImageError unless the stream may be of that picture."""
    if original.size != (description.width, description.height):
        sizes = *original.size, description.width, description.height
        told = "{} x {} pixels, and the stream's picture {} x {}".format(*sizes)
        raise ImageError(f"this is not the original: it has {told}")


def embedded(picture: Image.Image, max_side: int) -> bytes:
    """A picture file for the page, WebP where Pillow has it, no side longer than `max_side`."""
    if max(picture.size) > max_side:
        scale = max_side / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP" if features.check("webp") else "JPEG", quality=QUALITY)
    return file.getvalue()
