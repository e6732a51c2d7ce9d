"""The fuzzer's corpus, replayed: what was found once stays mended.

The fuzzer itself is fuzz/reader.py.
"""

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
CORPUS = sorted((FUZZ / "corpus").iterdir())


@pytest.fixture(scope="module")
def targets():
    sys.path.insert(0, str(FUZZ))
    try:
        import targets
    finally:
        sys.path.remove(str(FUZZ))
    return targets


def test_the_corpus_is_small_and_reaches_every_target(targets):
    assert sum(path.stat().st_size for path in CORPUS) < 100_000
    reached = {path.read_bytes()[0] % len(targets.TARGETS) for path in CORPUS}
    assert reached == set(range(len(targets.TARGETS)))


def test_every_input_returns_or_raises_a_named_error(targets):
    for path in CORPUS:
        targets.run(path.read_bytes())


@pytest.mark.parametrize("number", range(8))
def test_a_target_notices_an_error_without_a_name(targets, monkeypatch, number):
    """Each one lets named errors pass and nothing else: else the fuzzer would find nothing whatever
    happens.
    """

    def broken(*_, **__):
        raise IndexError("found")

    readers = {
        0: (targets.container, "parse_header"),
        1: (targets.Codec, "decode_latents"),
        2: (targets, "decode_segment"),
        3: (targets.Checkpoint, "load"),
        4: (targets.Checkpoint, "load"),
        5: (targets.ClassifierFile, "load"),
        6: (targets.ClassifierFile, "load"),
        7: (targets.Hierarchy, "load"),
    }
    monkeypatch.setattr(*readers[number], broken)
    with pytest.raises(IndexError, match="found"):
        targets.run(bytes([number]) + bytes(10))


def test_one_input_alone_can_be_replayed(targets, tmp_path, monkeypatch):
    import runpy

    finding, ran = tmp_path / "finding", []
    finding.write_bytes(b"\x00GIF89a")
    monkeypatch.setattr(targets, "run", ran.append)
    monkeypatch.setattr(sys, "argv", ["reader.py", "--replay", str(finding)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(FUZZ / "reader.py"), run_name="__main__")
    assert ran == [b"\x00GIF89a"]
