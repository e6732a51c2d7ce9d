"""Training images: tar shards and folders, decoded once into memory, served as batches of random crops.

The sets that this codec is trained on fit in memory as 8-bit arrays; decoding each JPEG once and cropping from arrays keeps
two CPU cores free for the network.
"""

import glob
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from progcodec.errors import TrainingError

SHRINK_SHARE = 0.25
"""Share of the crops that are taken larger and shrunk."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".ppm", ".bmp"}


def expand(patterns: Sequence[str]) -> list[Path]:
    """Paths that the patterns (files, folders, globs) name, sorted within each. Raises TrainingError on an empty one."""
    paths: list[Path] = []
    for pattern in patterns:
        found = sorted(Path(p) for p in glob.glob(str(pattern), recursive=True))
        if not found:
            raise TrainingError(f"{pattern}: no such file, folder or pattern")
        paths += found
    return paths


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES and file.is_file():
                yield str(file), file.read_bytes()
    elif path.name.endswith((".tar", ".tar.gz", ".tgz")):
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                        stream = archive.extractfile(member)
                        if stream is not None:
                            yield f"{path.name}/{member.name}", stream.read()
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
            raise TrainingError(f"{path}: not a readable tar file ({reason})") from None
    else:
        yield str(path), path.read_bytes()


def load_images(patterns: Sequence[str], min_side: int, limit: int | None = None, quiet: bool = True) -> list[np.ndarray]:
    """Every image of the shards and folders whose short side is at least ``min_side``, as uint8 (H, W, 3).

    Raises:
        TrainingError: nothing usable was found.
    """
    images: list[np.ndarray] = []
    small = broken = 0
    for path in expand(patterns):
        for name, data in tqdm(_members(path), desc=f"reading {path.name}", unit="img", disable=quiet, leave=False):
            try:
                image = Image.open(io.BytesIO(data))
                if min(image.size) < min_side:
                    small += 1
                    continue
                images.append(np.asarray(image.convert("RGB")))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # Pillow's ways to say "damaged"
                broken += 1
            if limit is not None and len(images) >= limit:
                return images
    if not images:
        raise TrainingError(f"no image of at least {min_side} pixels a side ({small} smaller, {broken} unreadable)")
    return images


class CropSampler:
    """Endless batches of random crops, flipped, some from a shrunken image.

    Shrinking (by up to 0.5) shows the network scales that it will meet in photographs of
    other sizes, and averages the artefacts of the training JPEGs away.

    Args:
        images: uint8 (H, W, 3) arrays, each at least ``crop`` a side.
        crop: pixels a side of a crop; a multiple of 16.
    """

    def __init__(self, images: Sequence[np.ndarray], crop: int, batch: int, seed: int) -> None:
        self.images, self.crop, self.batch = images, crop, batch
        self.random = np.random.default_rng(seed)

    def _one(self) -> np.ndarray:
        rng, crop = self.random, self.crop
        image = self.images[rng.integers(len(self.images))]
        side = crop
        if rng.random() < SHRINK_SHARE:
            side = int(round(crop / rng.uniform(0.5, 1.0)))
            side = min(side, image.shape[0], image.shape[1])
        top = rng.integers(image.shape[0] - side + 1)
        left = rng.integers(image.shape[1] - side + 1)
        piece = image[top : top + side, left : left + side]
        if side != crop:
            piece = np.asarray(Image.fromarray(piece).resize((crop, crop), Image.Resampling.LANCZOS))
        return piece[:, ::-1] if rng.random() < 0.5 else piece

    def next(self) -> Tensor:
        """uint8 (batch, 3, crop, crop), channels-last in memory."""
        pieces = np.stack([self._one() for _ in range(self.batch)])
        return torch.from_numpy(pieces).permute(0, 3, 1, 2)
