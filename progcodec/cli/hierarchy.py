"""``hierarchy show``: a thin shell over ``progcodec.hierarchy``."""

import json
from typing import TYPE_CHECKING, Any

import click

from progcodec.cli import options
from progcodec.cli.files import check_writable, show, write_bytes
from progcodec.cli.laboratory import LazyGroup, commands
from progcodec.cli.messages import say
from progcodec.errors import HierarchyError

if TYPE_CHECKING:
    from progcodec.hierarchy.hierarchy import Hierarchy, Node


@click.group(
    "hierarchy",
    cls=LazyGroup,
    places=commands("hierarchy"),
    short_help="The class hierarchy: show it, build one.",
)
def hierarchy_command() -> None:
    """The class hierarchy: named groups of classes, in levels that nest.

    \b
    Examples:
      progcodec hierarchy show
      progcodec hierarchy build --help
    """


@hierarchy_command.command("show", short_help="Print the tree, a group, or a class's path.")
@click.argument("name", metavar="[CLASS|CLUSTER]", required=False)
@click.option(
    "--file",
    metavar="FILE",
    shell_complete=options.file_names,
    help="A hierarchy of your own, instead of the shipped one.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
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
    from progcodec.hierarchy.hierarchy import Hierarchy, Node
    from progcodec.hierarchy.quality import table

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
        from progcodec.hierarchy.plot import plot as draw

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
