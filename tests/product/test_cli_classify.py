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
from tests.product.test_imports import HEAVY, loaded_by
from tests.support.classifying import TREE, write_weights
from tests.support.command import STREAM, errors, run

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
    flipped = small_photograph.transpose(0)
    return [
        tiny_codec.encode(image)
        for image in (small_photograph, flipped, small_photograph.resize((40, 50)))
    ]


@pytest.fixture
def here(tmp_path, monkeypatch, streams) -> Path:
    """A working folder with x.shc, y.shc and z.shc, the same in folders of classes, and the
    hierarchy.
    """
    monkeypatch.chdir(tmp_path)
    Path("tree.json").write_text(TREE.to_json(), encoding="utf-8")
    for name, data in zip("xyz", streams, strict=True):
        Path(f"{name}.shc").write_bytes(data)
    for place, name in enumerate(FOLDERS):
        path = Path("val") / name
        path.parent.mkdir(parents=True)
        path.write_bytes(streams[place % 3])
    return tmp_path


@pytest.fixture
def classify(here, spec, tiny_checkpoint):
    def call(*arguments: object, code: int = 0, stdin: bytes = b""):
        fixed = [
            "--classifier",
            spec,
            "--hierarchy",
            "tree.json",
            "--model",
            tiny_checkpoint,
            "--device",
            "cpu",
        ]
        return run("classify", *fixed, *arguments, code=code, stdin=stdin)

    return call


