"""An evaluation from its settings to its report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progcodec import assets
from progcodec.config import QUALITY_MAX
from progcodec.errors import EvaluationError
from progcodec.files import write_whole
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate import first_bytes, unusual
from progcodec.lab.evaluate.judges import Judge, load_hierarchy
from progcodec.lab.evaluate.peers import choose
from progcodec.lab.evaluate.pictures import load_pictures
from progcodec.lab.evaluate.plan import (
    BUDGETS,
    OURS,
    SCALES,
    Entry,
    Plan,
    parse_budgets,
    parse_qualities,
)  # fmt: skip
from progcodec.lab.evaluate.report import write_report
from progcodec.lab.evaluate.run import cores, run
from progcodec.lab.evaluate.streams import ORDERINGS
from progcodec.network.checkpoint import Checkpoint


@dataclass(frozen=True)
class Settings:
    """As the options of ``evaluate`` have it."""

    output: Path
    data: tuple[str, ...] = ()
    labels: str | None = None
    classifiers: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    hierarchy: str | None = None
    budgets: str | None = None
    model: str | None = None
    ours: bool = True
    qualities: str = "0"
    orderings: str | None = None
    peers: str = "all"
    first_bytes: bool = False
    unusual: bool = False
    limit: int | None = None
    seed: int = 0
    jobs: int | None = None
    device: str = "auto"

    def plan(self, hierarchy: Hierarchy | None, warn: Callable[[str], None]) -> Plan:
        """Raises EvaluationError, ClassifierError, CheckpointError, OSError."""
        judges = self._judges(hierarchy) if hierarchy else []
        budgets = self.budgets or (BUDGETS if judges or self.orderings else None)
        peers, scales = self.peers, SCALES
        if self.first_bytes:
            budgets = self.budgets or first_bytes.BUDGETS
            peers, scales = first_bytes.PEERS if peers == "all" else peers, first_bytes.SCALES
        elif self.unusual:
            peers = unusual.PEERS
        curves = budgets is None
        entries, model = self._own()
        choice = choose(peers)
        for line in choice.missing:
            warn(f"left out: {line}")
        entries += [Entry(peer.name, peer.version(), "peer", peer.key) for peer in choice.peers]
        return Plan(
            tuple(entries), tuple(judges), parse_budgets(budgets) if budgets else (),
            (1.0,) if curves else scales, curves, model, self.hierarchy, self.device,
        )  # fmt: skip

    def _own(self) -> tuple[list[Entry], str | None]:
        """Entries of our checkpoint, and its path if there are any."""
        orderings = [name.strip() for name in (self.orderings or "").split(",") if name.strip()]
        if unknown := set(orderings) - set(ORDERINGS):
            listed = ", ".join(ORDERINGS)
            raise EvaluationError(f"unknown ordering {min(unknown)!r}; there are: {listed}")
        if not (self.ours or orderings):
            return [], None
        path = assets.find(self.model)
        mark = Checkpoint.load(path).fingerprint.hex()
        qualities = parse_qualities(self.qualities, QUALITY_MAX) if self.ours else []
        own = [Entry(_named(n), mark, "ours", str(n)) for n in qualities]
        return [*own, *(Entry(name, mark, "ordering", name) for name in orderings)], str(path)

    def _judges(self, hierarchy: Hierarchy) -> list[Judge]:
        judges = [Judge.named(spec, hierarchy) for spec in self.classifiers]
        for text in self.adapted:
            codec, _, spec = text.partition("=")
            if not (codec and spec):
                raise EvaluationError(f"{text!r} is not CODEC=CLASSIFIER, as AVIF=avif.safetensors")
            is_file = ":" not in spec and "@" not in spec
            judges.append(Judge.named(f"builtin@{spec}" if is_file else spec, hierarchy, codec))
        return list(dict.fromkeys(judges))


def evaluate(
    settings: Settings,
    warn: Callable[[str], None] = print,
    progress: Callable[..., Any] | None = None,
) -> str:
    """Measures what the output folder lacks, writes the report there, and returns it."""
    judged = bool(settings.classifiers or settings.adapted)
    hierarchy = load_hierarchy(settings.hierarchy) if judged else None
    plan = settings.plan(hierarchy, warn)
    if settings.unusual:
        pictures = unusual.pictures()
    else:
        s = settings
        pictures = load_pictures(s.data, hierarchy, labels=s.labels, limit=s.limit, seed=s.seed)
    rows = run(plan, pictures, settings.output, jobs=settings.jobs or cores(), progress=progress)
    if settings.unusual:
        text = unusual.table(plan, pictures, rows) + "\n"
        write_whole(settings.output / "unusual.md", text.encode())
        return text
    if settings.first_bytes:
        first_bytes.sheets(plan, pictures, rows, settings.output)
    return write_report(plan, pictures, rows, hierarchy, settings.output, settings.seed)


def _named(quality: int) -> str:
    return f"{OURS}, quality {quality:+d}" if quality else OURS
