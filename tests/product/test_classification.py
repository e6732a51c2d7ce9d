"""Answers that nest, scores, labels, and classifiers of pictures from files."""

import io
import os
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import progcodec
from progcodec import ClassifierError, HierarchyError
from progcodec.classification import api, libraries
from progcodec.classification.answer import answers
from progcodec.classification.calibration import Calibration
from progcodec.classification.classifier import Specification, load_classifier
from progcodec.classification.classifier_file import ClassifierFile
from progcodec.classification.labels import class_index, load_labels
from progcodec.classification.pixel import PixelClassifier
from progcodec.classification.score import predictions, score
from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf, Node
from progcodec.network.efficientnet import NAME, EfficientNetLite
from tests.support.classifying import MODEL, TREE, write_weights


def one(*probabilities: float, **options):
    (answer,) = answers(np.array([probabilities]), TREE, **options)
    return answer


# --- answers --------------------------------------------------------------------------------------


@st.composite
def questions(draw):
    """A hierarchy of two or three levels of groups, and probabilities of its classes."""
    sizes = [draw(st.integers(1, 3))]
    for _ in range(draw(st.integers(1, 3))):
        sizes.append(sizes[-1] + draw(st.integers(0, 5)))
    parents = []
    for above, here in pairwise(sizes):
        extra = draw(
            st.lists(st.integers(0, above - 1), min_size=here - above, max_size=here - above)
        )
        parents.append(draw(st.permutations([*range(above), *extra])))
    levels = [tuple(Cluster(f"0.{n}", None) for n in range(sizes[0]))]
    for number, level in enumerate(parents[:-1], 1):
        levels.append(tuple(Cluster(f"{number}.{n}", parent) for n, parent in enumerate(level)))
    tree = Hierarchy(
        tuple(levels),
        tuple(Leaf(f"class {n}", None, parent) for n, parent in enumerate(parents[-1])),
    )
    weights = draw(
        st.lists(st.floats(0, 1), min_size=sizes[-1], max_size=sizes[-1]).filter(
            lambda w: sum(w) > 0.01
        )
    )
    return tree, np.array(weights) / sum(weights)


@settings(max_examples=200, deadline=None)
@given(questions(), st.floats(0, 1), st.integers(0, 9))
def test_answers_nest(question, confidence, top):
    tree, probabilities = question
    (answer,) = answers(probabilities[None], tree, confidence=confidence, top=top)
    assert [guess.level for guess in answer.path] == list(tree.level_names)
    nodes = [Node(level, guess.index) for level, guess in enumerate(answer.path)]
    assert tree.path(nodes[-1]) == tuple(guess.name for guess in answer.path)
    above = 1.0
    siblings = [Node(0, index) for index in range(tree.sizes[0])]
    for node, guess in zip(nodes, answer.path, strict=True):
        sums = [probabilities[tree.members(sibling)].sum() for sibling in siblings]
        assert guess.probability == pytest.approx(max(sums), abs=1e-12) and node in siblings
        assert guess.probability <= above
        above, siblings = guess.probability, tree.children(node)
    assert answer.stated == sum(guess.probability >= confidence for guess in answer.path)
    assert (answer.guess is None) == (answer.stated == 0) and answer.sure == (answer.stated > 0)
    assert [guess.probability for guess in answer.top] == sorted(probabilities, reverse=True)[:top]
    for number, name in enumerate(tree.level_names):
        (asked,) = answers(probabilities[None], tree, level=name, confidence=confidence)
        assert asked.guess == answer.path[number]


def test_what_answers_say():
    assert (
        str(one(0.1, 0.8, 0.07, 0.01, 0.01, 0.01)) == "bird 0.97 › bird of prey 0.90 › vulture 0.80"
    )
    assert (
        str(one(0.4, 0.31, 0.26, 0.01, 0.01, 0.01))
        == "bird 0.97 › bird of prey 0.71 (fine class unsure)"
    )
    assert str(one(0.2, 0.2, 0.39, 0.1, 0.1, 0.01)) == "bird 0.79 (intermediate group unsure)"
    assert str(one(0.2, 0.2, 0.2, 0.3, 0.1, 0, confidence=0.7)) == "unsure, perhaps bird 0.60"
    assert str(one(0.4, 0.31, 0.26, 0.01, 0.01, 0.01, level="coarse")) == "bird 0.97"
    asked = one(0.4, 0.31, 0.26, 0.01, 0.01, 0.01, level="fine")
    assert str(asked) == "bird 0.97 › bird of prey 0.71 › kite 0.40 (unsure)"
    assert asked.guess.wnid == "n01608432"
    assert one(0.4, 0.31, 0.26, 0.01, 0.01, 0.01, top=2).top_text() == "kite 0.40, vulture 0.31"


