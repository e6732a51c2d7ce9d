"""The walk: where networks and bitstream meet. Encoding and decoding are two short users of one generator of coding steps.

    step 0          ẑ                      ─► features of the scale path, prior of the mean path
    step 1, 2, 3    block k: σ-indices (integers, CPU), μ (floats, device)
                    encoder: q = round(y − μ), coded      decoder: q from the bytes; 0 where none arrived
                    both:    ŷ of block k = μ + q         ─► context of the next block

Bits come from integers that both sides hold; the float side only decides pixels.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from progcodec.bitstream import container, ordering
from progcodec.bitstream.rangecoder import Runs, decode_segment, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.config import DEFAULT_PIXEL_LIMIT, HYPER_STRIDE, LATENT_STRIDE, Q_MAX
from progcodec.errors import ImageError, LimitError, WrongModelError
from progcodec.image import as_tensor, crop, from_tensor, pad_to_multiple
from progcodec.network.checkpoint import Checkpoint, find
from progcodec.network.device import pick_device
from progcodec.stream import truncate
from progcodec.timing import stage, stage_times

__all__ = ["Codec", "Latent", "Trace", "codec_for", "cut", "decode", "encode", "stage_times"]


Part = TypeVar("Part")


@dataclass(frozen=True)
class Step:
    """One segment of a batch: what encoder and decoder need to code it.

    Attributes:
        segment: 0 for ẑ, k + 1 for block k.
        items: the images of the batch whose earlier segments are whole; only these can be coded.
        shape: (C, h, w) of the segment's symbols.
        indexes: σ-indices of those images, uint8 (len(items), C, h, w); None for ẑ.
        mean: μ of the block, (N, C, h, w) on the device; None for ẑ.
    """

    segment: int
    items: tuple[int, ...]
    shape: tuple[int, int, int]
    indexes: np.ndarray | None
    mean: Tensor | None


Reply: TypeAlias = tuple[np.ndarray, Sequence[bool]]
"""What a user of the walk answers to a step: symbols, int32 (N, C, h, w), and which images got all of theirs."""


@dataclass(frozen=True)
class Latent:
    """A decoded prefix before synthesis.

    Attributes:
        y: ŷ, float32 (1, 320, h, w), on the codec's device: μ + q, and q = 0 where nothing arrived.
        z: ẑ as integers, int32 (C, hz, wz); 0 where nothing arrived.
        q: coded integers of all blocks, int32 (320, h, w); 0 where nothing arrived.
        received: symbols that arrived, for each of the four segments.
        total: symbols of each segment.
        width, height: pixels of the image.
        bits: of the payload bytes that arrived and were used, of all segments; header, lengths and checksums not counted.
    """

    y: Tensor
    z: np.ndarray
    q: np.ndarray
    received: tuple[int, ...]
    total: tuple[int, ...]
    width: int
    height: int
    bits: int


@dataclass(frozen=True)
class Trace:
    """One segment of one image as it is coded.

    Attributes:
        order: flat positions in the segment's (C, h, w), int64, in coding order.
        symbols: the integers at these positions, int32.
        bits: what each costs, float64, by the tables' probabilities.
    """

    order: np.ndarray
    symbols: np.ndarray
    bits: np.ndarray


class Codec:
    """A loaded model that encodes and decodes many images. Build it with :meth:`load`.

    Attributes:
        config: shape of the model.
        fingerprint: the 4 bytes that its streams carry.
        device: where the float networks run; the integer path always runs on the CPU.
        name: how the checkpoint was asked for, for messages.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "auto", name: str = "") -> None:
        self.config = checkpoint.config
        self.fingerprint = checkpoint.fingerprint
        self.metadata = dict(checkpoint.metadata)
        self.name = name
        self.device = pick_device(device)
        model = checkpoint.build()
        self._scale_path = model.scale_path
        self._analysis = model.analysis.to(self.device, memory_format=torch.channels_last)
        self._synthesis = model.synthesis.to(self.device, memory_format=torch.channels_last)
        self._hyper_analysis = model.hyper_analysis.to(self.device, memory_format=torch.channels_last)
        self._mean_path = model.mean_path.to(self.device, memory_format=torch.channels_last)
        self._medians = checkpoint.tensors["tables.hyper_medians"].float().clone().to(self.device)[:, None, None]
        self._hyper_order = checkpoint.tensors["tables.hyper_order"].numpy().copy()
        self._hyper_tables = Tables(checkpoint.tensors["tables.hyper"].numpy())
        self._tables = Tables(checkpoint.tensors["tables.gaussian"].numpy())

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
            y = self._analysis(x.contiguous(memory_format=torch.channels_last))
            z = self._hyper_analysis(y) - self._medians
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
                order, runs, tables = self._order(step, n)
                with stage("range coding"):
                    parts[n].append(code(order, ordering.gather(values[n], order), runs, tables))
            return values, [True] * len(images)

        self._run(self._walk(len(images), *y.shape[2:]), reply)
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
            x = crop(self._synthesis(y), latents[0].height, latents[0].width)
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
                order, runs, tables = self._order(step, position)
                with stage("range coding"):
                    part = decode_segment(segment.payload, segment.declared, runs, tables, segment.verified)
                values[n], _ = ordering.scatter(part.symbols, order, step.shape)
                received[n][step.segment] = len(part.symbols)
                bits[n] += 8 * len(segment.payload)
                complete[n] = part.complete
            symbols.append(values)
            return values, complete

        y = self._run(self._walk(len(parsed), height, width), reply)
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

        return self._run(self._walk(len(q), *q.shape[2:]), reply)

    def _parse(self, data: bytes, max_pixels: int) -> container.Stream:
        stream = container.parse(data, max_pixels)
        if stream.header.fingerprint != self.fingerprint:
            raise WrongModelError(
                f"the stream was written with model {stream.header.fingerprint.hex()}, not {self.fingerprint.hex()}"
            )
        return stream

    # --- the walk -------------------------------------------------------------------------------------------------------

    def _walk(self, n: int, height: int, width: int) -> Generator[Step, Reply, Tensor]:
        """Yields the steps of ``n`` images of ``height`` × ``width`` latent positions; returns ŷ, float32 (n, 320, h, w)."""
        hyper_shape = (self.config.hyper_channels, -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE))
        z, complete = yield Step(0, tuple(range(n)), hyper_shape, None, None)
        whole = tuple(i for i in range(n) if complete[i])
        with stage("scale path"):
            features = self._scale_path.features(_exact(z[list(whole)]), height, width) if whole else None
        with stage("mean path"):
            z_hat = torch.from_numpy(z).to(self.device).float() + self._medians
            prior = self._mean_path.prior(z_hat.contiguous(memory_format=torch.channels_last), height, width)
        prefix: Tensor | None = None
        earlier: np.ndarray | None = None
        for k, channels in enumerate(self.config.blocks):
            with stage("mean path"):
                mean = self._mean_path.mean(k, prior, prefix)
            with stage("scale path"):
                indexes = None
                if whole:
                    # Only blocks that arrived whole come here: the integer path never sees a partly received one.
                    indexes = self._scale_path.index(k, features, None if earlier is None else _exact(earlier[list(whole)]))
                    indexes = indexes.to(torch.uint8).numpy()
            q, complete = yield Step(k + 1, whole, (channels, height, width), indexes, mean)
            assert all(index in whole for index in range(n) if complete[index]), "a block cannot precede its context"
            still = tuple(i for i in whole if complete[i])
            if features is not None:
                features = features[[position for position, i in enumerate(whole) if i in still]]
            whole = still
            earlier = q if earlier is None else np.concatenate((earlier, q), axis=1)
            with stage("mean path"):
                hat = mean + torch.from_numpy(q).to(self.device).float()
                prefix = hat if prefix is None else torch.cat((prefix, hat), 1)
        return prefix  # type: ignore[return-value]

    @staticmethod
    def _run(walk: Generator[Step, Reply, Tensor], reply: Callable[[Step], Reply]) -> Tensor:
        step = next(walk)
        while True:
            try:
                step = walk.send(reply(step))
            except StopIteration as end:
                return end.value

    def _order(self, step: Step, position: int) -> tuple[np.ndarray, Runs, Tables]:
        """Coding order, runs and tables of one image's symbols in a step; ``position`` counts within ``step.items``."""
        with stage("ordering"):
            if step.indexes is None:
                size = step.shape[1:]
                order = ordering.hyper_coding_order(self._hyper_order, *size)
                return order, ordering.hyper_runs(self._hyper_order, *size), self._hyper_tables
            indexes = step.indexes[position]
            return ordering.coding_order(indexes), ordering.runs(indexes), self._tables


