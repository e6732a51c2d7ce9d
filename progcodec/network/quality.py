"""What a stream's quality changes: the quantisation step of y, and what has to follow it.

Exact arithmetic only.

One unit of quality is two σ-indexes, so the step shrinks by (64 / 0.11)^(2/63) = 1.224 with each
unit, and

    q = round((y − μ) / step)      ŷ = μ + step·q
    σ-index(quality) = map[σ-index]: + 2·quality but for small σ

which is the index of σ / step, as the σ of the 64 tables are spaced in logarithms. The Δ-networks
were trained at a step of 1, so they are shown ℓ(|q|·step) in place of ℓ(|q|). Nothing else depends
on the quality, the hyperlatent neither.

Small σ are no plain shift: residuals have longer tails than a Gaussian, and where σ is below the
step the tails are all there is to code. A Gaussian of σ / step makes every ±1 there cost some 20
bits. So each index is read as a Laplacian, the one that it codes best at a step of 1, and becomes
the index that codes this Laplacian best at the other step (the tests hold the generator). From some
20 on, that is the shift. Measured (shipped model, 7 photographs, all bits): 7 % fewer bits than by
the shift at quality −4, 2 % at 4, 29 % at −7, 5 % at 7.

The step is a fraction S / 2^16 whose numerator is found by integers alone, S = ⌊2^16·(11 /
6400)^(2·quality/63)⌋: the same on every machine, exact in float32, 2^16 at quality 0. ℓ is then as
exact: ⌊16·log2(1 + n·S/2^16)⌋ is a bit length. S, ℓ and the maps are part of the format.
"""

from functools import cache
from operator import index

from progcodec.config import Q_MAX, QUALITY_INDEXES, QUALITY_MAX, SCALE_COUNT

STEP_BITS = 16
"""Bits after the point of a step."""
SCALE_RATIO = 6400, 11
"""SCALE_MAX / SCALE_MIN, exactly."""
MAGNITUDE_STEPS = 16
"""ℓ counts sixteenths of an octave: the scale path's integers per unit of the real network."""

# fmt: off
HEADS: dict[int, tuple[int, ...]] = {
    -7: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9),
    -6: (0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9),
    -5: (0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8, 9),
    -4: (0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 8, 9, 10),
    -3: (0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10),
    -2: (0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10),
    -1: (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    0: (),
    1: (1, 2, 3, 4, 5, 6, 7, 8, 9),
    2: (2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13),
    3: (3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15),
    4: (5, 6, 7, 8, 9, 10, 12, 13, 15, 16),
    5: (6, 7, 8, 9, 11, 12, 13, 15, 17, 18),
    6: (7, 8, 10, 11, 12, 14, 16, 17, 19, 20),
    7: (8, 10, 11, 13, 14, 16, 18, 19, 21, 22),
}
# fmt: on
"""The new index of index 0, 1, 2… at each quality; what comes after is shifted."""


def check_quality(quality: int) -> int:
    """The quality itself. Raises ValueError unless it is an integer in −7..7."""
    try:
        exact = index(quality)  # numpy's integers too
    except TypeError:
        exact = None
    if exact is None or isinstance(quality, bool) or abs(exact) > QUALITY_MAX:
        raise ValueError(
            f"quality must be an integer from {-QUALITY_MAX} to {QUALITY_MAX}, not {quality!r}"
        )
    return exact


@cache
def step_numerator(quality: int) -> int:
    """S: the step in units of 2^-16, rounded down."""
    exponent = QUALITY_INDEXES * abs(check_quality(quality))
    above, below = (
        number**exponent for number in (SCALE_RATIO if quality < 0 else SCALE_RATIO[::-1])
    )
    roots = SCALE_COUNT - 1
    numerator = 0
    for bit in reversed(range(STEP_BITS + 8)):  # the largest S with (S / 2^16)^63 ≤ above / below
        larger = numerator | 1 << bit
        if larger**roots * below <= above << STEP_BITS * roots:
            numerator = larger
    return numerator


def step_size(quality: int) -> float:
    """The quantisation step, exactly S / 2^16: 4.12 at quality −7, 1 at 0, 0.243 at 7."""
    return step_numerator(quality) / (1 << STEP_BITS)


@cache
def magnitude_table(quality: int) -> tuple[int, ...]:
    """ℓ(n) = ⌊16·log2(1 + n·step)⌋ for n in 0..127, 0..144, by integers alone: with one = 2^16, the
    bit length of (one + n·S)^16, less that of one^16.
    """
    one, step = 1 << STEP_BITS, step_numerator(quality)
    unit = (one**MAGNITUDE_STEPS).bit_length()
    return tuple(
        ((one + n * step) ** MAGNITUDE_STEPS).bit_length() - unit for n in range(Q_MAX + 1)
    )


def shifted(index: int, quality: int) -> int:
    return min(max(index + QUALITY_INDEXES * quality, 0), SCALE_COUNT - 1)


@cache
def index_map(quality: int) -> tuple[int, ...]:
    """The index that each of the 64 becomes; never falling, the identity at quality 0."""
    head = HEADS[quality]
    return (*head, *(shifted(index, quality) for index in range(len(head), SCALE_COUNT)))
