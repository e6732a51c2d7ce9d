"""Tables, the hyperlatent's context and the order of symbols, fitted to what a model codes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from progcodec import assets
from progcodec.codec.codec import Codec
from progcodec.config import HYPER_CONTEXTS
from progcodec.errors import CheckpointError, TrainingError
from progcodec.lab.train.fit_priorities import fit_priorities
from progcodec.lab.train.fit_tables import fit_tables, hyper_groups
from progcodec.network.checkpoint import Checkpoint
from tests.conftest import GOLDEN
from tests.support.command import run


def crops(side: int, first: int, count: int) -> list[Image.Image]:
    with Image.open(assets.FOLDER / "china.jpg") as image:
        picture = np.asarray(image.convert("RGB"))
    tops = np.random.default_rng(first).integers(0, 427 - side, (count, 2))
    return [Image.fromarray(picture[top : top + side, left : left + side]) for top, left in tops]


@pytest.fixture(scope="module")
def plain() -> Checkpoint:
    return Checkpoint.load(GOLDEN / "steps.safetensors")


@pytest.fixture(scope="module")
def fitted(plain: Checkpoint) -> Checkpoint:
    return fit_tables(plain, crops(256, 0, 30))


def test_the_networks_stay(plain, fitted):
    same = [name for name in plain.tensors if not name.startswith("tables.")]
    assert all(torch.equal(plain.tensors[name], fitted.tensors[name]) for name in same)
    channels = plain.config.hyper_channels
    assert sum(fitted.config.hyper_groups) == channels
    assert len(fitted.tensors["tables.hyper"]) == channels * HYPER_CONTEXTS
    assert fitted.tensors["tables.hyper_weights"].abs().max() > 0
    assert fitted.metadata["recipe"].endswith("; tables of 30 pictures")


def test_other_pictures_of_the_kind_take_fewer_bits(plain, fitted):
    before, after = (
        np.array([[part.bits.sum() for part in Codec(one, "cpu").coded_segments([crop])[0]]
                  for crop in crops(256, 1, 4)]).sum(0)
        for one in (plain, fitted)
    )  # fmt: skip
    assert after[0] < before[0]
    assert after[1:].sum() < 0.96 * before[1:].sum()


def test_the_symbols_are_the_same(plain, fitted):
    (crop,) = crops(200, 2, 1)
    old, new = (
        codec.decode_latent(codec.encode(crop))
        for codec in (Codec(plain, "cpu"), Codec(fitted, "cpu"))
    )
    assert np.array_equal(old.z, new.z) and np.array_equal(old.q, new.q)


def test_fitting_again_forgets_what_was_fitted(plain, fitted):
    again = fit_tables(fitted, crops(256, 0, 30))
    assert again.fingerprint == fitted.fingerprint


def test_a_channel_that_nothing_shows_comes_last(plain):
    """Of each block one, cut off from the picture and from the means of later blocks."""
    blind = np.array(plain.config.offsets[:-1]) + 2
    tensors = {name: tensor.clone() for name, tensor in plain.tensors.items()}
    for name in ("synthesis.layers.0.weight", "mean_path.context.0.weight"):
        tensors[name][:, blind] = 0
    for name in (n for n in tensors if n.startswith("mean_path.delta.")):
        if name.endswith("skip.weight"):
            tensors[name][:, blind[blind < tensors[name].shape[1]]] = 0
        if name.endswith("enter.weight"):
            prefix = tensors[name][:, plain.config.mean_width :]
            prefix[:, blind[blind < prefix.shape[1]]] = 0
    changed = Checkpoint(plain.config, tensors, plain.metadata)
    ranked = fit_priorities(changed, crops(96, 0, 2))
    assert ranked.config.priorities
    priorities = ranked.tensors["tables.priorities"].int()
    for channel, (start, end) in zip(blind, pairwise(plain.config.offsets), strict=True):
        others = np.delete(np.arange(start, end), channel - start)
        assert (priorities[channel] <= priorities[others].amin(0)).all()
        assert priorities[channel, 20] < priorities[others, 20].median()
    assert (torch.diff(priorities, dim=1) >= 0).all()


def test_without_priorities_a_config_that_asks_for_them_is_refused(fitted, tmp_path):
    path = tmp_path / "lacking.safetensors"
    tensors = {k: v for k, v in fitted.tensors.items() if k != "tables.priorities"}
    Checkpoint(fitted.config, tensors, fitted.metadata).save(path)
    with pytest.raises(CheckpointError, match="tables.priorities"):
        Checkpoint.load(path)


def test_groups_count_the_channels():
    assert hyper_groups(40) == (1, 1, 1, 1, 2, 2, 4, 4, 8, 16)
    assert hyper_groups(1) == (1,)
    assert sum(hyper_groups(97)) == 97


def test_without_pictures(plain):
    with pytest.raises(TrainingError, match="no picture"):
        fit_tables(plain, [])


def test_the_command(tmp_path):
    out = tmp_path / "fitted.safetensors"
    photograph = assets.FOLDER / "china.jpg"
    given = "fit-tables", GOLDEN / "steps.safetensors", "--data", photograph, "-o", out
    run(*given)
    assert Checkpoint.load(out).config.hyper_groups
    run(*given, code=1)  # nothing is overwritten unasked
