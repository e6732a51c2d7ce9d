"""Answers that nest, scores, labels, and classifiers of pictures from files."""

import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
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
from tests.support.classifying import MODEL, TREE, Fixed, write_weights
from tests.support.samples import file_of, flipped

VULTURE = [0.1, 0.8, 0.07, 0.01, 0.01, 0.01]
"""Probabilities of the six classes, and what they say."""
SAYS_VULTURE = "bird 0.97 › bird of prey 0.90 › vulture 0.80"


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
        more = here - above
        extra = draw(st.lists(st.integers(0, above - 1), min_size=more, max_size=more))
        parents.append(draw(st.permutations([*range(above), *extra])))
    levels = [tuple(Cluster(f"0.{n}", None) for n in range(sizes[0]))]
    for number, level in enumerate(parents[:-1], 1):
        levels.append(tuple(Cluster(f"{number}.{n}", parent) for n, parent in enumerate(level)))
    leaves = (Leaf(f"class {n}", None, parent) for n, parent in enumerate(parents[-1]))
    weights = st.lists(st.floats(0, 1), min_size=sizes[-1], max_size=sizes[-1])
    drawn = np.array(draw(weights.filter(lambda w: sum(w) > 0.01)))
    return Hierarchy(tuple(levels), tuple(leaves)), drawn / drawn.sum()


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


KITE = [0.4, 0.31, 0.26, 0.01, 0.01, 0.01]


@pytest.mark.parametrize(
    ("probabilities", "options", "text"),
    [
        (VULTURE, {}, SAYS_VULTURE),
        (KITE, {}, "bird 0.97 › bird of prey 0.71 (fine class unsure)"),
        ([0.2, 0.2, 0.39, 0.1, 0.1, 0.01], {}, "bird 0.79 (intermediate group unsure)"),
        ([0.2, 0.2, 0.2, 0.3, 0.1, 0], {"confidence": 0.7}, "unsure, perhaps bird 0.60"),
        (KITE, {"level": "coarse"}, "bird 0.97"),
        (KITE, {"level": "fine"}, "bird 0.97 › bird of prey 0.71 › kite 0.40 (unsure)"),
    ],
)
def test_what_answers_say(probabilities, options, text):
    answer = one(*probabilities, top=2, **options)
    assert str(answer) == text
    if probabilities == KITE:
        assert answer.top_text() == "kite 0.40, vulture 0.31"
    if options.get("level") == "fine":
        assert answer.guess.wnid == "n01608432"


def test_the_path_stays_in_its_parent_where_the_likeliest_class_lies_elsewhere():
    answer = one(0.2, 0.19, 0.21, 0.4, 0, 0)
    assert [guess.name for guess in answer.path] == ["bird", "bird of prey", "kite"]
    assert answer.top[0].name == "violin"
    assert predictions(np.array([[0.2, 0.19, 0.21, 0.4, 0, 0]]), TREE).tolist() == [[0, 2, 3]]


def test_levels_of_other_hierarchies_and_shared_names():
    all_of = (Cluster("all", None),)
    cranes = (Leaf("crane", "n1", 0), Leaf("crane", None, 0), Leaf("jay", "n3", 0))
    (answer,) = answers(np.array([[0.45, 0.3, 0.25]]), Hierarchy((all_of,), cranes))
    assert str(answer) == "all 1.00 (class unsure)"
    assert answer.top_text() == "crane (n1) 0.45, crane (1) 0.30, jay 0.25"
    levels = all_of, (Cluster("a", 0), Cluster("b", 0)), (Cluster("c", 0), Cluster("d", 1))
    deep = Hierarchy(levels, (Leaf("x", None, 0), Leaf("y", None, 1)))
    (answer,) = answers(np.array([[0.5, 0.5]]), deep, confidence=0.6)
    assert str(answer) == "all 1.00 (level 2 unsure)"


SURE = [1.0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("rows", "options", "error", "told"),
    [
        ([[0.5] * 6], {}, ClassifierError, "no probabilities"),
        ([[2.0, -1, 0, 0, 0, 0]], {}, ClassifierError, "no probabilities"),
        ([[np.nan, *SURE[1:]]], {}, ClassifierError, "no probabilities"),
        (SURE, {}, ClassifierError, "one row"),
        ([[1.0, 0, 0]], {}, HierarchyError, "6 classes"),
        ([SURE], {"level": "finer"}, HierarchyError, "no level 'finer'"),
        ([SURE], {"confidence": 1.5}, ValueError, "confidence"),
        ([SURE], {"top": -1}, ValueError, "top"),
    ],
)
def test_what_is_no_probability_is_refused(rows, options, error, told):
    with pytest.raises(error, match=told):
        answers(np.array(rows), TREE, **options)
    assert answers(np.empty((0, 6)), TREE) == []


