"""The tree as one picture, for a person to judge: groups from left to right, and some classes of each last group."""

import io
import textwrap

from progcodec.errors import ProgcodecError
from progcodec.hierarchy.hierarchy import Hierarchy, Node

COLOURS = (
    "#4e79a7",
    "#59a14f",
    "#b07aa1",
    "#9c755f",
    "#c8702a",
    "#3f8f8b",
    "#a08a1c",
    "#6b6b6b",
    "#c8102e",
    "#7a5fc0",
)
COLUMN = 3.4
"""Inches a level."""
WRAP = 28
"""Characters a line of a group's label."""
EXAMPLES = 90
"""Characters of class names beside a last group."""


def plot(hierarchy: Hierarchy) -> bytes:
    """A PNG file, one line of text for each group of the last level."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ProgcodecError(
            f"plots need an extra: pip install 'progcodec[hierarchy]' ({error})"
        ) from error

    last = len(hierarchy.levels) - 1
    place: dict[Node, float] = {}
    rows = 0.0

    def visit(node: Node) -> float:
        nonlocal rows
        if node.level == last:
            place[node] = rows
            rows += 1
        else:
            below = [visit(child) for child in hierarchy.children(node)]
            place[node] = (below[0] + below[-1]) / 2
            rows += 0.6  # air between families
        return place[node]

    for index in range(hierarchy.sizes[0]):
        visit(Node(0, index))

    width, height = COLUMN * (last + 1) + 6.5, 0.17 * rows + 0.6
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_xlim(0, width)
    axes.set_ylim(rows, -1)
    axes.axis("off")
    for node, y in place.items():
        members = hierarchy.members(node)
        colour = COLOURS[hierarchy.ancestors(members[0])[0] % len(COLOURS)]
        x = COLUMN * node.level
        weight = "bold" if node.level < last else "normal"
        label = f"{hierarchy.name(node)} ({len(members)})"
        lines = (
            textwrap.wrap(label, WRAP) if node.level < last else [label]
        )  # a last group has one line of height
        text = axes.text(x + 0.08, y, "\n".join(lines), color=colour, weight=weight)
        text.set(fontsize=9 if node.level == last else 11, va="center", parse_math=False)
        if node.level < last:
            start = x + 0.17 + 0.092 * max(map(len, lines))
            bend, end = x + COLUMN - 0.35, x + COLUMN
            for child in hierarchy.children(node):
                axes.plot(
                    [min(start, bend), bend, bend, end],
                    [y, y, place[child], place[child]],
                    color=colour,
                    lw=0.7,
                )
        else:
            names = ", ".join(hierarchy.classes[member].name for member in members)
            short = names if len(names) <= EXAMPLES else names[:EXAMPLES].rpartition(",")[0] + " …"
            axes.text(
                x + COLUMN, y, short, fontsize=7.5, color="#555555", va="center", parse_math=False
            )
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
