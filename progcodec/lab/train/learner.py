"""What the loop trains: weights, their average, optimisers, and the state file that holds
them all.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from progcodec.files import whole_file
from progcodec.lab.train.parallel import Parallel
from progcodec.lab.train.settings import RunSettings
from progcodec.lab.train.state import fitting


class Losses(NamedTuple):
    """`total` is what gradients are taken of; `watched`, without gradient, tells a freak batch.

    Both scalars.
    """

    total: Tensor
    watched: Tensor
    measured: dict[str, Tensor]  # values of pictures (n,), by column of the log


class Learner(ABC):
    """One thing to train. Subclasses set what is named first, then call :meth:`restore`.

    Attributes:
        weights: all that a state file holds the values of. clipped: the part whose gradient is
            clipped.
        objective: from a batch to Losses; several processes share it.
        optimizers: each group's "share" is its learning rate relative to the schedule's.
        about: what it learns from, for people. columns: of the log, between the common ones. shown:
            those on the bar.
        average: running mean of the weights, by name: what is kept of a run.
        step, images_seen, minutes_before: what was done before, in all.
        first, first_minutes: where the schedule of this run begins.
    """

    weights: nn.Module
    clipped: nn.Module
    objective: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    about: str
    columns: Sequence[str]
    shown: Sequence[str] = ("loss",)

    def __init__(self, settings: RunSettings, device: torch.device, world: int = 1) -> None:
        self.settings, self.device, self.world = settings, device, world
        self.step, self.images_seen, self.minutes_before = 0, 0, 0.0
        self.first, self.first_minutes = 0, 0.0
        self.average: dict[str, Tensor] = {}

    @abstractmethod
    def batch(self, number: int, attempt: int, progress: float) -> tuple[Any, ...]:
        """Arguments of the objective in this process's pass ``number`` of the step; another attempt
        gives others.
        """

    @abstractmethod
    def export(self, minutes: float) -> None:
        """Writes the averaged weights in the form that is of use."""

    def extra_state(self) -> dict[str, object]:
        """What a state file holds beside the common entries."""
        return {}

    def before_save(self, parallel: Parallel) -> None:
        """Called in every process, before the first one saves."""

    def restart_average(self) -> None:
        self.average = {k: v.detach().clone() for k, v in self.weights.state_dict().items()}

    def restore(self, saved: dict[str, Any] | None, path: str | None) -> None:
        """Starts anew, or from what a state file holds: goes on if the settings say so, else takes
        its average alone.

        Raises TrainingError if it does not fit.
        """
        with fitting(path):
            if saved:
                name = "weights" if self.settings.resume else "average"
                self.weights.load_state_dict(saved[name])
            self.restart_average()
            if saved and self.settings.resume:
                self._go_on(saved)

    def _go_on(self, saved: dict[str, Any]) -> None:
        self.step, self.images_seen = saved["step"], saved["images"]
        self.minutes_before = saved["minutes"]
        self.first, self.first_minutes = self.step, self.minutes_before
        if self.settings.finish:
            self.first, self.first_minutes = saved["first"], saved["first_minutes"]
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.average = {k: saved["average"][k].to(self.device) for k in self.average}

    def update_average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        now = self.weights.state_dict()
        floats = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.average[name] for name in floats], [now[name] for name in floats], 1 - decay
        )
        for name in now.keys() - set(floats):
            self.average[name].copy_(now[name])

    def save(self, minutes: float, parallel: Parallel) -> None:
        """Writes, in the first process, the state and the averaged weights, each whole or not at
        all.
        """
        self.before_save(parallel)
        if not parallel.leads:
            return
        path = self.settings.state or f"{self.settings.out}.state.pt"
        state = {
            "weights": self.weights.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "first": self.first,
            "images": self.images_seen,
            "minutes": minutes,
            "first_minutes": self.first_minutes,
            **self.extra_state(),
        }
        with whole_file(path) as file:
            torch.save(state, file)
        self.export(minutes)
