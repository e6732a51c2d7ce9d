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

from progcodec.classification.labels import load_labels
from progcodec.cli import inputs
from progcodec.cli.answers import Records, Row
from progcodec.cli.files import show
from progcodec.files import PICTURE_SUFFIXES
from progcodec.hierarchy.hierarchy import Hierarchy
from tests.support.command import STREAM, errors, records, run

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
    "e\N{COMBINING ACUTE ACCENT}",
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


def found(*arguments: str, **options: object) -> list[str]:
    return [row["file"] for row in records("info", *arguments, **options)]


# --- records ----------------------------------------------------------------------------------


def test_records_name_files_that_exist(here):
    streams(*(f"{number}/{name}.shc" for number, name in enumerate(NAMES)))
    for number, name in enumerate(NAMES):
        (told,) = found(f"{number}/")
        assert told == f"{number}/{name}.shc" and os.path.exists(told)
        data = run("info", f"{number}/", "--format", "csv").stdout_bytes
        _, row = csv.reader(io.StringIO(os.fsdecode(data), newline=""))
        assert row[0] == told


def test_answers_name_them_too():
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


def test_a_terminal_sees_spaces_and_emoji_and_nothing_that_moves_or_hides_text(here):
    assert [show(name) for name in (*NAMES[:4], "写真é")] == [*NAMES[:4], "写真é"]
    for name in NAMES:
        assert not set(show(name)) & set("\n\t\x1b\x85\u2028\u202e\udcff")
    for hidden in "\u200b\u2066\u061c\ufeff\u00ad\x7f\x9b\r":
        assert show(f"a{hidden}b") != f"a{hidden}b" and hidden not in show(f"a{hidden}b")
    (line,) = errors(run("info", "new\nline\x1b[31m.shc", code=1))
    assert line == "progcodec: new\\nline\\x1b[31m.shc: No such file or directory"


# --- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_lists_labels_and_classes_in_every_unicode(here, encoding):
    from progcodec.lab.hierarchy_build.sources import read_classes

    names = ["a.shc", "写真 x.shc", "b\x0b\x85\u2028.shc"]
    streams(*names, "secret.shc")
    for end in ("\n", "\r\n", "\r"):
        Path("list").write_bytes(end.join(["", *names, ""]).encode(encoding))
        assert found("--from-list", "list") == names
    assert found("--from-list", "-", stdin="a.shc\n".encode(encoding)) == ["a.shc"]
    tree = Hierarchy.load()
    Path("labels.csv").write_bytes("file,label\r\n写真.shc,vulture\r\n".encode(encoding))
    assert tree.classes[load_labels("labels.csv", tree)("写真.shc")].name == "vulture"
    Path("classes.csv").write_bytes("gull\r\nvulture\r\n".encode(encoding))
    assert [leaf.name for leaf in read_classes("classes.csv")] == ["gull", "vulture"]


def test_lists_of_names_that_end_in_nul_and_lists_that_are_none(here, monkeypatch):
    streams("a.shc", "two\nlines.shc")
    for encoding in ("utf-16", "utf-8-sig"):
        Path("list").write_bytes("a.shc\0two\nlines.shc\0".encode(encoding))
        assert found("--from-list", "list") == ["a.shc", "two\nlines.shc"]
    Path("list").write_bytes(b"\xff\xfea\0\x00\xd8\n\0")
    (line,) = errors(run("info", "--from-list", "list", code=1))
    assert "list is no list of names" in line
    monkeypatch.setattr(inputs, "LIST_MAX", 1000)
    (line,) = errors(run("info", "--from-list", "-", stdin=b"a.shc\n" * 10**6, code=1))
    assert "- is no list of names: more than 1,000 bytes" in line


# --- folders ----------------------------------------------------------------------------------


def test_every_suffix_of_a_picture_that_pillow_reads_is_taken():
    Image.init()
    left_out = {
        "BUFR", "GRIB", "HDF5", "WMF", "MPEG",  # Pillow knows these by their start alone
        "EPS",  # a program, for another program to run
        "SHC", "SLOW",
    }  # fmt: skip
    known = Image.EXTENSION.items()
    read = {end for end, name in known if name in Image.OPEN and name not in left_out}
    assert read <= set(PICTURE_SUFFIXES)


