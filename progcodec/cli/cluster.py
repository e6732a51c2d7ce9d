"""``--engine ray``: the same operations on shards, over a cluster."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial

import click

from progcodec.cli.files import show
from progcodec.cli.inputs import names_in
from progcodec.cli.many import Report
from progcodec.cli.messages import say
from progcodec.errors import ProgcodecError
from progcodec.fleet import storage
from progcodec.fleet.cluster import Terms, convert_on_cluster
from progcodec.fleet.flow import Outcome
from progcodec.fleet.operation import Operation
from progcodec.fleet.shards import Shard, target_name

LOCAL = "local"


def convert_shards(
    engine: str,
    inputs: Sequence[str],
    listed: str | None,
    output: str | None,
    operation: Operation,
    verb: str,
    terms: Terms,
) -> None:
    """Do tar files over a Ray cluster, and print a line about each. Raises click.UsageError."""
    if output is None:
        raise click.UsageError("--engine ray needs a folder or a URI for its shards: -o.")
    names = [*inputs, *(names_in(listed) if listed is not None else ())]
    sources = list(dict.fromkeys(source for name in names for source in storage.matching(name)))
    if not sources:
        raise click.UsageError("no such shards.")
    folder = storage.everywhere(output)
    shards = [Shard(source, storage.below(folder, target_name(source))) for source in sources]
    if len({shard.target for shard in shards}) < len(shards):
        raise click.UsageError("two shards would have one output; their file names must differ.")
    if {shard.target for shard in shards} & set(sources):
        raise click.UsageError("an output would replace a shard that is an input; give another -o.")
    address = None if engine == "ray" else ("auto" if engine == "ray://auto" else engine)
    report: Report[Outcome[Shard]] = Report(shards, verb)
    with report, closing(convert_on_cluster(shards, operation, terms, address)) as outcomes:
        for shard, result, error in report.over(outcomes):
            if error is not None:
                report.fail(shard.source, error)
                continue
            for name, why in result.failures:
                report.fail(f"{shard.source}: {name}", ProgcodecError(why))
            before = "  finished before" if result.finished_before else ""
            line = f"{show(shard.source)} -> {show(shard.target)}  {result.made:,} of {result.inputs:,}  {result.bytes:,} bytes"
            report.attempt(partial(say, line + before))
