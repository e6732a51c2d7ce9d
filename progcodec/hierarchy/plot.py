"""The tree as one picture: groups from left to right, some classes of each last group."""

import io
import textwrap
from typing import TYPE_CHECKING

from progcodec.errors import ProgcodecError
from progcodec.hierarchy.hierarchy import Hierarchy, Node

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (
    "#4e79a7", "#59a14f", "#b07aa1", "#9c755f", "#c8702a",
    "#3f8f8b", "#a08a1c", "#6b6b6b", "#c8102e", "#7a5fc0",
)  # fmt: skip
GAP, BEND = 0.6, 0.3
"""Inches between a level's longest label and the next level, and where lines bend."""
WRAP = 28
"""Characters a line of a group's label."""
EXAMPLES = 90
"""Characters of class names beside a last group."""


def plot(hierarchy: Hierarchy) -> bytes:
    """A PNG file, one line of text for each group of the last level."""
    file = io.BytesIO()
    figure(hierarchy).savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def figure(hierarchy: Hierarchy) -> "Figure":
    """The picture that `plot` writes, with matplotlib's Agg canvas."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import TextPath
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

    fonts = [FontProperties(size=11, weight="bold")] * last + [FontProperties(size=9)]
    labels: dict[Node, list[str]] = {}
    wide: dict[Node, float] = {}
    for node in place:
        label = f"{hierarchy.name(node)} ({len(hierarchy.members(node))})"
        # A last group has one line of height.
        labels[node] = textwrap.wrap(label, WRAP) if node.level < last else [label]
        paths = [
            TextPath((0, 0), line.replace("$", r"\$"), prop=fonts[node.level])
            for line in labels[node]
        ]
        wide[node] = max(path.get_extents().width for path in paths) / 72
    columns = [0.15]
    for level in range(last + 1):
        columns.append(columns[-1] + GAP + max(wide[node] for node in place if node.level == level))

    width, height = columns[-1] + 6.5, 0.17 * rows + 0.6
    drawn = Figure(figsize=(width, height))
    FigureCanvasAgg(drawn)
    axes = drawn.add_axes((0, 0.01, 1, 0.98))  # a unit across is an inch
    axes.set_xlim(0, width)
    axes.set_ylim(rows, -1)
    axes.axis("off")
    for node, y in place.items():
        members = hierarchy.members(node)
        colour = COLOURS[hierarchy.ancestors(members[0])[0] % len(COLOURS)]
        x, end = columns[node.level : node.level + 2]
        text = axes.text(
            x, y, "\n".join(labels[node]), color=colour, fontproperties=fonts[node.level]
        )
        text.set(va="center", parse_math=False)
        if node.level < last:
            start, bend, end = x + wide[node] + 0.08, end - BEND, end - 0.08
            for child in hierarchy.children(node):
                down = place[child]
                axes.plot([start, bend, bend, end], [y, y, down, down], color=colour, lw=0.7)
        else:
            names = ", ".join(hierarchy.classes[member].name for member in members)
            short = names if len(names) <= EXAMPLES else names[:EXAMPLES].rpartition(",")[0] + " …"
            text = axes.text(end, y, short, fontsize=7.5, color="#555555", va="center")
            text.set_parse_math(False)
    return drawn
