"""The command line: what it writes, what it prints, what it refuses, and its exit codes.

No model needed.
"""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

import progcodec
from tests.support.command import (
    COARSE_END,
    ENVIRONMENT,
    PATIENCE,
    STREAM,
    commands_of,
    errors,
    records,
    run,
    shell,
)

NO_ROOM = "progcodec: standard output: No space left on device\n"
CLOSED = "progcodec: standard output is closed\n"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder with one stream in it."""
    monkeypatch.chdir(tmp_path)
    Path("a.shc").write_bytes(STREAM)
    return tmp_path


def cut(*arguments: object, **options: object):
    return run("truncate", *arguments, "--bytes", 60, **options)


# --- help and usage -------------------------------------------------------------------------------


def test_every_command_explains_itself_with_an_example():
    names = (
        "encode decode truncate info classify view demo hierarchy train export fit-tables "
        "train-classifier ablate evaluate bench"
    )
    assert list(commands_of()) == names.split()
    assert "Usage" in run("--help").stdout
    assert progcodec.__version__ in run("--version").stdout
    for name in commands_of():
        assert f"  progcodec {name}" in run(name, "--help").stdout


@pytest.mark.parametrize(
    "line",
    [
        "frobnicate", "encode", "truncate a.shc", "truncate a.shc --bytes 9 --level fine",
        "truncate a.shc --bpp nan", "truncate a.shc --bpp 0", "truncate a.shc --bytes -1",
        "decode a.shc --level best", "decode a.shc --bytes 9 --level fine", "info",
        "decode a.shc -o picture.doc", "info a.shc --format xml", "decode a.shc --device tpu",
        "train --out x", "train --data x --out x", "train --data . --out x --set k",
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(here, line):
    run(*line.split(), code=2)
    assert sorted(os.listdir()) == ["a.shc"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("encode p.png -o p.jpg", "a stream's name ends in .shc"),
        ("encode p.png -o streams", "a new folder's in /"),
        ("truncate a.shc --bytes 60 -o cut.png", "a stream's name ends in .shc"),
        ("decode a.shc sub/a.shc -o both.png", "both.png is none"),
        ("truncate a.shc sub/a.shc --bytes 60 -o both.shc", "both.shc is none"),
        ("truncate a.shc a.60B.shc --bytes 60 --force", "both an input and an output"),
        ("truncate - a.shc --bytes 60 -o -", "standard output"),
    ],
)
def test_outputs_that_mislead_or_meet_are_refused_before_anything_is_written(here, line, told):
    Path("sub").mkdir()
    for name in ("sub/a.shc", "a.60B.shc"):
        Path(name).write_bytes(STREAM)
    assert told in run(*line.split(), code=2).stderr
    assert sorted(os.listdir()) == ["a.60B.shc", "a.shc", "sub"]


# --- truncate -------------------------------------------------------------------------------------


def test_truncate_keeps_a_pure_prefix_and_names_it_after_the_cut(here):
    for option, value, name, size in (
        ("--bytes", 60, "a.60B.shc", 60),
        ("--bpp", 0.25, "a.0.25bpp.shc", 96),
        ("--level", "coarse", "a.coarse.shc", COARSE_END),
        ("--level", "fine", "a.fine.shc", len(STREAM)),
        ("--bytes", 10**6, "a.1000000B.shc", len(STREAM)),
    ):
        line = run("truncate", "a.shc", option, value).stdout
        assert Path(name).read_bytes() == STREAM[:size]
        assert line.startswith(f"a.shc -> {name}  {size} bytes")
        assert ("nothing was cut" in line) == (size == len(STREAM))
    assert Path("a.shc").read_bytes() == STREAM
    told = errors(run("truncate", "a.shc", "--bytes", 5, code=1))
    assert told == ["progcodec: a.shc: 5 bytes cannot hold the header of 14 bytes"]


def test_standard_streams(here):
    result = cut("-", stdin=STREAM)
    assert result.stdout_bytes == STREAM[:60] and "60 bytes" in result.stderr
    assert cut("a.shc", "-o", "-").stdout_bytes == STREAM[:60]
    cut("-", "-o", "b.shc", stdin=STREAM)
    assert Path("b.shc").read_bytes() == STREAM[:60]
    cut("-", "a.shc", "-o", "out", stdin=STREAM)
    assert sorted(os.listdir("out")) == ["a.60B.shc", "stdin.60B.shc"]


def test_nothing_is_overwritten_without_force(here):
    output = Path("a.60B.shc")
    output.write_bytes(b"precious")
    (line,) = errors(cut("a.shc", code=1))
    assert line == "progcodec: a.shc: a.60B.shc exists; choose another name with -o"
    assert output.read_bytes() == b"precious"
    cut("a.shc", "--force")
    assert output.read_bytes() == STREAM[:60]
    (line,) = errors(cut("a.shc", code=1))  # an earlier output
    assert line == "progcodec: a.shc: a.60B.shc exists; --force overwrites it"
    cut("a.shc", "-o", "a.shc", code=1)
    cut("a.shc", "-o", "a.shc", "--force")
    assert Path("a.shc").read_bytes() == STREAM[:60]


def test_a_link_that_is_named_is_followed_and_permissions_stay(here):
    target, link = Path("target.shc"), Path("link.shc")
    target.write_bytes(b"")
    target.chmod(0o6640)  # with set-user-ID, which a new content must not inherit
    link.symlink_to("target.shc")
    cut("a.shc", "-o", "link.shc", "--force")
    assert link.is_symlink() and target.read_bytes() == STREAM[:60]
    assert target.stat().st_mode & 0o7777 == 0o640


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name here")
@pytest.mark.parametrize("kind", ["pipe", "link", "link to nothing", "link to a pipe"])
def test_what_lies_in_an_output_folder_is_neither_followed_nor_waited_for(here, kind):
    Path("out").mkdir()
    Path("victim").write_bytes(b"precious")
    os.mkfifo("waits")
    place = Path("out/a.60B.shc")
    if kind == "pipe":
        os.mkfifo(place)
    else:
        to = {"link": "victim", "link to nothing": "nowhere", "link to a pipe": "waits"}[kind]
        place.symlink_to(Path(to).absolute())
    for more in ((), ("--resume",)):
        (line,) = errors(cut("a.shc", "-o", "out", *more, code=1))
        assert line.startswith("progcodec: a.shc: out/a.60B.shc exists")
    if kind == "link to nothing":
        assert "exists" in errors(cut("a.shc", "-o", str(place), code=1))[0]
    cut("a.shc", "-o", "out", "--force")
    assert not place.is_symlink() and place.read_bytes() == STREAM[:60]
    assert Path("victim").read_bytes() == b"precious" and not Path("nowhere").exists()


def test_results_of_one_name_fail_and_the_rest_is_done(here):
    for name in ("sub/a.shc", "sub/b.shc"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(STREAM)
    told = errors(cut("a.shc", "sub/a.shc", "sub/b.shc", "-o", "out", code=1))
    assert told == [
        "progcodec: a.shc: sub/a.shc would be written to out/a.60B.shc too",
        "progcodec: sub/a.shc: a.shc would be written to out/a.60B.shc too",
    ]
    assert os.listdir("out") == ["b.60B.shc"]


# --- inputs and outputs ---------------------------------------------------------------------------


def test_one_failing_file_never_stops_the_rest(here):
    Path("bad.shc").write_bytes(b"GIF89a")
    Path("cut.shc").write_bytes(STREAM[:9])
    Path("empty").mkdir()
    Path("torn.shc").write_bytes(STREAM[:20] + b"\0" + STREAM[21:])
    names = ["bad.shc", "missing.shc", "cut.shc", "empty", "torn.shc", "none*.shc"]
    result = run("truncate", *names, "a.shc", "--level", "fine", "-o", "out", code=1)
    told = [line.split(": ")[:2] for line in errors(result)]
    assert told == [["progcodec", name] for name in names]
    assert os.listdir("out") == ["a.fine.shc"]
    result = cut("missing.shc", "a.shc", "-q", code=1)
    assert result.stdout == "" and len(errors(result)) == 1, "quiet: errors alone"


def test_folders_globs_and_lists(here):
    Path("sub/deep").mkdir(parents=True)
    names = "sub/b.shc sub/c.SHC sub/notes.txt sub/.hidden.shc sub/deep/d.shc [x].shc"
    for name in names.split():
        Path(name).write_bytes(STREAM)
    Path("list.txt").write_text("a.shc\nsub/c.SHC\n")
    for line, found in (
        ("sub", "sub/b.shc sub/c.SHC"),
        ("sub --recursive", "sub/b.shc sub/c.SHC sub/deep/d.shc"),
        ("sub/*.shc sub/b.shc", "sub/b.shc"),
        ("sub/**/*.shc", "sub/b.shc sub/deep/d.shc"),
        ("[x].shc", "[x].shc"),
        ("--from-list list.txt", "a.shc sub/c.SHC"),
    ):
        assert [row["file"] for row in records("info", *line.split())] == found.split()


def test_unwritable_outputs_are_one_line_and_leave_nothing(here):
    Path("file").write_bytes(b"")
    for target in ("/dev/full", "file/b.shc", "/proc/b.shc", f"{'x' * 300}.shc"):
        (line,) = errors(cut("a.shc", "-o", target, code=1))
        assert line.startswith(f"progcodec: a.shc: cannot write {target}: ")
    cut("a.shc", "-o", "/dev/null")
    assert sorted(os.listdir()) == ["a.shc", "file"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("unable to mmap 9 bytes from file <x>: Cannot allocate memory (12)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_memory_ends_in_one_line_whoever_says_so(here, monkeypatch, error):
    monkeypatch.setattr("progcodec.cli.truncate.gather", Mock(side_effect=error))
    assert errors(cut("a.shc", code=1)) == ["progcodec: not enough memory"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("info -", "follow the last segment"),
        ("truncate - --bytes 60 -o -", "follow the last segment"),
        ("view - -o a.html", "follow the last segment"),
        ("encode - --max-pixels 1000 -o -", "more than 67,124,864 bytes are no picture of 1,000"),
    ],
)
def test_endless_input_is_not_read_to_its_end(here, line, told):
    """Standard input of 300 MB; whoever writes it learns that nobody reads on."""
    more = "(cat a.shc; head -c 300000000 /dev/zero && touch read)"
    code, said = shell(f"{more} | $P {line}")
    assert code == 1 and told in said and said.count("\n") == 1
    assert not Path("read").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("$P info a.shc > /dev/full", NO_ROOM),
        ("$P info a.shc >&-", CLOSED),
        ("$P truncate a.shc --bytes 60 -o - > /dev/full", NO_ROOM),
        ("$P truncate a.shc --bytes 60 -o - >&-", CLOSED),
        ("$P --help > /dev/full", "progcodec: "),
        ("$P info - <&-", "progcodec: standard input: standard input is closed\n"),
        ("$P truncate a.shc b.shc --bytes 60 > /dev/full", NO_ROOM),  # and the work goes on
    ],
)
def test_standard_streams_that_are_closed_or_full(here, line, told):
    Path("b.shc").write_bytes(STREAM)
    code, said = shell(line)
    assert code == 1 and said.startswith(told) and said.count("\n") == 1
    assert Path("b.60B.shc").exists() == ("b.shc" in line)


def test_ctrl_c_exits_with_130(here):
    os.mkfifo("pipe")  # Opening it blocks until a writer comes, so the program surely waits there.
    command = [sys.executable, "-m", "progcodec", "info", "a.shc", "pipe"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell starts its background jobs with SIGINT ignored, and children inherit that.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes, **heard) as program:
        program.stdout.readline()
        program.stdout.readline()
        time.sleep(0.2)
        program.send_signal(signal.SIGINT)
        try:
            assert program.wait(PATIENCE) == 130
        finally:
            program.kill()
        assert program.stderr.read() == "progcodec: interrupted\n"


# --- info -----------------------------------------------------------------------------------------


def test_info_says_how_far_a_file_goes(here):
    for size, reached in (
        (14, "header"),
        (24, "40% of hyperlatent"),
        (39, "hyperlatent"),
        (62, "hyperlatent + 51% of coarse"),
        (COARSE_END, "coarse"),
        (len(STREAM), "fine"),
    ):
        (record,) = records("info", "-", stdin=STREAM[:size])
        assert (record["reached"], record["bytes"]) == (reached, size)
        assert reached in run("info", "-", stdin=STREAM[:size]).stdout


def test_info_formats(here, monkeypatch):
    Path("b.shc").write_bytes(STREAM[:60])
    text = run("info", "a.shc", "b.shc", "--format", "csv").stdout
    rows, (whole, part) = list(csv.DictReader(io.StringIO(text))), records("info", "a.shc", "b.shc")
    assert [row["file"] for row in rows] == [whole["file"], part["file"]] == ["a.shc", "b.shc"]
    assert list(rows[0]) == list(whole)
    assert (whole["width"], whole["height"], whole["model"]) == (64, 48, b"abcd".hex())
    assert whole["fine_end"] == len(STREAM) and whole["fine_verified"] is True
    assert part["fine_end"] is None and part["fine_received"] == 0

    monkeypatch.setenv("COLUMNS", "200")
    table = run("info", "a.shc", "b.shc").stdout.splitlines()
    assert len(table) == 3 and table[0].split()[-1] == "file" and table[2].endswith("b.shc")
    monkeypatch.setenv("COLUMNS", "80")  # a narrow terminal gets a block a file
    text = run("info", "a.shc", "b.shc").stdout
    blocks = [block.splitlines() for block in text.split("\n\n")]
    first, second = (dict(line.split(None, 1) for line in block[1:]) for block in blocks)
    assert max(map(len, text.splitlines())) <= 80 and text.startswith("a.shc\n")
    assert first["reached"] == "fine" and second["reached"] == "hyperlatent + 46% of coarse"
    assert first["bytes"] == str(len(STREAM)) and first["model"] == b"abcd".hex()
