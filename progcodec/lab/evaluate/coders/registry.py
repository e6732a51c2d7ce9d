"""Which peers there are, and which of them this installation can run."""

from typing import NamedTuple

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders.base import Coder
from progcodec.lab.evaluate.coders.jpeg2000 import Jpeg2000
from progcodec.lab.evaluate.coders.jpegxl import JpegXl
from progcodec.lab.evaluate.coders.learned import PREFIX, grouped, is_learned, learned
from progcodec.lab.evaluate.coders.raster import Avif, Jpeg, ProgressiveJpeg, WebP

CODERS: dict[str, Coder] = {
    coder.key: coder for coder in (Jpeg(), ProgressiveJpeg(), Jpeg2000(), WebP(), Avif(), JpegXl())
}
"""Those that need no files of the user's."""
ALL, NONE = "all", "none"


class Choice(NamedTuple):
    coders: tuple[Coder, ...]
    missing: tuple[str, ...]
    """One line for each that was asked for and cannot be had: its name, and why."""


def choose(names: str) -> Choice:
    """Peers by their keys, ``"jpeg,webp"``; ``"all"``; ``"none"``; ``compressai:MODEL@FILE`` beside or instead of these.

    "all" is all that need no file. Raises EvaluationError on a name that is none, and on files that do not fit.
    """
    if names == NONE:
        return Choice((), ())
    asked = [name.strip() for name in names.split(",") if name.strip()]
    keys = [
        key for name in asked if not is_learned(name) for key in (CODERS if name == ALL else [name])
    ]
    keys += grouped([name for name in asked if is_learned(name)])
    there: list[Coder] = []
    missing: list[str] = []
    for key in dict.fromkeys(keys):
        coder = coder_of(key)
        try:
            coder.version()
        except (ImportError, EvaluationError) as error:
            missing.append(f"{coder.name}: {error}")
            continue
        coder.check()
        there.append(coder)
    return Choice(tuple(there), tuple(missing))


def coder_of(key: str) -> Coder:
    """A peer by its key, in any process. Raises EvaluationError if there is none of that key."""
    if is_learned(key):
        return learned(key)
    if key not in CODERS:
        raise EvaluationError(
            f"there is no peer {key!r}; there are: {', '.join(CODERS)}, {ALL}, {NONE}, {PREFIX}MODEL@FILE"
        )
    return CODERS[key]
