"""What the fuzzer runs: one function for each thing that a hostile file can reach.

No atheris in here, so the tests replay inputs.

The first byte of an input chooses the target (``TARGETS[byte % len(TARGETS)]``), the rest is its
data. A target returns on sound data and on named errors alike; anything else that is raised is a
finding. Checksums and fingerprints would turn nearly every mutation away at the door, so the
"sealed" targets put right ones around the data and see what lies behind.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from progcodec import assets
from progcodec.api import StreamDecoder
from progcodec.bitstream import container
from progcodec.bitstream.description import info
from progcodec.bitstream.rangecoder import SegmentReader, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.classification import classifier_file
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier_file import ClassifierFile
from progcodec.codec.codec import Codec
from progcodec.config import ALPHABET, HYPER_CONTEXTS, Q_MAX, ModelConfig
from progcodec.cut import truncate
from progcodec.errors import ProgcodecError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.export import freeze
from progcodec.lab.train.tables import gaussian_frequencies, quantise_pmf
from progcodec.network.checkpoint import PRIORITIES, Checkpoint
from progcodec.network.efficientnet import NAME, EfficientNetLite
from progcodec.network.model import Model
from tests.support.segments import decode_segment

PIXELS_MAX = 64 * 64
MESSAGE_MAX = 1000
CHUNKS = (1, 2, 3, 5, 17, 64)
NAMES = (
    "float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 bool "
    "float8_e4m3fn complex64"
)
DTYPES = tuple(getattr(torch, name) for name in NAMES.split())


class Bytes:
    """Reads an input from its front; zeros once it is used up."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def number(self, size: int = 1) -> int:
        taken, self.rest = self.rest[:size], self.rest[size:]
        return int.from_bytes(taken, "big")

    def take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


@contextmanager
def named_errors() -> Iterator[None]:
    """Lets named errors pass, if each is what a caller may count on: of a named class, in one line
    of bounded length.
    """
    try:
        yield
    except ProgcodecError as error:
        assert type(error) is not ProgcodecError, repr(error)
        assert "\n" not in str(error) and len(str(error)) < MESSAGE_MAX, repr(error)[:MESSAGE_MAX]


