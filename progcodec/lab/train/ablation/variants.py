"""The ablations: one line each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from progcodec.errors import TrainingError

BASE = "base"
SMALL = {"width": 64, "depth": 1, "inner_width": 320, "inner_depth": 1, "hyper_channels": 48,
         "mean_width": 64, "scale_width": 48}  # fmt: skip
"""A model that a CPU core trains some ten times as fast as the shipped one; its latent channels are
as many."""
CLASS_TERM = {"class_from": 0.0}
"""The class term from the first step on: a short run has no room for a part without it."""


@dataclass(frozen=True)
class Variant:
    """What differs from the base.

    Attributes:
        about: in words, for the table.
        train: settings of the run, as in TrainSettings. config: of the model, as in ModelConfig.
        scheme: how the stream is ordered and decoded, one of ``evaluate.streams.ORDERINGS``.
        teacher: whether the run has the class term. groups: whether that sees independently made
            groups.
        against: the variant that it is compared with.
        trained: False: the weights of the one it is compared with serve, and only the decoder
            differs.
    """

    about: str
    train: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    scheme: str = "sigma"
    teacher: bool = False
    groups: bool = False
    against: str = BASE
    trained: bool = True

    @property
    def from_weights(self) -> bool:
        """Whether given weights of the base's shape and kind can be its start."""
        return not self.config and self.train.get("progressive", True)


def _split(*blocks: int) -> Variant:
    about = f"blocks of {', '.join(map(str, blocks))} channels"
    if blocks == PAPER_BLOCKS:
        about += ", the paper's"
    return Variant(about, config={"blocks": blocks})


PAPER_BLOCKS = 128, 96, 96
SPLITS = PAPER_BLOCKS, (96, 128, 96), (96, 96, 128), (107, 107, 106)
ONE_LEVEL = {"progressive": False}
VARIANTS = MappingProxyType(
    {
        BASE: Variant("as shipped, without class term"),
        "class-term": Variant("class term on", CLASS_TERM, teacher=True),
        "flat-groups": Variant(
            "class term with groups that need not nest", CLASS_TERM, teacher=True, groups=True,
            against="class-term",
        ),
        "no-delta": Variant("no Δ-networks, neither for σ nor for μ", config={"delta": False}),
        **{f"split-{'-'.join(map(str, blocks))}": _split(*blocks) for blocks in SPLITS},
        "zero-masked": Variant(
            "ŷ = 0, not μ, where nothing arrived; trained so", {"zero_missing": True},
            scheme="zero-masking",
        ),
        "zero-masked-decoder": Variant(
            "the same in the decoder alone", scheme="zero-masking", trained=False
        ),
        "raster": Variant(
            "raster order, not falling σ, in each block; trained so", {"raster": True},
            scheme="raster",
        ),
        "raster-coder": Variant("the same in the coder alone", scheme="raster", trained=False),
        "no-cut": Variant("no random cuts in training", {"cut": 0.0}),
        "one-level": Variant("rate and distortion of the fine level alone", ONE_LEVEL),
        "one-level-half": Variant(
            "the same at half the λ", {**ONE_LEVEL, "distortion": (7e-4, 5e-3, 1.5e-2)}
        ),
    }
)  # fmt: skip


def chosen(
    only: Sequence[str], teacher: bool, groups: bool
) -> tuple[dict[str, Variant], dict[str, str]]:
    """The variants to run, with those that they are compared with, in the list's order; and why
    others are left out, by name.

    Args:
        only: names; none: all. teacher, groups: whether these are at hand.
    Raises:
        TrainingError: a name is not on the list, or one that was asked for lacks what it needs.
    """
    if unknown := [name for name in only if name not in VARIANTS]:
        raise TrainingError(f"there is no variant {unknown[0]!r}; there are: {', '.join(VARIANTS)}")
    wanted = set(only or VARIANTS)
    left_out = {}
    for name in [name for name in VARIANTS if name in wanted]:
        variant = VARIANTS[name]
        lacks = "a teacher" if variant.teacher and not teacher else ""
        lacks = lacks or ("embeddings" if variant.groups and not groups else "")
        if lacks and only:
            raise TrainingError(f"the variant {name} needs {lacks}")
        if lacks:
            left_out[name] = f"needs {lacks}"
            wanted.discard(name)
    while missing := {VARIANTS[name].against for name in wanted} - wanted:
        wanted |= missing
    wanted.add(BASE)
    return {name: one for name, one in VARIANTS.items() if name in wanted}, left_out
