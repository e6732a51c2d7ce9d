"""Trains the built-in classifier: views ─► soft answers, coded views ─► latents of random cuts ─► head ─► calibrated file.

One visible loop. What does not change from epoch to epoch (the classifier's soft answers, the codec's symbols) is cached first.
"""

import contextlib
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from progcodec.arrays import Flags
from progcodec.assets import find
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier import Specification
from progcodec.classification.head_file import HeadFile
from progcodec.classification.latent import LatentClassifier
from progcodec.codec.codec import Codec
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.calibrate import calibrate
from progcodec.lab.train.coded_views import code_views, draw_cut, latents
from progcodec.lab.train.lessons import Lessons, Mixing
from progcodec.lab.train.optimizer import Muon
from progcodec.lab.train.soft_answers import teach
from progcodec.lab.train.validation import Measured, judge, measure, read_streams
from progcodec.lab.train.views import CHUNK, ViewCounts, plan, read_pictures
from progcodec.network.head import HeadConfig, LatentHead

LICENCE = "trained on ImageNet-derived images: non-commercial research"
SPREAD_VIEWS = 256
"""Views from which a new head learns how far each latent channel spreads."""
WARMUP_STEPS, WARMUP_SHARE = 60, 0.05
"""The learning rate rises over so many steps, or over this share of a short run."""
EMA = 0.998
WINDOW_RATE, WINDOW_SHARE, WINDOW_MIN = 0.5, 0.7, 7
"""So often a batch of latents is cut to a window of at least this share of its sides, if it has so many positions a side."""


@dataclass(frozen=True)
class ClassifierSettings:
    """Everything a run depends on.

    Attributes:
        data: shards, folders or globs of training pictures; the folder of a picture names its class.
        val: the same for held-out pictures: half of them calibrate, the other half judge.
        teacher: a classifier of pictures, as ``progcodec classify --classifier`` takes it.
        model: name or file of the codec. out: the head's file.
        minutes: of training, once the caches are filled. steps: ends the run too, if given.
        cache: folder of soft answers and coded views.
        init: file of a head to start from.
        views: how many of each picture. limit: the most views in all; what is missing of these is added to the caches.
        positions: latent positions in a batch. lr: peak learning rate; it falls linearly to 0 from ``decay_from`` on.
        mixing: how targets are made. levels: weights of the loss at each level, coarsest first, classes last.
        val_limit: the most pictures of each validation shard.
        calibrate_with: the one validation shard (its name's start) whose half calibrates; None: all alike. One that is like
            what will be classified keeps the head from being too sure of itself there.
        workers: processes that fill the caches.
        bfloat16: compute in bfloat16 where precision allows; faster on processors that have it, else far slower.
    """

    data: tuple[str, ...]
    val: tuple[str, ...]
    teacher: str
    model: str
    out: str
    minutes: float
    steps: int | None = None
    cache: str = "classifier-cache"
    init: str | None = None
    seed: int = 0
    device: str = "auto"
    views: ViewCounts = ViewCounts()
    limit: int | None = None
    positions: int = 4096
    lr: float = 5e-3
    decay_from: float = 0.3
    weight_decay: float = 0.05
    mixing: Mixing = Mixing()
    levels: tuple[float, ...] = (0.5, 0.5, 1.0)
    val_limit: int = 1000
    calibrate_with: str | None = None
    workers: int = 1
    bfloat16: bool = False
    log_steps: int = 50
    config: HeadConfig = HeadConfig()


def train_classifier(settings: ClassifierSettings) -> list[Measured]:
    """Fills the caches, trains, calibrates, writes the file, and returns how good the head is on the judging half.

    Raises:
        TrainingError: no usable pictures, a damaged cache, a loss that is not finite. ClassifierError: an unusable teacher or
        head to start from. CheckpointError: no such codec.
    """
    hierarchy = Hierarchy.load()
    codec = Codec.load(settings.model, settings.device)
    lessons, labelled = load_lessons(settings, hierarchy, codec)
    head = start_head(settings, hierarchy, codec, lessons)
    steps = fit(settings, hierarchy, codec, lessons, head)
    metadata = {
        "data": ", ".join(Path(name).name for name in settings.data),
        "teacher": Specification.parse(settings.teacher).name,
        "steps": str(steps),
        "views": str(len(lessons.views)),
        "seed": str(settings.seed),
        "licence": LICENCE,
        "labelled": json.dumps([hierarchy.classes[index].wnid for index in labelled]),
    }
    return finish(settings, hierarchy, codec, head, metadata)


