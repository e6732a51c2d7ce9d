"""Tar files to tar files: here, and over a real Ray cluster of two machines of which one is
lost.
"""

import bz2
import gzip
import importlib
import io
import json
import lzma
import os
import re
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from progcodec.bitstream.container import Header, write
from progcodec.cli.engine import convert_shards
from progcodec.cli.options import Many
from progcodec.cut import Cut
from progcodec.errors import CheckpointError, ClusterError, ShardError
from progcodec.fleet import storage
from progcodec.fleet.archive import ROOM
from progcodec.fleet.cluster import convert_on_cluster
from progcodec.fleet.operation import Decode, Encode, Truncate
from progcodec.fleet.shards import RECORD, Shard, convert, target_name
from tests.support.command import COARSE_END, ENVIRONMENT, STREAM, errors, run
from tests.support.samples import file_of, flipped, tar_of

COARSE = Truncate(Cut("coarse"))
LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def members_of(path: str | Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(storage.read(str(path)))) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names)) and names[0] == RECORD
        return {name: tar.extractfile(name).read() for name in names[1:]}


MIXED = [
    ("a.shc", STREAM),
    ("a.cls", b"7"),
    ("deep/b.SHC", STREAM),
    ("bad.shc", b"GIF89a"),
    ("deep/._b.shc", b"mac"),
]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("in.tar.gz").write_bytes(tar_of(*MIXED, mode="w:gz"))
    return tmp_path


def made_of(data: bytes, operation=COARSE, **options):
    """What becomes of a tar file, and the members of its output."""
    Path("some.tar").write_bytes(data)
    converted = convert(Shard("some.tar", "out.tar"), operation, **options)
    return converted, members_of("out.tar")


def refused(data: bytes, told: str, **options) -> None:
    Path("bad.tar").write_bytes(data)
    with pytest.raises(ShardError, match=told):
        convert(Shard("bad.tar", "refused.tar"), COARSE, **options)
    assert not Path("refused.tar").exists()


def test_one_output_for_each_input_in_order_and_the_rest_copied(here):
    converted = convert(Shard("in.tar.gz", "out/in.tar"), COARSE)
    assert (converted.inputs, converted.made, converted.finished_before) == (3, 2, False)
    assert [name for name, _ in converted.failures] == ["bad.shc"]
    cut = STREAM[:COARSE_END]
    expected = [("a.shc", cut), ("a.cls", b"7"), ("deep/b.shc", cut), ("deep/._b.shc", b"mac")]
    assert list(members_of("out/in.tar").items()) == expected
    assert converted.bytes == Path("out/in.tar").stat().st_size
    converted, _ = made_of(tar_of(("a.shc", STREAM), ("a.SHC", STREAM), ("a.shc", STREAM)))
    assert (converted.inputs, converted.made, len(converted.failures)) == (3, 1, 2)
    assert "would be named a.shc" in converted.failures[0][1]


def test_resume_proves_a_shard_finished(here):
    shard, output, fine = Shard("in.tar.gz", "out.tar"), Path("out.tar"), Truncate(Cut("fine"))
    first = convert(shard, COARSE)
    with pytest.raises(ShardError, match="--force"):
        convert(shard, COARSE)
    assert convert(shard, COARSE, resume=True) == first._replace(finished_before=True)
    assert not convert(shard, fine, resume=True).finished_before  # other options
    assert members_of("out.tar")["a.shc"] == STREAM
    output.write_bytes(flipped(output.read_bytes(), output.read_bytes().index(STREAM) + 50))
    assert not convert(shard, fine, resume=True).finished_before  # a damaged output
    Path("in.tar.gz").write_bytes(tar_of(*MIXED[:3], mode="w:gz"))  # another input
    assert convert(shard, fine, resume=True).inputs == 2
    output.write_bytes(tar_of(("a.shc", STREAM)))  # not of this program
    with pytest.raises(ShardError, match="no output of this program"):
        convert(shard, fine, resume=True)
    assert not convert(shard, fine, resume=True, force=True).finished_before


def test_damaged_and_missing_shards(here):
    whole, zipped = tar_of(*MIXED), tar_of(*MIXED, mode="w:gz")
    damaged = [whole[:size] for size in (700, 1024, 1500, 2048)]
    damaged += [zipped[:-20], zipped[:40] + b"x" * 9 + zipped[49:], flipped(whole, 1024, 0xFF)]
    for data in (*damaged, b"no tar file" * 100, b""):
        refused(data, "not a sound tar file")
    with pytest.raises(FileNotFoundError):
        convert(Shard("missing.tar", "out.tar"), COARSE)
    with pytest.raises(ShardError, match="nostore"):
        convert(Shard("nostore://bucket/a.tar", "out.tar"), COARSE)