def test_the_path_stays_in_its_parent_where_the_likeliest_class_lies_elsewhere():
    answer = one(0.2, 0.19, 0.21, 0.4, 0, 0)
    assert [guess.name for guess in answer.path] == ["bird", "bird of prey", "kite"]
    assert answer.top[0].name == "violin"
    assert predictions(np.array([[0.2, 0.19, 0.21, 0.4, 0, 0]]), TREE).tolist() == [[0, 2, 3]]


def test_levels_of_other_hierarchies_and_shared_names():
    tree = Hierarchy(
        ((Cluster("all", None),),),
        (Leaf("crane", "n1", 0), Leaf("crane", None, 0), Leaf("jay", "n3", 0)),
    )
    (answer,) = answers(np.array([[0.45, 0.3, 0.25]]), tree)
    assert str(answer) == "all 1.00 (class unsure)"
    assert answer.top_text() == "crane (n1) 0.45, crane (1) 0.30, jay 0.25"
    deep = Hierarchy(((Cluster("all", None),), (Cluster("a", 0), Cluster("b", 0)), (Cluster("c", 0),
        Cluster("d", 1))),
                     (Leaf("x", None, 0), Leaf("y", None, 1)))  # fmt: skip
    assert (
        str(answers(np.array([[0.5, 0.5]]), deep, confidence=0.6)[0]) == "all 1.00 (level 2 unsure)"
    )


def test_what_is_no_probability_is_refused():
    sure = [1.0, 0, 0, 0, 0, 0]
    for row in ([0.5] * 6, [2.0, -1, 0, 0, 0, 0], [np.nan, *sure[1:]]):
        with pytest.raises(ClassifierError, match="no probabilities"):
            answers(np.array([row]), TREE)
    with pytest.raises(ClassifierError, match="one row"):
        answers(np.array(sure), TREE)
    with pytest.raises(HierarchyError, match="6 classes"):
        answers(np.array([[1.0, 0, 0]]), TREE)
    with pytest.raises(HierarchyError, match="no level 'finer'"):
        one(*sure, level="finer")
    with pytest.raises(ValueError, match="confidence"):
        one(*sure, confidence=1.5)
    with pytest.raises(ValueError, match="top"):
        one(*sure, top=-1)
    assert answers(np.empty((0, 6)), TREE) == []


# --- scores and labels ----------------------------------------------------------------------------


def test_scores():
    rows = np.array(
        [
            [0.9, 0.1, 0, 0, 0, 0],
            [0.1, 0.5, 0.4, 0, 0, 0],
            [0, 0, 0.2, 0.1, 0.6, 0.1],
            [0, 0, 0, 1, 0, 0],
        ]
    )
    similarity = TREE.wu_palmer()
    labels = np.array([0, 2, 3, 1])
    found = score(predictions(rows, TREE), labels, TREE, similarity)
    assert found.pictures == 4 and found.accuracy == (0.75, 0.5, 0.25)
    expected = [1.0, similarity[1, 2], similarity[4, 3], similarity[3, 1]]
    assert found.wu_palmer == pytest.approx(np.mean(expected))
    assert similarity[4, 3] > similarity[3, 1]
    assert score(predictions(rows, TREE), labels, TREE, None).wu_palmer is None
    right = score(predictions(np.eye(6), TREE), np.arange(6), TREE, similarity)
    assert right == (6, (1.0, 1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match="scored"):
        score(np.empty((0, 3)), np.empty(0), TREE, None)


def test_labels_from_a_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "labels.csv"
    path.write_text(
        "file,label\na/x.shc,n01616318\nlists/y.shc, Jay\nz.shc,5\n\nb/x.shc,kite\n",
        encoding="utf-8-sig",
    )
    label = load_labels("lists/labels.csv", TREE)
    assert [label(name) for name in ("a/x.shc", "b/x.shc", "lists/a/x.shc", "x.shc")] == [
        1,
        0,
        1,
        None,
    ]
    assert [
        label(name) for name in ("lists/y.shc", "elsewhere/y.shc", "lists/z.shc", "z.shc", "w.shc")
    ] == [2, 2, 5, 5, None]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("a.shc,dodo\n", "line 1: no class is called 'dodo'"),
        ("file,label\na.shc\n", "line 2: not a file"),
        ("a.shc,6\n", "no class"),
        ("file,label\n", "holds no labels"),
        ("\xff", "line 1: not a file"),
    ],
)
def test_bad_label_files(tmp_path, text, reason):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(HierarchyError, match=reason):
        load_labels(str(path), TREE)


