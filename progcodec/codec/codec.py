"""The codec: images to streams and back, one or a batch at a time. What it codes, step by step, is the walk in ``walk.py``."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from progcodec.arrays import Ints
from progcodec.bitstream import container, ordering
from progcodec.bitstream.rangecoder import Runs, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.codec import passes
from progcodec.codec.decode import receive
from progcodec.codec.driving import drive
from progcodec.codec.latent import Latent, Trace
from progcodec.codec.region import latent_box, region_box
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walker
from progcodec.config import DEFAULT_PIXEL_LIMIT, LATENT_STRIDE, Q_MAX
from progcodec.cut import Cut
from progcodec.errors import CheckpointError, ImageError, LimitError, WrongModelError
from progcodec.image import size_of
from progcodec.network.checkpoint import Checkpoint, find
from progcodec.network.device import pick_device
from progcodec.network.quality import step_size
from progcodec.network.tiles import Box, Tiling

Part = TypeVar("Part")


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
            tiling: how large pictures are cut, which changes nothing but memory and float rounding; None as they come.
        Raises:
            CheckpointError: no such checkpoint, or not a sound one.
        """
        path = find(name_or_path)
        return cls(Checkpoint.load(path), device, path.stem, tiling)

    def __repr__(self) -> str:
        return f"Codec({self.name or 'unnamed'!r}, model {self.fingerprint.hex()}, {self.device})"

    # --- encoding -------------------------------------------------------------------------------------------------------

    def encode(
        self,
        image: object,
        *,
        checksums: bool = True,
        quality: int = 0,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> bytes:
        """The whole ``.shc`` stream of one image.

        Args:
            image: PIL image, uint8 array (H, W, 3) or (H, W), or float tensor (3, H, W) or (1, 3, H, W) in [0, 1].
            checksums: 4 bytes more for each of the four segments, so that damage is told from a cut.
            quality: -7 to 7; each unit more makes the quantisation step 1.22 times finer than the model's own, which is 0.
        Raises:
            ImageError: not such an image. LimitError: more than ``max_pixels`` pixels. ValueError: no such quality.
            CheckpointError: the model's numbers overflow.
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
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> list[bytes]:
        """As :meth:`encode`, for images of one size, which share every network pass. Raises ImageError if sizes differ."""
        if not images:
            return []
        payloads, (height, width) = self._code_images(images, quality, max_pixels, _payload)
        with stage("container"):
            header = container.Header(width, height, self.fingerprint, checksums, quality=quality)
            return [container.write(header, segments) for segments in payloads]

    def estimate_bits(
        self, image: object, *, quality: int = 0, max_pixels: int = DEFAULT_PIXEL_LIMIT
    ) -> float:
        """−Σ log2 of the tables' probabilities of all symbols of one image: the size that a perfect coder would reach."""
        return sum(
            float(part.bits.sum())
            for part in self.trace([image], quality=quality, max_pixels=max_pixels)[0]
        )

    def trace(
        self, images: Sequence[object], *, quality: int = 0, max_pixels: int = DEFAULT_PIXEL_LIMIT
    ) -> list[list[Trace]]:
        """What :meth:`encode_batch` would write, before it becomes bytes: the four segments of each image."""

        def look(order: Ints, symbols: Ints, runs: Runs, tables: Tables) -> Trace:
            table = np.repeat([index for index, _ in runs], [count for _, count in runs])
            return Trace(order, symbols, tables.bits[table, symbols + Q_MAX])

        return self._code_images(images, quality, max_pixels, look)[0]

    @torch.inference_mode()
    def _code_images(
        self,
        images: Sequence[object],
        quality: int,
        max_pixels: int,
        code: Callable[[Ints, Ints, Runs, Tables], Part],
    ) -> tuple[list[list[Part]], tuple[int, int]]:
        """What ``code`` makes of each image's segments, and the (height, width) that all images share."""
        size = step_size(quality)
        sizes = [size_of(image) for image in images]
        for height, width in sizes:
            if height * width > max_pixels:
                raise LimitError(
                    f"{height * width:,} pixels are more than the limit of {max_pixels:,}"
                )
        if len(set(sizes)) > 1:
            raise ImageError("the images of a batch must have one size")
        walker = self.walker
        with stage("transform"):
            y = passes.analyse(walker.analysis, images, walker.tiling, self.config, self.device)
            z_integer = _to_integers(
                passes.hyper_analyse(walker.hyper_analysis, y, walker.tiling) - walker.medians
            )
        parts: list[list[Part]] = [[] for _ in images]
        offsets = self.config.offsets

        def reply(step: Step) -> Reply:
            if step.segment == 0:
                values = z_integer
            else:
                assert step.mean is not None
                with stage("mean path"):
                    residual = y[:, offsets[step.segment - 1] : offsets[step.segment]] - step.mean
                    values = _to_integers(residual.div_(size))
            for n in range(len(images)):
                order, runs, tables = self.walker.order(step, n)
                with stage("range coding"):
                    parts[n].append(code(order, ordering.gather(values[n], order), runs, tables))
            return values, [True] * len(images)

        drive(self.walker.steps([quality] * len(images), *y.shape[2:]), reply)
        return parts, sizes[0]

    # --- decoding -------------------------------------------------------------------------------------------------------

    def decode(
        self,
        data: bytes,
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        region: Sequence[int] | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> Image.Image:
        """The picture that a stream, whole or cut anywhere after its header, holds.

        Args:
            level: "coarse", "intermediate" or "fine": use nothing beyond that level's end.
            max_bytes: use only that many first bytes.
            region: (x, y, width, height) in pixels: this part of the picture alone. All symbols are decoded, but only what
                the region depends on is synthesised; it equals the whole picture's part up to float rounding.
        Raises:
            NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError, BudgetError, RegionError.
        """
        return self.decode_batch(
            [data], level=level, max_bytes=max_bytes, region=region, max_pixels=max_pixels
        )[0]

    @torch.inference_mode()
    def decode_batch(
        self,
        streams: Sequence[bytes],
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        region: Sequence[int] | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> list[Image.Image]:
        """As :meth:`decode`, for streams of images of one size; they share every network pass."""
        if not streams:
            return []
        parsed = self._parse(streams, Cut(level, max_bytes), max_pixels)
        size = parsed[0].header.width, parsed[0].header.height
        pixels = region_box(region, *size)
        box = latent_box(self.config, pixels, *size)
        y = receive(self.walker, parsed, box).y
        return self._pictures(y, pixels.moved(-LATENT_STRIDE * box.top, -LATENT_STRIDE * box.left))

    @torch.inference_mode()
    def synthesise(self, latents: Sequence[Latent]) -> list[Image.Image]:
        """Pictures of latents of one size."""
        y = latents[0].y if len(latents) == 1 else torch.cat([latent.y for latent in latents])
        return self._pictures(y, region_box(None, latents[0].width, latents[0].height))

    def decode_latent(
        self,
        data: bytes,
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> Latent:
        """The latent that a stream, whole or cut, holds. Arguments and errors as :meth:`decode`."""
        return self.decode_latents([data], level=level, max_bytes=max_bytes, max_pixels=max_pixels)[
            0
        ]

    @torch.inference_mode()
    def decode_latents(
        self,
        streams: Sequence[bytes],
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> list[Latent]:
        """As :meth:`decode_latent`, for streams of images of one size. Raises ImageError if sizes differ."""
        if not streams:
            return []
        parsed = self._parse(streams, Cut(level, max_bytes), max_pixels)
        return receive(self.walker, parsed).latents(parsed)

    @torch.inference_mode()
    def assemble(self, z: Ints, q: Ints, quality: int = 0) -> Tensor:
        """ŷ of integers that are at hand, 0 where nothing arrived: what a decoder of the same prefix gets.

        Args:
            z: ẑ, int32 (N, C, hz, wz). q: of all blocks, int32 (N, 320, h, w).
        Returns:
            float32 (N, 320, h, w), on the codec's device.
        """
        offsets = self.config.offsets

        def reply(step: Step) -> Reply:
            values = (
                z if step.segment == 0 else q[:, offsets[step.segment - 1] : offsets[step.segment]]
            )
            return values, [False] * len(
                q
            )  # nothing else is to be decoded, so the scale path can rest

        height, width = q.shape[2:]
        return drive(self.walker.steps([quality] * len(q), height, width), reply)

    def _parse(self, streams: Sequence[bytes], cut: Cut, max_pixels: int) -> list[container.Stream]:
        with stage("container"):
            # The model before the segments, as where the header finds it or a stream arrives in pieces.
            for data in streams:
                found = container.parse_header(data, max_pixels).fingerprint
                if found != self.fingerprint:
                    raise WrongModelError(
                        f"the stream was written with model {found.hex()}, not {self.fingerprint.hex()}"
                    )
            parsed = [container.parse(cut.apply(data), max_pixels) for data in streams]
        if len({(stream.header.width, stream.header.height) for stream in parsed}) > 1:
            raise ImageError("the streams of a batch must hold images of one size")
        return parsed

    def _pictures(self, y: Tensor, box: Box) -> list[Image.Image]:
        with stage("transform"):
            pixels = passes.synthesise(
                self.walker.synthesis, y, box, self.walker.tiling, self.config
            )
            return [Image.fromarray(picture) for picture in pixels]


def _payload(order: Ints, symbols: Ints, runs: Runs, tables: Tables) -> bytes:
    return encode_segment(symbols, runs, tables)


def _to_integers(x: Tensor) -> Ints:
    """round(x), clamped to the alphabet: int8 on the CPU. Raises CheckpointError where a network overflowed."""
    if not all(math.isfinite(end) for end in x.aminmax()):
        raise CheckpointError(
            "the model's numbers overflow: its weights are damaged, or of no trained model"
        )
    return x.round().clamp_(-Q_MAX, Q_MAX).to(torch.int8).cpu().contiguous().numpy()
