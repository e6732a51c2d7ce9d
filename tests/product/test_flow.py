"""The flow of many inputs through three stages: an outcome for each in order, whatever happens, and
no thread left behind.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from progcodec.errors import ProgcodecError
from progcodec.fleet import flow as flow_module
from progcodec.fleet.flow import Limits, Loaded, Outcome, Settled, flow

PATIENCE = 120
"""Seconds in which even a busy machine does what takes no time."""


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    end = time.monotonic() + PATIENCE
    while (left := own_threads()) and time.monotonic() < end:
        time.sleep(0.005)
    assert not left


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("progcodec-")]


class Numbers:
    """Doubles numbers; those of one parity share a batch.

    Negative ones cannot be read, 13 fails, and takes its batch along.
    """

    def __init__(self, pixels: int = 1) -> None:
        self.pixels = pixels
        self.batches: list[list[int]] = []
        self.shares: list[int] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def load(self, job: int):
        if job < 0:
            raise ProgcodecError("negative")
        return Settled("zero") if job == 0 else Loaded(job % 2, self.pixels, job)

    def run(self, contents, threads):
        with self.lock:
            self.batches.append(list(contents))
            self.shares.append(threads.threads)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.002)
        with self.lock:
            self.at_once -= 1
        if 13 in contents:
            raise ProgcodecError("unlucky")
        return [2 * content for content in contents]

    def finish(self, job, made):
        if job == 5:
            raise OSError(28, "No space left on device")
        return made


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_job_has_one_outcome_in_order_and_one_that_fails_stops_none(workers, batch):
    jobs = [0, -1, *range(1, 60)]
    stages = Numbers()
    outcomes = list(flow(iter(jobs), stages, Limits(batch, workers, 4)))
    assert [outcome.job for outcome in outcomes] == jobs
    failed = {outcome.job: str(outcome.error) for outcome in outcomes if outcome.error is not None}
    assert failed == {-1: "negative", 13: "unlucky", 5: "[Errno 28] No space left on device"}
    made = [outcome.result for outcome in outcomes if outcome.error is None]
    assert made == ["zero", *(2 * n for n in jobs[2:] if n not in (5, 13))]
    assert all(len({n % 2 for n in together}) == 1 for together in stages.batches)
    assert max(map(len, stages.batches)) == batch
    if batch == 4:
        assert sum(len(together) == 4 for together in stages.batches) > 8
    assert stages.most_at_once <= workers
    assert list(flow([], stages, Limits())) == []


def test_large_pictures_run_alone_with_all_threads_and_small_ones_share():
    large, small = Numbers(pixels=10_000_000), Numbers()
    list(flow(range(1, 9), large, Limits(4, 4, 8)))
    assert large.most_at_once == max(map(len, large.batches)) == 1 and set(large.shares) == {8}
    list(flow(range(1, 60), small, Limits(4, 4, 8)))
    assert 2 in small.shares


def endless(taken: list[int] | None = None) -> Iterator[int]:
    job = 0
    while True:
        job += 1
        if taken is not None:
            taken.append(job)
        yield job


def test_reading_never_runs_far_ahead():
    taken: list[int] = []
    outcomes = flow(endless(taken), Numbers(), Limits(4, 1, 1))
    for _ in range(30):
        next(outcomes)
    outcomes.close()
    assert len(taken) < 30 + 4 * 4 + 1


def test_reading_waits_for_writing_too():
    """What the network has made is large again, until it is written."""
    gate, stages = threading.Event(), Numbers(pixels=10_000_000)
    read: list[int] = []
    load, stages.finish = stages.load, lambda job, made: gate.wait()
    stages.load = lambda job: (read.append(job), load(job))[1]
    outcomes: list[Outcome[int]] = []
    jobs = flow(range(1, 40), stages, Limits(4, 4, 4))
    thread = threading.Thread(target=lambda: outcomes.extend(jobs))
    thread.start()
    time.sleep(0.3)
    held = len(read)
    gate.set()
    thread.join()
    assert held <= 7 + 2 * flow_module.READERS and len(outcomes) == 39


# --- whatever happens -----------------------------------------------------------------------------


def soon(call: Callable[[], list[Outcome[int]]]) -> list[Outcome[int]]:
    """What a call returns; fails where it hangs."""
    found: list[list[Outcome[int]]] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "hangs"
    return found[0]


class Rough:
    """Sizes, times and failures by chance, the same for one job every time; inputs of one group
    weigh differently.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def happens(self, job: int, what: str) -> bool:
        chance = random.Random(f"{self.seed} {job} {what}")
        if chance.random() < 0.02:
            time.sleep(0.003)
        return chance.random() < 0.07

    def load(self, job: int):
        if self.happens(job, "load"):
            raise OSError("load")
        if self.happens(job, "settle"):
            return Settled("settle")
        chance = random.Random(job)
        return Loaded(chance.randrange(3), chance.randrange(3_000_000), job)

    def run(self, contents, threads):
        if any(self.happens(job, "run") for job in contents):
            raise ZeroDivisionError("run")
        # Some fail without taking their batch along.
        return [ProgcodecError("alone") if self.happens(job, "alone") else -job for job in contents]

    def finish(self, job: int, made: int) -> int:
        if self.happens(job, "finish"):
            raise ValueError("finish")
        return made

    def expected(self, job: int) -> object:
        stages = ("load", "settle", "run", "alone", "finish")
        return next((what for what in stages if self.happens(job, what)), -job)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("limits", [Limits(1, 1, 1), Limits(3, 2, 2), Limits(16, 4, 4)])
