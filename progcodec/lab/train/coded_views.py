"""What a classifier learns from: squares of pictures as the codec codes them, once, to be cut as
often as wanted.

picture ─► square of some side ─► stream, kept ─► prefix of any length, decoded ─► random part
                    └──────────────────────────────────────────────────────► the same part, clean
"""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from progcodec.arrays import Floats
from progcodec.classification.labels import FOLDERS, load_labels
from progcodec.errors import TrainingError
from progcodec.files import write_whole
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.dataset import UNREADABLE, expand, read_records
from progcodec.lab.train.prefixes import Prefixes

SIDES = (160, 224, 256, 352)
"""Pixels a side of the squares, multiples of 16: of the pictures that people have, the last one
shows how prefixes of large ones look."""
SIDE_SHARES = (0.15, 0.4, 0.25, 0.2)
LEAST_SHARE = 0.7
"""Smallest share of a picture's short side that a square shows."""
BATCH = 16


class Source(NamedTuple):
    """A picture's file, its size in pixels, and the index of its class if it has a label."""

    data: bytes
    width: int
    height: int
    label: int | None


class View(NamedTuple):
    """A square of a picture: which one, (left, top, right, bottom) in its pixels, and the side at
    which it is coded.
    """

    picture: int
    box: tuple[float, float, float, float]
    side: int


class CodedViews:
    """Views with their streams.

    Attributes:
        sources: the pictures. views: their squares. streams: what the codec makes of each.
        shares: how often each is to be drawn, (N,), sums to 1.
    """

    def __init__(
        self, sources: Sequence[Source], views: Sequence[View], streams: Sequence[bytes]
    ) -> None:
        self.sources, self.views, self.streams = sources, views, streams
        self.shares = _shares([sources[view.picture].label for view in views])
        sides = np.array([view.side for view in views])
        self._by_side = {int(side): np.flatnonzero(sides == side) for side in np.unique(sides)}

    def __len__(self) -> int:
        return len(self.views)

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """Places of so many views of one side."""
        groups = list(self._by_side.values())
        weights = np.array([self.shares[group].sum() for group in groups])
        group = groups[rng.choice(len(groups), p=weights / weights.sum())]
        shares = self.shares[group]
        return [int(place) for place in rng.choice(group, count, p=shares / shares.sum())]

    def clean(self, place: int) -> Image.Image:
        """The square that a stream was made of."""
        view = self.views[place]
        return render(self.sources[view.picture].data, view)

    def label(self, place: int) -> int | None:
        return self.sources[self.views[place].picture].label


def read_sources(
    patterns: Sequence[str], hierarchy: Hierarchy, least: int, quiet: bool = True
) -> list[Source]:
    """The pictures of shards and folders whose short side has at least so many pixels; unreadable
    ones are left out.

    The folder that a picture lies in names its class, by WordNet id; in any other one it has no
    label. Raises TrainingError if none is left.
    """
    sources = []
    labels = load_labels(FOLDERS, hierarchy)
    for path in expand(patterns):
        for record in read_records(path, labels, quiet):
            data = Path(record.name).read_bytes() if record.data is None else record.data
            try:
                with Image.open(io.BytesIO(data)) as image:
                    width, height = image.size
            except UNREADABLE:
                continue
            if min(width, height) >= least:
                sources.append(Source(data, width, height, record.label))
    if not sources:
        raise TrainingError(
            f"no readable picture of {least} pixels or more in {', '.join(map(str, patterns))}"
        )
    return sources


def code_views(
    sources: Sequence[Source],
    codec: Prefixes,
    count: int,
    seed: int,
    cache: str | None,
    quiet: bool,
) -> CodedViews:
    """About so many views of all pictures alike, coded, or read from the file `cache` if it holds
    exactly these.
    """
    views = list(_plan(sources, count, seed))
    digest = hashlib.sha256(f"{codec.mark}{views}".encode())
    for source in sources:
        digest.update(hashlib.sha256(source.data).digest())
    key = digest.hexdigest()
    streams = _read(cache, key)
    if streams is None:
        streams = _encode(sources, views, codec, quiet)
        if cache is not None:
            lengths = np.array([len(data) for data in streams], np.int64)
            file = io.BytesIO()
            np.savez(
                file, key=key, lengths=lengths, bytes=np.frombuffer(b"".join(streams), np.uint8)
            )
            write_whole(cache, file.getvalue())
    return CodedViews(sources, views, streams)


def render(data: bytes, view: View) -> Image.Image:
    """The view as an RGB picture of its side. Raises TrainingError on a damaged picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            size = view.side, view.side
            return image.convert("RGB").resize(size, Image.Resampling.BICUBIC, box=view.box)
    except UNREADABLE as error:
        raise TrainingError(f"a training picture is damaged ({error})") from None


def _plan(sources: Sequence[Source], count: int, seed: int) -> Iterator[View]:
    rng = np.random.default_rng(seed)
    for _ in range(max(1, round(count / len(sources)))):
        for number, source in enumerate(sources):
            extent = min(source.width, source.height) * rng.uniform(LEAST_SHARE, 1)
            left = rng.uniform(0, source.width - extent)
            top = rng.uniform(0, source.height - extent)
            side = int(rng.choice(SIDES, p=SIDE_SHARES))
            yield View(number, (left, top, left + extent, top + extent), side)


def _encode(
    sources: Sequence[Source], views: Sequence[View], codec: Prefixes, quiet: bool
) -> list[bytes]:
    streams = [b""] * len(views)
    with tqdm(total=len(views), desc="encoding", unit="view", disable=quiet) as bar:
        for side in SIDES:
            places = [place for place in range(len(views)) if views[place].side == side]
            for start in range(0, len(places), BATCH):
                batch = places[start : start + BATCH]
                pictures = [render(sources[views[p].picture].data, views[p]) for p in batch]
                for place, data in zip(batch, codec.encode_batch(pictures), strict=True):
                    streams[place] = data
                bar.update(len(batch))
    return streams


def _read(cache: str | None, key: str) -> list[bytes] | None:
    """The streams of a cache file; None if there is none, or one of other views or of another
    codec.
    """
    if cache is None or not Path(cache).exists():
        return None
    try:
        with np.load(cache) as file:
            if str(file["key"]) != key:
                return None
            ends = np.cumsum(file["lengths"])
            data = file["bytes"].tobytes()
    except (OSError, ValueError, KeyError):
        return None
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _shares(labels: Sequence[int | None]) -> Floats:
    """Each class by the square root of its pictures, so that a few large ones do not become what
    everything looks like.
    """
    counts: dict[int, int] = {}
    for label in labels:
        if label is not None:
            counts[label] = counts.get(label, 0) + 1
    weights = np.array([1.0 if label is None else 1 / math.sqrt(counts[label]) for label in labels])
    shares: Floats = weights / weights.sum()
    return shares
