"""Many streams and pictures to class probabilities: streams of one model and one size share every
pass.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from progcodec.arrays import Floats
from progcodec.bitstream.container import parse_header, starts_stream
from progcodec.classification.api import clean_picture
from progcodec.classification.classifier import Classifier
from progcodec.codec.codec import Codec
from progcodec.errors import ProgcodecError

BATCH_PIXELS = 4_000_000
"""Pixels that go through the networks together, so that large pictures do not pile up; one picture
may have more."""

Models: TypeAlias = Callable[[bytes], tuple[Codec | None, Classifier]]
"""The codec and the classifier that a stream needs, or None and the classifier for a picture."""
Outcome: TypeAlias = Floats | Exception
"""(classes,) float64 probabilities, or what went wrong with this file."""
TOLD = (ProgcodecError, OSError, MemoryError)


def classify_files(
    files: Sequence[bytes], models: Models, batch: int, max_pixels: int | None
) -> list[Outcome]:
    """An outcome for each stream or picture, in order; one that fails never stops the rest.

    What `models` raises comes back as the outcome of its files too. Anything unexpected is raised.
    """
    outcomes: dict[int, Outcome] = {}
    groups: dict[tuple[bytes, int, int], list[int]] = {}
    for place, data in enumerate(files):
        try:
            if not starts_stream(data):
                outcomes[place] = _picture(data, models, max_pixels)
                continue
            header = parse_header(data, max_pixels)
        except TOLD as error:
            outcomes[place] = error
        else:
            groups.setdefault((header.fingerprint, header.width, header.height), []).append(place)
    for (_, width, height), places in groups.items():
        size = max(1, min(batch, BATCH_PIXELS // (width * height)))
        for start in range(0, len(places), size):
            together = places[start : start + size]
            found = _together([files[place] for place in together], models, max_pixels)
            outcomes.update(zip(together, found, strict=True))
    return [outcomes[place] for place in range(len(files))]


def _picture(data: bytes, models: Models, max_pixels: int | None) -> Outcome:
    _, classifier = models(data)
    outcome: Floats = classifier.predict([clean_picture(data, max_pixels)])[0]
    return outcome


def _together(streams: Sequence[bytes], models: Models, max_pixels: int | None) -> list[Outcome]:
    try:
        codec, classifier = models(streams[0])
    except TOLD as error:
        return [error] * len(streams)
    assert codec is not None, "only a picture needs none"
    try:
        latents = codec.decode_latents(streams, max_pixels=max_pixels)
        return list(classifier.probabilities(codec, latents))
    except (*TOLD, RuntimeError) as error:  # torch tells of too little memory by the last
        if len(streams) == 1:
            return [error]
        return [outcome for data in streams for outcome in _together([data], models, max_pixels)]
