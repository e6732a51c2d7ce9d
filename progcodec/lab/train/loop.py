"""The training loop: one schedule, one average, one log, a state file that any run resumes from.

What is trained, on what and to what end, a :class:`~progcodec.lab.train.learner.Learner` says.
"""

import contextlib
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from progcodec.errors import TrainingError
from progcodec.lab.train.learner import Learner
from progcodec.lab.train.log import RUN, Means, append
from progcodec.lab.train.parallel import Parallel
from progcodec.lab.train.settings import RunSettings

SPIKE = 5.0
"""A step whose loss is so many times the usual is skipped: one freak batch can undo minutes of
training."""
SKIP_MAX = 20


def run(learner: Learner, parallel: Parallel) -> dict[str, float]:
    """Takes steps until ``minutes`` or ``steps`` are spent (or SIGINT/SIGTERM), saves, and returns
    the last log line.

    Raises TrainingError: a loss that stays non-finite.
    """
    settings, device = learner.settings, parallel.device
    objective: Any = learner.objective
    if parallel.world > 1:  # starts by giving every process the first one's weights
        places = [device] if device.type == "cuda" else None
        objective = DistributedDataParallel(objective, places, gradient_as_bucket_view=True)
    passes = settings.accumulate * parallel.world

    start = last_save = last_log = time.monotonic()
    means, row, skipped, typical, logged = Means(learner.columns), {}, 0, math.inf, learner.step
    stopping = save_due = False
    minutes = learner.minutes_before
    what, hidden = f"training on {learner.about}", quiet(parallel)
    bar = tqdm(desc=what, unit="step", disable=hidden, total=settings.steps)
    with contextlib.closing(bar), _stop_requests() as requests:
        while True:
            done = learner.step - learner.first
            progress = settings.progress(minutes - learner.first_minutes, done)
            if progress >= 1 or stopping:
                break
            if save_due:
                learner.save(minutes, parallel)
                last_save, save_due = time.monotonic(), False
            lr = _learning_rate(settings, progress, done)
            for optimizer in learner.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["share"]
                optimizer.zero_grad(set_to_none=True)

            value, measured = 0.0, []
            for number in range(settings.accumulate):
                batch = learner.batch(number, skipped, progress)
                place = parallel.rank * settings.accumulate + number
                _seed(settings.seed, learner.step, place, skipped)
                last = number + 1 == settings.accumulate
                alone = last or parallel.world == 1
                with contextlib.nullcontext() if alone else objective.no_sync():
                    losses = objective(*batch)
                    losses.total.backward()
                value += float(losses.watched)
                measured.append(losses.measured)
            norm = float(nn.utils.clip_grad_norm_(learner.clipped.parameters(), settings.clip))

            # One exchange a step: the loss of all, the first process's clock, and whether any was
            # asked to stop.
            now = time.monotonic()
            clock = [now - start, now - last_save] if parallel.leads else [0.0, 0.0]
            total, elapsed, unsaved, stops = parallel.sum([value, *clock, float(requests[0])])
            value, minutes = total / passes, learner.minutes_before + elapsed / 60
            stopping, save_due = stops > 0, unsaved > 60 * settings.save_minutes
            if not (math.isfinite(value) and math.isfinite(norm)) or value > SPIKE * typical:
                skipped += 1
                if skipped > SKIP_MAX:
                    raise TrainingError(
                        f"the loss has left its range and stays away since step {learner.step}"
                    )
                continue
            skipped = 0
            typical = value if math.isinf(typical) else 0.98 * typical + 0.02 * value
            for optimizer in learner.optimizers:
                optimizer.step()
            learner.step += 1
            learner.images_seen += passes * settings.batch
            learner.update_average()
            for values in measured:
                means.add(values)

            bar.update()
            if learner.step % settings.log_steps == 0:
                now = time.monotonic()
                speed = (learner.step - logged) * passes * settings.batch / (now - last_log)
                last_log, logged = now, learner.step
                row = {
                    "step": learner.step,
                    "minutes": minutes,
                    "lr": lr,
                    "images_per_s": speed,
                    **means.take(parallel),
                }
                if device.type == "cuda":
                    row["gpu_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
                if parallel.leads:
                    append(Path(f"{settings.out}.csv"), [*RUN, *learner.columns, "gpu_gb"], row)
                bar.set_postfix({name: f"{row[name]:.3f}" for name in learner.shown if name in row})
        learner.save(minutes, parallel)
    return row


def quiet(parallel: Parallel) -> bool:
    """Whether this process shows no progress bars."""
    return not (parallel.leads and sys.stderr.isatty())


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormal numbers count as 0 within: the densities' tails fill with them, and CPUs handle them
    in slow motion.
    """
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # numpy looks only once, and warns of what it finds while denormals are 0
    before = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes_denormals() -> bool:
    """The processor's state, for which torch has no getter."""
    return bool((torch.tensor(1e-310, dtype=torch.float64) * 1.0 == 0).item())


def _learning_rate(settings: RunSettings, progress: float, step: int) -> float:
    fall = (1 - progress) / (1 - settings.decay_from) if progress > settings.decay_from else 1.0
    return settings.lr * min(1.0, (step + 1) / settings.warmup) * max(fall, 0.01)


def _seed(*key: int) -> None:
    """Noise and cuts of a pass follow from its key, so that a resumed run, and one of other
    processes, draws the same.
    """
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1)


@contextlib.contextmanager
def _stop_requests() -> Iterator[list[bool]]:
    """A list of one: whether SIGINT or SIGTERM has come."""
    asked = [False]

    def ask(*_: object) -> None:
        asked[0] = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
