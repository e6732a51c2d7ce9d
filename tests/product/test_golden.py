"""Frozen streams decode to the integers that they were written from, for ever."""

import hashlib
import json

import numpy as np
import pytest

from progcodec.bitstream.description import info
from progcodec.codec.latent import Latent
from tests.conftest import GOLDEN

FACTS = json.loads((GOLDEN / "v1.json").read_text()) if (GOLDEN / "v1.json").exists() else {}
FINGERPRINT = "d9cf40c4"


def digest(latent: Latent) -> str:
    """SHA-256 over the decoded integers: shapes, received counts, ẑ, q."""
    hasher = hashlib.sha256(repr((latent.z.shape, latent.q.shape, latent.received)).encode())
    for values in (latent.z, latent.q):
        hasher.update(np.ascontiguousarray(values, dtype=">i4").tobytes())
    return hasher.hexdigest()


def test_there_are_golden_streams():
    assert len(FACTS) >= 4 and {p.stem for p in GOLDEN.glob("*.shc")} == set(FACTS)


def test_the_tiny_checkpoint_is_the_frozen_one(tiny_codec):
    assert tiny_codec.fingerprint.hex() == FINGERPRINT


@pytest.mark.parametrize("name", sorted(FACTS))
def test_integers(tiny_codec, name):
    data = (GOLDEN / f"{name}.shc").read_bytes()
    assert len(data) == FACTS[name]["bytes"]
    assert info(data).fingerprint == FINGERPRINT
    assert digest(tiny_codec.decode_latent(data)) == FACTS[name]["integers"]


def test_the_streams_are_not_empty_of_meaning(tiny_codec):
    latent = tiny_codec.decode_latent((GOLDEN / "v1-96x64.shc").read_bytes())
    assert len(np.unique(latent.q)) > 5 and len(np.unique(latent.z)) > 2
    cut = tiny_codec.decode_latent((GOLDEN / "v1-96x64-cut.shc").read_bytes())
    assert 0 < sum(cut.received) < sum(cut.total)
