"""How good a head is on held-out pictures: real streams, cut at real byte budgets, decoded, judged at every level."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from progcodec.arrays import Array, Flags, Floats, Ints
from progcodec.classification.calibration import Calibration, expected_calibration_error
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from progcodec.cut import Cut
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.dataset import expand
from progcodec.lab.train.views import read_pictures

CUTS = (100, 150, 220, 300, 420, 600, 1200, 3000, None)
"""Byte budgets; None is the whole stream."""
SHOWN = (150, 300, 600, 1200, None)
TOGETHER = "all shards"
DRAWS = 100
"""Simulated labels that a floor is the mean of."""
BATCH = 16


class Stream(NamedTuple):
    """A held-out picture as it is sent."""

    shard: str
    size: tuple[int, int]
    data: bytes
    label: int


@dataclass(frozen=True)
class Judged:
    """What a head says about N prefixes.

    Attributes:
        shard: of each, (N,). cut: byte budget of each, -1 for none, (N,). calibrates: which half each is in, bool (N,).
        labels: (N,). logits: (N, classes). bits: per latent position, (N,). positions: latent positions, (N,).
    """

    shard: Array
    cut: Ints
    calibrates: Flags
    labels: Ints
    logits: Floats
    bits: Floats
    positions: Floats

    def where(self, chosen: Flags) -> "Judged":
        return Judged(*(array[chosen] for array in self._arrays()))

    def weights(self) -> Floats:
        """(N,): every cut of every shard counts the same, however many pictures it has."""
        groups: Array = np.char.add(self.shard, self.cut.astype(str))
        _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
        shares: Floats = 1 / counts[place]
        return shares

    def _arrays(self) -> list[Array]:
        return [getattr(self, name) for name in self.__dataclass_fields__]


@dataclass(frozen=True)
class Measured:
    """Held-out pictures of one shard at one cut. All numbers are shares in [0, 1], one for each level, coarsest first.

    Attributes:
        accuracy: of the likeliest group.
        error: expected calibration error of that group's probability, over 15 bins.
        floor: the error that perfectly honest probabilities would show, as so few pictures fill each bin with noise.
    """

    shard: str
    cut: int | None
    pictures: int
    accuracy: tuple[float, ...]
    error: tuple[float, ...]
    floor: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def read_streams(
    patterns: Sequence[str], codec: Codec, hierarchy: Hierarchy, limit: int
) -> list[Stream]:
    """The first ``limit`` labelled pictures of each shard, encoded. Raises TrainingError if there are none."""
    streams = []
    for path in expand(patterns):
        pictures = [
            picture
            for picture in read_pictures([str(path)], hierarchy)
            if picture.label is not None
        ][:limit]
        images = [Image.open(io.BytesIO(picture.data)).convert("RGB") for picture in pictures]
        encoded: dict[int, bytes] = {}
        for places in tqdm(
            _by_size([image.size for image in images]), desc=f"encoding {path.name}", mininterval=5
        ):
            for place, data in zip(
                places, codec.encode_batch([images[place] for place in places]), strict=True
            ):
                encoded[place] = data
        name = path.name.split(".")[0]
        labels = [picture.label for picture in pictures if picture.label is not None]
        streams += [
            Stream(name, images[n].size, encoded[n], label) for n, label in enumerate(labels)
        ]
    if not streams:
        raise TrainingError(f"no picture with a known class in {', '.join(map(str, patterns))}")
    return streams


def judge(
    logits: Callable[[Sequence[Latent]], Floats],
    codec: Codec,
    streams: Sequence[Stream],
    cuts: Sequence[int | None] = CUTS,
) -> Judged:
    """The head's logits for every stream at every cut. Of the streams every other one calibrates."""
    parts = []
    groups = _by_size([stream.size for stream in streams])
    for places in tqdm(groups, desc="judging", mininterval=5):
        some = [streams[place] for place in places]
        for cut in cuts:
            latents = codec.decode_latents([stream.data for stream in some], cut=Cut(max_bytes=cut))
            positions = np.array([latent.y.shape[2] * latent.y.shape[3] for latent in latents])
            parts.append(
                Judged(
                    np.array([stream.shard for stream in some]),
                    np.full(len(some), -1 if cut is None else cut),
                    np.array([place % 2 == 0 for place in places]),
                    np.array([stream.label for stream in some]),
                    logits(latents),
                    np.array([latent.bits for latent in latents]) / positions,
                    positions,
                )
            )
    return Judged(
        *(
            np.concatenate(arrays)
            for arrays in zip(*(part._arrays() for part in parts), strict=True)
        )
    )


def measure(
    judged: Judged,
    calibration: Calibration,
    hierarchy: Hierarchy,
    cuts: Sequence[int | None] = SHOWN,
) -> list[Measured]:
    """Each shard at each of the cuts, in the order of the shards' names; then all shards together, if there are several."""
    shards = [str(shard) for shard in np.unique(judged.shard)]
    rows = []
    for shard in [*shards, TOGETHER] if len(shards) > 1 else shards:
        for cut in cuts:
            wanted = judged.cut == (-1 if cut is None else cut)
            part = judged.where(wanted if shard == TOGETHER else wanted & (judged.shard == shard))
            if len(part.labels):
                rows.append(_measured(shard, cut, part, calibration, hierarchy))
    return rows


def _measured(
    shard: str, cut: int | None, part: Judged, calibration: Calibration, hierarchy: Hierarchy
) -> Measured:
    p = calibration.probabilities(part.logits, part.bits, part.positions)
    rng = np.random.default_rng(0)
    accuracy, error, floor = [], [], []
    for level in range(len(hierarchy.sizes) + 1):
        at_level = hierarchy.aggregate(p, level)
        truth = (
            part.labels
            if level == len(hierarchy.sizes)
            else hierarchy.assignments[level][part.labels]
        )
        right, confidence = at_level.argmax(1) == truth, at_level.max(1)
        accuracy.append(float(right.mean()))
        error.append(expected_calibration_error(confidence, right))
        drawn = [
            expected_calibration_error(confidence, rng.random(len(confidence)) < confidence)
            for _ in range(DRAWS)
        ]
        floor.append(float(np.mean(drawn)))
    return Measured(shard, cut, len(part.labels), tuple(accuracy), tuple(error), tuple(floor))


def table(rows: Sequence[Measured], hierarchy: Hierarchy) -> str:
    """In per cent: accuracy, expected calibration error, and in brackets the error that honest probabilities would show."""
    width = max(len(row.shard) for row in rows)
    lines = [
        f"{'shard':{width}} {'bytes':>6} {'images':>6}"
        + "".join(f"{name:>20}" for name in hierarchy.level_names)
    ]
    for row in rows:
        figures = zip(row.accuracy, row.error, row.floor, strict=True)
        cells = [f"{100 * a:5.1f} {100 * e:5.1f} ({100 * f:.1f})" for a, e, f in figures]
        lines.append(
            f"{row.shard:{width}} {row.cut or 'all':>6} {row.pictures:6}"
            + "".join(f"{cell:>20}" for cell in cells)
        )
    return "\n".join(lines)


def _by_size(sizes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Places in batches of one size."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, size in enumerate(sizes):
        groups.setdefault(size, []).append(place)
    return [
        places[start : start + BATCH]
        for places in groups.values()
        for start in range(0, len(places), BATCH)
    ]
