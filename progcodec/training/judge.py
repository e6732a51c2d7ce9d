"""Trains an independent judge: a classifier of pictures that learned from labels alone and took no part in training a codec.

    labelled pictures ─► random squares, small ones first ─► network of timm, from nothing ─► averaged weights ─► file

The file says itself what network it is for and how that wants its pictures, so that its path is all that a command needs.
"""

import contextlib
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from progcodec.classification.libraries import read_weights
from progcodec.errors import TrainingError
from progcodec.hierarchy import Hierarchy
from progcodec.network.device import pick_device, placed
from progcodec.training.classifier import LICENCE, level_loss
from progcodec.training.log import append_row
from progcodec.training.squares import Labelled, Squares, batch_at, comparable, load_labelled

MEAN, STD = 0.45, 0.25
"""Of a colour value in [0, 1]: what the network's inputs are centred and scaled by."""
KEEP_SHARE = 1.4
"""Pictures are kept in memory at this many times the largest side that is trained on."""
WARMUP_SHARE = 0.05
GROWN_AT = 0.7
"""Share of the run after which squares have their full side."""
SIDE_STEP = 16
FOREIGN = -1e4
"""Logit of classes that a picture is not compared with, see ``squares.comparable``."""
COLUMNS = ("step", "minutes", "side", "lr", "loss", "accuracy", "images_per_s")


