"""A whole evaluation: a plan, pictures, processes; rows kept as they come."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.judges import Judge
from progcodec.lab.evaluate.measure import Measurer, Outcome
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import CLEAN, Entry, Plan
from progcodec.lab.evaluate.rows import Kept, Key, Row, Unit


class Task(NamedTuple):
    picture: Picture
    known: dict[Key, Row]


def run(
    plan: Plan,
    pictures: Sequence[Picture],
    folder: Path,
    *,
    jobs: int = 1,
    progress: Callable[..., Any] | None = None,
) -> list[Row]:
    """Measures what `folder` does not hold yet. Returns the rows of this plan's pictures, codecs
    and judges.

    Args:
        jobs: processes; with 1 all is done in this one. Each works on one core, so that rows do not
            depend on it.
        progress: wraps the iteration over finished pictures, as tqdm does; called with an iterator
            and ``total``.
    Raises:
        EvaluationError: a measuring process died. ClassifierError, CheckpointError, HierarchyError,
            OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept(folder)
    known: dict[str, dict[Key, Row]] = {picture.digest: {} for picture in pictures}
    for key, row in kept.rows.items():
        known.get(row.digest, {})[key] = row
    tasks = [Task(picture, known[picture.digest]) for picture in pictures]
    tasks = [task for task in tasks if _Complete(plan).lacks(task)]
    finished = _finished(plan, tasks, jobs) if tasks else iter(())
    for rows in progress(finished, total=len(tasks)) if progress else finished:
        kept.add(rows)
    units = {Unit(CLEAN, "")}
    for entry in plan.entries:
        units |= {unit for some in (*plan.whole(entry), plan.cuts(entry)) for unit in some}
    judges = {"", *(judge.name for judge in plan.judges)}
    return [
        row for row in kept.rows.values()
        if row.digest in known and row.judge in judges and row.unit in units
    ]  # fmt: skip


class _Complete(Measurer):
    """Finds out, without loading or coding anything, whether a picture lacks rows."""

    class _Work(Exception):
        pass

    def lacks(self, task: Task) -> bool:
        try:
            self.measure(*task)
        except self._Work:
            return True
        return False

    def code(self, entry: Entry, picture: Picture, units: Sequence[Unit]) -> dict[Unit, Outcome]:
        if units:
            raise self._Work
        return {}

    def _judged(
        self, judge: Judge, picture: Picture, rows: Sequence[Row], outcomes: Mapping[Unit, Outcome]
    ) -> list[Row]:
        if rows:
            raise self._Work
        return []


def _finished(plan: Plan, tasks: Sequence[Task], jobs: int) -> Iterator[list[Row]]:
    """The new rows of each task, as they get done."""
    if jobs == 1:
        with _one_thread():
            measurer = Measurer(plan)
            for task in tasks:
                yield measurer.measure(*task)
        return
    # spawned, not forked: torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, _start, (plan,)) as pool:
        futures = [pool.submit(_measure, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise EvaluationError(
                "a measuring process died; too little memory for so many jobs?"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_measurer: Measurer | None = None
"""Of a measuring process."""


def _start(plan: Plan) -> None:
    import torch

    global _measurer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)
    _measurer = Measurer(plan)


def _measure(task: Task) -> list[Row]:
    assert _measurer is not None
    return _measurer.measure(*task)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
