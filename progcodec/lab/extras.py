"""Libraries that not everybody has."""

from collections.abc import Iterator
from contextlib import contextmanager

from progcodec.errors import ProgcodecError


@contextmanager
def extra(name: str, what: str, kind: type[ProgcodecError] = ProgcodecError) -> Iterator[None]:
    """Around imports: where a library is missing, says which extra brings it.

    Raises `kind`: `what` cannot be done here.
    """
    try:
        yield
    except ImportError as error:
        hint = f"{what} needs an extra: pip install 'progcodec[{name}]' ({error})"
        raise kind(hint) from error
