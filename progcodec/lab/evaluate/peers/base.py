"""What a peer is: a ladder of whole files and, if these are progressive, one that can be cut."""

import hashlib
import io
from abc import ABC, abstractmethod
from typing import Any

from PIL import Image, features
from PIL import __version__ as pillow_version

from progcodec.errors import EvaluationError

DOWN, UP = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
"""Filters by which a sender reduces a picture and a receiver enlarges it again."""


class UndecodableError(Exception):
    """What is left of a cut file gives no picture."""


class Peer(ABC):
    """A codec of pictures. Pictures are RGB; files hold no metadata and no container that a decoder
    can do without.

    Attributes:
        key: as it is asked for. name: as it is shown.
        settings: of the ladder, by rising rate, a factor of 1.1 to 1.2 in bytes apart.
        progressive: whether the first bytes of a file show the whole picture coarsely.
    """

    key: str
    name: str
    settings: tuple[float, ...]
    progressive = False

    @abstractmethod
    def library(self) -> str:
        """Name and version of what does the work. Raises EvaluationError if it is not there."""

    @abstractmethod
    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        """A whole file of a picture that was reduced by `scale` already."""

    def decode(self, data: bytes) -> Image.Image:
        """The picture of a whole file."""
        return open_whole(data)

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        """One file of ordinary good quality (33 dB or so), as progressive as it can be."""
        raise NotImplementedError

    def decode_cut(self, data: bytes) -> Image.Image:
        """What a tolerant decoder makes of the first bytes of one. Raises UndecodableError."""
        raise NotImplementedError

    def ladder(self, scale: float) -> tuple[float, ...]:
        """The settings that make sense at a scale."""
        return self.settings

    def version(self) -> str:
        """Library and options: rows measured with others do not count as these."""
        options = repr((self.options(), DOWN, UP))
        return f"{self.library()}/{hashlib.sha256(options.encode()).hexdigest()[:6]}"

    def options(self) -> object:
        """All else that can change a byte or a pixel, as something to be printed."""
        return None


def reduced(picture: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), DOWN)


def restored(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, UP)


def pillow_feature(name: str, kind: str) -> str:
    """``pillow-13.0.0/webp-1.6.0``. Raises EvaluationError if this build of Pillow lacks it."""
    if not features.check(kind):
        raise EvaluationError(f"Pillow was built without {name}")
    version = features.version({"jpg": "libjpeg_turbo"}.get(kind, kind)) or features.version(kind)
    return f"pillow-{pillow_version}/{kind}-{version}"


def save(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    bare = picture.copy()
    bare.info = {}  # what the picture's own file said about itself would be written again
    bare.save(buffer, **options)
    return buffer.getvalue()


def open_whole(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")
