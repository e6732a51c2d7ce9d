"""One process, or several that ``torchrun`` started: who this one is, and the few numbers that all
agree on.

Gradients are averaged by DistributedDataParallel (``step.py``); what is here are the loop's own
decisions. All processes must make each call, in the same order.
"""

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import torch

from progcodec.errors import TrainingError
from progcodec.network.device import pick_device

T = TypeVar("T")


def leads() -> bool:
    """Whether this process is the one of a run that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def leave() -> None:
    """Ends a process of torchrun here and now, with success: on an orderly way out of Python,
    torch's threads abort it now and then, and torchrun then ends all others.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class Parallel:
    """A context in which the processes of a run talk: NCCL between GPUs, gloo between CPUs, nothing
    for one process.

    Attributes:
        rank, world: this process's number, and how many there are.
        leads: whether this process is the one that writes.
        device: its own GPU, or the CPU.
    """

    def __init__(self, device: str) -> None:
        """Raises ProgcodecError: no such device; TrainingError: fewer GPUs than processes on this
        machine.
        """
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.leads = leads()
        self.device = pick_device(device)
        if self.world > 1 and self.device.type == "cuda":
            place = int(os.environ.get("LOCAL_RANK", self.rank))
            if place >= torch.cuda.device_count():
                raise TrainingError(
                    f"process {place + 1} on this machine finds {torch.cuda.device_count()} GPUs"
                )
            self.device = torch.device("cuda", place)

    def __enter__(self) -> Self:
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)
        if self.world > 1:
            if self.device.type == "cuda":
                torch.distributed.init_process_group("nccl", device_id=self.device)
            else:
                torch.distributed.init_process_group("gloo")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.world > 1:
            # the first process still saves; where another ends before it, torchrun may end all of
            # them
            if error is None:
                torch.distributed.barrier()
            torch.distributed.destroy_process_group()

    def sum(self, values: Sequence[float]) -> list[float]:
        """Element by element, over all processes."""
        if self.world == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(together)
        total: list[float] = together.tolist()
        return total

    def gather(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(values, value)
        return values
