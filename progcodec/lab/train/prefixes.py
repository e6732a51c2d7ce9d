"""What a classifier learns to read: one model's prefixes or, for a fair comparison, the files of
another codec.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from progcodec.codec.codec import Codec
from progcodec.errors import TrainingError
from progcodec.image import to_pixels
from progcodec.lab.evaluate.peers import choose
from progcodec.lab.evaluate.peers.base import Peer, reduced, restored
from progcodec.lab.evaluate.plan import SCALES


class Prefixes(Protocol):
    """A codec of square pictures.

    Attributes:
        mark: what is the same only for the same bytes.
    """

    mark: str

    def encode_batch(self, pictures: Sequence[Image.Image]) -> list[bytes]: ...

    def cut(self, data: bytes, shortest: int, rng: np.random.Generator) -> bytes:
        """A random one of the prefixes of a file that have `shortest` bytes or more."""
        ...

    def decoded(self, prefixes: Sequence[bytes], side: int) -> list[Image.Image]:
        """Their pictures, all of one side, a multiple of 16."""
        ...


class OwnPrefixes:
    """Ours, of log-uniform length; synthesis in bfloat16 if `half`."""

    def __init__(self, codec: Codec, half: bool) -> None:
        self._codec, self._half = codec, half
        self.mark, self.encode_batch = codec.fingerprint.hex(), codec.encode_batch

    def cut(self, data: bytes, shortest: int, rng: np.random.Generator) -> bytes:
        least = min(shortest, len(data))
        return data[: int(np.exp(rng.uniform(np.log(least), np.log(len(data)))))]

    @torch.inference_mode()
    def decoded(self, prefixes: Sequence[bytes], side: int) -> list[Image.Image]:
        codec = self._codec
        y = torch.cat([latent.y for latent in codec.decode_latents(list(prefixes))])
        with torch.autocast(codec.device.type, torch.bfloat16, enabled=self._half):
            x = codec.walker.synthesis(y.contiguous(memory_format=torch.channels_last))
        return [Image.fromarray(pixels) for pixels in to_pixels(x)]


class PeerFiles:
    """Whole files of another codec at random settings and scales, which in a comparison would be
    chosen to fit a budget.
    """

    def __init__(self, key: str, seed: int) -> None:
        """Raises TrainingError: it is not installed. EvaluationError: no such codec."""
        choice = choose(key)
        if len(choice.peers) != 1:
            raise TrainingError(", ".join(choice.missing) or f"{key!r} is not one codec")
        self._peer: Peer = choice.peers[0]
        self._rng = np.random.default_rng(seed)
        self.mark = self._peer.version()

    def encode_batch(self, pictures: Sequence[Image.Image]) -> list[bytes]:
        files = []
        for picture in pictures:
            scale = float(self._rng.choice(SCALES))
            setting = float(self._rng.choice(self._peer.ladder(scale)))
            files.append(self._peer.encode(reduced(picture, scale), setting, scale))
        return files

    def cut(self, data: bytes, shortest: int, rng: np.random.Generator) -> bytes:
        return data

    def decoded(self, prefixes: Sequence[bytes], side: int) -> list[Image.Image]:
        return [restored(self._peer.decode(data), (side, side)) for data in prefixes]
