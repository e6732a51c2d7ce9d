"""Progressive codecs that are not measured here as they are, and what of theirs is."""

from typing import NamedTuple


class Unmeasured(NamedTuple):
    name: str
    source: str
    measured: str
    missing: str


UNMEASURED = (
    Unmeasured(
        "LimitNet",
        "Hojjat et al., MobiSys 2024, arXiv 2504.13736",
        "Nothing of its own.",
        "It orders latents by a trained saliency branch and gradual scoring, on its own small encoder for microcontrollers; "
        "our latent has no saliency to sort by. Its authors publish weights (Zenodo), which do not come with this package.",
    ),
    Unmeasured(
        "DeepHQ",
        "Lee, Jeong and Kim, arXiv 2408.12150",
        "Hierarchical quantisation with handcrafted steps, which it improves on: tritplanes.",
        "Step sizes per channel and layer are learned, and so is which components a layer sends, on top of another, larger "
        "transform (TCM), in three phases of training. Its authors publish a checkpoint, which does not come with this package.",
    ),
    Unmeasured(
        "PICM-Net",
        "Kim, Kim and Lee, arXiv 2512.20070",
        "Its coding: trit-planes of q = round(y - μ) with ẑ's σ (tritplanes, sorted by expected distortion saved per bit).",
        "Its transform is trained for a classifier, its order of latents is chosen for machines, and its decoding controller, "
        "which stops when the classifier is sure enough, is a trained part. We know of no published weights.",
    ),
    Unmeasured(
        "CTC",
        "Jeon et al., CVPR 2023, arXiv 2303.05715",
        "The trit-planes that it starts from: tritplanes.",
        "Its context modules for rate and distortion, and the retrained decoder, are trained parts.",
    ),
)


def listed() -> str:
    """The table in Markdown."""
    from progcodec.evaluation.tables import markdown

    return markdown(
        ["not measured", "source", "what of it is measured", "what is not, and why"],
        [list(row) for row in UNMEASURED],
    )
