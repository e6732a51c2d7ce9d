"""Progressive rivals: the latent of *our* checkpoint, coded with real bytes by other people's progressive schemes.

                                                        ┌─ progcodec     blocks, σ order in each (ours), and its ablations
                                                        ├─ plonq         one pool, σ order
    image ─► our g_a, ẑ, μ ─► q, the same for all ──────┼─ progdtd       whole channels, the most useful first
                                                        ├─ efficientpic  base, then σ-quantile steps
                                                        └─ tritplanes    trits, from the most significant
    any prefix ─► q̂ (its expectation where symbols lack) ─► our μ, g_s ─► picture

All of them code the very same integers q with the same transform, tables, range coder and framing, so what differs at equal
bytes is the scheme and not the training budget. What that cannot show: what a scheme would gain from a network trained for
it. Each rival was given what it can have without training: a σ that is corrected where it must do without the context of
our blocks, and the weight of each channel (``calibration.py``). A whole stream of any rival decodes to the same picture.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from progcodec.errors import ProgcodecError

if TYPE_CHECKING:
    from PIL import Image

    from progcodec.codec.codec import Codec

__all__ = ["RIVALS", "Rival", "rivals"]

RIVALS = (
    "plonq", "plonq-plain", "progdtd", "efficientpic", "tritplanes", "progcodec", "weighted", "raster", "zero-masking"
)  # fmt: skip
"""Every name, the rivals first, then ours and its ablations."""


class Rival(Protocol):
    """A progressive scheme over a codec's latent: an image to bytes, and any prefix of them, after the header, to a picture."""

    name: str

    def encode(self, codec: "Codec", image: object) -> bytes: ...

    def decode(self, codec: "Codec", data: bytes) -> "Image.Image": ...


def rivals(names: Sequence[str] | None = None) -> list[Rival]:
    """The rivals of these names, in this order; all of them by default. Raises ProgcodecError on an unknown name."""
    from progcodec.lab.evaluate.rivals.efficientpic import EfficientPic
    from progcodec.lab.evaluate.rivals.ours import Progcodec, Raster, Weighted, ZeroMasking
    from progcodec.lab.evaluate.rivals.plonq import Plonq, PlonqPlain
    from progcodec.lab.evaluate.rivals.progdtd import ProgDtd
    from progcodec.lab.evaluate.rivals.tritplanes import TritPlanes

    known: tuple[Callable[[], Rival], ...] = (
        Plonq, PlonqPlain, ProgDtd, EfficientPic, TritPlanes, Progcodec, Weighted, Raster, ZeroMasking
    )  # fmt: skip
    found = dict(zip(RIVALS, known, strict=True))
    for name in names or ():
        if name not in found:
            raise ProgcodecError(f"unknown rival {name!r}; there are: {', '.join(RIVALS)}")
    return [found[name]() for name in (RIVALS if names is None else names)]
