"""Coverage-guided fuzzing of everything that reads a file of somebody else's: streams, checkpoints,
classifiers, hierarchies.

    pip install atheris
    python fuzz/reader.py --minutes 10         # needs Linux and atheris; exit code 0: no finding
    python fuzz/reader.py --replay FILE...     # run inputs once, without atheris
    python fuzz/reader.py --merge FROM INTO    # the fewest inputs of FROM and of fuzz/corpus that
                                               # reach as much as all of them

New inputs are kept in ``--corpus`` (default: a temporary folder, beside the small one in
``fuzz/corpus``, which is only read). A finding ends the run; its input lies in ``--findings``. What
the targets promise stands in ``targets.py``.
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEDS = HERE / "corpus"
INPUT_MAX = 2000
TIMEOUT_SECONDS = 20
MEMORY_MB = 2048
FINDINGS = Path("fuzz-findings")


def main() -> None:
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    if "-merge_inner=1" in sys.argv:  # so libFuzzer starts this again, by its own arguments
        fuzz(sys.argv[1:], FINDINGS)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--corpus", type=Path, help="where new inputs are kept")
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--merge", nargs=2, type=Path, metavar=("FROM", "INTO"))
    options = parser.parse_args()
    if options.replay:
        import targets

        for path in options.replay:
            targets.run(path.read_bytes())
        return
    with tempfile.TemporaryDirectory(prefix="progcodec-corpus-") as temporary:
        source, into = options.merge or (None, options.corpus or Path(temporary))
        into.mkdir(parents=True, exist_ok=True)
        if source:
            arguments = ["-merge=1", str(into), str(SEEDS), str(source)]
        else:
            seconds = round(60 * options.minutes)
            arguments = [
                f"-max_total_time={seconds}",
                f"-seed={options.seed}",
                f"{into}",
                f"{SEEDS}",
            ]
        fuzz(arguments, options.findings)


def fuzz(arguments: list[str], findings: Path) -> None:
    """Runs libFuzzer, which ends the process."""
    import atheris
    import constriction  # noqa: F401  what is imported before is not watched
    import safetensors.torch  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with atheris.instrument_imports(include=["progcodec"]):
        import targets
    # What is built once (tables, models) must not count as what the first input reaches.
    for path in sorted(SEEDS.iterdir()):
        targets.run(path.read_bytes())

    def watched(data: bytes) -> None:
        try:
            targets.run(data)
        # kept by ourselves: a Python exception ends the run before libFuzzer keeps anything
        except BaseException:
            findings.mkdir(parents=True, exist_ok=True)
            path = findings / f"finding-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"the input is kept as {path}", file=sys.stderr)
            raise

    limits = [
        f"-timeout={TIMEOUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={INPUT_MAX}",
        f"-artifact_prefix={findings}/", f"-dict={HERE / 'reader.dict'}", "-print_final_stats=1",
    ]  # fmt: skip
    # the first is a command: to merge, libFuzzer starts it again
    atheris.Setup([f"{sys.executable} {Path(__file__).resolve()}", *limits, *arguments], watched)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
