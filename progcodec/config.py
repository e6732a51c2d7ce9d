"""Constants of the format and the dataclass of a model. Imports nothing of ours."""

from dataclasses import dataclass, fields
from itertools import accumulate

# --- symbols and tables (DESIGN: "range coding"); a change of any of them is a change of the format
Q_MAX = 127
"""Largest magnitude of a coded integer; the encoder clamps, there are no escapes."""
ALPHABET = 2 * Q_MAX + 1
TABLE_BITS = 24
"""Every frequency table sums to ``2 ** TABLE_BITS``."""
SCALE_COUNT = 64
SCALE_MIN = 0.11
SCALE_MAX = 64.0
"""The σ of index i is ``SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (i / (SCALE_COUNT - 1))``."""
QUALITY_MAX = 7
"""A stream's quality lies in -7..7; 0 is the training's quantisation step, more is finer."""
QUALITY_INDEXES = 2
"""σ-indexes in one unit of quality; ``network/quality.py`` says what follows from it."""

DEFAULT_PIXEL_LIMIT = 120_000_000
LEVELS = ("coarse", "intermediate", "fine")
HYPER_PHASES = 3
HYPER_BINS = 3
HYPER_CONTEXTS = 1 + HYPER_BINS + 2 * HYPER_BINS
"""Tables of a channel of ẑ that is coded with a context (``bitstream/hyper.py``)."""
LATENT_STRIDE = 16
"""Pixels per latent position, on each axis."""
HYPER_STRIDE = 4
"""Latent positions per hyperlatent position, on each axis."""
CHANNELS_MAX = 4096
"""Bound on every size in a model's config, and on all latent channels together."""
SWIN_STAGES = 3
"""Resolutions at which a tic transform has Swin blocks: 1/2, 1/4 and 1/8."""
SWIN_WINDOW_MAX = 32
"""Bound on the window, as an attention's work grows with the fourth power of it."""

