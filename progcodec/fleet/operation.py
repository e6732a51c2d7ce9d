"""What is done to one input: the bytes of a file in, the bytes of a file out. Used by many threads
at once, and sent to other machines: it holds options and finds models when it is used.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from progcodec import assets
from progcodec.bitstream.container import parse, parse_header
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.cut import Cut
from progcodec.files import PICTURE_SUFFIXES, STREAM_SUFFIX
from progcodec.fleet.flow import Limits, Loaded, Threads
from progcodec.geometry import region_box

if TYPE_CHECKING:
    from PIL.Image import Image

    from progcodec.codec.codec import Codec
    from progcodec.codec.encode import Encoded

WORKERS_MAX = 8
"""More batches beside each other than that only wait for Python's lock."""
GPU_WORKERS = 2
"""One batch is on the device while the other is range-coded."""
LOADING = threading.Lock()
"""Two threads that need one model must not both load it."""


class Product(NamedTuple):
    """An output file, the size of its picture, and what a person should know of it."""

    data: bytes
    width: int
    height: int
    warning: str = ""


@dataclass(frozen=True)
class Operation:
    """What is done to each input, in the stages of :func:`progcodec.fleet.flow.flow`.

    Attributes:
        suffix: of the outputs.
        suffixes: of the inputs, in lower case.
    """

    suffix: ClassVar[str] = STREAM_SUFFIX
    suffixes: ClassVar[tuple[str, ...]] = (STREAM_SUFFIX,)

    def check(self) -> None:
        """Raises what is wrong whatever the inputs, as far as it is known without torch."""

    def signature(self) -> dict[str, object]:
        """All that decides an output besides its input: JSON values."""
        raise NotImplementedError

    def limits(self, batch: int) -> Limits:
        """How many inputs at once suit this machine. May load the model."""
        return Limits(batch)

    def load(self, data: bytes) -> Loaded:
        """An input's content, decoded and checked as far as it can be without torch."""
        raise NotImplementedError

    def run(self, contents: Sequence[Any], threads: Threads) -> Sequence[Any]:
        """Contents of one group through network and range coder, with so many of the threads."""
        raise NotImplementedError

    def finish(self, made: Any) -> Product:
        """The output file of one thing made; here of a stream."""
        header = parse_header(made, max_pixels=None)
        return Product(made, header.width, header.height)


@dataclass(frozen=True)
class Encode(Operation):
    """Pictures to ``.shc`` streams.

    Attributes:
        model: a shipped checkpoint's name, or a checkpoint file; None is the default one.
        cut: which prefix to keep.
        quality: as for :meth:`Codec.encode`.
        psnr: take the lowest quality that reaches so many dB instead.
    """

    model: str | None = None
    device: str = "auto"
    checksums: bool = True
    cut: Cut = Cut()
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT
    quality: int = 0
    psnr: float | None = None

    suffixes = PICTURE_SUFFIXES

    @property
    def codec(self) -> "Codec":
        from progcodec.codec.loaded import codec_named

        with LOADING:
            return codec_named(self.model, self.device)

    def check(self) -> None:
        assets.check(self.model)

    def signature(self) -> dict[str, object]:
        return {
            "operation": "encode",
            "model": assets.check(self.model),
            "checksums": self.checksums,
            "quality": self.quality if self.psnr is None else f"{self.psnr} dB",
            "cut": self.cut.limits(),
        }

    def limits(self, batch: int) -> Limits:
        self.codec  # noqa: B018 - what is wrong with it is told once, not for each input
        return limits_on(self.device, batch)

    def load(self, data: bytes) -> Loaded:
        from progcodec.image import read_image

        picture, warning = read_image(data, self.max_pixels)
        self.cut.check(*picture.size)
        return Loaded(picture.size, picture.width * picture.height, picture, warning)

    def run(self, contents: Sequence[Any], threads: Threads) -> "list[Encoded]":
        codec = self.codec
        with computing_with(threads):
            common: dict[str, Any] = {"checksums": self.checksums, "max_pixels": self.max_pixels}
            if self.psnr is None:
                return codec.encode_told(contents, quality=self.quality, **common)
            from progcodec.codec.target import encode_to_psnr

            return [encode_to_psnr(codec, content, self.psnr, **common) for content in contents]

    def finish(self, made: "Encoded") -> Product:
        return super().finish(self.cut.apply(made.data))._replace(warning=made.warning)


@dataclass(frozen=True)
class Decode(Operation):
    """``.shc`` streams to picture files.

    Attributes:
        model: None: the shipped one that each stream names.
        cut: which prefix to decode.
        form: Pillow's name of the pictures' format, and ``suffix`` its suffix.
        region: the part of each picture that is wanted, as for :meth:`Codec.decode`; None is all.
    """

    model: str | None = None
    device: str = "auto"
    cut: Cut = Cut()
    form: str = "PNG"
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT
    region: tuple[int, int, int, int] | None = None

    suffix = ".png"

    def check(self) -> None:
        if self.model is not None:
            assets.check(self.model)

    def signature(self) -> dict[str, object]:
        # The model is part of each stream's content: no other one decodes it.
        region = list(self.region or ())
        cut = self.cut.limits()
        return {"operation": "decode", "cut": cut, "form": self.form, "region": region}

    def limits(self, batch: int) -> Limits:
        return limits_on(self.device, batch)

    def load(self, data: bytes) -> Loaded:
        header = parse_header(data, self.max_pixels)
        assets.check(self.model, header.fingerprint)
        data = self.cut.apply(data)
        parse(data, self.max_pixels)
        region_box(self.region, header.width, header.height)
        return Loaded((header.fingerprint, header.width, header.height), header.pixels, data)

    def run(self, contents: Sequence[Any], threads: Threads) -> "list[Image]":
        from progcodec.codec.loaded import codec_for

        limit = self.max_pixels
        with LOADING:
            codec = codec_for(contents[0], model=self.model, device=self.device, max_pixels=limit)
        with computing_with(threads):
            return codec.decode_batch(contents, region=self.region, max_pixels=limit)

    def finish(self, made: "Image") -> Product:
        from progcodec.image import picture_file

        return Product(picture_file(made, self.form), made.width, made.height)


@dataclass(frozen=True)
class Truncate(Operation):
    """``.shc`` streams to prefixes of them. Needs no torch and no model."""

    cut: Cut

    def signature(self) -> dict[str, object]:
        return {"operation": "truncate", "cut": self.cut.limits()}

    def load(self, data: bytes) -> Loaded:
        return Loaded(None, 1, data)

    def run(self, contents: Sequence[Any], threads: Threads) -> list[bytes]:
        return [self.cut.apply(data) for data in contents]


def limits_on(device: str, batch: int) -> Limits:
    """How many inputs at once suit a device; raises what :func:`pick_device` does."""
    import torch

    from progcodec.network.device import pick_device

    total = torch.get_num_threads()
    on_gpu = pick_device(device).type != "cpu"
    return Limits(batch, GPU_WORKERS if on_gpu else min(WORKERS_MAX, total), total)


@contextmanager
def computing_with(threads: Threads) -> Iterator[None]:
    """Torch computes with that many threads for the calling thread."""
    import torch

    torch.set_num_threads(threads.threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads.of)  # new threads start with what was set last
