"""Rate and distortion from rows that are known."""

import numpy as np
import pytest

from progcodec.config import LEVELS
from progcodec.lab.evaluate import metrics
from progcodec.lab.evaluate.curves import Curves, is_kodak, published
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import CUT_NAMES, HYPERLATENT, OURS, Entry, Plan
from progcodec.lab.evaluate.rows import Row

QUALITY = f"{OURS}, quality -1"
ENTRIES = (
    Entry(OURS, "w", "ours", "0"),
    Entry(QUALITY, "w", "ours", "-1"),
    Entry("JPEG", "v", "peer", "jpeg"),
)
PLAN = Plan(ENTRIES, (), (), (1.0,), True, None, None, "cpu")


def curves(*names, twice=2.0, bump=0.0):
    """20 + 5 · log2(bytes / 1000) dB; JPEG and the other quality need `twice` the bytes."""
    shown = [Picture(name, np.full((64, 100, 3), n, np.uint8)) for n, name in enumerate(names)]
    sizes = dict(zip((HYPERLATENT, *LEVELS), (500, 1000, 4000, 16000), strict=True))
    sizes |= dict(zip(CUT_NAMES, np.geomspace(500, 16000, 10).round().astype(int), strict=True))
    rows = []
    for p in shown:

        def add(codec, setting, size, psnr, p=p):
            rows.append(Row(p.digest, p.name, "", codec, "v", setting, 1.0, "", int(size), psnr))

        for name, size in sizes.items():
            fall = bump if name == "cut 5" else 0.0
            add(OURS, name, size, 20 + 5 * np.log2(size / 1000) - fall)
            add(QUALITY, name, twice * size, 20 + 5 * np.log2(size / 1000))
        for n, size in enumerate(np.geomspace(500, 20000, 12)):
            add("JPEG", str(n), twice * size, 20 + 5 * np.log2(size / 1000))
    return Curves(PLAN, shown, rows)


def test_a_codec_that_needs_twice_the_bytes():
    found = curves("a", "b")
    assert [mean.bytes for mean in found.ends] == [1000, 4000, 16000]
    assert found.ends[0].bpp == pytest.approx(8 * 1000 / 6400) and found.ends[0].psnr == 20
    text = found.text()
    assert "| coarse | 1,000 | 1.2500 | 20.00 | – | -50.0 % |" in text
    line = next(line for line in text.splitlines() if line.startswith("| JPEG | measured"))
    assert line.count("-50.0 %") == 5, "ends, cuts; the mean of the pictures, the best, the worst"
    assert "50.0 % of the coarse prefix and 3.1 % of the file" in text
    assert "falls by at most 0.000 dB" in text and not found.quoted
    assert "| -1 | 1.224 | 2.500 / 20.00 |" in text and "| +100.0 % | +100.0 % |" in text


def test_a_fall_is_told():
    assert "falls by at most 1.222 dB" in curves("a", bump=4.0).text()


def test_pictures_that_lack_a_setting_leave_it_out():
    found = curves("a", "b")
    del found._rows["JPEG", "3"][found.pictures[0].digest]
    assert len(found.of("JPEG")) == 11


def test_published_curves_stand_where_they_were_published_and_rise():
    names = [f"kodim{n:02}.png" for n in range(1, 25)]
    assert is_kodak(curves(*names).pictures)
    assert "| VTM (VVC intra) | published |" in curves(*names).text()
    assert not is_kodak(curves(*names[1:]).pictures)
    for curve in published().values():
        assert metrics.efficient(curve) == curve
    rates = published()
    assert -45 < metrics.bd_rate(rates["JPEG 2000"], rates["mbt2018-mean"]) < -35
