"""The commands of the laboratory, found when they are asked for. Nothing else outside of ``lab/`` names it."""

from importlib import import_module
from importlib.util import find_spec

import click

_PACKAGE = "progcodec.lab"
_COMMANDS = {
    "train": ("train", "train_command"),
    "export": ("train", "export_command"),
    "train-classifier": ("train_classifier", "train_classifier_command"),
    "ablate": ("ablate", "ablate_command"),
    "evaluate": ("evaluate", "evaluate_command"),
    "hierarchy build": ("hierarchy_build", "build_command"),
}
"""Where each lies in ``commands/``. They are absent where the laboratory is."""


class WithLaboratory(click.Group):
    """A group that has the laboratory's commands after its own."""

    def list_commands(self, context: click.Context) -> list[str]:
        listed = list(self.commands)  # in the order of use, not of the alphabet
        if find_spec(_PACKAGE) is not None:
            listed += [
                name.removeprefix(self._prefix)
                for name in _COMMANDS
                if name.startswith(self._prefix) and " " not in name.removeprefix(self._prefix)
            ]
        return listed

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        place = _COMMANDS.get(self._prefix + name)
        if name in self.commands or place is None or find_spec(_PACKAGE) is None:
            return super().get_command(context, name)
        module, command = place
        found = getattr(import_module(f"{_PACKAGE}.commands.{module}"), command)
        assert isinstance(found, click.Command)
        return found

    @property
    def _prefix(self) -> str:
        return "hierarchy " if self.name == "hierarchy" else ""
