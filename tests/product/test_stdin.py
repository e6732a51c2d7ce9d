"""Standard input while it arrives: answers and pictures before the pipe is closed, and at its end
what the whole file gives.
"""

import json
import os
import select
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

import progcodec
from progcodec.api import StreamDecoder
from progcodec.cli import stdin as arriving
from progcodec.cli.stdin import Piece
from progcodec.errors import CorruptError, NotShcError
from tests.support import command
from tests.support.classifying import TREE, Fixed, write_weights
from tests.support.command import ENVIRONMENT, errors, run


@pytest.fixture(scope="module")
def stream(tiny_codec, photograph) -> bytes:
    return tiny_codec.encode(photograph.resize((90, 70)))


def turning(latent) -> list[float]:
    """The class that the number of coarse symbols points at, ever surer."""
    share = latent.received[1] / latent.total[1]
    row = [1.0] * 6
    row[0 if share < 0.5 else 3] += 30 * share
    return row


ASKED = {"classifier": Fixed(turning), "hierarchy": TREE, "top": 2}


def cut_up(data: bytes, size: int, more: bool = False) -> list[Piece]:
    return [Piece(data[start : start + size], more) for start in range(0, len(data), size)]


@pytest.fixture
def listen(tiny_codec):
    """Answers of pieces, and the decoder that was fed."""

    def call(source, budgets=(None,), **options):
        decoder = StreamDecoder(codec=tiny_codec)

        def ask():
            return decoder.classify(**ASKED)

        _, source = arriving.begin(iter(source))
        return list(arriving.answers(source, decoder, ask, budgets, **options)), decoder

    return call


@pytest.fixture
def whole(tiny_checkpoint):
    """The answer to so many bytes that came at once."""
    return lambda data: progcodec.classify(data, model=tiny_checkpoint, device="cpu", **ASKED)


def test_an_answer_for_every_change_of_words_and_one_of_all_bytes(listen, stream, whole):
    found, _ = listen(cut_up(stream, 10))
    sizes = [arrival.bytes for arrival in found]
    assert sizes == sorted(set(sizes)) and sizes[-1] == len(stream) and len(found) >= 4
    assert {arrival.answer.path[0].name for arrival in found} == {"bird", "instrument"}
    # Everything between two lines says the same as the line before.
    for before, after in pairwise(found):
        said = before.answer.stated, before.answer.path[0].name
        for size in range(before.bytes, after.bytes, 10):
            same = whole(stream[:size])
            assert (same.stated, same.path[0].name) == said
    for arrival in found:
        assert str(arrival.answer) == str(whole(stream[: arrival.bytes]))
    found, _ = listen(cut_up(stream, 10, more=True))  # bytes that wait come before answers
    assert [arrival.bytes for arrival in found] == [len(stream)]