def raw_container(data: bytes) -> None:
    """Any bytes as a file: parsed, described, cut."""
    with named_errors():
        header = container.parse_header(data, None)
        assert data.startswith(header.to_bytes())
        stream = container.parse(data, None)
        spans = [header.size, *(segment.end for segment in stream.segments)]
        last = len(stream.segments) - 1
        assert spans == sorted(spans)
        assert all(segment.complete or segment.index == last for segment in stream.segments)
        description = info(data)
        received = sum(segment.received for segment in description.segments)
        assert description.reached and description.header_bytes + received == len(data)
        for level in ("coarse", "intermediate", "fine"):
            assert data.startswith(truncate(data, level=level))
        for size in (header.size, (header.size + len(data)) // 2, max(header.size, len(data) - 1)):
            part = container.parse(truncate(data, max_bytes=size), None)
            assert part.header == header and part.size == size
            for cut, whole in zip(part.segments, stream.segments, strict=False):
                assert whole.payload.startswith(cut.payload) and cut.declared == whole.declared
    with named_errors():
        codec().decode_latent(data, max_pixels=PIXELS_MAX)


def sealed_container(data: bytes) -> None:
    """A sound header and right checksums around any payloads and lengths, decoded whole and in
    pieces.
    """
    source = Bytes(data)
    width, height, flags = 1 + source.number() % 64, 1 + source.number() % 64, source.number()
    stream = container.Header(width, height, codec().fingerprint, bool(flags & 1)).to_bytes()
    for _ in range(4):
        payload = source.take(source.number())
        more = source.number() if flags & 2 else 0  # a length that says more than there is
        segment = container.varint(len(payload) + more) + payload
        stream += segment + (container._crc(segment) if flags & 1 else b"")
        if more:
            break
    stream = stream[: len(stream) - (flags >> 4)]
    whole = told = None
    with named_errors():
        try:
            whole = codec().decode_latent(stream, max_pixels=PIXELS_MAX)
        except ProgcodecError as error:
            told = error
            raise
    with named_errors():
        try:
            decoder, at = StreamDecoder(codec=codec(), max_pixels=PIXELS_MAX), 0
            step = CHUNKS[(flags >> 2 & 3) + source.number() % 3]
            while at < len(stream):
                decoder.feed(stream[at : at + step])
                at += step
            piecewise = decoder.latent()
        except ProgcodecError as error:
            assert whole is None, f"refused in pieces only: {error!r}"
            raise
        assert whole is not None, f"refused in one piece only: {told!r}"
        assert piecewise.received == whole.received and piecewise.bits == whole.bits
        assert np.array_equal(piecewise.z, whole.z) and np.array_equal(piecewise.q, whole.q)


def segment(data: bytes) -> None:
    """Any payload under any runs: what is decoded is written as these bytes, in one piece and in
    many.
    """
    source = Bytes(data)
    runs = [(source.number() % 66, source.number(2) % 3000) for _ in range(source.number() % 6)]
    declared = source.number(2) % 700
    step = 1 + source.number() % 32
    payload = source.rest[:declared]
    tables = segment_tables()
    part = whole = None
    with named_errors():
        part = decode_segment(payload, declared, runs, tables)
        assert not len(part.symbols) or int(np.abs(part.symbols).max()) <= Q_MAX
        if len(payload) == declared:
            assert part.complete and encode_segment(part.symbols, runs, tables) == payload
    with named_errors():
        reader = SegmentReader(declared, sum(count for _, count in runs), tables)
        reader.add(runs)
        pieces = range(0, len(payload) + step, step)
        whole = np.concatenate([reader.extend(payload[:at]) for at in pieces])
    assert (part is None) == (whole is None), "one piece and many differ"
    if part is not None and whole is not None:
        assert np.array_equal(part.symbols, whole)


def raw_checkpoint(data: bytes) -> None:
    with named_errors():
        Checkpoint.load(written(data)).build()


def sealed_checkpoint(data: bytes) -> None:
    """A small checkpoint with edited tensors and any config text, under its right fingerprint."""
    source = Bytes(data)
    tensors = edited(small_checkpoint().tensors, source)
    text = source.rest.decode(errors="replace") or json.dumps(small_checkpoint().config.to_dict())
    path = written(b"")
    try:
        config = ModelConfig.from_dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        mark = "00000000"
    else:
        mark = Checkpoint(config, tensors).fingerprint.hex()
    path.write_bytes(save(tensors, {"format": assets.FORMAT, "config": text, "fingerprint": mark}))
    with named_errors():
        loaded = Codec(Checkpoint.load(path), "cpu")
        header = container.Header(20, 20, loaded.fingerprint)
        loaded.decode(header.to_bytes() + b"\x40" + b"\x55" * 30)


def raw_classifier(data: bytes) -> None:
    with named_errors():
        ClassifierFile.load(written(data)).build()


def sealed_classifier(data: bytes) -> None:
    """A classifier of four classes with edited tensors and any network's name, under its right
    digest.
    """
    source = Bytes(data)
    tensors = edited(small_classifier(), source)
    text = source.rest.decode(errors="replace") or NAME
    metadata = {"format": classifier_file.FORMAT, "network": text}
    metadata["digest"] = classifier_file.mark_of(text, tensors)
    path = written(save(tensors, metadata))
    with named_errors():
        loaded = ClassifierFile.load(path)
        logits = loaded.build()(torch.zeros(1, 3, 32, 32)).numpy()
        loaded.calibration.probabilities(logits, np.ones(1))


def hierarchy(data: bytes) -> None:
    with named_errors():
        tree = Hierarchy.load(written(data))
        table = tree.assignments
        assert table.shape == (len(tree.levels), len(tree.classes))
        assert tree.ancestors(0) == tuple(table[:, 0])
        tree.path(0), tree.children(tree.find(tree.levels[0][0].name)[0])
        tree.aggregate(np.ones(len(tree.classes)), 0)
        copy = written(tree.to_json().encode())
        assert Hierarchy.load(copy) == tree


TARGETS: tuple[Callable[[bytes], None], ...] = (
    raw_container,
    sealed_container,
    segment,
    raw_checkpoint,
    sealed_checkpoint,
    raw_classifier,
    sealed_classifier,
    hierarchy,
)


def run(data: bytes) -> None:
    """One input of the fuzzer."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


# --- what the targets work with -------------------------------------------------------------------


def edited(tensors: dict[str, torch.Tensor], source: Bytes) -> dict[str, torch.Tensor]:
    """Tensors with as many edits as the input's first byte says: bytes overwritten, dtypes and
    shapes changed, names lost.
    """
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    for _ in range(source.number() % 5):
        names = sorted(tensors)
        name = names[source.number() % len(names)]
        tensor, kind = tensors[name], source.number() % 6
        if kind < 2:
            content = tensor.flatten().view(torch.uint8)
            if content.numel():
                content[source.number(2) % content.numel()] = source.number()
                tensors[name] = content.view(tensor.dtype).reshape(tensor.shape)
        elif kind == 2:
            tensors[name] = tensor.to(DTYPES[source.number() % len(DTYPES)])
        elif kind == 3:
            tensors[name] = tensor.flatten()[: source.number()].clone()
        elif kind == 4:
            del tensors[name]
        else:
            tensors[source.take(source.number() % 30).decode(errors="replace")] = tensor.clone()
    return tensors


@lru_cache
def folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="progcodec-fuzz-")


def written(data: bytes) -> Path:
    path = Path(folder().name) / "input"
    path.write_bytes(data)
    return path


@lru_cache
def small_checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    config = ModelConfig(width=4, depth=1, inner_width=4, inner_depth=1, blocks=(3, 2, 2),
        hyper_channels=2, hyper_groups=(1, 1), mean_width=4,
                         scale_width=4, priorities=True)  # fmt: skip
    tables = {
        "tables.gaussian": torch.from_numpy(gaussian_frequencies()),
        "tables.hyper": torch.from_numpy(quantise_pmf(np.ones((2 * HYPER_CONTEXTS, ALPHABET)))),
        "tables.hyper_order": torch.arange(2, dtype=torch.int32),
        "tables.hyper_medians": torch.zeros(2),
        "tables.hyper_weights": torch.full((2, 3), 90, dtype=torch.int32),
        "tables.hyper_thresholds": torch.tensor([[[2, 9], [2, 9]]] * 2, dtype=torch.int32),
        PRIORITIES: (torch.arange(7 * 64).reshape(7, 64) * 11 % 256).to(torch.uint8),
    }
    return Checkpoint(config, freeze(Model(config)) | tables)


@lru_cache
def codec() -> Codec:
    return Codec(small_checkpoint(), "cpu")


@lru_cache
def segment_tables() -> Tables:
    """The Gaussian tables, and two lopsided ones."""
    steep = quantise_pmf(np.geomspace(1, 1e-12, ALPHABET)[None])
    return Tables(np.concatenate((gaussian_frequencies(), steep, steep[:, ::-1])))


@lru_cache
def small_classifier() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    calibration = Calibration.neutral(np.array([[0, 0, 1, 1], [0, 1, 2, 2]]))
    path = written(b"")
    ClassifierFile(NAME, EfficientNetLite(4).state_dict(), calibration).save(path)
    from safetensors.torch import load

    return load(path.read_bytes())
