"""The page itself: one HTML file that needs nothing else, no script among it."""

from collections.abc import Mapping, Sequence
from html import escape

from progcodec.lab.evaluate.report import markup, paper, tables
from progcodec.lab.evaluate.report.pictures import Comparison, Tile
from progcodec.lab.evaluate.report.plots import RIVALS, Plot
from progcodec.lab.evaluate.report.study import BEST, CUT, Facts, Study
from progcodec.lab.evaluate.report.style import SHEET, Look, follow_scheme, variables
from progcodec.lab.evaluate.report.verdict import AHEAD, BEHIND, at_equal_bytes, headline, torn

TITLE = "progcodec: accuracy against bytes"


def page(
    studies: Sequence[Study],
    facts: Facts,
    plots: Mapping[str, Sequence[Plot]],
    looks: dict[str, Look],
    comparisons: Sequence[Comparison] = (),
    teachers: frozenset[str] | None = None,
) -> str:
    """The whole document. The first study leads; others follow it.

    Args:
        plots: of each study, by its classifier's name; and those of the paper's figures, as ``paper.PREFIX``.
        teachers: see ``paper.teachers``.
    """
    first, *others = studies
    sections = [
        ("result", "Result", _result(first)),
        ("measured", "What was measured", markup.terms(facts.lines)),
        (
            "curves",
            "Best setting within the budget",
            _curves(first, plots[first.classifier], looks),
        ),
        ("torn", "Cut at the budget", _torn(first, plots[first.classifier], looks)),
        ("pictures", "Pictures at equal bytes", _pictures(comparisons)),
        ("time", "Time", _time(first, plots[first.classifier], looks)),
        ("tables", "Every budget", _every_budget(first)),
        ("rivals", "Rivals on our own transform", _rivals(first, plots[first.classifier], looks)),
        *(
            (
                f"judge-{number}",
                f"Judged by {study.classifier}",
                _other(study, plots[study.classifier], looks),
            )
            for number, study in enumerate(others, 2)
        ),
        ("paper", "As in the paper", _paper(studies, teachers, plots.get(paper.PREFIX, ()), looks)),
        ("licence", "Licence", f"<p>{escape(facts.licence)}</p>" if facts.licence else ""),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{escape(title)}</a> ' for name, title, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{escape(title)}</h2>{html}</section>'
        for name, title, html in sections
    )
    body = body.replace(" %", "\N{NO-BREAK SPACE}%")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        # an empty icon, so that no browser asks for one
        f'<link rel="icon" href="data:,"><title>{escape(TITLE)}</title><style>{SHEET}{variables(looks)}</style></head>\n'
        f"<body><main><header><h1>{escape(TITLE)}</h1><p>{escape(lead(first))}</p></header>"
        f"<nav>{links}</nav>\n{body}</main></body></html>\n"
    )


def _paper(
    studies: Sequence[Study],
    teachers: frozenset[str] | None,
    plots: Sequence[Plot],
    looks: dict[str, Look],
) -> str:
    drawn = "".join(markup.figure(plot.title, follow_scheme(plot.svg, looks)) for plot in plots)
    return paper.section(studies, teachers, f'<div class="figures">{drawn}</div>' if drawn else "")


def lead(study: Study) -> str:
    """The first lines: how it stands, counted from the sentences that follow."""
    found = headline(study)
    standings = [sentence.standing for sentence in found]
    start = (
        f"How few bytes of a picture are enough for a classifier ({study.classifier}) to name its class, at three levels, over "
        f"{study.images:,} images. The one number for each level: the bytes to reach {100 * study.target:.0f} % of the accuracy "
        "on the uncompressed images. "
    )
    if not study.labelled:
        start += "No image has a label: agreement with the classifier's answer on the uncompressed image stands for accuracy. "
    if not study.sees_clean:
        start += (
            "This classifier never saw the uncompressed images: our whole files stand for them. "
        )
    if len(found) == 1:
        return f"{start}{found[0].head} {found[0].text}"
    won, lost = standings.count(AHEAD), standings.count(BEHIND)
    return (
        start
        + f"Of {len(found)} levels, progcodec wins at {won} and a peer wins at {lost}"
        + ("." if won + lost == len(found) else f"; at {len(found) - won - lost} neither does.")
    )


def _result(study: Study) -> str:
    return markup.sentences(headline(study)) + tables.bytes_to_target(study, BEST) + _clean(study)


def _clean(study: Study) -> str:
    if not study.clean:
        return ""
    shares = ", ".join(f"{level} {markup.percent(value)}" for level, value in study.clean.items())
    return f'<p class="soft">Accuracy on the uncompressed images: {escape(shares)}.</p>'


def _figures(plots: Sequence[Plot], mode: str, looks: dict[str, Look]) -> str:
    chosen = [plot for plot in plots if f"-{mode}" in plot.name]
    figures = "".join(
        markup.figure(plot.title.rsplit(", ", 1)[0], follow_scheme(plot.svg, looks))
        for plot in chosen
    )
    return f'<div class="figures">{figures}</div>' if figures else ""


