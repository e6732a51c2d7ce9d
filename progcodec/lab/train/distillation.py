"""A network learns to say of a decoded prefix what its frozen self says of the clean picture: no
label is needed.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.lab.train.learner import Losses

NO_LABEL = -1


class Distillation(nn.Module):
    """Prefixes and clean pictures to a loss: cross-entropy with the clean answer, and distance of
    the features.

    Args:
        student: what learns; its methods ``forward_features`` and ``forward_head`` are those of
            timm's networks. Statistics of batch normalisation stay as they are.
        teacher: the same network, frozen; None: a copy of the student as it is now.
        label_share: where there is a label, it has this share of the target, the teacher's answer
            the rest.
        feature_weight: of the features' squared distance, in units of their variance.
        passes: how many calls make a step.
        bfloat16: compute both networks in it.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        label_share: float,
        feature_weight: float,
        passes: int = 1,
        bfloat16: bool = False,
    ) -> None:
        super().__init__()
        self.student = student.eval().requires_grad_(True)
        self.teacher = (teacher or copy.deepcopy(student)).eval().requires_grad_(False)
        self.label_share, self.feature_weight, self.passes = label_share, feature_weight, passes
        self.in_bfloat16 = bfloat16

    def train(self, mode: bool = True) -> "Distillation":
        """Both networks stay in evaluation mode."""
        return super().train(False)

    def forward(self, prefixes: Tensor, clean: Tensor, labels: Tensor) -> Losses:
        """
        Args:
            prefixes, clean: (N, 3, H, W), normalised as the network wants it.
            labels: (N,) int64, or NO_LABEL.
        """
        with torch.autocast(prefixes.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            features, logits = _both(self.student, prefixes)
            with torch.no_grad():
                wanted_features, wanted_logits = _both(self.teacher, clean)
        target = F.softmax(wanted_logits, 1)
        known = labels != NO_LABEL
        share = self.label_share * known.float()[:, None]
        hard = F.one_hot(labels.clamp_min(0), target.shape[1]).float()
        target = (1 - share) * target + share * hard
        entropy = -(target * target.clamp_min(1e-9).log()).sum(1)
        answer = -(target * F.log_softmax(logits, 1)).sum(1) - entropy
        distance = (features - wanted_features).square().mean(1) / wanted_features.var(0).mean()
        loss = (answer + self.feature_weight * distance).mean()
        agreement = (logits.argmax(1) == wanted_logits.argmax(1)).float()
        measured = {
            "loss": loss.detach(), "answer": answer.detach(), "features": distance.detach(),
            "agreement": agreement,
        }  # fmt: skip
        return Losses(loss / self.passes, loss.detach(), measured)


def _both(network: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, C) before the last layer, and logits, both float32."""
    x = network.forward_features(x)
    features = network.forward_head(x, pre_logits=True)
    return features.float(), network.forward_head(x).float()
