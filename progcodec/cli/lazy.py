"""Groups of commands, each imported when it is asked for."""

from importlib import import_module
from typing import Any

import click


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
