"""Threads whose results arrive in one queue."""

import contextlib
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self


class Reply(NamedTuple):
    """What became of one call, and what follows in the thread that takes the reply."""

    then: Callable[[Any, Any], None]
    value: Any
    error: BaseException | None


class Pool:
    """A few threads that make calls in order, as long as a context lasts; each call's
    :class:`Reply` goes to ``replies``. Daemons: one that hangs on a pipe does not keep the program
    alive.
    """

    def __init__(
        self, kind: str, count: int, replies: "SimpleQueue[Reply]", patience: float
    ) -> None:
        """``patience``: seconds that the end waits for calls under way."""
        self._patience = patience
        self._replies = replies
        self._calls: SimpleQueue[tuple[Callable[[], object], Callable[[Any, Any], None]] | None] = (
            SimpleQueue()
        )
        self._threads = [
            threading.Thread(target=self._work, name=f"progcodec-{kind}", daemon=True)
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def submit(self, call: Callable[[], object], then: Callable[[Any, Any], None]) -> None:
        """Have ``call`` made; ``then`` comes back with its reply."""
        self._calls.put((call, then))

    def __exit__(self, *exception: object) -> None:
        """Makes no more calls."""
        with contextlib.suppress(Empty):
            while True:
                self._calls.get_nowait()
        for _ in self._threads:
            self._calls.put(None)
        end = time.monotonic() + self._patience
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (task := self._calls.get()) is not None:
            call, then = task
            try:
                value, error = call(), None
            except BaseException as caught:  # noqa: BLE001 - every call needs a reply
                value, error = None, caught
            self._replies.put(Reply(then, value, error))
            del task, call, then, value, error  # nothing large may live on while the thread waits
