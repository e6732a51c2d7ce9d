"""The progress of a command over many inputs, and at the end what failed."""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import click

from progcodec.cli.files import StdoutError
from progcodec.cli.messages import complain, expected, progress_bar, reason

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


class Report(Generic[T]):
    """The progress of a command over many inputs, and what failed: a context that lists failures
    when it is left.

    On a terminal it draws a bar on stderr, with rate and time left. Where something failed, the
    command ends with code 1; an error that nobody expected is listed like the others, and the first
    of them raised at the end.
    """

    def __init__(self, total: int, verb: str) -> None:
        self._total, self._verb = total, verb
        self._failures: list[tuple[str | None, str]] = []
        self._unexpected: Exception | None = None
        self._muted = False
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        for name, why in self._failures:
            complain(name, why)
        if kind is None and self._unexpected is not None:
            raise self._unexpected
        if kind is None and self._failures:
            click.get_current_context().exit(1)

    def over(self, outcomes: Generator[T, None, None]) -> Iterator[T]:
        """The same outcomes, counted; the iterator is closed at the end, whatever ends it."""
        self._bar = progress_bar(self._total, self._verb)
        try:
            for outcome in outcomes:
                yield outcome
                if self._bar is not None:
                    self._bar.update()
        finally:
            outcomes.close()

    def fail(self, name: str | None, error: Exception, at: str = "") -> None:
        """Keep a failure for the list."""
        if isinstance(error, StdoutError):
            self._mute(error)
            return
        why = reason(error, name)
        if not expected(error):
            self._unexpected = self._unexpected or error
            why = f"{type(error).__name__}: {why}"
        self._failures.append((name, at + why))
        if self._bar is not None:
            self._bar.set_postfix(failed=len(self._failures))

    def attempt(self, print_line: Callable[[], None]) -> None:
        """Print; what goes to files is still wanted when nobody reads the lines about it."""
        try:
            print_line()
        except StdoutError as error:
            self._mute(error)

    def _mute(self, error: StdoutError) -> None:
        if not self._muted:
            self._failures.append((None, reason(error)))
        self._muted = True