# --- what a hostile or an odd tar file holds ---------------------------------------------------


def odd_tar(*members: tuple[str, object], **fields: object) -> bytes:
    """Members are bytes, or (type, link's name); fields are of the first one's header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members:
            header, data = tarfile.TarInfo(name), None
            if isinstance(content, bytes):
                header.size, data = len(content), io.BytesIO(content)
            else:
                header.type, header.linkname = content
            for field_name, value in fields.items():
                setattr(header, field_name, value)
            tar.addfile(header, data)
            fields = {}
    return file.getvalue()


def sparse(size: int) -> bytes:
    """A file of so many zeros, in two blocks of GNU tar."""
    number = b"\x80" + size.to_bytes(11, "big")
    header = tarfile.TarInfo("s.shc")
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[156:157], block[386:398], block[398:410], block[483:495] = b"S", number, bytes(12), number
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block) + bytes(1024)


def test_links_are_the_files_that_they_lead_to(here):
    links = odd_tar(
        ("./d/a.shc", STREAM), ("d/a.cls", b"7"),
        ("hard.shc", (HARD, "d/a.shc")), ("d/soft.shc", (LINK, "a.shc")),
        ("e/up.shc", (LINK, "../d/a.shc")), ("e/again.shc", (LINK, "up.shc")),
        ("soft.cls", (LINK, "d/a.cls")), ("later.cls", (LINK, "./last.cls")), ("last.cls", b"8"),
    )  # fmt: skip
    converted, found = made_of(links)
    assert (converted.inputs, converted.made, converted.failures) == (5, 5, ())
    names = ["./d/a.shc", "hard.shc", "d/soft.shc", "e/up.shc", "e/again.shc"]
    assert [found[name] for name in names] == [STREAM[:COARSE_END]] * 5
    assert (found["soft.cls"], found["later.cls"]) == (b"7", b"8")


def test_what_is_no_file_of_the_shard_is_told(here):
    bad = [
        ("out.shc", (LINK, "/etc/passwd")), ("up.shc", (LINK, "../../a.shc")),
        ("gone.shc", (HARD, "nowhere.shc")), ("self.shc", (LINK, "self.shc")),
        ("one.shc", (LINK, "two.shc")), ("two.shc", (LINK, "one.shc")), ("far.shc", (LINK, "d")),
        ("null.shc", (tarfile.CHRTYPE, "")), ("pipe.shc", (tarfile.FIFOTYPE, "")),
        ("label.txt", (LINK, "nowhere")), ("../leads/out.shc", STREAM),
    ]  # fmt: skip
    good = [("d", (tarfile.DIRTYPE, "")), ("/abs/a.shc", STREAM), ("a.shc", STREAM)]
    converted, found = made_of(odd_tar(*bad, *good))
    assert [name for name, _ in converted.failures] == [name for name, _ in bad]
    assert (converted.inputs, converted.made) == (len(bad) + 1, 2)
    assert list(found) == ["abs/a.shc", "a.shc"]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_several_tar_files_one_after_the_other_are_read_as_one(here, packed):
    first, second = tar_of(("a.shc", STREAM)), tar_of(("b.shc", STREAM), ("b.cls", b"1"))
    converted, found = made_of(packed(first + second + odd_tar(("c.shc", (LINK, "a.shc")))))
    assert converted.made == 3 and list(found) == ["a.shc", "b.shc", "b.cls", "c.shc"]
    refused(packed(first + b"what is this? " * 100), "not a sound tar file")


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "-5", "9" * 20, "12.5"])
def test_times_and_permissions_are_taken_where_they_make_sense(here, value):
    made_of(odd_tar(("a.shc", STREAM), pax_headers={"mtime": value}, mode=0o6751))
    with tarfile.open("out.tar") as tar:
        (header,) = [header for header in tar if header.name == "a.shc"]
    assert header.mode == 0o751 and header.mtime == (12.5 if value == "12.5" else 0)


def test_sizes_are_checked_before_they_are_held(here):
    zeros, lie = tarfile.TarInfo("z.bin"), tarfile.TarInfo("x.shc")
    zeros.size = ROOM + 512
    bomb = gzip.compress(zeros.tobuf() + bytes(zeros.size + 1024))
    whole = tar_of(("a.shc", STREAM), ("big", bytes(ROOM // 64)))[: -tarfile.RECORDSIZE]
    link = odd_tar(*((f"{n}", (HARD, "big")) for n in range(500)))
    links = gzip.compress(whole) + gzip.compress(link)
    for data in (sparse(1 << 30), sparse(1 << 40), bomb, links):
        refused(data, "far beyond its own size")
    for size in (1 << 40, -(1 << 40)):
        lie.size = size
        refused(lie.tobuf(tarfile.GNU_FORMAT) + STREAM + bytes(1536), "not a sound tar file")


def test_a_foreign_output_is_never_taken_for_one_of_ours(here):
    made = convert(Shard("in.tar.gz", "out.tar"), COARSE)
    with tarfile.open("out.tar") as tar:
        record = json.loads(tar.extractfile(RECORD).read())
    texts = [
        "{}", "[]", "null", "5", '"x"', "", "[" * 100_000, "1" * 100_000, '{"made_of": 1}',
    ]  # fmt: skip
    for key in record:
        texts.append(json.dumps({other: record[other] for other in record if other != key}))
        texts += [json.dumps({**record, key: wrong}) for wrong in (None, 1.5, [["a"]], [5])]
    for text in texts:
        Path("foreign.tar").write_bytes(tar_of((RECORD, text.encode()), ("x.png", b"")))
        with pytest.raises(ShardError, match="no output of this program"):
            convert(Shard("in.tar.gz", "foreign.tar"), COARSE, resume=True)
    assert convert(Shard("in.tar.gz", "out.tar"), COARSE, resume=True) == made._replace(
        finished_before=True
    )


def test_a_shard_never_replaces_itself(here):
    Path("in.tar").write_bytes(tar_of(*MIXED))
    Path("link.tar").symlink_to("in.tar")
    with pytest.raises(ShardError, match="its own input"):
        convert(Shard("in.tar", "link.tar"), COARSE, force=True)
    assert Path("in.tar").read_bytes() == tar_of(*MIXED)


def test_object_stores_and_names_on_other_machines(here):
    storage.write("memory://bucket/a.tar", tar_of(*MIXED))
    storage.write("memory://bucket/b.tgz", tar_of(*MIXED, mode="w:gz"))
    found = storage.matching("memory://bucket/*")
    assert [name.rsplit("/", 1)[-1] for name in found] == ["a.tar", "b.tgz"]
    assert found[0].startswith("memory://")
    for name in found:
        target = storage.below("memory://out/", target_name(name))
        assert convert(Shard(name, target), COARSE).made == 2
    assert list(members_of("memory://out/b.tar")) == list(members_of("memory://out/a.tar"))
    local = [str(here / "in.tar.gz")]
    assert storage.matching("in.tar.gz") == storage.matching("./in*.gz") == local
    assert storage.everywhere("s3://bucket/out") == "s3://bucket/out"


def test_encode_decode_and_classify_shards(here, tiny_checkpoint, small_photograph):
    picture = file_of(small_photograph)
    photos = tar_of(("x.png", picture), ("x.cls", b"3"), ("y.png", picture))
    encode = Encode(str(tiny_checkpoint), "cpu")
    _, streams = made_of(photos, encode)
    assert list(streams) == ["x.shc", "x.cls", "y.shc"] and streams["x.shc"] == streams["y.shc"]
    assert made_of(photos, encode, resume=True)[0].finished_before
    assert convert(Shard("out.tar", "back.tar"), Decode(str(tiny_checkpoint), "cpu")).made == 2
    assert list(members_of("back.tar")) == ["x.png", "x.cls", "y.png"]


@dataclass(frozen=True)
class Strange(Truncate):
    """Fails, for one input, with something that nobody expected."""

    error: Exception = field(default_factory=lambda: KeyError("surprise"))

    def load(self, data: bytes):
        if data != STREAM:
            raise self.error
        return super().load(data)


def test_unknown_failures_are_an_inputs_and_a_broken_model_the_shards(here):
    cut = COARSE.cut
    converted = convert(Shard("in.tar.gz", "out.tar"), Strange(cut))
    assert (converted.made, converted.failures) == (2, (("bad.shc", "KeyError: 'surprise'"),))
    for error in (CheckpointError("numbers overflow"), MemoryError(), RuntimeError("CUDA error")):
        with pytest.raises(type(error)):
            convert(Shard("in.tar.gz", "other.tar"), Strange(cut, error))
    assert not Path("other.tar").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("in.tar.gz", "needs a folder"),
        ("in.tar.gz sub/in.tar -o out", "two shards would have one output"),
        ("./in.tar -o .", "replace a shard"),
        ("none*.tar -o out", "no such shards"),
        ("in.tar.gz --engine spark", 'must be "local"'),
    ],
)
def test_usage(here, arguments, told):
    assert told in run("encode", "--engine", "ray", *arguments.split(), code=2).stderr


def test_without_ray_it_says_so(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    (line,) = errors(run("decode", "in.tar.gz", "-o", "out", "--engine", "ray", code=1))
    assert line == 'progcodec: Ray is not installed; pip install "progcodec[ray]" brings it'


# --- a cluster ------------------------------------------------------------------------------------


class Slow(Truncate):
    """Takes its time."""

    def load(self, data: bytes):
        time.sleep(0.2)
        return super().load(data)


SHARDS, INPUTS = 12, 3


@pytest.fixture(scope="module")
def cluster():
    """Two machines, as far as Ray can tell, with the driver on the first."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    environment = {"env_vars": {"PYTHONPATH": ENVIRONMENT["PYTHONPATH"]}}
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0})
    second = machines.add_node(num_cpus=2, num_gpus=0)
    ray.init(address=machines.address, runtime_env=environment, log_to_driver=False)
    yield machines, second
    ray.shutdown()
    machines.shutdown()