def test_links_are_followed_and_each_folder_is_entered_once(here):
    streams("p/a.shc", "p/z/b.shc", "far/x.shc", "far/deep/y.shc")
    links = {
        "p/class1": "../far", "p/class2": "../far",  # the same again
        "p/0": "z",  # its own place comes first
        "p/self": ".", "far/deep/up": "../../p", "p/c.shc": "../far/x.shc",
    }  # fmt: skip
    for link, target in links.items():
        Path(link).symlink_to(target)
    files = ["p/a.shc", "p/c.shc", "p/z/b.shc", "p/class1/deep/y.shc"]
    assert found("p", "--recursive") == files and found("p") == files[:2]
    run("truncate", "p", "--recursive", "--bytes", 60, "-o", "out")
    assert Path("out/class1/deep/y.60B.shc").exists()


def test_what_leads_nowhere_or_may_not_be_read_is_told(here):
    streams("p/a.shc")
    for link, target in (("gone.shc", "nowhere.shc"), ("class", "nowhere"), ("loop", "loop")):
        Path("p", link).symlink_to(target)
    told = errors(run("info", "p", "--recursive", code=1))
    expected = {"class: No such file", "gone.shc: No such file", "loop: Too many levels"}
    assert len(told) == 3 and all(any(f"p/{e}" in line for line in told) for e in expected)
    assert len(errors(run("info", "p", code=1))) == 1
    if os.geteuid() == 0:
        pytest.skip("root may enter every folder")
    streams("q/closed/b.shc")
    Path("q/closed").chmod(0)
    try:
        assert "q/closed: Permission denied" in run("info", "q", "--recursive", code=1).stderr
    finally:
        Path("q/closed").chmod(0o700)


def test_what_a_folder_holds_besides_pictures_is_told(here, tiny):
    Path("p").mkdir()
    for name, form in (("a.png", "PNG"), ("b.JFIF", "JPEG"), ("c.tga", "TGA")):
        Image.new("RGB", (8, 8)).save(f"p/{name}", form)
    for name in ("x.heic", "y.HEIC", "README", "old.shc", ".hidden.txt"):
        Path("p", name).write_bytes(b"")
    result = run("encode", "p", "-o", "out/", *tiny)
    assert sorted(os.listdir("out")) == ["a.shc", "b.shc", "c.shc"]
    assert "note: not taken for pictures, by their suffix: .heic 2, no suffix 1" in errors(result)


# --- outputs that are inputs ------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "encode p.png -o link.shc", "encode p.png -o folder/link.shc", "decode bare -o bare",
        "decode bare -o folder/bare", "view bare -o ./bare", "demo p.png -o folder/p.png",
        "classify bare -o folder/bare --format csv",
    ],
)  # fmt: skip
def test_no_output_replaces_its_own_input_by_whatever_name(here, line):
    Image.new("RGB", (8, 8)).save("p.png")
    before = Path("p.png").read_bytes()
    Path("link.shc").symlink_to("p.png")
    Path("folder").symlink_to(".")
    Path("bare").write_bytes(STREAM)
    assert "both an input and an output" in run(*line.split(), "--force", code=2).stderr
    assert Path("p.png").read_bytes() == before and Path("bare").read_bytes() == STREAM


def test_another_name_of_a_file_gets_another_content(here, tiny):
    Image.new("RGB", (8, 8)).save("p.png")
    before = Path("p.png").read_bytes()
    os.link("p.png", "hard.shc")
    run("encode", "p.png", "-o", "hard.shc", "--force", *tiny)
    assert Path("p.png").read_bytes() == before != Path("hard.shc").read_bytes()


def test_a_broken_profile_is_one_line_that_names_the_file(here, tiny):
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(f"{name}.png", icc_profile=b"no profile" * (name == "b"))
    result = run("encode", "a.png", "b.png", "-o", "out/", *tiny)
    (line,) = [line for line in errors(result) if "profile" in line]
    assert line.startswith("progcodec: b.png: colours may be wrong")
