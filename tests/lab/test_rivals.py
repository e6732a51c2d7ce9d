"""Progressive rivals on our own latent: real bytes, any cut decodes, nothing is lost, and the bytes are what the tables say."""

from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progcodec.bitstream.container import parse_header
from progcodec.codec.walk import drive
from progcodec.config import Q_MAX
from progcodec.errors import EvaluationError, NotShcError, ProgcodecError, WrongModelError
from progcodec.lab.evaluate.rivals import RIVALS, compare, rivals
from progcodec.lab.evaluate.rivals.__main__ import command
from progcodec.lab.evaluate.rivals.calibration import cheapest_maps, mapped
from progcodec.lab.evaluate.rivals.latent import Scales, analyse, reconstruct, squared_gains
from progcodec.lab.evaluate.rivals.scheme import runs_of
from progcodec.lab.evaluate.rivals.tritplanes import digits_of, planes
from progcodec.lab.evaluate.workload import Sample
from progcodec.metrics import psnr

every_rival = pytest.mark.parametrize("rival", rivals(), ids=lambda rival: rival.name)


@pytest.fixture(scope="module")
def source(tiny_codec, small_photograph):
    return analyse(tiny_codec, small_photograph)


@pytest.fixture(scope="module")
def streams(tiny_codec, small_photograph):
    return {rival.name: rival.encode(tiny_codec, small_photograph) for rival in rivals()}


def ends(rival, codec, source):
    """Bits of each pass, by the tables' probabilities."""
    bits = []

    def reply(step):
        symbols, start, total = step.symbols(source.q), 0, 0.0
        for table, count in step.runs:
            total += float(step.tables.bits[table][symbols[start : start + count] + Q_MAX].sum())
            start += count
        assert start == len(symbols)
        bits.append(total)
        return symbols

    drive(rival.walk(Scales(codec, source.z, source.width, source.height)), reply)
    return bits


@every_rival
def test_a_whole_stream_holds_the_very_same_integers(
    rival, tiny_codec, source, streams, small_photograph
):
    decoded = rival.decode_latent(tiny_codec, streams[rival.name])
    assert np.array_equal(decoded.z, source.z)
    assert np.array_equal(decoded.received.q, source.q)
    assert decoded.received.there.all()
    ours = tiny_codec.decode(tiny_codec.encode(small_photograph))
    assert np.array_equal(np.array(rival.decode(tiny_codec, streams[rival.name])), np.array(ours))