def records(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def alike(one: dict, other: dict) -> bool:
    """The same file and path. A batch of another size may move pixels by a grey level, to which
    the untrained classifier answers strongly.
    """
    paths = [(guess, same) for guess, same in zip(one["path"], other["path"], strict=True)]
    close = all(
        guess["probability"] == pytest.approx(same["probability"], abs=0.02)
        for guess, same in paths
    )
    return (
        one["file"] == other["file"]
        and close
        and all(guess["name"] == same["name"] for guess, same in paths)
    )


def test_the_answers_are_those_of_the_library(classify, streams, spec, tiny_checkpoint):
    found = records(classify("x.shc", "z.shc", "y.shc", "--format", "jsonl", "--top", 2))
    for record, name, data in zip(found, "xzy", (streams[0], streams[2], streams[1]), strict=True):
        answer = progcodec.classify(
            data, model=tiny_checkpoint, device="cpu", classifier=spec, hierarchy=TREE, top=2
        )
        assert record["file"] == f"{name}.shc"
        assert record["bytes"] == len(data)
        assert record["budget"] is None
        assert alike(
            record, {"file": f"{name}.shc", "path": [guess._asdict() for guess in answer.path]}
        )
        assert [guess["index"] for guess in record["top"]] == [guess.index for guess in answer.top]
        if answer.guess is None:
            assert record["level"] is record["answer"] is record["probability"] is None
        else:
            assert (record["level"], record["answer"]) == (answer.guess.level, answer.guess.name)


def test_a_budget_is_answered_as_if_the_file_were_cut_there(classify, streams):
    at_once = records(classify("x.shc", "y.shc", "--bytes", "60,200,9999,all", "--format", "jsonl"))
    assert [record["budget"] for record in at_once] == [60, 200, 9999, None] * 2
    assert at_once[2]["bytes"] == at_once[3]["bytes"] == len(streams[0])
    assert len({record["path"][0]["probability"] for record in at_once[:3]}) == 3
    for size, record in zip((60, 200), at_once, strict=False):
        (cut,) = records(classify("-", "--format", "jsonl", stdin=streams[0][:size]))
        assert alike({**cut, "file": "x.shc"}, record)
        assert cut["file"] == "-" and cut["bytes"] == record["bytes"] == size
    for wrong in ("", "0", "-5", "100,", "1e3", "100;200"):
        classify("x.shc", "--bytes", wrong, code=2)


def test_the_table(classify, monkeypatch):
    lines = classify(
        "x.shc", "y.shc", "--bytes", "60,all", "--top", 2, "--level", "coarse"
    ).stdout.splitlines()
    assert lines[0] == "file       bytes  answer" and len(lines) == 1 + 2 * 4
    assert [line[:16] for line in lines[1::2]] == [
        "x.shc         60",
        f"{Path('x.shc').stat().st_size:>16,}",
        "y.shc         60",
        f"{Path('y.shc').stat().st_size:>16,}",
    ]
    assert all(
        line[18:].startswith(("bird 0.", "bird 1.", "instrument 0.", "instrument 1."))
        for line in lines[1::2]
    )
    assert all(line.startswith(" " * 18 + "top: ") and line.count(",") == 1 for line in lines[2::2])

    monkeypatch.setattr(
        "sys.stdout", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    )
    monkeypatch.setenv("COLUMNS", "80")
    parts = ["musical instrument & tool 0.97", "weapon & guitar 0.96", "bow & arrow 0.95 (unsure)"]
    wrapped = answers._wrapped(parts, " › ", 40)
    assert len(wrapped) == 3 and all(len(line) <= 40 for line in wrapped)
    assert wrapped[1] == "  › weapon & guitar 0.96"
    assert " ".join(line.strip() for line in wrapped) == " › ".join(parts)
    narrow = answers.Table(["a/very/long/name/of/some/photograph.shc", "b.shc"])
    assert narrow.heading() == [f"{'file':<14}  {'bytes':>9}  answer"]


def test_csv_parses_back(classify):
    rows = list(
        csv.DictReader(
            io.StringIO(classify("x.shc", "z.shc", "--format", "csv", "--top", 3).stdout)
        )
    )
    same = records(classify("x.shc", "z.shc", "--format", "jsonl", "--top", 3))
    for row, record in zip(rows, same, strict=True):
        assert (row["file"], row["text"], row["answer"]) == (
            record["file"],
            record["text"],
            record["answer"] or "",
        )
        assert int(row["bytes"]) == record["bytes"]
        for place, level in enumerate(TREE.level_names):
            assert (row[level], int(row[f"{level}_index"])) == (
                record["path"][place]["name"],
                record["path"][place]["index"],
            )
        assert float(row["top_3_probability"]) == record["top"][2]["probability"]


def test_levels_and_confidence(classify):
    (sure,) = records(classify("x.shc", "--confidence", 0, "--format", "jsonl"))
    (asked,) = records(classify("x.shc", "--level", "fine", "--format", "jsonl"))
    assert sure["level"] == asked["level"] == "fine" and sure["answer"] == asked["answer"]
    (unsure,) = records(classify("x.shc", "--confidence", 1, "--format", "jsonl"))
    assert unsure["level"] is None and unsure["text"].startswith("unsure, perhaps ")
    classify("x.shc", "--confidence", 1.5, code=2)
    (line,) = errors(classify("x.shc", "--level", "finest", code=1))
    assert line == "progcodec: there is no level 'finest'; there are coarse, intermediate, fine"


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_budget_below_the_header(classify):
    result = classify("x.shc", "--bytes", "3,60", "--format", "jsonl", code=1)
    assert [record["bytes"] for record in records(result)] == [60]
    (line,) = errors(result)
    assert line.startswith("progcodec: x.shc: at 3 bytes: ") and "cannot hold the header" in line


def test_one_bad_file_never_stops_the_rest(classify, streams):
    middle = len(streams[0]) // 2
    Path("damaged.shc").write_bytes(
        streams[0][:middle] + bytes([streams[0][middle] ^ 0xFF]) + streams[0][middle + 1 :]
    )
    Path("picture.shc").write_bytes(b"\x89PNG\r\n" + bytes(50))
    Path("other.shc").write_bytes(STREAM)  # of another model
    Path("empty").mkdir()
    names = [
        "x.shc",
        "damaged.shc",
        "none.shc",
        "y.shc",
        "picture.shc",
        "other.shc",
        "empty",
        "z.shc",
    ]
    result = classify(*names, "--format", "jsonl", code=1)
    assert [record["file"] for record in records(result)] == ["x.shc", "y.shc", "z.shc"]
    told = {line.split(": ")[1]: line for line in errors(result)}
    assert set(told) == set(names) - {"x.shc", "y.shc", "z.shc"}
    for name, reason in (
        ("none.shc", "No such file"),
        ("other.shc", "61626364"),
        ("empty", "no fitting files"),
    ):
        assert reason in told[name]
    assert all(
        map(
            alike,
            records(result),
            records(classify("x.shc", "y.shc", "z.shc", "--format", "jsonl")),
        )
    )
    (line,) = errors(classify("x.shc", "--max-pixels", 100, code=1))
    assert line.startswith("progcodec: x.shc: ") and "limit" in line


def test_torn_files_are_no_error(classify, streams):
    Path("torn.shc").write_bytes(streams[0][:100])
    (record,) = records(classify("torn.shc", "--bytes", "500", "--format", "jsonl"))
    assert record["bytes"] == 100 and record["budget"] == 500


@pytest.mark.parametrize(
    "options, reason",
    [
        (["--classifier", "resnet50"], "unknown classifier 'resnet50'"),
        (["--classifier", "timm:nonsense"], "timm has no classifier 'nonsense'"),
        (["--hierarchy", "none.json"], "none.json: No such file"),
        (["--labels", "none.csv"], "none.csv: No such file"),
        (["--model", "none.safetensors"], "none.safetensors: no such checkpoint"),
    ],
)
def test_what_is_wrong_for_all_files_is_told_once(classify, options, reason):
    (line,) = errors(classify("x.shc", "y.shc", *options, code=1))
    assert line.startswith("progcodec: ") and reason in line


def test_a_hierarchy_of_other_classes(here, spec, tiny_checkpoint):
    (line,) = errors(
        run("classify", "x.shc", "y.shc", "--classifier", spec, "--model", tiny_checkpoint, code=1)
    )
    assert line == "progcodec: timm:lcnet_035 has 6 classes, and the hierarchy 1000"


def test_output_files_are_written_whole_and_not_overwritten(classify):
    assert classify("x.shc", "-o", "out.csv", "--format", "csv").stdout == "wrote out.csv\n"
    assert Path("out.csv").read_text() == classify("x.shc", "--format", "csv", "-o", "-").stdout
    (line,) = errors(classify("x.shc", "-o", "out.csv", code=1))
    assert line == "progcodec: out.csv exists; choose another name with -o"
    classify("x.shc", "-o", "out.csv", "--force")
    assert Path("out.csv").read_text(encoding="utf-8").startswith("file ")


# --- labels and folders ---------------------------------------------------------------------------


def expected_scores(tiny_codec, spec, files: dict[str, int], size: int | None) -> list[float]:
    """Accuracy of each level in percent, and the similarity, computed another way."""
    found = load_classifier(spec, "cpu")
    hits, near = np.zeros(3), 0.0
    for name, label in files.items():
        latent = tiny_codec.decode_latent(Path("val", name).read_bytes(), max_bytes=size)
        row = found.probabilities(tiny_codec, [latent])
        best = [int(TREE.aggregate(row, level).argmax()) for level in range(3)]
        hits += np.array(best) == [*TREE.ancestors(label), label]
        near += TREE.wu_palmer()[best[2], label]
    return [*(100 * hits / len(files)), near / len(files)]


def test_scores_from_folders_for_each_budget(classify, spec, tiny_codec):
    result = classify("val", "--recursive", "--labels", "folders", "--bytes", "60,all")
    told, counted = errors(result)
    assert told.startswith("progcodec: folder ") and "no class is called" in told
    assert counted == "progcodec: files without a label, not scored: 1"
    answers, _ = result.stdout.split("\n\n")
    truths = [line.strip() for line in answers.splitlines() if "truth: " in line]
    assert sorted(truths) == sorted(
        f"truth: {'unknown' if label is None else TREE.classes[label].name}"
        f" (folder {Path(name).parent.name})"
        for name, label in FOLDERS.items()
    )
    heading, *rows, note = result.stdout.split("\n\n")[1].splitlines()
    assert heading.split() == ["bytes", "pictures", "coarse", "intermediate", "fine", "Wu-Palmer"]
    assert "by itself" in note
    labelled = {name: label for name, label in FOLDERS.items() if label is not None}
    for row, (name, size) in zip(rows, (("60", 60), ("all", None)), strict=True):
        cells = row.replace("%", "").split()
        assert cells[:2] == [name, "3"]
        assert [float(cell) for cell in cells[2:]] == pytest.approx(
            expected_scores(tiny_codec, spec, labelled, size), abs=0.05
        )


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_scores_leave_machine_output_clean(classify, form):
    Path("labels.csv").write_text("file,label\nx.shc,vulture\ny.shc,n04536866\n")
    result = classify("x.shc", "y.shc", "z.shc", "--labels", "labels.csv", "--format", form)
    assert "Wu-Palmer" in result.stderr and "Wu-Palmer" not in result.stdout
    rows = records(result) if form == "jsonl" else list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["label"] or None for row in rows] == ["vulture", "violin", None]
    assert [str(row["label_index"]) for row in rows][:2] == ["1", "3"]


