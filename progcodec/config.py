"""Constants of the format and the one dataclass that describes a model. Imports nothing of ours and no torch."""

from dataclasses import asdict, dataclass, fields

# --- symbols and tables (DESIGN: "range coding"); a change of any of them is a change of the format -----------------------
Q_MAX = 127
"""Largest magnitude of a coded integer; the encoder clamps, there are no escapes."""
ALPHABET = 2 * Q_MAX + 1
TABLE_BITS = 24
"""Every frequency table sums to ``2 ** TABLE_BITS``."""
SCALE_COUNT = 64
SCALE_MIN = 0.11
SCALE_MAX = 64.0
"""The σ of index i is ``SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (i / (SCALE_COUNT - 1))``."""

DEFAULT_PIXEL_LIMIT = 40_000_000
LEVELS = ("coarse", "intermediate", "fine")
LATENT_STRIDE = 16
"""Pixels per latent position, on each axis."""
HYPER_STRIDE = 4
"""Latent positions per hyperlatent position, on each axis."""
CHANNELS_MAX = 4096
"""Bound on every size in a model's config, and on all latent channels together."""


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a model. Stored in its checkpoint; part of its fingerprint.

    Attributes:
        family: transform family; ``"lite"`` is the only one so far.
        width: channels at 1/8 resolution.
        depth: blocks at 1/8 resolution, on each side.
        inner_width: channels of the blocks at 1/16 resolution.
        inner_depth: blocks at 1/16 resolution, on each side.
        blocks: latent channels of the coarse, intermediate and fine block.
        hyper_channels: channels of the hyperlatent ẑ.
        mean_width: channels of the float mean path.
        scale_width: channels of the integer scale path.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if self.family != "lite":
            raise ValueError(f"unknown transform family {self.family!r}")
        if len(self.blocks) != len(LEVELS):
            raise ValueError(f"blocks must be {len(LEVELS)} channel counts, not {self.blocks}")
        counts = [(field.name, getattr(self, field.name)) for field in fields(self) if field.type is int]
        for name, value in [*counts, *(("blocks", channels) for channels in self.blocks)]:
            if type(value) is not int or not 1 <= value <= CHANNELS_MAX:  # a file may say anything: 16.5, or true
                raise ValueError(f"{name} must be an integer in 1..{CHANNELS_MAX}, not {value!r}")
        if self.latent_channels > CHANNELS_MAX:
            raise ValueError(f"{self.latent_channels} latent channels are more than {CHANNELS_MAX}")

    @property
    def latent_channels(self) -> int:
        return sum(self.blocks)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First channel of each block, and the channel count at the end: ``(0, 32, 160, 320)``."""
        ends = [0]
        for channels in self.blocks:
            ends.append(ends[-1] + channels)
        return tuple(ends)

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> "ModelConfig":
        """Inverse of :meth:`to_dict`. Raises ValueError on unknown names or values out of range."""
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown settings in the model's config: {', '.join(sorted(unknown))}")
        return cls(**data)  # type: ignore[arg-type]