@every_rival
def test_every_cut_decodes_and_never_to_wrong_symbols(rival, tiny_codec, source, streams):
    stream = streams[rival.name]
    whole = rival.decode_latent(tiny_codec, stream)
    before = 0
    for size in range(parse_header(stream).size, len(stream)):
        decoded = rival.decode_latent(tiny_codec, stream[:size])
        q, there = decoded.received
        assert (decoded.z == source.z)[decoded.z != 0].all()
        assert not q[~there].any()
        assert there.sum() >= before
        before = int(there.sum())
        if rival.name != "tritplanes":
            assert np.array_equal(q[there], whole.received.q[there])
    assert rival.decode(tiny_codec, stream[: len(stream) // 2]).size == (
        source.width,
        source.height,
    )


@every_rival
def test_bytes_are_what_the_tables_say(rival, tiny_codec, source, streams, small_photograph):
    bits = ends(rival, tiny_codec, source)
    hyper_bits = tiny_codec.estimate_bits(small_photograph) - sum(
        ends(rivals(["progcodec"])[0], tiny_codec, source)
    )
    framing = parse_header(streams[rival.name]).size + 3 * (
        len(bits) + 1
    )  # a length, and sealing, for each segment
    entropy = (sum(bits) + hyper_bits) / 8
    assert entropy * 0.99 < len(streams[rival.name]) <= entropy * 1.01 + framing


def test_ours_is_the_stream_of_the_codec(tiny_codec, small_photograph, streams):
    assert streams["progcodec"] == tiny_codec.encode(small_photograph, checksums=False)
    for size in (40, len(streams["progcodec"]) // 2):
        cut = streams["progcodec"][:size]
        ours = np.array(tiny_codec.decode(cut))
        assert np.array_equal(np.array(rivals(["progcodec"])[0].decode(tiny_codec, cut)), ours)


@every_rival
def test_quality_rises(rival, tiny_codec, photograph):
    picture = photograph.crop((200, 150, 328, 246))
    original = np.array(picture)
    stream = rival.encode(tiny_codec, picture)
    sizes = np.geomspace(24, len(stream), 12).astype(int)
    quality = [psnr(original, np.array(rival.decode(tiny_codec, stream[:size]))) for size in sizes]
    assert quality[-1] > quality[0] + 3
    if rival.name != "zero-masking":  # which our networks were never trained for
        assert min(np.diff(quality)) > -0.3


def test_zero_masking_replaces_what_lacks_by_zero(tiny_codec, source):
    kept = np.zeros(source.q.shape, bool)
    kept[0] = True
    y = reconstruct(tiny_codec, source.z, source.q, kept).numpy()[0]
    assert y[0].any() and not y[1:].any()


def test_digits_make_the_number_and_probabilities_the_tables(tiny_codec):
    q = np.arange(-Q_MAX, Q_MAX + 1)
    tables = Scales(tiny_codec, np.zeros((8, 1, 1), np.int32), 16, 16).tables
    for index in (0, 20, 40, 63):
        known, bits = np.zeros(len(q), np.int64), np.zeros(len(q))
        for plane in planes(tiny_codec):
            context = plane.context(np.full(len(q), index), known)
            digits = digits_of(q, plane)
            assert set(digits) <= {-1, 0, 1}
            bits += [plane.tables.bits[c, d + Q_MAX] for c, d in zip(context, digits, strict=True)]
            known += digits * (plane.span // 3)
        assert np.array_equal(known, q)
        likely = tables.frequencies[index] > 5000
        assert bits[likely] == pytest.approx(tables.bits[index][likely], abs=0.01)


def test_a_node_stands_for_its_expectation(tiny_codec):
    plane = planes(tiny_codec)[-1]  # thirds of three single values
    frequencies = tiny_codec.walker.tables.frequencies[30].astype(float)
    for node in (-4, 0, 7):
        values = np.arange(3 * node - 1, 3 * node + 2)
        expected = np.average(values, weights=frequencies[values + Q_MAX])
        assert plane.mean[plane.context(np.array([30]), np.array([3 * node]))] == pytest.approx(
            expected
        )
    assert plane.mean[plane.context(np.array([30]), np.array([0]))] == 0


def test_planes_narrow_the_interval(tiny_codec, source, streams):
    rival = rivals(["tritplanes"])[0]
    stream = streams["tritplanes"]
    worst = []
    for size in np.linspace(parse_header(stream).size, len(stream), 20).astype(int):
        q = rival.decode_latent(tiny_codec, stream[:size]).received.q
        worst.append(np.square(q - source.q).mean())
    assert all(later <= earlier + 1e-3 for earlier, later in pairwise(worst))
    assert worst[-1] == 0 < worst[0]


def test_maps_make_symbols_cheaper(tiny_codec, source):
    scales = Scales(tiny_codec, source.z, source.width, source.height)
    everything = np.ones(source.q.shape, bool)
    wrong = np.clip(scales.given(source.q).astype(int) + 7, 0, 63).astype(np.uint8)
    maps = cheapest_maps(wrong, source.q, everything, scales.tables)

    def bits(indexes):
        return scales.tables.bits[indexes, source.q + Q_MAX].sum((1, 2))

    assert (bits(mapped(wrong, maps)) <= bits(wrong)).all()
    assert bits(mapped(wrong, maps)).sum() < 0.9 * bits(wrong).sum()
    untouched = cheapest_maps(wrong, source.q, ~everything, scales.tables)
    assert np.array_equal(mapped(wrong, untouched), wrong)


def test_gains_are_the_derivative(tiny_codec, source):
    gains = squared_gains(tiny_codec, source, probes=64)
    import torch

    from progcodec.lab.evaluate.rivals.latent import _reconstruct

    def picture(q):
        with torch.no_grad():
            return tiny_codec.walker.synthesis(
                _reconstruct(tiny_codec, source.z, torch.from_numpy(q))
            ).numpy()

    q = source.q.astype(np.float32)
    moved = []
    for place in range(q[0].size):
        other = q.copy()
        other[0].flat[place] += 0.01
        moved.append(np.square((picture(other) - picture(q)) / 0.01).sum())
    assert gains[0] == pytest.approx(np.mean(moved), rel=0.35)


def test_runs():
    assert runs_of(np.array([3, 3, 1, 3])) == [(3, 2), (1, 1), (3, 1)]
    assert runs_of(np.array([], int)) == []


def test_names():
    assert [rival.name for rival in rivals()] == list(RIVALS)
    assert [rival.name for rival in rivals(["progdtd", "plonq"])] == ["progdtd", "plonq"]
    with pytest.raises(ProgcodecError, match="unknown rival 'nonsense'; there are: plonq"):
        rivals(["nonsense"])


def test_streams_that_are_not_its_own_are_refused(tiny_codec, streams):
    rival = rivals(["plonq"])[0]
    with pytest.raises(NotShcError):
        rival.decode(tiny_codec, streams["plonq"][:5])
    from progcodec.bitstream.container import Header

    with pytest.raises(WrongModelError):
        rival.decode(tiny_codec, Header(16, 16, b"none", checksums=False).to_bytes())
    with pytest.raises(ProgcodecError):
        rival.decode(tiny_codec, streams["plonq"] + b"\x01\x00")


def test_the_comparison(tiny_codec, small_photograph):
    sample = Sample("a", np.array(small_photograph), 3, "")

    def predict(pictures):
        return np.tile([1, 2, 3], (len(pictures), 1))

    chosen = rivals(["plonq", "progcodec"])
    results = list(
        compare.compare(tiny_codec, chosen, [sample], [80, 40], predict, np.array([[1, 0, 3]]))
    )
    assert [(r.rival, r.budget) for r in results] == [
        (r.name, b) for r in chosen for b in (40, 80, None)
    ]
    assert all(r.bytes == r.budget for r in results if r.budget)
    assert all(r.accuracy == (1.0, 0.0, 1.0) for r in results)
    assert results[2].psnr == pytest.approx(results[5].psnr)
    table = compare.psnr_table(results).splitlines()
    assert table[0].startswith("| PSNR (dB) at | 40 B | 80 B | whole |") and len(table) == 4
    assert "| plonq | 0 | 0 | 0 |" in compare.accuracy_table(results, 1)
    with pytest.raises(EvaluationError):
        list(compare.compare(tiny_codec, chosen, [], [40]))


def test_the_command(tmp_path, tiny_checkpoint, small_photograph):
    Image.Image.save(small_photograph, tmp_path / "a.png")
    arguments = [
        "--images",
        str(tmp_path),
        "--model",
        str(tiny_checkpoint),
        "--rivals",
        "progdtd",
        "--budgets",
    ]
    done = CliRunner().invoke(command, [*arguments, "60"])
    assert done.exit_code == 0, done.output
    assert "| progdtd |" in done.output
    assert CliRunner().invoke(command, [*arguments, "6"]).exit_code == 2
    assert CliRunner().invoke(command, [*arguments, "x"]).exit_code == 2
    labelled = CliRunner().invoke(command, [*arguments, "60", "--classifier", "timm:resnet10t"])
    assert isinstance(labelled.exception, EvaluationError)
