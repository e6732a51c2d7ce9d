"""Which peers there are, and which of them this installation can run."""

from typing import NamedTuple

from progcodec.errors import EvaluationError
from progcodec.evaluation.coders.base import Coder
from progcodec.evaluation.coders.jpeg2000 import Jpeg2000
from progcodec.evaluation.coders.jpegxl import JpegXl
from progcodec.evaluation.coders.raster import Avif, Jpeg, ProgressiveJpeg, WebP

CODERS: dict[str, Coder] = {
    coder.key: coder for coder in (Jpeg(), ProgressiveJpeg(), Jpeg2000(), WebP(), Avif(), JpegXl())
}
ALL, NONE = "all", "none"


class Choice(NamedTuple):
    coders: tuple[Coder, ...]
    missing: tuple[str, ...]
    """One line for each that was asked for and cannot be had: its name, and why."""


def choose(names: str) -> Choice:
    """Peers by their keys, ``"jpeg,webp"``; ``"all"``; ``"none"``. Raises EvaluationError on a name that is none."""
    if names == NONE:
        return Choice((), ())
    keys = list(CODERS) if names == ALL else [name.strip() for name in names.split(",") if name.strip()]
    there: list[Coder] = []
    missing: list[str] = []
    for key in dict.fromkeys(keys):
        if key not in CODERS:
            raise EvaluationError(f"there is no peer {key!r}; there are: {', '.join(CODERS)}, {ALL}, {NONE}")
        try:
            CODERS[key].version()
            there.append(CODERS[key])
        except (ImportError, EvaluationError) as error:
            missing.append(f"{CODERS[key].name}: {error}")
    return Choice(tuple(there), tuple(missing))
