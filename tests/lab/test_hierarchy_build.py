"""Building a hierarchy: clusters, names, quality, the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from progcodec import HierarchyError
from progcodec.hierarchy.hierarchy import Hierarchy, Leaf, Node
from progcodec.hierarchy.wordnet import Synset, Taxonomy
from progcodec.lab.hierarchy_build.clustering import (
    RESTARTS,
    nested,
    polish,
    shares,
)
from progcodec.lab.hierarchy_build.kinds import Facts
from progcodec.lab.hierarchy_build.kinds import facts as known
from progcodec.lab.hierarchy_build.naming import names
from progcodec.lab.hierarchy_build.quality import agreement, balance, depth_cut
from tests.support.command import ROOT, errors, run

CLASSES = ROOT / "progcodec" / "lab" / "hierarchy_build" / "imagenet1k_classes.csv"


@pytest.fixture
def inputs(tmp_path, monkeypatch) -> Path:
    """60 classes and embeddings for them, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    lines = CLASSES.read_text(encoding="utf-8").splitlines()[::16][:60]
    Path("classes.csv").write_text("\n".join(lines), encoding="utf-8")
    bare = "\n".join(line.rpartition(",")[0] for line in lines)
    Path("names.csv").write_text(bare, encoding="utf-8")
    np.save("rows.npy", np.random.default_rng(0).normal(size=(60, 8)).astype(np.float16))
    return tmp_path


def build(*arguments: object, classes: str = "classes.csv", code: int = 0):
    pytest.importorskip("sklearn")
    line = ["hierarchy", "build", "--classes", classes, "--embeddings", "rows.npy"]
    return run(*line, "--restarts", 2, *arguments, code=code)


def test_the_shipped_quality_is_what_the_shipped_facts_give(shipped, facts):
    similarity = shipped.wu_palmer(facts)
    assert np.array_equal(similarity, similarity.T) and (np.diag(similarity) == 1).all()
    for row, labels in zip(shipped.about["quality"]["levels"], shipped.assignments, strict=True):
        expected = {**balance(labels), **agreement(labels, similarity)}
        assert row["clusters"] == expected
        assert expected["intra"] >= 0.55 and expected["inter"] <= 0.45
    depth, cut = depth_cut(facts, [leaf.wnid for leaf in shipped.classes], 10)
    assert depth == 4
    paper = shipped.about["quality"]["paper"]["wordnet_depth_cut"]
    assert agreement(cut, similarity) == pytest.approx(paper, abs=0.005)


# --- clusters and names, on cases small enough to know the answer ---------------------------------


def test_single_moves_end_where_no_move_helps():
    """Also that a row of weight w counts as w equal rows."""
    rows = np.random.default_rng(0).normal(size=(40, 3))
    weights = 1.0 + np.arange(40) % 3
    start = np.arange(40) % 4

    def squares(labels):
        total = 0.0
        for g in range(4):
            each = np.repeat(rows, weights.astype(int), axis=0)
            each = each[np.repeat(labels, weights.astype(int)) == g]
            total += ((each - each.mean(axis=0)) ** 2).sum()
        return total

    labels, total = polish(rows, weights, start, 4)
    assert total == pytest.approx(squares(labels)) and total < squares(start)
    for row in range(40):
        for group in range(4):
            moved = labels.copy()
            moved[row] = group
            assert squares(moved) >= total - 1e-6
    # nobody's last row is taken
    assert len(set(polish(np.eye(4), np.ones(4), np.arange(4), 4)[0])) == 4


def _tree(text: str) -> Taxonomy:
    """ "name>parent" words, a tree whose synsets are called by their only lemma."""
    pairs = [word.partition(">")[::2] for word in text.split()]
    return Taxonomy({name: Synset((name,), (parent,) if parent else ()) for name, parent in pairs})


