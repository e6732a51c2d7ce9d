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
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import progcodec
from progcodec.bitstream.container import Header, write
from progcodec.cli.engine import convert_shards
from progcodec.cli.options import Many
from progcodec.cut import Cut
from progcodec.errors import CheckpointError, ClusterError, ShardError
from progcodec.fleet import storage
from progcodec.fleet.archive import ROOM
from progcodec.fleet.cluster import Terms, convert_on_cluster
from progcodec.fleet.operation import Decode, Encode, Truncate
from progcodec.fleet.shards import RECORD, Shard, convert, target_name
from tests.support.command import COARSE_END, STREAM, errors, run

COARSE = Truncate(Cut("coarse"))


def tar_of(*members: tuple[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 7
            tar.addfile(header, io.BytesIO(data))
    return file.getvalue()


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


def test_one_output_for_each_input_in_order_and_the_rest_copied(here):
    converted = convert(Shard("in.tar.gz", "out/in.tar"), COARSE)
    assert (converted.inputs, converted.made, converted.finished_before) == (3, 2, False)
    assert [name for name, _ in converted.failures] == ["bad.shc"]
    expected = {
        "a.shc": STREAM[:COARSE_END],
        "a.cls": b"7",
        "deep/b.shc": STREAM[:COARSE_END],
        "deep/._b.shc": b"mac",
    }
    assert members_of("out/in.tar") == expected and list(members_of("out/in.tar")) == list(expected)
    assert converted.bytes == Path("out/in.tar").stat().st_size


def test_two_inputs_of_one_name_are_one_output_and_one_failure(here):
    Path("twice.tar").write_bytes(tar_of(("a.shc", STREAM), ("a.SHC", STREAM), ("a.shc", STREAM)))
    converted = convert(Shard("twice.tar", "out.tar"), COARSE)
    assert (converted.inputs, converted.made, len(converted.failures)) == (3, 1, 2)
    assert "would be named a.shc" in converted.failures[0][1]


def test_resume_proves_a_shard_finished(here):
    shard = Shard("in.tar.gz", "out.tar")
    first = convert(shard, COARSE)
    with pytest.raises(ShardError, match="--force"):
        convert(shard, COARSE)
    again = convert(shard, COARSE, resume=True)
    assert again == first._replace(finished_before=True)
    fine = Truncate(Cut("fine"))
    assert not convert(shard, fine, resume=True).finished_before  # other options
    assert members_of("out.tar")["a.shc"] == STREAM
    data = bytearray(Path("out.tar").read_bytes())
    data[data.index(STREAM) + 50] ^= 1
    Path("out.tar").write_bytes(data)  # a damaged output
    assert not convert(shard, fine, resume=True).finished_before
    Path("in.tar.gz").write_bytes(tar_of(*MIXED[:3], mode="w:gz"))  # another input
    assert convert(shard, fine, resume=True).inputs == 2
    Path("out.tar").write_bytes(tar_of(("a.shc", STREAM)))  # not of this program
    with pytest.raises(ShardError, match="no output of this program"):
        convert(shard, fine, resume=True)
    assert not convert(shard, fine, resume=True, force=True).finished_before


def test_damaged_and_missing_shards(here):
    whole, zipped = tar_of(*MIXED), tar_of(*MIXED, mode="w:gz")
    damaged = [whole[:size] for size in (700, 1024, 1500, 2048)] + [
        zipped[:-20],
        zipped[:40] + b"x" * 9 + zipped[49:],
    ]
    for name, data in enumerate(
        [*damaged, whole[:1024] + b"?" + whole[1025:], b"no tar file" * 100, b""]
    ):
        name = f"{name}.tar"
        Path(name).write_bytes(data)
        with pytest.raises(ShardError, match="not a sound tar file"):
            convert(Shard(name, "out.tar"), COARSE)
    with pytest.raises(FileNotFoundError):
        convert(Shard("missing.tar", "out.tar"), COARSE)
    with pytest.raises(ShardError, match="nostore"):
        convert(Shard("nostore://bucket/a.tar", "out.tar"), COARSE)
    assert not Path("out.tar").exists()


# --- what a hostile or an odd tar file holds ---------------------------------------------------


def odd_tar(*members: tuple[str, object], **fields: object) -> bytes:
    """Members are bytes, or (type, link's name); fields are of the first one's header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members:
            header = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                header.size = len(content)
                tar.addfile(header_with(header, fields), io.BytesIO(content))
            else:
                header.type, header.linkname = content
                tar.addfile(header_with(header, fields))
            fields = {}
    return file.getvalue()


def header_with(header: tarfile.TarInfo, fields: dict[str, object]) -> tarfile.TarInfo:
    for name, value in fields.items():
        setattr(header, name, value)
    return header


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
    link, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    Path("links.tar").write_bytes(
        odd_tar(
            ("./d/a.shc", STREAM), ("d/a.cls", b"7"),
            ("hard.shc", (hard, "d/a.shc")), ("d/soft.shc", (link, "a.shc")),
            ("e/up.shc", (link, "../d/a.shc")), ("e/again.shc", (link, "up.shc")),
            ("soft.cls", (link, "d/a.cls")), ("later.cls", (link, "./last.cls")),
            ("last.cls", b"8"),
        )
    )  # fmt: skip
    converted = convert(Shard("links.tar", "out.tar"), COARSE)
    assert (converted.inputs, converted.made, converted.failures) == (5, 5, ())
    found = members_of("out.tar")
    names = ["./d/a.shc", "hard.shc", "d/soft.shc", "e/up.shc", "e/again.shc"]
    assert [found[name] for name in names] == [STREAM[:COARSE_END]] * 5
    assert (found["soft.cls"], found["later.cls"]) == (b"7", b"8")


def test_what_is_no_file_of_the_shard_is_told(here):
    link, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    bad = [
        ("out.shc", (link, "/etc/passwd")), ("up.shc", (link, "../../a.shc")),
        ("gone.shc", (hard, "nowhere.shc")), ("self.shc", (link, "self.shc")),
        ("one.shc", (link, "two.shc")), ("two.shc", (link, "one.shc")), ("far.shc", (link, "d")),
        ("null.shc", (tarfile.CHRTYPE, "")), ("pipe.shc", (tarfile.FIFOTYPE, "")),
        ("label.txt", (link, "nowhere")), ("../leads/out.shc", STREAM),
    ]  # fmt: skip
    good = [("d", (tarfile.DIRTYPE, "")), ("/abs/a.shc", STREAM), ("a.shc", STREAM)]
    Path("odd.tar").write_bytes(odd_tar(*bad, *good))
    converted = convert(Shard("odd.tar", "out.tar"), COARSE)
    assert [name for name, _ in converted.failures] == [name for name, _ in bad]
    assert (converted.inputs, converted.made) == (len(bad) + 1, 2)
    assert list(members_of("out.tar")) == ["abs/a.shc", "a.shc"]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_several_tar_files_one_after_the_other_are_read_as_one(here, packed):
    first, second = tar_of(("a.shc", STREAM)), tar_of(("b.shc", STREAM), ("b.cls", b"1"))
    link = odd_tar(("c.shc", (tarfile.SYMTYPE, "a.shc")))
    Path("all.tar").write_bytes(packed(first + second + link))
    assert convert(Shard("all.tar", "out.tar"), COARSE).made == 3
    assert list(members_of("out.tar")) == ["a.shc", "b.shc", "b.cls", "c.shc"]
    Path("all.tar").write_bytes(packed(first + b"what is this? " * 100))
    with pytest.raises(ShardError, match="not a sound tar file"):
        convert(Shard("all.tar", "out2.tar"), COARSE)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "-5", "9" * 20, "12.5"])
def test_times_and_permissions_are_taken_where_they_make_sense(here, value):
    data = odd_tar(("a.shc", STREAM), pax_headers={"mtime": value}, mode=0o6751)
    Path("odd.tar").write_bytes(data)
    convert(Shard("odd.tar", "out.tar"), COARSE)
    with tarfile.open("out.tar") as tar:
        (header,) = [header for header in tar if header.name == "a.shc"]
    assert header.mode == 0o751 and header.mtime == (12.5 if value == "12.5" else 0)


def test_sizes_are_checked_before_they_are_held(here):
    zeros = tarfile.TarInfo("z.bin")
    zeros.size = ROOM + 512
    bomb = gzip.compress(zeros.tobuf() + bytes(zeros.size + 1024))
    whole = tar_of(("a.shc", STREAM), ("big", bytes(ROOM // 64)))[: -tarfile.RECORDSIZE]
    link = odd_tar(*((f"{n}", (tarfile.LNKTYPE, "big")) for n in range(500)))
    lie = tarfile.TarInfo("x.shc")
    lie.size = 1 << 40
    for data in (
        sparse(1 << 30),
        sparse(1 << 40),
        bomb,
        gzip.compress(whole) + gzip.compress(link),
    ):
        Path("trap.tar").write_bytes(data)
        with pytest.raises(ShardError, match="far beyond its own size"):
            convert(Shard("trap.tar", "out.tar"), COARSE)
    for size in (1 << 40, -(1 << 40)):
        lie.size = size
        Path("trap.tar").write_bytes(lie.tobuf(tarfile.GNU_FORMAT) + STREAM + bytes(1536))
        with pytest.raises(ShardError, match="not a sound tar file"):
            convert(Shard("trap.tar", "out.tar"), COARSE)
    assert not Path("out.tar").exists()


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


def test_object_stores(here):
    storage.write("memory://bucket/a.tar", tar_of(*MIXED))
    storage.write("memory://bucket/b.tgz", tar_of(*MIXED, mode="w:gz"))
    found = storage.matching("memory://bucket/*")
    assert [name.rsplit("/", 1)[-1] for name in found] == ["a.tar", "b.tgz"]
    assert found[0].startswith("memory://")
    for name in found:
        assert (
            convert(Shard(name, storage.below("memory://out/", target_name(name))), COARSE).made
            == 2
        )
    assert list(members_of("memory://out/b.tar")) == list(members_of("memory://out/a.tar"))


def test_names_hold_on_other_machines(here):
    assert (
        storage.matching("in.tar.gz") == storage.matching("./in*.gz") == [str(here / "in.tar.gz")]
    )
    assert storage.everywhere("s3://bucket/out") == "s3://bucket/out"


def test_encode_decode_and_classify_shards(here, tiny_checkpoint, small_photograph):
    file = io.BytesIO()
    small_photograph.save(file, "PNG")
    Path("photos.tar").write_bytes(
        tar_of(("x.png", file.getvalue()), ("x.cls", b"3"), ("y.png", file.getvalue()))
    )
    encode = Encode(str(tiny_checkpoint), "cpu")
    assert convert(Shard("photos.tar", "streams.tar"), encode).made == 2
    streams = members_of("streams.tar")
    assert list(streams) == ["x.shc", "x.cls", "y.shc"] and streams["x.shc"] == streams["y.shc"]
    assert convert(Shard("photos.tar", "streams.tar"), encode, resume=True).finished_before
    assert convert(Shard("streams.tar", "back.tar"), Decode(str(tiny_checkpoint), "cpu")).made == 2
    assert list(members_of("back.tar")) == ["x.png", "x.cls", "y.png"]


@dataclass(frozen=True)
class Strange(Truncate):
    """Fails, for one input, with something that nobody expected."""

    error: Exception = field(default_factory=lambda: KeyError("surprise"))

    def load(self, data: bytes):
        if data != STREAM:
            raise self.error
        return super().load(data)


def test_an_input_that_fails_in_an_unknown_way_is_its_own_failure_and_a_broken_model_the_shards(
    here,
):
    cut = COARSE.cut
    converted = convert(Shard("in.tar.gz", "out.tar"), Strange(cut))
    assert (converted.made, converted.failures) == (2, (("bad.shc", "KeyError: 'surprise'"),))
    for error in (CheckpointError("numbers overflow"), MemoryError(), RuntimeError("CUDA error")):
        with pytest.raises(type(error)):
            convert(Shard("in.tar.gz", "other.tar"), Strange(cut, error))
    assert not Path("other.tar").exists()


def test_usage(here):
    def told(*arguments: object) -> str:
        return run("encode", *arguments, code=2).stderr

    assert "needs a folder" in told("in.tar.gz", "--engine", "ray")
    assert 'must be "local"' in told("in.tar.gz", "--engine", "spark")
    assert "two shards would have one output" in told(
        "in.tar.gz", "sub/in.tar", "--engine", "ray", "-o", "out"
    )
    assert "replace a shard" in told("./in.tar", "--engine", "ray", "-o", ".")
    assert "no such shards" in told("none*.tar", "--engine", "ray", "-o", "out")


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

    environment = {"env_vars": {"PYTHONPATH": str(Path(progcodec.__file__).parents[1])}}
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0})
    second = machines.add_node(num_cpus=2, num_gpus=0)
    ray.init(address=machines.address, runtime_env=environment, log_to_driver=False)
    yield machines, second
    ray.shutdown()
    machines.shutdown()


@pytest.mark.slow
def test_a_machine_lost_midway_loses_and_doubles_nothing(here, cluster):
    machines, second = cluster
    streams = [
        write(Header(64, 48, b"abcd"), [bytes([n] * k) for k in (20, 40, 60, 80)])
        for n in range(SHARDS * INPUTS)
    ]
    shards = []
    for place in range(SHARDS):
        part = streams[place * INPUTS : (place + 1) * INPUTS]
        source = here / f"{place:02d}.tar"
        source.write_bytes(tar_of(*((f"{place:02d}-{n}.shc", data) for n, data in enumerate(part))))
        shards.append(Shard(str(source), str(here / "out" / source.name)))

    outcomes = convert_on_cluster(shards, Slow(Cut("fine")), Terms(batch=1))
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
    (outcome,) = convert_on_cluster([shard], COARSE, Terms())
    assert isinstance(outcome.error, ClusterError) and "failed 4 times" in str(outcome.error)
    with pytest.raises(CheckpointError, match="missing.safetensors"):
        list(convert_on_cluster([shard], Decode("./missing.safetensors"), Terms()))


@dataclass(frozen=True)
class Nowhere(Truncate):
    """An operation that the machines do not know, as if the package were not there."""

    def __reduce__(self):
        return importlib.import_module, ("not_installed_there",)


@pytest.mark.slow
def test_workers_that_cannot_start_end_it(here, cluster, monkeypatch):
    monkeypatch.setattr("progcodec.fleet.cluster.ATTEMPTS", 2)
    with pytest.raises(ClusterError, match="no worker starts: .*not_installed_there"):
        list(convert_on_cluster([Shard("a.tar", "b.tar")], Nowhere(COARSE.cut), Terms()))
