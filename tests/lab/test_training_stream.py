"""Sets larger than memory: every picture once an epoch, each process its share, and on from where a
run stood.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("compressai")

from progcodec.errors import TrainingError
from progcodec.lab.train.dataset import load_pictures, records
from progcodec.lab.train.stream import Share, Stream
from progcodec.lab.train.trainer import train
from tests.support.samples import file_of, tar_of
from tests.support.tiny_training import few_start_crops, read_state, settings  # noqa: F401

RANDOM = np.random.default_rng(0)


def picture(number: int, side: int = 64) -> bytes:
    """A PNG whose first pixel holds its number."""
    pixels = np.full((side, side, 3), 9, np.uint8)
    pixels[0, 0] = number % 256, number // 256, 0
    return file_of(Image.fromarray(pixels))


@pytest.fixture
def data(tmp_path) -> Path:
    """Sixty pictures: 0–39 in four shards, 40–59 in a folder; and in each some that are no use."""
    useless = [("n9/small.png", picture(99, 16)), ("n9/broken.jpg", b"no"), ("n9/notes.txt", b"no")]
    for shard in range(4):
        pictures = [(f"n{shard}/{n}.png", picture(n)) for n in range(10 * shard, 10 * shard + 10)]
        suffix, mode = ("tar.gz", "w:gz") if shard % 2 else ("tar", "w")
        (tmp_path / f"s{shard}.{suffix}").write_bytes(tar_of(*pictures, *useless, mode=mode))
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    for n in range(40, 60):
        (tmp_path / "folder" / ("deep" if n % 2 else ".") / f"{n}.png").write_bytes(picture(n))
    return tmp_path


def stream(data: Path, share: Share = Share(), **more: object) -> Stream:  # noqa: B008
    sources = [str(data / "s*.tar*"), str(data / "folder")]
    return Stream(sources, 32, 5, share, **{"buffer": 7, **more})


def draw(source: Stream, count: int) -> list[int]:
    firsts = [source.draw(RANDOM).pixels[0, 0] for _ in range(count)]
    return [int(first[0]) + 256 * int(first[1]) for first in firsts]


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("buffer", [1, 7, 1000])
def test_every_picture_once_an_epoch(data, workers, buffer):
    source = stream(data, workers=workers, buffer=buffer)
    first, second = draw(source, 60), draw(source, 60)
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second and first != sorted(first)
    assert draw(stream(data, buffer=buffer), 60) == first  # threads change nothing


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shares_are_disjoint_and_complete(data, count):
    """Of whole shards where there are enough, else of members."""
    found: list[list[int]] = []
    for index in range(count):
        source, part = stream(data, Share(index, count)), []
        for (number,) in iter(lambda source=source: draw(source, 1), None):
            if source.position.epoch:
                break
            part.append(number)
        found.append(part)
    assert sorted(n for part in found for n in part) == list(range(60))
    assert all(len(part) >= 60 // count // 3 for part in found)


@pytest.mark.parametrize("taken", [0, 13, 59, 60, 75, 130])
def test_a_stream_goes_on_from_its_position(data, taken):
    source, same = stream(data), stream(data)
    draw(source, taken)
    again = stream(data, start=source.position, workers=2)
    assert draw(again, 70) == draw(same, taken + 70)[taken:]


def test_labels_of_webdataset_and_of_folders(tmp_path):
    members = [
        ("0001.cls", b"17"), ("0001.jpg", picture(1)), ("0002.jpg", picture(2)),
        ("0002.cls", b" 3\n"), ("0003.json", b"{}"), ("0003.png", picture(3)),
        ("n7/0001.png", picture(4)), ("0004.cls", b"bird"), ("0004.png", picture(5)),
    ]  # fmt: skip
    path = tmp_path / "web.tar"
    path.write_bytes(tar_of(*members))
    found = records(path, lambda name: 7 if "n7/" in name else None)
    labels = {"0001.jpg": 17, "0002.jpg": 3, "0003.png": None, "n7/0001.png": 7, "0004.png": None}
    expected = {f"web.tar/{name}": label for name, label in labels.items()}
    assert {record.name: record.label for record in found} == expected
    assert {record.label for record in records(path)} == {None}


def test_nothing_to_stream(data):
    with pytest.raises(TrainingError, match="too few"):
        Stream([str(data / "folder" / "40.png")], 32, 0, Share(1, 2))
    with pytest.raises(TrainingError, match="at least 500 pixels"):
        Stream([str(data / "folder")], 500, 0).draw(RANDOM)
    with pytest.raises(TrainingError, match="no such"):
        Stream([str(data / "nothing")], 32, 0)


def test_a_run_streams_what_exceeds_its_memory(data, tmp_path):
    folder = str(data / "folder")
    assert load_pictures([folder], 32, memory=10 * 64 * 64 * 3) is None
    assert len(load_pictures([folder], 32, memory=20 * 64 * 64 * 3)) == 20
    out, whole = tmp_path / "cut.safetensors", tmp_path / "whole.safetensors"
    given = {"data": (str(data / "s*"), folder), "memory_gb": 1e-5, "buffer": 7, "workers": 2,
             "log_steps": 1}  # fmt: skip
    train(settings(whole, steps=7, **given))
    train(settings(out, steps=4, **given))
    ((crops, pictures),) = read_state(out)["positions"]
    assert pictures is None
    # 40 to start from, 4 steps of 2, and useless ones between
    assert crops[0] == 0 and 48 <= crops[1] <= 56
    train(settings(out, steps=3, resume=f"{out}.state.pt", **given))
    assert read_state(out)["positions"] == read_state(whole)["positions"]
