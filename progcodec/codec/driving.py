"""Taking a generator of steps to its end: the encoder and the decoder of a scheme are two short users of one generator."""

from collections.abc import Callable, Generator
from typing import TypeVar

Step = TypeVar("Step")
Reply = TypeVar("Reply")
Result = TypeVar("Result")


def drive(steps: Generator[Step, Reply, Result], reply: Callable[[Step], Reply]) -> Result:
    """Answers every step with ``reply(step)``; returns what the generator returns. It must yield at least once."""
    step = next(steps)
    while True:
        try:
            step = steps.send(reply(step))
        except StopIteration as end:
            result: Result = end.value
            return result
