"""``progcodec.classify``: bytes in, an answer out. Models are loaded once."""

from functools import lru_cache
from pathlib import Path

from progcodec.classification.answer import CONFIDENCE, Answer, answers
from progcodec.classification.classifier import (
    Classifier,
    Specification,
    check_fit,
    load_classifier,
    reads_pictures,
)
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.codec.loaded import codec_for
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.hierarchy.hierarchy import Hierarchy


def classify(
    data: bytes,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    classifier: str | Classifier | None = None,
    hierarchy: str | Path | Hierarchy | None = None,
    level: str | None = None,
    confidence: float = CONFIDENCE,
    max_bytes: int | None = None,
    top: int = 5,
    max_pixels: int = DEFAULT_PIXEL_LIMIT,
) -> Answer:
    """What a stream, whole or cut anywhere after its header, shows.

    Args:
        model: the checkpoint that wrote the stream; None finds the shipped one.
        classifier: "builtin" (None is the same), "timm:NAME", "torchvision:NAME", each with "@FILE" for its weights, or
            an object with a classifier's methods. Without a file timm and torchvision download theirs.
        hierarchy: of the classifier's classes; a file, or one that is loaded. None is the shipped one of ImageNet-1K.
        level: answer at this level, sure or not; None: at the finest one that is sure enough, which may be none.
        confidence: the probability from which a level counts as sure.
        max_bytes: use only that many first bytes.
        top: how many of the likeliest classes come along.
    Raises:
        NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError, BudgetError: the stream.
        CheckpointError, ClassifierError, HierarchyError: what is to read it.
    """
    tree = _tree(hierarchy)
    if level is not None:
        tree.level(level)  # what is wrong is told before the work
    codec = codec_for(data, model=model, device=device, max_pixels=max_pixels)
    latent = codec.decode_latent(data, max_bytes=max_bytes, max_pixels=max_pixels)
    return classify_latent(
        latent,
        codec,
        classifier=classifier,
        hierarchy=tree,
        level=level,
        confidence=confidence,
        top=top,
    )


def classify_latent(
    latent: Latent,
    codec: Codec,
    *,
    classifier: str | Classifier | None = None,
    hierarchy: str | Path | Hierarchy | None = None,
    level: str | None = None,
    confidence: float = CONFIDENCE,
    top: int = 5,
) -> Answer:
    """As :func:`classify`, for a prefix that `codec` has decoded. A classifier that is named runs on the codec's device."""
    tree = _tree(hierarchy)
    if classifier is None or isinstance(classifier, str):
        classifier = cached_classifier(classifier, codec, str(codec.device))
    check_fit(classifier, tree)
    probabilities = classifier.probabilities(codec, [latent])
    return answers(probabilities, tree, level=level, confidence=confidence, top=top)[0]


def cached_classifier(spec: str | None, codec: Codec | None, device: str) -> Classifier:
    """As :func:`load_classifier`, and kept loaded; one that reads pictures needs no `codec` to be loaded."""
    if spec is not None and reads_pictures(spec):
        return _for_all(spec, device)
    assert codec is not None, "the built-in classifier reads the latents of one codec"
    return _for_one_codec(spec, codec, device)


_for_one_codec = lru_cache(maxsize=4)(load_classifier)


@lru_cache(maxsize=4)
def _for_all(spec: str, device: str) -> Classifier:
    from progcodec.classification.pixel import PixelClassifier

    return PixelClassifier.load(Specification.parse(spec), device)


def _tree(hierarchy: str | Path | Hierarchy | None) -> Hierarchy:
    return (
        hierarchy
        if isinstance(hierarchy, Hierarchy)
        else _hierarchy(None if hierarchy is None else str(hierarchy))
    )


@lru_cache(maxsize=4)
def _hierarchy(path: str | None) -> Hierarchy:
    return Hierarchy.load(path)
