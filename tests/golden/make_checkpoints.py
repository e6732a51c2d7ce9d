"""How the golden checkpoints were made: some steps on the package's photograph. Frozen once there.

python -m tests.golden.make_checkpoints
"""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

from progcodec import assets
from progcodec.config import ModelConfig
from progcodec.lab.train.fit_tables import fit_tables
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.trainer import train
from progcodec.network.checkpoint import Checkpoint
from progcodec.viewer.demo import photograph

HERE = Path(__file__).parent
TINY = ModelConfig(width=16, depth=1, inner_width=24, inner_depth=1, blocks=(12, 8, 8),
    hyper_channels=8,
                   mean_width=16, scale_width=16)  # fmt: skip
CONFIGS = {
    "tiny": TINY,
    "steps": replace(
        TINY, blocks=(4, 12, 8, 8), steps=(2, 1, 1), hyper_channels=12, hyper_linear=4
    ),
}

if __name__ == "__main__":
    if not (HERE / "priorities.safetensors").exists():
        windows = product(range(0, 171, 57), range(0, 385, 96))
        squares = [photograph().crop((x, y, x + 256, y + 256)) for y, x in windows]
        steps = Checkpoint.load(HERE / "steps.safetensors")
        # "context" was made likewise, when that was all that was fitted
        fit_tables(steps, squares).save(HERE / "priorities.safetensors")
    missing = [name for name in CONFIGS if not (HERE / f"{name}.safetensors").exists()]
    if not missing:
        sys.exit("all are there and frozen: golden files depend on them")
    for name in missing:
        train(TrainSettings(data=(str(assets.FOLDER / "china.jpg"),),
                            out=str(HERE / f"{name}.safetensors"), steps=150, crop=64, batch=4,
                            config=CONFIGS[name], device="cpu", log_steps=100,
                            description="one CC-BY photograph"))  # fmt: skip