@dataclass(frozen=True)
class JudgeSettings:
    """Everything a run depends on.

    Attributes:
        data: shards, folders or globs of pictures; the folder of a picture names its class, others are left out.
        out: the classifier's file. Beside it come ``.state.pt``, to resume from, and a log, ``.csv``.
        model: a network of timm by name; it starts from random weights.
        minutes, steps: the run ends at whichever comes first, counted from its first start.
        resume: go on from the state beside ``out``. init: start from the weights of such a file.
        side: pixels a side of the squares at the end; they start at ``first_side`` and grow by 16.
        input_side: pixels a side of a picture that is judged: objects look larger in crops than in whole pictures, so a
            little more than ``side`` suits; None: a quarter more.
        levels: weights of the loss at each level of the hierarchy, coarsest first, classes last.
        bfloat16: compute in bfloat16, faster on processors that have it, else far slower.
    """

    data: tuple[str, ...]
    out: str
    model: str = "resnet10t"
    minutes: float | None = None
    steps: int | None = None
    resume: bool = False
    init: str | None = None
    side: int = 80
    first_side: int = 48
    input_side: int | None = None
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    ema: float = 0.998
    levels: tuple[float, ...] = (0.25, 0.25, 1.0)
    seed: int = 0
    device: str = "auto"
    bfloat16: bool = False
    save_minutes: float = 5.0
    log_steps: int = 50

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise ValueError("say when to stop: minutes or steps")
        if not 16 <= self.first_side <= self.side:
            raise ValueError("sides must be at least 16, and the first at most the last")

    def side_at(self, progress: float) -> int:
        """Pixels a side of the squares, at a share of the run in [0, 1]."""
        grown = self.first_side + (self.side - self.first_side) * min(1.0, progress / GROWN_AT)
        return (
            self.side if progress >= GROWN_AT else int(grown // SIDE_STEP * SIDE_STEP) or SIDE_STEP
        )

    def lr_at(self, progress: float) -> float:
        """A short linear rise, then half a cosine down to 0."""
        return (
            self.lr
            * min(1.0, progress / WARMUP_SHARE + 0.01)
            * (1 + math.cos(math.pi * min(1.0, progress)))
            / 2
        )

    def classifier(self, classes: int) -> str:
        """The specification that the file carries; its path takes the place of what follows an ``@``."""
        side = self.input_side or round(1.25 * self.side / SIDE_STEP) * SIDE_STEP
        return (
            f"timm:{self.model}?num_classes={classes}&input_size={side}&crop_pct=1.0&interpolation=bicubic"
            f"&mean={MEAN}&std={STD}"
        )


def train_judge(settings: JudgeSettings) -> int:
    """Trains until the minutes or steps are spent, or Ctrl-C, writes the file, and returns the steps.

    Raises:
        TrainingError: no usable pictures, no such network, a state that does not fit, a loss that is not finite.
    """
    hierarchy, device = Hierarchy.load(), pick_device(settings.device)
    torch.manual_seed(settings.seed)
    model = placed(_network(settings, len(hierarchy.classes)), device).train()
    optimizer = _optimizer(model, settings)
    if settings.init is not None:
        _start_from(settings.init, model)
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = Path(f"{settings.out}.state.pt")
    step, before = _resume(state, model, optimizer, average) if settings.resume else (0, 0.0)
    quiet = not sys.stderr.isatty()
    pictures = load_labelled(settings.data, hierarchy, round(KEEP_SHARE * settings.side), quiet)
    table, rows = comparable(pictures, len(hierarchy.classes))
    rivals = torch.from_numpy(table).to(device)
    groups = [torch.from_numpy(level).to(device) for level in hierarchy.assignments]

    start = last_save = last_log = time.monotonic()
    minutes, logged, losses, right = before, step, [], []
    bar = tqdm(
        desc=f"training on {len(pictures)} pictures",
        unit="step",
        disable=quiet,
        initial=step,
        total=settings.steps,
    )
    with contextlib.closing(bar), contextlib.suppress(KeyboardInterrupt):
        while True:
            progress = max(
                minutes / settings.minutes if settings.minutes else 0.0,
                step / settings.steps if settings.steps else 0.0,
            )
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = settings.lr_at(progress)
            side = settings.side_at(progress)
            squares = batch_at(pictures, step, settings.batch, side, settings.seed)
            x, labels = _inputs(squares, device), squares.labels.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
                logits = model(x)
            allowed = rivals[torch.from_numpy(rows[squares.places]).to(device)]
            logits = logits.float().masked_fill(~allowed, FOREIGN)
            loss = level_loss(
                logits, _targets(labels, allowed, settings.smoothing), groups, settings.levels
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingError(f"the loss is not finite after {step} steps")
            optimizer.step()
            step += 1
            right.append(float((logits.argmax(1) == labels).float().mean()))
            _update(average, model, min(settings.ema, (1 + step) / (10 + step)))
            now = time.monotonic()
            minutes = before + (now - start) / 60
            bar.update()
            if step % settings.log_steps == 0:
                speed = (step - logged) * settings.batch / (now - last_log)
                values = (
                    step,
                    minutes,
                    side,
                    settings.lr_at(progress),
                    float(np.mean(losses)),
                    float(np.mean(right)),
                    speed,
                )
                append_row(
                    Path(f"{settings.out}.csv"), COLUMNS, dict(zip(COLUMNS, values, strict=True))
                )
                logged, last_log, losses, right = step, now, [], []
            if now - last_save > 60 * settings.save_minutes:
                _save_state(state, model, optimizer, average, step, minutes)
                last_save = now
    _save_state(state, model, optimizer, average, step, minutes)
    _write(settings, average, pictures, hierarchy, step, minutes)
    return step


def _network(settings: JudgeSettings, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise TrainingError(
            f"a judge needs an extra: pip install 'progcodec[classify]' ({error})"
        ) from None
    if not timm.is_model(settings.model):
        raise TrainingError(f"timm has no network {settings.model!r}")
    network: nn.Module = timm.create_model(settings.model, num_classes=classes)
    return network


def _start_from(path: str, model: nn.Module) -> None:
    """Raises ClassifierError: no such weights. TrainingError: they are another network's."""
    try:
        model.load_state_dict(read_weights(path))
    except RuntimeError:
        raise TrainingError(f"{path}: weights of another network") from None


def _optimizer(model: nn.Module, settings: JudgeSettings) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.99))


def _inputs(squares: Squares, device: torch.device) -> Tensor:
    x = squares.pixels.to(device).float().div(255).sub(MEAN).div(STD)
    return x.contiguous(memory_format=torch.channels_last)


def _targets(labels: Tensor, allowed: Tensor, smoothing: float) -> Tensor:
    """(N, classes), rows sum to 1: most on the label, the rest on all classes that are allowed, bool (N, classes)."""
    targets = smoothing * allowed / allowed.sum(1, keepdim=True)
    return targets.scatter_add(1, labels[:, None], torch.full_like(targets[:, :1], 1 - smoothing))


@torch.no_grad()
def _update(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def _save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    step: int,
    minutes: float,
) -> None:
    state = {
        "weights": model.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
        "step": step,
        "minutes": minutes,
    }
    torch.save(state, f"{path}.tmp")
    os.replace(f"{path}.tmp", path)


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> tuple[int, float]:
    """Puts a state in place and returns its steps and minutes. Raises TrainingError."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        for name, value in average.items():
            value.copy_(state["average"][name])
        return int(state["step"]), float(state["minutes"])
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such training state") from None
    except Exception as error:  # noqa: BLE001 torch.load and load_state_dict raise many kinds on what does not fit
        raise TrainingError(
            f"{path}: not a state of this training ({type(error).__name__})"
        ) from None


def _write(
    settings: JudgeSettings,
    average: dict[str, Tensor],
    pictures: Sequence[Labelled],
    hierarchy: Hierarchy,
    step: int,
    minutes: float,
) -> None:
    """Half-precision weights and all that a reader needs, whole or not at all."""
    recipe = {
        name: value
        for name, value in asdict(settings).items()
        if name not in ("data", "out", "resume", "device")
    }
    metadata = {
        "classifier": settings.classifier(len(hierarchy.classes)),
        "classes": "ImageNet-1K, sorted by WordNet id",
        "labelled": " ".join(map(str, sorted({picture.label for picture in pictures}))),
        "data": ", ".join(Path(name).name for name in settings.data),
        "pictures": str(len(pictures)),
        "steps": str(step),
        "minutes": f"{minutes:.1f}",
        "recipe": repr(recipe),
        "licence": LICENCE,
    }
    tensors = {
        k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in average.items()
    }
    sibling = Path(f"{settings.out}.{os.getpid()}.tmp")
    try:
        save_file(tensors, str(sibling), metadata)
        os.replace(sibling, settings.out)
    finally:
        sibling.unlink(missing_ok=True)
