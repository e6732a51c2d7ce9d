"""The head that reads latents: any size, any cut; its file; the built-in classifier."""

import dataclasses

import numpy as np
import pytest
import torch

from progcodec.bitstream.container import parse
from progcodec.classification import head_file
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier import load_classifier
from progcodec.classification.head_file import HeadFile
from progcodec.classification.latent import LatentClassifier
from progcodec.cut import truncate
from progcodec.errors import ClassifierError
from progcodec.network.head import HeadConfig, LatentHead

CLASSES = 12
GROUPS = np.array([[0] * 6 + [1] * 6, [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3])
SMALL = {"classes": CLASSES, "width": 16, "inner_width": 24, "inner_depth": 1}


@pytest.fixture(scope="module")
def tiny_head(tiny_codec) -> HeadFile:
    torch.manual_seed(0)
    config = HeadConfig(latent_channels=tiny_codec.config.latent_channels, **SMALL)
    head = LatentHead(config)
    torch.nn.init.normal_(head.leave.weight)  # an untrained head says about the same of everything
    codec = tiny_codec.fingerprint.hex()
    return HeadFile(
        config, head.state_dict(), Calibration.neutral(GROUPS), codec, {"licence": "none"}
    )


@pytest.fixture
def path(tiny_head, tmp_path):
    tiny_head.save(tmp_path / "head.safetensors")
    return tmp_path / "head.safetensors"


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (4, 4), (5, 6), (48, 32)])
def test_any_size(size):
    torch.manual_seed(0)
    head = LatentHead(HeadConfig(latent_channels=20, **SMALL)).eval()
    for scale in (0.0, 1.0, 1e4):
        logits = head(scale * torch.randn(3, 20, *size), torch.tensor([0.0, 3.5, 1e6]))
        assert logits.shape == (3, CLASSES) and torch.isfinite(logits).all()


def test_it_listens_to_the_bits():
    torch.manual_seed(0)
    head = LatentHead(HeadConfig(latent_channels=20, **SMALL)).eval()
    torch.nn.init.normal_(head.bits.weight)
    y = torch.randn(1, 20, 4, 4).expand(3, -1, -1, -1)
    few, more, same = head(y, torch.tensor([1.0, 30.0, 1.0]))
    assert torch.allclose(few, same) and not torch.allclose(few, more)