def test_names_cover_the_members_and_admit_what_they_miss():
    finches, birds = ["f1", "f2", "f3", "f4"], ["b1", "b2", "b3", "b4"]
    fish, rest = ["p1", "p2", "p3", "p4"], ["x1", "x2", "x3", "x4", "x5", "x6"]
    links = [(finches, "finch"), (birds, "bird"), (fish, "fish"), (rest, "entity")]
    leaves = " ".join(f"{leaf}>{above}" for members, above in links for leaf in members)
    taxonomy = _tree("entity finch>bird bird>entity fish>entity " + leaves)
    classes = [Leaf(name, name, 0) for name in [*finches, *birds, *fish, *rest]]
    rows = np.eye(len(classes))

    def named(*levels):
        levels = [np.array([int(number) for number in level]) for level in levels]
        return [[name for name, _ in level] for level in names(levels, rows, classes, taxonomy)]

    assert named("000000001111222222")[0][:2] == ["bird", "fish"]
    assert named("000000000000111111")[0][0] == "bird or fish"  # the larger part first
    assert named("000000001111222222", "000011112222333333")[1][0] == "finch"
    # inside "bird", "bird" tells nothing, and a group of two of four fish and x1 is not simply
    # "fish"
    assert named("000000001111222222", "001111112233444444")[1][0] == "finch"
    half = named("000000001100111111")[0]
    assert half[1].endswith(" or the like") and "bird" in half[0]
    assert len(set(named("011111112222333333")[0])) == 4


@pytest.fixture(scope="module")
def below(shipped, facts):
    """The classes that WordNet puts below a word."""

    def call(word: str) -> set[int]:
        return {
            number
            for number, leaf in enumerate(shipped.classes)
            if any(facts.synsets[up].lemmas[0] == word for up in facts.above(leaf.wnid))
        }

    return call


def test_no_shipped_group_mixes_what_wordnet_keeps_apart(shipped, facts, below):
    """Animals apart from things; dogs, other mammals, birds and other animals apart; food apart
    from things."""
    realms = known([leaf.wnid for leaf in shipped.classes], facts).realms[0]
    pairs = set(zip(realms.tolist(), shipped.assignments[0].tolist()))
    assert len({group for _, group in pairs}) == len(pairs) == 10
    for word, group in (("dog", "dog"), ("bird", "bird"), ("reptile", "cold-blooded animal"),
                        ("furniture", "household object or electronics")):  # fmt: skip
        (node,) = shipped.find(group)
        assert below(word) <= set(shipped.members(node))
    animals = below("animal")
    for group in range(10):
        members = set(shipped.members(Node(0, group)))
        assert members <= animals or not members & animals
    for level in shipped.about["quality"]["levels"]:
        assert level["stability"]["mean"] > 0.95
    assert not [c.name for level in shipped.levels for c in level if "or the like" in c.name]


def test_realms_stay_apart_and_kinds_together():
    pytest.importorskip("sklearn")
    generator = np.random.default_rng(0)
    places = np.repeat(np.arange(4), 10)  # four heaps; the realms and kinds go across them
    rows = np.eye(4)[places] + 0.01 * generator.normal(size=(40, 4))
    realms = np.arange(40) % 2
    kinds = np.where(np.arange(40) % 10 < 4, realms, np.arange(40) + 2)
    facts = Facts((realms, np.zeros(40, int)), (kinds, np.arange(40)), rows)
    first, second = nested(rows, [4, 8], 0, 8, facts)
    assert len(set(zip(first, realms))) == 4
    for kind in (0, 1):
        assert len(set(first[kinds == kind])) == 1 and len(set(second[kinds == kind])) > 1
    assert max(nested(rows, [1, 2], 0, 8, facts)[0]) == 0  # too few groups for the realms


def test_shares_by_largest_remainder_and_the_default_restarts():
    assert shares([50, 30, 20], 10) == [5, 3, 2]
    assert shares([55, 25, 20], 10) == [6, 2, 2]  # of equal remainders the first
    assert shares([998, 1, 1], 100) == [98, 1, 1]
    assert shares([2, 2, 6], 10) == [2, 2, 6]
    assert f"default: {RESTARTS}" in " ".join(run("hierarchy", "build", "--help").stdout.split())


# --- building -------------------------------------------------------------------------------------


def test_a_second_run_gives_the_same_bytes(inputs):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build("--sizes", "4,11,30", "--seed", seed, "-o", f"{name}.json")
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()
    made = Hierarchy.load("a.json")
    assert made.sizes == (4, 11, 30) and made.level_names[-1] == "classes"
    assert min(np.bincount(made.assignments[0])) > 0 and Hierarchy.load("c.json") != made
    assert "K=11" in run("hierarchy", "show", "--file", "a.json").stdout
    told = build("-o", "a.json", "--sizes", "2", code=1).stderr
    assert told.endswith("a.json exists; --force overwrites it\n")


def test_classes_without_wordnet_and_equal_embeddings(inputs):
    np.save("rows.npy", np.ones((60, 8)))
    build("--sizes", "3,60", "-o", "a.json", classes="names.csv")
    made = Hierarchy.load("a.json")
    assert made.sizes == (3, 60) and all(leaf.wnid is None for leaf in made.classes)
    assert "intra" not in made.about["quality"]["levels"][0]["clusters"]
    assert "tench" in run("hierarchy", "show", "--file", "a.json", "tench").stdout
    with pytest.raises(HierarchyError, match="WordNet id for every class"):
        made.wu_palmer()


