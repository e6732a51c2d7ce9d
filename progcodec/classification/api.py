"""``progcodec.classify``: a stream or a picture in, an answer out. Models are loaded once."""

from functools import lru_cache
from pathlib import Path

from PIL import Image

from progcodec.bitstream.container import as_bytes, starts_stream
from progcodec.classification.answer import CONFIDENCE, Answer, answers
from progcodec.classification.classifier import (
    Classifier,
    Specification,
    check_fit,
    load_classifier,
)
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.codec.loaded import codec_for
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.errors import ImageError, NotShcError
from progcodec.files import stamp
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.image import open_image


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
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
) -> Answer:
    """What a stream, whole or cut anywhere after its header, or a picture shows.

    Args:
        data: a stream, or the file of a picture: then the answer is that of the clean picture.
        model: the checkpoint that wrote the stream; None finds the shipped one.
        classifier: "builtin" (None is the same), "timm:NAME", "torchvision:NAME", each with "@FILE"
            for its weights, the file of a classifier of ours, or an object with a classifier's
            methods. Without a file timm and torchvision download theirs.
        hierarchy: of the classifier's classes; a file, or one that is loaded. None is the shipped
            one of ImageNet-1K.
        level: answer at this level, sure or not; None: at the finest one that is sure enough, which
            may be none.
        confidence: the probability from which a level counts as sure.
        max_bytes: use only that many first bytes of a stream; a picture stays whole.
        top: how many of the likeliest classes come along.
    Raises:
        NotShcError: also what is no picture that can be read.
        NotShcError, UnsupportedVersionError, WrongModelError, CorruptError, LimitError,
            BudgetError: the stream.
        CheckpointError, ClassifierError, HierarchyError: what is to read it.
    """
    data = as_bytes(data)
    tree = _tree(hierarchy)
    if level is not None:
        tree.level(level)  # errors before the work
    if not starts_stream(data):
        judge = _judge(classifier, tree, device)
        probabilities = judge.predict([clean_picture(data, max_pixels)])
        return answers(probabilities, tree, level=level, confidence=confidence, top=top)[0]
    codec = codec_for(data, model=model, device=device, max_pixels=max_pixels)
    latent = codec.decode_latent(data, max_bytes=max_bytes, max_pixels=max_pixels)
    judge = _judge(classifier, tree, str(codec.device))
    probabilities = judge.probabilities(codec, [latent])
    return answers(probabilities, tree, level=level, confidence=confidence, top=top)[0]


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
    """As :func:`classify`, on the codec's device, for a prefix that `codec` has decoded."""
    tree = _tree(hierarchy)
    judge = _judge(classifier, tree, str(codec.device))
    probabilities = judge.probabilities(codec, [latent])
    return answers(probabilities, tree, level=level, confidence=confidence, top=top)[0]


def clean_picture(data: bytes, max_pixels: int | None) -> Image.Image:
    """The picture of a file. Raises NotShcError if it is none, LimitError if it is too large."""
    try:
        return open_image(data, max_pixels)
    except ImageError as error:
        raise NotShcError(f"neither a .shc stream nor a picture: {error}") from None


def cached_classifier(spec: str | None, device: str) -> Classifier:
    """As :func:`load_classifier`; it stays loaded, as long as its file is the same."""
    file = None if spec is None else Specification.parse(spec).file
    return _classifier(spec, device, stamp(file))


@lru_cache(maxsize=4)
def _classifier(spec: str | None, device: str, stamp: tuple[int, ...]) -> Classifier:
    return load_classifier(spec, device)


def _judge(classifier: str | Classifier | None, tree: Hierarchy, device: str) -> Classifier:
    if classifier is None or isinstance(classifier, str):
        classifier = cached_classifier(classifier, device)
    check_fit(classifier, tree)
    return classifier


def _tree(hierarchy: str | Path | Hierarchy | None) -> Hierarchy:
    if isinstance(hierarchy, Hierarchy):
        return hierarchy
    return _hierarchy(None if hierarchy is None else str(hierarchy), stamp(hierarchy))


@lru_cache(maxsize=4)
def _hierarchy(path: str | None, stamp: tuple[int, ...]) -> Hierarchy:
    return Hierarchy.load(path)
