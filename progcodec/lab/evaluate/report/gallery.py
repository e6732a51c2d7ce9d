"""The pictures at equal bytes of a whole evaluation: its images, its codecs, its first classifier."""

from collections.abc import Sequence

from progcodec.classification.classifier import Specification
from progcodec.classification.pixel import PixelClassifier
from progcodec.codec.codec import Codec
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.coders.base import Coder
from progcodec.lab.evaluate.contest import Budget
from progcodec.lab.evaluate.report import senders
from progcodec.lab.evaluate.report.pictures import Comparison, compare
from progcodec.lab.evaluate.workload import Sample


def gallery(
    samples: Sequence[Sample],
    hierarchy: Hierarchy,
    coders: Sequence[Coder],
    codec: Codec | None,
    classifiers: Sequence[str],
    budgets: Sequence[Budget],
    *,
    count: int,
    seed: int,
    device: str = "auto",
) -> list[Comparison]:
    """``count`` images, drawn by lot, through ours (unless `codec` is None) and each of `coders`, at up to three byte budgets.

    Raises ClassifierError if the classifier cannot be had.
    """
    sizes = sorted({budget.bytes for budget in budgets if budget.bytes is not None})
    spec = next(iter(classifiers), None)
    if not sizes or not count:
        return []
    chosen = sorted({sizes[len(sizes) * part // 6] for part in (2, 3, 4)})
    answers = None
    if spec is not None:
        answers = senders.answers(
            PixelClassifier.load(Specification.parse(spec), device), hierarchy
        )
    ours = [] if codec is None else [senders.ours(codec)]
    subjects = senders.subjects(samples, hierarchy, count, seed)
    return compare(subjects, [*ours, *map(senders.peer, coders)], chosen, answers)
