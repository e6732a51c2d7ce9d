"""Integer frequency tables, as a checkpoint stores them, and what the range coder makes of them."""

from functools import cached_property
from typing import TypeAlias

import constriction
import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.config import ALPHABET, TABLE_BITS
from progcodec.errors import CheckpointError

Categorical: TypeAlias = constriction.stream.model.Categorical
TOTAL = 1 << TABLE_BITS


class Tables:
    """Checked frequency tables with the coder's models of them, built at first use.

    Attributes:
        frequencies: uint32 (T, 255), read-only; column s counts the symbol s - 127.
    """

    def __init__(self, frequencies: Ints) -> None:
        """Raises CheckpointError unless integers (T, 255), each at least 1, rows of sum 2**24."""
        frequencies = np.asarray(frequencies)
        if frequencies.ndim != 2 or frequencies.shape[1] != ALPHABET or len(frequencies) == 0:
            raise CheckpointError(
                f"frequency tables must have shape (T, {ALPHABET}), not {frequencies.shape}"
            )
        if frequencies.dtype.kind not in "iu":
            raise CheckpointError(f"frequency tables must be integers, not {frequencies.dtype}")
        if (frequencies < 1).any() or (frequencies > TOTAL).any():
            raise CheckpointError(f"every frequency must lie in 1..{TOTAL}")
        if (frequencies.sum(axis=1, dtype=np.int64) != TOTAL).any():
            raise CheckpointError(f"every frequency table must sum to {TOTAL}")
        self.frequencies = frequencies.astype(np.uint32)
        self.frequencies.setflags(write=False)
        self._models: list[Categorical | None] = [None] * len(frequencies)

    def __getstate__(self) -> dict[str, object]:
        """Without the coder's models, which cannot be pickled."""
        return {**self.__dict__, "_models": [None] * len(self)}

    def __len__(self) -> int:
        return len(self.frequencies)

    def model(self, index: int) -> Categorical:
        """The coder's model of one table. Its symbols are 0..254, that is q + 127."""
        model = self._models[index]
        if model is None:
            # float64 and perfect=False are part of the format: float32, or the other rounding,
            # gives other words.
            model = Categorical(self.frequencies[index].astype(np.float64) / TOTAL, perfect=False)
            self._models[index] = model
        return model

    @cached_property
    def bits(self) -> Floats:
        """float64 (T, 255): the cost of each symbol in bits, by its count.

        The model grants every symbol one count of its own before it shares out the rest, so that
        symbols at the floor cost up to one bit less than said here, and all others a vanishing
        amount more.
        """
        information: Floats = np.log2(self.frequencies)
        return TABLE_BITS - information
