"""Many inputs through three stages that work side by side.

    jobs ─load→ groups of one size ─run→ ─finish→ outcomes, in the order of the jobs
         reading threads           a few threads   writing threads

While one batch is in the network, the next is read and decoded, another is range-coded, and the
last one is compressed and written. torch, Pillow and the system's calls run beside each other; the
range coder holds Python's lock, but takes only a few per cent of the time. What is in flight is
bounded, in inputs and in pixels, so a folder of any length takes the same memory.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from progcodec.fleet.pool import Pool, Reply

Job = TypeVar("Job")

PIXELS_IN_FLIGHT = 64_000_000
"""Pixels read and not yet written, from which on reading pauses: 200 MB as bytes."""
BATCH_PIXELS = 4_000_000
"""Pixels of a batch; one picture may have more."""
PARALLEL_PIXELS = 8_000_000
"""Pixels in the network at one time, of all batches; a larger batch runs alone."""
READERS, WRITERS = 2, 4
"""Threads. Writers mostly wait for the disk."""
COMPANY = 0.2
"""Seconds without news after which a resting network takes what there is."""
PATIENCE = 10.0
"""Seconds that the end waits for passes and writing under way, after Ctrl-C say."""
READING_PATIENCE = 0.1
"""As PATIENCE, for reading: it may hang on a pipe, and leaves nothing behind."""


class Loaded(NamedTuple):
    """An input that is ready for the network.

    Attributes:
        group: inputs of one group can share a pass.
        pixels: what it weighs.
        warning: what a person should know of it; "" for nothing.
    """

    group: Hashable
    pixels: int
    content: object
    warning: str = ""


class Settled(NamedTuple):
    """What loading returns when nothing is left to do."""

    result: object


class Threads(NamedTuple):
    """How many of the threads that the process computes with a batch may use."""

    threads: int
    of: int


class Stages(NamedTuple):
    """The work, as calls that may be made in any thread, several at a time; an Exception that one
    raises is the job's outcome.

    Attributes:
        load: read and decode an input.
        run: network and range coder for inputs of one group, with so many of the threads.
        finish: write what was made of a job; its result.
    """

    load: Callable[[Any], Loaded | Settled]
    run: Callable[[Sequence[Any], Threads], Sequence[Any]]
    finish: Callable[[Any, Any], object]


class Outcome(NamedTuple, Generic[Job]):
    """What became of a job: ``result``, or the ``error`` that ended it."""

    job: Job
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Limits:
    """How many at once.

    Attributes:
        batch: inputs of one size that share a pass of the network.
        workers: batches that run beside each other.
        threads: that the process computes with, shared by the workers; a batch that runs alone has
            them all.
    """

    batch: int = 16
    workers: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.batch, self.workers, self.threads) < 1:
            raise ValueError(f"limits have a batch, a worker and a thread at least, not {self}")


def flow(
    jobs: Iterable[Job], stages: Stages, limits: Limits | Callable[[], Limits]
) -> Generator[Outcome[Job], None, None]:
    """An outcome for each job, in order; one that fails never stops the rest.

    Closing the iterator ends the work.

    Limits may be a call, which is made when the first input is ready: to find out how many cores
    there are may mean to load torch, and jobs that fail, or have nothing to do, need none.

    What is no Exception (a panic of an extension module, say), and what ``jobs`` itself raises,
    ends it too, and is raised here.
    """
    source = iter(jobs)
    for job in source:
        try:
            loaded = stages.load(job)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of its job
            yield Outcome(job, error=error)
        else:
            if isinstance(loaded, Loaded):
                found = limits() if callable(limits) else limits
                yield from _Flow(job, loaded, source, stages, found).outcomes()
                return
            yield Outcome(job, loaded.result)


class _Flow(Generic[Job]):
    def __init__(
        self, first: Job, loaded: Loaded, others: Iterable[Job], stages: Stages, limits: Limits
    ) -> None:
        self._source = enumerate(others, 1)
        self._stages = stages
        self._limits = limits
        self._window = 4 * limits.batch * limits.workers
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._jobs: dict[int, Job] = {0: first}  # read, and not yet told of
        self._loaded: dict[int, Loaded] = {}  # read, and not yet in the network
        self._weights: dict[int, int] = {}  # pixels of what was read and has no outcome
        self._groups: dict[Hashable, list[int]] = {}  # inputs of one size that wait for company
        self._outcomes: dict[int, Outcome[Job]] = {}
        self._exhausted = False
        self._reading = self._running = self._writing = 0
        self._running_pixels = 0
        self._read = 1
        self._quiet = False  # nothing happened for a while
        self._readers = Pool("load", READERS, self._replies, READING_PATIENCE)
        self._workers = Pool("run", limits.workers, self._replies, PATIENCE)
        self._writers = Pool("finish", WRITERS, self._replies, PATIENCE)
        self._keep(0, loaded)

    def outcomes(self) -> Generator[Outcome[Job], None, None]:
        told = 0
        with self._writers, self._workers, self._readers:
            while True:
                self._read_ahead()
                self._start_batches()
                while told in self._outcomes:
                    del self._jobs[told]
                    yield self._outcomes.pop(told)
                    told += 1
                if self._reading or self._running or self._writing:
                    self._await_reply()
                else:
                    # What was read has an outcome: else _start_batches would have begun with it.
                    assert not self._jobs, "jobs are left, and nothing is under way"
                    if self._exhausted:
                        return

    def _read_ahead(self) -> None:
        while (
            not self._exhausted
            and self._reading < 2 * READERS
            and len(self._jobs) < self._window
            and sum(self._weights.values()) < PIXELS_IN_FLIGHT
        ):
            following = next(self._source, None)
            if following is None:
                self._exhausted = True
                return
            place, self._jobs[place] = following
            self._read += 1
            self._reading += 1
            load = partial(self._stages.load, self._jobs[place])
            self._readers.submit(load, partial(self._after_load, place))

    def _start_batches(self) -> None:
        while self._running < self._limits.workers and (group := self._next_group()):
            places = group[: self._batch_size(group)]
            pixels = sum(self._weights[place] for place in places)
            if self._running and self._running_pixels + pixels > PARALLEL_PIXELS:
                return
            del group[: len(places)]
            if not group:
                del self._groups[self._loaded[places[0]].group]
            self._start(places, pixels)

    def _next_group(self) -> list[int]:
        """A full group; or one that has waited long; or, when nothing more is read for now, the
        fullest; or none.
        """
        groups = self._groups.values()
        for group in groups:
            if len(group) >= self._batch_size(group):
                return group
        oldest = min(groups, default=[])
        if oldest and oldest[0] < self._read - self._window // 2:
            return oldest
        if self._reading and not self._quiet:
            return []
        return max(groups, key=len, default=[])

    def _batch_size(self, group: list[int]) -> int:
        pixels = self._loaded[group[0]].pixels
        return max(1, min(self._limits.batch, BATCH_PIXELS // max(1, pixels)))

    def _start(self, places: list[int], pixels: int) -> None:
        contents = [self._loaded.pop(place).content for place in places]
        # Nothing else is to be done that could use the other cores.
        last = self._exhausted and not (self._reading or self._running or self._groups)
        alone = last or pixels > PARALLEL_PIXELS // 2
        share = max(1, self._limits.threads // self._limits.workers)
        threads = Threads(self._limits.threads if alone else share, self._limits.threads)
        self._running_pixels += pixels
        self._running += 1
        self._workers.submit(
            lambda: _run(self._stages, contents, threads), partial(self._after_run, places, pixels)
        )

    def _await_reply(self) -> None:
        could_start = self._groups and self._running < self._limits.workers
        try:
            then, value, error = self._replies.get(timeout=COMPANY if could_start else None)
        except Empty:
            self._quiet = True
            return
        self._quiet = False
        if not isinstance(error, Exception | None):
            raise error
        then(value, error)

    def _after_load(self, place: int, loaded: Loaded | Settled, error: Exception | None) -> None:
        self._reading -= 1
        if isinstance(loaded, Loaded):
            self._keep(place, loaded)
        else:
            self._settle(place, loaded and loaded.result, error)

    def _keep(self, place: int, loaded: Loaded) -> None:
        self._loaded[place] = loaded
        self._weights[place] = loaded.pixels
        self._groups.setdefault(loaded.group, []).append(place)

    def _after_run(
        self, places: list[int], pixels: int, made: Sequence[Any], error: Exception | None
    ) -> None:
        self._running -= 1
        self._running_pixels -= pixels
        for place, one in zip(
            places, made if error is None else [error] * len(places), strict=True
        ):
            if isinstance(one, Exception):
                self._settle(place, None, one)
            else:
                self._writing += 1
                finish = partial(self._stages.finish, self._jobs[place], one)
                self._writers.submit(finish, partial(self._after_finish, place))

    def _after_finish(self, place: int, result: object, error: Exception | None) -> None:
        self._writing -= 1
        self._settle(place, result, error)

    def _settle(self, place: int, result: object, error: Exception | None) -> None:
        self._weights.pop(place, None)
        self._outcomes[place] = Outcome(self._jobs[place], result, error)


def _run(stages: Stages, contents: list[Any], threads: Threads) -> Sequence[Any]:
    """As ``stages.run``; where a batch fails, each by itself, to find the one to blame."""
    try:
        return stages.run(contents, threads)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of its job
        if len(contents) == 1:
            return [error]
        return [one for content in contents for one in _run(stages, [content], threads)]
