"""Names: whether a terminal shows them as they are, and which a person may have meant."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

NEAR = 3
"""Names that an unknown one is answered with at most."""
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
MAX_TYPED = 100
"""Characters of an unknown name that are compared; the time grows with their square."""


def shows(character: str) -> bool:
    """Whether a terminal shows it, in its place.

    Spaces of every width do and what joins emoji does; what controls, reorders or hides does not.
    """
    return (
        character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
    )


def near_names(text: str, names: Iterable[str]) -> str:
    """``"; near: A | B | C"``, names that a person may have meant; "" if none is near."""
    wanted = " ".join(text.casefold().split())
    by_key = {name.casefold(): name for name in names}
    held = [key for key in by_key if wanted and re.search(rf"\b{re.escape(wanted)}", key)]
    close = difflib.get_close_matches(wanted[:MAX_TYPED], by_key, n=NEAR, cutoff=0.75)
    found = [by_key[key] for key in dict.fromkeys([*held, *close])][:NEAR]
    return f"; near: {' | '.join(found)}" if found else ""
