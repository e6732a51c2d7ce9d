"""What a peer is: a ladder of whole files, and one file that can be cut."""

import hashlib
from abc import ABC, abstractmethod

from PIL import Image

SCALES = (1.0, 0.5, 0.25)
"""By which a clever sender may reduce the picture before coding it."""


class UndecodableError(Exception):
    """What is left of a cut file gives no picture: no answer."""


class Coder(ABC):
    """A codec of pictures. Pictures are RGB; files hold no metadata and no container that a decoder can do without.

    Attributes:
        key: as it is asked for. name: as it is shown.
        settings: of the ladder, by rising rate, a factor of about 1.2 in bytes apart.
    """

    key: str
    name: str
    settings: tuple[float, ...]

    @abstractmethod
    def library(self) -> str:
        """Name and version of what does the work. Raises ImportError or EvaluationError if it is not there."""

    @abstractmethod
    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        """A whole file of a picture that was reduced by `scale` already."""

    @abstractmethod
    def decode(self, data: bytes) -> Image.Image:
        """The picture of a whole file."""

    @abstractmethod
    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        """One file of ordinary good quality (33 dB or so), as progressive as the codec can make it."""

    @abstractmethod
    def decode_cut(self, data: bytes) -> Image.Image:
        """What a tolerant decoder makes of the first bytes of such a file. Raises UndecodableError."""

    def ladder(self, scale: float) -> tuple[float, ...]:
        """The settings that make sense at a scale."""
        return self.settings

    def check(self) -> None:
        """Loads what its files hold, if it has any, so that a bad one is known before the measuring. Raises EvaluationError."""

    def version(self) -> str:
        """Library and options: rows measured with others do not count as these."""
        options = repr((self.settings, self.options()))
        return f"{self.library()}/{hashlib.sha256(options.encode()).hexdigest()[:6]}"

    def options(self) -> object:
        """All else that can change a byte, as something to be printed."""
        return None


def reduced(picture: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def restored(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Back at full size, by the same filter."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)