def test_unknown_labels_are_told_and_stop_nothing(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("a.shc,vultur\nb.shc,jay\nc.shc,dodo\n")
    told: list[str] = []
    label = load_labels(str(path), TREE, told.append)
    assert [label(name) for name in ("a.shc", "b.shc", "c.shc")] == [None, 2, None]
    assert told == [
        f"{path}, line 1: no class is called 'vultur'; near: vulture",
        f"{path}, line 3: no class is called 'dodo'",
    ]
    path.write_text("a.shc,vultur\n")
    assert load_labels(str(path), TREE, told.append)("a.shc") is None


def test_labels_from_folders_and_shared_names():
    told: list[str] = []
    label = load_labels("folders", TREE, told.append)
    names = ["val/n02992211/x.shc", "val/Jay/x.shc", *["val/jays/x.shc"] * 2, "val/1/x.shc"]
    assert [label(name) for name in names] == [4, 2, None, None, None]
    assert told == [
        "folder jays: no class is called 'jays'; near: jay",
        "folder 1: no class is called '1'",
    ]
    tree = Hierarchy(((Cluster("all", None),),), (Leaf("crane", "n1", 0), Leaf("crane", "n2", 0)))
    assert class_index(tree, "n2") == 1
    with pytest.raises(HierarchyError, match="2 classes are called 'crane'"):
        class_index(tree, "crane")


# --- names of classifiers -------------------------------------------------------------------------


def test_specifications():
    parse = Specification.parse
    assert parse("builtin") == ("builtin", "", {}, {}, None)
    assert parse("builtin@h.safetensors").file == "h.safetensors"
    assert parse("timm:resnet50.a1_in1k@a@b?c") == ("timm", "resnet50.a1_in1k", {}, {}, "a@b?c")
    full = parse("timm:m?pad_type=same&mean=0.5&std=0.1,0.2,0.3&num_classes=10")
    assert full.options == {"pad_type": "same", "num_classes": 10} and full.name == "timm:m"
    assert full.preprocessing == {"mean": 0.5, "std": (0.1, 0.2, 0.3)}
    for text in (
        "",
        "resnet50",
        "keras:vgg",
        "timm:",
        "timm",
        "builtin?x=1",
        "builtin@",
        "timm:a?b",
        "timm:a?b=",
        "timm:a?1=2",
    ):
        with pytest.raises(ClassifierError):
            parse(text)


# --- classifiers of pictures ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    """The specification of a classifier of six classes."""
    pytest.importorskip("timm")
    return write_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def stream(tiny_codec, small_photograph) -> bytes:
    return tiny_codec.encode(small_photograph)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "convnext_tiny", "mobilenet_v3_large"])
def test_torchvision(tmp_path, name, tiny_codec, stream):
    models = pytest.importorskip("torchvision").models
    import torch

    torch.manual_seed(0)
    model = models.get_model(name).eval()
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}},
        tmp_path / "w.pth",
    )
    found = load_classifier(f"torchvision:{name}@{tmp_path / 'w.pth'}", "cpu")
    assert (found.name, found.classes) == (f"torchvision:{name}", 1000)
    latents = tiny_codec.decode_latents([stream, stream[:60]])
    probabilities = found.probabilities(tiny_codec, latents)
    assert probabilities.shape == (2, 1000) and probabilities.dtype == np.float64
    prepare = models.get_model_weights(name).DEFAULT.transforms()
    x = torch.stack([prepare(tiny_codec.decode(data)) for data in (stream, stream[:60])])
    with torch.inference_mode():
        expected = model(x).softmax(1).numpy()
    assert np.allclose(probabilities, expected, atol=1e-5)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_timm_and_its_batches(small, tiny_codec, stream, monkeypatch):
    import timm
    import torch

    found = load_classifier(small, "cpu")
    model = timm.create_model(MODEL, num_classes=6).eval()
    model.load_state_dict(libraries.read_weights(small.partition("@")[2]))
    config = timm.data.resolve_data_config({"input_size": (3, 64, 64)}, model=model)
    x = timm.data.create_transform(**config)(tiny_codec.decode(stream))[None]
    with torch.inference_mode():
        expected = model(x).softmax(1).numpy()
    latent = tiny_codec.decode_latent(stream)
    assert np.allclose(found.probabilities(tiny_codec, [latent]), expected, atol=1e-5)
    monkeypatch.setattr("progcodec.classification.pixel.BATCH", 2)
    assert np.allclose(
        found.probabilities(tiny_codec, [latent] * 5), np.repeat(expected, 5, axis=0), atol=1e-5
    )
    assert found.probabilities(tiny_codec, []).shape == (0, 6)


