"""Shared libraries that wheels bring along: of two, the one that a package uses itself."""

from importlib.util import find_spec
from pathlib import Path

FOLDERS = ("{}.libs", "{}/.dylibs")
"""Where auditwheel (Linux) and delocate (macOS) put them, beside or inside the package."""


def bundled_library(package: str, pattern: str) -> Path | None:
    """The first shared library of an installed package's wheel that fits a pattern like ``libwebp-*``."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    site = Path(spec.origin).parent.parent
    names = dict.fromkeys((package, {"PIL": "pillow"}.get(package, package)))
    for name in names:
        for folder in FOLDERS:
            found = sorted((site / folder.format(name)).glob(f"{pattern}.so*"))
            found += sorted((site / folder.format(name)).glob(f"{pattern}.dylib"))
            if found:
                return found[0]
    return None
