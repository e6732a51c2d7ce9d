"""How `tiny.safetensors` was made: a few hundred steps on the photograph that the package brings. Refuses to overwrite.

python -m tests.golden.make_tiny
"""

import sys
from pathlib import Path

from progcodec import assets
from progcodec.config import ModelConfig
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.trainer import train

HERE = Path(__file__).parent
TINY = ModelConfig(width=16, depth=1, inner_width=24, inner_depth=1, blocks=(12, 8, 8), hyper_channels=8,
                   mean_width=16, scale_width=16)  # fmt: skip

if __name__ == "__main__":
    out = HERE / "tiny.safetensors"
    if out.exists():
        sys.exit(f"{out} is frozen: golden files depend on it")
    train(TrainSettings(data=(str(assets.FOLDER / "china.jpg"),), out=str(out),
                        steps=150, crop=64, batch=4, config=TINY, device="cpu", log_steps=100,
                        description="one CC-BY photograph"))  # fmt: skip
