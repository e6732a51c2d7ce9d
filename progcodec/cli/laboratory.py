"""The commands of the laboratory, by name. Nothing else outside of ``lab/`` names it."""

from importlib.util import find_spec

_PACKAGE = "progcodec.lab"
_COMMANDS = {
    "train": "train:train_command",
    "export": "train:export_command",
    "train-classifier": "train_classifier:train_classifier_command",
    "ablate": "ablate:ablate_command",
    "evaluate": "evaluate:evaluate_command",
    "bench": "bench:bench_command",
    "hierarchy build": "hierarchy_build:build_command",
}
"""Where each lies in ``commands/``."""


def commands(group: str = "") -> dict[str, str]:
    """Name and place (``module:attribute``) of each command of a group; none where the laboratory
    is absent.
    """
    if find_spec(_PACKAGE) is None:
        return {}
    *above, _ = f"{group} ".lstrip().split(" ")
    return {
        words[-1]: f"{_PACKAGE}.commands.{place}"
        for words, place in ((name.split(" "), place) for name, place in _COMMANDS.items())
        if words[:-1] == above
    }
