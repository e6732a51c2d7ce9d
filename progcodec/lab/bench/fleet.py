"""Many small pictures: how fast one command encodes, decodes and classifies a folder, files in and
files out, beside

- *in memory*: the same batches by the codec alone, nothing read, compressed or written;
- *separate processes*: a command for each picture, one process for each core at a time. Only a few
  pictures go this way; what all would take is computed from them.

All take turns, so that whatever else the machine does falls on each. The commands' own start
counts.
"""

import io
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from progcodec.arrays import Pixels
from progcodec.codec.codec import Codec
from progcodec.errors import EvaluationError
from progcodec.image import to_array
from progcodec.lab.bench.measuring import timed
from progcodec.lab.bench.speed import run
from progcodec.lab.evaluate.pictures import load_pictures
from progcodec.lab.evaluate.tables import NOTHING, markdown


class Measured(NamedTuple):
    """Seconds of turns that were taken side by side.

    Attributes:
        pictures: in each turn. command: of one command for all of them. memory: in memory; empty
            where that is not measured.
        process: for each picture that had a process of its own, on average.
    """

    name: str
    pictures: int
    command: list[float]
    memory: list[float]
    process: float

    @property
    def over_processes(self) -> float:
        """How many times the throughput of separate processes."""
        return self.process * self.pictures / statistics.mean(self.command)

    def core_hours(self, cores: int) -> float:
        """For a million such pictures."""
        return 1_000_000 * cores * statistics.median(self.command) / self.pictures / 3600


def measure(
    pictures: Sequence[Pixels], *, model: str | None, classifier: str | None, device: str,
    batch: int, repeats: int, processes: int,
) -> list[Measured]:  # fmt: skip
    """All three commands on uint8 (S, S, 3) pictures, `processes` of them one by one."""
    codec = Codec.load(model, device)
    streams: list[bytes] = []
    for start in range(0, len(pictures), batch):
        streams += codec.encode_batch(pictures[start : start + batch])
    options = ["--device", device, *(["--model", model] if model else [])]
    answering = ["--format", "csv", *(["--classifier", classifier] if classifier else [])]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for suffix, made in (("jpg", map(_jpeg, pictures)), ("shc", streams)):
            (root / suffix).mkdir()
            for place, data in enumerate(made):
                (root / suffix / f"{place:05d}.{suffix}").write_bytes(data)
        writing = ["-o", str(root / "out") + os.sep, "--force", "--batch", str(batch)]
        encode = partial(_batches, codec.encode_batch, batch, pictures)
        decode = partial(_batches, codec.decode_batch, batch, streams)
        for name, source, more, memory in (
            ("encode", "jpg", writing, encode),
            ("decode", "shc", writing, decode),
            ("classify", "shc", answering, None),
        ):
            command = [sys.executable, "-m", "progcodec", name, *options, *more]
            files = sorted((root / source).iterdir())[:processes]
            whole, inside, single = [], [], 0.0
            for turn in range(repeats):
                whole.append(timed(partial(run, [*command, str(root / source)]))[1])
                if memory:
                    inside.append(timed(memory)[1])
                single += timed(partial(_separately, command, files[turn::repeats]))[1]
            found.append(Measured(name, len(pictures), whole, inside, single / len(files)))
    return found


def _batches(work: Callable[[Sequence[Any]], object], batch: int, items: Sequence[Any]) -> None:
    for start in range(0, len(items), batch):
        work(items[start : start + batch])


def _separately(command: list[str], files: list[Path]) -> None:
    """A process for each file, as many at once as there are threads."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(lambda file: run(["env", "OMP_NUM_THREADS=1", *command, str(file)]), files))


def crops(sources: Sequence[str], count: int, size: int) -> list[Pixels]:
    """So many squares, one of each picture that has room for it, then another one of each; the same
    where there is no more room.

    Raises EvaluationError where no picture has room.
    """
    pictures = [Image.fromarray(picture.pixels) for picture in load_pictures(sources)]
    fitting = [picture for picture in pictures if min(picture.size) >= size]
    if not fitting:
        raise EvaluationError(f"no picture of {size} x {size} pixels or more")
    found = []
    for number in range(count):
        step, picture = number // len(fitting), fitting[number % len(fitting)]
        x, y = (step * 37) % (picture.width - size + 1), (step * 53) % (picture.height - size + 1)
        found.append(to_array(picture.crop((x, y, x + size, y + size))))
    return found


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def table(found: Sequence[Measured]) -> str:
    rows = []
    for m in found:
        times = (statistics.median(s) if s else 0.0 for s in (m.command, m.memory))
        cells = [f"{m.pictures / time:.1f}" if time else NOTHING for time in times]
        rows.append([m.name, *cells, f"{1 / m.process:.2f}", f"{m.over_processes:.0f}"])
    head = ["pictures a second", "one command", "in memory", "separate processes", "times as fast"]
    return markdown(head, rows)


def report(sources: Sequence[str], *, count: int, size: int, **options: Any) -> Iterator[str]:
    found = measure(crops(sources, count, size), **options)
    cores = torch.get_num_threads()
    yield f"{count} pictures of {size} x {size}, batches of {options['batch']}, {cores} threads\n"
    yield table(found)
    cost = ", ".join(f"{m.core_hours(cores):.0f} core hours to {m.name}" for m in found)
    few = min(count, options["processes"])
    yield f"\nSeparate processes: computed from {few} of them. A million pictures: {cost}."
