"""What a reader may cost: bounded by the limits, whatever a file declares; under hard limits of the
system, in processes of their own.
"""

import json
import sys

import pytest

from tests.support.command import python

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="address space is limited as Linux does it"
)
HEADROOM_MB = 256
PICTURE_BYTES, WORK_BYTES = 8, 80
"""Peak in bytes a pixel of a picture of no symbols, and of one of a few; 4 and 40 measured."""

LIGHT = """
import resource, sys, time
from progcodec.bitstream import container
from progcodec.errors import CorruptError
from progcodec.bitstream.description import info
from progcodec.cut import truncate
assert not {"torch", "numpy"} & set(sys.modules)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (8 << 20),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
for side in (1, 16_383, container.MAX_SIDE):
    head = container.Header(side, side, b"abcd").to_bytes()
    for tail in (b"", b"\\x81", b"\\x8f\\xff", b"\\x00" * 4, b"\\x05hello", bytes(1000)):
        try:
            description = info(head + tail)
        except CorruptError:
            continue
        assert description.width == side and description.reached
        assert truncate(head + tail, level="coarse").startswith(head)
        assert truncate(head + tail, max_bytes=len(head)) == head
    for length in (b"\\xff" * 4 + b"\\x7f",
                   b"\\x8f\\xff\\xff\\xff\\x7f", b"\\xff" * 50, b"\\x80" * 50):
        try:
            info(head + length + bytes(100))
        except CorruptError:
            continue
        assert side > 1, "4 GB declared for a picture of one pixel"
print("sound")
"""


@pytest.mark.slow
def test_hostile_files_are_refused_within_a_little_memory_and_time(tmp_path):
    """Headers of vast pictures, tensors of terabytes, models of thousands of layers, endless
    nesting: 256 MB are plenty.
    """
    done = python("-m", "tests.support.hostile", tmp_path, HEADROOM_MB)
    report = json.loads(done.stdout)
    assert report["results"] == report["wanted"]
    assert report["bare"] < PICTURE_BYTES, "a bare header costs more than its picture"
    assert PICTURE_BYTES < report["torn"] < WORK_BYTES
    code, told = report["starved"]
    assert code == 1 and told.count("\n") == 1
    assert told.endswith("not enough memory\n")


def test_cutting_and_describing_take_next_to_nothing_whatever_is_declared():
    assert python("-c", LIGHT).stdout == "sound\n"