_BAND = "The band is the 95 % bootstrap interval over images of ours; the intervals of all are in the tables below."


def _curves(study: Study, plots: Sequence[Plot], looks: dict[str, Look]) -> str:
    intro = (
        "A clever sender who knows the budget takes, of each peer, the file of the highest PSNR that fits, at the downscale that "
        f"serves best on average over the set. Ours is one file, cut. {_BAND}"
    )
    return f"<p>{escape(intro)}</p>{markup.sentences(at_equal_bytes(study))}{_figures(plots, BEST, looks)}{tables.psnr(study, BEST)}{tables.deltas(study)}"


def _torn(study: Study, plots: Sequence[Plot], looks: dict[str, Look]) -> str:
    intro = (
        "A torn transfer: of each codec, one file, and only its first bytes arrive. What does not decode counts as no answer; "
        "PSNR is drawn where all images decode."
    )
    if not study.of("peer", CUT):
        return ""
    words = f"<p>{escape(intro)}</p>{markup.sentences(torn(study))}"
    return words + tables.bytes_to_target(study, CUT) + _figures(plots, CUT, looks)


def _time(study: Study, plots: Sequence[Plot], looks: dict[str, Look]) -> str:
    figures = _figures(
        [plot._replace(name="time-x") for plot in plots if plot.name.startswith("time")], "x", looks
    )
    note = '<p class="soft">Whole files at full size, of peers in the middle of their settings. Of the machine that measured: compare within this table only.</p>'
    return figures + tables.times(study) + note if figures else ""


def _every_budget(study: Study) -> str:
    def both(budget: int) -> str:
        modes = (BEST, CUT) if study.of("peer", CUT) else (BEST,)
        return "".join(tables.budget_table(study, budget, mode) for mode in modes)

    parts = (
        f"<details{' open' if index == 0 else ''}><summary>{budget:,} bytes</summary>{both(budget)}</details>"
        for index, budget in enumerate(study.budgets)
    )
    note = "Free argmax at each level; below each share its 95 % bootstrap interval over images. The best share is underlined."
    return f'<p class="soft">{note}</p>' + "".join(parts)


def _rivals(study: Study, plots: Sequence[Plot], looks: dict[str, Look]) -> str:
    if not study.of("rival"):
        return ""
    note = (
        "Other progressive schemes over the same latent of the same checkpoint, as real coded bytes cut at the budget: what "
        "differs is the scheme, not the training. Their streams carry no checksums; our file has up to 16 bytes of them. The "
        "best of each column is underlined."
    )
    return f"<p>{escape(note)}</p>{_figures(plots, RIVALS, looks)}{tables.rivals(study)}"


def _other(study: Study, plots: Sequence[Plot], looks: dict[str, Look]) -> str:
    tail = _every_budget(study).replace("<details open>", "<details>")
    return (
        _result(study)
        + markup.sentences(at_equal_bytes(study))
        + _figures(plots, BEST, looks)
        + tail
    )


# --- pictures -------------------------------------------------------------------------------------------------------------


def _pictures(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    intro = (
        "Each codec within the same bytes: ours cut there; of every peer the quality and downscale with the highest PSNR that fit. "
        "Below each picture the classifier's first answer at each level, right (✓) or wrong (✗), and the bytes it took. The images "
        "are drawn by lot."
    )
    return f"<p>{escape(intro)}</p>" + "".join(map(_comparison, comparisons))


def _comparison(one: Comparison) -> str:
    # the original stands in every row: what one compares with must be in sight
    original = _tile(one.original, one, None)
    rows = "".join(
        f'<p class="budget">{budget:,} bytes</p>'
        f'<div class="tiles">{original}{"".join(_tile(tile, one, budget) for tile in tiles)}</div>'
        for budget, tiles in one.rows
    )
    title = (
        f'{escape(one.label)} <span class="soft">{escape(one.subject)}</span>'
        if one.label
        else escape(one.subject)
    )
    return f"<h3>{title}</h3>{rows}"


def _tile(tile: Tile, one: Comparison, budget: int | None) -> str:
    what = one.label or one.subject
    if tile.uri is None:
        picture = '<div class="none">no answer</div>'
    else:
        place = f" at {budget:,} bytes" if budget is not None else ""
        picture = (
            f'<img src="{tile.uri}" alt="{escape(f"{what}, {tile.codec}{place}")}" loading="lazy">'
        )
    marks = {True: "right", False: "wrong", None: "said"}
    answers = "".join(
        f'<span class="{marks[answer.right]}">{escape(answer.text)}</span>'
        for answer in tile.answers
    )
    parts = [
        *([f"{tile.bytes:,} B"] if tile.bytes is not None else []),
        *([tile.setting] if tile.setting else []),
    ]
    if tile.uri is None:
        parts = ["no file of it is this small"]
    spent = f'<span class="soft">{escape(", ".join(parts))}</span>' if parts else ""
    kind = "tile ours" if tile.ours else "tile"
    return f'<div class="{kind}">{picture}<b>{escape(tile.codec)}</b>{answers}{spent}</div>'
