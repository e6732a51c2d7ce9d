"""Class probabilities of many streams, each at several sizes, and of pictures, as stages of a flow."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from progcodec.arrays import Floats
from progcodec.bitstream.container import parse_header, starts_stream
from progcodec.classification.batches import Models, classify_files
from progcodec.cut import Cut
from progcodec.errors import ProgcodecError
from progcodec.fleet.flow import Loaded, Threads
from progcodec.fleet.operation import computing_with

if TYPE_CHECKING:
    from progcodec.classification.classifier import Classifier
    from progcodec.codec.codec import Codec


class Prefix(NamedTuple):
    """A stream cut at a budget (None: all of it), or a picture; the error is of a budget too small."""

    budget: int | None
    data: bytes
    error: ProgcodecError | None = None


class Classified(NamedTuple):
    """What became of a prefix: (classes,) float64 probabilities, or what went wrong."""

    budget: int | None
    bytes: int
    outcome: Floats | Exception


class Classify:
    """Stages whose jobs are names of files; a result is a list of :class:`Classified`.

    There is one for each budget of a stream; a picture has but one, as it is.
    """

    def __init__(
        self,
        read: Callable[[str], bytes],
        budgets: Sequence[int | None],
        models: Models,
        batch: int,
        max_pixels: int,
    ) -> None:
        """`read` gives the bytes of a file; `models` finds codec and classifier, and is called by one thread at a time."""
        self._read, self._budgets, self._models, self._batch, self._max_pixels = (
            read,
            budgets,
            models,
            batch,
            max_pixels,
        )
        self._loading = threading.Lock()

    def load(self, job: str) -> Loaded:
        return self.loaded(self._read(job))

    def loaded(self, data: bytes) -> Loaded:
        """A stream cut at each budget, or a picture as it is."""
        if not starts_stream(data):
            return Loaded((), len(data), [Prefix(None, data)])
        header = parse_header(data, max_pixels=None)  # one over the limit is told of at each budget
        prefixes = [_cut(data, budget) for budget in self._budgets]
        pixels = header.width * header.height
        return Loaded((header.fingerprint, header.width, header.height), pixels, prefixes)

    def run(self, contents: Sequence[list[Prefix]], threads: Threads) -> list[list[Classified]]:
        files = [
            prefix.data for prefixes in contents for prefix in prefixes if prefix.error is None
        ]
        with computing_with(threads):
            found = iter(classify_files(files, self._find, self._batch, self._max_pixels))
        return [
            [
                Classified(budget, len(data), error if error is not None else next(found))
                for budget, data, error in prefixes
            ]
            for prefixes in contents
        ]

    def finish(self, job: str, made: list[Classified]) -> list[Classified]:
        return made

    def _find(self, data: bytes) -> "tuple[Codec | None, Classifier]":
        with self._loading:
            return self._models(data)


def _cut(data: bytes, budget: int | None) -> Prefix:
    try:
        return Prefix(budget, Cut(max_bytes=budget).apply(data))
    except ProgcodecError as error:
        return Prefix(budget, b"", error)
