"""How the golden streams of format 1 were made. Adds what is missing; what is there is frozen.

python -m tests.golden.make_streams
"""

import json
import sys

from progcodec import __version__
from progcodec.codec.codec import Codec
from progcodec.viewer.demo import photograph
from tests.conftest import GOLDEN, GOLDEN_STREAMS
from tests.product.test_golden import digest


def streams(codec: Codec) -> dict[str, bytes]:
    picture = photograph()
    whole = codec.encode(picture.crop((100, 150, 196, 214)))
    return {
        "96x64": whole,
        **cuts(codec, whole),
        "50x33-no-checksums": codec.encode(picture.resize((50, 33)), checksums=False),
        "1x1": codec.encode(picture.resize((1, 1))),
        "17x130": codec.encode(picture.crop((300, 100, 317, 230))),
        "90x70-finer": codec.encode(picture.crop((100, 150, 190, 220)), quality=5),
        "90x70-coarser": codec.encode(picture.crop((100, 150, 190, 220)), quality=-4),
    }


def cuts(codec: Codec, whole: bytes) -> dict[str, bytes]:
    """Cut at two thirds; inside each refinement step of a coarse level that has several; inside
    a hyperlatent with a context.
    """
    config = codec.config
    if config.hyper_groups:
        larger = codec.encode(photograph().crop((300, 100, 560, 350)))
        positions = codec.decode_latent(larger).z[0].size
        prefixes = (larger[:size] for size in range(20, 150))
        inside = [
            prefix
            for prefix in prefixes
            if codec.decode_latent(prefix).received[0] in range(positions // 2, positions)
        ]
        return {"260x250-cut-in-hyperlatent": inside[0]}
    if config.steps[0] == 1:
        return {"96x64-cut": whole[: len(whole) * 2 // 3]}
    latent = codec.decode_latent(whole)
    positions = latent.q[0].size
    found = {}
    for step in range(config.steps[0]):
        start, end = (positions * channels for channels in config.offsets[step : step + 2])
        prefixes = (whole[:size] for size in range(14, len(whole)))
        inside = [
            prefix for prefix in prefixes if start < codec.decode_latent(prefix).received[1] < end
        ]
        found[f"96x64-cut-in-step-{step + 1}"] = inside[len(inside) // 2]
    return found


if __name__ == "__main__":
    frozen = True
    for checkpoint, prefix in GOLDEN_STREAMS.items():
        index = GOLDEN / f"{prefix}.json"
        facts = json.loads(index.read_text()) if index.exists() else {}
        codec = Codec.load(GOLDEN / f"{checkpoint}.safetensors", device="cpu")
        for name, data in streams(codec).items():
            if (full := f"{prefix}-{name}") in facts:
                continue
            frozen = False
            (GOLDEN / f"{full}.shc").write_bytes(data)
            facts[full] = {
                "bytes": len(data),
                "integers": digest(codec.decode_latent(data)),
                "written by": __version__,
            }
            index.write_text(json.dumps(facts, indent=1) + "\n")
    if frozen:
        sys.exit("all are there and frozen: they say what format 1 means")
