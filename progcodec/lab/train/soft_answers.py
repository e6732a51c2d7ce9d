"""What a picture classifier says about the views: soft answers for a student to learn from. They do not depend on the codec."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from progcodec.classification.classifier import BUILTIN, Specification
from progcodec.errors import ClassifierError, TrainingError
from progcodec.lab.train.caching import Arrays, Worker, fill
from progcodec.lab.train.views import Source, ViewSet, render

BATCH = 32
SIDE = 224
"""Views are rendered at this size for the classifier, whatever size the codec sees them at."""


def teach(
    views: ViewSet, chunks: Sequence[int], spec: str, classes: int, cache: Path, workers: int
) -> list[Path]:
    """Files of the soft answers: "probabilities", float16, a row for each view of a chunk that a teacher is asked about.

    Args:
        spec: names a classifier of pictures, see ``progcodec.classification.classifier``; its crop is the whole view.
    Raises:
        ClassifierError: no such classifier. TrainingError: it has other classes than the hierarchy.
    """
    parsed = Specification.parse(spec)
    if parsed.library == BUILTIN:
        raise ClassifierError(
            "the teacher must be a classifier of pictures, timm:NAME or torchvision:NAME"
        )
    name = hashlib.sha256(
        repr((parsed._replace(file=None), _digest(parsed.file), SIDE)).encode()
    ).hexdigest()[:8]

    def asked(chunk: int) -> list[Source]:
        return [
            source
            for source, wanted in zip(views.sources(chunk), views.asked(chunk), strict=True)
            if wanted
        ]

    return fill(
        cache / f"teacher-{name}-{views.key}",
        asked,
        chunks,
        _worker,
        (spec, classes),
        workers,
        "teacher",
    )


def _digest(file: str | None) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""  # loading it says what is wrong


def _worker(spec: str, classes: int) -> Worker:
    import torch

    from progcodec.classification import libraries

    parsed = Specification.parse(spec)
    # A view is a crop already: nothing more is cut off.
    preprocessing = (
        {"crop_pct": 1.0, **parsed.preprocessing}
        if parsed.library == "timm"
        else parsed.preprocessing
    )
    loaded = libraries.load(parsed._replace(preprocessing=preprocessing))
    model = loaded.model.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def work(sources: list[Source]) -> Arrays:
        rows = [np.empty((0, classes), np.float16)]
        for start in range(0, len(sources), BATCH):
            pictures = [render(data, view, SIDE) for data, view in sources[start : start + BATCH]]
            x = torch.stack([loaded.preprocess(picture) for picture in pictures]).contiguous(
                memory_format=torch.channels_last
            )
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(x)
            if logits.shape[1:] != (classes,):
                raise TrainingError(
                    f"{parsed.name} gives {tuple(logits.shape[1:])} for a picture, not {classes} classes"
                )
            rows.append(torch.softmax(logits.float(), 1).half().numpy())
        return {"probabilities": np.concatenate(rows)}

    return work