def _payload(order: np.ndarray, symbols: np.ndarray, runs: Runs, tables: Tables) -> bytes:
    return encode_segment(symbols, runs, tables)


def cut(data: bytes, level: str | None = None, max_bytes: int | None = None) -> bytes:
    """The prefix of a stream that a level or a byte budget selects; the shorter of both if both are given."""
    if level is not None:
        data = truncate(data, level=level)
    return data if max_bytes is None else truncate(data, max_bytes=max_bytes)


def encode(
    image: object,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    level: str | None = None,
    max_bytes: int | None = None,
    checksums: bool = True,
    max_pixels: int = DEFAULT_PIXEL_LIMIT,
) -> bytes:
    """One image to a ``.shc`` stream, cut after a level or to a byte budget if asked. See :meth:`Codec.encode`."""
    codec = _loaded(find(model), device)
    return cut(codec.encode(image, checksums=checksums, max_pixels=max_pixels), level, max_bytes)


def decode(
    data: bytes,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    level: str | None = None,
    max_bytes: int | None = None,
    max_pixels: int = DEFAULT_PIXEL_LIMIT,
) -> Image.Image:
    """The picture that a stream holds. Finds the shipped model that wrote it, unless one is named. See :meth:`Codec.decode`."""
    codec = codec_for(data, model=model, device=device, max_pixels=max_pixels)
    return codec.decode(data, level=level, max_bytes=max_bytes, max_pixels=max_pixels)


def codec_for(
    data: bytes, *, model: str | Path | None = None, device: str = "auto", max_pixels: int = DEFAULT_PIXEL_LIMIT
) -> Codec:
    """The codec that a stream needs, by the fingerprint in its header unless one is named; it stays loaded.

    Raises NotShcError, UnsupportedVersionError, LimitError, WrongModelError, CheckpointError.
    """
    return _loaded(find(model, container.parse_header(data, max_pixels).fingerprint), device)


@lru_cache(maxsize=4)
def _loaded(path: Path, device: str) -> Codec:
    return Codec.load(path, device)


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


def _exact(values: np.ndarray) -> Tensor:
    """Integers as the float64 tensor, on the CPU, in which the scale path computes exactly."""
    return torch.from_numpy(np.ascontiguousarray(values)).double()
