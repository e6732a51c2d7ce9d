"""Where the time of encoding and decoding goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_stages: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


@contextmanager
def stage_times() -> Iterator[dict[str, float]]:
    """Collects the seconds that encoding and decoding spend in each stage, while the context is
    open.

    Stages: "transform", "mean path", "scale path", "ordering", "range coding", "container". On CUDA
    the float stages are launched asynchronously, so only their sum with what waits for them is
    meaningful.
    """
    token = _stages.set({})
    try:
        yield _stages.get()  # type: ignore[misc]
    finally:
        _stages.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts the seconds of its body towards a stage, if anybody collects."""
    times = _stages.get()
    start = time.perf_counter()
    yield
    if times is not None:
        times[name] = times.get(name, 0.0) + time.perf_counter() - start
