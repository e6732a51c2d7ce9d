"""Small pieces of HTML: tables that scroll inside themselves, lists, figures."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from progcodec.lab.evaluate.report.verdict import Sentence

NOTHING = "–"
"""Stands where there is no number."""


class Cell(NamedTuple):
    """Text, a smaller second line, and whether it is the best of its column."""

    text: str
    note: str = ""
    best: bool = False


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[tuple[str, Sequence[Cell], bool]],
    empty: str = "",
) -> str:
    """A table in a box of its own that scrolls sideways. A row is its name, its cells, and whether it is ours."""
    body = "".join(
        f'<tr{css_class("ours" if ours else "")}><th scope="row">{escape(name)}</th>{"".join(map(_cell, cells))}</tr>'
        for name, cells, ours in rows
    )
    if not body:
        return f'<p class="soft">{escape(empty)}</p>'
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    # a box that scrolls must be reachable by keyboard, and then it needs a name
    return (
        f'<p class="caption">{escape(caption)}</p><div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    note = f'<span class="note">{escape(cell.note)}</span>' if cell.note else ""
    best = css_class("best" if cell.best else "")
    return f'<td{best}><span class="value">{escape(cell.text)}</span>{note}</td>'


def css_class(name: str) -> str:
    return f' class="{name}"' if name else ""


def sentences(items: Iterable[Sentence]) -> str:
    lines = "".join(
        f'<li class="{item.standing}"><b>{escape(item.head)}</b> {escape(item.text)}</li>'
        for item in items
    )
    return f'<ul class="verdict">{lines}</ul>' if lines else ""


def terms(items: Iterable[tuple[str, str]]) -> str:
    return (
        "<dl>"
        + "".join(f"<dt>{escape(term)}</dt><dd>{escape(value)}</dd>" for term, value in items)
        + "</dl>"
    )


def figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>"


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def decimal(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """Milliseconds with three significant digits or so."""
    if seconds is None:
        return NOTHING
    milliseconds = 1000 * seconds
    return f"{milliseconds:,.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
