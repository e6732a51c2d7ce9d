"""Files to answers, as an operation: ``cat.shc`` becomes ``cat.json``.

A stream is asked at each of several sizes.
"""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from progcodec import assets
from progcodec.bitstream.container import parse, parse_header, starts_stream
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.cut import Cut
from progcodec.errors import ClassifierError, ProgcodecError
from progcodec.files import STREAM_SUFFIX
from progcodec.fleet.flow import Limits, Loaded, Threads
from progcodec.fleet.operation import Product, computing_with, limits_on

if TYPE_CHECKING:
    from progcodec.arrays import Floats
    from progcodec.classification import answer
    from progcodec.classification.classifier import Classifier
    from progcodec.codec.codec import Codec
    from progcodec.hierarchy.hierarchy import Hierarchy

_LOADING = threading.Lock()
"""Two threads that need one model must not both load it."""


class Prefix(NamedTuple):
    """A stream cut at a budget (None: all of it), or a picture; the error is of what cannot be
    read.
    """

    budget: int | None
    data: bytes
    error: ProgcodecError | None = None


class Classified(NamedTuple):
    """What became of a prefix: (classes,) float64 probabilities, or what went wrong."""

    budget: int | None
    bytes: int
    outcome: "Floats | Exception"


@dataclass(frozen=True)
class Answer:
    """Files to JSON: for each budget the bytes used and the path down the hierarchy, and, if asked,
    the top classes.

    A picture has but one answer, as it is.

    Attributes:
        budgets: sizes at which to answer; None is the whole stream.
        hierarchy: None is the shipped one.
        others: as of :func:`progcodec.classify`.
    """

    model: str | None = None
    device: str = "auto"
    classifier: str | None = None
    hierarchy: "Hierarchy | None" = None
    budgets: tuple[int | None, ...] = (None,)
    level: str | None = None
    confidence: float = 0.5
    top: int = 0
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT

    suffix = ".json"
    suffixes = (STREAM_SUFFIX,)

    @cached_property
    def tree(self) -> "Hierarchy":
        from progcodec.hierarchy.hierarchy import Hierarchy

        return Hierarchy.load() if self.hierarchy is None else self.hierarchy

    @cached_property
    def judge(self) -> "Classifier":
        """The classifier, loaded."""
        from progcodec.classification.api import cached_classifier
        from progcodec.classification.classifier import check_fit

        found = cached_classifier(self.classifier, self.device)
        check_fit(found, self.tree)
        return found

    def check(self) -> None:
        from progcodec.classification.classifier import BUILTIN, Specification

        file = Specification.parse(self.classifier or BUILTIN).file
        if file is not None and not os.path.exists(file):
            raise ClassifierError(f"{file}: no such classifier")
        if self.level is not None:
            self.tree.level(self.level)
        if self.model is not None:
            assets.check(self.model)

    def signature(self) -> dict[str, object]:
        hierarchy = None if self.hierarchy is None else self.hierarchy.to_json()
        options = [
            self.classifier,
            hierarchy,
            list(self.budgets),
            self.level,
            self.confidence,
            self.top,
        ]
        return {"operation": "classify", "options": options}

    def limits(self, batch: int) -> Limits:
        self.judge  # noqa: B018 - what is wrong with it is told once, not for each input
        return limits_on(self.device, batch)

    def load(self, data: bytes) -> Loaded:
        """The content is a list of :class:`Prefix`."""
        prefixes = self.prefixes(data)
        if not starts_stream(data):
            return Loaded((), len(data), prefixes)
        header = parse_header(data, max_pixels=None)
        return Loaded((header.fingerprint, header.width, header.height), header.pixels, prefixes)

    def prefixes(self, data: bytes) -> list[Prefix]:
        """A stream at each budget, or a picture; checked as far as it can be without torch."""
        if not starts_stream(data):
            return [Prefix(None, data)]
        header = parse_header(data, max_pixels=None)  # one over the limit is told of at each budget
        assets.check(self.model, header.fingerprint)
        return [self._cut(data, budget) for budget in self.budgets]

    def run(self, contents: Sequence[list[Prefix]], threads: Threads) -> list[list[Classified]]:
        from progcodec.classification.batches import classify_files

        files = [
            prefix.data for prefixes in contents for prefix in prefixes if prefix.error is None
        ]
        with computing_with(threads):
            found = iter(classify_files(files, self.find, len(files), self.max_pixels))
        return [
            [
                Classified(budget, len(data), error if error is not None else next(found))
                for budget, data, error in prefixes
            ]
            for prefixes in contents
        ]

    def finish(self, made: list[Classified]) -> Product:
        """Raises the first budget's error."""
        records = []
        for budget, size, outcome in made:
            if isinstance(outcome, Exception):
                raise (
                    outcome if budget is None else ProgcodecError(f"at {budget:,} bytes: {outcome}")
                )
            answer = self.answer(outcome)
            records.append({"budget": budget, "bytes": size, **answer.to_dict()})
        return Product(json.dumps(records, ensure_ascii=False).encode(), 0, 0)

    def answer(self, probabilities: "Floats") -> "answer.Answer":
        """Of one file, (classes,)."""
        from progcodec.classification.answer import answers

        (found,) = answers(
            probabilities[None],
            self.tree,
            level=self.level,
            confidence=self.confidence,
            top=self.top,
        )
        return found

    def find(self, data: bytes) -> "tuple[Codec | None, Classifier]":
        """What reads a stream; of a picture, the classifier alone."""
        from progcodec.codec.codec import codec_for

        with _LOADING:
            if not starts_stream(data):
                return None, self.judge
            limit = self.max_pixels
            codec = codec_for(data, model=self.model, device=self.device, max_pixels=limit)
            return codec, self.judge

    def _cut(self, data: bytes, budget: int | None) -> Prefix:
        try:
            prefix = Cut(max_bytes=budget).apply(data)
            parse(prefix, self.max_pixels)
            return Prefix(budget, prefix)
        except ProgcodecError as error:
            return Prefix(budget, b"", error)
