"""Many small pictures: ``python -m progcodec.lab.bench.throughput --images photos/ [--count 500] [--size 256]``.

How fast folders of pictures are encoded and decoded, and their streams classified, files in and files out, beside

- *the network alone*: the same passes on the same batches with as many threads, pictures in memory, nothing read, ordered,
  coded, compressed or written. What stands between is what reading, range coding and writing cost in spite of running beside it.
- *separate processes*: ``progcodec encode`` once for each picture, one process for each core at a time. Only ``--processes``
  pictures go this way; what all would take is computed from them.

All three take turns, ``--repeats`` times, so that whatever else the machine does falls on each.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from PIL import Image

from progcodec.arrays import Ints, Pixels
from progcodec.classification.classifier import BUILTIN, Specification
from progcodec.classification.pixel import PixelClassifier
from progcodec.codec.codec import Codec
from progcodec.codec.walk import Reply, Step
from progcodec.errors import EvaluationError, ProgcodecError
from progcodec.files import write_whole
from progcodec.fleet.answering import Answer
from progcodec.fleet.flow import Limits, Loaded, Stages, Threads, flow
from progcodec.fleet.operation import Decode, Encode, Operation, computing_with, limits_on
from progcodec.image import from_tensor, to_array
from progcodec.lab.evaluate.sources import read_pictures
from progcodec.lab.evaluate.tables import markdown


class Measured(NamedTuple):
    """Seconds of turns that were taken side by side, for one direction.

    Attributes:
        pictures: in each turn.
        engine, network: of each turn.
        process: for each picture that had a process of its own, on average.
        threads: that each of them had.
    """

    direction: str
    pictures: int
    engine: list[float]
    network: list[float]
    process: float
    threads: int

    @property
    def of_network(self) -> float:
        """Throughput as a share of what the network alone reaches."""
        return statistics.median(
            network / engine for engine, network in zip(self.engine, self.network, strict=True)
        )

    @property
    def over_processes(self) -> float:
        """How many times the throughput of separate processes."""
        return self.process * self.pictures / statistics.mean(self.engine)

    @property
    def core_hours(self) -> float:
        """For a million such pictures."""
        return 1_000_000 * self.threads * statistics.median(self.engine) / self.pictures / 3600


class _Files:
    """An operation on files, with nothing but reading and writing around it."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self._operation, self._folder = operation, folder

    def load(self, job: Path) -> Loaded:
        return self._operation.load(job.read_bytes())

    def run(self, contents: Sequence[Any], threads: Threads) -> Sequence[Any]:
        return self._operation.run(contents, threads)

    def finish(self, job: Path, made: object) -> None:
        write_whole(
            str(self._folder / job.with_suffix(self._operation.suffix).name),
            self._operation.finish(made).data,
        )


class _Network:
    """Only the passes: of encoding pictures, of decoding latents, or of classifying what is decoded."""

    def __init__(self, codec: Codec, direction: str, classifier: PixelClassifier) -> None:
        self._codec, self._encode = codec, direction == "encode"
        self._classifier = classifier if direction == "classify" else None

    def load(self, job: object) -> Loaded:
        return Loaded(None, 1, job)

    def finish(self, job: object, made: object) -> None:
        return None

    @torch.inference_mode()
    def run(self, contents: Sequence[Any], threads: Threads) -> Sequence[Any]:
        walker = self._codec.walker
        with computing_with(threads):
            if self._encode:
                x = (
                    torch.cat(list(contents))
                    .to(self._codec.device)
                    .contiguous(memory_format=torch.channels_last)
                )
                y = walker.analysis(x)
                z = _integers(walker.hyper_analysis(y) - walker.medians)
            else:
                z, q = (np.concatenate(parts) for parts in zip(*contents, strict=True))

            def reply(step: Step) -> Reply:
                if step.mean is None:
                    values = z
                elif self._encode:
                    values = _integers(y[:, step.channels] - step.mean)
                else:
                    values = q[:, step.channels]
                return values, [True] * len(contents)

            height, width = (y if self._encode else q).shape[2:]
            hat = walker.walk(reply, [0] * len(contents), height, width)
            if not self._encode:
                x = walker.synthesis(hat.contiguous(memory_format=torch.channels_last)).cpu()
                if self._classifier is not None:
                    self._classifier.logits([from_tensor(picture) for picture in x])
        return contents


