"""compressai's models as peers: small ones that have learnt nothing, from files that the tests write."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders import registry
from progcodec.lab.evaluate.coders.base import UndecodableError, reduced, restored
from progcodec.lab.evaluate.coders.learned import MODELS, learned
from progcodec.lab.evaluate.measurements import MEASUREMENTS, read
from tests.lab.test_evaluate import evaluate, judge, pictures  # noqa: F401
from tests.support.command import errors
from tests.support.command import run as command

pytest.importorskip("compressai")


def build(model: str, seed: int):
    import torch
    from compressai import models

    torch.manual_seed(seed)
    sizes = (8,) if model.startswith("cheng") else (8, 12)
    return getattr(models, MODELS[model])(*sizes)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Two qualities of one model, one of another, as compressai publishes, trains and saves them."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    torch.save(
        build("bmshj2018-hyperprior", 0).state_dict(),
        folder / "bmshj2018-hyperprior-1-7eb97409.pth.tar",
    )
    torch.save(
        {"state_dict": build("bmshj2018-hyperprior", 1).state_dict(), "epoch": 3},
        folder / "hyper_q4.pth",
    )
    save_file(build("mbt2018-mean", 0).state_dict(), folder / "mean.safetensors")
    return folder


@pytest.mark.parametrize(
    "model",
    ["bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018", "cheng2020-anchor"],
)
def test_files_are_whole_pictures_and_nothing_more(model, tmp_path, small_photograph):
    import torch

    network = build(model, 0)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    coder = learned(f"compressai:{model}?quality=3@{tmp_path / 'weights.pth'}")
    assert coder.settings == (3.0,) and coder.name == model
    for scale in (1, 0.25):
        small = reduced(small_photograph, scale)
        data = coder.encode(small, 3.0, scale)
        network.update()
        network.eval()
        side = network.downsampling_factor
        width, height = small.size
        right, bottom = -width % side, -height % side
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            coded = network.compress(
                torch.nn.functional.pad(pixels, (0, right, 0, bottom), mode="replicate")
            )
            shown = network.decompress(coded["strings"], coded["shape"])["x_hat"][
                0, :, :height, :width
            ]
        strings = [string for (string,) in coded["strings"]]
        assert data.endswith(b"".join(strings)) and 3 <= len(data) - sum(map(len, strings)) <= 5
        expected = (shown * 255).round().byte().permute(1, 2, 0).numpy()
        decoded = coder.decode(data)
        assert np.array_equal(np.asarray(decoded), expected)
        assert restored(decoded, small_photograph.size).size == small_photograph.size


def test_a_cut_is_no_answer_and_never_reaches_the_decoder(weights, small_photograph, monkeypatch):
    coder = learned(f"compressai:bmshj2018-hyperprior@{weights}/hyper_q4.pth")
    data = coder.encode_for_cuts(small_photograph)
    monkeypatch.setattr(
        type(coder), "_network", lambda *_: pytest.fail("a cut was given to compressai")
    )
    for size in (0, 1, len(data) // 2, len(data) - 1):
        with pytest.raises(UndecodableError):
            coder.decode_cut(data[:size])


def test_files_of_one_model_are_one_ladder(weights):
    key = f"jpeg,compressai:bmshj2018-hyperprior@{weights}/hyper_q4.pth,compressai:bmshj2018-hyperprior@{weights}/bmshj*"
    choice = registry.choose(f"{key},compressai:mbt2018-mean@{weights}/mean.safetensors")
    assert [coder.name for coder in choice.coders] == [
        "JPEG",
        "bmshj2018-hyperprior",
        "mbt2018-mean",
    ] and not choice.missing
    _, hyper, mean = choice.coders
    assert hyper.settings == (1.0, 4.0) and mean.settings == (1.0,)
    assert registry.coder_of(hyper.key) is hyper
    one = learned(f"compressai:bmshj2018-hyperprior@{weights}/hyper_q4.pth")
    assert one.version() != hyper.version() and one.version().startswith("compressai-")


def test_the_quality_is_told_by_the_channels_where_the_name_is_silent(tmp_path):
    import torch
    from compressai.zoo.image import cfgs

    state = {"g_a.0.weight": torch.zeros(192, 3, 5, 5), "g_a.6.weight": torch.zeros(320, 192, 5, 5)}
    torch.save(state, tmp_path / "mine.pth")
    (quality,) = learned(f"compressai:bmshj2018-hyperprior@{tmp_path / 'mine.pth'}").settings
    assert (
        cfgs["bmshj2018-hyperprior"][int(quality)]
        == (192, 320)
        != cfgs["bmshj2018-hyperprior"][int(quality) - 1]
    )
    for name, said in (
        ("mbt2018-mean-5-7089d4ab.pth.tar", 5),
        ("m_quality-7.pth", 7),
        ("Q2.pth", 2),
        ("v3-mean.pth", 6),
    ):
        (tmp_path / name).write_bytes((tmp_path / "mine.pth").read_bytes())
        assert learned(f"compressai:bmshj2018-hyperprior@{tmp_path / name}").settings == (said,), (
            name
        )


@pytest.mark.parametrize(
    ("peers", "line"),
    [
        (
            "compressai:elic@{}/hyper_q4.pth",
            "no model 'elic' here; there are: bmshj2018-factorized",
        ),
        ("compressai:mbt2018-mean", "needs a file of weights: compressai:mbt2018-mean@FILE"),
        ("compressai:mbt2018-mean@{}/nothing-*", "no such file of weights"),
        ("compressai:mbt2018-mean?level=2@{}/mean.safetensors", "the one option is ?quality=N"),
        ("compressai:mbt2018@{}/hyper_q4.pth", "no weights of mbt2018"),
        (
            "compressai:bmshj2018-hyperprior?quality=4@{0}/bmshj*,compressai:bmshj2018-hyperprior@{0}/hyper*",
            "both count as quality 4",
        ),
        ("compressai:bmshj2018-hyperprior?quality=4@{0}/*", "one quality for 3 files"),
        ("compressai:mbt2018-mean?quality=1@{}/../test_image", "no such file of weights"),
    ],
)
def test_what_does_not_fit_is_refused(weights, peers, line):
    with pytest.raises(EvaluationError) as found:
        registry.choose(peers.format(weights))
    assert line in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize(
    "data", [b"", b"no weights", b"PK\x03\x04", b"\x80\x02c__builtin__\nexec\n."]
)
@pytest.mark.parametrize("name", ["q1.pth", "q1.safetensors"])
def test_files_that_hold_no_weights_are_refused(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EvaluationError, match="not a file of"):
        registry.choose(f"compressai:mbt2018-mean@{tmp_path / name}")


def test_without_compressai_it_is_left_out(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "compressai", None)
    choice = registry.choose(f"compressai:bmshj2018-hyperprior@{weights}/hyper_q4.pth,jpeg")
    assert [coder.key for coder in choice.coders] == ["jpeg"]
    assert len(choice.missing) == 1 and choice.missing[0].startswith(
        "bmshj2018-hyperprior: compressai is not installed"
    )


def test_it_is_imported_only_where_asked_for():
    code = "import sys; from progcodec.lab.evaluate.coders.registry import choose; choose('jpeg'); print({'compressai', 'torch'} & {*sys.modules})"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "set()"
    )


def test_in_an_evaluation(tmp_path, pictures, judge, tiny_checkpoint, weights):  # noqa: F811
    peers = f"compressai:bmshj2018-hyperprior@{weights}/*hyper*"
    more = ["--peers", peers, "--budgets", "15,2000", "--limit", 2, "--pictures", 1]
    result = evaluate(pictures, judge, tiny_checkpoint, tmp_path, *more)
    assert "| bmshj2018-hyperprior, best setting |" in result.stdout
    rows = [row for row in read(tmp_path / MEASUREMENTS) if row.codec == "bmshj2018-hyperprior"]
    ladder = [row for row in rows if row.mode == "ladder"]
    assert {(row.setting, row.scale) for row in ladder if row.decoded} == {
        (q, s) for q in "14" for s in (1.0, 0.5, 0.25)
    }
    whole = {row.image: row.bytes for row in ladder if (row.setting, row.scale) == ("4", 1.0)}
    cuts = [row for row in rows if row.mode == "cut"]
    assert len(cuts) == 4 and all(row.decoded == (row.budget >= whole[row.image]) for row in cuts)
    assert {row.budget: row.decoded for row in cuts} == {15: False, 2000: True}
    assert "bmshj2018-hyperprior" in (tmp_path / "report.html").read_text()


def test_a_bad_file_is_one_line(tmp_path, pictures, judge, tiny_checkpoint):  # noqa: F811
    arguments = [
        "--data",
        pictures,
        "--classifier",
        judge,
        "--model",
        tiny_checkpoint,
        "-o",
        tmp_path,
    ]
    result = command(
        "evaluate", *arguments, "--peers", f"compressai:mbt2018-mean@{tiny_checkpoint}", code=1
    )
    assert len(errors(result)) == 1 and "no weights of mbt2018-mean" in errors(result)[0]
    assert Image.open(next(pictures.glob("*/0.png"))).size == (64, 48)