def test_few_classes_take_few_starts_and_are_named_in_full(inputs, monkeypatch):
    cluster = pytest.importorskip("sklearn.cluster")
    starts = []

    class Counted(cluster.KMeans):
        def fit(self, *arguments, **options):
            starts.append(self.n_clusters)
            return super().fit(*arguments, **options)

    monkeypatch.setattr(cluster, "KMeans", Counted)
    Path("five.csv").write_text("tench\ngoldfish\nvolcano\nlamp\ncandle\n")
    np.save("rows.npy", np.array([[9, 1], [9, 2], [-9, -9], [1, 9], [2, 9]]))
    build("--sizes", "3", "--restarts", 400, "-o", "five.json", classes="five.csv")
    assert 0 < len(starts) <= 100  # 20 for each of 5 seeds
    found = {cluster.name for cluster in Hierarchy.load("five.json").levels[0]}
    pairs = {"tench", "goldfish"}, {"volcano"}, {"lamp", "candle"}
    assert {frozenset(name.split(" or ")) for name in found} == set(map(frozenset, pairs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--sizes", "10,5"], "sizes must grow"),
        (["--sizes", "0,5"], "sizes must grow"),
        (["--sizes", "10,61"], "at most the 60 classes"),
        (["--classes", "missing.csv"], "missing.csv: No such file"),
        (["--classes", "rows.npy"], "rows.npy is no list of classes"),
        (["--classes", "half.csv"], "at every class or at none"),
        (["--classes", "one.csv"], "one row for each of the 1 classes"),
        (["--classes", "three.csv"], "is not NAME or NAME,WNID"),
        (["--classes", "empty.csv"], "lists no classes"),
        (["--classes", "unknown.csv"], "do not know n99999999"),
        (["--embeddings", "missing.npy"], "missing.npy: No such file"),
        (["--embeddings", "classes.csv"], "no .npy file"),
        (["--embeddings", "nan.npy"], "finite"),
        (["--wordnet", "nowhere"], "nowhere/data.noun: No such file"),
    ],
)
def test_bad_input_is_told_in_one_line(inputs, change, message):
    texts = {"half": "a,n01440764\nb", "one": "a", "three": "a,b,c", "empty": "",
             "unknown": "a,n99999999"}  # fmt: skip
    for name, text in texts.items():
        Path(f"{name}.csv").write_text(text)
    np.save("nan.npy", np.full((60, 8), np.nan))
    if change == ["--classes", "one.csv"] or change[1] == "unknown.csv":
        change = [*change, "--sizes", "1"]
    (line,) = errors(build("-o", "out.json", "--sizes", "5", *change, code=1))
    assert message in line and not Path("out.json").exists()


def test_wrong_usage(inputs):
    run("hierarchy", "build", "--classes", "classes.csv", "-o", "a.json", code=2)
    build("-o", "a.json", "--clip", "ViT-B-32", code=2)
    build("-o", "a.json", "--sizes", "ten", code=2)


@pytest.mark.slow
def test_clip_embeds_the_names_with_any_open_clip_model(inputs):
    open_clip = pytest.importorskip("open_clip")
    pytest.importorskip("sklearn")
    import torch

    vision = {"image_size": 32, "layers": 1, "width": 16, "patch_size": 16, "head_width": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    Path("tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(Path("tiny-clip.json"))
    line = ["hierarchy", "build", "--classes", "classes.csv", "--restarts", 2, "--clip"]
    options = ["--pretrained", "none", "--template", "a photo of a {}", "--template", "a {}"]
    for name in ("a.json", "b.json"):
        torch.manual_seed(0)
        run(*line, "tiny-clip", *options, "--sizes", "3,9", "-o", name)
    made = Hierarchy.load("a.json")
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes() and made.sizes == (3, 9)
    source = made.about["provenance"]["embeddings"]
    assert source == "CLIP tiny-clip (none), text: a photo of a {}; a {}"
    for more, told in (
        (["tiny-clip", "--template", "no place"], "'no place' has no {}"),
        (["no-such-model"], "cannot load CLIP no-such-model"),
    ):
        result = run(*line, *more, "-o", "c.json", "--sizes", "3", code=1)
        assert told in errors(result)[-1]