def test_many_tiny_inputs_that_fail_at_every_stage_never_hang_it(limits, seed, monkeypatch):
    monkeypatch.setattr(flow_module, "PIXELS_IN_FLIGHT", 5_000_000)  # so that reading pauses often
    stages = Rough(seed)
    outcomes = soon(lambda: list(flow(range(300), stages, limits)))
    assert [outcome.job for outcome in outcomes] == list(range(300))
    for job, result, error in outcomes:
        assert (result if error is None else str(error)) == stages.expected(job)
    assert len({str(outcome.error) for outcome in outcomes}) == 5


class Panic(BaseException):
    """As extension modules raise it: no Exception."""


class Trap(Numbers):
    """At input 21, ``what`` happens in a stage; reading goes on for ever."""

    def __init__(self, stage: str, what: Callable[[], None]) -> None:
        super().__init__()
        self.stage, self.what = stage, what

    def at(self, stage: str, *jobs: int) -> None:
        if stage == self.stage and 21 in jobs:
            self.what()

    def load(self, job):
        self.at("load", job)
        return super().load(job)

    def run(self, contents, threads):
        self.at("run", *contents)
        return super().run(contents, threads)

    def finish(self, job, made):
        self.at("finish", job)
        return super().finish(job, made)


def panic() -> None:
    raise Panic


@pytest.mark.parametrize("stage", ["load", "run", "finish"])
def test_what_is_no_exception_ends_it(stage):
    def until_panic() -> list[Outcome[int]]:
        found: list[Outcome[int]] = []
        with contextlib.suppress(Panic):
            found.extend(flow(endless(), Trap(stage, panic), Limits(4, 2, 2)))
            found.append(Outcome(-1))
        return found

    assert -1 not in [outcome.job for outcome in soon(until_panic)]


@pytest.mark.skipif(os.name != "posix", reason="needs signals to threads")
@pytest.mark.parametrize("stage", ["load", "run", "finish"])
def test_ctrl_c_ends_it(stage):
    # A shell starts its background jobs with SIGINT ignored, and Python then has no handler for it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.05)

    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in flow(endless(), Trap(stage, press), Limits(4, 2, 2)):
                pass
    finally:
        signal.signal(signal.SIGINT, before)


def test_jobs_that_cannot_be_listed_end_it():
    def listed() -> Iterator[int]:
        yield from range(1, 10)
        raise ProgcodecError("the list is damaged")

    with pytest.raises(ProgcodecError, match="the list is damaged"):
        list(flow(listed(), Numbers(), Limits(4, 2, 2)))


def test_an_input_that_hangs_does_not_hold_those_before_it():
    gate = threading.Event()
    stages = Trap("load", gate.wait)
    outcomes = flow(iter(range(1, 60)), stages, Limits(16, 1, 1))
    assert [next(outcomes).job for _ in range(20)] == list(range(1, 21))
    gate.set()
    assert [outcome.job for outcome in outcomes] == list(range(21, 60))


@pytest.mark.parametrize("values", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_limits_that_would_never_end_are_refused(values):
    with pytest.raises(ValueError, match="at least"):
        Limits(*values)


@pytest.mark.parametrize(
    ("jobs", "results"), [([-1, 0, -1], [None, "zero", None]), ([0, 4, 6], ["zero", 8, 12])]
)
def test_limits_are_asked_for_once_an_input_is_ready(jobs, results):
    asked: list[int] = []

    def limits() -> Limits:
        asked.append(1)
        return Limits(1)

    assert [outcome.result for outcome in flow(jobs, Numbers(), limits)] == results
    assert asked == [1] * (8 in results)