def test_nothing_to_score_still_answers(classify):
    result = classify("x.shc", "--labels", "folders", "--format", "jsonl", code=1)
    assert len(records(result)) == 1
    assert errors(result)[-1] == "progcodec: no answer has a label to be scored against"


def test_a_hierarchy_without_wordnet_ids_has_no_similarity(classify):
    bare = json.loads(Path("tree.json").read_text())
    for row in bare["classes"]:
        row["wnid"] = None
    Path("bare.json").write_text(json.dumps(bare))
    Path("labels.csv").write_text("x.shc,0\n")
    lines = classify(
        "x.shc", "--labels", "labels.csv", "--hierarchy", "bare.json"
    ).stdout.splitlines()
    assert lines[-2].split()[0] == "all" and lines[-2].endswith("-")


def test_folders_are_reached_into_only_when_asked(classify):
    assert len(errors(classify("val", code=1))) == 1
    found = records(classify("val", "x.shc", "--recursive", "--format", "jsonl"))
    assert [record["file"] for record in found] == [
        *(f"val/{name}" for name in sorted(FOLDERS)),
        "x.shc",
    ]
    assert len(records(classify("val/**/*.shc", "--format", "jsonl"))) == len(FOLDERS)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_batches_change_nothing_but_the_last_digits(classify, batch):
    names = ["x.shc", "z.shc", "y.shc", "val/n01608432/a.shc"]
    found = [records(classify(*names, "--format", "jsonl", "--batch", size)) for size in (batch, 3)]
    assert len(found[0]) == 4 and all(map(alike, *found))


