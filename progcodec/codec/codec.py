"""The codec: images to streams and back, one or a batch at a time, by the walk in ``walk.py``."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from progcodec.arrays import Ints
from progcodec.assets import find
from progcodec.bitstream import container
from progcodec.codec import passes
from progcodec.codec.decode import decode_streams
from progcodec.codec.encode import Encoded, code_images, coded_segment, common_size, payload
from progcodec.codec.latent import CodedSegment, Latent
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walker
from progcodec.config import DEFAULT_PIXEL_LIMIT, HYPER_STRIDE, LATENT_STRIDE
from progcodec.cut import Cut
from progcodec.errors import ImageError, WrongModelError
from progcodec.geometry import Box, hyper_size, latent_size, region_box
from progcodec.network.checkpoint import Checkpoint
from progcodec.network.device import pick_device, steadily
from progcodec.network.quality import check_quality
from progcodec.network.tiles import Tiling, latent_box


class Codec:
    """A loaded model that encodes and decodes many images. Build it with :meth:`load`.

    Attributes:
        config: shape of the model.
        fingerprint: the 4 bytes that its streams carry.
        device: where the float networks run; the integer path always runs on the CPU.
        metadata: what the checkpoint says of its making.
        name: how the checkpoint was asked for, for messages.
        walker: its networks and tables, and the steps in which they code.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str | torch.device = "auto",
        name: str = "",
        tiling: Tiling | None = None,
    ) -> None:
        self.config = checkpoint.config
        self.fingerprint = checkpoint.fingerprint
        self.metadata = dict(checkpoint.metadata)
        self.name = name
        self.device = pick_device(device)
        self.walker = Walker(checkpoint, self.device, tiling or Tiling())

    @classmethod
    def load(
        cls,
        name_or_path: str | Path | None = None,
        device: str | torch.device = "auto",
        tiling: Tiling | None = None,
    ) -> "Codec":
        """Loads a shipped checkpoint by name (default: ``lite``) or any checkpoint by path.

        Args:
            device: "auto" (CUDA where there is one), "cpu", "cuda", or a torch device.
            tiling: how large pictures are cut, which changes nothing but memory and float rounding;
                None as they come.
        Raises:
            CheckpointError: no such checkpoint, or not a sound one.
        """
        path = find(name_or_path)
        return cls(Checkpoint.load(path), device, path.stem, tiling)

    def __repr__(self) -> str:
        return f"Codec({self.name or 'unnamed'!r}, model {self.fingerprint.hex()}, {self.device})"

    def check_model(self, header: container.Header) -> None:
        """Raises WrongModelError unless a stream was written with this model."""
        own, found = self.fingerprint.hex(), header.fingerprint.hex()
        if found != own:
            raise WrongModelError(f"the stream was written with model {found}, not {own}")

    # --- encoding ---------------------------------------------------------------------------------

    def encode(
        self,
        image: object,
        *,
        checksums: bool = True,
        quality: int = 0,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> bytes:
        """The whole ``.shc`` stream of one image.

        Args:
            image: PIL image (by its colour profile, as it lies), uint8 array (H, W, 3) or (H, W),
                or float tensor (3, H, W) or (1, 3, H, W) in [0, 1].
            checksums: 4 bytes more for each of the four segments, so that damage is told from a
                cut.
            quality: -7 to 7; each unit more makes the quantisation step 1.22 times finer than the
                model's own, which is 0.
        Raises:
            ImageError: not such an image. LimitError: more than ``max_pixels`` pixels. ValueError:
                no such quality.
            CheckpointError: the model's numbers overflow.
        Warns:
            DetailWarning: the model cannot carry the picture as it is; it was softened.
        """
        return self.encode_batch(
            [image], checksums=checksums, quality=quality, max_pixels=max_pixels
        )[0]

    def encode_batch(
        self,
        images: Sequence[object],
        *,
        checksums: bool = True,
        quality: int = 0,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> list[bytes]:
        """As :meth:`encode`, for images of one size, which share passes; else ImageError."""
        made = self.encode_told(images, checksums=checksums, quality=quality, max_pixels=max_pixels)
        return [one.told() for one in made]

    @steadily
    def encode_told(
        self, images: Sequence[object], *, checksums: bool, quality: int, max_pixels: int | None
    ) -> list[Encoded]:
        """As :meth:`encode_batch`; what that would warn of comes back."""
        if not images:
            return []
        quality, (height, width) = check_quality(quality), common_size(images, max_pixels)
        found = []
        for coded in code_images(self.walker, images, quality, payload):
            with stage("container"):
                own = width, height, self.fingerprint, checksums, coded.quality
                data = container.write(container.Header(*own), coded.parts)
            found.append(Encoded(data, coded.warning(quality)))
        return found

    @steadily
    def coded_segments(
        self,
        images: Sequence[object],
        *,
        quality: int = 0,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> list[list[CodedSegment]]:
        """The four segments of each image, as :meth:`encode_batch` would write them."""
        common_size(images, max_pixels)
        made = code_images(self.walker, images, check_quality(quality), coded_segment)
        return [coded.parts for coded in made]

    # --- decoding ---------------------------------------------------------------------------------

    def decode(
        self,
        data: bytes,
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        region: Sequence[int] | None = None,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> Image.Image:
        """The picture that a stream, whole or cut anywhere after its header, holds.

        Args:
            level: "coarse", "intermediate" or "fine": use nothing beyond that level's end.
            max_bytes: use only that many first bytes.
            region: (x, y, width, height) in pixels: this part of the picture alone. All symbols are
                decoded, but only what the region depends on is synthesised; it equals the whole
                picture's part up to float rounding.
        Raises:
            NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError,
            BudgetError, RegionError.
        """
        cut = Cut(level, max_bytes)
        return self.decode_batch([data], cut=cut, region=region, max_pixels=max_pixels)[0]

    @steadily
    def decode_batch(
        self,
        streams: Sequence[bytes],
        *,
        cut: Cut = Cut(),
        region: Sequence[int] | None = None,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> list[Image.Image]:
        """As :meth:`decode`, for streams of images of one size; they share every network pass.

        Floats of a batch round otherwise than those of one image: a pixel may differ by a level.
        """
        if not streams:
            return []
        parsed = self._parse(streams, cut, max_pixels)
        size = parsed[0].header.width, parsed[0].header.height
        pixels = region_box(region, *size)
        if _hold_nothing(parsed):
            return [self.blank(pixels.width, pixels.height) for _ in parsed]
        box = latent_box(self.config, pixels, *size)
        decoded = decode_streams(self.walker, parsed, box)
        part = pixels.moved(-LATENT_STRIDE * box.top, -LATENT_STRIDE * box.left)
        return self._pictures(decoded.walked.y, part, [sum(counts) for counts in decoded.counts])

    @steadily
    def synthesise(self, latents: Sequence[Latent]) -> list[Image.Image]:
        """Pictures of latents of one size."""
        box = region_box(None, latents[0].width, latents[0].height)
        symbols = [sum(latent.received) for latent in latents]
        if not any(symbols):
            return [self.blank(box.width, box.height) for _ in latents]
        y = latents[0].y if len(latents) == 1 else torch.cat([latent.y for latent in latents])
        return self._pictures(y, box, symbols)

    @steadily
    def blank(self, width: int, height: int) -> Image.Image:
        """The picture of a stream that holds no symbol, at no cost but its memory: one colour, the
        mean of what the networks draw from nothing.
        """
        y = self._nothing()
        box = Box(0, 0, *(LATENT_STRIDE * side for side in y.shape[2:]))
        (drawn,) = self._pictures(y, box, [1])
        red, green, blue = np.asarray(drawn).mean(axis=(0, 1)).round().astype(int).tolist()
        return Image.new("RGB", (width, height), (red, green, blue))

    @steadily
    def blank_latent(self, header: container.Header) -> Latent:
        """The latent of such a stream: ŷ is one vector at every position, and takes the memory of
        one.
        """
        size = latent_size(header.height, header.width)
        y = self._nothing().mean((2, 3), keepdim=True).expand(-1, -1, *size)
        z = np.zeros((self.config.hyper_channels, *hyper_size(*size)), np.int32)
        q = np.zeros((self.config.latent_channels, *size), np.int32)
        totals = (
            z.size,
            *(
                (end - start) * math.prod(size)
                for start, end in pairwise(self.config.level_offsets)
            ),
        )
        counts = (0,) * len(totals)
        return Latent(y, z, q, counts, totals, header.width, header.height, 0, header.quality)

    def _nothing(self) -> Tensor:
        """ŷ where no symbol arrived, (1, 320, 4, 4)."""
        z = np.zeros((1, self.config.hyper_channels, 1, 1), np.int8)
        q = np.zeros((1, self.config.latent_channels, HYPER_STRIDE, HYPER_STRIDE), np.int8)
        return self.assemble(z, q)

    def decode_latent(
        self,
        data: bytes,
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> Latent:
        """The latent that a stream, whole or cut, holds. Arguments and errors as :meth:`decode`."""
        cut = Cut(level, max_bytes)
        return self.decode_latents([data], cut=cut, max_pixels=max_pixels)[0]

    @steadily
    def decode_latents(
        self,
        streams: Sequence[bytes],
        *,
        cut: Cut = Cut(),
        max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> list[Latent]:
        """As :meth:`decode_latent`, for streams of images of one size; else ImageError."""
        if not streams:
            return []
        parsed = self._parse(streams, cut, max_pixels)
        if _hold_nothing(parsed):
            return [self.blank_latent(stream.header) for stream in parsed]
        return decode_streams(self.walker, parsed).latents(parsed)

    @steadily
    def assemble(self, z: Ints, q: Ints, quality: int = 0) -> Tensor:
        """ŷ of integers that are at hand, 0 where nothing arrived: what a decoder of the same
        prefix gets.

        Args:
            z: ẑ, integers (N, C, hz, wz). q: of all blocks, int32 (N, 320, h, w).
        Returns:
            float32 (N, 320, h, w), on the codec's device.
        """

        def reply(step: Step) -> Reply:
            values = q[:, step.channels] if step.guess is None else step.guess.symbols(z)
            return values, [False] * len(q)  # no more is decoded: the scale path can rest

        height, width = q.shape[2:]
        return self.walker.walk(reply, [quality] * len(q), height, width).y

    def _parse(
        self, streams: Sequence[bytes], cut: Cut, max_pixels: int | None
    ) -> list[container.Stream]:
        with stage("container"):
            # The model before the segments, as where a stream arrives in pieces.
            for data in streams:
                self.check_model(container.parse_header(data, max_pixels))
            parsed = [container.parse(cut.apply(data), max_pixels) for data in streams]
        if len({(stream.header.width, stream.header.height) for stream in parsed}) > 1:
            raise ImageError("the streams of a batch must hold images of one size")
        return parsed

    def _pictures(self, y: Tensor, box: Box, symbols: Sequence[int]) -> list[Image.Image]:
        """Those of ŷ, by how many symbols arrived of each."""
        with stage("transform"):
            g_s, tiling = self.walker.synthesis, self.walker.tiling
            pixels = passes.synthesise(g_s, y, box, tiling, self.config)
            return [
                Image.fromarray(picture) if count else self.blank(box.width, box.height)
                for picture, count in zip(pixels, symbols, strict=True)
            ]


def _hold_nothing(streams: Sequence[container.Stream]) -> bool:
    """Whether they are headers alone: a length, even without payload, may be wrong."""
    return not any(stream.segments for stream in streams)
