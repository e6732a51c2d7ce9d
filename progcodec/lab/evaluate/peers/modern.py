"""WebP and AVIF through Pillow, JPEG XL through imagecodecs: whole files alone."""

import numpy as np
from PIL import Image

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.peers.base import Peer, pillow_feature, save


class WebP(Peer):
    """Lossy, method 6, its slowest and best."""

    key, name = "webp", "WebP"
    settings = (
        0, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4, 5, 6, 7.5, 9, 10.5, 12, 14, 16, 18.5, 21, 24, 27,
        30, 34, 38, 42, 46, 51, 56, 62, 70, 76, 80, 84, 88, 92, 95,
    )  # fmt: skip

    def library(self) -> str:
        return pillow_feature(self.name, "webp")

    def options(self) -> object:
        return "method 6"

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        return save(picture, format="WEBP", quality=setting, method=6)


class Avif(Peer):
    """AV1 stills, 4:2:0, one thread, speed 5: 3 % fewer bytes than the default 6.

    The container alone takes some 280 bytes; the format knows no smaller one.
    """

    key, name = "avif", "AVIF"
    settings = (
        0, 4, 8, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45, 48, 51, 54, 57, 60, 65, 70,
        75, 80, 85,
    )  # fmt: skip

    def library(self) -> str:
        return pillow_feature(self.name, "avif")

    def options(self) -> object:
        return "speed 5", "4:2:0"

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        options = {"quality": int(setting), "speed": 5, "subsampling": "4:2:0"}
        return save(picture, format="AVIF", max_threads=1, **options)


class JpegXl(Peer):
    """A bare codestream, effort 8: 3 % smaller than at the default, 7; 9 saves no more."""

    key, name = "jpegxl", "JPEG XL"
    settings = (
        25, 21, 19, 17.5, 16, 14.5, 13, 11.8, 10.6, 9.5, 8.6, 7.7, 7, 6.3, 5.7, 5.1,
        4.6, 4.1, 3.7, 3.3, 3, 2.6, 2, 1.5, 1,
    )  # fmt: skip
    """Butteraugli distances; 25 is the largest."""

    def library(self) -> str:
        try:
            import imagecodecs
        except ImportError as error:
            raise EvaluationError(f"imagecodecs is not installed ({error})") from None
        if not imagecodecs.JPEGXL.available:
            raise EvaluationError("imagecodecs was built without libjxl")
        version: str = imagecodecs.jpegxl_version()
        return version.replace(" ", "-")

    def options(self) -> object:
        return "effort 8"

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        import imagecodecs

        options = {"effort": 8, "usecontainer": False, "numthreads": 1}
        return bytes(
            imagecodecs.jpegxl_encode(np.asarray(picture), distance=float(setting), **options)
        )

    def decode(self, data: bytes) -> Image.Image:
        import imagecodecs

        return Image.fromarray(imagecodecs.jpegxl_decode(data, numthreads=1))
