"""Frozen streams decode to the integers that they were written from, for ever."""

import hashlib
import json
from itertools import pairwise

import numpy as np

from progcodec.bitstream.description import info
from progcodec.codec.codec import Codec
from progcodec.codec.latent import Latent
from tests.conftest import GOLDEN, GOLDEN_STREAMS

FINGERPRINTS = {
    "tiny": "d9cf40c4", "steps": "02598e30", "context": "172d69ac", "priorities": "5f435969",
}  # fmt: skip


def digest(latent: Latent) -> str:
    """SHA-256 over the decoded integers: shapes, received counts, ẑ, q."""
    hasher = hashlib.sha256(repr((latent.z.shape, latent.q.shape, latent.received)).encode())
    for values in (latent.z, latent.q):
        hasher.update(np.ascontiguousarray(values, dtype=">i4").tobytes())
    return hasher.hexdigest()


def read(codec: Codec, name: str) -> Latent:
    return codec.decode_latent((GOLDEN / f"{GOLDEN_STREAMS[codec.name]}-{name}.shc").read_bytes())


def test_integers(golden_codec):
    fingerprint, prefix = FINGERPRINTS[golden_codec.name], GOLDEN_STREAMS[golden_codec.name]
    assert golden_codec.fingerprint.hex() == fingerprint
    facts = json.loads((GOLDEN / f"{prefix}.json").read_text())
    assert len(facts) >= 7 and {p.stem for p in GOLDEN.glob(f"{prefix}-*.shc")} == set(facts)
    for name, fact in facts.items():
        data = (GOLDEN / f"{name}.shc").read_bytes()
        assert len(data) == fact["bytes"]
        assert info(data).fingerprint == fingerprint
        assert digest(golden_codec.decode_latent(data)) == fact["integers"], name


def test_the_streams_are_not_empty_of_meaning(golden_codec):
    latent = read(golden_codec, "96x64")
    for start, end in pairwise(golden_codec.config.offsets):
        assert len(np.unique(latent.q[start:end])) > 1
    assert len(np.unique(latent.q)) > 5 and len(np.unique(latent.z)) > 2
    assert latent.received == latent.total


def test_the_cut_streams_end_inside_a_block(golden_codec):
    """Of the checkpoint with refinement steps, inside each of the coarse level's."""
    names = {
        "tiny": {"96x64-cut": 1},
        "steps": {"96x64-cut-in-step-1": 0, "96x64-cut-in-step-2": 1},
        "context": {},
        "priorities": {},
    }[golden_codec.name]
    for name, block in names.items():
        latent = read(golden_codec, name)
        ends = [channels * latent.q[0].size for channels in golden_codec.config.offsets]
        assert ends[block] < sum(latent.received[1:]) < ends[block + 1]
        assert not latent.q[golden_codec.config.offsets[block + 1] :].any()


def test_a_cut_in_a_hyperlatent_leaves_what_is_expected():
    codec = Codec.load(GOLDEN / "context.safetensors", device="cpu")
    latent = read(codec, "260x250-cut-in-hyperlatent")
    assert 0 < latent.received[0] < latent.total[0]
    steps = codec.walker.hyper.steps(*latent.z.shape[1:])
    later = np.concatenate([step.places for step in steps])[latent.received[0] :]
    assert latent.z.reshape(-1)[later].any()
