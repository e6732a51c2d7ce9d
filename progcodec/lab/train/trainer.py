"""The trainer: networks, optimisers, averages, and the state file that holds them all."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from progcodec.errors import TrainingError
from progcodec.files import whole_file
from progcodec.lab.train.export import export
from progcodec.lab.train.initialise import initialise
from progcodec.lab.train.initialise_tic import initialise_tic
from progcodec.lab.train.optimizer import build_optimizers
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.state import fit_widths, fitting, fresh_bottleneck, load_state
from progcodec.lab.train.stream import Position
from progcodec.network.device import placed
from progcodec.network.model import Model

STARTS = {"lite": initialise, "tic": initialise_tic}
"""What fills the transforms of a new model of each family."""
LICENCE = (
    "Weights trained on the images named under 'data'. Where these derive from ImageNet, its terms hold for the weights: "
    "non-commercial research."
)


class Trainer:
    """Networks, optimisers, averages: everything that a state file holds.

    Attributes:
        step, images_seen, minutes_before: what was done before, in all.
        first, first_minutes: where the schedule of this run begins.
        positions: where streamed data stood in each process at the last save: (crops, whole pictures).
    """

    def __init__(self, settings: TrainSettings, device: torch.device, world: int = 1) -> None:
        """Raises TrainingError: the state or checkpoint cannot be read, or does not fit, or the ``train`` extra is missing."""
        try:
            from compressai.entropy_models import EntropyBottleneck  # 5 s to import: only here
        except ImportError as error:
            raise TrainingError(
                f"training needs an extra: pip install 'progcodec[train]' ({error})"
            ) from None

        self.settings, self.device, self.world = settings, device, world
        torch.manual_seed(settings.seed)
        path = settings.resume or settings.init
        saved = load_state(path)
        self.config = saved["config"] if saved else settings.config
        self.model = placed(Model(self.config), device)
        self.bottleneck = EntropyBottleneck(self.config.hyper_channels, init_scale=5).to(device)
        self.both = nn.ModuleDict({"model": self.model, "bottleneck": self.bottleneck})
        if settings.synthesis_only:
            self.both.requires_grad_(False)
            self.model.synthesis.requires_grad_(True)
        self.optimizers = build_optimizers(
            self.model, self.bottleneck, settings.lr, settings.in_bfloat16(device.type)
        )
        self.step, self.images_seen, self.minutes_before = 0, 0, 0.0
        self.first, self.first_minutes = 0, 0.0
        self.positions: list[tuple[Position | None, Position | None]] = []
        self.fresh = saved is None
        if saved and "medians" in saved:
            if settings.resume:
                raise TrainingError(
                    f"{path}: a checkpoint holds weights, no training state; use init"
                )
            saved["average"] |= fresh_bottleneck(self.bottleneck, saved["medians"])
        self.untrained_densities = saved is not None and "medians" in saved
        self.description = settings.description or (saved or {}).get("description", "")
        self.recipe: list[str] = list((saved or {}).get("recipe", []))
        self.objective = settings.objective()
        # Before there was a class term, a state held the preset's name alone.
        self.saved_objective: str | None = (saved or {}).get("objective") or (saved or {}).get(
            "preset"
        )
        with fitting(path):
            if saved:
                self.both.load_state_dict(saved["weights" if settings.resume else "average"])
            self._restart_average()
            if saved and settings.resume:
                self._go_on(saved)

    def _go_on(self, saved: dict[str, Any]) -> None:
        self.step, self.images_seen, self.minutes_before = (
            saved["step"],
            saved["images"],
            saved["minutes"],
        )
        self.first, self.first_minutes = self.step, self.minutes_before
        if self.settings.finish:
            self.first, self.first_minutes = saved["first"], saved["first_minutes"]
            self.recipe = self.recipe[:-1]  # its last entry is of the run that goes on
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.average: dict[str, Tensor] = {
            k: saved["average"][k].to(self.device) for k in self.average
        }
        pairs = saved.get("positions", [])
        self.positions = [
            (crops and Position(*crops), whole and Position(*whole)) for crops, whole in pairs
        ]

    def _restart_average(self) -> None:
        self.average = {k: v.detach().clone() for k, v in self.both.state_dict().items()}

    def start(self, crops: Tensor) -> None:
        """Fills the transforms of a new model from training crops, uint8 (N, 3, H, W)."""
        STARTS[self.config.family](self.model, crops.float().div(255), self.settings.progressive)
        self._restart_average()

    @torch.no_grad()
    def fit_densities(self, crops: Tensor) -> None:
        """Sets the widths of a bottleneck that came without its densities, on training crops, uint8 (N, 3, H, W)."""
        x = crops.to(self.device).float().div(255).contiguous(memory_format=torch.channels_last)
        fit_widths(self.bottleneck, self.model.hyper_analysis(self.model.analysis(x)).float())
        self._restart_average()

    def stage(self) -> str:
        """This run in one line, for the metadata: what an exact repetition would set."""
        s = self.settings
        parts = [f"{self.step - self.first} steps", f"crop {s.crop}", f"batch {s.batch}"]
        parts += [f"{s.accumulate} passes a step"] if s.accumulate > 1 else []
        parts += [f"{self.world} processes"] if self.world > 1 else []
        parts += [
            f"lr {s.lr:g} (warm-up {s.warmup}, decay from {s.decay_from:g})",
            f"seed {s.seed}",
            self.objective,
        ]
        if s.teacher:
            parts.append(
                f"{s.class_batch} whole pictures of {s.class_side} px every {s.class_every} steps"
            )
        return ", ".join(parts)

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
            "first": self.first,
            "images": self.images_seen,
            "minutes": minutes,
            "first_minutes": self.first_minutes,
            "positions": [[p and list(p) for p in pair] for pair in self.positions],
            "description": self.description,
            "objective": self.objective,
            "recipe": [*self.recipe, self.stage()],
        }
        with whole_file(path) as file:
            torch.save(state, file)
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
            "objective": self.objective,
            "recipe": "; then ".join(
                [*self.recipe, *([self.stage()] if self.step > self.first else [])]
            ),
            "licence": LICENCE,
        }
        export(self.model, self.bottleneck, metadata).save(settings.out)
        self.both.load_state_dict(live)


def export_state(state: str, out: str, description: str = "") -> None:
    """Writes the shippable checkpoint of a training state. Raises TrainingError if it is not one."""
    settings = TrainSettings(
        data=(), out=out, resume=state, steps=1, description=description, device="cpu"
    )
    trainer = Trainer(settings, torch.device("cpu"))
    trainer.objective = trainer.saved_objective or "not recorded"
    trainer.export(trainer.minutes_before)
