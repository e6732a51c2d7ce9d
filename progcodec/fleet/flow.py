"""Many inputs through three stages that work side by side.

    jobs ─load→ groups of one size ─run→ ─finish→ outcomes, in the order of the jobs
         reading threads           a few threads   writing threads

While one batch is in the network, the next is read and decoded, another is range-coded, and the
last one is compressed and written. torch, Pillow and the system's calls run beside each other; the
range coder holds Python's lock, but takes only a few per cent of the time. What is in flight is
bounded, in inputs and in pixels, so a folder of any length takes the same memory.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from progcodec.fleet.pool import Pool, Reply

Job = TypeVar("Job")
Job_contra = TypeVar("Job_contra", contravariant=True)

PIXELS_IN_FLIGHT = 64_000_000
"""Pixels read and not yet written, from which on reading pauses: 200 MB as bytes."""
BATCH_PIXELS = 4_000_000
"""Pixels of a batch; one picture may have more."""
PARALLEL_PIXELS = 8_000_000
"""Pixels in the network at one time, of all batches; a larger batch runs alone."""
READERS, WRITERS = 2, 4
"""Threads. Writers mostly wait for the disk."""
COMPANY = 0.2
"""Seconds without news after which a resting network takes what there is: what is being read may
hang on a pipe."""
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


class Stages(Protocol[Job_contra]):
    """The work.

    Each call may be made in any thread, several at a time; an Exception that it raises is the job's
    outcome.
    """

    def load(self, job: Job_contra) -> Loaded | Settled:
        """Read and decode an input."""

    def run(self, contents: Sequence[Any], threads: Threads) -> Sequence[Any]:
        """Network and range coder for inputs of one group, with so many of the threads."""

    def finish(self, job: Job_contra, made: Any) -> object:
        """Write what was made; the job's result."""


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


@dataclass
class _Group:
    """Loaded inputs of one size that wait for company."""

    key: Hashable
    places: list[int] = field(default_factory=list)


def flow(
    jobs: Iterable[Job], stages: Stages[Job], limits: Limits | Callable[[], Limits]
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
        self,
        first: Job,
        loaded: Loaded,
        others: Iterable[Job],
        stages: Stages[Job],
        limits: Limits,
    ) -> None:
        self._source = enumerate(others, 1)
        self._stages = stages
        self._limits = limits
        self._window = 4 * limits.batch * limits.workers
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._jobs: dict[int, Job] = {}  # read, and not yet told of
        self._loaded: dict[int, Loaded] = {}  # read, and not yet in the network
        self._weights: dict[int, int] = {}  # pixels of what was read and has no outcome
        self._groups: dict[Hashable, _Group] = {}
        self._outcomes: dict[int, Outcome[Job]] = {}
        self._exhausted = False
        self._reading = self._running = self._writing = 0
        self._running_pixels = 0
        self._read = 1
        self._quiet = False  # nothing happened for a while
        self._readers = Pool("load", READERS, self._replies, READING_PATIENCE)
        self._workers = Pool("run", limits.workers, self._replies, PATIENCE)
        self._writers = Pool("finish", WRITERS, self._replies, PATIENCE)
        self._jobs[0] = first
        self._take_loaded(0, loaded, None)

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
            place, job = following
            self._jobs[place] = job
            self._read += 1
            self._reading += 1
            self._readers.submit(place, partial(self._stages.load, job))

    def _start_batches(self) -> None:
        while self._running < self._limits.workers and (waiting := self._next_group()) is not None:
            places = waiting.places[: self._batch_size(self._loaded[waiting.places[0]].pixels)]
            pixels = sum(self._weights[place] for place in places)
            if self._running and self._running_pixels + pixels > PARALLEL_PIXELS:
                return
            del waiting.places[: len(places)]
            if not waiting.places:
                del self._groups[waiting.key]
            self._start(places, pixels)

    def _next_group(self) -> _Group | None:
        """A full group; or one that has waited long; or, when nothing more is read for now, the
        fullest.
        """
        groups = self._groups.values()
        for waiting in groups:
            if len(waiting.places) >= self._batch_size(self._loaded[waiting.places[0]].pixels):
                return waiting
        oldest = min(groups, key=lambda waiting: waiting.places[0], default=None)
        if oldest is not None and oldest.places[0] < self._read - self._window // 2:
            return oldest
        if self._reading and not self._quiet:
            return None
        return max(groups, key=lambda waiting: len(waiting.places), default=None)

    def _batch_size(self, pixels: int) -> int:
        return max(1, min(self._limits.batch, BATCH_PIXELS // max(1, pixels)))

    def _start(self, places: list[int], pixels: int) -> None:
        contents = [self._loaded.pop(place).content for place in places]
        alone = pixels > PARALLEL_PIXELS // 2 or self._alone()
        count = (
            self._limits.threads if alone else max(1, self._limits.threads // self._limits.workers)
        )
        threads = Threads(count, self._limits.threads)
        self._running_pixels += pixels
        self._running += 1
        self._workers.submit((places, pixels), lambda: _run(self._stages, contents, threads))

    def _alone(self) -> bool:
        """Whether nothing else is to be done that could use the other cores."""
        return self._exhausted and not (self._reading or self._running or self._groups)

    def _await_reply(self) -> None:
        could_start = self._groups and self._running < self._limits.workers
        try:
            reply = self._replies.get(timeout=COMPANY if could_start else None)
        except Empty:
            self._quiet = True
        else:
            self._quiet = False
            self._take(reply)

    def _take(self, reply: Reply) -> None:
        if not isinstance(reply.error, Exception | None):
            raise reply.error
        if reply.kind == "load":
            self._reading -= 1
            self._take_loaded(reply.subject, reply.value, reply.error)
        elif reply.kind == "run":
            places, pixels = reply.subject
            self._running -= 1
            self._running_pixels -= pixels
            made = [reply.error] * len(places) if reply.error is not None else reply.value
            for place, one in zip(places, made, strict=True):
                self._take_made(place, one)
        else:
            self._writing -= 1
            self._settle(reply.subject, reply.value, reply.error)

    def _take_loaded(
        self, place: int, loaded: Loaded | Settled | None, error: Exception | None
    ) -> None:
        if isinstance(loaded, Loaded):
            self._loaded[place] = loaded
            self._weights[place] = loaded.pixels
            self._groups.setdefault(loaded.group, _Group(loaded.group)).places.append(place)
        else:
            self._settle(place, loaded.result if isinstance(loaded, Settled) else None, error)

    def _take_made(self, place: int, made: object) -> None:
        if isinstance(made, Exception):
            self._settle(place, None, made)
        else:
            self._writing += 1
            self._writers.submit(place, partial(self._stages.finish, self._jobs[place], made))

    def _settle(self, place: int, result: object, error: Exception | None) -> None:
        self._weights.pop(place, None)
        self._outcomes[place] = Outcome(self._jobs[place], result, error)


def _run(stages: Stages[Any], contents: list[Any], threads: Threads) -> Sequence[Any]:
    """As ``stages.run``; where a batch fails, each by itself, so that an exception stands for the
    one that is to blame.
    """
    try:
        return stages.run(contents, threads)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of its job
        if len(contents) == 1:
            return [error]
        return [one for content in contents for one in _run(stages, [content], threads)]
