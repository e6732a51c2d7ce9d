"""``hierarchy build`` and ``hierarchy show``: thin shells over ``progcodec.hierarchy_build`` and ``hierarchy``."""

import json
from typing import TYPE_CHECKING, Any

import click

from progcodec.cli import options
from progcodec.cli.batch import say
from progcodec.cli.files import check_writable, show, write_bytes
from progcodec.errors import HierarchyError

if TYPE_CHECKING:
    from progcodec.hierarchy import Hierarchy, Node


def _sizes(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            "must be whole numbers with commas between them, as 10,100."
        ) from None


@click.group("hierarchy", short_help="The class hierarchy: show it, build one.")
def hierarchy_command() -> None:
    """The class hierarchy: named groups of classes, in levels that nest.

    \b
    Examples:
      progcodec hierarchy show
      progcodec hierarchy build --help
    """


@hierarchy_command.command("build", short_help="Make a hierarchy from text embeddings.")
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
    help="Starts of each k-means.",
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
    """Group classes by the embeddings of their names: k-means from the top down, so that levels nest.

    Needs the `hierarchy` extra. Groups are named after WordNet ancestors where every class has a WordNet id, after
    their most central classes otherwise. The same input and seed give the same bytes.

    \b
    Examples:
      progcodec hierarchy build --classes hierarchy_data/imagenet1k_classes.csv --embeddings text.npy -o mine.json
      progcodec hierarchy build --classes names.csv --clip ViT-B-32 --template "a photo of a {}" --sizes 5,20 -o my.json
    """
    if (given["embeddings"] is None) == (given["clip"] is None):
        raise click.UsageError("give one of --embeddings and --clip.")
    check_writable(out, force)
    from progcodec.hierarchy_build import sources
    from progcodec.hierarchy_build.build import build
    from progcodec.hierarchy_build.clustering import check_sizes
    from progcodec.wordnet import Taxonomy

    classes = sources.read_classes(class_file)
    check_sizes(sizes, len(classes))
    wnids = [leaf.wnid for leaf in classes if leaf.wnid]
    taxonomy = None
    if wnids:
        taxonomy = Taxonomy.from_dictionary(wordnet, wnids) if wordnet else Taxonomy.load()
        for wnid in wnids:
            taxonomy.above(wnid)  # what is missing is told before the work
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
        f"wrote {show(out)}  {' › '.join(map(str, made.sizes))} groups of {len(made.classes)} classes"
    )


@hierarchy_command.command("show", short_help="Print the tree, a group, or a class's path.")
@click.argument("name", metavar="[CLASS|CLUSTER]", required=False)
@click.option(
    "--file",
    metavar="FILE",
    shell_complete=options.file_names,
    help="A hierarchy of your own, instead of the shipped one.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option(
    "--plot",
    metavar="FILE.png",
    shell_complete=options.file_names,
    help="Also draw the whole tree.",
)
@options.force
def show_command(
    name: str | None, file: str | None, form: str, plot: str | None, force: bool
) -> None:
    """Print the tree and its quality, one group with its classes, or the path of one class.

    CLASS is a class's name or WordNet id, CLUSTER a group's name.

    \b
    Examples:
      progcodec hierarchy show
      progcodec hierarchy show vulture
      progcodec hierarchy show --plot tree.png
    """
    if plot is not None:
        check_writable(plot, force)
    from progcodec.hierarchy import Hierarchy, Node
    from progcodec.hierarchy_build.quality import table

    tree = Hierarchy.load(file)
    nodes = [Node(0, index) for index in range(tree.sizes[0])] if name is None else tree.find(name)
    if form == "json":
        content: dict[str, Any] = {"nodes": [_record(tree, node) for node in nodes]}
        if name is None:
            content |= tree.about
        say(json.dumps(content, ensure_ascii=False))
    else:
        for node in nodes:
            for line in _lines(tree, node, classes=name is not None):
                say(line)
        if name is None and "quality" in tree.about:
            try:
                lines = table(tree.about["quality"])
            except (KeyError, TypeError, ValueError) as error:
                raise HierarchyError("the quality stored in this file cannot be read") from error
            say("\n" + "\n".join(lines))
    if plot is not None:
        from progcodec.hierarchy_build.plot import plot as draw

        write_bytes(plot, draw(tree), force)
        say(f"wrote {show(plot)}", to_stderr=form == "json" or plot == "-")


def _lines(tree: "Hierarchy", node: "Node", classes: bool, indent: int = 0) -> list[str]:
    members = tree.members(node)
    if node.level == len(tree.levels):
        wnid = tree.classes[node.index].wnid
        return [" › ".join(tree.path(node)) + (f"  ({wnid})" if wnid else "")]
    label = tree.name(node) if indent else " › ".join(tree.path(node))
    lines = [f"{'  ' * indent}{label}  {len(members)}"]
    if node.level < len(tree.levels) - 1:
        for child in tree.children(node):
            lines += _lines(tree, child, classes, indent + 1)
    elif classes:
        lines.append(
            "  " * (indent + 1) + ", ".join(tree.classes[member].name for member in members)
        )
    return lines


def _record(tree: "Hierarchy", node: "Node") -> dict[str, Any]:
    record: dict[str, Any] = {
        "level": tree.level_names[node.level],
        "name": tree.name(node),
        "path": tree.path(node),
    }
    if node.level == len(tree.levels):
        return record | {"index": node.index, "wnid": tree.classes[node.index].wnid}
    below = [_record(tree, child) for child in tree.children(node)]
    return record | {"classes": len(tree.members(node)), "below": below}
