"""The peers that Pillow writes: JPEG, JPEG progressive, WebP, AVIF."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageFile, features
from PIL import __version__ as pillow_version

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders.base import Coder, UndecodableError
from progcodec.lab.evaluate.coders.webp import decode_start

CUT_QUALITY = 75
"""Of JPEG and WebP: both libraries' default."""
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


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


def open_torn(data: bytes) -> Image.Image:
    """As :func:`open_whole`, with Pillow told to take what there is. Raises UndecodableError."""
    with _tolerant():
        try:
            return open_whole(data)
        except (
            Exception
        ) as error:  # Pillow's readers let many kinds of error escape from torn files.
            raise UndecodableError(str(error)) from error


@contextlib.contextmanager
def _tolerant() -> Iterator[None]:
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


class Jpeg(Coder):
    """Baseline: one scan. Optimised Huffman tables, 4:2:0, no JFIF segment (18 bytes that no decoder needs).

    A cut shows the upper part; the rest is grey.
    """

    key, name = "jpeg", "JPEG"
    settings = (1, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 29, 36, 46)
    progressive = False

    def library(self) -> str:
        return pillow_feature(self.name, "jpg")

    def options(self) -> object:
        return "optimize", "4:2:0", self.progressive, CUT_QUALITY, "torn segments dropped"

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        quality = {"quality": int(setting), "subsampling": "4:2:0"}
        return without_jfif(
            save(picture, format="JPEG", optimize=True, progressive=self.progressive, **quality)
        )

    def decode(self, data: bytes) -> Image.Image:
        return open_whole(data)

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        return self.encode(picture, CUT_QUALITY, 1)

    def decode_cut(self, data: bytes) -> Image.Image:
        return open_torn(mended_jpeg(data))


class ProgressiveJpeg(Jpeg):
    """Spectral selection and successive approximation, in libjpeg's default scans. A cut shows the scans that came."""

    key, name = "jpeg-progressive", "JPEG progressive"
    progressive = True


class WebP(Coder):
    """Lossy, method 6, its slowest and best. A cut shows the rows that came, by libwebp's incremental decoder."""

    key, name = "webp", "WebP"
    settings = (0, 0.3, 0.6, 1, 2, 4, 6, 9, 12, 16, 21, 27, 34, 42, 51, 62)

    def library(self) -> str:
        return pillow_feature(self.name, "webp")

    def options(self) -> object:
        return "method 6", CUT_QUALITY

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        return save(picture, format="WEBP", quality=setting, method=6)

    def decode(self, data: bytes) -> Image.Image:
        return open_whole(data)

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        return self.encode(picture, CUT_QUALITY, 1)

    def decode_cut(self, data: bytes) -> Image.Image:
        return decode_start(data)


class Avif(Coder):
    """AV1 stills, 4:2:0, one thread, speed 5: 3 % fewer bytes than the default 6 (4 would save 2 % more for twice the time).

    The container alone takes some 280 bytes; the format knows no smaller one. It does not decode in part: a cut gives
    nothing before the whole file is there.
    """

    key, name = "avif", "AVIF"
    settings = (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60)

    def library(self) -> str:
        return pillow_feature(self.name, "avif")

    def options(self) -> object:
        return "speed 5", "4:2:0", self.settings[-1]

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        return save(
            picture,
            format="AVIF",
            quality=int(setting),
            speed=5,
            subsampling="4:2:0",
            max_threads=1,
        )

    def decode(self, data: bytes) -> Image.Image:
        return open_whole(data)

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        return self.encode(picture, self.settings[-1], 1)

    def decode_cut(self, data: bytes) -> Image.Image:
        return open_torn(data)


def without_jfif(data: bytes) -> bytes:
    """A JPEG file without its APP0 segment. Without one, three components are YCbCr, as they are here."""
    if data[2:4] != b"\xff\xe0":
        return data
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]


def mended_jpeg(data: bytes) -> bytes:
    """The start of a JPEG file, closed: without a segment that is torn, with an end. Raises UndecodableError before a scan.

    A torn table between two scans would make Pillow wait for the rest of it, and show black.
    """
    place, scans = 2, 0
    while True:
        if place + 4 > len(data):
            break
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place : place + 2] == END_OF_IMAGE or end > len(data):
            break
        if data[place : place + 2] == START_OF_SCAN:
            scans += 1
            # in a scan, 0xFF stands before 0x00 or a restart number; anything else is the next segment's marker
            following = NEXT_SEGMENT.search(data, end)
            if following is None:
                return data.removesuffix(b"\xff") + END_OF_IMAGE
            end = following.start()
        place = end
    if not scans:
        raise UndecodableError("no scan has begun")
    return data[:place] + END_OF_IMAGE
