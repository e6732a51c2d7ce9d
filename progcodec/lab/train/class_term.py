"""The class term of the objective: what a frozen classifier makes of the decoded pictures.

    Σ_k γ_k·CE_k(X̂_<k),    CE_k = −Σ_c t_k(c)·log Σ_{class in cluster c} p(class | X̂_<k)

At each level k, the classifier's probabilities are summed over the classes of each cluster (10 and
100 for ImageNet's hierarchy; at the fine level each class is its own). The target t_k is the label,
smoothed, or the classifier's prediction on the clean picture, or a mixture of both. A random cut
has the two levels that it lies between, by the log of its bits; below the coarse end its weight
falls with its bits. Cross-entropies are nats per picture and rates bits per pixel, so a picture of
other than 256² pixels weighs 256²/pixels as much: a nat is worth the same number of *bits* at every
size.

A classifier's gradient at the pixels is far longer than that of the distortion, and different for
each picture; with the paper's γ it makes a gradient of the codec some 200 times as long. So it can
be capped, picture by picture.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from progcodec.arrays import Ints
from progcodec.config import LEVELS
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.differentiable import Forward, constants
from progcodec.lab.train.loss import LossWeights, cut_place, of_kind
from progcodec.lab.train.teacher import Teacher

REFERENCE_PIXELS = 256**2


def load_groups(path: str, hierarchy: Hierarchy) -> Ints:
    """Group numbers of a .npy file, (levels, classes), as many as the hierarchy has.

    Raises TrainingError.
    """
    try:
        groups = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"{path}: no group numbers ({type(error).__name__})") from None
    wanted = hierarchy.assignments.shape
    if groups.shape != wanted or groups.dtype.kind not in "iu" or groups.min() < 0:
        raise TrainingError(
            f"{path}: must hold {wanted[0]} x {wanted[1]} group numbers, not {groups.dtype} "
            f"{groups.shape}"
        )
    if any(len(np.unique(level)) <= level.max() for level in groups):
        raise TrainingError(f"{path}: a group is empty")
    checked: Ints = groups
    return checked


class Clusters:
    """Log-probabilities of classes to those of their clusters, at one level."""

    def __init__(self, assignment: Sequence[int], device: torch.device) -> None:
        """``assignment``: the cluster of each class; every cluster has one at least."""
        groups: list[list[int]] = [[] for _ in range(max(assignment) + 1)]
        for index, cluster in enumerate(assignment):
            groups[cluster].append(index)
        longest = max(map(len, groups))
        padding = len(assignment)  # one class more, whose probability is 0
        rows = [group + [padding] * (longest - len(group)) for group in groups]
        self.count = len(groups)
        self._members = torch.tensor(rows, device=device)
        self._cluster = torch.tensor(list(assignment), device=device)

    def log_probabilities(self, log_classes: Tensor) -> Tensor:
        """(N, classes) to (N, clusters)."""
        padded = nn.functional.pad(log_classes, (0, 1), value=-torch.inf)
        return padded[:, self._members].logsumexp(2)

    def smoothed(self, labels: Tensor, smoothing: float) -> Tensor:
        """(N,) class indices to (N, clusters) distributions: 1 − smoothing on the label's cluster,
        the rest on all alike.
        """
        rows = torch.full((len(labels), self.count), smoothing / self.count, device=labels.device)
        return rows.scatter_add_(
            1, self._cluster[labels][:, None], rows.new_full((len(labels), 1), 1 - smoothing)
        )


class _Capped(torch.autograd.Function):
    """Forward: the pictures (N, 3, H, W).

    Backward: each one's gradient, shortened to its cap (N,) where it is longer.
    """

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, caps: Tensor) -> Tensor:
        ctx.save_for_backward(caps)
        return pictures.view_as(pictures)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (caps,) = ctx.saved_tensors
        lengths = gradient.flatten(1).norm(dim=1).clamp_min(1e-30)
        return gradient * (caps / lengths).clamp_max(1)[:, None, None, None], None


class Judged(NamedTuple):
    """What the class term says about one batch."""

    loss: Tensor  # scalar
    # (N, 2) nats: of the fine level, of the second decoding at its own level (of a cut: the coarse)
    losses: Tensor
    right: Tensor  # (N, 2) whether the likeliest cluster there is the target's
    known: Tensor  # (N,) whether the picture had a target at all


class ClassTerm:
    """The teachers, their hierarchy and their weights. Each call asks one teacher, at random.

    Holds no trainable thing and is no module, so that no wrapper copies it.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        hierarchy: Hierarchy,
        weights: LossWeights,
        soft: float,
        smoothing: float,
        groups: Ints | None = None,
    ) -> None:
        """``groups``: integers (levels, classes) in place of the hierarchy's own.

        Raises TrainingError unless the hierarchy groups the teachers' classes, twice.
        """
        for teacher in teachers:
            if teacher.classes != len(hierarchy.classes):
                raise TrainingError(
                    f"{teacher.name} has {teacher.classes} classes, the hierarchy "
                    f"{len(hierarchy.classes)}"
                )
        if len(hierarchy.levels) != len(LEVELS) - 1:
            raise TrainingError(
                f"the class term needs {len(LEVELS) - 1} levels of groups, not "
                f"{len(hierarchy.levels)}"
            )
        self.teachers, self.weights, self.soft, self.smoothing = teachers, weights, soft, smoothing
        device = teachers[0].mean.device
        assignments = [
            *(hierarchy.assignments if groups is None else groups).tolist(),
            list(range(len(hierarchy.classes))),
        ]
        self.levels = [Clusters(assignment, device) for assignment in assignments]

    @torch.no_grad()
    def targets(
        self, teacher: Teacher, clean: Tensor, labels: Sequence[int | None]
    ) -> tuple[list[Tensor], Tensor]:
        """Distributions (N, clusters) for each level, zero where there is neither label nor
        prediction; and where not, (N,).
        """
        device = clean.device
        labelled = torch.tensor([label is not None for label in labels], device=device)
        indices = torch.tensor([label or 0 for label in labels], device=device)
        own = torch.where(labelled, self.soft, 1.0 if self.soft else 0.0)[:, None]
        classes = _log_classes(teacher, clean) if self.soft else None
        targets = []
        for level in self.levels:
            target = (1 - own) * labelled[:, None] * level.smoothed(indices, self.smoothing)
            if classes is not None:
                target = target + own * level.log_probabilities(classes).exp()
            targets.append(target)
        return targets, labelled | bool(self.soft)

    def __call__(
        self, out: Forward, clean: Tensor, labels: Sequence[int | None], caps: Tensor | None = None
    ) -> Judged:
        """The term for a pass of the codec over whole pictures (N, 3, H, W).

        Args:
            caps: what the gradient of the term, as it is in the loss that is differentiated, may be
                long at each decoded picture, (N, 2): at the fine level, at the second decoding.
                None: as long as it is.
        """
        teacher = self.teachers[int(torch.randint(len(self.teachers), ()))]
        targets, known = self.targets(teacher, clean, labels)
        n = len(clean)
        decoded = torch.cat((out.fine, out.second))
        if caps is not None:
            decoded = _Capped.apply(decoded, caps.T.reshape(-1))
        classes = _log_classes(teacher, decoded)
        fine = self.levels[-1].log_probabilities(classes[:n])
        seconds = [level.log_probabilities(classes[n:]) for level in self.levels]
        fine_loss = -(targets[-1] * fine).sum(1)
        second_losses = torch.stack(
            [-(t * s).sum(1) for t, s in zip(targets, seconds, strict=True)], 1
        )

        gamma = constants(self.weights.gamma, clean.device)
        shares, shortfall = cut_place(out)
        weighted = second_losses * gamma
        at_cut = self.weights.cut * shortfall.exp() * (weighted * shares).sum(1)
        assert self.weights.second_pass is not None, (
            "the settings rule out a class term without progressive training"
        )
        second = of_kind((weighted[:, 0], weighted[:, 1], at_cut), out, self.weights.second_pass)
        scale = REFERENCE_PIXELS / (clean.shape[2] * clean.shape[3])
        loss = scale * (gamma[-1] * fine_loss + second).mean()

        level_of = torch.where(out.kind == 1, 1, 0)[:, None]
        hits = torch.stack(
            [s.argmax(1) == t.argmax(1) for s, t in zip(seconds, targets, strict=True)], 1
        )
        losses = torch.stack((fine_loss, second_losses.gather(1, level_of)[:, 0]), 1)
        right = torch.stack(
            (fine.argmax(1) == targets[-1].argmax(1), hits.gather(1, level_of)[:, 0]), 1
        )
        return Judged(loss, losses.detach(), right, known)


def _log_classes(teacher: Teacher, pictures: Tensor) -> Tensor:
    exact = torch.autocast(pictures.device.type, enabled=False)
    logits = teacher(pictures)
    with exact:
        return torch.log_softmax(logits.float(), 1)
