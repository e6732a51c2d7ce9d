"""``hierarchy build``: a thin shell over ``progcodec.lab.hierarchy_build``."""

from typing import Any

import click

from progcodec.cli.files import check_writable, show, write_bytes
from progcodec.cli.messages import say
from progcodec.lab.commands import options


@click.command("build", short_help="Make a hierarchy from text embeddings.")
@options.named_file(
    "--classes", "class_file", required=True, help="CSV: a class name, or name,wnid, a line."
)
@options.named_file(
    "--embeddings",
    metavar="FILE.npy",
    help="An embedding for each class, in the same order.",
)
@click.option(
    "--clip",
    metavar="MODEL",
    help="Embed the names with this CLIP model of open_clip, as ViT-B-32.",
)
@click.option("--pretrained", metavar="TAG|FILE", default="openai", help='Its weights, or "none".')
@click.option(
    "--template", "templates", multiple=True, metavar="TEXT", help="A sentence with {}; repeatable."
)
@click.option("--sizes", default="10,100", callback=options.numbers, help="Groups at each level.")
@click.option("--seed", type=click.IntRange(min=0, max=2**31), default=0, help="Seed of k-means.")
@click.option(
    "--restarts",
    type=options.WHOLE,
    default=400,
    help="Most starts of each k-means; few classes need fewer.",
)
@options.named_file(
    "--wordnet",
    metavar="FOLDER",
    help="WordNet's dictionary files, for ids that are not ImageNet's.",
)
@click.option(
    "--source", metavar="TEXT", help="What the embeddings are, for the file's provenance."
)
@options.out("The hierarchy (.json).")
@options.force
def build_command(
    class_file: str, sizes: tuple[int, ...], out: str, force: bool, **given: Any
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
        folder = given["wordnet"]
        taxonomy = read_dictionary(folder, wnids) if folder else Taxonomy.load()
        for wnid in wnids:
            taxonomy.above(wnid)  # errors before the work
    if given["embeddings"] is not None:
        embeddings = sources.read_embeddings(given["embeddings"], len(classes))
        source = "a file of embeddings"
    else:
        model, weights = given["clip"], given["pretrained"]
        templates = given["templates"] or (sources.TEMPLATE,)
        embeddings = sources.clip_embeddings(
            [leaf.name for leaf in classes],
            model,
            None if weights == "none" else weights,
            templates,
        )
        source = f"CLIP {model} ({weights}), text: {'; '.join(templates)}"
    source, seed = given["source"] or source, given["seed"]
    made = build(embeddings, classes, sizes, seed, source, taxonomy, given["restarts"])
    write_bytes(out, made.to_json().encode(), force)
    groups = " › ".join(map(str, made.sizes))
    say(f"wrote {show(out)}  {groups} groups of {len(made.classes)} classes")
