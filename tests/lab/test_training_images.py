"""Where training images come from, and the crops taken of them."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("compressai")

from progcodec.errors import TrainingError
from progcodec.lab.train.dataset import InMemory, Picture, check_sides, load_pictures
from progcodec.lab.train.sampling import Ahead, CropSampler
from progcodec.lab.train.trainer import train
from tests.support.command import python
from tests.support.samples import file_of, tar_of
from tests.support.tiny_training import CROP, PHOTOGRAPH, settings


@pytest.fixture
def shards(tmp_path) -> Path:
    """A folder of five readable pictures, one of them in a folder below, and a .tar.gz and a .tar
    of the same.
    """
    members = [("notes.txt", b"no picture")]
    forms = {"a.png": "PNG", "b.jpg": "JPEG", "grey.png": "PNG", "deep/c.WEBP": "WEBP"}
    for number, (name, form) in enumerate(forms.items()):
        noise = np.random.default_rng(number).integers(0, 256, (70, 90, 3), np.uint8)
        picture = Image.fromarray(noise).convert("L" if name == "grey.png" else "RGB")
        members.append((name, file_of(picture, form)))
    members.append(("small.png", file_of(Image.fromarray(noise[:20, :20]))))
    members.append(("broken.jpg", dict(members)["b.jpg"][:200]))
    for name, data in members:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for suffix, mode in (("tar.gz", "w:gz"), ("tar", "w")):
        archive = tar_of(*((f"photos/{name}", data) for name, data in members), mode=mode)
        (tmp_path / f"all.{suffix}").write_bytes(archive)
    return tmp_path


def load_pixels(*arguments, **more) -> list[np.ndarray]:
    return [picture.pixels for picture in load_pictures(*arguments, **more)]


def test_images_from_folders_shards_globs_and_files(shards):
    def count(*patterns: str, min_side: int = 64, **more: int) -> int:
        images = load_pixels([str(shards / pattern) for pattern in patterns], min_side, **more)
        assert all(image.dtype == np.uint8 for image in images)
        assert all(image.shape in ((70, 90, 3), (20, 20, 3)) for image in images)
        return len(images)

    assert count("photos") == count("all.tar.gz") == count("all.tar") == 4
    assert count("photos", min_side=16) == 5
    assert count("all.*") == 8 and count("photos/*.png") == 2 and count("photos/**/*.WEBP") == 1
    assert count("photos/a.png", "all.tar") == 5
    assert count("photos", limit=2) == 2
    folder, shard = (load_pixels([str(shards / name)], 64) for name in ("photos", "all.tar.gz"))
    assert sorted(image.tobytes() for image in folder) == sorted(image.tobytes() for image in shard)


@pytest.mark.parametrize(
    "pattern", ["nothing", "no/*.jpg", "photos/notes.txt", "photos/broken.jpg", "photos/sm*"]
)
def test_no_usable_images(shards, pattern):
    with pytest.raises(TrainingError):
        train(settings(shards / "m.safetensors", data=(str(shards / pattern),)))
    assert not (shards / "m.safetensors").exists()


@pytest.mark.parametrize("name", ["all.tar.gz", "all.tar"])
def test_a_damaged_shard(shards, name):
    data = (shards / name).read_bytes()
    hole = data[:100] + bytes(500) + data[600:]
    for content in (b"", b"nonsense" * 200, data[: len(data) // 2], hole):
        (shards / name).write_bytes(content)
        try:
            # what lies before the damage may be used
            assert 1 <= len(load_pixels([str(shards / name)], 64)) <= 4
        except TrainingError as error:
            assert "\n" not in str(error)


def test_a_picture_of_absurd_size_is_one_unreadable_picture(shards, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(TrainingError, match="unreadable"):
        load_pixels([str(shards / "photos")], 64)


def in_memory(images: list[np.ndarray]) -> InMemory:
    return InMemory([Picture(image) for image in images])


def test_crops_depend_on_seed_and_key_alone():
    source = in_memory(load_pixels([PHOTOGRAPH], CROP))
    one, same, other = (CropSampler(source, CROP, 5, seed) for seed in (3, 3, 4))
    first = [one.at((step, 0)).pixels for step in range(4)]
    for crop in first:
        assert crop.shape == (5, 3, CROP, CROP) and crop.dtype == torch.uint8
        assert crop.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(first[step], same.at((step, 0)).pixels) for step in (2, 0, 3, 1))
    assert not torch.equal(first[0], other.at((0, 0)).pixels)
    assert not torch.equal(first[0], one.at((0, 1)).pixels)
    assert len({crop.numpy().tobytes() for batch in first for crop in batch}) == 20


@pytest.mark.filterwarnings("ignore:This DataLoader")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="other processes share the pictures by fork")
def test_batches_made_ahead_are_those_of_their_keys():
    sampler = CropSampler(in_memory(load_pixels([PHOTOGRAPH], CROP)), CROP, 3, 0)
    keys = [(step, number, 0) for step in range(7, 10) for number in range(2)]
    ahead = Ahead(sampler.at, 2, False)
    for place, key in enumerate(keys):
        asked = [key, (*key[:2], 1)] if place == 2 else [key]  # one step is tried twice
        for each in asked:
            batch = ahead.get(each, itertools.cycle(keys))
            assert torch.equal(batch.pixels, sampler.at(each).pixels)


def test_crops_fit_images_of_just_their_size():
    image = np.arange(CROP * CROP * 3, dtype=np.uint32).reshape(CROP, CROP, 3).astype(np.uint8)
    for crop in CropSampler(in_memory([image]), CROP, 20, 0).at((0,)).pixels:
        pixels = crop.permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, image) or np.array_equal(pixels, image[:, ::-1])


def test_pictures_that_are_too_small_are_told_from_their_heads(shards):
    for name in ("photos", "all.tar.gz"):
        check_sides([str(shards / name)], 64)
        with pytest.raises(TrainingError, match="at least 96 .* of 5 has 70: --crop 64 would do"):
            check_sides([str(shards / name)], 96)
    with pytest.raises(TrainingError, match="can be read"):
        check_sides([str(shards / "photos" / "broken*")], 16)


@pytest.mark.slow
def test_train_refuses_before_torch_is_loaded_and_no_library_warns(shards):
    """The last command trains: what it prints is its own line alone."""
    line = ["train", "--steps", "1", "--out", "t.safetensors", "--data"]
    tiny = ["--batch", "1", "--set", "config.width=8", "--set", "config.inner_width=8"]
    cases = {
        (*line, "photos"): "--crop 64 would do",
        (*line, "missing"): "missing: no such file, folder or pattern",
        (*line, "photos", "--resume", "x.state.pt"): "x.state.pt: no such file",
        (*line, "photos", "--crop", "64", *tiny): "",
    }
    script = (
        "import json, sys\nfrom click.testing import CliRunner\nfrom progcodec.cli import main\n"
        "for arguments in json.load(sys.stdin):\n"
        "    loaded = 'torch' in sys.modules\n"
        "    result = CliRunner().invoke(main, arguments)\n"
        "    print(json.dumps([result.exit_code, result.stderr, loaded]))\n"
    )
    done = python("-c", script, input=json.dumps(list(cases)), cwd=shards)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    for (arguments, words), (code, told, _) in zip(cases.items(), results, strict=True):
        assert words in told and code == bool(words), (arguments, told)
    assert not any(loaded for *_, loaded in results)  # each is asked before it runs
    assert results[-1][1] == "" and done.stderr == ""
