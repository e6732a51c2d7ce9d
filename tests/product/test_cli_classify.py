"""``progcodec classify``: budgets, formats, labels, and inputs of all kinds, good and bad."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import progcodec
from progcodec.classification.answer import answers as answer_rows
from progcodec.classification.classifier import load_classifier
from progcodec.cli import answers
from tests.support import command
from tests.support.classifying import TREE, write_weights
from tests.support.command import STREAM, errors, run
from tests.support.samples import flipped

FOLDERS = {
    "n01608432/a.shc": 0,
    "n02992211/b.shc": 4,
    "deep/n01580077/c.shc": 2,
    "unlabelled/d.shc": None,
}
"""Streams in folders, and the index of the class that the folder names."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    pytest.importorskip("timm")
    return write_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def streams(tiny_codec, small_photograph) -> list[bytes]:
    """Two of one size, one of another."""
    images = small_photograph, small_photograph.transpose(0), small_photograph.resize((40, 50))
    return [tiny_codec.encode(image) for image in images]


@pytest.fixture
def here(tmp_path, monkeypatch, streams) -> Path:
    """A working folder with x.shc, y.shc and z.shc, the same in folders of classes, and the
    hierarchy.
    """
    monkeypatch.chdir(tmp_path)
    Path("tree.json").write_text(TREE.to_json(), encoding="utf-8")
    for place, name in enumerate(["x.shc", "y.shc", "z.shc", *(f"val/{n}" for n in FOLDERS)]):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(streams[place % 3])
    return tmp_path


@pytest.fixture
def fixed(here, spec, tiny) -> list[object]:
    return ["classify", "--classifier", spec, "--hierarchy", "tree.json", *tiny]


@pytest.fixture
def classify(fixed):
    return lambda *arguments, **options: run(*fixed, *arguments, **options)


@pytest.fixture
def records(fixed):
    return lambda *arguments, **options: command.records(*fixed, *arguments, **options)


def alike(one: dict, path: list[dict]) -> bool:
    """The same path. A batch of another size may move pixels by a grey level, to which the
    untrained classifier answers strongly.
    """
    pairs = list(zip(one["path"], path, strict=True))
    close = pytest.approx([same["probability"] for _, same in pairs], abs=0.02)
    return [guess["probability"] for guess, _ in pairs] == close and all(
        guess["name"] == same["name"] for guess, same in pairs
    )


def test_the_answers_are_those_of_the_library(records, streams, spec, tiny_checkpoint):
    options = {"model": tiny_checkpoint, "device": "cpu", "classifier": spec, "hierarchy": TREE}
    for batch in (1, 2, 16):
        found = records("x.shc", "z.shc", "y.shc", "--top", 2, "--batch", batch)
        for record, name in zip(found, "xzy", strict=True):
            data = streams["xyz".index(name)]
            answer = progcodec.classify(data, top=2, **options)
            assert (record["file"], record["bytes"]) == (f"{name}.shc", len(data))
            assert record["budget"] is None
            assert alike(record, [guess._asdict() for guess in answer.path])
            assert [top["index"] for top in record["top"]] == [top.index for top in answer.top]
            guess = answer.guess
            said = (guess.level, guess.name) if guess else (None, None)
            assert (record["level"], record["answer"]) == said


def test_a_budget_is_answered_as_if_the_file_were_cut_there(records, classify, streams):
    at_once = records("x.shc", "y.shc", "--bytes", "60,200,9999,all")
    assert [record["budget"] for record in at_once] == [60, 200, 9999, None] * 2
    assert at_once[2]["bytes"] == at_once[3]["bytes"] == len(streams[0])
    assert len({record["path"][0]["probability"] for record in at_once[:3]}) == 3
    for size, record in zip((60, 200), at_once, strict=False):
        (cut,) = records("-", stdin=streams[0][:size])
        assert alike(cut, record["path"])
        assert cut["file"] == "-" and cut["bytes"] == record["bytes"] == size
    for wrong in ("", "0", "-5", "100,", "1e3", "100;200"):
        classify("x.shc", "--bytes", wrong, code=2)
    result = classify("x.shc", "--bytes", "3,60", code=1)  # one of them below the header
    assert len(result.stdout.splitlines()) == 2
    (line,) = errors(result)
    assert line.startswith("progcodec: x.shc: at 3 bytes: ") and "cannot hold the header" in line


