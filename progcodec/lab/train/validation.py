"""How good a classifier is on held-out pictures, prefix by prefix, and how much of what it claims
is right.

Real streams are cut at real byte budgets and decoded as any user would. Of the pictures every other
one calibrates, and the others judge.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image
from tqdm import tqdm

from progcodec.arrays import Array, Flags, Floats, Ints
from progcodec.classification.answer import CONFIDENCE
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier import BUILTIN, Specification
from progcodec.classification.classifier_file import ClassifierFile
from progcodec.classification.pixel import PixelClassifier
from progcodec.codec.codec import Codec
from progcodec.cut import Cut
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.calibrate import calibrate
from progcodec.lab.train.coded_views import Source, read_sources
from progcodec.lab.train.dataset import expand

WHOLE, CLEAN = -1, -2
"""In place of a byte budget: the whole stream, and the clean picture."""
NAMES = {WHOLE: "all", CLEAN: "clean"}
SHOWN = (200, 400, 800, 1200, 1600, 3200, WHOLE, CLEAN)
CUTS = (100, 140, 280, 560, 2400, *SHOWN)
"""Byte budgets that are calibrated with; those that are reported are among them."""
DRAWS = 100
"""Simulated labels that a floor is the mean of."""
BATCH = 16
ECE_BINS = 15


@dataclass(frozen=True)
class Judged:
    """What a classifier says about N prefixes.

    Attributes:
        cut: byte budget of each, or WHOLE, or CLEAN, (N,). calibrates: which half each is in, bool
            (N,).
        labels: (N,). logits: (N, classes). bits: received, (N,); infinite for the clean picture.
    """

    cut: Ints
    calibrates: Flags
    labels: Ints
    logits: Floats
    bits: Floats

    def where(self, chosen: Flags) -> "Judged":
        return Judged(*(array[chosen] for array in self.arrays()))

    def arrays(self) -> list[Array]:
        return [getattr(self, name) for name in self.__dataclass_fields__]


@dataclass(frozen=True)
class Measured:
    """Held-out pictures at one cut.

    All numbers are shares in [0, 1], one for each level, coarsest first.

    Attributes:
        cut: bytes, "all" or "clean".
        accuracy: of the likeliest group.
        error: expected calibration error of that group's probability, over 15 bins.
        floor: the error that perfectly honest probabilities would show, as so few pictures fill
            each bin with noise.
        claimed: how often the level is stated at the usual confidence. right: how often it is right
            where it is.
    """

    cut: str
    pictures: int
    accuracy: tuple[float, ...]
    error: tuple[float, ...]
    floor: tuple[float, ...]
    claimed: tuple[float, ...]
    right: tuple[float, ...]


def expected_calibration_error(
    confidence: Floats, right: Sequence[bool] | Array, bins: int = ECE_BINS
) -> float:
    """Σ over equal bins of confidence of share · |accuracy − mean confidence|, in [0, 1]."""
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if len(confidence) == 0:
        raise ValueError("nothing to score")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def judge_file(
    path: str, patterns: Sequence[str], codec: Codec, hierarchy: Hierarchy, limit: int
) -> list[Measured]:
    """Calibrates the classifier of a file with half of the held-out pictures, measures it on the
    others, writes both into it.

    Args:
        limit: the most pictures of each shard.
    Raises:
        TrainingError: no picture with a known class.
    """
    file = ClassifierFile.load(path)
    classifier = PixelClassifier.load(Specification(BUILTIN, "", {}, {}, path), codec.device)
    judged = judge(classifier, codec, _labelled(patterns, hierarchy, limit), CUTS)
    held = judged.where(judged.calibrates)
    calibration = calibrate(held.logits, held.labels, held.bits, hierarchy.assignments)
    rows = measure(judged.where(~judged.calibrates), calibration, hierarchy, SHOWN)
    metadata = {
        **file.metadata,
        "calibrated with": f"half of {', '.join(path.name for path in expand(patterns))}",
        "judged on the other half": repr([asdict(row) for row in rows]),
    }
    replace(file, calibration=calibration, metadata=metadata).save(path)
    return rows


def judge(
    classifier: PixelClassifier, codec: Codec, sources: Sequence[Source], cuts: Sequence[int]
) -> Judged:
    """The classifier's logits for every labelled picture at every cut.

    Every other picture calibrates.
    """
    parts = []
    sizes: dict[tuple[int, int], list[int]] = {}
    for place, source in enumerate(sources):
        sizes.setdefault((source.width, source.height), []).append(place)
    batches = [
        places[start : start + BATCH]
        for places in sizes.values()
        for start in range(0, len(places), BATCH)
    ]
    for places in tqdm(batches, desc="judging", mininterval=5):
        pictures = [Image.open(io.BytesIO(sources[place].data)).convert("RGB") for place in places]
        streams = codec.encode_batch(pictures)
        for cut in cuts:
            bits = np.full(len(places), np.inf)
            shown = pictures
            if cut != CLEAN:
                budget = Cut(max_bytes=None if cut == WHOLE else cut)
                latents = codec.decode_latents(streams, cut=budget)
                bits = np.array([latent.bits for latent in latents], np.float64)
                shown = codec.synthesise(latents)
            parts.append(
                Judged(
                    np.full(len(places), cut),
                    np.array([place % 2 == 0 for place in places]),
                    np.array([sources[place].label for place in places]),
                    classifier.logits(shown),
                    bits,
                )
            )
    columns = zip(*(part.arrays() for part in parts), strict=True)
    return Judged(*(np.concatenate(arrays) for arrays in columns))


def measure(
    judged: Judged, calibration: Calibration, hierarchy: Hierarchy, cuts: Sequence[int]
) -> list[Measured]:
    """One row for each of the cuts."""
    return [
        _measured(NAMES.get(cut, str(cut)), judged.where(judged.cut == cut), calibration, hierarchy)
        for cut in cuts
    ]


def _measured(cut: str, part: Judged, calibration: Calibration, hierarchy: Hierarchy) -> Measured:
    p = calibration.probabilities(part.logits, part.bits)
    rng = np.random.default_rng(0)
    columns = []
    for level in range(len(hierarchy.sizes) + 1):
        at_level = hierarchy.aggregate(p, level)
        truth = [*hierarchy.assignments, np.arange(p.shape[1])][level][part.labels]
        right, confidence = at_level.argmax(1) == truth, at_level.max(1)
        drawn = [
            expected_calibration_error(confidence, rng.random(len(confidence)) < confidence)
            for _ in range(DRAWS)
        ]
        claimed = confidence >= CONFIDENCE
        columns.append(
            (
                float(right.mean()),
                expected_calibration_error(confidence, right),
                float(np.mean(drawn)),
                float(claimed.mean()),
                float(right[claimed].mean()) if claimed.any() else 1.0,
            )
        )
    return Measured(cut, len(part.labels), *zip(*columns, strict=True))


def table(rows: Sequence[Measured], hierarchy: Hierarchy) -> str:
    """In per cent, for each level: accuracy; calibration error and, in brackets, that of honest
    answers; claimed and right.
    """
    names = "".join(f"{name:>34}" for name in hierarchy.level_names)
    lines = [f"{'bytes':>6} {'pictures':>8}{names}"]
    for row in rows:
        cells = [
            f"{100 * a:6.1f} {100 * e:5.1f} ({100 * f:.1f}) {100 * c:5.1f} {100 * r:5.1f}"
            for a, e, f, c, r in zip(
                row.accuracy, row.error, row.floor, row.claimed, row.right, strict=True
            )
        ]
        lines.append(f"{row.cut:>6} {row.pictures:>8}" + "".join(f"{cell:>34}" for cell in cells))
    return "\n".join(lines)


def _labelled(patterns: Sequence[str], hierarchy: Hierarchy, limit: int) -> list[Source]:
    found = []
    for path in expand(patterns):
        sources = read_sources([str(path)], hierarchy, 1)
        found += [source for source in sources if source.label is not None][:limit]
    if not found:
        raise TrainingError(f"no picture with a known class in {', '.join(map(str, patterns))}")
    return found
