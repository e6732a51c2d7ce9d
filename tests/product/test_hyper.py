"""How the hyperlatent is coded: each symbol once, from what came before alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from progcodec.bitstream.hyper import HyperCoding
from progcodec.codec.codec import Codec
from progcodec.config import HYPER_CONTEXTS
from progcodec.errors import CheckpointError
from progcodec.network.checkpoint import Checkpoint
from tests.conftest import GOLDEN

RNG = np.random.default_rng(5)
ORDER = np.array([3, 0, 5, 1, 4, 2])
SIZES = [(1, 1), (1, 5), (5, 1), (2, 2), (5, 4), (8, 12)]


def coding(spread: int = 90) -> HyperCoding:
    weights = RNG.integers(-spread, spread, (6, 3)).astype(np.int32)
    thresholds = np.sort(RNG.integers(0, 300, (6, 2, 2)).astype(np.int32))
    return HyperCoding(ORDER, (1, 2, 3), weights, thresholds)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", [HyperCoding(ORDER), coding()], ids=["plain", "context"])
def test_each_place_once_and_from_what_came_before(made, size):
    seen = np.zeros(6 * size[0] * size[1], bool)
    for step in made.steps(*size):
        assert len(step.places) and not seen[step.places].any()
        if step.neighbours is not None and min(size) > 1:
            assert seen[step.neighbours].all()
        seen[step.places] = True
    assert seen.all()


def test_channels_come_in_their_order_without_a_context():
    made = HyperCoding(np.array([2, 0, 1]))
    (step,) = made.steps(2, 4)
    order, runs = made.coding_order(made.guess(np.zeros((1, 3, 2, 4), np.int8), step).rows[0])
    assert step.places[order].tolist() == [*range(16, 24), *range(16)]
    assert runs == [(2, 8), (0, 8), (1, 8)]


@pytest.mark.parametrize("size", SIZES)
def test_symbols_and_back(size):
    made, z = coding(), RNG.integers(-30, 31, (2, 6, *size)).astype(np.int8)
    symbols, built = np.zeros_like(z), np.zeros_like(z)
    for step in made.steps(*size):
        guess = made.guess(built, step)
        own = guess.symbols(z)
        symbols.reshape(2, -1)[:, step.places] = own
        guess.put(built, own)
    assert np.array_equal(built, z) and np.array_equal(made.restored(symbols), z)
    if size == (8, 12):
        assert not np.array_equal(symbols, z)


def test_coded_by_channel_then_table():
    made, z = coding(), RNG.integers(-30, 31, (1, 6, 8, 12)).astype(np.int8)
    step = made.steps(8, 12)[-1]
    rows = made.guess(z, step).rows[0]
    order, runs = made.coding_order(rows)
    coded = rows[order]
    rank = np.argsort(ORDER)[coded // HYPER_CONTEXTS] * HYPER_CONTEXTS + coded % HYPER_CONTEXTS
    assert (np.diff(rank) >= 0).all()
    assert (np.diff(order)[np.diff(rank) == 0] > 0).all()
    assert np.array_equal(np.repeat(*map(np.array, zip(*runs, strict=True))), coded)


def test_any_symbols_stay_in_the_alphabet():
    made = coding(2**15)
    z = made.restored(RNG.integers(-127, 128, (1, 6, 5, 7)).astype(np.int8))
    assert z.min() >= -127 and z.max() <= 127


def test_neighbours_at_an_edge_are_the_inner_ones():
    weights = np.tile(np.array([64, 64, 64], np.int32), (1, 1))
    made = HyperCoding(np.array([0]), (1,), weights, np.zeros((1, 2, 2), np.int32))
    z = np.zeros((1, 1, 2, 2), np.int8)
    z[0, 0] = 40, 20
    z[0, 0, 1, 1] = 8
    (_, corner, beside) = made.steps(2, 2)
    assert made.guess(z, corner).mean.tolist() == [[40]]
    # the right neighbour at the top: the corners above, below (twice 8) and left (twice 40)
    assert made.guess(z, beside).mean.tolist() == [[24, 24]]


@pytest.fixture(scope="module")
def context() -> Checkpoint:
    return Checkpoint.load(GOLDEN / "context.safetensors")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tables.hyper_weights", lambda tensor: tensor[:-1]),
        ("tables.hyper_weights", lambda tensor: tensor + 2**15),
        ("tables.hyper_thresholds", lambda tensor: tensor.long()),
        ("tables.hyper", lambda tensor: tensor[: len(tensor) // 10]),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(context, tmp_path, name, change):
    path = tmp_path / "changed.safetensors"
    changed = {name: change(context.tensors[name]).contiguous()}
    replace(context, tensors=context.tensors | changed).save(path)
    with pytest.raises(CheckpointError, match=name):
        Checkpoint.load(path)


def test_groups_count_the_channels(context):
    with pytest.raises(ValueError, match="hyper_groups"):
        replace(context.config, hyper_groups=(4, 4))


def test_a_batch_of_which_one_is_cut(context, photograph):
    codec = Codec(context, "cpu")
    pictures = [photograph.crop((x, 0, x + 200, 140)) for x in (0, 300)]
    first, second = codec.encode_batch(pictures)
    streams = [first[:20], second]
    together = codec.decode_latents(streams)
    for latent, data in zip(together, streams, strict=True):
        alone = codec.decode_latent(data)
        assert np.array_equal(latent.z, alone.z) and latent.received == alone.received
        assert torch.allclose(latent.y, alone.y, atol=1e-4)
        assert torch.equal(codec.assemble(alone.z[None], alone.q[None]), alone.y)
    assert together[0].received[0] < together[0].total[0]
