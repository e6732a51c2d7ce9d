"""``python -m progcodec.lab.evaluate.rivals``: the comparison as a table."""

import sys
from typing import Any

import click

from progcodec.errors import ProgcodecError
from progcodec.lab.evaluate.rivals import RIVALS

HEADER_BYTES = 16


def _numbers(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    try:
        budgets = [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter("must be whole numbers with commas between.") from None
    if min(budgets) < HEADER_BYTES:
        raise click.BadParameter(f"{HEADER_BYTES} bytes are needed for the header.")
    return budgets


@click.command()
@click.option(
    "--images",
    multiple=True,
    required=True,
    metavar="PATH",
    help="Shard, folder, picture or glob; repeatable.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=6,
    show_default=True,
    help="At most so many pictures.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice of pictures.")
@click.option(
    "--budgets",
    default="200,400,800,1600,3200,6400",
    show_default=True,
    callback=_numbers,
    help="Bytes of a cut.",
)
@click.option(
    "--rivals", default=",".join(RIVALS), show_default=True, metavar="NAME,…", help="Which ones."
)
@click.option(
    "--model", metavar="NAME|FILE", help="A shipped checkpoint's name, or a checkpoint file."
)
@click.option(
    "--classifier",
    metavar="C",
    help="timm:NAME[@FILE] or torchvision:NAME[@FILE]: accuracy as well.",
)
def command(
    images: tuple[str, ...],
    limit: int,
    seed: int,
    budgets: list[int],
    classifier: str | None,
    **given: Any,
) -> None:
    """Code the latents of one checkpoint by several progressive schemes, and compare them at equal bytes.

    \b
    Example:
      python -m progcodec.lab.evaluate.rivals --images photos/ --budgets 400,1600,6400 --rivals plonq,progcodec
    """
    from progcodec.codec.codec import Codec
    from progcodec.hierarchy.hierarchy import Hierarchy
    from progcodec.lab.evaluate import rivals
    from progcodec.lab.evaluate.rivals.compare import accuracy_table, compare, psnr_table
    from progcodec.lab.evaluate.workload import load_samples

    chosen = rivals.rivals(given["rivals"].split(","))
    hierarchy = Hierarchy.load()
    samples = load_samples(images, hierarchy, limit=limit, seed=seed)
    predict, truth = _classifier(classifier, hierarchy, samples) if classifier else (None, None)
    codec = Codec.load(given["model"])
    results = list(compare(codec, chosen, samples, budgets, predict, truth))
    print(
        f"{len(samples)} pictures, model {codec.fingerprint.hex()}; bytes with header, without checksums\n"
    )
    print(psnr_table(results))
    if classifier:
        for level in range(len(hierarchy.levels) + 1):
            print("\n" + accuracy_table(results, level))


def _classifier(name: str, hierarchy: Any, samples: Any) -> tuple[Any, Any]:
    import numpy as np

    from progcodec.classification.classifier import Specification, check_fit
    from progcodec.classification.pixel import PixelClassifier
    from progcodec.classification.score import predictions
    from progcodec.errors import EvaluationError

    if unknown := [sample.name for sample in samples if sample.label is None]:
        raise EvaluationError(
            f"accuracy needs each picture's class; there is none for {unknown[0]}"
        )
    classifier = PixelClassifier.load(Specification.parse(name))
    check_fit(classifier, hierarchy)
    labels = np.array([sample.label for sample in samples])
    truth = np.concatenate((hierarchy.assignments[:, labels], labels[None])).T
    return lambda pictures: predictions(classifier.predict(pictures), hierarchy), truth


if __name__ == "__main__":
    try:
        command(prog_name="python -m progcodec.lab.evaluate.rivals")
    except (ProgcodecError, OSError) as error:
        print(f"progcodec: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
