"""A PyTorch Dataset that reads .shc files no further than a byte budget: the same folder serves
every budget.

python examples/dataset_from_shc.py                      tiles of the package's photograph
python examples/dataset_from_shc.py photo.jpg            tiles of a picture
python examples/dataset_from_shc.py FOLDER --bytes 1500  a folder of .shc files of one size
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import progcodec.pillow
from progcodec.viewer.demo import photograph


class ShcFolder(Dataset):
    """Pictures of the .shc files below a folder, float32 (3, H, W) in [0, 1]; of each file at most
    `max_bytes` are read.
    """

    def __init__(self, folder, max_bytes=None, model=None, device="cpu"):
        self.paths = sorted(Path(folder).rglob("*.shc"))
        self.options = {"max_bytes": max_bytes, "model": model, "device": device}

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with progcodec.pillow.open(self.paths[index], **self.options) as image:
            return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


def encode_tiles(picture, folder, model, side=96):
    """Writes the four tiles around the picture's middle as .shc files."""
    folder.mkdir(exist_ok=True)
    x, y = picture.width // 2 - side, picture.height // 2 - side
    for number in range(4):
        left, top = x + number % 2 * side, y + number // 2 * side
        picture.crop((left, top, left + side, top + side)).save(
            folder / f"tile-{number}.shc", model=model
        )
    return folder


def main():
    parser = argparse.ArgumentParser(
        description="Read .shc files as a PyTorch Dataset, at several byte budgets."
    )
    parser.add_argument(
        "source", nargs="?", help="a folder of .shc files of one size, or a picture to make one of"
    )
    parser.add_argument(
        "--bytes", type=int, nargs="+", default=[100, 400, 100_000], help="budgets for each file"
    )
    parser.add_argument("--model", help="checkpoint, if not the one that comes with progcodec")
    parser.add_argument("--workers", type=int, default=0, help="processes that decode")
    options = parser.parse_args()
    source = Path(options.source) if options.source else None
    if source is None or not source.is_dir():
        picture = Image.open(source) if source else photograph()
        source = encode_tiles(picture, Path("streams"), options.model)

    whole = torch.stack(list(ShcFolder(source, model=options.model)))
    for budget in options.bytes:
        loader = DataLoader(
            ShcFolder(source, budget, options.model), batch_size=2, num_workers=options.workers
        )
        batches = torch.cat(list(loader))
        error = (batches - whole).square().mean().clamp_min(1e-12)
        print(
            f"{budget:>7,} bytes a file: {tuple(batches.shape)}, {-10 * error.log10():.1f} dB "
            "from the whole files"
        )


if __name__ == "__main__":
    main()