@pytest.mark.parametrize(
    "wrap",
    [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": {"model": s}}],
)
def test_weights_of_training_programs(tmp_path, small, wrap):
    import torch

    plain = libraries.read_weights(small.partition("@")[2])
    torch.save(wrap(plain), tmp_path / "w.pt")
    back = libraries.read_weights(str(tmp_path / "w.pt"))
    assert back.keys() == plain.keys()
    assert all(torch.equal(back[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    "library, name, options",
    [("timm", MODEL, "num_classes=6&"), ("torchvision", "squeezenet1_1", "")],
)
def test_preprocessing_can_be_replaced(tmp_path, small, library, name, options, monkeypatch):
    pytest.importorskip(library)
    monkeypatch.setattr(
        libraries, "_build", lambda *arguments: _six() if library == "timm" else None
    )
    text = (
        f"{library}:{name}?{options}mean=0.5&std=0.5&input_size=48&crop_pct=0.75"
        "&interpolation=bilinear"
    )
    prepare = libraries.load(Specification.parse(text)).preprocess
    halves = Image.new("RGB", (90, 90), "white")
    halves.paste("black", (0, 0, 45, 90))
    x = prepare(halves)
    assert x.shape == (3, 48, 48) and (float(x.min()), float(x.max())) == (-1.0, 1.0)
    plain = libraries.load(Specification.parse(f"{library}:{name}")).preprocess(halves)
    assert plain.shape[1:] == (224, 224)
    assert float(plain[0].max()) == pytest.approx((1 - 0.485) / 0.229, abs=1e-3)
    for wrong in (
        "mean=x",
        "std=0",
        "std=1,2",
        "input_size=1.5",
        "crop_pct=0",
        "crop_pct=1,1,1",
        "interpolation=best",
    ):
        with pytest.raises(ClassifierError, match="makes no sense"):
            libraries.load(Specification.parse(f"{library}:{name}?{wrong}"))


def _six():
    import timm

    return timm.create_model(MODEL, num_classes=6)


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("timm:lcnet_036", "no classifier 'lcnet_036'; did you mean"),
        ("torchvision:raft_large", "no classifier"),  # a model, but of another kind
        ("timm:lcnet_035?nonsense=1@{file}", "does not take these options"),
        ("timm:lcnet_035@{file}", "do not fit timm:lcnet_035"),  # 1000 classes, weights of 6
        ("torchvision:squeezenet1_1@{file}", "do not fit"),
        ("timm:lcnet_035@{folder}/none.pth", "no such file"),
        ("timm:lcnet_035@{folder}/text.pth", "cannot be read as weights"),
        ("timm:lcnet_035@{folder}/text.safetensors", "cannot be read as weights"),
        ("timm:lcnet_035@{folder}/list.pth", "holds no state dict"),
        ("timm:lcnet_035?num_classes=6&in_chans=1@{folder}/grey.pth", "does not take a picture"),
        ("timm:lcnet_035?num_classes=6", "must come from a file"),
    ],
)
def test_what_cannot_be_had(tmp_path, small, tiny_codec, spec, reason):
    import torch

    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    if "grey" in spec:
        import timm

        torch.save(
            timm.create_model(MODEL, num_classes=6, in_chans=1).state_dict(), tmp_path / "grey.pth"
        )
    with pytest.raises(ClassifierError, match=reason) as caught:
        load_classifier(spec.format(file=small.partition("@")[2], folder=tmp_path), "cpu")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("spec", ["timm:mobilenetv2_100", "torchvision:squeezenet1_1"])
def test_a_failed_download_asks_for_a_file(spec, tiny_codec, monkeypatch, capfd):
    pytest.importorskip("timm")

    def offline(*arguments, **keywords):
        print("Downloading …", file=sys.stderr)
        print("Downloading …")
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr("timm.create_model", offline)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ClassifierError) as caught:
        load_classifier(spec, "cpu")
    library = spec.partition(":")[0]
    hint = f"{library} cannot give its weights; name a file of weights, {spec}@FILE"
    assert str(caught.value) == f"{spec}: {hint} (Name or service not known)"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_missing_library_names_the_extra(library, tiny_codec, monkeypatch):
    for name in (library, f"{library}.data", f"{library}.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ClassifierError, match=rf"needs {library}: pip install 'progcodec\[classify\]"
    ):
        load_classifier(f"{library}:resnet18", "cpu")


