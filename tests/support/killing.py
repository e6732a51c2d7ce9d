"""kill -9 in the middle of batches: ``python -m tests.support.killing FOLDER COUNT``, one line of
JSON about each command.

The commands run in forks of this process, which has torch loaded: so a kill hits the work and not
the start of Python. Each fork is a process group of its own and is killed with all it has started,
at a random moment of the time that the work takes. Then every file that is visible must be whole: a
killed run may leave hidden siblings, and nothing else that an earlier run had not.
"""

import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from progcodec.bitstream import container
from progcodec.cli import main as cli
from progcodec.errors import ProgcodecError

TINY = Path(__file__).parents[1] / "golden" / "tiny.safetensors"
FILES = 40
PAYLOAD = 150_000
"""Bytes of a stream's last segment: enough to be caught while it is written."""


PATIENCE = 600.0
"""Seconds after which a run that nobody disturbs has hung."""


class Killed(NamedTuple):
    """What became of the runs: ``amid`` left some outputs and not all, ``torn`` left a half-written
    sibling behind.
    """

    command: str
    kills: int
    late: int
    amid: int
    torn: int


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    model = ("--model", str(TINY), "--device", "cpu")
    streams, pictures, cut = (folder / name for name in ("streams", "pictures", "cut"))
    for path in (streams, pictures, cut):
        path.mkdir(parents=True)
    rng = np.random.default_rng(0)
    header = container.Header(128, 128, b"abcd")
    wholes = {}
    for n in range(FILES):
        wholes[f"{n}.shc"] = container.write(
            header, [rng.bytes(50), rng.bytes(500), rng.bytes(5000), rng.bytes(PAYLOAD)]
        )
        (streams / f"{n}.shc").write_bytes(wholes[f"{n}.shc"])
        Image.fromarray(rng.integers(0, 256, (40, 30 + n % 2, 3), dtype=np.uint8)).save(
            pictures / f"{n}.png"
        )
    budget = PAYLOAD
    for command, arguments, sound in (
        (
            "truncate",
            ("truncate", streams, "--bytes", budget),
            lambda path: path.read_bytes() == wholes[first(path)][:budget],
        ),
        ("encode", ("encode", pictures, *model), whole_stream),
        ("decode", ("decode", folder / "out-encode", *model), whole_picture),
    ):
        print(
            json.dumps(
                harass(command, arguments, folder / f"out-{command}", sound, count)._asdict()
            ),
            flush=True,
        )


def harass(
    command: str, arguments: tuple, out: Path, sound: Callable[[Path], bool], count: int
) -> Killed:
    """Runs a command ``count`` times and kills it: over nothing, resuming that, and over what is
    there; at last undisturbed.
    """
    rng = random.Random(command)
    run(arguments, out, None)
    start = time.perf_counter()
    run((*arguments, "--force"), out, None)
    duration = time.perf_counter() - start
    late = amid = torn = 0
    for number in range(count):
        options = ("--force", "--resume") if number % 3 == 1 else ("--force",)
        if number % 3 == 0:
            clear(out)
        before = visible(out)
        ended = run((*arguments, *options), out, rng.uniform(0, duration))
        names = visible(out)
        for name in names:
            assert sound(out / name), f"{command}: {name} is not whole after kill {number}"
        assert before <= names, f"{command}: kill {number} lost {before - names}"
        late += ended
        amid += 0 < len(names) < FILES
        torn += any(out.glob(".*.tmp"))
    run((*arguments, "--force", "--resume"), out, None)
    names = visible(out)
    assert len(names) == FILES and all(sound(out / name) for name in names), (
        f"{command}: the last run is not complete"
    )
    assert not any(out.glob(".*.tmp")), f"{command}: a killed run's siblings stay for ever"
    return Killed(command, count, late, amid, torn)


def run(arguments: tuple, out: Path, kill_after: float | None) -> bool:
    """Runs the command line in a fork.

    Whether it ended by itself; without a kill it must have succeeded.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1) if kill_after is None else (0, 1, 2):
            os.dup2(null, descriptor)
        try:
            torch.set_num_threads(1)
            code = cli(
                [str(argument) for argument in (*arguments, "-o", f"{out}/")], standalone_mode=False
            )
        except BaseException as error:  # noqa: BLE001  nothing may return into the parent's code
            print(repr(error), file=sys.stderr)
            code = 1
        os._exit(code or 0)
    end = time.monotonic() + (PATIENCE if kill_after is None else kill_after)
    while time.monotonic() < end and not os.waitid(
        os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
    ):
        time.sleep(0.002)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # not yet a group of its own
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    ended = os.WIFEXITED(status)
    assert kill_after is not None or (ended and os.WEXITSTATUS(status) == 0), (
        f"{arguments[0]} failed: {status}"
    )
    return ended


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def first(path: Path) -> str:
    return path.name.split(".")[0] + ".shc"


def whole_stream(path: Path) -> bool:
    try:
        segments = container.parse(path.read_bytes()).segments
    except ProgcodecError:
        return False
    return len(segments) == 4 and all(segment.verified for segment in segments)


def whole_picture(path: Path) -> bool:
    try:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    except (OSError, SyntaxError):
        return False
    return image.size in ((30, 40), (31, 40))


if __name__ == "__main__":
    main()