def load_lessons(
    settings: ClassifierSettings, hierarchy: Hierarchy, codec: Codec
) -> tuple[Lessons, list[int]]:
    """Lessons from filled caches, and the classes that have labels."""
    pictures = read_pictures(settings.data, hierarchy)
    views = plan(pictures, settings.views, settings.seed)
    count = (
        len(views.chunks)
        if settings.limit is None
        else min(len(views.chunks), -(-settings.limit // CHUNK))
    )
    chunks, cache = range(count), Path(settings.cache)
    taught = teach(views, chunks, settings.teacher, len(hierarchy.classes), cache, settings.workers)
    coded = code_views(views, chunks, codec, str(find(settings.model)), cache, settings.workers)
    labelled = sorted({picture.label for picture in pictures if picture.label is not None})
    return Lessons.load(views, chunks, coded, taught), labelled


def start_head(
    settings: ClassifierSettings, hierarchy: Hierarchy, codec: Codec, lessons: Lessons
) -> LatentHead:
    """A new head, or that of ``init``, which may have learned to read another codec of the same shape."""
    torch.manual_seed(settings.seed)
    if settings.init is not None:
        file = HeadFile.load(settings.init)
        head = file.build()
    else:
        shape = {"latent_channels": codec.config.latent_channels, "classes": len(hierarchy.classes)}
        fields: dict[str, Any] = settings.config.to_dict() | shape
        head = LatentHead(HeadConfig(**fields))
        rng = np.random.default_rng(settings.seed)
        places = rng.permutation(len(lessons.views))[:SPREAD_VIEWS]
        squares = [
            latents(codec, [view], [math.inf])[0].square().mean((0, 2, 3))
            for view in (lessons.views[n] for n in places)
        ]
        head.spread.copy_(torch.stack(squares).mean(0).sqrt().clamp_min(1e-3))
    if (head.config.latent_channels, head.config.classes) != (
        codec.config.latent_channels,
        len(hierarchy.classes),
    ):
        raise TrainingError(
            f"{settings.init}: a head of another shape than this codec and hierarchy need"
        )
    return head.to(codec.device).train().requires_grad_(True)


def fit(
    settings: ClassifierSettings,
    hierarchy: Hierarchy,
    codec: Codec,
    lessons: Lessons,
    head: LatentHead,
) -> int:
    """Trains until the minutes or steps are spent, or Ctrl-C; leaves the averaged weights in the head, and returns the steps."""
    rng = np.random.default_rng(settings.seed + 1)
    groups = [torch.from_numpy(level).to(codec.device) for level in hierarchy.assignments]
    optimizers = _optimizers(head, settings)
    average = {name: value.detach().clone() for name, value in head.state_dict().items()}
    batches = lessons.batches(settings.positions, rng)
    start, step, losses = time.monotonic(), 0, []
    bar = tqdm(desc=f"training on {len(lessons.views)} views", unit="step", mininterval=5)
    try:
        while True:
            progress = (time.monotonic() - start) / 60 / settings.minutes
            if settings.steps:
                progress = max(progress, step / settings.steps)
            if progress >= 1:
                break
            warm = max((step + 1) / WARMUP_STEPS, progress / WARMUP_SHARE)
            lr = settings.lr * min(1.0, warm, (1 - progress) / (1 - settings.decay_from))
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["share"]

            places = next(batches)
            views = [lessons.views[place] for place in places]
            with _half(settings, codec):
                y, bits = latents(codec, views, [draw_cut(view, rng) for view in views])
                logits = head(_window(y, rng), bits.to(y.device))
            loss = level_loss(
                logits.float(),
                lessons.targets(places, settings.mixing).to(y.device),
                groups,
                settings.levels,
            )
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingError(f"the loss is not finite after {step} steps")
            for optimizer in optimizers:
                optimizer.step()
            step += 1
            decay = min(EMA, (1 + step) / (10 + step))
            for name, value in head.state_dict().items():
                average[name].lerp_(value, 1 - decay)
            bar.update()
            if step % settings.log_steps == 0:
                minutes = (time.monotonic() - start) / 60
                bar.write(
                    f"step {step}  {minutes:.1f} min  loss {np.mean(losses[-settings.log_steps :]):.4f}",
                    file=sys.stderr,
                )
    except KeyboardInterrupt:
        bar.write("interrupted: what was learned so far is calibrated and saved", file=sys.stderr)
    bar.close()
    head.load_state_dict(average)
    return step


def finish(
    settings: ClassifierSettings,
    hierarchy: Hierarchy,
    codec: Codec,
    head: LatentHead,
    metadata: dict[str, str],
) -> list[Measured]:
    """Calibrates a trained head on half of the held-out pictures, judges it on the other half, and writes its file."""
    tensors = {name: value.detach().cpu().half() for name, value in head.state_dict().items()}
    file = HeadFile(
        head.config,
        tensors,
        Calibration.neutral(hierarchy.assignments),
        codec.fingerprint.hex(),
        metadata,
    )
    reader = LatentClassifier(file, codec.device)
    judged = judge(
        reader.logits, codec, read_streams(settings.val, codec, hierarchy, settings.val_limit)
    )
    chosen: Flags = np.char.startswith(judged.shard, settings.calibrate_with or "")
    if not (judged.calibrates & chosen).any():
        raise TrainingError(f"no picture to calibrate with in {settings.calibrate_with}")
    held = judged.where(judged.calibrates & chosen)
    calibration = calibrate(
        held.logits,
        held.labels,
        held.bits,
        held.positions,
        hierarchy.assignments,
        weights=held.weights(),
    )
    rows = measure(judged.where(~judged.calibrates), calibration, hierarchy)
    metadata = {**metadata, "calibrated with": settings.calibrate_with or "all held-out shards"}
    metadata = {**metadata, "judged": json.dumps([row.to_dict() for row in rows])}
    HeadFile(head.config, tensors, calibration, codec.fingerprint.hex(), metadata).save(
        settings.out
    )
    return rows


def level_loss(
    logits: Tensor, targets: Tensor, groups: list[Tensor], weights: tuple[float, ...]
) -> Tensor:
    """Σ over levels of weight · cross-entropy; a group's probability is the sum over its classes.

    Args:
        logits, targets: (N, classes); targets sum to 1. groups: (classes,) int64 for each level. weights: levels + 1.
    """
    log_p = F.log_softmax(logits, 1)
    loss = weights[-1] * -(targets * log_p).sum(1).mean()
    for level, weight in zip(groups, weights, strict=False):
        shape = (len(logits), int(level.max()) + 1)
        p = logits.new_zeros(shape).index_add(1, level, log_p.exp()).clamp_min(1e-12)
        wanted = logits.new_zeros(shape).index_add(1, level, targets)
        loss = loss - weight * (wanted * p.log()).sum(1).mean()
    return loss


def _optimizers(head: LatentHead, settings: ClassifierSettings) -> list[torch.optim.Optimizer]:
    """Muon on the matrices inside, AdamW on the rest; "share" is a group's learning rate relative to the schedule's."""
    inside = [
        p
        for name, p in head.named_parameters()
        if p.ndim == 2 and not name.startswith(("bits.", "leave."))
    ]
    chosen = {id(p) for p in inside}
    others = [p for p in head.parameters() if id(p) not in chosen]
    decayed, free = [p for p in others if p.ndim > 1], [p for p in others if p.ndim == 1]
    return [
        Muon([{"params": inside, "share": 1.0}], lr=settings.lr, bfloat16=settings.bfloat16),
        torch.optim.AdamW(
            [
                {"params": decayed, "share": 0.5, "weight_decay": settings.weight_decay},
                {"params": free, "share": 0.5, "weight_decay": 0.0},
            ],
            lr=settings.lr, betas=(0.9, 0.98),
        ),
    ]  # fmt: skip


def _window(y: Tensor, rng: np.random.Generator) -> Tensor:
    """A random window of the latents, or all of them."""
    height, width = y.shape[2:]
    if min(height, width) < WINDOW_MIN or rng.random() >= WINDOW_RATE:
        return y
    rows, columns = (round(side * rng.uniform(WINDOW_SHARE, 1)) for side in (height, width))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    return y[:, :, top : top + rows, left : left + columns]


def _half(settings: ClassifierSettings, codec: Codec) -> contextlib.AbstractContextManager[object]:
    return torch.autocast(codec.device.type, torch.bfloat16, enabled=settings.bfloat16)