def test_the_default_head_is_small(tmp_path):
    config = HeadConfig()
    head = LatentHead(config)
    assert sum(parameter.numel() for parameter in head.parameters()) <= 3_000_000
    groups = np.stack((np.arange(1000) // 100, np.arange(1000) // 10))
    HeadFile(config, head.state_dict(), Calibration.neutral(groups), "00000000").save(
        tmp_path / "h.safetensors"
    )
    assert (tmp_path / "h.safetensors").stat().st_size <= 6_000_000


@pytest.mark.parametrize(
    "setting", [{"width": 0}, {"classes": 1.5}, {"depth": True}, {"dropout": 1.0}]
)
def test_bad_configs(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        HeadConfig(**setting)


def test_saved_and_loaded_it_says_the_same(tiny_codec, tiny_head, path, small_photograph):
    latent = tiny_codec.decode_latent(tiny_codec.encode(small_photograph))
    loaded = LatentClassifier.load(tiny_codec, path)
    assert loaded.classes == CLASSES and loaded.metadata == {"licence": "none"}
    mine = LatentClassifier(tiny_head).probabilities(tiny_codec, [latent])
    assert np.allclose(
        loaded.probabilities(tiny_codec, [latent]), mine, atol=5e-3
    )  # half precision
    by_name = load_classifier(f"builtin@{path}", tiny_codec)
    assert np.array_equal(
        by_name.probabilities(tiny_codec, [latent]), loaded.probabilities(tiny_codec, [latent])
    )


def test_any_cut_gives_probabilities(tiny_codec, tiny_head, small_photograph):
    classifier = LatentClassifier(tiny_head)
    data = tiny_codec.encode(small_photograph)
    start = parse(data).header_size
    rows, bits = [], []
    for n in {*range(start, len(data), 37), start + 1, len(data)}:
        latent = tiny_codec.decode_latent(data, max_bytes=n)
        rows.append(classifier.probabilities(tiny_codec, [latent])[0])
        bits.append(latent.bits)
    assert (
        np.isfinite(rows).all()
        and np.allclose(np.sum(rows, axis=1), 1, atol=1e-12)
        and np.min(rows) >= 0
    )
    assert np.array(rows).dtype == np.float64 and len(np.unique(np.round(rows, 6), axis=0)) > 5
    assert min(bits) == 0


def test_no_latents_no_rows(tiny_codec, tiny_head):
    assert LatentClassifier(tiny_head).probabilities(tiny_codec, []).shape == (0, CLASSES)


def test_latent_bits_are_those_of_the_payloads(tiny_codec, small_photograph):
    data = tiny_codec.encode(small_photograph)
    for n in range(parse(data).header_size, len(data) + 1, 23):
        expected = 8 * sum(len(segment.payload) for segment in parse(data[:n]).segments)
        assert tiny_codec.decode_latent(data[:n]).bits == expected
    assert tiny_codec.decode_latent(data).bits == pytest.approx(
        tiny_codec.estimate_bits(small_photograph), abs=4 * 8 + 8
    )


def test_bits_do_not_count_checksums(tiny_codec, small_photograph):
    bits = {
        tiny_codec.decode_latent(tiny_codec.encode(small_photograph, checksums=on)).bits
        for on in (True, False)
    }
    assert len(bits) == 1
    short = truncate(tiny_codec.encode(small_photograph), level="coarse")
    assert tiny_codec.decode_latent(short).bits < bits.pop()


def test_files_that_are_no_sound_head(tiny_codec, tiny_head, path, tiny_checkpoint, tmp_path):
    whole = path.read_bytes()
    place = len(whole) - 100
    for name, data, message in (
        ("short", whole[: len(whole) // 2], "cannot be read"),
        ("flipped", whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], "damaged"),
        ("empty", b"", "cannot be read"),
        ("checkpoint", tiny_checkpoint.read_bytes(), "not a classifier"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ClassifierError, match=message):
            LatentClassifier.load(tiny_codec, tmp_path / name)
    with pytest.raises(ClassifierError, match="no such classifier"):
        LatentClassifier.load(tiny_codec, tmp_path / "nothing.safetensors")
    other = dataclasses.replace(tiny_head, config=dataclasses.replace(tiny_head.config, width=17))
    other.save(tmp_path / "other")
    with pytest.raises(ClassifierError, match="do not fit"):
        LatentClassifier.load(tiny_codec, tmp_path / "other")


def test_another_codecs_head_is_refused(tiny_codec, tiny_head, tmp_path, small_photograph):
    stranger = dataclasses.replace(tiny_head, codec="01234567")
    stranger.save(tmp_path / "stranger")
    with pytest.raises(ClassifierError, match="01234567"):
        LatentClassifier.load(tiny_codec, tmp_path / "stranger")
    latent = tiny_codec.decode_latent(tiny_codec.encode(small_photograph))
    with pytest.raises(ClassifierError, match="01234567"):
        LatentClassifier(stranger).probabilities(tiny_codec, [latent])


def test_the_shipped_head_is_found_by_its_codec(tiny_codec, tiny_head, tmp_path, monkeypatch):
    monkeypatch.setattr(head_file, "FOLDER", tmp_path)
    with pytest.raises(ClassifierError, match="no built-in classifier"):
        LatentClassifier.load(tiny_codec)
    dataclasses.replace(tiny_head, codec="01234567").save(tmp_path / "a.safetensors")
    tiny_head.save(tmp_path / "b.safetensors")
    assert LatentClassifier.load(tiny_codec).name == "builtin"
    assert head_file.shipped("01234567").name == "a.safetensors"
