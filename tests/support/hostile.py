"""Run as a script, under limits of its own: every hostile file must be refused with a named error
before it costs anything.

    python -m tests.support.hostile FOLDER HEADROOM_MB

prints a line of JSON: what each case raised.

Address space is limited to what the process has once everything is loaded, plus the headroom; torch
alone maps some GB.
"""

import json
import resource
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from click.testing import CliRunner

from progcodec import assets
from progcodec.api import StreamDecoder
from progcodec.bitstream import container
from progcodec.bitstream.description import info
from progcodec.classification import classifier_file, libraries
from progcodec.classification.classifier import Specification
from progcodec.classification.classifier_file import ClassifierFile
from progcodec.cli import main as cli
from progcodec.codec.codec import Codec
from progcodec.config import ModelConfig
from progcodec.cut import truncate
from progcodec.hierarchy.hierarchy import FORMAT, Hierarchy
from progcodec.lab.bench.measuring import MIB, peak_memory
from progcodec.network.checkpoint import Checkpoint
from tests.support.nightly import nightly

TINY = Path(__file__).parents[1] / "golden" / "tiny.safetensors"
CPU_SECONDS = 120
STARVED_BYTES = 96 << 20
STARVED_SIDE = 10_000


def safetensors(header: dict, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tree(levels: list, classes: list) -> str:
    return json.dumps({"format": FORMAT, "version": 1, "levels": levels, "classes": classes})


def cases(folder: Path, codec: Codec) -> dict[str, tuple[str, Callable[[], object]]]:
    """Each case: the error that it must raise, and what raises it."""
    found: dict[str, tuple[str, Callable[[], object]]] = {}

    def file(name: str, content: bytes | str) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def head(side: int) -> bytes:
        return container.Header(side, side, codec.fingerprint).to_bytes()

    big, vast, small = head(16_383), head(container.MAX_SIDE), head(64)
    for name, error, attempt in (
        ("16383 x 16383 in a few bytes", "LimitError", lambda: codec.decode(big + bytes(4))),
        ("the same, piece by piece", "LimitError", lambda: StreamDecoder(codec=codec).feed(big)),
        ("the largest sides there are", "LimitError", lambda: codec.decode(vast)),
        ("a length of 4 GB", "CorruptError",
         lambda: codec.decode(small + b"\x8f\xff\xff\xff\x7f" + bytes(60))),
        ("a length that no symbols need", "CorruptError",
         lambda: codec.decode(small + b"\x8f\xff\x7f" + bytes(60))),
        ("one of 100 GB, to be described", "CorruptError",
         lambda: info(vast + b"\xff" * 5 + bytes(60))),
    ):  # fmt: skip
        found[name] = error, attempt

    # What is refused is the file's claim; that the file itself is small is the point.
    plain = {"a": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}}
    wraps = {"a": {"dtype": "F32", "shape": [1 << 33, 1 << 33], "data_offsets": [0, 0]}}
    nested = {"format": assets.FORMAT, "config": "[" * 100_000, "fingerprint": "00000000"}
    files = {
        "a tensor of 4 TB": safetensors(plain),
        "a tensor whose size wraps around": safetensors(wraps),
        "a header of 2^63 bytes": safetensors({}, length=1 << 63),
        "a header longer than the file": safetensors({}, length=90_000_000),
        "a deeply nested header": struct.pack("<Q", 200_000) + b"[" * 200_000,
        "a nested config": safetensors({"__metadata__": nested}),
    }
    for kind, error, load in (
        ("checkpoint", "CheckpointError", Checkpoint.load),
        ("classifier", "ClassifierError", ClassifierFile.load),
    ):
        for name, content in files.items():
            path = file(f"{kind}-{name}.safetensors", content)
            found[f"{kind}: {name}"] = error, partial(load, path)

    tiny = Checkpoint.load(TINY)
    for name, sizes in {
        "wide": {"width": 4096, "inner_width": 4096, "mean_width": 4096, "scale_width": 4096},
        "deep": {"depth": 4096, "inner_depth": 4096},
        "wide and deep": {"width": 4096, "inner_width": 4096, "depth": 60},
    }.items():
        path = folder / f"{name}.safetensors"
        config = ModelConfig.from_dict({**tiny.config.to_dict(), **sizes})
        Checkpoint(config, tiny.tensors).save(path)
        attempt = partial(Codec.load, path, "cpu")
        found[f"a {name} model in a small file"] = "CheckpointError", attempt

    for name, network in {
        "of a nested name": "[" * 100_000,
        "that fetches code": "timm:resnet50?pretrained_cfg={'url': 'https://example.org/a.pth'}",
        "of many classes": "timm:resnet50?num_classes=1000000000",
        "without weights": classifier_file.NAME,
    }.items():
        path = folder / f"classifier {name}.safetensors"
        ClassifierFile(network, {}, _calibration()).save(path)
        attempt = partial(libraries.load, Specification.parse(f"builtin@{path}"))
        found[f"a classifier {name}"] = "ClassifierError", attempt

    group = tree([[{"name": "@", "parent": None}]], [])
    levels = [[{"name": f"g{n}", "parent": 0 if n else None}] for n in range(20_000)]
    parent = '[{"name": "c", "wnid": null, "parent": ' + "9" * 1_000_000 + "}]}"
    for name, text in {
        "nested for ever": "[" * 1_000_000,
        "nested in a name": group.replace('"@"', "[" * 900 + "]" * 900),
        "of 20,000 levels": tree(levels, [{"name": "c", "wnid": None, "parent": 0}] * 20_000),
        "with a parent of a million digits": group.replace("[]}", parent),
    }.items():
        path = file(f"tree-{name}.json", text)
        attempt = lambda path=path: Hierarchy.load(path).assignments
        found[f"a hierarchy {name}"] = "HierarchyError", attempt
    # cost nothing
    assert truncate(vast + bytes(2), max_bytes=len(vast)) == vast
    assert info(vast).width == container.MAX_SIDE
    return found


