"""How much the tests of endurance do: a little in every run, all of it where PROGCODEC_NIGHTLY is
set (see fuzz/README.md).
"""

import os


def nightly(usual: int, thorough: int) -> int:
    return thorough if os.environ.get("PROGCODEC_NIGHTLY") else usual
