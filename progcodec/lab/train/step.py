"""All of a step's loss in one module, which DistributedDataParallel can wrap: every parameter takes
part in every call.

The objective leaves the bottleneck's quantiles alone, and their own loss touches nothing else, so
that one backward pass serves both.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from progcodec.lab.train.class_term import ClassTerm, Judged
from progcodec.lab.train.differentiable import Forward, forward
from progcodec.lab.train.learner import Losses
from progcodec.lab.train.loss import distortion_pull, objective
from progcodec.lab.train.settings import TrainSettings
from progcodec.network.model import Model

SECOND = ("coarse", "inter", "cut")
COMPILER = "inductor"


class Step(nn.Module):
    """Crops, and whole pictures for the class term, to a loss."""

    def __init__(
        self,
        model: Model,
        bottleneck: Any,
        settings: TrainSettings,
        class_term: ClassTerm | None = None,
        bfloat16: bool = False,
        priorities: Tensor | None = None,
    ) -> None:
        """``settings.accumulate`` calls make a step; `total` is that part of the loss.

        ``priorities``: as in ``differentiable.Prefixes``.
        """
        super().__init__()
        self.model, self.bottleneck, self.class_term = model, bottleneck, class_term
        self.weights = settings.weights()
        self.prefixes = settings.prefixes()._replace(priorities=priorities)
        self.class_push, self.passes = settings.class_push, settings.accumulate
        self.in_bfloat16 = bfloat16

    def forward(
        self,
        crops: Tensor,
        whole: Tensor | None = None,
        labels: Sequence[int | None] = (),
        class_share: float = 1.0,
    ) -> Losses:
        """Crops and whole pictures are uint8 (N, 3, H, W), sides multiples of 16.

        Rate and distortion are means over all pixels of both; the class term, `class_share` times,
        is of the whole ones.
        """
        x, out = self._pass(crops)
        loss, parts = objective(out, x, self.weights)
        measured = _measures(out, parts)
        term = torch.zeros_like(loss)
        if whole is not None and self.class_term is not None:
            y, seen = self._pass(whole)
            whole_loss, _ = objective(seen, y, self.weights)
            share = y.numel() / (x.numel() + y.numel())
            caps = None
            if self.class_push is not None:
                push = self.class_push * class_share * share / self.passes
                caps = push * distortion_pull(seen, y, self.weights)
            with self._autocast(y):
                judged = self.class_term(seen, y, labels, caps)
            loss = (1 - share) * loss + share * whole_loss
            term = class_share * judged.loss
            measured |= _judgements(seen, judged)
        measured["loss"] = (loss + term).detach()
        return Losses((loss + term + self.bottleneck.loss()) / self.passes, loss.detach(), measured)

    def _pass(self, pixels: Tensor) -> tuple[Tensor, Forward]:
        x = pixels.float().div(255).contiguous(memory_format=torch.channels_last)
        with self._autocast(x):
            return x, forward(
                self.model, self.bottleneck, x, self.weights.second_pass, self.prefixes
            )

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.in_bfloat16)


def _measures(out: Forward, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    values = {name: parts[name] for name in ("hyper", "block1", "block2", "block3")}
    values["bpp_coarse"] = values["hyper"] + values["block1"]
    values["bpp_inter"] = values["bpp_coarse"] + values["block2"]
    values["total"] = values["bpp_inter"] + values["block3"]
    values["psnr_fine"] = -10 * parts["fine"].log10()
    for kind, name in enumerate(SECOND):
        values[f"psnr_{name}"] = -10 * parts["second"][out.kind == kind].log10()
    return values


def _judgements(out: Forward, judged: Judged) -> dict[str, Tensor]:
    values = {}
    which = {"fine": (0, judged.known)} | {
        name: (1, judged.known & (out.kind == i)) for i, name in enumerate(SECOND)
    }
    for name, (column, mask) in which.items():
        values[f"class_{name}"] = judged.losses[mask, column]
        values[f"acc_{name}"] = judged.right[mask, column].float()
    return values


def compile_networks(model: Model) -> None:
    """Has torch.compile fuse the float networks that take most of the time.

    The integer path stays as it is: it must be exact. So does h_a: torch 2.15 expects the gradient
    of its replicating padding in another memory layout than it comes in.
    """
    for network in (model.analysis, model.synthesis):
        network.compile(backend=COMPILER)
    mean, prior = model.mean_path.mean, model.mean_path.prior
    model.mean_path.mean = torch.compile(mean, backend=COMPILER)  # type: ignore[method-assign]
    model.mean_path.prior = torch.compile(prior, backend=COMPILER)  # type: ignore[method-assign]
