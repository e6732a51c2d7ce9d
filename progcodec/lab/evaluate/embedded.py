"""Streams of which any first bytes decode: our own files, and rival schemes over the same checkpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from progcodec.config import LEVELS
from progcodec.errors import BudgetError, NotShcError
from progcodec.lab.evaluate.measurements import OURS

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec
    from progcodec.lab.evaluate.rivals import Rival

BATCH = 4
"""Prefixes that share a pass through the networks."""


class Embedded(Protocol):
    """An image to bytes once; then any prefixes of them to pictures.

    Attributes:
        name: in the rows. weights: fingerprint of all that decides its bytes and pictures.
    """

    name: str
    weights: str

    def encode(self, picture: Image.Image) -> bytes: ...

    def decode(self, prefixes: Sequence[bytes]) -> list[Image.Image | None]:
        """The picture of each prefix; None if it is too short even for a header."""
        ...

    def ends(self, data: bytes) -> dict[str, int]:
        """Named lengths that a level ends at; none where a scheme has no levels."""
        ...


class Ours:
    """The files that users get, checksums included."""

    name = OURS

    def __init__(self, codec: "Codec") -> None:
        self.codec = codec
        self.weights = codec.fingerprint.hex()

    def encode(self, picture: Image.Image) -> bytes:
        return self.codec.encode(picture)

    def decode(self, prefixes: Sequence[bytes]) -> list[Image.Image | None]:
        from progcodec.bitstream.container import parse_header

        found: list[Image.Image | None] = [None] * len(prefixes)
        places = []
        for place, data in enumerate(prefixes):
            try:
                parse_header(data, None)
                places.append(place)
            except (NotShcError, BudgetError):
                continue  # shorter than a header
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            pictures = self.codec.decode_batch([prefixes[place] for place in batch])
            for place, picture in zip(batch, pictures, strict=True):
                found[place] = picture
        return found

    def ends(self, data: bytes) -> dict[str, int]:
        from progcodec.bitstream.description import info

        ends = [segment.end for segment in info(data).segments[1:] if segment.end is not None]
        return dict(zip(LEVELS, ends, strict=True))


class OfRival:
    """A rival scheme over a codec's latent."""

    def __init__(self, rival: "Rival", codec: "Codec") -> None:
        self._rival, self._codec = rival, codec
        self.name = self.shown(rival.name)
        self.weights = codec.fingerprint.hex()

    @staticmethod
    def shown(name: str) -> str:
        """A rival's name in the rows; our own scheme among them must not pass for the files that users get."""
        return f"{OURS}, no checksums" if name == OURS else name

    def encode(self, picture: Image.Image) -> bytes:
        return self._rival.encode(self._codec, picture)

    def decode(self, prefixes: Sequence[bytes]) -> list[Image.Image | None]:
        return [self._one(data) for data in prefixes]

    def ends(self, data: bytes) -> dict[str, int]:
        return {}

    def _one(self, data: bytes) -> Image.Image | None:
        try:
            return self._rival.decode(self._codec, data)
        except (NotShcError, BudgetError):
            return None  # shorter than a header
