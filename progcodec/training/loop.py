"""The training loop: one visible loop, one frozen dataclass of settings, a state file that any run resumes from."""

import csv
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from progcodec.config import ModelConfig
from progcodec.errors import TrainingError
from progcodec.network.device import pick_device
from progcodec.network.model import Model
from progcodec.training.dataset import CropSampler, load_images
from progcodec.training.export import export
from progcodec.training.initialise import initialise
from progcodec.training.loss import PRESETS, LossWeights, forward, objective
from progcodec.training.optimizer import build_optimizers
from progcodec.training.state import fitting, fresh_bottleneck, load_state

LICENCE = (
    "Weights trained on the images named under 'data'. Where these derive from ImageNet, its terms hold for the weights: "
    "non-commercial research."
)
COLUMNS = "step minutes lr images_per_s loss hyper block1 block2 block3 total psnr_coarse psnr_inter psnr_cut psnr_fine".split()

SPIKE = 5.0
"""A step whose loss is so many times the usual is skipped: one freak batch can undo minutes of training."""
SKIP_MAX = 20
START_CROPS = 400
"""Crops whose principal components a new model starts from."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything a run depends on.

    Attributes:
        data: shards (.tar, .tar.gz), folders or images; globs allowed.
        out: the checkpoint that is written at every save and at the end.
        state: full training state; default: ``out`` with the suffix ``.state.pt``.
        resume: state file to go on from; its model config wins over ``config``.
        init: state file of which only the (averaged) weights are taken, or a checkpoint (.safetensors).
        minutes, steps: the run ends at whichever comes first; the learning rate follows the larger share of the two.
        crop, batch: pixels a side, crops a step. lr: peak learning rate.
        decay_from: share of the run after which the learning rate falls linearly to 0.
        description: what the data are and their licence, for the checkpoint's metadata.
    """

    data: tuple[str, ...]
    out: str
    state: str | None = None
    resume: str | None = None
    init: str | None = None
    minutes: float | None = None
    steps: int | None = None
    device: str = "auto"
    crop: int = 128
    batch: int = 8
    lr: float = 1e-3
    warmup: int = 100
    decay_from: float = 0.6
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    save_minutes: float = 5.0
    log_steps: int = 50
    limit: int | None = None
    preset: str = "shipped"
    config: ModelConfig = ModelConfig()
    description: str = ""

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise ValueError("say when to stop: minutes or steps")
        if self.crop % 16 or self.crop < 16:
            raise ValueError("the crop must be a multiple of 16")
        if self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r}; there are: {', '.join(PRESETS)}")


class Trainer:
    """Networks, optimisers, averages: everything that a state file holds."""

    def __init__(self, settings: TrainSettings, device: torch.device) -> None:
        from compressai.entropy_models import EntropyBottleneck  # 5 s to import: only here

        self.settings, self.device = settings, device
        torch.manual_seed(settings.seed)
        path = settings.resume or settings.init
        saved = load_state(path)
        self.config = saved["config"] if saved else settings.config
        self.model = Model(self.config).to(device, memory_format=torch.channels_last)
        self.bottleneck = EntropyBottleneck(self.config.hyper_channels, init_scale=5).to(device)
        self.both = nn.ModuleDict({"model": self.model, "bottleneck": self.bottleneck})
        self.optimizers = build_optimizers(self.model, self.bottleneck, settings.lr)
        self.step, self.images_seen, self.minutes_before = 0, 0, 0.0
        self.fresh = saved is None
        if saved and "medians" in saved:
            if settings.resume:
                raise TrainingError(f"{path}: a checkpoint holds weights, no training state; use init")
            saved["average"] |= fresh_bottleneck(self.bottleneck, saved["medians"])
        self.description = settings.description or (saved or {}).get("description", "")
        self.preset, self.saved_preset = settings.preset, (saved or {}).get("preset")
        with fitting(path):
            if saved:
                self.both.load_state_dict(saved["weights" if settings.resume else "average"])
            self.average = {k: v.detach().clone() for k, v in self.both.state_dict().items()}
            if saved and settings.resume:
                self.step, self.images_seen, self.minutes_before = saved["step"], saved["images"], saved["minutes"]
                for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
                    optimizer.load_state_dict(state)
                self.average = {k: saved["average"][k].to(device) for k in self.average}

    def start(self, crops: Tensor) -> None:
        """Fills the transforms of a new model from training crops, uint8 (N, 3, H, W)."""
        initialise(self.model, crops.float().div(255))
        self.average = {k: v.detach().clone() for k, v in self.both.state_dict().items()}

    def update_average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.both.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def save(self, minutes: float) -> None:
        """Writes the state and the exported, averaged checkpoint, each whole or not at all."""
        path = self.settings.state or f"{self.settings.out}.state.pt"
        state = {
            "config": self.config.to_dict(),
            "weights": self.both.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "images": self.images_seen,
            "minutes": minutes,
            "description": self.description,
            "preset": self.preset,
        }
        torch.save(state, f"{path}.tmp")
        os.replace(f"{path}.tmp", path)
        self.export(minutes)

    def export(self, minutes: float) -> None:
        settings = self.settings
        live = {k: v.detach().clone() for k, v in self.both.state_dict().items()}
        self.both.load_state_dict(self.average)
        metadata = {
            "steps": str(self.step),
            "images": str(self.images_seen),
            "minutes": f"{minutes:.1f}",
            "data": self.description or ", ".join(Path(p).name for p in settings.data),
            "objective": f"{self.preset}: {PRESETS[self.preset]}",
            "licence": LICENCE,
        }
        export(self.model, self.bottleneck, metadata).save(settings.out)
        self.both.load_state_dict(live)