# --- scores and labels ----------------------------------------------------------------------------


def test_scores():
    rows = np.eye(6)[[0, 1, 4, 3]]
    rows[2] = [0, 0, 0.2, 0.1, 0.6, 0.1]
    similarity, labels = TREE.wu_palmer(), np.array([0, 2, 3, 1])
    found = score(predictions(rows, TREE), labels, TREE, similarity)
    assert found.pictures == 4 and found.accuracy == (0.75, 0.5, 0.25)
    expected = [1.0, similarity[1, 2], similarity[4, 3], similarity[3, 1]]
    assert found.wu_palmer == pytest.approx(np.mean(expected))
    assert similarity[4, 3] > similarity[3, 1]
    assert score(predictions(rows, TREE), labels, TREE, None).wu_palmer is None
    with pytest.raises(ValueError, match="scored"):
        score(np.empty((0, 3)), np.empty(0), TREE, None)


def test_labels_from_a_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    text = "file,label\na/x.shc,n01616318\nlists/y.shc, Jay\nz.shc,5\n\nb/x.shc,kite\n"
    (tmp_path / "lists" / "labels.csv").write_text(text, encoding="utf-8-sig")
    label = load_labels("lists/labels.csv", TREE)
    expected = {"a/x.shc": 1, "b/x.shc": 0, "lists/a/x.shc": 1, "x.shc": None, "lists/y.shc": 2,
                "elsewhere/y.shc": 2, "lists/z.shc": 5, "z.shc": 5, "w.shc": None}  # fmt: skip
    assert {name: label(name) for name in expected} == expected


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
    path, told = tmp_path / "labels.csv", []
    path.write_text("a.shc,vultur\nb.shc,jay\nc.shc,dodo\n")
    label = load_labels(str(path), TREE, told.append)
    assert [label(name) for name in ("a.shc", "b.shc", "c.shc")] == [None, 2, None]
    assert told == [
        f"{path}, line 1: no class is called 'vultur'; near: vulture",
        f"{path}, line 3: no class is called 'dodo'",
    ]


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
    wrong = "resnet50 keras:vgg timm: timm builtin?x=1 builtin@ timm:a?b timm:a?b= timm:a?1=2"
    for text in ("", *wrong.split()):
        with pytest.raises(ClassifierError):
            parse(text)


# --- classifiers of pictures ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    """The specification of a classifier of six classes."""
    pytest.importorskip("timm")
    return write_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def weights(small) -> str:
    return small.partition("@")[2]


@pytest.fixture(scope="module")
def stream(tiny_codec, small_photograph) -> bytes:
    return tiny_codec.encode(small_photograph)


