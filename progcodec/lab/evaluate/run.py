"""A whole evaluation: pictures, a contest, processes; rows kept as they come, then ``measurements.csv``."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from progcodec.errors import EvaluationError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.bench import Bench
from progcodec.lab.evaluate.coders.registry import Choice
from progcodec.lab.evaluate.contest import Budget, Contest, Entrant
from progcodec.lab.evaluate.judges import Scale, name_judge
from progcodec.lab.evaluate.measurements import MEASUREMENTS, OURS, Kept, Key, Measurement, write
from progcodec.lab.evaluate.workload import Sample


class Task(NamedTuple):
    sample: Sample
    known: dict[Key, Measurement]


def plan(
    choice: Choice,
    *,
    hierarchy: str | None,
    classifiers: Sequence[str],
    budgets: Sequence[Budget],
    model: str | None,
    ours: bool,
    rivals: Sequence[str],
    device: str,
) -> Contest:
    """A contest of the chosen peers, of ours (checkpoint `model`) unless `ours` is false, and of rivals by name.

    Raises EvaluationError, ClassifierError, CheckpointError, HierarchyError, OSError on what cannot be had.
    """
    scale = Scale.of(Hierarchy.load(hierarchy))
    entrants = []
    path = mark = None
    if ours or rivals:
        from progcodec.assets import find
        from progcodec.network.checkpoint import Checkpoint

        path = str(find(model))
        mark = Checkpoint.load(Path(path)).fingerprint.hex()
        if ours:
            entrants.append(Entrant(OURS, mark))
        entrants += [Entrant(name, mark) for name in _rival_names(rivals)]
    entrants += [Entrant(coder.name, coder.version(), coder.key) for coder in choice.coders]
    judges = tuple(dict.fromkeys(name_judge(spec) for spec in classifiers))
    return Contest(
        tuple(entrants), judges, tuple(budgets), hierarchy, scale.mark, path, tuple(rivals), device
    )


def run(
    contest: Contest,
    samples: Sequence[Sample],
    folder: Path,
    *,
    jobs: int = 1,
    progress: Callable[..., Any] | None = None,
) -> list[Measurement]:
    """Measures what `folder` does not hold yet, and writes its ``measurements.csv``, whose rows it returns.

    Args:
        jobs: processes; with 1 all is done in this one. Each works on one core, so that rows do not depend on it.
        progress: wraps the iteration over finished pictures, as tqdm does; called with an iterator and ``total``.
    Raises:
        EvaluationError: a measuring process died. Else as :func:`plan`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept(folder)
    known: dict[str, dict[Key, Measurement]] = {}
    for key, row in kept.rows.items():
        known.setdefault(key.digest, {})[key] = row
    tasks = [Task(sample, known.get(sample.digest, {})) for sample in samples]
    tasks = [task for task in tasks if contest.missing(*task)]
    finished = _finished(contest, tasks, jobs)
    for rows in progress(finished, total=len(tasks)) if progress else finished:
        kept.add(rows)
    rows = current(contest, samples, kept)
    write(folder / MEASUREMENTS, rows)
    return rows


def current(contest: Contest, samples: Sequence[Sample], kept: Kept) -> list[Measurement]:
    """The kept rows that belong beside each other, in a fixed order: by picture, then as the contest has them.

    Of codecs that this contest leaves out, those of its pictures, judges, budgets and hierarchy stay, in the version that
    was measured last.
    """
    rows: list[Measurement] = []
    names = {entrant.name for entrant in contest.entrants}
    judges = {judge.name for judge in contest.judges}
    latest = {key.codec: key.weights for key in kept.rows}
    by_digest: dict[str, list[Measurement]] = {}
    for key, row in kept.rows.items():
        fits = key.hierarchy == contest.mark and key.classifier in judges and key.codec not in names
        if fits and key.weights == latest[key.codec]:
            by_digest.setdefault(key.digest, []).append(row)
    for sample in samples:
        own = [
            contest.key(sample, unit, judge)
            for unit in contest.units(sample)
            for judge in contest.judges
        ]
        allowed = {(None, None), *((budget.of(sample), budget.bpp) for budget in contest.budgets)}
        others = [
            row for row in by_digest.get(sample.digest, ())
            if row.label == sample.label and (row.budget, row.budget_bpp) in allowed and row.key not in set(own)
        ]  # fmt: skip
        found = [kept.rows[key] for key in own if key in kept] + sorted(
            others, key=lambda row: _sortable(row.key)
        )
        # the same picture may go by another name than when it was measured
        rows += [row._replace(image=sample.name) for row in found]
    return rows


def _sortable(key: Key) -> tuple[str, ...]:
    return tuple(
        "" if part is None else f"{part:012.4f}" if isinstance(part, int | float) else part
        for part in key
    )


def _finished(contest: Contest, tasks: Sequence[Task], jobs: int) -> Iterator[list[Measurement]]:
    """The new rows of each task, as they get done."""
    if not tasks:
        return
    if jobs == 1:
        with _one_thread():
            bench = Bench(contest)
            for task in tasks:
                yield bench.measure(*task)
        return
    # spawned, not forked: torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, _start, (contest,)) as pool:
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


_bench: Bench | None = None
"""Of a measuring process."""


def _start(contest: Contest) -> None:
    import torch

    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)
    _bench = Bench(contest)


def _measure(task: Task) -> list[Measurement]:
    assert _bench is not None
    return _bench.measure(*task)


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


def _rival_names(rivals: Sequence[str]) -> list[str]:
    if not rivals:
        return []
    from progcodec.lab.evaluate.embedded import OfRival
    from progcodec.lab.evaluate.rivals import rivals as known

    return [OfRival.shown(rival.name) for rival in known(rivals)]
