"""Many files: whole ones, the journal, and how the commands use them.

No model and no torch needed.
"""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from progcodec import files as whole_files
from progcodec.bitstream.container import Header, write
from progcodec.files import remove_leftovers, write_whole
from progcodec.fleet import operation
from progcodec.fleet.journal import NAME, Journal, made_of
from tests.support.command import ENVIRONMENT, STREAM, errors, run

OTHER = write(Header(64, 48, b"abcd"), [bytes(range(n))[::-1] for n in (20, 40, 60, 80)])
"""Another stream of the same size."""


# --- whole files ----------------------------------------------------------------------------------


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    (tmp_path / ".progcodec-0123456789ab.tmp").write_bytes(b"half")
    (tmp_path / "kept.tmp").write_bytes(b"")
    seen = []

    def look() -> None:
        seen.extend(sorted(os.listdir(tmp_path)))
        assert remove_leftovers(str(tmp_path)) == 1

    write_whole(str(tmp_path / "a"), b"whole", before_rename=look)
    assert len(seen) == 3 and "a" not in seen
    assert sorted(os.listdir(tmp_path)) == ["a", "kept.tmp"]
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert remove_leftovers(str(tmp_path / "missing")) == 0


def test_a_sibling_that_was_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    lock, taken = whole_files.fcntl.flock, []

    def slow_lock(file, how) -> None:
        if not taken:
            taken.append(os.unlink(file.name))
        lock(file, how)

    monkeypatch.setattr(whole_files.fcntl, "flock", slow_lock)
    write_whole(str(tmp_path / "a"), b"whole")
    assert taken and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_ends_the_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    def refuse() -> None:
        raise error

    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(type(error)):
        write_whole(str(tmp_path / "a"), b"after", before_rename=refuse)
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"before"


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_another_took_meanwhile_stays_its_own(tmp_path, monkeypatch, links):
    """Also on a file system that has no links."""
    if not links:
        refused = OSError(errno.EPERM, "no links here")
        monkeypatch.setattr(os, "link", Mock(side_effect=refused))
    path = tmp_path / "a"
    with pytest.raises(FileExistsError):
        write_whole(path, b"ours", lambda: path.symlink_to("nowhere") or None, replace=False)
    assert os.listdir(tmp_path) == ["a"] and path.is_symlink() and not path.exists()
    path.unlink()
    write_whole(path, b"ours", replace=False)
    assert os.listdir(tmp_path) == ["a"] and path.read_bytes() == b"ours"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name here")
def test_what_is_named_as_our_own_files_is_neither_followed_nor_waited_for(here):
    Path("out").mkdir()
    Path("victim").write_bytes(b"")
    os.mkfifo("out/.progcodec-0123456789ab.tmp")
    journal = Path("out/.progcodec-journal")
    for make in (os.mkfifo, lambda path: path.symlink_to("../victim")):
        make(journal)
        told = errors(truncate("in", "-o", "out", "--resume", code=1))
        assert len(told) == 1 and "cannot write out/a.60B.shc" in told[0]
        journal.unlink()
    assert files("out") == [] and Path("victim").read_bytes() == b""


@pytest.mark.parametrize("mask, mode", [(0o077, 0o600), (0o022, 0o644), (0o027, 0o640)])
def test_file_mode_honours_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_whole(str(tmp_path / "a"), b"whole")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


# --- the journal ----------------------------------------------------------------------------------


def test_the_journal_proves_by_content_alone(tmp_path):
    output, cut = tmp_path / "a.shc", [["level", "coarse"]]
    source = made_of({"operation": "x", "cut": cut}, b"input")
    assert source == made_of({"cut": cut, "operation": "x"}, b"input")
    others = made_of({"operation": "x"}, b"input"), made_of({"operation": "x", "cut": cut}, b"inpu")
    assert len({source, *others}) == 3
    journal = Journal(str(tmp_path))

    def proven(known: Journal = journal) -> bool:
        finished, wrote = known.wrote(str(output), source), known.wrote(str(output))
        assert finished == wrote
        return finished

    journal.note(str(output), source, b"output")
    assert not proven()  # killed before the rename
    output.write_bytes(b"output")
    for known in (journal, Journal(str(tmp_path))):
        assert proven(known) and not known.wrote(str(output), "another")
        assert not known.wrote(str(tmp_path / "b.shc"), source)
    os.utime(output, (0, 0))
    assert proven()
    output.write_bytes(b"outpu")
    assert not proven()


def test_a_torn_or_damaged_journal_loses_no_more_than_its_damaged_lines(tmp_path):
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    Journal(str(tmp_path)).note(first, "1", b"one")
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + b'[1]\nnull\n\xff\xfe\n{"output": "c"')
    Journal(str(tmp_path)).note(second, "2", b"two")
    Path(first).write_bytes(b"one")
    Path(second).write_bytes(b"two")
    journal = Journal(str(tmp_path))
    assert journal.wrote(first, "1") and journal.wrote(second, "2")


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with streams in a tree."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.shc", "in/sub/a.shc", "in/sub/deep/b.shc", "in/.hidden/c.shc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(STREAM)
    return tmp_path


def files(folder: str) -> list[str]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found)


TREE = ["a.60B.shc", "sub/a.60B.shc", "sub/deep/b.60B.shc"]


def truncate(*arguments: object, **options: object):
    return run("truncate", "--bytes", 60, *arguments, **options)


