"""Work on chunks of views that is done once, kept on disk, and spread over processes.

A chunk's result is one ``.npz`` file, written whole or not at all: a run that is stopped goes on where it was.
"""

import multiprocessing
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from progcodec.arrays import Array
from progcodec.files import whole_file
from progcodec.lab.train.views import Source

Arrays = dict[str, Array]
Worker = Callable[[list[Source]], Arrays]
"""From what it takes to render the views of a chunk to its result."""

_worker: Worker | None = None


def fill(
    folder: Path,
    sources: Callable[[int], list[Source]],
    chunks: Sequence[int],
    make: Callable[..., Worker],
    arguments: tuple[Any, ...],
    workers: int,
    title: str,
) -> list[Path]:
    """Makes what is missing and returns the file of every chunk.

    Args:
        folder: where the files are; it must be named after everything that the results depend on.
        sources: what the worker gets for a chunk, such as :meth:`ViewSet.sources`.
        chunks: which chunks are wanted.
        make, arguments: ``make(*arguments)`` gives the worker; called once in each process.
        workers: processes; 1 works in this one.
        title: for the progress bar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{chunk:05d}.npz" for chunk in chunks]
    missing = [
        (chunk, path) for chunk, path in zip(chunks, paths, strict=True) if not path.exists()
    ]
    if not missing:
        return paths
    jobs = ((str(path), sources(chunk)) for chunk, path in missing)
    with tqdm(total=len(missing), desc=title, unit="chunk", mininterval=5) as bar:
        for _ in _run(jobs, make, arguments, min(workers, len(missing))):
            bar.update()
    return paths


def read(path: Path) -> Arrays | None:
    """A chunk's result; None if the file is not there or not whole."""
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _run(
    jobs: Iterator[tuple[str, list[Source]]],
    make: Callable[..., Worker],
    arguments: tuple[Any, ...],
    workers: int,
) -> Iterator[None]:
    if workers == 1:
        worker = make(*arguments)
        for path, chunk in jobs:
            _write(path, worker(chunk))
            yield
        return
    # Spawned, not forked: a fork after torch has started threads may hang.
    with multiprocessing.get_context("spawn").Pool(workers, _start, (make, arguments)) as pool:
        yield from pool.imap_unordered(_do, jobs)


def _start(make: Callable[..., Worker], arguments: tuple[Any, ...]) -> None:
    global _worker
    import torch

    torch.set_num_threads(1)
    _worker = make(*arguments)


def _do(job: tuple[str, list[Source]]) -> None:
    path, chunk = job
    assert _worker is not None
    _write(path, _worker(chunk))


def _write(path: str, arrays: Arrays) -> None:
    with whole_file(path) as file:
        np.savez(file, **arrays)
