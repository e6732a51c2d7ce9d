"""Plays a .shc file over a slow link, and hangs up as soon as the answer is sure.

python examples/slow_link.py [photo.shc | photo.jpg]    2 kB/s, until the coarse group is sure
python examples/slow_link.py photo.shc --rate 500 --level intermediate --confidence 0.8

The clock is a real one: bytes are handed over no sooner than the link would bring them. Where the
computer needs longer for an answer than the link for the next bytes, the line says so, and what has
come meanwhile is taken at once.
"""

import argparse
import time
from pathlib import Path

import progcodec
from progcodec.api import StreamDecoder
from progcodec.codec.incremental import LevelComplete
from progcodec.image import open_image
from progcodec.viewer.demo import photograph


def play(data: bytes, rate: float, chunk: int, level: str, confidence: float, **options) -> int:
    """Feeds ``data`` at ``rate`` bytes a second; returns how many bytes it took until ``level`` was
    sure, or all.
    """
    decoder = StreamDecoder(model=options.pop("model", None))
    start, sent = time.monotonic(), 0
    while sent < len(data):
        following = min(sent + chunk, len(data))
        due = following / rate - (time.monotonic() - start)
        late = f"  (computing is {-due:.1f} s behind the link)" if due < 0 else ""
        time.sleep(max(0.0, due))
        there = int(rate * (time.monotonic() - start))  # more than was waited for, if late
        following = min(max(following, there), len(data))
        events = decoder.feed(data[sent:following])
        sent = following
        if decoder.header is None:
            continue
        answer = decoder.classify(confidence=confidence, **options)
        done = "".join(
            f"  [{event.level} complete]" for event in events if isinstance(event, LevelComplete)
        )
        now = time.monotonic() - start
        print(f"{now:6.1f} s  {sent:7,} bytes  {answer}{done}{late}", flush=True)
        asked = next(guess for guess in answer.path if guess.level == level)
        if asked.probability >= confidence:
            print(f"{level} is sure after {sent:,} of {len(data):,} bytes: {asked}")
            return sent
    print(f"all {len(data):,} bytes, and {level} is still unsure")
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="a .shc file, or a picture; default: the package's photograph",
    )
    parser.add_argument("--rate", type=float, default=2000, help="bytes a second (default 2000)")
    parser.add_argument(
        "--chunk", type=int, default=200, help="bytes that are waited for (default 200)"
    )
    parser.add_argument("--level", default="coarse", choices=("coarse", "intermediate", "fine"))
    parser.add_argument("--confidence", type=float, default=0.8)
    parser.add_argument(
        "--classifier", help="as for `progcodec classify`; default: the built-in one"
    )
    parser.add_argument("--model", help="checkpoint, if not the shipped one that wrote the file")
    given = parser.parse_args()
    options = {"classifier": given.classifier, "model": given.model}
    if given.file is not None and given.file.suffix == ".shc":
        data = given.file.read_bytes()
    else:
        picture = open_image(given.file) if given.file else photograph()
        data = progcodec.encode(picture, model=given.model)
    # Once before the clock starts, so that loading the models is not taken for a slow computer.
    progcodec.classify(data, max_bytes=64, classifier=given.classifier, model=given.model)
    play(data, given.rate, given.chunk, given.level, given.confidence, **options)


if __name__ == "__main__":
    main()