def _calibration():
    import numpy as np

    from progcodec.classification.calibration import Calibration

    return Calibration.neutral(np.zeros((2, 1000), np.int64))


def memory(codec: Codec, side: int, payload: bytes) -> float:
    """Peak in bytes a pixel of what a header and a few bytes take when the limits allow the
    picture.
    """
    before = peak_memory()
    codec.decode(container.Header(side, side, codec.fingerprint).to_bytes() + payload)
    return (peak_memory() - before) * MIB / side**2


def starved(folder: Path, codec: Codec) -> tuple[int, str]:
    """Exit code and stderr of the command line when a picture that the limits allow does not fit
    the memory there is.
    """
    (folder / "bare.shc").write_bytes(
        container.Header(STARVED_SIDE, STARVED_SIDE, codec.fingerprint).to_bytes()
    )
    command = ["decode", str(folder / "bare.shc"), "--model", str(TINY), "--device", "cpu"]
    result = CliRunner().invoke(cli, command)
    return result.exit_code, result.stderr or repr(result.exception)


def allow(more: int) -> None:
    """Limits the address space to what is mapped by now and ``more`` bytes."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + more, resource.RLIM_INFINITY))


def main() -> None:
    folder, headroom = Path(sys.argv[1]), int(sys.argv[2]) << 20
    codec = Codec.load(TINY, "cpu")
    # so that what is built once is there
    codec.decode(container.Header(64, 64, codec.fingerprint).to_bytes())
    side = nightly(2000, 6300)
    # a whole segment of five bytes, of which two arrived
    bare, torn = memory(codec, side, b""), memory(codec, side, bytes([5, 0, 0]))
    prepared = cases(folder, codec)
    allow(headroom)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS,) * 2)
    results = {}
    for name, (_, attempt) in prepared.items():
        try:
            attempt()
            told = "nothing"
        except Exception as error:  # noqa: BLE001  which class it is, is the answer
            told = type(error).__name__
            assert len(str(error)) < 1000 and "\n" not in str(error), name
        results[name] = told
    # What the cases have left behind is not the command's fault. So little that the first large
    # array does not fit: with more, memory may end anywhere, and where it ends in a library written
    # in Rust, that aborts the process.
    allow(STARVED_BYTES)
    told = starved(folder, codec)
    wanted = {name: error for name, (error, _) in prepared.items()}
    report = {"wanted": wanted, "results": results, "bare": bare, "torn": torn, "starved": told}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
