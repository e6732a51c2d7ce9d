"""Progressive image compression: one file, any cut decodes.

    data = progcodec.encode(picture)                    # bytes of a .shc stream
    small = progcodec.truncate(data, max_bytes=2000)    # the first 2000 of them
    picture = progcodec.decode(small)                   # what they hold

Importing this package imports neither torch nor numpy; the names below load what they need when
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from progcodec.errors import (
    BudgetError,
    CheckpointError,
    ClassifierError,
    CorruptError,
    HierarchyError,
    ImageError,
    LimitError,
    NotShcError,
    ProgcodecError,
    QualityError,
    RegionError,
    TrainingError,
    UnsupportedVersionError,
    WrongModelError,
)

if TYPE_CHECKING:
    from progcodec.api import StreamDecoder, decode, encode
    from progcodec.bitstream.description import StreamInfo, info
    from progcodec.classification.answer import Answer
    from progcodec.classification.api import classify
    from progcodec.codec.codec import Codec
    from progcodec.cut import truncate
    from progcodec.hierarchy.hierarchy import Hierarchy

__version__ = "0.2.0"

_LAZY = {
    "Answer": "progcodec.classification.answer",
    "classify": "progcodec.classification.api",
    "Codec": "progcodec.codec.codec",
    "decode": "progcodec.api",
    "encode": "progcodec.api",
    "Hierarchy": "progcodec.hierarchy.hierarchy",
    "StreamDecoder": "progcodec.api",
    "StreamInfo": "progcodec.bitstream.description",
    "info": "progcodec.bitstream.description",
    "truncate": "progcodec.cut",
}
"""Public names that come with heavier imports, and the module that defines each."""

__all__ = [
    "Answer",
    "BudgetError",
    "CheckpointError",
    "ClassifierError",
    "Codec",
    "CorruptError",
    "Hierarchy",
    "HierarchyError",
    "ImageError",
    "LimitError",
    "NotShcError",
    "ProgcodecError",
    "QualityError",
    "RegionError",
    "StreamDecoder",
    "StreamInfo",
    "TrainingError",
    "UnsupportedVersionError",
    "WrongModelError",
    "classify",
    "decode",
    "encode",
    "info",
    "truncate",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
