"""What comes with the package: weights, the hierarchy of ImageNet's classes, a photograph; and
which checkpoint a name, a file or a stream means, from the heads of the files, without torch.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from progcodec.errors import CheckpointError, WrongModelError, in_one_line

FOLDER = Path(__file__).resolve().parent
CHECKPOINTS = FOLDER / "checkpoints"
DEFAULT = "lite"
FORMAT = "progcodec-checkpoint-1"
HEAD_MAX = 1 << 24
"""Bytes of the JSON that a file of weights may start with."""


class Shipped(NamedTuple):
    """A checkpoint of the package, with the fingerprint that its metadata say."""

    name: str
    path: Path
    fingerprint: str


def available() -> list[Shipped]:
    """The checkpoints in the package, by name."""
    paths = sorted(CHECKPOINTS.glob("*.safetensors"))
    return [Shipped(path.stem, path, metadata(path).get("fingerprint", "")) for path in paths]


def find(name_or_path: str | Path | None = None, fingerprint: bytes | None = None) -> Path:
    """Path of a checkpoint: by file, by the name of a shipped one, by fingerprint, or the default.
    Raises WrongModelError: no shipped one has that fingerprint; CheckpointError: no such name.
    """
    if name_or_path is None and fingerprint is not None:
        for shipped in available():
            if shipped.fingerprint == fingerprint.hex():
                return shipped.path
        raise WrongModelError(
            f"the stream was written with model {fingerprint.hex()}, which does not come with "
            "this version; name its checkpoint"
        )
    name = DEFAULT if name_or_path is None else str(name_or_path)
    if "/" in name or name.endswith(".safetensors"):
        return Path(name)
    for shipped in available():
        if shipped.name == name:
            return shipped.path
    names = ", ".join(shipped.name for shipped in available()) or "none"
    raise CheckpointError(
        f"{name}: no shipped checkpoint of that name (there is: {names}) and no .safetensors file"
    )


def check(name_or_path: str | Path | None = None, fingerprint: bytes | None = None) -> str:
    """As :func:`find`, and the file is looked at: what is wrong is told before anything is loaded.

    Returns:
        The checkpoint's fingerprint, in hexadecimal, as its metadata say it; loading the checkpoint
        proves it.
    Raises:
        WrongModelError: also if a checkpoint that is named has another fingerprint.
        CheckpointError: also for a file that is missing, or no checkpoint.
    """
    path = find(name_or_path, fingerprint)
    about = metadata(path)
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of this package")
    own = about.get("fingerprint", "")
    if fingerprint is not None and fingerprint.hex() != own:
        raise WrongModelError(f"the stream was written with model {fingerprint.hex()}, not {own}")
    return own


def metadata(path: Path) -> dict[str, str]:
    """The texts in a file of weights (safetensors); no tensor is read. Raises CheckpointError."""
    try:
        state = path.stat()
        return dict(_metadata(path, state.st_mtime_ns, state.st_size))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        reason = in_one_line(error)[:200]
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({reason})") from None


@lru_cache(maxsize=64)
def _metadata(path: Path, modified: int, size: int) -> dict[str, str]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size, HEAD_MAX):
            raise ValueError("it does not start as a file of weights does")
        about = json.loads(file.read(length)).get("__metadata__", {})
    return {str(name): str(text) for name, text in about.items()}