def test_help_is_light():
    assert (
        loaded_by(
            "from progcodec.cli import main; main(['classify', '--help'], standalone_mode=False)",
            *HEAVY,
        )
        == set()
    )


def test_pictures_are_answered_as_they_are(classify, here, small_photograph, spec):
    small_photograph.save("p.png")
    (clean,) = records(classify("p.png", "--bytes", "60,all", "--format", "jsonl"))
    assert clean["budget"] is None and clean["bytes"] == Path("p.png").stat().st_size
    probabilities = load_classifier(spec, "cpu").predict([small_photograph])
    (answer,) = answer_rows(probabilities, TREE)
    assert alike(clean, {"file": "p.png", "path": [guess._asdict() for guess in answer.path]})
    both = records(classify("x.shc", "p.png", "--bytes", "60,all", "--format", "jsonl"))
    assert [record["file"] for record in both] == ["x.shc", "x.shc", "p.png"]
    # A folder stands for its .shc files, and for its pictures if it has none.
    Path("only").mkdir()
    small_photograph.save("only/q.png")
    found = records(classify(".", "only", "--format", "jsonl"))
    assert [record["file"] for record in found] == ["./x.shc", "./y.shc", "./z.shc", "only/q.png"]
    Path("broken.jpg").write_bytes(Path("p.png").read_bytes()[:200])
    assert "neither a .shc stream nor a picture" in errors(classify("broken.jpg", code=1))[0]