@pytest.mark.slow
def test_a_machine_lost_midway_loses_and_doubles_nothing(here, cluster):
    machines, second = cluster
    shards, streams = [], []
    for place in range(SHARDS):
        sizes, first = (20, 40, 60, 80), place * INPUTS
        parts = [[bytes([n] * k) for k in sizes] for n in range(first, first + INPUTS)]
        part = [write(Header(64, 48, b"abcd"), payloads) for payloads in parts]
        source = here / f"{place:02d}.tar"
        source.write_bytes(tar_of(*((f"{place:02d}-{n}.shc", data) for n, data in enumerate(part))))
        shards.append(Shard(str(source), str(here / "out" / source.name)))
        streams += part

    outcomes = convert_on_cluster(shards, Slow(Cut("fine")), batch=1)
    found = [next(outcomes), next(outcomes)]
    machines.remove_node(second, allow_graceful=False)
    found += outcomes

    assert sorted(outcome.job for outcome in found) == shards  # each told of once
    assert all(outcome.error is None and outcome.result.made == INPUTS for outcome in found)
    # and no half files
    assert sorted(os.listdir("out")) == [f"{place:02d}.tar" for place in range(SHARDS)]
    made = [data for shard in shards for data in members_of(shard.target).values()]
    assert made == streams


