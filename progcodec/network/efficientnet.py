"""EfficientNet-Lite0 (Tan & Le, 2019; the variant for weak machines): a classifier of pictures.

    picture ─ 3×3, halves ─ inverted bottlenecks (1/2 to 1/32) ─ 1×1 ─ mean ─ linear ─► logits

4.65 M parameters; 0.4 GMAC at 224 × 224 pixels. Batch normalisation is folded into the
convolutions: its statistics stay those of the pretraining. Methods are named as timm's: what trains
this network trains theirs.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.geometry import ceil_div
from progcodec.network.depthwise import Depthwise

NAME = "tf_efficientnet_lite0"
"""What timm calls it."""
STEM, HEAD = 32, 1280
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
"""Blocks, kernel, stride of the first block, expansion and channels of each stage."""


class Conv(nn.Conv2d):
    """Convolution padded as TensorFlow's "same": odd rows at the bottom, columns right."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        height, width = (
            max(0, (ceil_div(side, stride) - 1) * stride + kernel - side) for side in x.shape[2:]
        )
        edges = (width // 2, width - width // 2, height // 2, height - height // 2)
        return super().forward(F.pad(x, edges) if any(edges) else x)


class Bottleneck(nn.Module):
    """Expand, filter each channel, project; what comes in is added where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.expand = Conv(inputs, inner) if expansion > 1 else None
        self.spatial = (
            Depthwise(inner, kernel) if stride == 1 else Conv(inner, inner, kernel, stride, inner)
        )
        self.project = Conv(inner, outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.spatial(y)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """Logits (N, classes) of (N, 3, H, W): colours of 0 to 255, less 127, over 128."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = Conv(3, STEM, 3, 2)
        blocks, inputs = [], STEM
        for count, kernel, stride, expansion, outputs in STAGES:
            for number in range(count):
                blocks.append(
                    Bottleneck(inputs, outputs, kernel, 1 if number else stride, expansion)
                )
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Conv(inputs, HEAD)
        self.classifier = nn.Linear(HEAD, classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 1280, H/32, W/32)."""
        return F.relu6(self.head(self.blocks(F.relu6(self.stem(x)))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (N, classes) of what ``forward_features`` gives; or the features (N, 1280)."""
        x = x.mean((2, 3))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))
