"""The codec: images to streams and back, one or a batch at a time. What it codes, step by step, is the walk in ``walk.py``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from progcodec.bitstream import container, ordering
from progcodec.bitstream.rangecoder import Runs, decode_segment, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.config import DEFAULT_PIXEL_LIMIT, LATENT_STRIDE, Q_MAX
from progcodec.driving import drive
from progcodec.errors import ImageError, LimitError, WrongModelError
from progcodec.image import as_tensor, crop, from_tensor, pad_to_multiple
from progcodec.latent import Latent, Trace
from progcodec.network.checkpoint import Checkpoint, find
from progcodec.network.device import pick_device
from progcodec.stream import cut
from progcodec.timing import stage
from progcodec.walk import Reply, Step, Walker

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

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "auto", name: str = "") -> None:
        self.config = checkpoint.config
        self.fingerprint = checkpoint.fingerprint
        self.metadata = dict(checkpoint.metadata)
        self.name = name
        self.device = pick_device(device)
        self.walker = Walker(checkpoint, self.device)

    @classmethod
    def load(cls, name_or_path: str | Path | None = None, device: str | torch.device = "auto") -> "Codec":
        """Loads a shipped checkpoint by name (default: ``lite``) or any checkpoint by path.

        Args:
            device: "auto" (CUDA where there is one), "cpu", "cuda", or a torch device.
        Raises:
            CheckpointError: no such checkpoint, or not a sound one.
        """
        path = find(name_or_path)
        return cls(Checkpoint.load(path), device, path.stem)

    def __repr__(self) -> str:
        return f"Codec({self.name or 'unnamed'!r}, model {self.fingerprint.hex()}, {self.device})"

    # --- encoding -------------------------------------------------------------------------------------------------------

    def encode(self, image: object, *, checksums: bool = True, max_pixels: int = DEFAULT_PIXEL_LIMIT) -> bytes:
        """The whole ``.shc`` stream of one image.

        Args:
            image: PIL image, uint8 array (H, W, 3) or (H, W), or float tensor (3, H, W) or (1, 3, H, W) in [0, 1].
            checksums: 4 bytes more for each of the four segments, so that damage is told from a cut.
        Raises:
            ImageError: not such an image. LimitError: more than ``max_pixels`` pixels.
        """
        return self.encode_batch([image], checksums=checksums, max_pixels=max_pixels)[0]

    def encode_batch(
        self, images: Sequence[object], *, checksums: bool = True, max_pixels: int = DEFAULT_PIXEL_LIMIT
    ) -> list[bytes]:
        """As :meth:`encode`, for images of one size, which share every network pass. Raises ImageError if sizes differ."""
        if not images:
            return []
        payloads, (height, width) = self._code_images(images, max_pixels, _payload)
        with stage("container"):
            header = container.Header(width, height, self.fingerprint, checksums)
            return [container.write(header, segments) for segments in payloads]

    def estimate_bits(self, image: object, *, max_pixels: int = DEFAULT_PIXEL_LIMIT) -> float:
        """−Σ log2 of the tables' probabilities of all symbols of one image: the size that a perfect coder would reach."""
        return sum(float(part.bits.sum()) for part in self.trace([image], max_pixels=max_pixels)[0])

    def trace(self, images: Sequence[object], *, max_pixels: int = DEFAULT_PIXEL_LIMIT) -> list[list[Trace]]:
        """What :meth:`encode_batch` would write, before it becomes bytes: the four segments of each image."""

        def look(order: np.ndarray, symbols: np.ndarray, runs: Runs, tables: Tables) -> Trace:
            table = np.repeat([index for index, _ in runs], [count for _, count in runs])
            return Trace(order, symbols, tables.bits[table, symbols + Q_MAX])

        return self._code_images(images, max_pixels, look)[0]

    @torch.inference_mode()
    def _code_images(
        self,
        images: Sequence[object],
        max_pixels: int,
        code: Callable[[np.ndarray, np.ndarray, Runs, Tables], Part],
    ) -> tuple[list[list[Part]], tuple[int, int]]:
        """What ``code`` makes of each image's segments, and the (height, width) that all images share."""
        for image in images:
            size = _pixels(image)
            if size is not None and size > max_pixels:
                raise LimitError(f"{size:,} pixels are more than the limit of {max_pixels:,}")
        tensors = [as_tensor(image) for image in images]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise ImageError("the images of a batch must have one size")
        height, width = tensors[0].shape[2:]
        with stage("transform"):
            x = pad_to_multiple(torch.cat(tensors).to(self.device), LATENT_STRIDE)
            y = self.walker.analysis(x.contiguous(memory_format=torch.channels_last))
            z = self.walker.hyper_analysis(y) - self.walker.medians
            z_integer = _to_integers(z)
        parts: list[list[Part]] = [[] for _ in images]
        offsets = self.config.offsets

        def reply(step: Step) -> Reply:
            if step.segment == 0:
                values = z_integer
            else:
                with stage("mean path"):
                    values = _to_integers(y[:, offsets[step.segment - 1] : offsets[step.segment]] - step.mean)
            for n in range(len(images)):
                order, runs, tables = self.walker.order(step, n)
                with stage("range coding"):
                    parts[n].append(code(order, ordering.gather(values[n], order), runs, tables))
            return values, [True] * len(images)

        drive(self.walker.steps(len(images), *y.shape[2:]), reply)
        return parts, (height, width)

    # --- decoding -------------------------------------------------------------------------------------------------------

    def decode(
        self,
        data: bytes,
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> Image.Image:
        """The picture that a stream, whole or cut anywhere after its header, holds.

        Args:
            level: "coarse", "intermediate" or "fine": use nothing beyond that level's end.
            max_bytes: use only that many first bytes.
        Raises:
            NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError, BudgetError.
        """
        return self.decode_batch([data], level=level, max_bytes=max_bytes, max_pixels=max_pixels)[0]

    def decode_batch(
        self,
        streams: Sequence[bytes],
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> list[Image.Image]:
        """As :meth:`decode`, for streams of images of one size; they share every network pass."""
        latents = self.decode_latents(streams, level=level, max_bytes=max_bytes, max_pixels=max_pixels)
        return self.synthesise(latents) if latents else []

    @torch.inference_mode()
    def synthesise(self, latents: Sequence[Latent]) -> list[Image.Image]:
        """Pictures of latents of one size."""
        with stage("transform"):
            y = torch.cat([latent.y for latent in latents]).contiguous(memory_format=torch.channels_last)
            x = crop(self.walker.synthesis(y), latents[0].height, latents[0].width)
            return [from_tensor(image[None]) for image in x]

    def decode_latent(
        self,
        data: bytes,
        *,
        level: str | None = None,
        max_bytes: int | None = None,
        max_pixels: int = DEFAULT_PIXEL_LIMIT,
    ) -> Latent:
        """The latent that a stream, whole or cut, holds. Arguments and errors as :meth:`decode`."""
        return self.decode_latents([data], level=level, max_bytes=max_bytes, max_pixels=max_pixels)[0]

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
        with stage("container"):
            parsed = [self._parse(cut(data, level, max_bytes), max_pixels) for data in streams]
        headers = [stream.header for stream in parsed]
        if len({(header.width, header.height) for header in headers}) > 1:
            raise ImageError("the streams of a batch must hold images of one size")
        height, width = (-(-side // LATENT_STRIDE) for side in (headers[0].height, headers[0].width))
        received = [[0] * headers[0].segments for _ in parsed]
        bits = [0] * len(parsed)
        totals: list[int] = []
        symbols: list[np.ndarray] = []

        def reply(step: Step) -> Reply:
            values = np.zeros((len(parsed), *step.shape), np.int32)
            complete = [False] * len(parsed)
            totals.append(values[0].size)
            for position, n in enumerate(step.items):
                if step.segment >= len(parsed[n].segments):
                    continue
                segment = parsed[n].segments[step.segment]
                order, runs, tables = self.walker.order(step, position)
                with stage("range coding"):
                    part = decode_segment(segment.payload, segment.declared, runs, tables, segment.verified)
                values[n], _ = ordering.scatter(part.symbols, order, step.shape)
                received[n][step.segment] = len(part.symbols)
                bits[n] += 8 * len(segment.payload)
                complete[n] = part.complete
            symbols.append(values)
            return values, complete

        y = drive(self.walker.steps(len(parsed), height, width), reply)
        q = np.concatenate(symbols[1:], axis=1)
        return [
            Latent(y[n : n + 1], symbols[0][n], q[n], tuple(received[n]), tuple(totals), header.width, header.height, bits[n])
            for n, header in enumerate(headers)
        ]

    @torch.inference_mode()
    def assemble(self, z: np.ndarray, q: np.ndarray) -> Tensor:
        """ŷ of integers that are at hand, 0 where nothing arrived: what a decoder of the same prefix gets.

        Args:
            z: ẑ, int32 (N, C, hz, wz). q: of all blocks, int32 (N, 320, h, w).
        Returns:
            float32 (N, 320, h, w), on the codec's device.
        """
        offsets = self.config.offsets

        def reply(step: Step) -> Reply:
            values = z if step.segment == 0 else q[:, offsets[step.segment - 1] : offsets[step.segment]]
            return values, [False] * len(q)  # nothing else is to be decoded, so the scale path can rest

        return drive(self.walker.steps(len(q), *q.shape[2:]), reply)

    def _parse(self, data: bytes, max_pixels: int) -> container.Stream:
        stream = container.parse(data, max_pixels)
        if stream.header.fingerprint != self.fingerprint:
            raise WrongModelError(
                f"the stream was written with model {stream.header.fingerprint.hex()}, not {self.fingerprint.hex()}"
            )
        return stream


def _payload(order: np.ndarray, symbols: np.ndarray, runs: Runs, tables: Tables) -> bytes:
    return encode_segment(symbols, runs, tables)


def _pixels(image: object) -> int | None:
    """Pixels of an image of a supported type, before anything is allocated for it."""
    if isinstance(image, Image.Image):
        return image.width * image.height
    shape = getattr(image, "shape", None)
    if isinstance(image, Tensor):
        return int(shape[-1] * shape[-2]) if image.ndim >= 2 else None
    return int(shape[0] * shape[1]) if shape is not None and len(shape) >= 2 else None


def _to_integers(x: Tensor) -> np.ndarray:
    """round(x), clamped to the alphabet: int32 on the CPU."""
    return x.round().clamp_(-Q_MAX, Q_MAX).to(torch.int32).cpu().contiguous().numpy()
