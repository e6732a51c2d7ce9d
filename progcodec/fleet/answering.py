"""``.shc`` streams to answers, as an operation: ``cat.shc`` becomes ``cat.json``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from progcodec import assets
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.errors import ProgcodecError
from progcodec.fleet.flow import Limits, Loaded, Threads
from progcodec.fleet.operation import Product, limits_on

if TYPE_CHECKING:
    from progcodec.classification.classifier import Classifier
    from progcodec.codec.codec import Codec
    from progcodec.fleet.classifying import Classified, Classify, Prefix
    from progcodec.hierarchy.hierarchy import Hierarchy


@dataclass(frozen=True)
class Answer:
    """Streams to JSON files: for each budget the bytes used and the path down the hierarchy, and, if asked, the top classes.

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
    max_pixels: int = DEFAULT_PIXEL_LIMIT

    suffix = ".json"
    suffixes = (".shc",)

    @cached_property
    def _tree(self) -> "Hierarchy":
        from progcodec.hierarchy.hierarchy import Hierarchy

        return Hierarchy.load() if self.hierarchy is None else self.hierarchy

    @cached_property
    def _stages(self) -> "Classify":
        from progcodec.fleet.classifying import Classify

        return Classify(
            lambda name: b"", self.budgets, self._models, batch=16, max_pixels=self.max_pixels
        )

    def check(self) -> None:
        from progcodec.classification.classifier import BUILTIN, Specification

        Specification.parse(self.classifier or BUILTIN)
        if self.level is not None:
            self._tree.level(self.level)
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
        return limits_on(self.device, batch)

    def load(self, data: bytes) -> Loaded:
        return self._stages.loaded(data)

    def run(self, contents: "Sequence[list[Prefix]]", threads: Threads) -> "list[list[Classified]]":
        return self._stages.run(contents, threads)

    def finish(self, made: "list[Classified]") -> Product:
        """Raises the first budget's error."""
        from progcodec.classification.answer import answers

        records = []
        for budget, size, outcome in made:
            if isinstance(outcome, Exception):
                raise (
                    outcome if budget is None else ProgcodecError(f"at {budget:,} bytes: {outcome}")
                )
            (answer,) = answers(
                outcome[None],
                self._tree,
                level=self.level,
                confidence=self.confidence,
                top=self.top,
            )
            records.append({"budget": budget, "bytes": size, **answer.to_dict()})
        return Product(json.dumps(records, ensure_ascii=False).encode(), 0, 0)

    def _models(self, data: bytes) -> "tuple[Codec, Classifier]":
        from progcodec.classification.api import cached_classifier
        from progcodec.classification.classifier import check_fit
        from progcodec.codec.loaded import codec_for

        codec = codec_for(data, model=self.model, device=self.device, max_pixels=self.max_pixels)
        classifier = cached_classifier(self.classifier, self.device)
        check_fit(classifier, self._tree)
        return codec, classifier
