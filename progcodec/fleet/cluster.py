"""Shards over a Ray cluster: ``pip install "progcodec[ray]"``, on every machine.

    driver ── shard ──► actor (one codec, one GPU if any): reads, converts, writes ──► Converted

Plain actors, not Ray Data: an output is a whole shard that its actor writes, so no pixel and no
stream passes through Ray's object store or the driver. The driver hands each ready actor one shard
at a time. Where an actor dies with its machine, its shard goes back to the front of the queue and a
replacement is asked for, which gets shards only once it runs: so no shard waits for a machine that
never comes. Whatever else goes wrong in an actor is tried again likewise, as storage may answer the
next time; what is wrong with a shard itself is told at once.
"""

import tempfile
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from progcodec.errors import CheckpointError, ClusterError, ProgcodecError
from progcodec.fleet.flow import Outcome
from progcodec.fleet.operation import Operation
from progcodec.fleet.shards import Converted, Shard, convert

ATTEMPTS = 4
"""How often a shard is tried that fails for what may pass: a lost machine, a storage error. As many
starts that fail are allowed to each actor for each shard that gets done."""
CPUS_PER_ACTOR = 2
FAREWELL = 5.0
"""Seconds that actors have to clean up at the end."""


class Terms(NamedTuple):
    """How shards are to be done, as of :func:`progcodec.fleet.shards.convert`."""

    batch: int = 16
    resume: bool = False
    force: bool = False


class Worker:
    """What runs on a machine of the cluster, as a Ray actor: one operation with its model, loaded
    once.
    """

    def __init__(self, operation: Operation, checkpoint: bytes | None) -> None:
        """`checkpoint`: the content of the file that the driver's operation names; machines need
        not have that file.
        """
        self._folder = ExitStack()
        if checkpoint is not None:
            path = Path(
                self._folder.enter_context(tempfile.TemporaryDirectory(prefix="progcodec-")),
                "model.safetensors",
            )
            path.write_bytes(checkpoint)
            operation = _changed(operation, model=str(path))
        self._operation = operation

    def ready(self) -> None:
        """Answers once the actor runs."""

    def convert(self, shard: Shard, terms: Terms) -> Converted | ProgcodecError:
        """What is wrong with the shard itself comes back as a value: it would fail again
        anywhere.
        """
        try:
            return convert(shard, self._operation, **terms._asdict())
        except ProgcodecError as error:
            return error

    def close(self) -> None:
        """Removes what lies on the machine's disk."""
        self._folder.close()


def convert_on_cluster(
    shards: Sequence[Shard], operation: Operation, terms: Terms, address: str | None = None
) -> Generator[Outcome[Shard], None, None]:
    """An outcome for each shard, as they get done; its result is a :class:`Converted`.

    Args:
        address: of the cluster, as ``ray.init`` takes it; None: the one that the environment names,
            or else this machine.
    Raises:
        ClusterError. CheckpointError: the operation names a file that is not there.
    """
    ray = _connected(address)
    return _Driver(ray, shards, operation, terms).outcomes()


class _Driver:
    def __init__(
        self, ray: Any, shards: Sequence[Shard], operation: Operation, terms: Terms
    ) -> None:
        self._ray = ray
        self._waiting = deque((shard, 1) for shard in shards)
        self._terms = ray.put(terms)
        # a copy has no model loaded
        self._arguments = (
            ray.put(_changed(operation)),
            ray.put(_checkpoint_of(operation)),
        )
        machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
        gpus = sum(int(machine.get("GPU", 0)) for machine in machines)
        cores = [int(machine.get("CPU", 0)) for machine in machines]
        cpus = min(CPUS_PER_ACTOR, max([1, *cores]))
        self._count = min(gpus or max(1, sum(own // cpus for own in cores)), len(shards))
        self._kind = ray.remote(Worker).options(num_cpus=cpus, num_gpus=1 if gpus else 0)
        self._starting: dict[Any, Any] = {}  # reference of ready() → actor
        # reference of convert() → actor, shard, attempt
        self._under_way: dict[Any, tuple[Any, Shard, int]] = {}
        self._idle: list[Any] = []
        self._starts_to_lose = ATTEMPTS * self._count

    def outcomes(self) -> Generator[Outcome[Shard], None, None]:
        try:
            for _ in range(self._count):
                self._start_actor()
            while self._waiting or self._under_way:
                while self._idle and self._waiting:
                    shard, attempt = self._waiting.popleft()
                    actor = self._idle.pop()
                    self._under_way[actor.convert.remote(shard, self._terms)] = (
                        actor,
                        shard,
                        attempt,
                    )
                (reference,), _ = self._ray.wait([*self._starting, *self._under_way], num_returns=1)
                if reference in self._starting:
                    self._take_started(reference)
                elif (outcome := self._take_done(reference)) is not None:
                    yield outcome
            if self._idle:
                self._ray.wait(
                    [actor.close.remote() for actor in self._idle],
                    num_returns=len(self._idle),
                    timeout=FAREWELL,
                )
        finally:
            for actor in (
                *self._idle,
                *self._starting.values(),
                *(actor for actor, _, _ in self._under_way.values()),
            ):
                self._ray.kill(actor)

    def _start_actor(self) -> None:
        actor = self._kind.remote(*self._arguments)
        self._starting[actor.ready.remote()] = actor

    def _take_started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.ActorUnschedulableError as error:
            raise ClusterError(
                f"no machine of the cluster can hold a worker: {_line(error)}"
            ) from error
        # lost with its machine, or this package is not there
        except self._ray.exceptions.RayError as error:
            self._starts_to_lose -= 1
            if self._starts_to_lose > 0:
                self._start_actor()
            elif not (self._starting or self._under_way or self._idle):
                raise ClusterError(f"no worker starts: {_line(error)}") from error
        else:
            self._idle.append(actor)

    def _take_done(self, reference: Any) -> Outcome[Shard] | None:
        """None where the shard is to be tried again."""
        actor, shard, attempt = self._under_way.pop(reference)
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # raised in the worker, which lives on
            self._idle.append(actor)
            return self._again(shard, attempt, error)
        except self._ray.exceptions.RayError as error:  # the worker is gone
            self._start_actor()
            return self._again(shard, attempt, error)
        self._idle.append(actor)
        self._starts_to_lose = ATTEMPTS * self._count
        if isinstance(result, ProgcodecError):
            return Outcome(shard, error=result)
        return Outcome(shard, result)

    def _again(self, shard: Shard, attempt: int, error: Exception) -> Outcome[Shard] | None:
        if attempt >= ATTEMPTS:
            return Outcome(
                shard, error=ClusterError(f"failed {ATTEMPTS} times, at last: {_line(error)}")
            )
        self._waiting.appendleft((shard, attempt + 1))
        return None


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


def _checkpoint_of(operation: Operation) -> bytes | None:
    """The content of a checkpoint that is named by its file; None for a shipped one, which every
    machine has.
    """
    model = getattr(operation, "model", None)
    if model is None or not ("/" in model or model.endswith(".safetensors")):
        return None
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{model}: {error.strerror or error}") from error


def _line(error: BaseException) -> str:
    text = str(getattr(error, "cause", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if "creation task" in lines[0] else 0]  # there Ray quotes a traceback
