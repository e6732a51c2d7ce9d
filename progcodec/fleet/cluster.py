"""Shards over a Ray cluster: ``pip install "progcodec[ray]"``, on every machine.

    driver ── shard ──► task on some machine, on a GPU if any: reads, converts, writes ──► Converted

Each shard is a task: an output is a whole shard that its task writes, so no pixel and no stream
passes through Ray's object store or the driver. Ray runs as many as fit, and tries again what fails
for what may pass, a lost machine or a storage error; what is wrong with a shard itself is told at
once. The processes that run tasks stay, and keep their models loaded.
"""

import atexit
import os
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from progcodec.errors import CheckpointError, ClusterError, ProgcodecError
from progcodec.fleet.flow import Outcome
from progcodec.fleet.operation import Operation
from progcodec.fleet.shards import Converted, Shard, convert

ATTEMPTS = 4
"""How often a shard is tried that fails for what may pass."""
CPUS_PER_TASK = 2


def convert_on_cluster(
    shards: Sequence[Shard], operation: Operation, address: str | None = None, **terms: Any
) -> Generator[Outcome[Shard], None, None]:
    """An outcome for each shard, as they get done; its result is a :class:`Converted`.

    Closing the iterator ends the work.

    Args:
        address: of the cluster, as ``ray.init`` takes it; None: the one that the environment names,
            or else this machine.
        terms: as of :func:`progcodec.fleet.shards.convert`.
    Raises:
        ClusterError. CheckpointError: the operation names a file that is not there.
    """
    ray = _connected(address)
    weights = ray.put(_weights(operation))
    operation = ray.put(_changed(operation))  # a copy has no model loaded
    machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
    task = ray.remote(
        num_cpus=min(CPUS_PER_TASK, max([1, *(int(own.get("CPU", 0)) for own in machines)])),
        num_gpus=1 if any(own.get("GPU") for own in machines) else 0,
        max_calls=0,  # with a GPU too, a process takes more than one task
        max_retries=ATTEMPTS - 1,
        retry_exceptions=True,
    )(_convert)
    under_way = {task.remote(shard, operation, weights, terms): shard for shard in shards}
    try:
        while under_way:
            (reference,), _ = ray.wait([*under_way], num_returns=1)
            shard = under_way.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                text = f"failed {ATTEMPTS} times, at last: {_line(error)}"
                result = ClusterError(text)
            if isinstance(result, ProgcodecError):
                yield Outcome(shard, error=result)
            else:
                yield Outcome(shard, result)
    finally:
        for reference in under_way:
            ray.cancel(reference, force=True)


def _convert(
    shard: Shard, operation: Operation, weights: bytes | None, terms: dict[str, Any]
) -> Converted | ProgcodecError:
    """What is wrong with the shard itself comes back as a value: it would fail again anywhere."""
    if weights is not None:
        operation = _changed(operation, model=_file_of(weights))
    try:
        return convert(shard, operation, **terms)
    except ProgcodecError as error:
        return error


@cache
def _file_of(weights: bytes) -> str:
    """A file of this process that holds the weights: machines need not have the driver's."""
    with tempfile.NamedTemporaryFile(prefix="progcodec-", suffix=".safetensors", delete=False) as f:
        f.write(weights)
    atexit.register(os.unlink, f.name)
    return f.name


def _changed(operation: Operation, **fields: object) -> Operation:
    """A copy with other fields, and with nothing that the operation has loaded."""
    dataclass: Any = operation
    copy: Operation = replace(dataclass, **fields)
    return copy


def _connected(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            'Ray is not installed; pip install "progcodec[ray]" brings it'
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ClusterError(
                f"no Ray cluster answers at {address or 'the default address'}: {_line(error)}"
            ) from error
    return ray


def _weights(operation: Operation) -> bytes | None:
    """The content of a checkpoint's file; None for a shipped one, which every machine has."""
    model = getattr(operation, "model", None)
    if model is None or not ("/" in model or model.endswith(".safetensors")):
        return None
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{model}: {error.strerror or error}") from error


def _line(error: BaseException) -> str:
    text = str(getattr(error, "cause", None) or error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
