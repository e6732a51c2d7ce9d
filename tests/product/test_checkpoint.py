"""Checkpoints: what a fingerprint depends on, what loading refuses, and what the package ships."""

import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from progcodec import assets
from progcodec.assets import FORMAT, available, check, find
from progcodec.codec.codec import Codec
from progcodec.config import ModelConfig
from progcodec.errors import CheckpointError, WrongModelError
from progcodec.network.checkpoint import TABLES, Checkpoint
from tests.support.samples import flipped

ONE_MAX, ALL_MAX = 16_000_000, 24_000_000
"""Bytes of one shipped checkpoint, and of all: what a download of the package may cost."""


@pytest.fixture(scope="module")
def tiny(tiny_checkpoint) -> Checkpoint:
    return Checkpoint.load(tiny_checkpoint)


def changed(checkpoint: Checkpoint, name: str, tensor: torch.Tensor | None) -> Checkpoint:
    """With a tensor replaced, or dropped."""
    kept = {key: value for key, value in checkpoint.tensors.items() if key != name}
    return replace(checkpoint, tensors=kept if tensor is None else {**kept, name: tensor})


def refusal(path, loader=Codec.load) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        loader(path)
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def rewritten(tiny: Checkpoint, path, **metadata: str) -> None:
    """A file with the right tensors and other metadata, as no `save` of ours would write it."""
    config = json.dumps(tiny.config.to_dict())
    own = {"format": FORMAT, "config": config, "fingerprint": tiny.fingerprint.hex()}
    given = {name: value for name, value in {**own, **metadata}.items() if value}
    save_file(tiny.tensors, path, given)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


# --- round trip -----------------------------------------------------------------------------------


def test_round_trip(tiny, path):
    replace(tiny, metadata={"data": "none", "licence": "any"}).save(path)
    back = Checkpoint.load(path)
    assert back.config == tiny.config and back.fingerprint == tiny.fingerprint
    assert back.metadata == {"data": "none", "licence": "any"}
    assert set(back.tensors) == set(tiny.tensors)
    for name, tensor in tiny.tensors.items():
        assert back.tensors[name].dtype == tensor.dtype and torch.equal(back.tensors[name], tensor)
    assert os.listdir(path.parent) == [path.name]


def test_build_is_the_file_in_float32_and_takes_no_gradient(tiny):
    model = tiny.build()
    state = model.state_dict()
    assert set(state) == set(tiny.tensors) - set(TABLES)
    for name, tensor in state.items():
        assert torch.equal(tensor, tiny.tensors[name].to(tensor.dtype))
        assert tensor.dtype == torch.float32 or name.startswith("scale_path.")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


# --- fingerprint ----------------------------------------------------------------------------------


def test_the_fingerprint_depends_on_every_tensor(tiny):
    for name, tensor in tiny.tensors.items():
        other = tensor.clone()
        other.view(torch.uint8).view(-1)[-1] ^= 1  # one bit
        assert changed(tiny, name, other).fingerprint != tiny.fingerprint, name


def test_the_fingerprint_depends_on_names_shapes_types_and_config_alone(tiny):
    name = "analysis.layers.1.bias"
    tensor = tiny.tensors[name]
    rest = {key: value for key, value in tiny.tensors.items() if key != name}
    others = [
        replace(tiny, tensors={**rest, name + "x": tensor}),
        replace(tiny, tensors={**rest, name: tensor[None]}),
        replace(tiny, tensors={**rest, name: tensor.view(torch.int16)}),
        replace(tiny, tensors=rest),
        replace(tiny, config=replace(tiny.config, depth=2)),
        replace(tiny, config=replace(tiny.config, blocks=tiny.config.blocks[::-1])),
    ]
    prints = {checkpoint.fingerprint for checkpoint in [tiny, *others]}
    assert len(prints) == len(others) + 1 and {len(value) for value in prints} == {4}
    assert replace(tiny, metadata={"licence": "another"}).fingerprint == tiny.fingerprint
    backwards = dict(reversed(tiny.tensors.items()))
    assert replace(tiny, tensors=backwards).fingerprint == tiny.fingerprint
    # layout in memory is no content
    tensors = tiny.tensors.items()
    strided = {key: x.mT.contiguous().mT if x.ndim == 2 else x for key, x in tensors}
    assert replace(tiny, tensors=strided).fingerprint == tiny.fingerprint