def _learning_rate(settings: TrainSettings, progress: float, step: int) -> float:
    fall = (1 - progress) / (1 - settings.decay_from) if progress > settings.decay_from else 1.0
    return settings.lr * min(1.0, (step + 1) / settings.warmup) * max(fall, 0.01)


class _Means:
    """Running means of what is logged, between two log lines."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        if values.numel():
            self.sums[name] = self.sums.get(name, 0.0) + float(values.sum())
            self.counts[name] = self.counts.get(name, 0) + values.numel()

    def take(self) -> dict[str, float]:
        means = {name: self.sums[name] / self.counts[name] for name in self.sums}
        self.__init__()  # type: ignore[misc]
        return means


def train(settings: TrainSettings) -> dict[str, float]:
    """Runs until ``minutes`` or ``steps`` are spent (or SIGINT/SIGTERM), saves, and returns the last log line.

    Raises:
        TrainingError: no usable images, an unreadable state file, or a loss that stays non-finite.
    """
    device = pick_device(settings.device)
    quiet = not sys.stderr.isatty()
    trainer = Trainer(settings, device)
    images = load_images(settings.data, settings.crop, settings.limit, quiet)
    sampler = CropSampler(images, settings.crop, settings.batch, settings.seed + trainer.step)
    if trainer.fresh:
        trainer.start(torch.cat([sampler.next() for _ in range(max(1, START_CROPS // settings.batch))]))
    weights: LossWeights = PRESETS[settings.preset]
    log_path = Path(f"{settings.out}.csv")
    first = trainer.step
    stop = False

    def request_stop(*_: object) -> None:
        nonlocal stop
        stop = True

    previous = {s: signal.signal(s, request_stop) for s in (signal.SIGINT, signal.SIGTERM)}
    start = last_save = last_log = time.monotonic()
    means, row, skipped, typical = _Means(), {}, 0, math.inf
    bar = tqdm(desc=f"training on {len(images)} images", unit="step", disable=quiet, total=settings.steps)
    try:
        while True:
            elapsed = (time.monotonic() - start) / 60
            done = trainer.step - first
            shares = [elapsed / settings.minutes] if settings.minutes else []
            shares += [done / settings.steps] if settings.steps else []
            progress = max(shares)
            if progress >= 1 or stop:
                break
            lr = _learning_rate(settings, progress, done)
            matrices, others, quantiles = trainer.optimizers
            for optimizer in trainer.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["share"]

            x = sampler.next().to(device, non_blocking=True).float().div_(255)
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                out = forward(trainer.model, trainer.bottleneck, x)
            # The class term joins here: its logits come from out.fine and out.second.
            loss, parts = objective(out, x, weights)
            for optimizer in trainer.optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(trainer.model.parameters(), settings.clip)
            value = float(loss.detach())
            if not (math.isfinite(value) and math.isfinite(float(norm))) or value > SPIKE * typical:
                skipped += 1
                if skipped > SKIP_MAX:
                    raise TrainingError(f"the loss has left its range and stays away since step {trainer.step}")
                continue
            skipped = 0
            typical = value if math.isinf(typical) else 0.98 * typical + 0.02 * value
            matrices.step()
            others.step()
            quantiles.zero_grad(set_to_none=True)
            trainer.bottleneck.loss().backward()
            quantiles.step()
            trainer.step += 1
            trainer.images_seen += settings.batch
            trainer.update_average()

            means.add("loss", loss.detach())
            for name in ("hyper", "block1", "block2", "block3"):
                means.add(name, parts[name])
            means.add("total", parts["hyper"] + parts["block1"] + parts["block2"] + parts["block3"])
            means.add("psnr_fine", -10 * parts["fine"].log10())
            for kind, name in enumerate(("psnr_coarse", "psnr_inter", "psnr_cut")):
                means.add(name, -10 * parts["second"][out.kind == kind].log10())
            bar.update()
            if trainer.step % settings.log_steps == 0:
                now = time.monotonic()
                speed = settings.log_steps * settings.batch / (now - last_log)
                last_log = now
                minutes = trainer.minutes_before + (now - start) / 60
                row = {"step": trainer.step, "minutes": minutes, "lr": lr, "images_per_s": speed, **means.take()}
                _log(log_path, row)
                bar.set_postfix(loss=f"{row['loss']:.3f}", bpp=f"{row['total']:.3f}", psnr=f"{row['psnr_fine']:.2f}")
            if time.monotonic() - last_save > 60 * settings.save_minutes:
                trainer.save(trainer.minutes_before + (time.monotonic() - start) / 60)
                last_save = time.monotonic()
    finally:
        bar.close()
        for number, handler in previous.items():
            signal.signal(number, handler)
    trainer.save(trainer.minutes_before + (time.monotonic() - start) / 60)
    return row


def _log(path: Path, row: dict[str, float]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="")
        if fresh:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})


def export_state(state: str, out: str, description: str = "") -> None:
    """Writes the shippable checkpoint of a training state. Raises TrainingError if it is not one."""
    settings = TrainSettings(data=(), out=out, resume=state, steps=1, description=description, device="cpu")
    trainer = Trainer(settings, torch.device("cpu"))
    trainer.preset = trainer.saved_preset or trainer.preset
    trainer.export(trainer.minutes_before)
