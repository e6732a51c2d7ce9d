"""Codec and classifier for what ``classify`` is given: for a file that is there, or for a stream that arrives."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from progcodec.bitstream.container import starts_stream
from progcodec.cli import stdin as arriving
from progcodec.cli.files import STANDARD_STREAM
from progcodec.cli.messages import EXPECTED_ERRORS
from progcodec.errors import BudgetError, CheckpointError, HierarchyError

if TYPE_CHECKING:
    from progcodec.classification.answer import Answer
    from progcodec.classification.classifier import Classifier
    from progcodec.codec.codec import Codec
    from progcodec.hierarchy.hierarchy import Hierarchy

Fail = Callable[[str, Exception, int | None], None]
"""Told of what goes wrong: with which input, how, and at which budget."""


class Models:
    """Finds codec and classifier for a file; the classifier is loaded at once, and tells at once if it cannot."""

    def __init__(
        self, tree: "Hierarchy", spec: str | None, model: str | None, device: str, max_pixels: int
    ) -> None:
        from progcodec.classification.api import cached_classifier
        from progcodec.classification.classifier import check_fit

        self._tree, self._model, self._device, self._max_pixels = tree, model, device, max_pixels
        self._classifier = cached_classifier(spec, device)
        check_fit(self._classifier, tree)

    def of(self, data: bytes) -> "tuple[Codec | None, Classifier]":
        """What reads a stream; of a picture, the classifier alone."""
        from progcodec.codec.loaded import codec_for

        if not starts_stream(data):
            return None, self._classifier
        codec = codec_for(data, model=self._model, device=self._device, max_pixels=self._max_pixels)
        return codec, self._classifier

    def arriving(
        self, budgets: list[int | None], until: int | None, fail: Fail, **options: Any
    ) -> "Iterator[arriving.Arrival]":
        """Answers of standard input while it arrives, until it ends, or until a level (`until`, its number) is sure.

        Args:
            options: level, confidence and top of the answers, as of :func:`progcodec.classify`.
        Raises CheckpointError, HierarchyError; all else that can be expected goes to `fail`.
        """
        from progcodec.api import StreamDecoder

        decoder = StreamDecoder(model=self._model, device=self._device, max_pixels=self._max_pixels)

        def ask() -> "Answer":
            return decoder.classify(classifier=self._classifier, hierarchy=self._tree, **options)

        def sure(answer: "Answer") -> bool:
            return until is not None and answer.path[until].probability >= answer.confidence

        def refuse(budget: int, error: BudgetError) -> None:
            fail(STANDARD_STREAM, error, budget)

        try:
            yield from arriving.answers(
                arriving.pieces(), decoder, ask, budgets, until=sure, refuse=refuse
            )
        except (CheckpointError, HierarchyError):
            raise
        except EXPECTED_ERRORS as error:
            fail(STANDARD_STREAM, error, None)
