"""Trains the built-in classifier: a network of pictures that learns to read prefixes, then
calibrated and judged.

stream of a view ─ cut ─ decoded ─┐ the same part of both ┌─► student ─► answer, features ─┐
the view, clean ──────────────────┘                       └─► teacher ─► answer, features ─┴─► loss
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from progcodec.assets import DEFAULT
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier_file import ClassifierFile
from progcodec.codec.codec import Codec
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.coded_views import code_views, read_sources
from progcodec.lab.train.distillation import NO_LABEL, Distillation
from progcodec.lab.train.learner import Learner
from progcodec.lab.train.loop import quiet, run
from progcodec.lab.train.parallel import Parallel
from progcodec.lab.train.prefixes import OwnPrefixes, PeerFiles, Prefixes
from progcodec.lab.train.settings import RunSettings
from progcodec.lab.train.start import load_start
from progcodec.lab.train.state import read_state
from progcodec.lab.train.validation import Measured, judge_file
from progcodec.network.device import placed

LICENCE = (
    "The weights that this started from: Apache License 2.0. Trained on ImageNet-1K there and on "
    "the images named under 'data' here; where these derive from ImageNet, its terms hold for "
    "the weights: non-commercial research."
)
PART_AREA = (0.35, 1.0)
"""Share of a view's area that a step looks at."""
SHARE_FLOOR = 1e-3
"""Smallest learning rate of a tensor, relative to the schedule's: else it is the root mean square
of its values."""


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(RunSettings):
    """Everything that the training of a classifier depends on.

    Attributes:
        data: training pictures; the folder of a picture names its class, if it has one. out: the
            classifier's file.
        val: held-out pictures with labels: half of them calibrate, the other half judge. None, or
            with a ``peer``: its probabilities stay as they come.
        start: a classifier's file (.safetensors), ``timm:NAME`` or ``timm:NAME@FILE``, or a state
            dict of EfficientNet-Lite0 from any library; None: the classifier that comes with the
            package. It must see pictures well.
        teacher: what is learnt from, if not what is started from: named as ``start``, and the same
            network.
        model: name or file of the codec whose prefixes are read. peer: another codec, whose files
            are read instead ("webp"): a judge of its own for comparisons.
        cache: file that keeps the coded views; default: ``out`` with the suffix ``.views.npz``.
        views: about so many squares of the pictures are coded. least: pixels of a picture's short
            side.
        shortest: bytes of the shortest prefix; lengths are log-uniform from there to everything.
        side: pixels a side of the network's input in training.
        label_share, feature_weight: see :class:`Distillation`.
        kept: share of the teacher's weights in those that are kept. What the network forgets of
            classes that the training pictures lack comes back, what it has learned of prefixes
            stays (M. Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
        val_limit: the most held-out pictures of each shard.
    """

    val: tuple[str, ...] = ()
    start: str | None = None
    teacher: str | None = None
    model: str = DEFAULT
    peer: str | None = None
    cache: str | None = None
    views: int = 12_000
    least: int = 128
    shortest: int = 100
    side: int = 224
    label_share: float = 0.1
    feature_weight: float = 1.0
    kept: float = 0.3
    val_limit: int = 1000
    batch: int = 32
    lr: float = 2e-3
    warmup: int = 30
    decay_from: float = 0.3
    clip: float = 20.0
    ema: float = 0.995

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("views", "least", "shortest", "side", "val_limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0 <= self.kept < 1:
            raise ValueError("kept must lie in 0..1, below 1")


def train_classifier(settings: ClassifierSettings) -> list[Measured]:
    """Trains until the minutes or steps are spent, calibrates, and returns how good the classifier
    is on the judging half.

    Raises:
        TrainingError: no usable pictures, a state that does not fit, a loss that is not finite.
            ClassifierError: nothing to start from. CheckpointError: no such codec.
    """
    with Parallel(settings.device) as parallel:
        codec = None if settings.peer else Codec.load(settings.model, parallel.device)
        hierarchy = Hierarchy.load()
        half = settings.in_bfloat16(parallel.device.type)
        coder = OwnPrefixes(codec, half) if codec else PeerFiles(str(settings.peer), settings.seed)
        run(ClassifierLearner(settings, parallel, coder, hierarchy), parallel)
        if not (parallel.leads and settings.val and codec):
            return []
        return judge_file(settings.out, settings.val, codec, hierarchy, settings.val_limit)


class ClassifierLearner(Learner):
    """A network that learns to read what one codec leaves of pictures."""

    settings: ClassifierSettings
    columns = ("loss", "answer", "features", "agreement")
    shown = columns

    def __init__(
        self,
        settings: ClassifierSettings,
        parallel: Parallel,
        coder: Prefixes,
        hierarchy: Hierarchy,
    ) -> None:
        super().__init__(settings, parallel.device, parallel.world)
        self._coder, self._hierarchy, self._rank = coder, hierarchy, parallel.rank
        s, still = settings, quiet(parallel)
        self._start = load_start(s.start)
        sources = read_sources(s.data, hierarchy, s.least, still)
        cache = s.cache or f"{s.out}.views.npz"
        self._views = code_views(sources, coder, s.views, s.seed, cache, still)
        self.about = f"{len(self._views)} views of {len(sources)} pictures"
        network = placed(self._start.network, self.device)
        half = s.in_bfloat16(self.device.type)
        teacher = placed(load_start(s.teacher).network, self.device) if s.teacher else None
        self.objective = distillation = Distillation(
            network, teacher, s.label_share, s.feature_weight, s.accumulate, half
        )
        self._teacher = distillation.teacher
        self.weights = self.clipped = network
        self.optimizers = [_optimizer(network, s.lr)]
        self.restore(read_state(s.resume) if s.resume else None, s.resume)

    def batch(self, number: int, attempt: int, progress: float) -> tuple[Any, ...]:
        """Decoded prefixes of random lengths, the same parts of the clean pictures, and their
        labels.
        """
        s = self.settings
        place = self._rank * s.accumulate + number
        rng = np.random.default_rng([s.seed, self.step, place, attempt])
        chosen = self._views.draw(s.batch, rng)
        files = [self._coder.cut(self._views.streams[n], s.shortest, rng) for n in chosen]
        prefixes = self._coder.decoded(files, self._views.views[chosen[0]].side)
        parts = [_Part.draw(rng) for _ in chosen]
        clean = [self._views.clean(n) for n in chosen]
        known = [self._views.label(n) for n in chosen]
        labels = torch.tensor([NO_LABEL if label is None else label for label in known])
        return self._input(prefixes, parts), self._input(clean, parts), labels.to(self.device)

    def export(self, minutes: float) -> None:
        """Writes the averaged network, mixed with the teacher, not calibrated."""
        s = self.settings
        taught = self._teacher.state_dict()
        mixed = {
            name: torch.lerp(own, taught[name], s.kept) if own.is_floating_point() else own
            for name, own in self.average.items()
        }
        metadata = {
            "origin": self._start.origin,
            "licence": LICENCE,
            "data": ", ".join(Path(name).name for name in s.data),
            "codec": self._coder.mark,
            "recipe": f"{self.step} steps of {s.batch * s.accumulate * self.world}, lr {s.lr:g}, "
            f"prefixes from {s.shortest} bytes, seed {s.seed}, {s.kept:g} of the teacher's weights",
            "minutes": f"{minutes:.1f}",
        }
        calibration = Calibration.neutral(self._hierarchy.assignments)
        ClassifierFile(self._start.name, mixed, calibration, metadata).save(s.out)

    def _input(self, pictures: list[Image.Image], parts: "list[_Part]") -> Tensor:
        wanted, side = self._start.input, self.settings.side
        shown = [part.of(picture, side) for picture, part in zip(pictures, parts, strict=True)]
        x = torch.from_numpy(np.stack([np.asarray(picture) for picture in shown]))
        x = x.to(self.device).permute(0, 3, 1, 2).float().div(255)  # channels last in memory
        mean, std = (torch.tensor(v).reshape(-1, 1, 1).to(x) for v in (wanted.mean, wanted.std))
        return (x - mean) / std


class _Part(NamedTuple):
    """A square part of a square picture, in shares of its side, perhaps mirrored."""

    left: float
    top: float
    extent: float
    mirrored: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Part":
        extent = rng.uniform(*PART_AREA) ** 0.5
        left, top = rng.uniform(0, 1 - extent, 2)
        return cls(left, top, extent, bool(rng.random() < 0.5))

    def of(self, picture: Image.Image, side: int) -> Image.Image:
        left, top, extent = (picture.width * share for share in self[:3])
        box = left, top, left + extent, top + extent
        shown = picture.resize((side, side), Image.Resampling.BICUBIC, box)
        return shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirrored else shown


def _optimizer(network: nn.Module, lr: float) -> torch.optim.Optimizer:
    """AdamW whose step is a share of each tensor's own size: folded convolutions differ in it a
    hundredfold.
    """
    groups = [
        {"params": [p], "share": max(SHARE_FLOOR, float(p.detach().square().mean().sqrt()))}
        for p in network.parameters()
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