# --- refusals -------------------------------------------------------------------------------------


def test_not_a_checkpoint(tiny, path):
    assert "no such checkpoint" in refusal(path)
    assert "cannot be read" in refusal(path.parent)
    for content in (b"", b"nonsense", b"\xff" * 100, bytes(8) + b"{}", b"PK\x03\x04" + bytes(50)):
        path.write_bytes(content)
        assert "cannot be read" in refusal(path)
    save_file({"weight": torch.zeros(3)}, path)
    assert "not a checkpoint of this package" in refusal(path)
    rewritten(tiny, path, format="progcodec-checkpoint-9")
    assert "not a checkpoint of this package" in refusal(path)


def test_a_damaged_file(tiny_checkpoint, path):
    data = tiny_checkpoint.read_bytes()
    for at in (len(data) // 3, len(data) // 2, len(data) - 1):
        path.write_bytes(flipped(data, at))
        assert "damaged" in refusal(path)
    for size in (4, 8, 500, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        refusal(path)


@pytest.mark.parametrize(
    "config",
    [
        "", "{", "[]", "5", "null", '{"width": 0}', '{"width": "wide"}', '{"width": 16.5}',
        '{"depth": 5000}', '{"family": "heavy"}', '{"blocks": [1, 2]}', '{"blocks": 7}',
        '{"blocks": [12.5, 8, 8]}', '{"blocks": [100000000, 8, 8]}', '{"blocks": [4000, 4000, 8]}',
        '{"colour": 1}',
    ],
)  # fmt: skip
def test_a_wrong_config(tiny, path, config):
    rewritten(tiny, path, config=config)
    assert "unusable config" in refusal(path)


@pytest.mark.parametrize(
    "name",
    ["synthesis.layers.0.weight", "scale_path.body.multiplier", "mean_path.spread", *TABLES],
)
def test_a_tensor_missing_or_of_the_wrong_shape_or_type(tiny, path, name):
    """The line names the tensor, or nobody could tell what is wrong with the file."""
    tensor = tiny.tensors[name]
    others = [None, tensor[:-1].clone()]
    if name in TABLES:
        others.append(tensor.to(torch.bfloat16))
    for other in others:
        changed(tiny, name, other).save(path)
        assert name in refusal(path)


def test_tensors_too_many_or_of_another_model(tiny, path):
    changed(tiny, "mean_path.spread.more", torch.zeros(1)).save(path)
    assert "mean_path.spread.more" in refusal(path)
    replace(tiny, config=ModelConfig.from_dict({**tiny.config.to_dict(), "width": 24})).save(path)
    assert "do not fit" in refusal(path)
    zeros = torch.zeros_like(tiny.tensors["tables.hyper_order"])
    changed(tiny, "tables.hyper_order", zeros).save(path)
    assert "permutation" in refusal(path)


@pytest.mark.parametrize("name", ["tables.gaussian", "tables.hyper"])
def test_unsound_frequencies(tiny, path, name):
    good = tiny.tensors[name].to(torch.int64)
    raised, floored = good.clone(), good.clone()
    raised[0, 127] += 1
    floored[0, 127] += good[0, 0]
    floored[0, 0] = 0
    for bad in (raised, floored):
        changed(tiny, name, bad.to(torch.uint32)).save(path)
        assert "frequency" in refusal(path)


def test_a_scale_path_over_the_accumulator_limit(tiny, path):
    """Beyond 2^24, sums are no longer exact in every arithmetic, and streams would depend on the
    machine.
    """
    weight = tiny.tensors["scale_path.body.weight"]
    room = 2**24 - 1 - int(weight[0].long().abs().sum() * 255)

    def save(name: str, place: int, value: int) -> None:
        tensor = tiny.tensors[f"scale_path.body.{name}"].clone()
        tensor[place] = value
        changed(tiny, f"scale_path.body.{name}", tensor).save(path)

    for value in (room, -room):
        save("bias", 0, value)
        Codec.load(path, "cpu")
    for value in (room + 1, -room - 1, -(2**31)):
        save("bias", 0, value)
        assert "2^24" in refusal(path)
    for value in (0, -1, 2**24 + 1):
        save("multiplier", -1, value)
        assert "multiplier" in refusal(path)


# --- finding --------------------------------------------------------------------------------------


def test_find():
    with pytest.raises(CheckpointError, match="nobody"):
        find("nobody")
    with pytest.raises(WrongModelError, match="00000000"):
        find(None, bytes(4))
    assert str(find("some/where")) == "some/where" and str(find("a.safetensors")) == "a.safetensors"
    # a name that is given wins over the fingerprint
    assert str(find("a.safetensors", bytes(4))) == "a.safetensors"


def test_find_by_name_and_fingerprint_among_several(tiny, tmp_path, monkeypatch):
    name = "tables.hyper_medians"
    other = changed(tiny, name, tiny.tensors[name] + 1)
    for stem, checkpoint in (("first", tiny), ("second", other)):
        checkpoint.save(tmp_path / f"{stem}.safetensors")
    monkeypatch.setattr(assets, "CHECKPOINTS", tmp_path)
    assert find("second") == tmp_path / "second.safetensors"
    assert find(None, tiny.fingerprint).stem == "first"
    assert find(None, other.fingerprint).stem == "second"
    with pytest.raises(CheckpointError, match="first, second"):
        find()  # the default is not among them


def test_what_a_file_is_is_known_from_its_head(tiny, tiny_checkpoint, tmp_path):
    mark = tiny.fingerprint.hex()
    assert check(tiny_checkpoint, tiny.fingerprint) == check(tiny_checkpoint) == mark
    with pytest.raises(WrongModelError, match=f"00000000, not {tiny.fingerprint.hex()}"):
        check(tiny_checkpoint, bytes(4))
    head = tiny_checkpoint.read_bytes()[:4000]
    for number, data in enumerate(
        (b"", b"nonsense", b"\xff" * 9, head, b"\x02" + bytes(7) + b"{}")
    ):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="checkpoint"):
            check(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        check(tmp_path / "missing.safetensors")


# --- what the package ships -----------------------------------------------------------------------


def test_shipped_checkpoints_are_there_and_small():
    shipped = available()
    assert "lite" in [checkpoint.name for checkpoint in shipped], (
        "a package without weights cannot encode"
    )
    assert find().stem == "lite"
    sizes = [checkpoint.path.stat().st_size for checkpoint in shipped]
    assert max(sizes) <= ONE_MAX and sum(sizes) <= ALL_MAX
    assert len({checkpoint.fingerprint for checkpoint in shipped}) == len(shipped)


def test_shipped_checkpoints_load_and_say_what_they_came_from():
    for shipped in available():
        codec = Codec.load(shipped.path, "cpu")
        assert codec.fingerprint.hex() == shipped.fingerprint
        assert codec.metadata["data"].strip() and codec.metadata["licence"].strip()
        assert int(codec.metadata["steps"]) > 0
        assert find(None, codec.fingerprint) == shipped.path


def test_a_loaded_codec_does_not_change_with_its_file(tiny_checkpoint, tmp_path, photograph):
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    codec = Codec.load(path, "cpu")
    small = photograph.resize((64, 48))
    before = codec.encode(small)
    with path.open("r+b") as file:  # in place, as cp does: whatever is mapped from the file changes
        file.seek(2000)
        file.write(bytes(range(256)) * ((path.stat().st_size - 2000) // 256))
    assert codec.encode(small) == before
