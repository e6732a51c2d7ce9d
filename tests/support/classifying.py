"""A small class hierarchy, and a small classifier of its classes, for the tests of
classification.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf

TREE = Hierarchy(
    (
        (Cluster("bird", None), Cluster("instrument", None)),
        (Cluster("bird of prey", 0), Cluster("songbird", 0), Cluster("string", 1)),
    ),
    (
        Leaf("kite", "n01608432", 0),
        Leaf("vulture", "n01616318", 0),
        Leaf("jay", "n01580077", 1),
        Leaf("violin", "n04536866", 2),
        Leaf("cello", "n02992211", 2),
        Leaf("banjo", "n02787622", 2),
    ),
)
MODEL = "lcnet_035"
"""Of timm: small, and any size of picture will do."""


class Fixed:
    """A classifier that says of a latent what a function says: numbers that are made to sum to
    one.
    """

    name = "fixed <b>"

    def __init__(self, rule: Callable[[object], Sequence[float]], classes: int = 6) -> None:
        self.rule, self.classes = rule, classes

    def probabilities(self, codec: object, latents: Sequence[object]) -> np.ndarray:
        rows = np.array([self.rule(latent) for latent in latents], float)
        return rows / rows.sum(axis=1, keepdims=True)


def write_weights(path: Path) -> str:
    """Random weights of the model for the six classes, yet answers that depend on the picture.

    Returns the specification.
    """
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model(MODEL, num_classes=len(TREE.classes))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # a plain mean: without these statistics every picture would give the same answer
            module.momentum = None
    blobs = torch.nn.functional.interpolate(
        torch.randn(32, 3, 5, 5), size=(64, 64), mode="bilinear"
    )
    with torch.no_grad():
        model.train()(blobs)
        features = model.eval().forward_features(blobs).std()
        model.classifier.weight *= 3 / features
    save_file(model.state_dict(), str(path))
    return f"timm:{MODEL}?num_classes=6&input_size=64@{path}"