@torch.inference_mode()
def answer_of(model: torch.nn.Module, prepare, *pictures: Image.Image) -> np.ndarray:
    return model(torch.stack([prepare(picture) for picture in pictures])).softmax(1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_large"])
def test_torchvision(tmp_path, name, tiny_codec, stream):
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    model = models.get_model(name).eval()
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    found = load_classifier(f"torchvision:{name}@{tmp_path / 'w.pth'}", "cpu")
    assert (found.name, found.classes) == (f"torchvision:{name}", 1000)
    cuts = [stream, stream[:60]]
    probabilities = found.probabilities(tiny_codec, tiny_codec.decode_latents(cuts))
    prepare = models.get_model_weights(name).DEFAULT.transforms()
    expected = answer_of(model, prepare, *tiny_codec.decode_batch(cuts))
    assert probabilities.dtype == np.float64 and np.allclose(probabilities, expected, atol=1e-5)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_timm_and_its_batches(small, weights, tiny_codec, stream, monkeypatch):
    import timm

    found = load_classifier(small, "cpu")
    model = timm.create_model(MODEL, num_classes=6).eval()
    model.load_state_dict(libraries.read_weights(weights))
    config = timm.data.resolve_data_config({"input_size": (3, 64, 64)}, model=model)
    prepare = timm.data.create_transform(**config)
    expected = answer_of(model, prepare, tiny_codec.decode(stream))
    monkeypatch.setattr("progcodec.classification.pixel.BATCH", 2)
    latent = tiny_codec.decode_latent(stream)
    # pixels of a batch may differ by a grey level, to which untrained weights answer strongly
    for count, apart in ((0, 0), (1, 1e-5), (5, 0.02)):
        answers = found.probabilities(tiny_codec, [latent] * count)
        assert np.allclose(answers, np.repeat(expected, count, axis=0), atol=apart)


@pytest.mark.parametrize(
    "wrap",
    [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": {"model": s}}],
)
def test_weights_of_training_programs(tmp_path, weights, wrap):
    plain = libraries.read_weights(weights)
    torch.save(wrap(plain), tmp_path / "w.pt")
    back = libraries.read_weights(str(tmp_path / "w.pt"))
    assert back.keys() == plain.keys()
    assert all(torch.equal(back[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    "library, name, options",
    [("timm", MODEL, "num_classes=6&"), ("torchvision", "squeezenet1_1", "")],
)
def test_preprocessing_can_be_replaced(library, name, options, monkeypatch):
    built = pytest.importorskip(library)
    model = built.create_model(MODEL, num_classes=6) if library == "timm" else None
    monkeypatch.setattr(libraries, "_build", lambda *arguments: model)

    def load(options: str):
        return libraries.load(Specification.parse(f"{library}:{name}{options}")).preprocess

    halves = Image.new("RGB", (90, 90), "white")
    halves.paste("black", (0, 0, 45, 90))
    more = "mean=0.5&std=0.5&input_size=48&crop_pct=0.75&interpolation=bilinear"
    x = load(f"?{options}{more}")(halves)
    assert x.shape == (3, 48, 48) and (float(x.min()), float(x.max())) == (-1.0, 1.0)
    plain = load("")(halves)
    assert plain.shape[1:] == (224, 224)
    assert float(plain[0].max()) == pytest.approx((1 - 0.485) / 0.229, abs=1e-3)
    wrong = "mean=x std=0 std=1,2 input_size=1.5 crop_pct=0 crop_pct=1,1,1 interpolation=best"
    for text in wrong.split():
        with pytest.raises(ClassifierError, match="makes no sense"):
            load(f"?{text}")


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
def test_what_cannot_be_loaded(tmp_path, weights, spec, reason):
    import timm

    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    if "grey" in spec:
        grey = timm.create_model(MODEL, num_classes=6, in_chans=1)
        torch.save(grey.state_dict(), tmp_path / "grey.pth")
    with pytest.raises(ClassifierError, match=reason) as caught:
        load_classifier(spec.format(file=weights, folder=tmp_path), "cpu")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("spec", ["timm:mobilenetv2_100", "torchvision:squeezenet1_1"])
def test_a_failed_download_asks_for_a_file(spec, monkeypatch, capfd):
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
def test_a_missing_library_names_the_extra(library, monkeypatch):
    for name in (library, f"{library}.data", f"{library}.models"):
        monkeypatch.setitem(sys.modules, name, None)
    told = rf"needs {library}: pip install 'progcodec\[classify\]"
    with pytest.raises(ClassifierError, match=told):
        load_classifier(f"{library}:resnet18", "cpu")


def test_outputs_that_are_no_numbers_or_no_classes(tiny_codec, stream):
    class Constant(torch.nn.Module):
        def __init__(self, output):
            super().__init__()
            self.output = output

        def forward(self, x):
            return self.output

    def classifier(output: object) -> PixelClassifier:
        return PixelClassifier("x", Constant(output), lambda _: torch.zeros(3, 8, 8), "cpu")

    wrong = classifier(torch.full((1, 4), torch.nan))
    with pytest.raises(ClassifierError, match="no numbers"):
        wrong.probabilities(tiny_codec, [tiny_codec.decode_latent(stream)])
    with pytest.raises(ClassifierError, match="is no classifier: it gives"):
        classifier(torch.zeros(1, 4, 7, 7))
    with pytest.raises(ClassifierError, match="does not take a picture"):
        classifier({"out": 1})


# --- the built-in classifier ----------------------------------------------------------------------


def test_the_built_in_classifier_sees_a_pagoda(photograph):
    """In the picture itself and in a file of it, whatever library is missing."""
    for data in (file_of(photograph), progcodec.encode(photograph, device="cpu")):
        answer = progcodec.classify(data, device="cpu")
        assert {"palace", "bell tower", "monastery", "stupa"} & {g.name for g in answer.top}


def test_the_square_that_it_looks_at():
    wide = Image.new("RGB", (96, 40), (127, 255, 0))
    wide.paste("black", (0, 0, 20, 40))  # left of the central square
    x = libraries.Square(32)(wide)
    assert x.shape == (3, 32, 32)
    assert [float(c.mean()) for c in x] == pytest.approx([0, 1, -127 / 128])


def test_a_classifiers_file(tmp_path, tiny_codec, stream, photograph):
    torch.manual_seed(0)
    tables = Calibration.neutral(TREE.assignments)
    hot = Calibration(tables.groups, tables.knots, tables.log_temperature + 1)
    network = EfficientNetLite(6)
    torch.nn.init.normal_(network.classifier.weight)
    path = tmp_path / "c.safetensors"
    ClassifierFile(NAME, network.state_dict(), hot, {"origin": "a test"}).save(path)
    loaded = ClassifierFile.load(path)
    assert loaded.metadata == {"origin": "a test"} and loaded.classes == 6
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
        (lambda raw: flipped(raw, -1), "digest"),
        (lambda raw: raw.replace(b"classifier-1", b"classifier-9"), "not a classifier of this"),
        (lambda raw: raw.replace(NAME.encode(), NAME[::-1].encode()), "digest"),
        (lambda raw: None, "no such classifier"),
    ],
)
def test_damaged_files_of_classifiers(tmp_path, change, reason):
    path = tmp_path / "c.safetensors"
    calibration = Calibration.neutral(TREE.assignments)
    ClassifierFile(NAME, EfficientNetLite(6).state_dict(), calibration).save(path)
    changed = change(path.read_bytes())
    path.unlink() if changed is None else path.write_bytes(changed)
    with pytest.raises(ClassifierError, match=reason):
        load_classifier(f"builtin@{path}", "cpu")


def test_a_classifiers_file_of_timms_network(tmp_path, small, weights, monkeypatch):
    import timm

    tensors, calibration = libraries.read_weights(weights), Calibration.neutral(TREE.assignments)
    path, name = tmp_path / "c.safetensors", small.partition("@")[0]
    ClassifierFile(name, tensors, calibration).save(path)
    grey = Image.new("RGB", (50, 70), "teal")
    mine, theirs = (load_classifier(text, "cpu") for text in (f"builtin@{path}", small))
    assert np.allclose(mine.predict([grey]), theirs.predict([grey]), atol=2e-3)
    create, devices = timm.create_model, set()
    monkeypatch.setattr(
        timm, "create_model",
        lambda *given, **more: devices.add(torch.empty(0).device.type) or create(*given, **more),
    )  # fmt: skip
    for wrong in (
        f"{name}&pretrained=True", "torchvision:resnet18", name.replace("6&", "7&"),
        name.replace("=64", "=1025"), name.replace("=64", "='9'"), f"{name}&crop_pct=0.001",
        "timm:vit_gigantic_patch14_224?num_classes=6",
    ):  # fmt: skip
        ClassifierFile(wrong, tensors, calibration).save(path)
        with pytest.raises(ClassifierError, match="none that a file may|another number|do not fit"):
            load_classifier(f"builtin@{path}", "cpu")
    assert devices == {"meta"}, "memory was taken for what does not fit its file"


# --- progcodec.classify ---------------------------------------------------------------------------


def test_classify(stream, small, tiny_codec, tiny_checkpoint):
    def ask(data: bytes, tree: Hierarchy | None = TREE, **options):
        given = {"model": tiny_checkpoint, "device": "cpu", "classifier": small, "hierarchy": tree}
        return progcodec.classify(data, **given, **options)

    whole = ask(stream)
    latent = tiny_codec.decode_latent(stream)
    expected = load_classifier(small, "cpu").probabilities(tiny_codec, [latent])
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
        ask(stream, None)


def test_classify_loads_once_and_takes_an_object(
    stream, tiny_checkpoint, tmp_path, small, monkeypatch
):
    file, loads, build = tmp_path / "tree.json", [], PixelClassifier.load
    file.write_text(TREE.to_json(), encoding="utf-8")
    monkeypatch.setattr(PixelClassifier, "load", lambda *given: loads.append(1) or build(*given))
    api._classifier.cache_clear()
    options = {"model": tiny_checkpoint, "device": "cpu", "hierarchy": file, "top": 1}
    for _ in range(3):
        progcodec.classify(stream, classifier=small, **options)
    assert len(loads) == 1
    # another file of the same name is another classifier, and another hierarchy
    weights = Path(small.partition("@")[2])
    os.replace(shutil.copy(weights, tmp_path / "copy"), weights)
    progcodec.classify(stream, classifier=small, **options)
    assert len(loads) == 2
    renamed = TREE.to_json().replace("bird of prey", "raptor")
    (tmp_path / "other").write_text(renamed, encoding="utf-8")
    os.replace(tmp_path / "other", file)
    answer = progcodec.classify(stream, classifier=Fixed(lambda _: VULTURE), **options)
    assert answer.path[1].name == "raptor"
    file.write_text(TREE.to_json(), encoding="utf-8")
    answer = progcodec.classify(stream, classifier=Fixed(lambda _: VULTURE), **options)
    assert str(answer) == SAYS_VULTURE and answer.top[0].index == 1
