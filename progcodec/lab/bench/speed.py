"""Speed beside other codecs, and where the time goes.

Times are medians; the codecs take turns in one process, on the same pictures, after a warm-up, so
that whatever else the machine does falls on all. The ratio is the median of the ratios of
neighbouring runs and the figure to trust. All go from a uint8 array to bytes and back. compressai's
models have random weights: trained ones have more to code, so the ratios favour them if anything.
"""

import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from progcodec.arrays import Pixels
from progcodec.codec.codec import Codec
from progcodec.codec.timing import stage_times
from progcodec.errors import EvaluationError
from progcodec.lab.bench.measuring import timed
from progcodec.lab.evaluate.peers import choose
from progcodec.lab.evaluate.peers.base import Peer
from progcodec.lab.evaluate.pictures import Picture, load_pictures
from progcodec.lab.evaluate.tables import markdown
from progcodec.lab.extras import extra

PEER_SETTINGS = {"jpeg": 46, "webp": 62, "jpeg2000": 0.9, "avif": 60, "jpegxl": 2.6}
"""Near the fine end of our files."""
LEARNED_STRIDE = 64
PROCESS_RUNS = 5
PEAK_SIZE = 1536


class Runner(NamedTuple):
    """A codec that races: from a uint8 array to bytes, or what it calls so, and back."""

    name: str
    encode: Callable[[Pixels], Any]
    decode: Callable[[Any], object]


class Race(NamedTuple):
    """Seconds of neighbouring runs in one direction: of ours, and of another codec."""

    name: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))


def ours(codec: Codec) -> Runner:
    return Runner("progcodec", codec.encode, codec.decode)


def peer(one: Peer) -> Runner:
    """A peer of the evaluation at one setting, in one thread."""
    setting = PEER_SETTINGS[one.key]
    return Runner(
        one.name, lambda pixels: one.encode(Image.fromarray(pixels), setting, 1), one.decode
    )


def learned() -> list[Runner]:
    """compressai's models, random weights. Raises EvaluationError without compressai."""
    with extra("evaluate", "comparing speed", EvaluationError), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from compressai.models import Elic2022Official
        from compressai.zoo import bmshj2018_hyperprior, mbt2018_mean
    builders = {
        "bmshj2018_hyperprior(quality=8)": partial(bmshj2018_hyperprior, quality=8),
        "mbt2018_mean(quality=8)": partial(mbt2018_mean, quality=8),
        "ELIC (compressai's Elic2022Official)": Elic2022Official,
    }
    return [_learned(name, build) for name, build in builders.items()]


def _learned(name: str, build: Callable[[], Any]) -> Runner:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build().eval()
    model.update(force=True)

    @torch.inference_mode()
    def encode(pixels: Pixels) -> Any:
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        bottom, right = (-side % LEARNED_STRIDE for side in pixels.shape[:2])
        return model.compress(
            torch.nn.functional.pad(image, (0, right, 0, bottom), mode="replicate")
        )

    @torch.inference_mode()
    def decode(coded: Any) -> Pixels:
        image = model.decompress(coded["strings"], coded["shape"])["x_hat"][0]
        pixels: Pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        return pixels

    return Runner(name, encode, decode)


def race(runners: Sequence[Runner], pictures: list[Picture], repeats: int) -> dict[str, list[Race]]:
    """Races by direction: in turns, ours first, after one unmeasured run each."""
    seconds: dict[str, list[list[float]]] = {
        way: [[] for _ in runners] for way in ("encode", "decode")
    }
    for turn, picture in enumerate([pictures[0], *(p for p in pictures for _ in range(repeats))]):
        for place, runner in enumerate(runners):
            coded, encode_s = timed(partial(runner.encode, picture.pixels))
            _, decode_s = timed(partial(runner.decode, coded))
            if turn:
                seconds["encode"][place].append(encode_s)
                seconds["decode"][place].append(decode_s)
    return {
        way: [Race(r.name, times[0], own) for r, own in zip(runners[1:], times[1:], strict=True)]
        for way, times in seconds.items()
    }


def races_table(races: dict[str, list[Race]]) -> str:
    first = races["encode"][0], races["decode"][0]
    rows = [["progcodec", *(cell for one in first for cell in (_ms(one.ours), ""))]]
    for pair in zip(races["encode"], races["decode"], strict=True):
        cells = (cell for one in pair for cell in (_ms(one.theirs), f"{one.ratio:.3f}"))
        rows.append([pair[0].name, *cells])
    return markdown(["", "encode (ms)", "ours / theirs", "decode (ms)", "ours / theirs"], rows)


