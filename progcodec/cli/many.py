"""One operation on many files: outcomes in order, failures listed at the end, finished outputs skipped."""

import os
import stat
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import click

from progcodec.cli.files import STANDARD_STREAM, Job, StdoutError, check_writable, write_bytes
from progcodec.cli.messages import complain, expected, progress_bar, reason, say
from progcodec.files import remove_leftovers
from progcodec.fleet.flow import Loaded, Outcome, Settled, Threads, flow
from progcodec.fleet.journal import Journal, made_of
from progcodec.fleet.operation import Operation, Product

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

FINISHED = object()
"""The result of a job whose output was there."""


class FileStages:
    """An operation on files: reads inputs, proves outputs finished, writes whole files."""

    def __init__(
        self, operation: Operation, read: Callable[[str], bytes], *, force: bool, resume: bool
    ) -> None:
        """`read` reads an input, "-" too."""
        self._operation, self._read, self._force = operation, read, force
        self._signature = operation.signature() if resume else None
        self._journals: dict[str, Journal | None] = {}
        self._made_of: dict[Job, str] = {}  # of jobs under way
        self._ours: set[Job] = set()  # jobs whose outputs may be replaced
        self._lock = threading.Lock()

    def load(self, job: Job) -> Loaded | Settled:
        journal = self._journal(job.target)
        if journal is None:
            check_writable(job.target, self._force)
            return self._operation.load(self._read(job.source))
        data = self._read(job.source)
        assert self._signature is not None
        source = made_of(self._signature, data)
        if journal.finished(job.target, source):
            return Settled(FINISHED)
        if journal.wrote(job.target):
            self._ours.add(job)
        check_writable(job.target, self._force or job in self._ours)
        loaded = self._operation.load(data)
        self._made_of[job] = source
        return loaded

    def run(self, contents: Sequence[Any], threads: Threads) -> Sequence[Any]:
        return self._operation.run(contents, threads)

    def finish(self, job: Job, made: object) -> Product:
        product = self._operation.finish(made)
        journal = self._journal(job.target)
        note = None
        if journal is not None:
            source = self._made_of.pop(job)

            def note() -> None:
                journal.note(job.target, source, product.data)

        write_bytes(job.target, product.data, self._force or job in self._ours, note)
        return product

    def _journal(self, target: str) -> Journal | None:
        """The journal of the folder that a target lies in; None where none is kept. Leftovers go when a folder is first met."""
        if target == STANDARD_STREAM or _is_device(target):
            return None
        folder = os.path.dirname(os.path.realpath(target))
        with self._lock:
            if folder not in self._journals:
                remove_leftovers(folder)
                self._journals[folder] = None if self._signature is None else Journal(folder)
            return self._journals[folder]


def work_through(
    jobs: Sequence[Job],
    stages: FileStages,
    operation: Operation,
    verb: str,
    batch: int,
    tell: Callable[[Job, Product], None],
) -> None:
    """Do all jobs; `tell` prints a line about each output. Failures are listed at the end, and end the command with code 1."""
    finished = 0
    report: Report[Outcome[Job]] = Report(jobs, verb)
    with report:
        for outcome in report.over(flow(jobs, stages, operation.limits(batch))):
            if outcome.result is FINISHED:
                finished += 1
            elif outcome.error is None:
                report.attempt(partial(tell, outcome.job, outcome.result))
            else:
                report.fail(outcome.job.source, outcome.error)
        if finished:
            report.attempt(
                lambda: say(f"finished before: {finished} of {len(jobs)}", to_stderr=True)
            )


def each(jobs: Sequence[Job], work: Callable[[Job], None], verb: str) -> None:
    """Do `work` for one job after the other. Failures as of :func:`work_through`."""
    report: Report[Job] = Report(jobs, verb)
    with report:
        for job in report.over(job for job in jobs):
            try:
                work(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other job
                report.fail(job.source, error)


class Report(Generic[T]):
    """The progress of a command over many inputs, and what failed: a context that lists failures when it is left.

    On a terminal it draws a bar on stderr, with rate and time left. Where something failed, the command ends with code 1; an
    error that nobody expected is listed like the others, and the first of them raised at the end.
    """

    def __init__(self, inputs: Sequence[object], verb: str) -> None:
        self._total, self._verb = len(inputs), verb
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


def _is_device(target: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(target).st_mode)
    except OSError:
        return False
