"""One operation on many inputs: files here, or shards over a Ray cluster."""

import os
import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import click

from progcodec.cli.files import (
    STANDARD_STREAM,
    Job,
    OutputError,
    check_writable,
    is_device,
    show,
    write_bytes,
)
from progcodec.cli.inputs import names_in
from progcodec.cli.messages import complain, tell
from progcodec.cli.options import LOCAL, Many
from progcodec.cli.report import FINISHED, Report, see_through
from progcodec.errors import ProgcodecError
from progcodec.files import remove_leftovers
from progcodec.fleet.flow import Loaded, Outcome, Settled, Stages, flow
from progcodec.fleet.journal import Journal, made_of
from progcodec.fleet.operation import Operation, Product


class Files:
    """Reads an operation's inputs, proves outputs finished, writes whole files."""

    def __init__(
        self, operation: Operation, read: Callable[[str], bytes], *, force: bool, resume: bool
    ) -> None:
        """`read` reads an input, "-" too."""
        self._operation, self._read, self._force = operation, read, force
        self._signature = operation.signature() if resume else None
        self._journals: dict[str, Journal | None] = {}
        # of jobs under way: what their outputs are made of, and whether these may be replaced
        self._under_way: dict[Job, tuple[str, bool]] = {}
        self._lock = threading.Lock()

    def load(self, job: Job) -> Loaded | Settled:
        loaded = self._load(job)
        if isinstance(loaded, Loaded) and loaded.warning:
            complain(job.source, loaded.warning)
        return loaded

    def _load(self, job: Job) -> Loaded | Settled:
        if job.fault:
            raise OutputError(job.fault)
        journal, force = self._journal(job), self._force
        if journal is None:
            check_writable(job.target, force, job.named)
            return self._operation.load(self._read(job.source))
        data = self._read(job.source)
        assert self._signature is not None
        source = made_of(self._signature, data)
        if journal.wrote(job.target, source):
            return Settled(FINISHED)
        force = force or journal.wrote(job.target)
        check_writable(job.target, force, job.named)
        loaded = self._operation.load(data)
        self._under_way[job] = source, force
        return loaded

    def finish(self, job: Job, made: object) -> Product:
        product = self._operation.finish(made)
        journal = self._journal(job)
        source, force = self._under_way.pop(job, ("", self._force))
        note = partial(journal.note, job.target, source, product.data) if journal else None
        write_bytes(job.target, product.data, force, note, job.named)
        if product.warning:
            complain(job.source, product.warning)
        return product

    def _journal(self, job: Job) -> Journal | None:
        """The journal of a target's folder, if one is kept; leftovers go when it is first met."""
        if job.target == STANDARD_STREAM or (job.named and is_device(job.target)):
            return None
        folder = os.path.realpath(os.path.dirname(job.target))
        with self._lock:
            if folder not in self._journals:
                remove_leftovers(folder)
                self._journals[folder] = None if self._signature is None else Journal(folder)
            return self._journals[folder]


class Work(NamedTuple):
    """An operation, in words and for files.

    Attributes:
        verb: of the progress bar.
        jobs: finds the files and where their results go; on a cluster the shards' names are taken
            instead.
        read: reads an input, "-" too.
        line: what is printed about an output.
        last: as of :func:`see_through`.
    """

    operation: Operation
    verb: str
    jobs: Callable[[], Sequence[Job]]
    read: Callable[[str], bytes]
    line: Callable[[Job, Product], str]
    last: Callable[[Report], None] | None = None


def convert(work: Work, many: Many) -> None:
    """Do an operation to many inputs, where they say, and print a line about each output. Failures
    end the command with code 1; what is wrong for all inputs is raised.
    """
    if many.engine != LOCAL:
        return convert_shards(work.operation, many, work.verb)
    jobs = work.jobs()
    work.operation.check()
    files = Files(work.operation, work.read, force=many.force, resume=many.resume)
    stages = Stages(files.load, work.operation.run, files.finish)
    limits = partial(work.operation.limits, many.batch)
    see_through(jobs, flow(jobs, stages, limits), work.verb, partial(_file_done, work), work.last)


def convert_shards(operation: Operation, many: Many, verb: str) -> None:
    """As :func:`convert`, for tar files over a Ray cluster. Raises click.UsageError."""
    operation.check()
    shards, outcomes = _on_cluster(operation, many)
    see_through(shards, outcomes, verb, _shard_done)


def _file_done(work: Work, report: Report, job: Job, product: Product) -> None:
    tell(work.line(job, product), to_stderr=job.target == STANDARD_STREAM)


def _on_cluster(
    operation: Operation, many: Many
) -> tuple[Sequence[Any], Generator[Outcome[Any], None, None]]:
    """The shards that the inputs name, and their outcomes. Raises click.UsageError."""
    from progcodec.fleet import storage
    from progcodec.fleet.cluster import convert_on_cluster
    from progcodec.fleet.shards import Shard, target_name

    if many.output is None:
        raise click.UsageError("--engine ray needs a folder or a URI for its shards: -o.")
    names = [*many.inputs, *(names_in(many.listed) if many.listed is not None else ())]
    sources = list(dict.fromkeys(source for name in names for source in storage.matching(name)))
    if not sources:
        raise click.UsageError("no such shards.")
    folder = storage.everywhere(many.output)
    shards = [Shard(source, storage.below(folder, target_name(source))) for source in sources]
    if len({shard.target for shard in shards}) < len(shards):
        raise click.UsageError("two shards would have one output; their file names must differ.")
    if {shard.target for shard in shards} & set(sources):
        raise click.UsageError("an output would replace a shard that is an input; give another -o.")
    address = {"ray": None, "ray://auto": "auto"}.get(many.engine, many.engine)
    return shards, convert_on_cluster(
        shards, operation, address, batch=many.batch, resume=many.resume, force=many.force
    )


def _shard_done(report: Report, shard: Any, result: Any) -> None:
    for name, why in result.failures:
        report.fail(f"{shard.source}: {name}", ProgcodecError(why))
    before = "  finished before" if result.finished_before else ""
    made = f"{result.made:,} of {result.inputs:,}  {result.bytes:,} bytes"
    tell(f"{show(shard.source)} -> {show(shard.target)}  {made}{before}")