def measure(
    pictures: Sequence[Pixels],
    *,
    model: str | None,
    device: str,
    batch: int,
    repeats: int,
    processes: int,
) -> list[Measured]:
    """All three directions. Pictures are uint8 (S, S, 3), S a multiple of 16; `processes` pictures go through separate processes."""
    codec = Codec.load(model, device)
    classifier = PixelClassifier.load(Specification.parse(BUILTIN), device)
    limits = limits_on(device, batch)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("in", "shc", "out", "answers", "single"):
            (root / name).mkdir()
        for place, pixels in enumerate(pictures):
            (root / "in" / f"{place:05d}.jpg").write_bytes(_jpeg(pixels))
        encode, decode, classify = (
            Encode(model, device),
            Decode(model, device),
            Answer(model, device),
        )
        tensors = [
            torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 for pixels in pictures
        ]
        found = []
        for direction, operation, source, target in (
            ("encode", encode, "in", "shc"),
            ("decode", decode, "shc", "out"),
            ("classify", classify, "shc", "answers"),
        ):
            files = sorted((root / source).iterdir())
            inputs = (
                tensors
                if direction == "encode"
                else [_latent(codec, file.read_bytes()) for file in files]
            )
            stages, network = (
                _Files(operation, root / target),
                _Network(codec, direction, classifier),
            )
            _seconds(partial(_through, files[:batch], stages, limits))  # loads the model, warms up
            singles = files[:processes]
            by_files: list[float] = []
            by_network: list[float] = []
            by_process = 0.0
            for turn in range(repeats):
                by_files.append(_seconds(partial(_through, files, stages, limits)))
                by_network.append(_seconds(partial(_through, inputs, network, limits)))
                by_process += _processes(
                    direction, singles[turn::repeats], root / "single", model, device, limits
                )
            found.append(
                Measured(
                    direction,
                    len(files),
                    by_files,
                    by_network,
                    by_process / len(singles),
                    limits.threads,
                )
            )
    return found


def _through(jobs: Sequence[Any], stages: Stages[Any], limits: Limits) -> None:
    for _, _, error in flow(jobs, stages, limits):
        if error is not None:
            raise error


def _processes(
    direction: str, files: list[Path], folder: Path, model: str | None, device: str, limits: Limits
) -> float:
    """Seconds for files that have a process each, as many at once as there are threads."""
    options = [
        *([] if direction == "classify" else ["-o", str(folder) + os.sep, "--force"]),
        "--device",
        device,
        *(["--model", model] if model else []),
    ]

    def one(file: Path) -> None:
        command = [sys.executable, "-m", "progcodec", direction, str(file), *options]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
        if done.returncode:
            raise EvaluationError(f"{' '.join(command)} failed: {done.stderr.strip()}")

    def all_of_them() -> None:
        with ThreadPoolExecutor(limits.threads) as pool:
            list(pool.map(one, files))

    return _seconds(all_of_them)


def crops(sources: Sequence[str], count: int, size: int) -> list[Pixels]:
    """So many squares, one of each picture that has room for it, then another one of each; the same where there is no more room.

    Raises EvaluationError where no picture has room. ProgcodecError, ImageError: as :func:`read_pictures`.
    """
    found: list[Pixels] = []
    pictures = [Image.fromarray(picture.pixels) for picture in read_pictures(sources)]
    step = 0
    while len(found) < count:
        fitting = 0
        for picture in pictures:
            if min(picture.size) < size:
                continue
            fitting += 1
            x = (step * 37) % (picture.width - size + 1)
            y = (step * 53) % (picture.height - size + 1)
            found.append(to_array(picture.crop((x, y, x + size, y + size))))
        if not fitting:
            raise EvaluationError(f"no picture of {size} x {size} pixels or more")
        step += 1
    return found[:count]


def _latent(codec: Codec, data: bytes) -> tuple[Ints, Ints]:
    latent = codec.decode_latent(data)
    return latent.z[None], latent.q[None]


def _integers(values: torch.Tensor) -> Ints:
    return values.round().clamp_(-127, 127).to(torch.int32).cpu().numpy()


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def _seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def table(found: Sequence[Measured]) -> str:
    rows = [
        [m.direction, f"{m.pictures / statistics.median(m.engine):.1f}", f"{m.pictures / statistics.median(m.network):.1f}",
         f"{100 * m.of_network:.0f} %", f"{1 / m.process:.2f}", f"{m.over_processes:.0f}"]
        for m in found
    ]  # fmt: skip
    head = [
        "pictures a second",
        "files to files",
        "network alone",
        "share",
        "separate processes",
        "times as fast",
    ]
    return markdown(head, rows)


@click.command(
    help="Throughput of folders of pictures, beside the network alone and beside separate processes."
)
@click.option(
    "--images",
    "sources",
    multiple=True,
    required=True,
    help="Picture, folder, glob or tar; repeatable.",
)
@click.option("--model", default=None, help="Checkpoint name or path.  [default: the shipped one]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--count", type=click.IntRange(min=1), default=500, show_default=True)
@click.option(
    "--size",
    type=click.IntRange(min=16),
    default=256,
    show_default=True,
    help="Pixels a side; a multiple of 16.",
)
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Turns.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Pictures for separate processes.",
)
def main(sources: tuple[str, ...], count: int, size: int, **options: Any) -> None:
    if size % 16:
        raise click.UsageError("--size must be a multiple of 16.")
    try:
        found = measure(crops(sources, count, size), **options)
    except ProgcodecError as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"{count} pictures of {size} x {size}, batches of {options['batch']}, {torch.get_num_threads()} threads\n"
    )
    click.echo(table(found))
    cost = ", ".join(f"{m.core_hours:.0f} core hours to {m.direction}" for m in found)
    click.echo(
        f"\nSeparate processes: computed from {min(count, options['processes'])} of them. A million pictures: {cost}."
    )


if __name__ == "__main__":
    main()
