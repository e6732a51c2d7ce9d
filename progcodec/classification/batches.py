"""Many streams to class probabilities: those of one model and one size share every pass."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from progcodec.arrays import Floats
from progcodec.bitstream.container import parse_header
from progcodec.classification.classifier import Classifier
from progcodec.codec.codec import Codec
from progcodec.errors import ProgcodecError

BATCH_PIXELS = 4_000_000
"""Pixels that go through the networks together, so that large pictures do not pile up; one picture may have more."""

Models: TypeAlias = Callable[[bytes], tuple[Codec, Classifier]]
"""The codec and the classifier that a stream needs."""
Outcome: TypeAlias = Floats | Exception
"""(classes,) float64 probabilities, or what went wrong with this stream."""


def classify_streams(
    streams: Sequence[bytes], models: Models, batch: int, max_pixels: int
) -> list[Outcome]:
    """An outcome for each stream, in order; one that fails never stops the rest.

    What `models` raises comes back as the outcome of its streams too. Anything unexpected is raised.
    """
    outcomes: dict[int, Outcome] = {}
    groups: dict[tuple[bytes, int, int], list[int]] = {}
    for place, data in enumerate(streams):
        try:
            header = parse_header(data, max_pixels)
        except ProgcodecError as error:
            outcomes[place] = error
        else:
            groups.setdefault((header.fingerprint, header.width, header.height), []).append(place)
    for (_, width, height), places in groups.items():
        size = max(1, min(batch, BATCH_PIXELS // (width * height)))
        for start in range(0, len(places), size):
            together = places[start : start + size]
            found = _together([streams[place] for place in together], models, max_pixels)
            outcomes.update(zip(together, found, strict=True))
    return [outcomes[place] for place in range(len(streams))]


def _together(streams: Sequence[bytes], models: Models, max_pixels: int) -> list[Outcome]:
    try:
        codec, classifier = models(streams[0])
    except (ProgcodecError, OSError, MemoryError) as error:
        return [error] * len(streams)
    try:
        latents = codec.decode_latents(streams, max_pixels=max_pixels)
        return list(classifier.probabilities(codec, latents))
    except (
        ProgcodecError,
        OSError,
        MemoryError,
        RuntimeError,
    ) as error:  # torch tells of too little memory by the last
        if len(streams) == 1:
            return [error]
        return [outcome for data in streams for outcome in _together([data], models, max_pixels)]