def test_the_table(classify, monkeypatch):
    line = ["x.shc", "y.shc", "--bytes", "60,all", "--top", 2, "--level", "coarse"]
    heading, *lines = classify(*line).stdout.splitlines()
    sizes = [f"{Path(f'{name}.shc').stat().st_size:>11,}" for name in "xy"]
    assert heading == "file       bytes  answer" and len(lines) == 8
    starts = ["x.shc         60", " " * 5 + sizes[0], "y.shc         60", " " * 5 + sizes[1]]
    assert [line[:16] for line in lines[::2]] == starts
    assert all(line[18:].startswith(("bird ", "instrument ")) for line in lines[::2])
    assert all(line.startswith(" " * 18 + "top: ") and line.count(",") == 1 for line in lines[1::2])

    terminal = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    parts = ["musical instrument & tool 0.97", "weapon & guitar 0.96", "bow & arrow 0.95 (unsure)"]
    wrapped = answers._wrapped(parts, " › ", 40)
    assert len(wrapped) == 3 and all(len(line) <= 40 for line in wrapped)
    assert " ".join(line.strip() for line in wrapped) == " › ".join(parts)
    narrow = answers.Table(["a/very/long/name/of/some/photograph.shc", "b.shc"])
    assert narrow.heading() == [f"{'file':<14}  {'bytes':>9}  answer"]


def test_csv_parses_back(classify, records):
    text = classify("x.shc", "z.shc", "--format", "csv", "--top", 3).stdout
    rows, same = csv.DictReader(io.StringIO(text)), records("x.shc", "z.shc", "--top", 3)
    for row, record in zip(rows, same, strict=True):
        assert (row["file"], row["text"]) == (record["file"], record["text"])
        assert row["answer"] == (record["answer"] or "") and int(row["bytes"]) == record["bytes"]
        for guess, level in zip(record["path"], TREE.level_names, strict=True):
            assert (row[level], int(row[f"{level}_index"])) == (guess["name"], guess["index"])
        assert float(row["top_3_probability"]) == record["top"][2]["probability"]


def test_levels_and_confidence(classify, records):
    (sure,) = records("x.shc", "--confidence", 0)
    (asked,) = records("x.shc", "--level", "fine")
    assert sure["level"] == asked["level"] == "fine" and sure["answer"] == asked["answer"]
    (unsure,) = records("x.shc", "--confidence", 1)
    assert unsure["level"] is None and unsure["text"].startswith("unsure, perhaps ")
    classify("x.shc", "--confidence", 1.5, code=2)


# --- what goes wrong ------------------------------------------------------------------------------


