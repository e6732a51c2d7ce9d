"""The codec's training: its networks, what they learn from, and the checkpoint that they become."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.class_term import ClassTerm, load_groups
from progcodec.lab.train.export import export
from progcodec.lab.train.feed import Feed
from progcodec.lab.train.initialise import initialise
from progcodec.lab.train.initialise_tic import initialise_tic
from progcodec.lab.train.learner import Learner
from progcodec.lab.train.log import MEASURED
from progcodec.lab.train.loop import flushed_denormals, quiet, run
from progcodec.lab.train.optimizer import build_optimizers
from progcodec.lab.train.parallel import Parallel
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.state import fit_widths, fresh_bottleneck, load_state
from progcodec.lab.train.step import Step, compile_networks
from progcodec.lab.train.stream import Position
from progcodec.lab.train.teacher import Teacher
from progcodec.network.device import placed
from progcodec.network.model import Model

STARTS = {"lite": initialise, "tic": initialise_tic}
"""What fills the transforms of a new model of each family."""
START_CROPS = 400
"""Crops whose principal components a new model starts from."""
DENSITY_CROPS = 64
"""Crops on which the bottleneck's densities are fitted when a run starts from a checkpoint."""
COMPILER_MODULES = "torch._dynamo", "torch._inductor"
LICENCE = (
    "Weights trained on the images named under 'data'. Where these derive from ImageNet, its "
    "terms hold for the weights: non-commercial research."
)


def train(settings: TrainSettings) -> dict[str, float]:
    """Runs until ``minutes`` or ``steps`` are spent (or SIGINT/SIGTERM), saves, and returns the
    last log line.

    Under torchrun, every process calls it; the first one writes.

    Raises:
        TrainingError: no usable images, an unreadable state file, or a loss that stays non-finite.
            ClassifierError: no such teacher. HierarchyError: it does not fit.
    """
    with Parallel(settings.device) as parallel, flushed_denormals():
        try:
            trainer = Trainer(settings, parallel.device, parallel.world)
            trainer.prepare(parallel)
            return run(trainer, parallel)
        except RuntimeError as error:
            kind = type(error)
            if not settings.compile or not kind.__module__.startswith(COMPILER_MODULES):
                raise
            raise TrainingError(
                f"torch.compile failed on this machine ({kind.__name__}); train without compile"
            ) from error


