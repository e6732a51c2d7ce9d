"""Codec and classifier for what ``classify`` is given: for a stream that is there, or for one that arrives."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

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
    """Finds codec and classifier for a stream; a classifier of pictures is loaded at once, and tells at once if it cannot."""

    def __init__(
        self, tree: "Hierarchy", spec: str | None, model: str | None, device: str, max_pixels: int
    ) -> None:
        from progcodec.classification.api import cached_classifier
        from progcodec.classification.classifier import check_fit, reads_pictures

        self._tree, self._spec, self._model, self._device, self._max_pixels = (
            tree,
            spec,
            model,
            device,
            max_pixels,
        )
        self._find = cached_classifier
        self._check = check_fit
        if reads_pictures(spec):
            self._check(self._find(spec, None, device), tree)

    def of(self, data: bytes) -> "tuple[Codec, Classifier]":
        from progcodec.codec.loaded import codec_for

        codec = codec_for(data, model=self._model, device=self._device, max_pixels=self._max_pixels)
        return codec, self._judge(codec)

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
            assert decoder.codec is not None
            return decoder.classify(
                classifier=self._judge(decoder.codec), hierarchy=self._tree, **options
            )

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

    def _judge(self, codec: "Codec") -> "Classifier":
        classifier = self._find(self._spec, codec, self._device)
        self._check(classifier, self._tree)
        return classifier
