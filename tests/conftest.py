"""Shared fixtures: the tiny frozen checkpoint, and pictures to encode."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_STREAMS = {
    "tiny": "v1", "steps": "steps", "context": "context", "priorities": "priorities",
}  # fmt: skip
"""The golden checkpoints, and what the names of their streams and of the index of these
start with."""


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Path:
    """A checkpoint of a few thousand parameters, frozen with the golden files."""
    return GOLDEN / "tiny.safetensors"


@pytest.fixture(scope="session")
def tiny_codec(tiny_checkpoint):
    from progcodec.codec.codec import Codec

    return Codec.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint) -> list[object]:
    """Options of a command that works with it."""
    return ["--model", tiny_checkpoint, "--device", "cpu"]


@pytest.fixture(scope="session", params=GOLDEN_STREAMS)
def golden_checkpoint(request) -> Path:
    """Each frozen checkpoint in turn: levels of one block; a coarse level of two refinement
    steps; the same, with a context for the hyperlatent; and with priorities.
    """
    return GOLDEN / f"{request.param}.safetensors"


@pytest.fixture(scope="session")
def golden_codec(golden_checkpoint):
    from progcodec.codec.codec import Codec

    return Codec.load(golden_checkpoint, device="cpu")


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """The photograph that the package brings, RGB."""
    from progcodec.viewer.demo import photograph

    return photograph()


@pytest.fixture(scope="session")
def small_photograph(photograph) -> Image.Image:
    """77 × 50 pixels, neither side a multiple of 16."""
    return photograph.resize((77, 50), Image.Resampling.LANCZOS)


@pytest.fixture(scope="session")
def kodak() -> list[Image.Image]:
    """The Kodak images, from the tar file or folder that the variable PROGCODEC_KODAK names."""
    source = os.environ.get("PROGCODEC_KODAK")
    if not source:
        pytest.skip("name the Kodak images' tar file or folder in PROGCODEC_KODAK")
    from progcodec.lab.evaluate.pictures import load_pictures

    return [Image.fromarray(picture.pixels) for picture in load_pictures([source])]


@pytest.fixture(scope="session")
def shipped():
    """The class hierarchy that the package brings."""
    from progcodec.hierarchy.hierarchy import Hierarchy

    return Hierarchy.load()


@pytest.fixture(scope="session")
def facts():
    """What WordNet says of its classes."""
    from progcodec.hierarchy.wordnet import Taxonomy

    return Taxonomy.load()


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
