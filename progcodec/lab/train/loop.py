"""The training loop: one visible loop, one frozen dataclass of settings, a state file that any run resumes from."""

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
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.class_term import ClassTerm, load_groups
from progcodec.lab.train.feed import Feed
from progcodec.lab.train.log import Means, append
from progcodec.lab.train.parallel import Parallel
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.step import Step, compile_networks
from progcodec.lab.train.teacher import Teacher
from progcodec.lab.train.trainer import Trainer

SPIKE = 5.0
"""A step whose loss is so many times the usual is skipped: one freak batch can undo minutes of training."""
SKIP_MAX = 20
START_CROPS = 400
"""Crops whose principal components a new model starts from."""
DENSITY_CROPS = 64
"""Crops on which the bottleneck's densities are fitted when a run starts from a checkpoint."""


def train(settings: TrainSettings) -> dict[str, float]:
    """Runs until ``minutes`` or ``steps`` are spent (or SIGINT/SIGTERM), saves, and returns the last log line.

    Under torchrun, every process calls it; the first one writes.

    Raises:
        TrainingError: no usable images, an unreadable state file, or a loss that stays non-finite. ClassifierError: no
            such teacher. HierarchyError: it does not fit.
    """
    with Parallel(settings.device) as parallel, flushed_denormals():
        try:
            return _train(settings, parallel)
        except RuntimeError as error:
            if settings.compile and type(error).__module__.startswith(
                ("torch._dynamo", "torch._inductor")
            ):
                name = type(error).__name__
                raise TrainingError(
                    f"torch.compile failed on this machine ({name}); train without compile"
                ) from error
            raise


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormal numbers count as 0 within: the densities' tails fill with them, and CPUs handle them in slow motion."""
    before = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes_denormals() -> bool:
    """The processor's state, for which torch has no getter."""
    return bool((torch.tensor(1e-310, dtype=torch.float64) * 1.0 == 0).item())


