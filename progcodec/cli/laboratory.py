"""Groups of commands, each imported when it is asked for; those of the laboratory by name. Nothing
else outside of ``lab/`` names it.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

_PACKAGE = "progcodec.lab"
_COMMANDS = {
    "": {
        "train": "train:train_command",
        "export": "train:export_command",
        "fit-tables": "train:fit_tables_command",
        "train-classifier": "train_classifier:train_classifier_command",
        "ablate": "ablate:ablate_command",
        "evaluate": "evaluate:evaluate_command",
        "bench": "bench:bench_command",
    },
    "hierarchy": {"build": "hierarchy_build:build_command"},
}
"""Of each group, and where each lies in ``commands/``."""


def commands(group: str = "") -> dict[str, str]:
    """Name and place of each command of a group; none where the laboratory is absent."""
    if find_spec(_PACKAGE) is None:
        return {}
    return {name: f"{_PACKAGE}.commands.{place}" for name, place in _COMMANDS[group].items()}


class LazyGroup(click.Group):
    """A group that knows where its commands lie.

    Args:
        places: ``module:attribute`` of each command, in the order of the help.
    """

    def __init__(self, *arguments: Any, places: dict[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._places = places

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.commands, *self._places]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self._places:
            return super().get_command(context, name)
        module, _, attribute = self._places[name].partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found
