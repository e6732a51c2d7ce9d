"""Many at once, and many in a row."""

import mmap
import sys
import threading

import numpy as np
import pytest

from progcodec.api import StreamDecoder
from progcodec.lab.bench.soak import Soak, soak
from tests.conftest import GOLDEN
from tests.support.command import python
from tests.support.nightly import nightly

READERS = 200
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs fork and process groups"
)

READ_IN_FORKS = """
import hashlib, os, sys
from progcodec.bitstream.description import info
from progcodec.cut import truncate

def read():
    data = open(sys.argv[1], "rb").read()
    parts = [truncate(data, level=level) for level in ("coarse", "intermediate", "fine")]
    parts += [truncate(data, max_bytes=n) for n in range(20, len(data), 7)]
    told = repr([parts, info(data), [info(part) for part in parts]])
    return hashlib.sha256(told.encode()).digest()[:1]

assert "torch" not in sys.modules
wanted = read()[0] % 100
gate, hold = os.pipe()
children = []
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        os.close(hold)
        os.read(gate, 1)  # all wait here until the gate is closed
        os._exit(read()[0] % 100)
    children.append(child)
os.close(hold)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert codes == [wanted] * len(children), codes
print(len(codes))
"""


def test_threads_that_share_a_codec_read_one_file(tiny_codec):
    """200 at once: half decode whole and cut, half as the bytes arrive; all get what one alone
    gets.
    """
    data = (GOLDEN / "v1-96x64.shc").read_bytes()
    cuts = [len(data), *range(20, len(data), 29)]
    truth = {size: tiny_codec.decode_latent(data[:size]) for size in cuts}
    picture = tiny_codec.decode(data).tobytes()
    gate, wrong = threading.Barrier(READERS), []

    def read(number: int) -> None:
        gate.wait()
        try:
            size = cuts[number % len(cuts)]
            if number % 2:
                latent = tiny_codec.decode_latent(data[:size])
            else:
                decoder = StreamDecoder(codec=tiny_codec)
                for at in range(0, size, 50):
                    decoder.feed(data[at : min(at + 50, size)])
                latent = decoder.latent()
            assert latent.received == truth[size].received
            assert np.array_equal(latent.q, truth[size].q)
            assert np.array_equal(latent.z, truth[size].z)
            if number % 10 == 0:
                assert tiny_codec.decode(data).tobytes() == picture
        except BaseException as error:  # noqa: BLE001  a thread tells, the test raises
            wrong.append((number, error))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


@linux
def test_processes_cut_and_describe_one_file():
    done = python("-c", READ_IN_FORKS, GOLDEN / "v1-96x64.shc", READERS)
    assert done.stdout == f"{READERS}\n"


@linux
def test_memory_stays_flat(tiny_codec):
    result = soak(tiny_codec, nightly(40, 2000), side=48)
    assert len(result.samples) > 10 and result.growth < 24, result


def test_growth_is_what_came_after_warm_up():
    assert Soak(100, 1.0, before=500.0, warm=600.0, samples=(601.0, 640.0, 630.0)).growth == 40.0


@linux
def test_a_soak_notices_what_is_kept(tiny_codec, monkeypatch):
    kept = []
    encode = tiny_codec.encode

    def keeping(image):
        # pages of its own: what an allocator hands out may have been resident before
        kept.append(mmap.mmap(-1, 1 << 21))
        kept[-1].write(bytes(range(1, 256)) * ((1 << 21) // 255))
        return encode(image)

    monkeypatch.setattr(tiny_codec, "encode", keeping)
    assert soak(tiny_codec, 20, side=16).growth > 24