class Trainer(Learner):
    """The codec's networks and their entropy bottleneck.

    Attributes:
        positions: where streamed data stood in each process at the last save: (crops, whole
            pictures).
        priorities: by which cuts are drawn, uint8 (C, 64); None: by falling σ-index.
    """

    settings: TrainSettings
    columns = MEASURED
    shown = ("loss", "total", "psnr_fine")

    def __init__(self, settings: TrainSettings, device: torch.device, world: int = 1) -> None:
        """Raises TrainingError: the state or checkpoint cannot be read, or does not fit, or the
        ``train`` extra is missing.
        """
        try:
            with warnings.catch_warnings():  # of what it makes of torch, a user can change nothing
                warnings.simplefilter("ignore", FutureWarning)
                from compressai.entropy_models import EntropyBottleneck  # 5 s to import: only here
        except ImportError as error:
            raise TrainingError(
                f"training needs an extra: pip install 'progcodec[train]' ({error})"
            ) from None

        super().__init__(settings, device, world)
        torch.manual_seed(settings.seed)
        path = settings.resume or settings.init
        saved = load_state(path)
        past = saved or {}
        self.config = saved["config"] if saved else settings.config
        self.model = self.clipped = placed(Model(self.config), device)
        self.bottleneck = EntropyBottleneck(self.config.hyper_channels, init_scale=5).to(device)
        self.weights = nn.ModuleDict({"model": self.model, "bottleneck": self.bottleneck})
        if settings.synthesis_only:
            self.weights.requires_grad_(False)
            self.model.synthesis.requires_grad_(True)
        self.optimizers = build_optimizers(
            self.model, self.bottleneck, settings.lr, settings.in_bfloat16(device.type)
        )
        self.positions: list[tuple[Position | None, Position | None]] = []
        # Cuts are drawn in the order that the model which training started from had.
        self.priorities: Tensor | None = past.get("priorities")
        self.fresh = saved is None
        self.untrained_densities = "medians" in past
        if self.untrained_densities:
            if settings.resume:
                raise TrainingError(
                    f"{path}: a checkpoint holds weights, no training state; use init"
                )
            past["average"] |= fresh_bottleneck(self.bottleneck, past["medians"])
        self.description = settings.description or past.get("description", "")
        self.recipe: list[str] = list(past.get("recipe", []))
        self.goal = settings.objective()
        # Before there was a class term, a state held the preset's name alone.
        self.saved_goal: str | None = past.get("objective") or past.get("preset")
        self.restore(saved, path)

    def _go_on(self, saved: dict[str, Any]) -> None:
        super()._go_on(saved)
        if self.settings.finish:
            self.recipe = self.recipe[:-1]  # its last entry is of the run that goes on
        pairs = saved.get("positions", [])
        self.positions = [
            (crops and Position(*crops), whole and Position(*whole)) for crops, whole in pairs
        ]

    def prepare(self, parallel: Parallel) -> None:
        """Reads the data, fills what is new, and sets up the objective. Raises as :func:`train`."""
        s = self.settings
        self._class_term = _class_term(s, self.device)
        self._feed = Feed(s, parallel, self.positions, quiet(parallel))
        self.about = self._feed.about
        if self.fresh:
            self.start(self._feed.starting_crops(START_CROPS))
        if self.untrained_densities:
            self.fit_densities(self._feed.starting_crops(DENSITY_CROPS))
        if s.compile:
            compile_networks(self.model)
        half = s.in_bfloat16(self.device.type)
        order = None if self.priorities is None else self.priorities.float().to(self.device)
        self.objective = Step(self.model, self.bottleneck, s, self._class_term, half, order)

    def batch(self, number: int, attempt: int, progress: float) -> tuple[Any, ...]:
        """Crops and, where the class term joins, whole pictures with their labels."""
        s = self.settings
        with_classes = self._class_term is not None and progress >= s.class_from
        with_classes = with_classes and self.step % s.class_every == 0
        food = self._feed.take(self.step, number, attempt, with_classes)
        crops, whole = (
            x if x is None else x.to(self.device, non_blocking=True)
            for x in (food.crops, food.whole)
        )
        return crops, whole, food.labels, float(s.class_every)

    def start(self, crops: Tensor) -> None:
        """Fills the transforms of a new model from training crops, uint8 (N, 3, H, W)."""
        STARTS[self.config.family](self.model, crops.float().div(255), self.settings.progressive)
        self.restart_average()

    @torch.no_grad()
    def fit_densities(self, crops: Tensor) -> None:
        """Sets the widths of a bottleneck that came without its densities, on training crops, uint8
        (N, 3, H, W).
        """
        x = crops.to(self.device).float().div(255).contiguous(memory_format=torch.channels_last)
        fit_widths(self.bottleneck, self.model.hyper_analysis(self.model.analysis(x)).float())
        self.restart_average()

    def stage(self) -> str:
        """This run in one line, for the metadata: what an exact repetition would set."""
        s = self.settings
        parts = [f"{self.step - self.first} steps", f"crop {s.crop}", f"batch {s.batch}"]
        parts += [f"{s.accumulate} passes a step"] if s.accumulate > 1 else []
        parts += [f"{self.world} processes"] if self.world > 1 else []
        parts += [
            f"lr {s.lr:g} (warm-up {s.warmup}, decay from {s.decay_from:g})",
            f"seed {s.seed}",
            self.goal,
        ]
        parts += [f"{s.drawn:g} of the crops drawn"] if s.drawn else []
        parts += [f"{s.tiny:g} of the passes tiny"] if s.tiny else []
        if s.teachers:
            parts.append(
                f"{s.class_batch} whole pictures of {s.class_side} px every {s.class_every} steps"
            )
        return ", ".join(parts)

    def before_save(self, parallel: Parallel) -> None:
        self.positions = parallel.gather(self._feed.positions)

    def extra_state(self) -> dict[str, object]:
        return {
            "config": self.config.to_dict(),
            "positions": [[p and list(p) for p in pair] for pair in self.positions],
            "description": self.description,
            "objective": self.goal,
            "priorities": self.priorities,
            "recipe": [*self.recipe, self.stage()],
        }

    def export(self, minutes: float) -> None:
        """Writes the averaged networks as a checkpoint."""
        settings = self.settings
        live = {k: v.detach().clone() for k, v in self.weights.state_dict().items()}
        self.weights.load_state_dict(self.average)
        stages = [*self.recipe, self.stage()] if self.step > self.first else self.recipe
        metadata = {
            "steps": str(self.step),
            "images": str(self.images_seen),
            "minutes": f"{minutes:.1f}",
            "data": self.description or ", ".join(Path(p).name for p in settings.data),
            "objective": self.goal,
            "recipe": "; then ".join(stages),
            "licence": LICENCE,
        }
        export(self.model, self.bottleneck, metadata).save(settings.out)
        self.weights.load_state_dict(live)


def export_state(state: str, out: str, description: str = "") -> None:
    """Writes the shippable checkpoint of a training state.

    Raises TrainingError if it is not one.
    """
    settings = TrainSettings(
        data=(), out=out, resume=state, steps=1, description=description, device="cpu"
    )
    trainer = Trainer(settings, torch.device("cpu"))
    trainer.goal = trainer.saved_goal or "not recorded"
    trainer.export(trainer.minutes_before)


def _class_term(settings: TrainSettings, device: torch.device) -> ClassTerm | None:
    if not settings.teachers:
        return None
    teachers = [Teacher.load(teacher, device) for teacher in settings.teachers]
    hierarchy = Hierarchy.load(settings.hierarchy)
    groups = load_groups(settings.groups, hierarchy) if settings.groups else None
    if not settings.grouped:
        groups = np.tile(np.arange(len(hierarchy.classes)), (len(hierarchy.levels), 1))
    return ClassTerm(
        teachers, hierarchy, settings.weights(), settings.soft, settings.smoothing, groups
    )
