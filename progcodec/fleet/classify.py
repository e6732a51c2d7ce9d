"""Files to answers, each at several sizes: ``cat.shc`` becomes ``cat.json``."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from progcodec import assets
from progcodec.bitstream.container import parse, parse_header, starts_stream
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.cut import Cut
from progcodec.errors import ClassifierError, ProgcodecError
from progcodec.fleet.flow import BATCH_PIXELS, Limits, Loaded, Threads
from progcodec.fleet.operation import LOADING, Operation, Product, computing_with, limits_on

if TYPE_CHECKING:
    from progcodec.arrays import Floats
    from progcodec.classification.answer import Answer
    from progcodec.classification.classifier import Classifier
    from progcodec.codec.codec import Codec
    from progcodec.codec.incremental import IncrementalDecoder
    from progcodec.hierarchy.hierarchy import Hierarchy


class Prefix(NamedTuple):
    """A stream cut at a budget (None: all of it), or a picture.

    Attributes:
        outcome: (classes,) float64 probabilities, or what went wrong; None until it is known.
    """

    budget: int | None
    data: bytes
    outcome: "Floats | Exception | None" = None


@dataclass(frozen=True)
class Classify(Operation):
    """Files to JSON: for each budget the bytes used and the path down the hierarchy, and, if asked,
    the top classes.

    A picture has but one answer, as it is.

    Attributes:
        budgets: sizes at which to answer; None is the whole stream.
        hierarchy: a file, or one that is loaded; None is the shipped one.
        others: as of :func:`progcodec.classify`.
    """

    model: str | None = None
    device: str = "auto"
    classifier: str | None = None
    hierarchy: "str | Hierarchy | None" = None
    budgets: tuple[int | None, ...] = (None,)
    level: str | None = None
    confidence: float = 0.5
    top: int = 0
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT

    suffix = ".json"

    @cached_property
    def tree(self) -> "Hierarchy":
        from progcodec.hierarchy.hierarchy import Hierarchy

        given = self.hierarchy
        return Hierarchy.load(given) if given is None or isinstance(given, str) else given

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
        if self.hierarchy is not None:
            self.tree  # noqa: B018 - what is wrong with it is told
        if self.model is not None:
            assets.check(self.model)

    def signature(self) -> dict[str, object]:
        hierarchy = None if self.hierarchy is None else self.tree.to_json()
        how = [self.level, self.confidence, self.top]
        options = [self.classifier, hierarchy, list(self.budgets), *how]
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

    def run(self, contents: Sequence[list[Prefix]], threads: Threads) -> list[list[Prefix]]:
        asked = [prefix.data for one in contents for prefix in one if prefix.outcome is None]
        share = 1  # pictures have any size
        if asked and starts_stream(asked[0]):
            share = max(1, BATCH_PIXELS // parse_header(asked[0], max_pixels=None).pixels)
        with computing_with(threads):
            found = iter(
                outcome
                for start in range(0, len(asked), share)
                for outcome in self._outcomes(asked[start : start + share])
            )
            return [
                [p if p.outcome is not None else p._replace(outcome=next(found)) for p in one]
                for one in contents
            ]

    def finish(self, made: list[Prefix]) -> Product:
        """Raises the first budget's error."""
        records = []
        for budget, data, outcome in made:
            if isinstance(outcome, Exception):
                at = "" if budget is None else f"at {budget:,} bytes: "
                raise ProgcodecError(f"{at}{outcome}") if at else outcome
            assert outcome is not None, "run() has answered each"
            answer = self.answer(outcome).to_dict()
            records.append({"budget": budget, "bytes": len(data), **answer})
        return Product(json.dumps(records, ensure_ascii=False).encode(), 0, 0)

    def answer(self, probabilities: "Floats") -> "Answer":
        """Of one file, (classes,)."""
        from progcodec.classification.answer import answers

        rows, confidence, top = probabilities[None], self.confidence, self.top
        return answers(rows, self.tree, level=self.level, confidence=confidence, top=top)[0]

    def look(self, decoder: "IncrementalDecoder") -> "Answer":
        """What the part of a stream shows that a decoder was fed."""
        latent = decoder.latent()
        assert decoder.codec is not None
        return self.answer(self.judge.probabilities(decoder.codec, [latent])[0])

    def find(self, data: bytes) -> "tuple[Codec | None, Classifier]":
        """What reads a stream; of a picture, the classifier alone."""
        from progcodec.codec.loaded import codec_for

        with LOADING:
            if not starts_stream(data):
                return None, self.judge
            limit = self.max_pixels
            codec = codec_for(data, model=self.model, device=self.device, max_pixels=limit)
            return codec, self.judge

    def _outcomes(self, files: Sequence[bytes]) -> "list[Floats | Exception]":
        """Of streams of one size, which share every pass, or of a picture."""
        from progcodec.classification.api import clean_picture

        try:
            codec, judge = self.find(files[0])
            if codec is None:
                return [judge.predict([clean_picture(files[0], self.max_pixels)])[0]]
            latents = codec.decode_latents(files, max_pixels=self.max_pixels)
            return [*judge.probabilities(codec, latents)]
        # torch tells of too little memory by the last
        except (ProgcodecError, OSError, MemoryError, RuntimeError) as error:
            if len(files) == 1:
                return [error]
            return [self._outcomes([data])[0] for data in files]

    def _cut(self, data: bytes, budget: int | None) -> Prefix:
        try:
            prefix = Cut(max_bytes=budget).apply(data)
            parse(prefix, self.max_pixels)
            return Prefix(budget, prefix)
        except ProgcodecError as error:
            return Prefix(budget, b"", error)