FAMILIES: dict[str, dict[str, int]] = {"lite": {}, "tic": {"width": 128}}
"""Transform families, and a family's defaults where they differ from the fields' own."""
LEFT_OUT = (
    "swin_depths", "swin_heads", "swin_window", "delta", "steps", "hyper_linear", "hyper_groups",
    "priorities",
)  # fmt: skip
"""Later fields: not stored at their default, which can therefore never change."""


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a model. Stored in its checkpoint; part of its fingerprint.

    Attributes:
        family: transform family, ``"lite"`` or ``"tic"``.
        width: channels at 1/8 resolution; tic: at 1/2, 1/4 and 1/8.
        depth: blocks at 1/8 resolution, on each side (lite).
        inner_width: channels of the blocks at 1/16 resolution (lite).
        inner_depth: blocks at 1/16 resolution, on each side (lite).
        blocks: latent channels of each block, in coding order.
        steps: blocks of the coarse, intermediate and fine level: the refinement steps of each.
        hyper_linear: first channels of ẑ to which h_a adds a linear branch, and the mean path one
            back: the lowest frequencies of the first block, the picture's first refinement.
        hyper_channels: channels of the hyperlatent ẑ.
        hyper_groups: of the channels of ẑ in coding order, how many are coded together, position
            after position, each told from those around it; none: ẑ is coded without such a context.
        mean_width: channels of the float mean path.
        scale_width: channels of the integer scale path.
        swin_depths, swin_heads: Swin blocks, and heads of each, at 1/2, 1/4 and 1/8 resolution, on
            each side (tic).
        swin_window: positions a side of an attention window, even (tic).
        delta: whether Δ-networks correct σ and μ of a block by what the blocks before it hold.
            Without them, μ still has the context that all blocks share, and the linear prediction
            of channels that refine earlier ones.
        priorities: whether a table says for each channel which σ-index is coded when; else symbols
            of a block come by falling σ-index, whatever their channel.
    """

    family: str = "lite"
    width: int = 160
    depth: int = 3
    inner_width: int = 320
    inner_depth: int = 2
    blocks: tuple[int, ...] = (32, 128, 160)
    hyper_channels: int = 96
    mean_width: int = 128
    scale_width: int = 96
    swin_depths: tuple[int, ...] = (1, 2, 3)
    swin_heads: tuple[int, ...] = (4, 8, 16)
    swin_window: int = 8
    delta: bool = True
    steps: tuple[int, ...] = (1, 1, 1)
    hyper_linear: int = 0
    hyper_groups: tuple[int, ...] = ()
    priorities: bool = False

    def __post_init__(self) -> None:
        lists = ("blocks", "steps", "swin_depths", "swin_heads", "hyper_groups")
        for name in lists:
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.family not in FAMILIES:
            raise ValueError(
                f"unknown transform family {self.family!r}; there are: {', '.join(FAMILIES)}"
            )
        if len(self.steps) != len(LEVELS):
            raise ValueError(f"steps must be {len(LEVELS)} counts of blocks, not {self.steps}")
        others = ("family", "delta", "hyper_linear", "priorities")
        for name in [field.name for field in fields(self) if field.name not in others]:
            given = getattr(self, name)
            for value in given if name in lists else (given,):
                # a file may say anything: 16.5, or true
                if type(value) is not int or not 1 <= value <= CHANNELS_MAX:
                    most = CHANNELS_MAX
                    raise ValueError(f"{name} must be an integer in 1..{most}, not {value!r}")
        if sum(self.steps) != len(self.blocks):
            raise ValueError(f"steps {self.steps} must count the blocks {self.blocks}")
        if type(self.hyper_linear) is not int or not 0 <= self.hyper_linear <= self.hyper_channels:
            most, given = self.hyper_channels, self.hyper_linear
            raise ValueError(f"hyper_linear must be an integer in 0..{most}, not {given!r}")
        if self.hyper_groups and sum(self.hyper_groups) != self.hyper_channels:
            raise ValueError(
                f"hyper_groups {self.hyper_groups} must count the {self.hyper_channels} channels"
            )
        for name in ("delta", "priorities"):
            if type(given := getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, not {given!r}")
        if self.latent_channels > CHANNELS_MAX:
            raise ValueError(f"{self.latent_channels} latent channels are more than {CHANNELS_MAX}")
        if not len(self.swin_depths) == len(self.swin_heads) == SWIN_STAGES:
            raise ValueError(f"swin_depths and swin_heads must be {SWIN_STAGES} numbers each")
        if self.swin_window % 2 or self.swin_window > SWIN_WINDOW_MAX:
            raise ValueError(
                f"swin_window must be even and at most {SWIN_WINDOW_MAX}, not {self.swin_window}"
            )
        if self.family == "tic" and any(self.width % heads for heads in self.swin_heads):
            raise ValueError(
                f"swin_heads must divide the width of {self.width}, not {self.swin_heads}"
            )

    @property
    def latent_channels(self) -> int:
        return sum(self.blocks)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First channel of each block, and the channel count: ``(0, 16, 48, 176, 336)``."""
        return tuple(accumulate(self.blocks, initial=0))

    @property
    def level_offsets(self) -> tuple[int, ...]:
        """First channel of each level, and the channel count at the end: ``(0, 48, 176, 336)``."""
        return tuple(self.offsets[end] for end in accumulate(self.steps, initial=0))

    def to_dict(self) -> dict[str, object]:
        """What is stored and fingerprinted: every field, but those of LEFT_OUT at their default."""
        kept: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in LEFT_OUT or value != field.default:
                kept[field.name] = list(value) if isinstance(value, tuple) else value
        return kept

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> "ModelConfig":
        """Inverse of :meth:`to_dict`. Raises ValueError on unknown names or values out of range."""
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(
                f"unknown settings in the model's config: {', '.join(sorted(unknown))}"
            )
        return cls(**data)  # type: ignore[arg-type]