def test_until_hangs_up(listen, stream):
    source = iter(cut_up(stream, 10))
    found, decoder = listen(source, until=lambda answer: answer.path[0].name == "instrument")
    assert found[-1].answer.path[0].name == "instrument"
    assert decoder.size == found[-1].bytes < len(stream) - 20
    assert len(list(source)) == -(-(len(stream) - decoder.size) // 10)


@pytest.mark.parametrize("size", [7, 10_000])
def test_budgets_are_answered_as_they_are_reached(listen, stream, size, whole):
    found, _ = listen(cut_up(stream, size), (None, 9999, 100, 60))
    sizes = {60: 60, 100: 100, 9999: len(stream), None: len(stream)}
    assert {arrival.budget: arrival.bytes for arrival in found} == sizes
    for arrival in found:
        assert str(arrival.answer) == str(whole(stream[: arrival.bytes]))
    found, decoder = listen(cut_up(stream, size), (60,))
    assert len(found) == 1 and decoder.size == 60


def test_pipes_that_end_early_or_hold_no_stream(listen, stream, whole):
    found, _ = listen(cut_up(stream[:90], 8))
    assert found[-1].bytes == 90 and found[-1].answer == whole(stream[:90])
    for start in (stream[:9], b""):
        with pytest.raises(NotShcError):
            listen(cut_up(start, 8))
    endless = iter(lambda: Piece(b"\x89PNG", False), None)
    with pytest.raises(NotShcError, match="magic"):
        listen(endless)
    with pytest.raises(CorruptError, match="follow"):
        listen(cut_up(stream + b"!", 10))


# --- pictures -------------------------------------------------------------------------------------


def test_pictures_while_they_arrive(tiny_codec, stream):
    shown = []
    decoder = StreamDecoder(codec=tiny_codec)
    show = lambda image: shown.append((decoder.size, image.tobytes()))
    last = arriving.picture(iter(cut_up(stream, 60)), decoder, every=0, show=show)
    assert last.tobytes() == tiny_codec.decode(stream).tobytes() and len(shown) >= 3
    for size, pixels in shown:
        assert pixels == tiny_codec.decode(stream[:size]).tobytes()


def test_a_picture_that_was_too_soon_is_shown_in_the_pause(tiny_codec, stream, monkeypatch):
    clock = iter([0, 0, 0, 1, 7, 7, 8, 9])  # start; due and then shown; too soon; the pause, twice
    monkeypatch.setattr(arriving.time, "monotonic", lambda: next(clock))
    shown, decoder = [], StreamDecoder(codec=tiny_codec)
    source = (Piece(data, False) for data in (stream[:60], stream[60:90], b"", b""))
    arriving.picture(source, decoder, every=5, show=lambda image: shown.append(decoder.size))
    assert shown == [60, 90]


@pytest.mark.parametrize("size", [5, 64, 10_000])
@pytest.mark.parametrize("level", [None, "coarse"])
def test_no_more_is_read_than_is_wanted(tiny_codec, stream, size, level):
    cut = progcodec.truncate(stream, level=level) if level else stream[:70]
    source, pieces = iter(cut_up(stream, size)), len(cut_up(stream, size))
    decoder = StreamDecoder(codec=tiny_codec, level=level)
    image = arriving.picture(source, decoder, max_bytes=None if level else 70)
    assert image.tobytes() == tiny_codec.decode(cut).tobytes() and decoder.size == len(cut)
    assert len(list(source)) == pieces - len(cut_up(cut, size))


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def arrives(monkeypatch, stream):
    """Makes standard input arrive in pieces; a function, as every command reads it anew."""

    def feed(data: bytes = stream, size: int = 60) -> None:
        monkeypatch.setattr(arriving, "pieces", lambda patience=None: iter(cut_up(data, size)))

    return feed


def test_decode_follows(arrives, stream, tiny_codec, tiny, tmp_path):
    out, several = tmp_path / "out.png", -(-len(stream) // 60)
    arrives()
    line = ["decode", "-", "-o", out, *tiny, "--follow"]
    lines = run(*line, "--every", 0).stdout.splitlines()
    assert len(lines) == several or len(lines) == several + 1
    assert lines[0] == f"- -> {out}  90x70  60 bytes" and lines[-1] == f"- -> {out}  90x70"
    assert Image.open(out).tobytes() == tiny_codec.decode(stream).tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    assert "exists" in errors(run(*line, code=1))[0]
    run(*line, "--level", "coarse", "--force")
    assert Image.open(out).tobytes() == tiny_codec.decode(stream, level="coarse").tobytes()
    for wrong in (["-"], ["a.shc", "-o", out], ["-", "a.shc", "-o", tmp_path]):
        run("decode", *wrong, "--follow", code=2)


def test_classify_answers_as_bytes_arrive(arrives, stream, tiny, tmp_path, monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    Path("tree.json").write_text(TREE.to_json(), encoding="utf-8")
    Path("whole.shc").write_bytes(stream)
    spec = write_weights(tmp_path / "small.safetensors")
    line = ["classify", "--classifier", spec, "--hierarchy", "tree.json", *tiny, "--top", 1]

    def sizes(*arguments: object) -> list[int]:
        return [row["bytes"] for row in command.records(*line, "-", *arguments)]

    arrives(size=20)
    assert len(sizes()) > 1 and sizes() == sorted(set(sizes()))
    assert sizes("--bytes", "60,100,all") == [60, 100, len(stream)]
    assert sizes("--until", "coarse", "--confidence", 0) == [20]
    (whole,) = command.records(*line, "whole.shc")
    assert command.records(*line, "-")[-1] == {**whole, "file": "-"}
    table = run(*line, "-").stdout.splitlines()
    assert table[0].startswith("file ") and table[1].startswith("-  ") and not table[-2][0].strip()
    # Whoever wants a file or scores gets the last answers alone.
    run(*line, "-", "-o", "out.txt", stdin=stream)
    assert len(Path("out.txt").read_text().splitlines()) == 3
    for wrong in (["--bytes", 60], ["-o", "x.txt"], ["--labels", "folders"]):
        run(*line, "-", "--until", "coarse", *wrong, code=2)
    run(*line, "whole.shc", "--until", "coarse", code=2)
    run(*line, "-", "--until", "finest", code=1)

    arrives(stream[:100] + bytes(40), size=20)
    result = run(*line, "-", "--bytes", "3,60", code=1)
    assert "at 3 bytes" in errors(result)[0] and len(result.stdout.splitlines()) == 3


def test_reads_do_not_wait_for_a_full_buffer(monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Standard", (), {"buffer": file}))
        source = arriving.pieces(0.01)
        os.write(writer, b"one")
        assert [next(source), next(source)] == [Piece(b"one", False), Piece(b"", False)]
        os.write(writer, b"two")
        os.close(writer)
        assert list(source) == [Piece(b"two", True)]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="closed"):
        next(arriving.pieces())


@pytest.mark.slow
def test_a_real_pipe_that_stays_open(photograph):
    """The shipped model and classifier: the first answer is there while the pipe is open."""
    data = progcodec.encode(photograph.resize((192, 128)), device="cpu")
    words = "-m progcodec classify - --device cpu --format jsonl"
    line = [sys.executable, *words.split()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(line, env=ENVIRONMENT, **pipes) as process:
        watch = threading.Timer(500, process.kill)
        watch.start()
        try:
            process.stdin.write(data[:400])
            process.stdin.flush()
            ready = select.select([process.stdout], [], [], 400)[0]
            assert ready, "no answer while the pipe is open"
            first = json.loads(process.stdout.readline())
            assert first["bytes"] == 400 and process.poll() is None
            process.stdin.write(data[400:])
            process.stdin.close()
            last = json.loads(process.stdout.read().splitlines()[-1])
        finally:
            watch.cancel()
            process.kill() if process.poll() is None and not process.stdin.closed else None
    answer = progcodec.classify(data, device="cpu")
    assert process.returncode == 0 and last["bytes"] == len(data) and last["text"] == str(answer)
