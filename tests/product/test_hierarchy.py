"""The class hierarchy: the shipped one, its scores, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from progcodec import HierarchyError, assets
from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf, Node
from progcodec.hierarchy.wordnet import Synset, Taxonomy
from tests.support.command import errors, run

DICTIONARY = Path("/usr/share/wordnet")


# --- the shipped hierarchy ------------------------------------------------------------------------


def test_the_shipped_levels_nest_and_have_their_sizes(shipped):
    assert shipped.sizes == (10, 100) and len(shipped.classes) == 1000
    assert shipped.level_names == ("coarse", "intermediate", "fine")
    assert [leaf.wnid for leaf in shipped.classes] == sorted(leaf.wnid for leaf in shipped.classes)
    coarse, intermediate = shipped.assignments
    for group in range(100):
        assert len(set(coarse[intermediate == group])) == 1
    for index in range(0, 1000, 37):
        one, two = shipped.ancestors(index)
        assert shipped.path(index) == (*shipped.path(Node(1, two)), shipped.classes[index].name)
        assert shipped.path(Node(1, two))[0] == shipped.name(Node(0, one))
        assert index in shipped.members(Node(0, one)) and index in shipped.members(Node(1, two))
        assert Node(2, index) in shipped.children(Node(1, two))
        assert not shipped.children(Node(2, index))


def test_the_shipped_names_are_unique_and_short(shipped):
    names = [cluster.name for level in shipped.levels for cluster in level]
    assert len({name.casefold() for name in names}) == 110
    classes = {leaf.name.casefold() for leaf in shipped.classes}
    assert not classes & {name.casefold() for name in names}
    assert all(name.strip() and len(name) <= 45 for name in names)


def test_a_round_trip_keeps_the_bytes(shipped, tmp_path):
    path = tmp_path / "copy.json"
    path.write_text(shipped.to_json(), encoding="utf-8")
    assert Hierarchy.load(path) == shipped
    assert path.read_bytes() == (assets.FOLDER / "hierarchy" / "imagenet1k.json").read_bytes()


def test_aggregate_sums_and_never_exceeds_the_parent(shipped):
    values = np.random.default_rng(0).dirichlet(np.ones(1000), size=(2, 3))
    coarse, intermediate = (shipped.aggregate(values, level) for level in ("coarse", 1))
    assert coarse.shape == (2, 3, 10) and intermediate.shape == (2, 3, 100)
    assert np.allclose(coarse.sum(-1), 1)
    assert np.allclose(coarse[..., 4], values[..., shipped.assignments[0] == 4].sum(-1))
    parents = [cluster.parent for cluster in shipped.levels[1]]
    assert (intermediate <= coarse[..., parents] + 1e-12).all()
    assert np.array_equal(shipped.aggregate(values, "fine"), values)
    assert shipped.aggregate(values[0, 0], 0).shape == (10,)
    with pytest.raises(HierarchyError, match="do not end in the 1000 classes"):
        shipped.aggregate(values[..., :999], 0)
    with pytest.raises(HierarchyError, match="no level 'best'"):
        shipped.aggregate(values, "best")


# --- Wu-Palmer ------------------------------------------------------------------------------------


def test_wu_palmer_by_hand():
    #      r        r has depth 1; x 2; a 3 by x (the longest way), 2 directly
    #     / \
    #    x   |      lcs(b, c) = a: 2·3 / ((3+1) + (3+1))
    #     \ /  \    lcs(a, b) = a: 2·3 / (3 + 4)
    #      a    y   lcs(b, y) = r: 2·1 / (3 + 2)
    #     / \
    #    b   c
    tree = {"r": "", "x": "r", "a": "xr", "b": "a", "c": "a", "y": "r"}
    small = Taxonomy({name: Synset((name,), tuple(above)) for name, above in tree.items()})
    values = small.wu_palmer(["a", "b", "c", "y"])
    expected = [
        [1, 6 / 7, 6 / 7, 2 / 4],
        [6 / 7, 1, 6 / 8, 2 / 5],
        [6 / 7, 6 / 8, 1, 2 / 5],
        [2 / 4, 2 / 5, 2 / 5, 1],
    ]
    assert np.allclose(values, expected)
    assert small.path("b") == ["r", "a", "b"]
    with pytest.raises(HierarchyError, match="do not know z"):
        small.wu_palmer(["a", "z"])
    with pytest.raises(HierarchyError, match="unknown hypernym q"):
        Taxonomy({"a": Synset(("a",), ("q",))})


@pytest.mark.skipif(
    not (DICTIONARY / "data.noun").is_file(), reason="WordNet's dictionary files are not here"
)
def test_the_shipped_facts_are_wordnets_and_the_similarity_nltks(
    shipped, facts, tmp_path, monkeypatch
):
    from progcodec.lab.hierarchy_build.dictionary import read_dictionary

    wnids = [leaf.wnid for leaf in shipped.classes]
    assert read_dictionary(DICTIONARY, wnids).synsets == facts.synsets
    with pytest.raises(HierarchyError, match="n00000000 is no noun"):
        read_dictionary(DICTIONARY, ["n00000000"])

    nltk = pytest.importorskip("nltk")
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    folder = tmp_path / "corpora" / "wordnet"
    shutil.copytree(DICTIONARY, folder)
    # Debian leaves these lists out; the similarity does not look at them.
    (folder / "lexnames").write_text("".join(f"{i:02d}\tgroup{i}\t1\n" for i in range(45)))
    (folder / "index.sense").touch()
    # nltk reads only below its data folders
    monkeypatch.setattr(nltk.data, "path", [*nltk.data.path, str(tmp_path)])
    reader = WordNetCorpusReader(str(folder), None)
    similarity = shipped.wu_palmer(facts)
    synsets = [reader.synset_from_pos_and_offset("n", int(wnid[1:])) for wnid in wnids]
    pairs = np.random.default_rng(1).integers(0, 1000, (1500, 2))
    for one, two in pairs[pairs[:, 0] != pairs[:, 1]]:
        assert synsets[one].wup_similarity(synsets[two]) == pytest.approx(similarity[one, two])


# --- showing --------------------------------------------------------------------------------------


def show(*words: object, **options: object):
    return run("hierarchy", "show", *words, **options)


def test_show_prints_the_tree_a_group_and_a_path(shipped):
    tree = show().stdout
    for level in shipped.levels:
        assert all(cluster.name in tree for cluster in level)
    assert "0.583   0.426" in tree and "ARI" in tree
    path = shipped.path(shipped.find("vulture")[0])
    assert show("Vulture").stdout == " › ".join(path) + "  (n01616318)\n"
    assert show("n01616318").stdout == show("vulture").stdout
    # two classes have this name
    assert len(show("sunglasses").stdout.splitlines()) >= 2
    assert "tench" in show(shipped.levels[0][0].name).stdout
    record = json.loads(show("vulture", "--format", "json").stdout)["nodes"][0]
    assert record["level"] == "fine" and record["path"] == list(path)
    quality = json.loads(show("--format", "json").stdout)["quality"]
    assert quality["levels"][0]["size"] == 10
    near = {
        "unicorn": "",
        "piano": "; near: grand piano | upright piano",
        "voltures": "; near: vulture",
    }
    for text, hint in near.items():
        told = f"progcodec: no class or group is called {text!r}{hint}"
        assert errors(show(text, code=1)) == [told]


@pytest.mark.slow
def test_the_tree_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    path = tmp_path / "tree.png"
    show("--plot", path)
    assert Image.open(path).height > 1000
    assert "exists" in errors(show("--plot", path, code=1))[0]


def test_no_line_of_the_tree_goes_through_a_name():
    pytest.importorskip("matplotlib")
    from progcodec.hierarchy.plot import figure

    wide = "a name of $W$ide letters, WWWWWWWWWW or $5 MMMM"
    levels = (
        (Cluster("i", None), Cluster("W" * 40, None)),
        (Cluster(wide, 0), Cluster("iii", 1), Cluster(wide + wide, 1)),
    )
    leaves = tuple(Leaf(f"leaf {number}", None, number) for number in range(3))
    drawn = figure(Hierarchy(levels, leaves))
    drawn.canvas.draw()
    (axes,) = drawn.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 8 and len(axes.lines) == 3
    for box in boxes:
        assert 0 <= box.x0 and box.x1 <= drawn.bbox.width
        assert not any(other is not box and box.overlaps(other) for other in boxes)
        for line in axes.lines:
            drawn_path = line.get_transform().transform_path(line.get_path())
            assert not drawn_path.intersects_bbox(box, False)


# --- files ----------------------------------------------------------------------------------------


def group(name: str, parent: int | None = None) -> dict:
    return {"name": name, "parent": parent}


def leaf(name: str, parent: int, wnid: object = None) -> dict:
    return {"name": name, "wnid": wnid, "parent": parent}


SOUND = {
    "format": "progcodec class hierarchy",
    "version": 1,
    "levels": [[group("animal"), group("thing")]],
    "classes": [leaf("cat", 0), leaf("cup", 1)],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "no class hierarchy"),
        ({"version": 2}, "of version 2; this reader knows 1"),
        ({"levels": None}, "misses"),
        ({"levels": []}, "needs groups and classes"),
        ({"levels": [[{"name": "animal"}]]}, "misses 'parent'"),
        ({"levels": [[group("a"), group("A")]]}, "two groups are called"),
        ({"levels": [[group(" ")] * 2]}, "no name"),
        ({"levels": [[group("a\x1b]0;b\x07"), group("b")]]}, r"'a\\x1b\]0;b\\x07' is no name"),
        ({"classes": [leaf("two\nlines", 0), leaf("cup", 1)]}, "no name"),
        ({"classes": [leaf("pac\u202etac", 0), leaf("cup", 1)]}, "no name"),
        ({"classes": [leaf("cat", 0, "n0\x9b1m"), leaf("cup", 1)]}, "no name"),
        ({"levels": [[group("a", 0), group("b")]]}, "first level has a parent"),
        ({"classes": [leaf("cat", 2)]}, "2 is no parent"),
        ({"classes": [leaf("cat", 0)]}, "a group is empty"),
        ({"classes": [leaf("cat", 0, 7)]}, "no name"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, change, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(SOUND))
    assert Hierarchy.load(path).classes[1] == Leaf("cup", None, 1)
    path.write_text(json.dumps(SOUND | change))
    with pytest.raises(HierarchyError, match=message):
        Hierarchy.load(path)
    (line,) = errors(show("--file", path, code=1))
    assert "bad.json" in line


def test_what_is_no_json_and_what_is_missing(tmp_path):
    path = tmp_path / "bad.json"
    for data, told in ((b"", "not JSON"), (b"{", "not JSON"), (b"\xff\xfe", "not JSON"),
                       (b"[" * 100_000, "not JSON"), (b"[1]", "not a JSON object")):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(HierarchyError, match=told):
            Hierarchy.load(path)
    path.write_text("{}")
    with pytest.raises(HierarchyError, match="no file of WordNet facts"):
        Taxonomy.load(path)
    assert "No such file" in errors(show("--file", tmp_path / "none.json", code=1))[0]