def test_outputs_that_are_no_numbers_or_no_classes(tiny_codec, stream):
    import torch

    def prepare(picture):
        return torch.zeros(3, 8, 8)

    class Constant(torch.nn.Module):
        def __init__(self, output):
            super().__init__()
            self.output = output

        def forward(self, x):
            return self.output

    wrong = PixelClassifier("nan", Constant(torch.full((1, 4), torch.nan)), prepare, "cpu")
    with pytest.raises(ClassifierError, match="no numbers"):
        wrong.probabilities(tiny_codec, [tiny_codec.decode_latent(stream)])
    with pytest.raises(ClassifierError, match="is no classifier: it gives"):
        PixelClassifier("map", Constant(torch.zeros(1, 4, 7, 7)), prepare, "cpu")
    with pytest.raises(ClassifierError, match="does not take a picture"):
        PixelClassifier("dict", Constant({"out": 1}), prepare, "cpu")


# --- the built-in classifier ----------------------------------------------------------------------


def test_the_built_in_classifier_sees_a_pagoda(photograph):
    """In the picture itself and in a file of it, whatever library is missing."""
    clean = progcodec.classify(_file_of(photograph), device="cpu")
    coded = progcodec.classify(progcodec.encode(photograph, device="cpu"), device="cpu")
    for answer in (clean, coded):
        assert {"palace", "bell tower", "monastery", "stupa"} & {g.name for g in answer.top}


def test_the_square_that_it_looks_at(photograph):
    prepare = libraries.Square(32)
    wide = Image.new("RGB", (96, 40), (127, 255, 0))
    wide.paste("black", (0, 0, 20, 40))  # left of the central square
    x = prepare(wide)
    assert x.shape == (3, 32, 32)
    assert [float(c.mean()) for c in x] == pytest.approx([0, 1, -127 / 128])


def test_a_classifiers_file(tmp_path, tiny_codec, stream, photograph):
    import torch

    torch.manual_seed(0)
    tables = Calibration.neutral(TREE.assignments)
    hot = Calibration(tables.groups, tables.knots, tables.log_temperature + 1)
    network = EfficientNetLite(6)
    torch.nn.init.normal_(network.classifier.weight)
    path = tmp_path / "c.safetensors"
    ClassifierFile(NAME, network.state_dict(), hot, {"origin": "a test"}).save(path)
    loaded = ClassifierFile.load(path)
    assert loaded.metadata == {"origin": "a test"} and loaded.classes == 6
    for name in ("groups", "knots", "log_temperature"):
        assert np.array_equal(getattr(loaded.calibration, name), getattr(hot, name))
    found = load_classifier(f"builtin@{path}", "cpu")
    latents = [tiny_codec.decode_latent(data) for data in (stream, stream[:60])]
    p = found.probabilities(tiny_codec, latents)
    logits = np.concatenate([found.logits(tiny_codec.synthesise([x])) for x in latents])
    bits = np.array([latent.bits for latent in latents])
    assert np.allclose(p, hot.probabilities(logits, bits), atol=1e-4)
    assert p.max() < tables.probabilities(logits, bits).max()
    clean = found.predict([photograph])
    assert np.allclose(clean, hot.probabilities(found.logits([photograph]), np.full(1, np.inf)))


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda raw: raw[:-1], "cannot be read"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "digest"),
        (lambda raw: raw.replace(b"classifier-1", b"classifier-9"), "not a classifier of this"),
        (lambda raw: raw.replace(NAME.encode(), NAME[::-1].encode()), "digest"),
    ],
)
def test_damaged_files_of_classifiers(tmp_path, change, reason):
    path = tmp_path / "c.safetensors"
    calibration = Calibration.neutral(TREE.assignments)
    ClassifierFile(NAME, EfficientNetLite(6).state_dict(), calibration).save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ClassifierError, match=reason):
        load_classifier(f"builtin@{path}", "cpu")
    with pytest.raises(ClassifierError, match="no such classifier"):
        load_classifier(f"builtin@{tmp_path / 'none.safetensors'}", "cpu")


