"""Training of the built-in classifier: coded views, what is learnt from them, the run, calibration,
the command.
"""

import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from progcodec.classification.classifier import load_classifier
from progcodec.classification.classifier_file import ClassifierFile
from progcodec.errors import ProgcodecError, TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.peers import PEERS
from progcodec.lab.train import classifier, coded_views, loop, validation
from progcodec.lab.train.classifier import ClassifierSettings, load_start, train_classifier
from progcodec.lab.train.coded_views import code_views, read_sources
from progcodec.lab.train.distillation import NO_LABEL, Distillation
from progcodec.lab.train.prefixes import OwnPrefixes, PeerFiles
from progcodec.lab.train.validation import Judged, measure
from progcodec.network.efficientnet import NAME, EfficientNetLite
from tests.conftest import noise_image
from tests.support.command import run

CLASSES = (7, 130, 980)


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    return Hierarchy.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, hierarchy):
    """Pictures of three classes, one without a label, and one that is too small to learn from."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    names = [hierarchy.classes[index].wnid for index in CLASSES]
    for n, name in enumerate([*names, names[0], names[0], "unlabelled", "small"]):
        (root / name).mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        side = 60 if name == "small" else 128
        coarse.resize((side + 8, side), Image.Resampling.BICUBIC).save(root / name / f"{n}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def small_squares():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SPIKE", 1e6)  # a network that knows nothing leaps
        patch.setattr(coded_views, "SIDES", (32, 48))
        patch.setattr(coded_views, "SIDE_SHARES", (0.5, 0.5))
        patch.setattr(validation, "CUTS", (60, 200, *validation.SHOWN[-2:]))
        patch.setattr(validation, "SHOWN", (200, *validation.SHOWN[-2:]))
        yield


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights as another library would have them, of a network whose answers depend on the
    picture.
    """
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(NAME)
    blobs = torch.nn.functional.interpolate(torch.randn(16, 3, 6, 6), size=(64, 64))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        network.train()(blobs)
        network.classifier.weight *= 8
    path = tmp_path_factory.mktemp("start") / "weights.pth"
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture
def settings(tmp_path, folder, start, tiny_checkpoint):
    def make(name: str = "c", **more: object) -> ClassifierSettings:
        given = {"steps": 4, "batch": 4, "side": 32, "views": 12, "log_steps": 2, "device": "cpu",
                 "start": start, "model": str(tiny_checkpoint)}  # fmt: skip
        out, pictures = str(tmp_path / f"{name}.safetensors"), (str(folder),)
        return ClassifierSettings(data=pictures, val=pictures, out=out, **{**given, **more})

    return make


def state_of(settings: ClassifierSettings) -> dict:
    return torch.load(f"{settings.out}.state.pt", weights_only=True)


def test_views_are_coded_once(folder, hierarchy, tiny_codec, tmp_path, monkeypatch):
    sources = read_sources([str(folder)], hierarchy, 128)
    assert len(sources) == 6 and {s.label for s in sources} == {None, *CLASSES}
    cache = str(tmp_path / "views.npz")
    coder = OwnPrefixes(tiny_codec, half=False)
    views = code_views(sources, coder, 18, 0, cache, quiet=True)
    assert len(views) == 18 and {view.side for view in views.views} == {32, 48}
    for place in (0, 17):
        assert views.streams[place] == tiny_codec.encode(views.clean(place))
    again = code_views(sources, coder, 18, 1, cache, quiet=True)
    assert again.streams != views.streams, "other squares, whatever the file holds"
    monkeypatch.setattr(coded_views, "_encode", lambda *_: pytest.fail("coded again"))
    assert (
        code_views(sources, OwnPrefixes(tiny_codec, False), 18, 1, cache, quiet=True).streams
        == again.streams
    )


def test_draws_are_of_one_side_and_no_class_takes_all(folder, hierarchy, tiny_codec):
    sources = read_sources([str(folder)], hierarchy, 128)
    views = code_views(sources, OwnPrefixes(tiny_codec, False), 18, 0, None, quiet=True)
    chosen = views.draw(8, np.random.default_rng(0))
    assert len({views.views[place].side for place in chosen}) == 1
    by_label = {label: 0.0 for label in (None, *CLASSES)}
    for place, share in enumerate(views.shares):
        by_label[views.label(place)] += share
    assert by_label[CLASSES[0]] == pytest.approx(by_label[CLASSES[1]] * 3**0.5)


def test_the_loss_falls_to_nothing_where_the_student_says_what_the_teacher_says(start):
    torch.manual_seed(0)
    step = Distillation(load_start(start).network, None, label_share=0.5, feature_weight=1.0)
    x, none = torch.rand(4, 3, 64, 64), torch.full((4,), NO_LABEL)
    same = step(x, x, none)
    assert float(same.watched) == pytest.approx(0, abs=1e-4) and same.measured["agreement"].all()
    labels = step.teacher(x).argmin(1).detach()
    other, labelled = step(x.flip(0) * 0.2, x, none), step(x, x, labels)
    assert float(other.watched) > 0.01 and float(labelled.watched) > 0.1
    other.total.backward()
    assert all(p.grad is None for p in step.teacher.parameters())
    assert all(p.grad is not None for p in step.student.parameters())


