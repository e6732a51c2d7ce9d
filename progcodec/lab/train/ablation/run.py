"""Trains and measures every variant with every seed.

A run that is done is not done again; one that broke off goes on.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from progcodec.config import ModelConfig
from progcodec.errors import TrainingError
from progcodec.files import whole_file, write_whole
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.pictures import fingerprint, load_pictures
from progcodec.lab.train.ablation.measure import Measured, load_judges, measure
from progcodec.lab.train.ablation.table import Difference, as_csv, as_markdown, differences
from progcodec.lab.train.ablation.variants import VARIANTS, Variant, chosen
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.trainer import train

SCRATCH = " (from nothing)"
"""Ends the name of a base for variants that cannot start from the weights that the others start
from."""
CSV, MARKDOWN = "ablations.csv", "ablations.md"
GROUP_RESTARTS = 20
"""Starts of the k-means of flat groups, fewer than for a hierarchy: they need not be the
very best."""


@dataclass(frozen=True)
class AblationSettings:
    """Everything that the runs depend on.

    Attributes:
        data, val: training pictures, and held-out ones, as shards, folders or globs.
        out: folder of all runs and of the tables.
        minutes, steps: of each run, the first that is spent.
        config: of the base's model. train: other settings of all runs, as in TrainSettings.
        only: variants by name; none: all that can be run.
        base_init: checkpoint that variants of its shape start from; those of another, and a base
            for these, from nothing.
        teacher: classifier of the class term. embeddings: .npy file of the classes' embeddings, for
            groups that need not nest.
        classifiers: who judges. pictures: how many held-out pictures, at most.
    """

    data: tuple[str, ...]
    val: tuple[str, ...]
    out: str
    minutes: float | None = None
    steps: int | None = None
    config: ModelConfig = ModelConfig()
    train: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    base_init: str | None = None
    teacher: str | None = None
    embeddings: str | None = None
    classifiers: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1)
    pictures: int = 60
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise ValueError("say how long each run is: minutes or steps")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must be one or more different numbers")

    def budget(self) -> str:
        """In words."""
        steps = f"{self.steps} steps" if self.steps else ""
        minutes = f"{self.minutes:g} minutes" if self.minutes else ""
        parts = [" or ".join(filter(None, [steps, minutes]))]
        parts += [f"{name} {value}" for name, value in self.train.items()]
        config = {name: v for name, v in self.config.to_dict().items() if name != "family"}
        model = ", ".join(f"{name} {value}" for name, value in config.items())
        start = "from nothing"
        if self.base_init:
            start = f"from {Path(self.base_init).name} where the shape allows"
        seeds = f"seeds {', '.join(map(str, self.seeds))}"
        return (
            f"{', '.join(parts)} for each run, {start}, {seeds}; model: {model}; at most "
            f"{self.pictures} held-out pictures"
        )


@dataclass(frozen=True)
class Job:
    """A variant as it is run: its settings but for the seed and the file."""

    name: str
    variant: Variant
    settings: TrainSettings
    weights_of: str | None = None  # of another job, where the decoder alone differs


def ablate(settings: AblationSettings, say: Callable[[str], None] = print) -> list[Difference]:
    """Runs what is not done yet, writes both tables after each seed's round, and returns the
    differences.

    Raises:
        TrainingError, EvaluationError, ClassifierError, CheckpointError: what the runs need is
            missing or does not fit. All settings are checked before the first run begins.
    """
    have = settings.teacher is not None, settings.embeddings is not None
    variants, left_out = chosen(settings.only, *have)
    for name, why in left_out.items():
        say(f"{name}: left out, {why}")
    folder, hierarchy = Path(settings.out), Hierarchy.load()
    folder.mkdir(parents=True, exist_ok=True)
    samples = load_pictures(settings.val, hierarchy, limit=settings.pictures)
    judges = load_judges(settings.classifiers, hierarchy, settings.device)
    asked = _mark((fingerprint(samples), settings.classifiers))
    jobs, against = plan(settings, variants, _flat_groups(settings, variants, hierarchy, folder))
    shown = {job.name: job.variant for job in jobs}
    results: dict[str, list[Measured]] = {job.name: [] for job in jobs}
    for number, seed in enumerate(settings.seeds):
        for place, job in enumerate(jobs):
            name = (job.weights_of or job.name).replace(SCRATCH, "-scratch")
            where, scheme = folder / f"{name}-seed{seed}-{_key(job.settings)}", job.variant.scheme
            say(f"seed {seed}, {place + 1} of {len(jobs)}: {job.name}")
            checkpoint = _trained(job, seed, where)
            kept = where / f"{scheme}-{asked}.json"
            found = Measured.load(kept)
            if found is None:
                found = measure(checkpoint, scheme, samples, judges, hierarchy, settings.device)
                found.save(kept)
            results[job.name].append(found)
        found_so_far = differences(results, shown, against)
        write_whole(folder / CSV, as_csv(found_so_far, shown, against).encode())
        budget = replace(settings, seeds=settings.seeds[: number + 1]).budget()
        text = as_markdown(found_so_far, results, shown, against, budget)
        write_whole(folder / MARKDOWN, text.encode())
    return found_so_far


def plan(
    settings: AblationSettings, variants: dict[str, Variant], groups: str | None
) -> tuple[list[Job], dict[str, str]]:
    """The jobs, each after what it is compared with, and what each is compared with, by name."""
    jobs: list[Job] = []
    against: dict[str, str] = {}

    def add(name: str, variant: Variant, init: str | None) -> None:
        trained = variant if variant.trained else VARIANTS[variant.against]
        weights_of = None if variant.trained else variant.against
        if all(job.name != name for job in jobs):
            jobs.append(Job(name, variant, _settings(settings, trained, init, groups), weights_of))

    for name, variant in variants.items():
        init = settings.base_init if variant.from_weights else None
        other = variant.against
        if settings.base_init and init is None:
            other += SCRATCH
            add(other, VARIANTS[variant.against], None)
        add(name, variant, init)
        if name != other:
            against[name] = other
    return jobs, against


def _settings(
    settings: AblationSettings, variant: Variant, init: str | None, groups: str | None
) -> TrainSettings:
    given = {**settings.train, **variant.train}
    if variant.teacher:
        given["teachers"] = (settings.teacher,)
    if variant.groups:
        given["groups"] = groups
    try:
        config = ModelConfig.from_dict({**settings.config.to_dict(), **variant.config})
        own = {name: getattr(settings, name) for name in ("data", "minutes", "steps", "device")}
        return TrainSettings(out="", init=init, config=config, **own, **given)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"a variant cannot be run with these settings: {error}") from error


def _key(settings: TrainSettings) -> str:
    """Names exactly these settings: other ones get another folder, and nothing is overwritten."""
    start = settings.init and Path(settings.init)
    weights = start.read_bytes() if start and start.exists() else b""
    text = json.dumps(asdict(settings), sort_keys=True, default=str)
    return _mark((text, hashlib.sha256(weights).hexdigest()))


def _mark(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:8]


def _trained(job: Job, seed: int, where: Path) -> Path:
    """The checkpoint of a job, trained now if it is not yet there."""
    out, running = where / "model.safetensors", where / "running.safetensors"
    if out.exists():
        return out
    where.mkdir(parents=True, exist_ok=True)
    state = Path(f"{running}.state.pt")
    again: dict[str, Any] = {}
    if state.exists():
        again = {"resume": str(state), "init": None, "finish": True}
    train(replace(job.settings, out=str(running), seed=seed, **again))
    if not _finished(state, job.settings):
        raise KeyboardInterrupt  # the loop caught it, saved, and returned
    os.replace(running, out)
    state.unlink()  # several times as large as the checkpoint, and of no more use
    return out


def _finished(state: Path, settings: TrainSettings) -> bool:
    saved = torch.load(state, map_location="cpu", weights_only=True)
    steps, minutes = saved["step"] - saved["first"], saved["minutes"] - saved["first_minutes"]
    limits = (settings.steps, steps), (settings.minutes, minutes)
    return any(limit and spent >= limit for limit, spent in limits)


def _flat_groups(
    settings: AblationSettings, variants: dict[str, Variant], hierarchy: Hierarchy, folder: Path
) -> str | None:
    """A file with groups of the hierarchy's sizes, each level by a k-means of its own, as in the
    paper; None if not needed.
    """
    if settings.embeddings is None or not any(variant.groups for variant in variants.values()):
        return None
    from progcodec.lab.hierarchy_build.clustering import nested, unit_rows
    from progcodec.lab.hierarchy_build.sources import read_embeddings

    rows = unit_rows(read_embeddings(settings.embeddings, len(hierarchy.classes)))
    path = folder / f"groups-{hashlib.sha256(rows.tobytes()).hexdigest()[:8]}.npy"
    if not path.exists():
        levels = [hierarchy.assignments[0]]  # one k-means over all classes in either case
        for size in hierarchy.sizes[1:]:
            levels += nested(rows, [size], seed=0, restarts=GROUP_RESTARTS)
        with whole_file(path) as file:
            np.save(file, np.stack(levels))
    return str(path)
