"""Coverage-guided fuzzing of everything that reads a file of somebody else's: streams, checkpoints,
heads, hierarchies.

    pip install atheris
    python fuzz/reader.py --minutes 10         # needs Linux and atheris; exit code 0: no finding
    python fuzz/reader.py --replay FILE...     # run inputs once, without atheris
    python fuzz/reader.py --minimise FOLDER    # fuzz/corpus anew: the smallest that reach as much

New inputs are kept in ``--corpus`` (default: a temporary folder, beside the small one in
``fuzz/corpus``, which is only read). A finding ends the run; its input lies in ``--findings``. What
the targets promise stands in ``targets.py``.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
SEEDS = HERE / "corpus"
PACKAGE = HERE.parent / "progcodec"
INPUT_MAX = 2000
TIMEOUT_SECONDS = 20
MEMORY_MB = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--corpus", type=Path, help="where new inputs are kept")
    parser.add_argument(
        "--findings",
        type=Path,
        default=Path("fuzz-findings"),
        help="where inputs that break a promise go",
    )
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--minimise", type=Path, metavar="FOLDER", help="inputs from here and from fuzz/corpus"
    )
    options = parser.parse_args()
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    if options.replay:
        import targets

        for path in options.replay:
            targets.run(path.read_bytes())
    elif options.minimise:
        minimise(options.minimise)
    else:
        fuzz(options.minutes, options.corpus, options.findings, options.seed)


def fuzz(minutes: float, corpus: Path | None, findings: Path, seed: int) -> None:
    import atheris
    import constriction  # noqa: F401  what is imported before is not watched
    import safetensors.torch  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with atheris.instrument_imports(include=["progcodec"]):
        import targets
    with tempfile.TemporaryDirectory(prefix="progcodec-corpus-") as temporary:
        folder = corpus or Path(temporary)
        for path in (folder, findings):
            path.mkdir(parents=True, exist_ok=True)
        # What is built once (tables, models) must not count as what the first input reaches.
        for path in sorted(SEEDS.iterdir()):
            targets.run(path.read_bytes())

        def watched(data: bytes) -> None:
            try:
                targets.run(data)
            # kept by ourselves: a Python exception ends the run before libFuzzer keeps anything
            except BaseException:
                path = findings / f"finding-{hashlib.sha256(data).hexdigest()[:12]}"
                path.write_bytes(data)
                print(f"the input is kept as {path}", file=sys.stderr)
                raise

        arguments = [
            f"-max_total_time={round(60 * minutes)}",
            f"-timeout={TIMEOUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-max_len={INPUT_MAX}",
            f"-artifact_prefix={findings}/",
            f"-dict={HERE / 'reader.dict'}",
            f"-seed={seed}",
            "-print_final_stats=1",
            str(folder),
            str(SEEDS),
        ]
        atheris.Setup([sys.argv[0], *arguments], watched)
        atheris.Fuzz()


def minimise(folder: Path) -> None:
    """Keeps, smallest first, each input that runs a line after a line as no smaller one did."""
    import targets

    inputs = {
        path.read_bytes() for place in (folder, SEEDS) for path in place.iterdir() if path.is_file()
    }
    for data in inputs:  # once for what is built once
        targets.run(data)
    seen: set[Any] = set()
    kept = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        reached = arcs(targets.run, data) - seen
        if reached:
            seen |= reached
            kept.append(data)
    replace(SEEDS, kept)
    print(f"{len(kept)} of {len(inputs)} inputs, {sum(map(len, kept)):,} bytes, {len(seen):,} arcs")


def arcs(run: Any, data: bytes) -> set[tuple[str, int, int]]:
    """Which line of the package followed which while one input ran, by target."""
    found: set[tuple[str, int, int]] = set()
    place = str(PACKAGE)

    def trace(frame: FrameType, event: str, _: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(place):
            return None
        last = 0

        def line(frame: FrameType, event: str, _: object) -> Any:
            nonlocal last
            found.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line

    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(None)
    return found


def replace(folder: Path, inputs: Iterable[bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


if __name__ == "__main__":
    main()