@pytest.mark.slow
def test_a_run_learns_calibrates_and_leaves_a_classifier(settings, folder, hierarchy):
    chosen = settings(steps=30, lr=0.004, warmup=5)
    rows = train_classifier(chosen)
    assert [row.cut for row in rows] == ["200", "all", "clean"] and len(rows[0].accuracy) == 3
    log = np.genfromtxt(f"{chosen.out}.csv", delimiter=",", names=True)
    assert log["loss"][-3:].mean() < 0.8 * log["loss"][:3].mean()
    file = ClassifierFile.load(chosen.out)
    assert file.network == NAME and "Apache License 2.0" in file.metadata["origin"]
    assert "non-commercial" in file.metadata["licence"]
    assert "30 steps of 4" in file.metadata["recipe"]
    assert np.abs(file.calibration.log_temperature).max() > 0, "it is calibrated"
    taught, name = load_start(chosen.start).network.state_dict(), "classifier.weight"
    mixed = torch.lerp(state_of(chosen)["average"][name], taught[name], chosen.kept)
    assert torch.allclose(file.tensors[name].float(), mixed, atol=1e-3)
    assert not torch.allclose(mixed, taught[name], atol=1e-3), "or nothing would be shown"
    found = load_classifier(f"builtin@{chosen.out}", "cpu").predict([Image.new("RGB", (40, 30))])
    assert found.shape == (1, 1000) and found.sum() == pytest.approx(1)
    # It can be started from, too: what it says is where the next one begins.
    again = load_start(chosen.out)
    assert again.origin == file.metadata["origin"] and again.name == NAME


@pytest.mark.slow
def test_a_run_that_is_finished_is_the_run_uninterrupted(settings, monkeypatch):
    whole, cut = settings("whole"), settings("cut")
    train_classifier(whole)
    calls, forward = [], Distillation.forward

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Distillation, "forward", interrupted)
        train_classifier(cut)
    assert state_of(cut)["step"] == 2
    train_classifier(settings("cut", resume=f"{cut.out}.state.pt", finish=True))
    one, other = state_of(whole), state_of(cut)
    assert one["step"] == other["step"] == 4
    for part in ("weights", "average"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])


@pytest.mark.parametrize("key", PEERS)
def test_a_peer_is_read_at_all_its_settings(key):
    peer = PeerFiles(key, 0)
    picture = Image.fromarray(noise_image(32, 32))
    files = peer.encode_batch([picture] * 24)
    assert len(set(map(len, files))) > 6, "settings and scales differ"
    assert peer.cut(files[0], 10, np.random.default_rng(0)) == files[0], "a file is not cut"
    assert {shown.size for shown in peer.decoded(files, 32)} == {(32, 32)}


@pytest.mark.slow
def test_a_peer_gets_a_judge_of_its_own(settings):
    chosen = settings(peer="webp", steps=2)
    assert train_classifier(chosen) == [], "it is judged by evaluate"
    assert "webp" in ClassifierFile.load(chosen.out).metadata["codec"]
    with pytest.raises(ProgcodecError, match="no peer"):
        train_classifier(settings(peer="gif"))


def test_networks_to_start_from(start, tmp_path):
    plain = load_start(start)
    assert plain.name == NAME and plain.input.mean == pytest.approx((127 / 255,))
    assert isinstance(load_start(f"timm:{NAME}@{start}").network, EfficientNetLite)
    theirs = load_start(_lcnet(tmp_path))
    assert theirs.name == "timm:lcnet_035?num_classes=1000" and theirs.input.height == 224
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(TrainingError, match="are not those of"):
        load_start(str(tmp_path / "other.pth"))
    for missing in ("none.pth", "none.safetensors", "timm:nonsense"):
        with pytest.raises(ProgcodecError, match="none|nonsense"):
            load_start(missing)


def _lcnet(folder) -> str:
    import timm

    torch.save(timm.create_model("lcnet_035").state_dict(), folder / "lcnet.pth")
    return f"timm:lcnet_035?num_classes=1000@{folder / 'lcnet.pth'}"


@pytest.mark.slow
def test_any_network_of_timm_can_be_taught(settings, tmp_path):
    chosen = settings(start=_lcnet(tmp_path), steps=2)
    train_classifier(chosen)
    assert ClassifierFile.load(chosen.out).network.startswith("timm:lcnet_035")
    assert load_classifier(f"builtin@{chosen.out}", "cpu").classes == 1000


def test_what_is_measured(hierarchy):
    """Ten pictures at one cut: eight claimed at every level, six of these right."""
    logits = np.zeros((10, 1000))
    labels = np.arange(10) * 100
    logits[np.arange(8), labels[:8]] = 20
    labels[[6, 7]] = [labels[0], labels[1]]  # another class than was said
    judged = Judged(np.full(10, 200), np.zeros(10, bool), labels, logits, np.full(10, 1600.0))
    calibration = classifier.Calibration.neutral(hierarchy.assignments)
    (row,) = measure(judged, calibration, hierarchy, [200])
    assert row.cut == "200" and row.pictures == 10
    assert row.claimed[2] == 0.8 and row.right[2] == 0.75
    assert row.error[2] == pytest.approx(0.8 * 0.25, abs=0.02)


def test_the_command(folder, start, tiny_checkpoint, tmp_path):
    out = tmp_path / "c.safetensors"
    fixed = ["train-classifier", "--data", folder, "--val", folder, "--start", start, "--out", out]
    more = ["--model", tiny_checkpoint, "--device", "cpu", "--steps", 2, "--set", "side=32"]
    run(*fixed, *more[:4], code=2)  # when is it to stop?
    run(*fixed, *more, "--set", "nonsense=1", code=2)
    lines = run(*fixed, *more, "--set", "batch=4", "--set", "views=12").stdout.splitlines()
    assert lines[0].split()[:2] == ["bytes", "pictures"] and lines[-1].startswith("wrote ")
    assert [line.split()[0] for line in lines[1:-1]] == ["200", "all", "clean"]
    run(*fixed, *more, code=1)  # it exists
