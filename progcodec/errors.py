"""Every error that the package raises on purpose, one name for each kind of damage.

All derive from :class:`ProgcodecError`, so that a caller (the command line, say) can turn any of
them into one clear line. A *truncated* stream is no error: it decodes to what it holds.
"""


class ProgcodecError(Exception):
    """Base of all errors of this package."""


class NotShcError(ProgcodecError):
    """The data are not a ``.shc`` stream: empty, wrong magic, or cut inside the header."""


class UnsupportedVersionError(ProgcodecError):
    """A ``.shc`` stream of a format version, or with a feature, that this reader does not know."""


class WrongModelError(ProgcodecError):
    """The stream was written with a checkpoint other than the one at hand."""


class CorruptError(ProgcodecError):
    """A check fails: the stream was damaged, not only cut."""


class LimitError(ProgcodecError):
    """A declared size is zero or above the limits; nothing was allocated for it."""


class BudgetError(ProgcodecError):
    """A byte budget is too small to hold even the header."""


class QualityError(ProgcodecError):
    """No quality gives the picture that is asked for."""


class RegionError(ProgcodecError):
    """A part of a picture is asked for that is empty, or not inside of the picture."""


class ImageError(ProgcodecError):
    """A picture cannot be read, or its shape or type is not one that can be encoded."""


class PictureWarning(UserWarning):
    """A picture is not coded quite as its file has it."""


class ColourWarning(PictureWarning):
    """A picture's colour profile cannot be used; its numbers are taken for sRGB."""


class DetailWarning(PictureWarning):
    """A picture has detail that the model cannot carry; it was smoothed there."""


class CheckpointError(ProgcodecError):
    """A checkpoint is missing, damaged, or not one of this package."""


class TrainingError(ProgcodecError):
    """Training cannot start or go on: no images, an unfit state, a loss that is not finite."""


class HierarchyError(ProgcodecError):
    """A class hierarchy, or what one is to be built from, is missing, damaged or does not fit."""


class ClassifierError(ProgcodecError):
    """A classifier is unknown, missing, damaged, or does not fit."""


class EvaluationError(ProgcodecError):
    """An evaluation cannot start or go on: no pictures, no such peer, a missing library."""


class ShardError(ProgcodecError):
    """A tar file is damaged or out of reach, or its output must not be written."""


class ClusterError(ProgcodecError):
    """Ray is not installed, a cluster does not answer, or a shard failed too often."""


def in_one_line(error: BaseException) -> str:
    """What an error says, in one line; the name of its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
