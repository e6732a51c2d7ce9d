"""The outcomes of a command over many inputs: progress, lines, and at the end what failed."""

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progcodec.cli.files import Job, StdoutError
from progcodec.cli.messages import complain, expected, progress_bar, reason, tell
from progcodec.fleet.flow import Outcome

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

FINISHED = object()
"""The result of a job whose output was there."""


class Report:
    """What failed so far; the first error that nobody expected is raised at the end."""

    def __init__(self, bar: "tqdm[Any] | None") -> None:
        self._bar = bar
        self._failures: list[tuple[str | None, str]] = []
        self._unexpected: Exception | None = None
        self._muted = False

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

    def step(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """List the failures."""
        if self._bar is not None:
            self._bar.close()
        for name, why in self._failures:
            complain(name, why)

    def end(self) -> None:
        """End the command with code 1 where something failed."""
        if self._unexpected is not None:
            raise self._unexpected
        if self._failures:
            click.get_current_context().exit(1)

    def _mute(self, error: StdoutError) -> None:
        if not self._muted:
            self._failures.append((None, reason(error)))
        self._muted = True


def see_through(
    jobs: Sequence[Any],
    outcomes: Generator[Outcome[Any], None, None],
    verb: str,
    done: Callable[[Report, Any, Any], None],
    last: Callable[[Report], None] | None = None,
) -> None:
    """Take the outcome of each job: `done` is told of its result, and prints; `last` comes after
    all. Failures are listed at the end, whatever ends it, and end the command with code 1.
    """
    finished = 0
    report = Report(progress_bar(len(jobs), verb))
    try:
        for job, result, error in outcomes:
            if error is not None:
                report.fail(job.source, error)
            elif result is FINISHED:
                finished += 1
            else:
                report.attempt(partial(done, report, job, result))
            report.step()
        if finished:
            line = f"finished before: {finished} of {len(jobs)}"
            report.attempt(partial(tell, line, to_stderr=True))
        if last is not None:
            last(report)
    finally:
        outcomes.close()
        report.close()
    report.end()


def one_by_one(
    jobs: Iterable[Job], work: Callable[[Job], T]
) -> Generator[Outcome[Job], None, None]:
    """The outcome of light work on each job, one after the other."""
    for job in jobs:
        try:
            result = work(job)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of its job
            yield Outcome(job, error=error)
        else:
            yield Outcome(job, result)
