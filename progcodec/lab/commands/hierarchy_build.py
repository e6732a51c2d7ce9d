"""``hierarchy build``: a thin shell over ``progcodec.lab.hierarchy_build``."""

from typing import Any

import click

from progcodec.cli import options
from progcodec.cli.files import check_writable, show, write_bytes
from progcodec.cli.messages import say


def _sizes(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            "must be whole numbers with commas between them, as 10,100."
        ) from None


@click.command("build", short_help="Make a hierarchy from text embeddings.")
@click.option(
    "--classes",
    "class_file",
    metavar="FILE",
    required=True,
    shell_complete=options.file_names,
    help="CSV: a class name, or name,wnid, a line.",
)
@click.option(
    "--embeddings",
    metavar="FILE.npy",
    shell_complete=options.file_names,
    help="An embedding for each class, in the same order.",
)
@click.option(
    "--clip",
    metavar="MODEL",
    help="Embed the names with this CLIP model of open_clip, as ViT-B-32.",
)
@click.option(
    "--pretrained",
    metavar="TAG|FILE",
    default="openai",
    show_default=True,
    help='Its weights, or "none".',
)
@click.option(
    "--template", "templates", multiple=True, metavar="TEXT", help="A sentence with {}; repeatable."
)
@click.option(
    "--sizes", default="10,100", show_default=True, callback=_sizes, help="Groups at each level."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**31),
    default=0,
    show_default=True,
    help="Seed of k-means.",
)
@click.option(
    "--restarts",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Most starts of each k-means; few classes need fewer.",
)
@click.option(
    "--wordnet",
    metavar="FOLDER",
    shell_complete=options.file_names,
    help="WordNet's dictionary files, for ids that are not ImageNet's.",
)
@click.option(
    "--source", metavar="TEXT", help="What the embeddings are, for the file's provenance."
)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    required=True,
    shell_complete=options.file_names,
    help="The hierarchy (.json).",
)
@options.force
def build_command(
    class_file: str,
    sizes: list[int],
    seed: int,
    restarts: int,
    wordnet: str | None,
    out: str,
    force: bool,
    **given: Any,
) -> None:
    """Group classes by the embeddings of their names: k-means from the top down, so that levels
    nest.

    Needs the `hierarchy` extra. Groups are named after WordNet ancestors where every class has a
    WordNet id, after their most central classes otherwise. The same input and seed give the same
    bytes.

    \b
    Examples:
      progcodec hierarchy build --classes imagenet1k_classes.csv --embeddings text.npy -o mine.json
      progcodec hierarchy build --classes names.csv --clip ViT-B-32 --sizes 5,20 -o my.json
    """
    if (given["embeddings"] is None) == (given["clip"] is None):
        raise click.UsageError("give one of --embeddings and --clip.")
    check_writable(out, force)
    from progcodec.hierarchy.wordnet import Taxonomy
    from progcodec.lab.hierarchy_build import sources
    from progcodec.lab.hierarchy_build.build import build
    from progcodec.lab.hierarchy_build.clustering import check_sizes
    from progcodec.lab.hierarchy_build.dictionary import read_dictionary

    classes = sources.read_classes(class_file)
    check_sizes(sizes, len(classes))
    wnids = [leaf.wnid for leaf in classes if leaf.wnid]
    taxonomy = None
    if wnids:
        taxonomy = read_dictionary(wordnet, wnids) if wordnet else Taxonomy.load()
        for wnid in wnids:
            taxonomy.above(wnid)  # errors before the work
    if given["embeddings"] is not None:
        embeddings = sources.read_embeddings(given["embeddings"], len(classes))
        source = given["source"] or "a file of embeddings"
    else:
        templates = given["templates"] or (sources.TEMPLATE,)
        pretrained = None if given["pretrained"] == "none" else given["pretrained"]
        embeddings = sources.clip_embeddings(
            [leaf.name for leaf in classes], given["clip"], pretrained, templates
        )
        source = (
            given["source"]
            or f"CLIP {given['clip']} ({given['pretrained']}), text: {'; '.join(templates)}"
        )
    made = build(embeddings, classes, sizes, seed, source, taxonomy, restarts)
    write_bytes(out, made.to_json().encode(), force)
    say(
        f"wrote {show(out)}  {' › '.join(map(str, made.sizes))} groups of {len(made.classes)} "
        "classes"
    )