def test_a_classifiers_file_of_timms_network(tmp_path, small):
    weights = libraries.read_weights(small.partition("@")[2])
    calibration = Calibration.neutral(TREE.assignments)
    path, name = tmp_path / "c.safetensors", small.partition("@")[0]
    ClassifierFile(name, weights, calibration).save(path)
    grey = Image.new("RGB", (50, 70), "teal")
    mine, theirs = (load_classifier(text, "cpu") for text in (f"builtin@{path}", small))
    assert np.allclose(mine.predict([grey]), theirs.predict([grey]), atol=2e-3)
    for wrong in (f"{name}&pretrained=True", "torchvision:resnet18", name.replace("6&", "7&")):
        ClassifierFile(wrong, weights, calibration).save(path)
        with pytest.raises(ClassifierError, match="none that a file may|another number"):
            load_classifier(f"builtin@{path}", "cpu")


def _file_of(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


# --- progcodec.classify ---------------------------------------------------------------------------


def test_classify(stream, small, tiny_codec, tiny_checkpoint):
    def ask(data: bytes, **options):
        return progcodec.classify(
            data, model=tiny_checkpoint, device="cpu", classifier=small, hierarchy=TREE, **options
        )

    whole = ask(stream)
    expected = load_classifier(small, "cpu").probabilities(
        tiny_codec, [tiny_codec.decode_latent(stream)]
    )
    assert whole == answers(expected, TREE)[0] and len(whole.top) == 5
    assert ask(stream, max_bytes=60) == ask(stream[:60])
    assert ask(stream, max_bytes=60).path != whole.path
    assert ask(stream, level="intermediate").guess == whole.path[1]
    with pytest.raises(progcodec.BudgetError):
        ask(stream, max_bytes=3)
    with pytest.raises(progcodec.NotShcError, match="neither a .shc stream nor a picture"):
        ask(b"GIF89a" + bytes(100))
    with pytest.raises(HierarchyError, match="no level"):
        ask(b"", level="finest")
    with pytest.raises(HierarchyError, match="has 6 classes, and the hierarchy 1000"):
        progcodec.classify(stream, model=tiny_checkpoint, device="cpu", classifier=small)


def test_classify_loads_once_and_takes_an_object(
    stream, tiny_checkpoint, tmp_path, small, monkeypatch
):
    file = tmp_path / "tree.json"
    file.write_text(TREE.to_json(), encoding="utf-8")
    loads = []
    build = PixelClassifier.load
    monkeypatch.setattr(
        PixelClassifier, "load", lambda *arguments: loads.append(1) or build(*arguments)
    )
    api.cached_classifier.cache_clear()
    for _ in range(3):
        progcodec.classify(
            stream, model=tiny_checkpoint, device="cpu", classifier=small, hierarchy=file
        )
    assert len(loads) == 1

    class Fixed:
        name, classes = "fixed", 6

        def probabilities(self, codec, latents):
            assert codec.fingerprint == progcodec.Codec.load(tiny_checkpoint, "cpu").fingerprint
            return np.tile([0.1, 0.8, 0.07, 0.01, 0.01, 0.01], (len(latents), 1))

    answer = progcodec.classify(
        stream, model=tiny_checkpoint, device="cpu", classifier=Fixed(), hierarchy=file, top=1
    )
    assert str(answer) == "bird 0.97 › bird of prey 0.90 › vulture 0.80"
    assert answer.top[0].index == 1


def test_a_real_classifier(photograph):
    """MobileNetV2 sees in the decoded picture what it sees in the picture itself, given the input
    that it wants.
    """
    file = os.environ.get("PROGCODEC_TEACHER")
    if not file:
        pytest.skip("name the weights of a mobilenetv2_100 with pad_type=same in PROGCODEC_TEACHER")
    spec = f"timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5@{file}"
    codec = progcodec.Codec.load(device="cpu")
    found = load_classifier(spec, "cpu")
    clean = found.predict([photograph])[0]
    answer = progcodec.classify(codec.encode(photograph), device="cpu", classifier=spec)
    assert found.classes == 1000 and answer.top[0].index == clean.argmax()
    assert abs(answer.top[0].probability - clean.max()) < 0.25