def test_one_bad_file_never_stops_the_rest(classify, streams):
    Path("damaged.shc").write_bytes(flipped(streams[0], len(streams[0]) // 2, 0xFF))
    Path("picture.shc").write_bytes(b"\x89PNG\r\n" + bytes(50))
    Path("other.shc").write_bytes(STREAM)  # of another model
    Path("torn.shc").write_bytes(streams[0][:100])  # no error
    Path("empty").mkdir()
    bad = ["damaged.shc", "none.shc", "picture.shc", "other.shc", "empty"]
    good = ["x.shc", "y.shc", "torn.shc", "z.shc"]
    names = [name for pair in zip(bad, [*good, ""], strict=True) for name in pair if name]
    result = classify(*names, "--format", "jsonl", code=1)
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == good
    told = {line.split(": ")[1]: line for line in errors(result)}
    assert set(told) == set(bad)
    reasons = {"none.shc": "No such file", "other.shc": "61626364", "empty": "no fitting files"}
    assert all(reason in told[name] for name, reason in reasons.items())


@pytest.mark.parametrize(
    "options, reason",
    [
        (["--classifier", "timm:nonsense"], "timm has no classifier 'nonsense'"),
        (["--hierarchy", "none.json"], "none.json: No such file"),
        (["--labels", "none.csv"], "none.csv: No such file"),
        (["--model", "none.safetensors"], "none.safetensors: no such checkpoint"),
        (["--level", "finest"], "no level 'finest'; there are coarse, intermediate, fine"),
    ],
)
def test_what_is_wrong_for_all_files_is_told_once(classify, options, reason):
    (line,) = errors(classify("x.shc", "y.shc", *options, code=1))
    assert line.startswith("progcodec: ") and reason in line


def test_output_files_are_written_whole_and_not_overwritten(classify):
    assert classify("x.shc", "-o", "out.csv", "--format", "csv").stdout == "wrote out.csv\n"
    assert Path("out.csv").read_text() == classify("x.shc", "--format", "csv", "-o", "-").stdout
    (line,) = errors(classify("x.shc", "-o", "out.csv", code=1))
    assert line == "progcodec: out.csv exists; choose another name with -o"
    classify("x.shc", "-o", "out.csv", "--force")
    assert Path("out.csv").read_text(encoding="utf-8").startswith("file ")


# --- labels and folders ---------------------------------------------------------------------------


def expected_scores(tiny_codec, spec, size: int | None) -> list[float]:
    """Accuracy of each level in percent, and the similarity, computed another way."""
    found = load_classifier(spec, "cpu")
    labelled = {name: label for name, label in FOLDERS.items() if label is not None}
    hits, near = np.zeros(3), 0.0
    for name, label in labelled.items():
        latent = tiny_codec.decode_latent(Path("val", name).read_bytes(), max_bytes=size)
        row = found.probabilities(tiny_codec, [latent])
        best = [int(TREE.aggregate(row, level).argmax()) for level in range(3)]
        hits += np.array(best) == [*TREE.ancestors(label), label]
        near += TREE.wu_palmer()[best[2], label]
    return [*(100 * hits / len(labelled)), near / len(labelled)]


def test_scores_from_folders_for_each_budget(classify, spec, tiny_codec):
    result = classify("val", "--recursive", "--labels", "folders", "--bytes", "60,all")
    told, counted = errors(result)
    assert told.startswith("progcodec: folder ") and "no class is called" in told
    assert counted == "progcodec: files without a label, not scored: 1"
    answers, scores = result.stdout.split("\n\n")
    truths = [line.strip() for line in answers.splitlines() if "truth: " in line]
    names = {label: leaf.name for label, leaf in enumerate(TREE.classes)}
    assert sorted(truths) == sorted(
        f"truth: {names.get(label, 'unknown')} (folder {Path(name).parent.name})"
        for name, label in FOLDERS.items()
    )
    heading, *rows, note = scores.splitlines()
    assert heading.split() == ["bytes", "pictures", *TREE.level_names, "Wu-Palmer"]
    assert "by itself" in note
    for row, (name, size) in zip(rows, (("60", 60), ("all", None)), strict=True):
        cells = row.replace("%", "").split()
        expected = expected_scores(tiny_codec, spec, size)
        assert cells[:2] == [name, "3"]
        assert [float(cell) for cell in cells[2:]] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_scores_leave_machine_output_clean(classify, form):
    Path("labels.csv").write_text("file,label\nx.shc,vulture\ny.shc,n04536866\n")
    result = classify("x.shc", "y.shc", "z.shc", "--labels", "labels.csv", "--format", form)
    assert "Wu-Palmer" in result.stderr and "Wu-Palmer" not in result.stdout
    lines = result.stdout.splitlines()
    rows = csv.DictReader(lines) if form == "csv" else map(json.loads, lines)
    labels = [(row["label"] or None, str(row["label_index"])) for row in rows]
    assert labels[:2] == [("vulture", "1"), ("violin", "3")] and labels[2][0] is None


def test_scores_without_labels_or_wordnet_ids(classify):
    result = classify("x.shc", "--labels", "folders", "--format", "jsonl", code=1)
    assert len(result.stdout.splitlines()) == 1
    assert errors(result)[-1] == "progcodec: no answer has a label to be scored against"
    bare = json.loads(Path("tree.json").read_text())
    for row in bare["classes"]:
        row["wnid"] = None
    Path("bare.json").write_text(json.dumps(bare))
    Path("labels.csv").write_text("x.shc,0\n")
    lines = classify("x.shc", "--labels", "labels.csv", "--hierarchy", "bare.json").stdout
    assert lines.splitlines()[-2].split()[0] == "all" and lines.splitlines()[-2].endswith("-")


def test_folders_and_pictures(classify, records, small_photograph, spec):
    assert len(errors(classify("val", code=1))) == 1  # reached into only when asked
    found = records("val", "x.shc", "--recursive")
    inside = [f"val/{name}" for name in sorted(FOLDERS)]
    assert [record["file"] for record in found] == [*inside, "x.shc"]

    small_photograph.save("p.png")  # answered as it is
    (clean,) = records("p.png", "--bytes", "60,all")
    assert clean["budget"] is None and clean["bytes"] == Path("p.png").stat().st_size
    probabilities = load_classifier(spec, "cpu").predict([small_photograph])
    (answer,) = answer_rows(probabilities, TREE)
    assert alike(clean, [guess._asdict() for guess in answer.path])
    # A folder stands for its .shc files, and for its pictures if it has none.
    Path("only").mkdir()
    small_photograph.save("only/q.png")
    found = [record["file"] for record in records(".", "only")]
    assert found == ["./x.shc", "./y.shc", "./z.shc", "only/q.png"]
    Path("broken.jpg").write_bytes(Path("p.png").read_bytes()[:200])
    assert "neither a .shc stream nor a picture" in errors(classify("broken.jpg", code=1))[0]
