"""Names of every kind: in folders, behind links, in lists, in records, on a terminal; and outputs
that are inputs.
"""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from progcodec.cli.files import show
from progcodec.files import PICTURE_SUFFIXES
from tests.support.command import STREAM, errors, run

NAMES = [
    "Screenshot 1.00\N{NARROW NO-BREAK SPACE}PM",
    "写真\N{IDEOGRAPHIC SPACE}旅行",
    "no\N{NO-BREAK SPACE}break",
    "family \N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}",
    "two\nlines",
    "a,b\"c';d",
    "-dash",
    "tab\t",
    "line\N{LINE SEPARATOR}end",
    "next\x85line",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp",
    "\x1b[31mred",
    "é",
    "é",
    os.fsdecode(b"no text \xff\xfe"),
]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def streams(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(STREAM)


def found(*arguments: str, code: int = 0) -> list[str]:
    lines = run("info", *arguments, "--format", "jsonl", code=code).stdout_bytes.splitlines()
    return [json.loads(line)["file"] for line in lines]


# --- records ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_records_name_files_that_exist(here, name):
    streams(f"{name}.shc")
    (told,) = found("./")
    assert told == f"./{name}.shc" and os.path.exists(told)
    data = run("info", "./", "--format", "csv").stdout_bytes
    _, row = csv.reader(io.StringIO(os.fsdecode(data), newline=""))
    assert row[0] == told


def test_answers_name_them_too():
    from progcodec.cli.answers import Records, Row
    from progcodec.hierarchy.hierarchy import Hierarchy

    class Answer:
        path = top = ()

        def to_dict(self):
            return {"text": "bird › gull"}

    for name in NAMES:
        row = Row(name, None, 1, Answer(), None)
        (line,) = Records("jsonl", Hierarchy.load(), 0, False).lines(row)
        assert json.loads(line)["file"] == name and len(line.splitlines()) == 1
        (line,) = Records("csv", Hierarchy.load(), 0, False).lines(row)
        assert next(csv.reader(io.StringIO(line, newline="")))[0] == name


def test_a_terminal_sees_spaces_and_emoji_and_nothing_that_moves_or_hides_text():
    assert [show(name) for name in NAMES[:4]] == NAMES[:4]
    assert show("写真é") == "写真é"
    for name in NAMES:
        assert not set(show(name)) & set("\n\t\x1b\x85\u2028\u202e\udcff")
    for hidden in "\u200b\u2066\u061c\ufeff\u00ad\x7f\x9b\r":
        assert show(f"a{hidden}b") != f"a{hidden}b" and hidden not in show(f"a{hidden}b")


# --- lists ------------------------------------------------------------------------------------

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_in_every_unicode(here, encoding, end):
    streams("a.shc", "写真 x.shc", "secret.shc", "b\x0b\x85\u2028.shc")
    names = ["a.shc", "写真 x.shc", "b\x0b\x85\u2028.shc"]
    text = end.join(["", *names, ""])
    Path("list").write_bytes(text.encode(encoding))
    assert found("--from-list", "list") == names
    assert (
        json.loads(
            run(
                "info",
                "--from-list",
                "-",
                "--format",
                "jsonl",
                stdin=f"a.shc{end}".encode(encoding),
            ).stdout
        )["file"]
        == "a.shc"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_lists_of_names_that_end_in_nul(here, encoding):
    streams("a.shc", "two\nlines.shc")
    Path("list").write_bytes("a.shc\0two\nlines.shc\0".encode(encoding))
    assert found("--from-list", "list") == ["a.shc", "two\nlines.shc"]


def test_a_list_that_is_none_is_one_line(here):
    Path("list").write_bytes(b"\xff\xfea\0\x00\xd8\n\0")
    (line,) = errors(run("info", "--from-list", "list", code=1))
    assert "list is no list of names" in line


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_labels_and_classes_in_every_unicode(here, encoding):
    from progcodec.classification.labels import load_labels
    from progcodec.hierarchy.hierarchy import Hierarchy
    from progcodec.lab.hierarchy_build.sources import read_classes

    tree = Hierarchy.load()
    Path("labels.csv").write_bytes("file,label\r\n写真.shc,vulture\r\n".encode(encoding))
    assert tree.classes[load_labels("labels.csv", tree)("写真.shc")].name == "vulture"
    Path("classes.csv").write_bytes("gull\r\nvulture\r\n".encode(encoding))
    assert [leaf.name for leaf in read_classes("classes.csv")] == ["gull", "vulture"]


# --- folders ----------------------------------------------------------------------------------


def test_every_suffix_of_a_picture_that_pillow_reads_is_taken():
    Image.init()
    left_out = {
        "BUFR", "GRIB", "HDF5", "WMF", "MPEG",  # Pillow knows these by their start alone
        "EPS",  # a program, for another program to run
        "SHC", "SLOW",
    }  # fmt: skip
    known = {suffix for suffix, name in Image.EXTENSION.items() if name in Image.OPEN}
    known -= {suffix for suffix, name in Image.EXTENSION.items() if name in left_out}
    assert known <= set(PICTURE_SUFFIXES)


def test_links_are_followed_and_each_folder_is_entered_once(here):
    streams("p/a.shc", "p/z/b.shc", "far/x.shc", "far/deep/y.shc")
    Path("p/class1").symlink_to("../far")
    Path("p/class2").symlink_to("../far")  # again
    Path("p/0").symlink_to("z")  # its own place comes first
    Path("p/self").symlink_to(".")
    Path("far/deep/up").symlink_to("../../p")
    Path("p/c.shc").symlink_to("../far/x.shc")
    files = ["p/a.shc", "p/c.shc", "p/z/b.shc", "p/class1/deep/y.shc"]
    assert found("p", "--recursive") == files
    assert found("p") == files[:2]
    run("truncate", "p", "--recursive", "--bytes", 60, "-o", "out")
    assert Path("out/class1/deep/y.60B.shc").exists()


def test_what_leads_nowhere_is_told(here):
    streams("p/a.shc")
    Path("p/gone.shc").symlink_to("nowhere.shc")
    Path("p/class").symlink_to("nowhere")
    Path("p/loop").symlink_to("loop")
    result = run("info", "p", "--recursive", code=1)
    assert len(errors(result)) == 3 and "p/gone.shc: No such file" in result.stderr
    assert "p/class: No such file" in result.stderr and "p/loop: Too many levels" in result.stderr
    assert len(errors(run("info", "p", code=1))) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_read_is_told(here):
    streams("p/a.shc", "p/closed/b.shc")
    Path("p/closed").chmod(0)
    try:
        assert "p/closed: Permission denied" in run("info", "p", "--recursive", code=1).stderr
    finally:
        Path("p/closed").chmod(0o700)


def test_what_a_folder_holds_besides_pictures_is_told(here, tiny_checkpoint):
    Path("p").mkdir()
    for name in ("a.png", "b.JFIF", "c.tga"):
        forms = {"a.png": "PNG", "b.JFIF": "JPEG", "c.tga": "TGA"}
        Image.new("RGB", (8, 8)).save(f"p/{name}", forms[name])
    for name in ("x.heic", "y.HEIC", "README", "old.shc", ".hidden.txt"):
        Path("p", name).write_bytes(b"")
    result = run("encode", "p", "-o", "out/", "--model", tiny_checkpoint)
    assert sorted(os.listdir("out")) == ["a.shc", "b.shc", "c.shc"]
    assert "note: not taken for pictures, by their suffix: .heic 2, no suffix 1" in errors(result)


# --- outputs that are inputs ------------------------------------------------------------------


def test_no_output_replaces_its_own_input_by_whatever_name(here, tiny_checkpoint):
    Image.new("RGB", (8, 8)).save("p.png")
    before = Path("p.png").read_bytes()
    Path("link.shc").symlink_to("p.png")
    Path("folder").symlink_to(".")
    Path("bare").write_bytes(STREAM)
    for arguments in (
        ("encode", "p.png", "-o", "link.shc"),
        ("encode", "p.png", "-o", "folder/link.shc"),
        ("decode", "bare", "-o", "bare"),
        ("decode", "bare", "-o", "folder/bare"),
        ("view", "bare", "-o", "./bare"),
        ("classify", "bare", "-o", "folder/bare", "--format", "csv"),
        ("demo", "p.png", "-o", "folder/p.png"),
    ):
        assert "both an input and an output" in run(*arguments, "--force", code=2).stderr
    assert Path("p.png").read_bytes() == before and Path("bare").read_bytes() == STREAM
    os.link(
        "p.png", "hard.shc"
    )  # another name of the file: it gets another content, p.png keeps its own
    run("encode", "p.png", "-o", "hard.shc", "--force", "--model", tiny_checkpoint)
    assert Path("p.png").read_bytes() == before != Path("hard.shc").read_bytes()


def test_a_stream_may_be_cut_in_place(here):
    streams("a.shc")
    run("truncate", "a.shc", "--bytes", 60, "-o", "a.shc", "--force")
    assert Path("a.shc").read_bytes() == STREAM[:60]


def test_a_broken_profile_is_one_line_that_names_the_file(here, tiny_checkpoint):
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(f"{name}.png", icc_profile=b"no profile" * (name == "b"))
    result = run("encode", "a.png", "b.png", "-o", "out/", "--model", tiny_checkpoint)
    (line,) = [line for line in errors(result) if "profile" in line]
    assert line.startswith("progcodec: b.png: colours may be wrong")