def test_recursive_keeps_the_tree(here):
    truncate("in", "-o", "flat")
    assert files("flat") == ["a.60B.shc"]
    for place, source in enumerate(("in", "in/**/*.shc")):
        truncate(source, "--recursive", "-o", f"out{place}")
        assert files(f"out{place}") == TREE
    assert "too" in truncate("in/**/*.shc", "-o", "flat", "--force", code=1).stderr
    truncate("in", "--recursive")
    assert [name for name in files("in") if "60B" in name] == TREE


def test_lists_of_files(here):
    Path("list").write_text("in/a.shc\n\nin/sub/deep/b.shc\nin/a.shc\n", encoding="utf-8")
    truncate("--from-list", "list", "-o", "flat")
    assert files("flat") == ["a.60B.shc", "b.60B.shc"]
    truncate("--from-list", "list", "--recursive", "-o", "tree")
    assert files("tree") == ["in/a.60B.shc", "in/sub/deep/b.60B.shc"]
    truncate("--from-list", "-", "-o", "zero", stdin=b"in/a.shc\0in/sub/deep/b.shc\0")
    assert files("zero") == ["a.60B.shc", "b.60B.shc"]
    absolute = f"{here / 'in/a.shc'}\nin/../../x.shc\n".encode()
    truncate("--from-list", "-", "--recursive", "-o", "outside", stdin=absolute, code=1)
    assert files("outside") == ["a.60B.shc"]
    assert "at least one input" in truncate(code=2).stderr
    assert "cannot be an input and the list" in truncate("-", "--from-list", "-", code=2).stderr
    told = errors(truncate("--from-list", "missing", "-o", "x", code=1))
    assert told == ["progcodec: missing: No such file or directory"]


def test_failures_are_listed_at_the_end_and_one_that_nobody_expected_is_raised(here, monkeypatch):
    Path("in/0.shc").write_bytes(b"nonsense")
    Path("in/sub/x.shc").write_bytes(STREAM[:5])
    line = ["in", "--recursive", "-o", "out"]
    result = truncate(*line, code=1)
    assert files("out") == TREE
    assert [line.split(": ")[1] for line in errors(result)] == ["in/0.shc", "in/sub/x.shc"]
    assert result.output.index("deep/b.shc ->") < result.output.index("progcodec: in/0.shc")

    apply = operation.Cut.apply

    def surprising(cut, data):
        if data == OTHER:
            raise KeyError("surprise")
        return apply(cut, data)

    Path("in/0.shc").write_bytes(OTHER)
    Path("in/sub/x.shc").unlink()
    monkeypatch.setattr(operation.Cut, "apply", surprising)
    result = truncate(*line, "--force", code=1)
    assert isinstance(result.exception, KeyError)
    assert errors(result) == ["progcodec: in/0.shc: KeyError: 'surprise'"]


def test_resume_goes_by_content(here):
    arguments, output = ("in", "--recursive", "-o", "out", "--resume"), Path("out/a.60B.shc")
    truncate(*arguments)
    assert [name for name in files("out") if not name.endswith(NAME)] == TREE

    def told(code: int = 0) -> list[str]:
        result = truncate(*arguments, code=code)
        return [line.split(" -> ")[0] for line in result.stdout.splitlines()] + errors(result)

    assert told() == ["finished before: 3 of 3"]
    os.utime(output, (0, 0))
    Path("in/a.shc").touch()
    assert told() == ["finished before: 3 of 3"]
    # a changed input of the same size: its output may be replaced
    Path("in/sub/a.shc").write_bytes(OTHER)
    assert told() == ["in/sub/a.shc", "finished before: 2 of 3"]
    output.unlink()
    assert told() == ["in/a.shc", "finished before: 2 of 3"]
    output.write_bytes(b"mine")  # not of this program
    refusal = "progcodec: in/a.shc: out/a.60B.shc exists; choose another name with -o"
    assert told(1) == ["finished before: 2 of 3", refusal] and output.read_bytes() == b"mine"
    truncate(*arguments, "--force")
    assert told() == ["finished before: 3 of 3"]
    # another cut has other names, and is other work
    assert len(run("truncate", *arguments, "--level", "coarse").stdout.splitlines()) == 3


def test_a_kill_at_any_moment_leaves_whole_files_and_resume_ends_the_work(here):
    """SIGKILL in the middle of a batch: every output is whole or absent; the last run does what is
    missing and cleans up.
    """
    count = 400
    Path("many").mkdir()
    for place in range(count):
        Path(f"many/{place:03d}.shc").write_bytes(STREAM)
    arguments = ["truncate", "many", "--level", "fine", "-o", "out", "--resume"]
    command = [sys.executable, "-m", "progcodec", *arguments]
    # On a busy machine the batch must not be over before this process looks again.
    calm = {"preexec_fn": lambda: os.nice(15)} if os.name == "posix" else {}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    seen, midway = 0, 0
    for wait in (0.02, 0.05, 0.1, 0.2):  # seconds after the first output
        with subprocess.Popen(command, env=ENVIRONMENT, **silent, **calm) as program:
            while program.poll() is None and len(list(Path("out").glob("*.shc"))) <= seen:
                time.sleep(0.005)
            time.sleep(wait)
            program.kill()
        outputs = list(Path("out").glob("*.shc"))
        assert len(outputs) > seen or len(outputs) == count
        assert {path.read_bytes() for path in outputs} == {STREAM}
        seen = len(outputs)
        midway += seen < count
    assert midway
    result = run(*arguments)
    assert len(result.stdout.splitlines()) + seen == count
    assert f"finished before: {seen} of {count}" in errors(result)
    assert len([path for path in Path("out").iterdir() if path.name != NAME]) == count
