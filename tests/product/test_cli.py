"""The command line: what it writes, what it prints, what it refuses, and its exit codes.

No model needed.
"""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import progcodec
from tests.support.command import COARSE_END, STREAM, commands_of, errors, run, shell


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder with one stream in it."""
    monkeypatch.chdir(tmp_path)
    Path("a.shc").write_bytes(STREAM)
    return tmp_path


# --- help and usage -------------------------------------------------------------------------------


def test_every_command_explains_itself_with_an_example():
    assert list(commands_of()) == [
        "encode",
        "decode",
        "truncate",
        "info",
        "classify",
        "view",
        "demo",
        "hierarchy",
        "train",
        "export",
        "train-classifier",
        "ablate",
        "evaluate",
        "bench",
    ]
    assert "Usage" in run("--help").stdout
    assert progcodec.__version__ in run("--version").stdout
    for name in commands_of():
        assert f"  progcodec {name}" in run(name, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["encode"],
        ["truncate", "a.shc"],
        ["truncate", "a.shc", "--bytes", "9", "--level", "fine"],
        ["truncate", "a.shc", "--bpp", "nan"],
        ["truncate", "a.shc", "--bpp", "0"],
        ["truncate", "a.shc", "--bytes", "-1"],
        ["decode", "a.shc", "--level", "best"],
        ["decode", "a.shc", "--bytes", "9", "--level", "fine"],
        ["decode", "a.shc", "-o", "picture.doc"],
        ["info", "a.shc", "--format", "xml"],
        ["decode", "a.shc", "--device", "tpu"],
        ["train", "--out", "x"],
        ["train", "--data", "x", "--out", "x"],
        ["train", "--data", ".", "--out", "x", "--set", "k"],
    ],
)
def test_wrong_usage_exits_with_2(here, arguments):
    run(*arguments, code=2)
    assert sorted(os.listdir()) == ["a.shc"]


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


def test_standard_streams(here):
    result = run("truncate", "-", "--bytes", 60, stdin=STREAM)
    assert result.stdout_bytes == STREAM[:60]
    assert "60 bytes" in result.stderr
    assert run("truncate", "a.shc", "--bytes", 60, "-o", "-").stdout_bytes == STREAM[:60]
    run("truncate", "-", "--bytes", 60, "-o", "b.shc", stdin=STREAM)
    assert Path("b.shc").read_bytes() == STREAM[:60]
    run("truncate", "-", "a.shc", "--bytes", 60, "-o", "out", stdin=STREAM)
    assert sorted(os.listdir("out")) == ["a.60B.shc", "stdin.60B.shc"]
    run("truncate", "-", "a.shc", "--bytes", 60, "-o", "-", code=2)


def test_a_budget_below_the_header_is_one_line(here):
    assert errors(run("truncate", "a.shc", "--bytes", 5, code=1)) == [
        "progcodec: a.shc: 5 bytes cannot hold the header of 14 bytes"
    ]
    assert os.listdir() == ["a.shc"]


def test_nothing_is_overwritten_without_force(here):
    Path("a.60B.shc").write_bytes(b"precious")
    (line,) = errors(run("truncate", "a.shc", "--bytes", 60, code=1))
    assert line == "progcodec: a.shc: a.60B.shc exists; choose another name with -o"
    assert Path("a.60B.shc").read_bytes() == b"precious"
    run("truncate", "a.shc", "--bytes", 60, "--force")
    assert Path("a.60B.shc").read_bytes() == STREAM[:60]
    (line,) = errors(run("truncate", "a.shc", "--bytes", 60, code=1))  # an earlier output
    assert line == "progcodec: a.shc: a.60B.shc exists; --force overwrites it"
    run("truncate", "a.shc", "--bytes", 60, "-o", "a.shc", code=1)
    run("truncate", "a.shc", "--bytes", 60, "-o", "a.shc", "--force")
    assert Path("a.shc").read_bytes() == STREAM[:60]


def test_a_link_is_followed_and_permissions_stay(here):
    Path("target.shc").write_bytes(b"")
    Path("target.shc").chmod(0o640)
    Path("link.shc").symlink_to("target.shc")
    run("truncate", "a.shc", "--bytes", 60, "-o", "link.shc", "--force")
    assert Path("link.shc").is_symlink()
    assert Path("target.shc").read_bytes() == STREAM[:60]
    assert Path("target.shc").stat().st_mode & 0o777 == 0o640


# --- inputs and outputs ---------------------------------------------------------------------------


def test_one_failing_file_never_stops_the_rest(here):
    Path("bad.shc").write_bytes(b"GIF89a")
    Path("cut.shc").write_bytes(STREAM[:9])
    Path("empty").mkdir()
    Path("torn.shc").write_bytes(STREAM[:20] + b"\0" + STREAM[21:])
    names = ["bad.shc", "missing.shc", "cut.shc", "empty", "torn.shc", "none*.shc"]
    result = run("truncate", *names, "a.shc", "--level", "fine", "-o", "out", code=1)
    assert [line.split(": ")[:2] for line in errors(result)] == [
        ["progcodec", name] for name in names
    ]
    assert os.listdir("out") == ["a.fine.shc"]


def test_folders_and_globs(here):
    Path("sub/deep").mkdir(parents=True)
    for name in (
        "sub/b.shc",
        "sub/c.SHC",
        "sub/notes.txt",
        "sub/.hidden.shc",
        "sub/deep/d.shc",
        "[x].shc",
    ):
        Path(name).write_bytes(STREAM)

    def names(*inputs: str) -> list[str]:
        return [
            json.loads(line)["file"]
            for line in run("info", *inputs, "--format", "jsonl").stdout.splitlines()
        ]

    assert names("sub") == ["sub/b.shc", "sub/c.SHC"]
    assert names("sub/*.shc", "sub/b.shc") == ["sub/b.shc"]
    assert names("sub/**/*.shc") == ["sub/b.shc", "sub/deep/d.shc"]
    assert names("[x].shc") == ["[x].shc"]
    run("truncate", "sub/b*.shc", "--bytes", 60, "-o", "out")
    assert os.listdir("out") == ["b.60B.shc"]


def test_outputs_that_would_meet_are_refused_before_anything_is_written(here):
    Path("sub").mkdir()
    Path("sub/a.shc").write_bytes(STREAM)
    result = run("truncate", "a.shc", "sub/a.shc", "--bytes", 60, "-o", "out", code=2)
    assert "a.shc and sub/a.shc would both be written to out/a.60B.shc" in result.stderr
    Path("a.60B.shc").write_bytes(STREAM)
    result = run("truncate", "a.shc", "a.60B.shc", "--bytes", 60, "--force", code=2)
    assert "both an input and an output" in result.stderr
    assert (
        "is none"
        in run("truncate", "a.shc", "sub/a.shc", "--bytes", 60, "-o", "a.shc", code=2).stderr
    )
    assert not Path("out").exists()


def test_unwritable_outputs_are_one_line_and_leave_nothing(here):
    Path("file").write_bytes(b"")
    for target in ("/dev/full", "file/b.shc", "/proc/b.shc", f"{'x' * 300}.shc"):
        (line,) = errors(run("truncate", "a.shc", "--bytes", 60, "-o", target, code=1))
        assert line.startswith(f"progcodec: a.shc: cannot write {target}: ")
    run("truncate", "a.shc", "--bytes", 60, "-o", "/dev/null")
    assert sorted(os.listdir()) == ["a.shc", "file"]


def test_a_failing_write_leaves_no_temporary(here, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    run("truncate", "a.shc", "--bytes", 60, code=1)
    assert os.listdir() == ["a.shc"]


def test_odd_names_stay_on_one_line(here):
    (line,) = errors(run("info", "new\nline\x1b[31m.shc", code=1))
    assert line == "progcodec: new\\nline\\x1b[31m.shc: No such file or directory"


def test_standard_output_that_takes_nothing(here):
    full, closed = (
        "progcodec: standard output: No space left on device\n",
        "progcodec: standard output is closed\n",
    )
    assert shell("$P info a.shc > /dev/full") == (1, full)
    assert shell("$P info a.shc >&-") == (1, closed)
    assert shell("$P truncate a.shc --bytes 60 -o - > /dev/full") == (1, full)
    assert shell("$P truncate a.shc --bytes 60 -o - >&-") == (1, closed)
    code, told = shell("$P --help > /dev/full")
    assert code == 1 and told.startswith("progcodec: ") and told.count("\n") == 1
    assert shell("$P info - <&-") == (1, "progcodec: standard input: standard input is closed\n")


def test_work_goes_on_when_nobody_reads_the_lines_about_it(here):
    Path("b.shc").write_bytes(STREAM)
    code, told = shell("$P truncate a.shc b.shc --bytes 60 > /dev/full")
    assert code == 1 and told.count("\n") == 1
    assert Path("a.60B.shc").exists() and Path("b.60B.shc").exists()


def test_truncate_equals_head(here):
    compare = "cmp <($P truncate a.shc --bytes $n -o -) <(head -c $n a.shc)"
    assert shell(f"for n in 14 15 60 200; do {compare} || exit 9; done")[0] == 0


def test_ctrl_c_exits_with_130(here):
    os.mkfifo("pipe")  # Opening it blocks until a writer comes, so the program surely waits there.
    env = {**os.environ, "PYTHONPATH": str(Path(progcodec.__file__).parents[1])}
    command = [sys.executable, "-m", "progcodec", "info", "a.shc", "pipe"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell starts its background jobs with SIGINT ignored, and children inherit that.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, env=env, **pipes, **heard) as program:
        program.stdout.readline()
        program.stdout.readline()
        time.sleep(0.2)
        program.send_signal(signal.SIGINT)
        try:
            assert program.wait(600) == 130
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
        record = json.loads(run("info", "-", "--format", "jsonl", stdin=STREAM[:size]).stdout)
        assert (record["reached"], record["bytes"]) == (reached, size)
        assert reached in run("info", "-", stdin=STREAM[:size]).stdout


def test_info_formats(here):
    Path("b.shc").write_bytes(STREAM[:60])
    table = run("info", "a.shc", "b.shc").stdout.splitlines()
    assert len(table) == 3 and table[0].split()[-1] == "file" and table[2].endswith("b.shc")
    rows = list(
        csv.DictReader(io.StringIO(run("info", "a.shc", "b.shc", "--format", "csv").stdout))
    )
    records = [
        json.loads(line)
        for line in run("info", "a.shc", "b.shc", "--format", "jsonl").stdout.splitlines()
    ]
    assert (
        [row["file"] for row in rows]
        == [record["file"] for record in records]
        == ["a.shc", "b.shc"]
    )
    assert list(rows[0]) == list(records[0])
    assert records[0]["width"] == 64
    assert records[0]["height"] == 48
    assert records[0]["model"] == b"abcd".hex()
    assert records[0]["fine_end"] == len(STREAM) and records[0]["fine_verified"] is True
    assert records[1]["fine_end"] is None and records[1]["fine_received"] == 0


def test_info_reaches_into_folders_and_lists(here):
    Path("deep/deeper").mkdir(parents=True)
    Path("deep/deeper/b.shc").write_bytes(STREAM[:60])
    Path("deep/c.shc").write_bytes(STREAM)
    Path("list.txt").write_text("a.shc\ndeep/c.shc\n")

    def told(*arguments: str) -> list[str]:
        return [
            json.loads(line)["file"]
            for line in run("info", *arguments, "--format", "jsonl").stdout.splitlines()
        ]

    assert told("deep") == ["deep/c.shc"]
    assert told("deep", "--recursive") == ["deep/c.shc", "deep/deeper/b.shc"]
    assert told("--from-list", "list.txt") == ["a.shc", "deep/c.shc"]
    assert "name at least one input" in run("info", code=2).stderr


# --- the library's truncate -----------------------------------------------------------------------


def test_truncate_takes_exactly_one_limit():
    for limits in ({}, {"max_bytes": 50, "bpp": 1.0}, {"level": "best"}):
        with pytest.raises(ValueError):
            progcodec.truncate(STREAM, **limits)
    assert progcodec.truncate(STREAM, level="coarse") == STREAM[:COARSE_END]
    assert progcodec.truncate(STREAM[:70], level="coarse") == STREAM[:70]
    assert progcodec.truncate(STREAM, bpp=0.1) == STREAM[:38]


# --- manners --------------------------------------------------------------------------------------


def test_a_narrow_terminal_gets_a_block_a_file(here, monkeypatch):
    Path("b.shc").write_bytes(STREAM[:60])
    monkeypatch.setenv("COLUMNS", "80")
    text = run("info", "a.shc", "b.shc").stdout
    first, second = (
        dict(line.split(None, 1) for line in block.splitlines()[1:]) for block in text.split("\n\n")
    )
    assert max(map(len, text.splitlines())) <= 80 and text.startswith("a.shc\n")
    assert first["reached"] == "fine" and second["reached"] == "hyperlatent + 46% of coarse"
    assert first["bytes"] == str(len(STREAM)) and first["model"] == b"abcd".hex()
    monkeypatch.setenv("COLUMNS", "200")
    assert len(run("info", "a.shc", "b.shc").stdout.splitlines()) == 3


def test_names_that_mislead_are_refused(here):
    Path("sub").mkdir()
    Path("sub/b.shc").write_bytes(STREAM)
    for arguments, told in (
        (["encode", "p.png", "-o", "p.jpg"], "a stream's name ends in .shc"),
        (["encode", "p.png", "-o", "streams"], "that of a folder to be made in /"),
        (["truncate", "a.shc", "--bytes", 60, "-o", "cut.png"], "a stream's name ends in .shc"),
        (["decode", "a.shc", "sub/b.shc", "-o", "both.png"], "both.png is none"),
        (["truncate", "a.shc", "sub/b.shc", "--bytes", 60, "-o", "both.shc"], "both.shc is none"),
    ):
        assert told in run(*arguments, code=2).stderr
    assert sorted(os.listdir()) == ["a.shc", "sub"]


def test_quiet_prints_errors_alone(here):
    assert run("truncate", "a.shc", "--bytes", 60, "--quiet").stdout == ""
    result = run(
        "truncate", "a.shc", "missing.shc", "--bytes", 60, "-q", "--force", "-o", "out/", code=1
    )
    assert result.stdout == "" and len(errors(result)) == 1