def stages_table(codec: Codec, pictures: list[Picture]) -> str:
    """Each stage's share of encoding and of decoding; the codec is warm already."""
    sums: list[dict[str, float]] = [{}, {}]
    for picture in pictures:
        data = codec.encode(picture.pixels)
        actions: list[Callable[[], object]] = [
            partial(codec.encode, picture.pixels),
            partial(codec.decode, data),
        ]
        for total, action in zip(sums, actions, strict=True):
            with stage_times() as times:
                action()
            for name, seconds in times.items():
                total[name] = total.get(name, 0.0) + seconds
    rows = []
    for name in dict.fromkeys([*sums[0], *sums[1]]):
        rows.append([name])
        for total in sums:
            seconds, whole = total.get(name, 0.0), sum(total.values())
            rows[-1] += [f"{1e3 * seconds / len(pictures):.1f}", f"{100 * seconds / whole:.1f} %"]
    return markdown(["stage", "encode (ms)", "share", "decode (ms)", "share"], rows)


def operations(codec: Codec, picture: Picture) -> str:
    """Multiply-adds a pixel, and their speed beside that of a large matrix product."""
    a, b = torch.rand(PEAK_SIZE, PEAK_SIZE), torch.rand(PEAK_SIZE, PEAK_SIZE)
    peak = PEAK_SIZE**3 / min(timed(lambda: a @ b)[1] for _ in range(PROCESS_RUNS))
    data = codec.encode(picture.pixels)
    told = []
    for name, action in (
        ("encode", partial(codec.encode, picture.pixels)),
        ("decode", partial(codec.decode, data)),
    ):
        with FlopCounterMode(display=False) as counter:
            action()
        operations = counter.get_total_flops() / 2
        speed = operations / min(timed(action)[1] for _ in range(PROCESS_RUNS))
        told.append(
            f"{name}: {operations / picture.size:,.0f} multiply-adds a pixel, "
            f"{speed / 1e9:.1f} · 10⁹ a second ({100 * speed / peak:.0f} % of a matrix product's "
            f"{peak / 1e9:.1f})"
        )
    return "; ".join(told)


def process_times(codec: Codec, picture: Picture) -> dict[str, float]:
    """Median seconds of whole processes, and of an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "picture.shc"), Path(folder, "cut.shc")
        source.write_bytes(codec.encode(picture.pixels))
        program = [sys.executable, "-m", "progcodec"]
        cut = ["truncate", str(source), "--bytes", "200", "-o", str(target), "--force"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "progcodec --help": [*program, "--help"],
            "progcodec truncate": [*program, *cut],
            "progcodec info": [*program, "info", str(source)],
        }
        return {name: _median(partial(run, line)) for name, line in commands.items()}


def _median(action: Callable[[], object]) -> float:
    """Seconds, the first run left out."""
    return statistics.median([timed(action)[1] for _ in range(PROCESS_RUNS + 1)][1:])


def run(command: Sequence[str]) -> None:
    """Raises EvaluationError with what a command says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EvaluationError(f"{' '.join(command)} failed: {done.stderr.strip()}")


def report(
    sources: Sequence[str], *, model: str | None, limit: int, repeats: int, threads: int,
    everyone: bool,
) -> Iterator[str]:  # fmt: skip
    """Tables as they get done.

    Args:
        everyone: race against all of compressai's three models and the other peers, not its
            hyperprior alone.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pictures = load_pictures(sources, limit=limit)
        # the others code on the CPU only, so this is where all race
        codec = Codec.load(model, "cpu")
        runners = [ours(codec), *learned()[: None if everyone else 1]]
        if everyone:
            choice = choose(",".join(PEER_SETTINGS))
            yield from (f"left out: {line}" for line in choice.missing)
            runners += map(peer, choice.peers)
        yield f"{codec}, {len(pictures)} pictures, {repeats} runs each, {threads} threads\n"
        yield races_table(race(runners, pictures, repeats)) + "\n"
        yield stages_table(codec, pictures) + "\n"
        yield operations(codec, pictures[0]) + "\n"
        times = process_times(codec, pictures[0])
        yield markdown(["whole process", "ms"], [[name, _ms([s])] for name, s in times.items()])
    finally:
        torch.set_num_threads(before)


def _ms(seconds: Sequence[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.0f}"
