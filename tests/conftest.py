"""Shared fixtures: the tiny frozen checkpoint, and pictures to encode."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Path:
    """A checkpoint of a few thousand parameters, frozen with the golden files."""
    return GOLDEN / "tiny.safetensors"


@pytest.fixture(scope="session")
def tiny_codec(tiny_checkpoint):
    from progcodec.codec import Codec

    return Codec.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """The photograph that the package brings, RGB."""
    from progcodec.demo import photograph

    return photograph()


@pytest.fixture(scope="session")
def small_photograph(photograph) -> Image.Image:
    """77 × 50 pixels, neither side a multiple of 16."""
    return photograph.resize((77, 50), Image.Resampling.LANCZOS)


@pytest.fixture(scope="session")
def kodak() -> list[Image.Image]:
    """The Kodak images, from the tar file that PROGCODEC_KODAK names or that lies in a folder ``shared/data`` nearby."""
    candidates = [os.environ.get("PROGCODEC_KODAK", "")]
    candidates += [str(parent / "shared" / "data" / "kodak.tar") for parent in Path(__file__).resolve().parents]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            from progcodec.evaluation.sources import read_pictures

            return [Image.fromarray(picture.pixels) for picture in read_pictures(candidate)]
    pytest.skip("the Kodak images are not here; name their tar file in PROGCODEC_KODAK")


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