def _train(settings: TrainSettings, parallel: Parallel) -> dict[str, float]:
    device = parallel.device
    quiet = not (parallel.leads and sys.stderr.isatty())
    trainer = Trainer(settings, device, parallel.world)
    class_term = _class_term(settings, device)
    feed = Feed(settings, parallel, trainer.positions, quiet)
    if trainer.fresh:
        trainer.start(feed.starting_crops(START_CROPS))
    if trainer.untrained_densities:
        trainer.fit_densities(feed.starting_crops(DENSITY_CROPS))
    if settings.compile:
        compile_networks(trainer.model)
    weights, push = settings.weights(), settings.class_push
    half, prefixes = settings.in_bfloat16(device.type), settings.prefixes()
    step: Any = Step(
        trainer.model,
        trainer.bottleneck,
        weights,
        class_term,
        push,
        settings.accumulate,
        half,
        prefixes,
    )
    if parallel.world > 1:  # starts by giving every process the first one's weights
        places = [device] if device.type == "cuda" else None
        step = DistributedDataParallel(step, places, gradient_as_bucket_view=True)
    passes = settings.accumulate * parallel.world

    start = last_save = last_log = time.monotonic()
    means, row, skipped, typical, logged = Means(), {}, 0, math.inf, trainer.step
    stopping = save_due = False
    minutes = trainer.minutes_before
    bar = tqdm(desc=f"training on {feed.about}", unit="step", disable=quiet, total=settings.steps)
    with contextlib.closing(bar), _stop_requests() as requests:
        while True:
            done = trainer.step - trainer.first
            shares = (
                [(minutes - trainer.first_minutes) / settings.minutes] if settings.minutes else []
            )
            shares += [done / settings.steps] if settings.steps else []
            progress = max(shares)
            if progress >= 1 or stopping:
                break
            if save_due:
                _save(trainer, feed, parallel, minutes)
                last_save, save_due = time.monotonic(), False
            lr = _learning_rate(settings, progress, done)
            for optimizer in trainer.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["share"]
                optimizer.zero_grad(set_to_none=True)

            with_classes = class_term is not None and progress >= settings.class_from
            with_classes = with_classes and trainer.step % settings.class_every == 0
            value, measured = 0.0, []
            for number in range(settings.accumulate):
                food = feed.take(trainer.step, number, skipped, with_classes)
                _seed(
                    settings.seed,
                    trainer.step,
                    parallel.rank * settings.accumulate + number,
                    skipped,
                )
                last = number + 1 == settings.accumulate
                with contextlib.nullcontext() if last or parallel.world == 1 else step.no_sync():
                    crops, whole = (
                        x if x is None else x.to(device, non_blocking=True)
                        for x in (food.crops, food.whole)
                    )
                    losses = step(crops, whole, food.labels, float(settings.class_every))
                    losses.total.backward()
                value += float(losses.rate_distortion)
                measured.append(losses.measured)
            norm = float(nn.utils.clip_grad_norm_(trainer.model.parameters(), settings.clip))

            # One exchange a step: the loss of all, the first process's clock, and whether any was asked to stop.
            now = time.monotonic()
            clock = [now - start, now - last_save] if parallel.leads else [0.0, 0.0]
            total, elapsed, unsaved, stops = parallel.sum([value, *clock, float(requests[0])])
            value, minutes = total / passes, trainer.minutes_before + elapsed / 60
            stopping, save_due = stops > 0, unsaved > 60 * settings.save_minutes
            if not (math.isfinite(value) and math.isfinite(norm)) or value > SPIKE * typical:
                skipped += 1
                if skipped > SKIP_MAX:
                    raise TrainingError(
                        f"the loss has left its range and stays away since step {trainer.step}"
                    )
                continue
            skipped = 0
            typical = value if math.isinf(typical) else 0.98 * typical + 0.02 * value
            for optimizer in trainer.optimizers:
                optimizer.step()
            trainer.step += 1
            trainer.images_seen += passes * settings.batch
            trainer.update_average()
            for values in measured:
                means.add(values)

            bar.update()
            if trainer.step % settings.log_steps == 0:
                now = time.monotonic()
                speed = (trainer.step - logged) * passes * settings.batch / (now - last_log)
                last_log, logged = now, trainer.step
                row = {
                    "step": trainer.step,
                    "minutes": minutes,
                    "lr": lr,
                    "images_per_s": speed,
                    **means.take(parallel),
                }
                if device.type == "cuda":
                    row["gpu_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
                if parallel.leads:
                    append(Path(f"{settings.out}.csv"), row)
                bar.set_postfix(
                    loss=f"{row['loss']:.3f}",
                    bpp=f"{row['total']:.3f}",
                    psnr=f"{row['psnr_fine']:.2f}",
                )
        _save(trainer, feed, parallel, minutes)
    return row


def _class_term(settings: TrainSettings, device: torch.device) -> ClassTerm | None:
    if settings.teacher is None:
        return None
    teacher, hierarchy = Teacher.load(settings.teacher, device), Hierarchy.load(settings.hierarchy)
    groups = load_groups(settings.groups, hierarchy) if settings.groups else None
    if not settings.grouped:
        groups = np.tile(np.arange(len(hierarchy.classes)), (len(hierarchy.levels), 1))
    return ClassTerm(
        teacher, hierarchy, settings.weights(), settings.soft, settings.smoothing, groups
    )


def _learning_rate(settings: TrainSettings, progress: float, step: int) -> float:
    fall = (1 - progress) / (1 - settings.decay_from) if progress > settings.decay_from else 1.0
    return settings.lr * min(1.0, (step + 1) / settings.warmup) * max(fall, 0.01)


def _seed(*key: int) -> None:
    """Noise and cuts of a pass follow from its key, so that a resumed run, and one of other processes, draws the same."""
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1)


def _save(trainer: Trainer, feed: Feed, parallel: Parallel, minutes: float) -> None:
    """Writes, in the first process, what all need to go on."""
    trainer.positions = parallel.gather(feed.positions)
    if parallel.leads:
        trainer.save(minutes)


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
