"""How the golden streams of format 1 were made with `tiny.safetensors`. Adds what is missing; what is there is frozen.

python -m tests.golden.make_streams
"""

import json
import sys
from pathlib import Path

from progcodec import __version__
from progcodec.codec.codec import Codec
from progcodec.viewer.demo import photograph
from tests.product.test_golden import digest

HERE = Path(__file__).parent


def streams(codec: Codec) -> dict[str, bytes]:
    picture = photograph()
    whole = codec.encode(picture.crop((100, 150, 196, 214)))
    return {
        "v1-96x64": whole,
        "v1-96x64-cut": whole[: len(whole) * 2 // 3],
        "v1-50x33-no-checksums": codec.encode(picture.resize((50, 33)), checksums=False),
        "v1-1x1": codec.encode(picture.resize((1, 1))),
        "v1-17x130": codec.encode(picture.crop((300, 100, 317, 230))),
        "v1-90x70-finer": codec.encode(picture.crop((100, 150, 190, 220)), quality=5),
        "v1-90x70-coarser": codec.encode(picture.crop((100, 150, 190, 220)), quality=-4),
    }


if __name__ == "__main__":
    index = HERE / "v1.json"
    codec = Codec.load(HERE / "tiny.safetensors", device="cpu")
    facts = json.loads(index.read_text()) if index.exists() else {}
    missing = {name: data for name, data in streams(codec).items() if name not in facts}
    if not missing:
        sys.exit(f"{index} is frozen: it says what format 1 means")
    for name, data in missing.items():
        (HERE / f"{name}.shc").write_bytes(data)
        facts[name] = {
            "bytes": len(data),
            "integers": digest(codec.decode_latent(data)),
            "written by": __version__,
        }
    index.write_text(json.dumps(facts, indent=1) + "\n")
