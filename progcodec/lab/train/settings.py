"""Frozen dataclasses with everything that a training run depends on."""

from dataclasses import dataclass, replace

from progcodec.config import ModelConfig
from progcodec.lab.train.dataset import CROP
from progcodec.lab.train.differentiable import Prefixes
from progcodec.lab.train.loss import PRESETS, LossWeights


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the loop needs to know of a run, whatever it trains.

    A step takes ``batch * accumulate`` pictures a process.

    Attributes:
        data: shards (.tar, .tar.gz), folders or images; globs allowed.
        out: the file of weights that is written at every save and at the end.
        state: full training state; default: ``out`` with the suffix ``.state.pt``.
        resume: state file to go on from.
        finish: with ``resume``: finish the interrupted run, whose start ``minutes`` and ``steps``
            count from. With the settings, data and processes of that run, the steps are those that
            it would have made.
        minutes, steps: the run ends at whichever comes first; the learning rate follows the larger
            share of the two.
        batch: pictures of one pass. accumulate: passes whose gradients make a step.
        lr: peak learning rate. warmup: steps over which it rises. decay_from: share of the run
            after which it falls linearly to 0.
        clip: the gradient's largest norm. ema: decay of the averaged weights, which are those that
            are kept.
        bfloat16: compute in bfloat16 what bears it. None: on CUDA only, as processors without
            bfloat16 arithmetic emulate it slowly.
        save_minutes, log_steps: how often the state is saved and a line is logged.
    """

    data: tuple[str, ...]
    out: str
    state: str | None = None
    resume: str | None = None
    finish: bool = False
    minutes: float | None = None
    steps: int | None = None
    device: str = "auto"
    batch: int = 8
    accumulate: int = 1
    lr: float = 1e-3
    warmup: int = 100
    decay_from: float = 0.6
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    bfloat16: bool | None = None
    save_minutes: float = 5.0
    log_steps: int = 50

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise ValueError("say when to stop: minutes or steps")
        if self.finish and not self.resume:
            raise ValueError("only a run that is resumed can be finished")
        for name in ("batch", "accumulate", "log_steps", "warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0 <= self.decay_from <= 1:
            raise ValueError("decay_from must lie in 0..1")
        if self.seed < 0:
            raise ValueError("the seed must be at least 0")

    def progress(self, minutes: float, steps: int) -> float:
        """The share of the run that is done after so many minutes and steps of it."""
        shares = [minutes / self.minutes] if self.minutes else []
        return max(shares + ([steps / self.steps] if self.steps else []))

    def in_bfloat16(self, device: str) -> bool:
        """Whether networks on a device of this type ("cpu", "cuda") compute in bfloat16."""
        return device == "cuda" if self.bfloat16 is None else self.bfloat16


@dataclass(frozen=True, kw_only=True)
class TrainSettings(RunSettings):
    """Everything that the training of a codec depends on.

    Attributes:
        resume: the model config of that state wins over ``config``.
        init: state file of which only the (averaged) weights are taken, or a checkpoint
            (.safetensors).
        crop: pixels a side of the ``batch`` crops of one pass.
        drawn: share of the crops that are no photographs but drawn: text, icons, dithers, noise…
        tiny: share of the passes whose crops are 16, 32 or 48 pixels a side.
        compile: let torch.compile fuse the float networks.
        workers: processes that cut crops ahead, or threads that read a stream ahead; None: as many
            as the machine has cores, up to 8, on CUDA, else none.
        memory_gb: pictures beyond so many gigabytes, in each process, are not kept in memory but
            streamed in every epoch.
        buffer: pictures that a stream is shuffled among.
        limit: pictures that are read at most; they are kept in memory.
        preset: weights of the objective by name; distortion, gamma, cut, relief, cut_rate, second
            and side, where given, take the place of the preset's. cut_range: random cuts lie
            between so many bits per pixel, two numbers.
        teachers: classifiers of the class term, ``timm:NAME?OPTION=VALUE@FILE`` each; none: no
            class term. A pass asks one of them, at random, so that no one network's weakness is
            learned.
        hierarchy: class hierarchy, a JSON file; None: the shipped one.
        groups: .npy file of group numbers, integers (levels, classes), that take the place of the
            hierarchy's in the class term; they need not nest. grouped: False: each class is its own
            group at every level, which tells a prefix more about the teacher's answer than ten
            groups do.
        progressive: False: rate and distortion of the fine level alone, as an ordinary codec is
            trained; no class term.
        synthesis_only: g_s alone learns. The streams that the codec writes, and heads on its
            latents, stay as they are, but for the model that they name, if ``init`` is a state file
            (a checkpoint lacks the bottleneck's densities).
        zero_missing, raster: see ``differentiable.Prefixes``; a decoder must do the same.
        class_from: share of the run after which the class term joins.
        class_batch, class_side: whole pictures of one pass, and their pixels a side.
        class_every: the class term joins every so many steps, as many times as heavy.
        class_push: the class term's gradient at a decoded picture is at most so many times as long
            as the distortion's; None: as long as it is. At 3, both were about equally long at the
            weights of a trained model.
        soft: weight of the teacher's own prediction on the clean picture beside the label (1 −
            soft); a picture without a label has the prediction alone. smoothing: label smoothing.
        description: what the data are and their licence, for the checkpoint's metadata.
    """

    init: str | None = None
    crop: int = CROP
    drawn: float = 0.0
    tiny: float = 0.0
    compile: bool = False
    workers: int | None = None
    memory_gb: float = 16.0
    buffer: int = 4000
    limit: int | None = None
    preset: str = "shipped"
    distortion: tuple[float, float, float] | None = None
    gamma: tuple[float, float, float] | None = None
    cut: float | None = None
    relief: float | None = None
    cut_rate: bool | None = None
    second: tuple[float, float, float] | None = None
    side: float | None = None
    cut_range: tuple[float, float] | None = None
    teachers: tuple[str, ...] = ()
    hierarchy: str | None = None
    groups: str | None = None
    grouped: bool = True
    synthesis_only: bool = False
    progressive: bool = True
    zero_missing: bool = False
    raster: bool = False
    class_from: float = 0.66
    class_batch: int = 4
    class_side: int = 224
    class_every: int = 1
    class_push: float | None = 3.0
    soft: float = 0.7
    smoothing: float = 0.1
    config: ModelConfig = ModelConfig()
    description: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("crop", "class_side"):
            if getattr(self, name) % 16 or getattr(self, name) < 16:
                raise ValueError(f"the {name.replace('_', ' ')} must be a multiple of 16")
        for name in ("class_batch", "class_every", "buffer"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("drawn", "tiny", "class_from", "soft", "smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1")
        if self.class_push is not None and not self.class_push > 0:
            raise ValueError("class_push must be above 0")
        if self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r}; there are: {', '.join(PRESETS)}")
        if self.teachers and not self.progressive:
            raise ValueError("an ordinary codec is trained without a class term")
        if self.groups and not self.grouped:
            raise ValueError("groups of a file and no groups cannot both be had")
        if self.synthesis_only and not (self.init or self.finish):
            raise ValueError("synthesis_only needs a codec to start from: init")
        if self.cut_range is not None:
            if len(self.cut_range) != 2 or not 0 < self.cut_range[0] < self.cut_range[1]:
                raise ValueError("cut_range must be two rates, the lower one first")
            object.__setattr__(self, "cut_range", tuple(self.cut_range))
        self.weights()  # raises ValueError

    def weights(self) -> LossWeights:
        """The preset's, with what was given in its place."""
        given = {
            name: getattr(self, name)
            for name in ("distortion", "gamma", "cut", "relief", "cut_rate", "second", "side")
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return replace(PRESETS[self.preset], **chosen, progressive=self.progressive)

    def prefixes(self) -> Prefixes:
        return Prefixes(self.zero_missing, self.raster, self.cut_range)

    def objective(self) -> str:
        """The objective in one line, for the metadata."""
        text = f"{self.preset}: {self.weights()}"
        text += "" if self.progressive else ", fine level alone"
        text += ", zero where nothing arrived" if self.zero_missing else ""
        text += ", raster order" if self.raster else ""
        text += ", cuts from {:g} to {:g} bpp".format(*self.cut_range) if self.cut_range else ""
        text += ", g_s alone" if self.synthesis_only else ""
        if not self.teachers:
            return f"{text}, no class term"
        name = " and ".join(teacher.partition("@")[0] for teacher in self.teachers)
        capped = "uncapped" if self.class_push is None else f"push up to {self.class_push:g}"
        text += ", groups of a file" if self.groups else "" if self.grouped else ", ungrouped"
        text = (
            f"{text}, class term of {name}, {capped}, soft {self.soft:g}, smoothing "
            f"{self.smoothing:g}"
        )
        return f"{text}, from {self.class_from:g}"