@pytest.mark.slow
def test_the_lines_about_it(here, cluster):
    """As the commands print them; with an operation that needs no model, so that the workers start
    at once.
    """
    Path("damaged.tar").write_bytes(b"no tar file" * 100)
    Path("whole.tar").write_bytes(tar_of(("a.shc", STREAM), ("b.shc", b"GIF89a")))

    @click.command()
    def command() -> None:  # workers have other working folders
        many = Many(("*.tar",), output="out", engine="ray", resume=True)
        convert_shards(COARSE, many, "truncating")

    for before in ("", "  finished before"):
        result = CliRunner().invoke(command)
        size = Path("out/whole.tar").stat().st_size
        assert result.exit_code == 1
        # Ray itself may tell of the lost machine there
        (line,) = [line for line in result.stdout.splitlines() if " -> " in line]
        assert line == f"{here}/whole.tar -> {here}/out/whole.tar  1 of 2  {size:,} bytes{before}"
        first, second = sorted(errors(result))
        assert first.startswith(f"progcodec: {here}/damaged.tar: not a sound tar file")
        assert second.startswith(f"progcodec: {here}/whole.tar: b.shc: ")


@pytest.mark.slow
def test_a_storage_that_fails_again_and_again_is_told_and_a_missing_model_too(here, cluster):
    shard = Shard(str(here / "missing.tar"), str(here / "out.tar"))
    (outcome,) = convert_on_cluster([shard], COARSE)
    assert isinstance(outcome.error, ClusterError) and "failed 4 times" in str(outcome.error)
    with pytest.raises(CheckpointError, match="missing.safetensors"):
        list(convert_on_cluster([shard], Decode("./missing.safetensors")))


@dataclass(frozen=True)
class Nowhere(Truncate):
    """An operation that the machines do not know, as if the package were not there."""

    def __reduce__(self):
        return importlib.import_module, ("not_installed_there",)


@pytest.mark.slow
def test_machines_without_the_package_are_told(here, cluster, monkeypatch):
    monkeypatch.setattr("progcodec.fleet.cluster.ATTEMPTS", 2)
    (outcome,) = convert_on_cluster([Shard("a.tar", "b.tar")], Nowhere(COARSE.cut))
    assert isinstance(outcome.error, ClusterError)
    assert re.match("failed 2 times, at last: .*not_installed_there", str(outcome.error))
