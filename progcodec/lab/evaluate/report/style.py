"""Colours and the style sheet. Every codec keeps its colour in every figure, in the light and in the dark."""

from collections.abc import Iterable
from typing import NamedTuple


class Look(NamedTuple):
    """How one codec is drawn. Marker and dash repeat what the colour says, for eyes and printers that see none."""

    light: str
    dark: str
    marker: str
    dash: str


INK, FAINT, PAPER = "#1c2126", "#d9dde1", "#ffffff"
"""Text and axes, grid lines, and what stands behind both, in the figures' files."""

_OURS = Look("#c22b17", "#ff7a5c", "o", "-")
_KNOWN = {
    "JPEG": Look("#6b7075", "#a9afb5", "s", "-"),
    "JPEG progressive": Look("#6b7076", "#a9afb6", "v", "--"),
    "JPEG 2000": Look("#0069b4", "#62b4f5", "^", "-"),
    "WebP": Look("#a03078", "#e88cc4", "D", "-"),
    "AVIF": Look("#008470", "#3cc9b0", "P", "-"),
    "JPEG XL": Look("#a87400", "#e8b83a", "X", "-"),
    "bmshj2018-hyperprior": Look("#8a6d3b", "#d3b98a", "<", "-."),
    "mbt2018-mean": Look("#4d7c8a", "#9cc8d6", ">", "-."),
    "cheng2020-anchor": Look("#7b5ea7", "#bfa8e6", "p", "-."),
    "BPG 4:4:4": Look("#8c564b", "#d9a89e", "h", "-."),
    "VTM (VVC intra)": Look("#5a6e2f", "#b9cf86", "d", "-."),
}
_OTHERS = (
    Look("#3b8fc2", "#8fd0f5", "<", "-."),
    Look("#7a5230", "#c9a184", ">", "-."),
    Look("#5b4bb5", "#aaa0f5", "p", "-."),
    Look("#5f7a10", "#b3cc5c", "h", "-."),
    Look("#b5476a", "#f59ab5", "*", "-."),
    Look("#33646e", "#8fc0ca", "d", "-."),
)


def looks(names: Iterable[str], ours: Iterable[str]) -> dict[str, Look]:
    """A look for every codec: ours, the known ones theirs, and the others one each, in the order of their names."""
    own, result = sorted(set(ours)), {}
    for index, name in enumerate(own):
        result[name] = (
            _OURS if index == 0 else _OTHERS[(index - 1) % len(_OTHERS)]._replace(dash="-")
        )
    unknown = sorted(set(names) - set(_KNOWN) - set(own))
    result |= {
        name: _OTHERS[(index + len(own) - 1) % len(_OTHERS)] for index, name in enumerate(unknown)
    }
    return {**_KNOWN, **result}


def variables(table: dict[str, Look]) -> str:
    """Custom properties ``--c0``, ``--c1`` … in the order of the table, for the light and for the dark scheme."""
    light = "".join(f"--c{index}:{look.light};" for index, look in enumerate(table.values()))
    dark = "".join(f"--c{index}:{look.dark};" for index, look in enumerate(table.values()))
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def follow_scheme(svg: str, table: dict[str, Look]) -> str:
    """The same drawing with its fixed colours replaced by the page's properties, so that it follows the scheme."""
    for fixed, name in ((INK, "ink"), (FAINT, "line"), (PAPER, "paper")):
        svg = svg.replace(fixed, f"var(--{name})")
    for index, look in enumerate(table.values()):
        svg = svg.replace(look.light, f"var(--c{index})")
    return svg


SHEET = """
:root{color-scheme:light dark;--paper:#ffffff;--ink:#1c2126;--soft:#59626b;--line:#d9dde1;--tint:#f4f6f8;--mark:#fdf3dc;
--ours:#c22b17;--warn:#b07900}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e9ec;--soft:#a3abb3;--line:#363c42;--tint:#1e2327;
--mark:#352b16;--ours:#ff7a5c;
--warn:#e8b83a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
main{max-width:1120px;margin:0 auto;padding:1.25rem 1rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:.5rem 0 .75rem}
h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.75rem 0 .4rem}
p,ul,dl{max-width:46rem}
p{margin:.5rem 0}
.soft,figcaption{color:var(--soft);font-size:.875rem}
nav{font-size:.9rem}nav a{margin-right:.9rem;white-space:nowrap}
a{color:inherit;text-underline-offset:.15em}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--ours);outline-offset:2px}
ul.verdict{list-style:none;margin:.75rem 0;padding:0}
ul.verdict li{margin:.35rem 0;padding:.45rem .75rem;border-left:4px solid var(--line);background:var(--tint)}
ul.verdict li.ahead{border-color:var(--ours)}
ul.verdict li.behind{border-color:var(--warn);background:var(--mark)}
dl{display:grid;grid-template-columns:minmax(7rem,11rem) minmax(0,1fr);gap:.25rem .9rem;margin:.75rem 0}
dt{color:var(--soft)}dd{margin:0;min-width:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0 1rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
p.caption{margin:1rem 0 0;font-weight:600;font-size:.95rem}
th,td{padding:.3rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child{text-align:left;padding-left:0;position:sticky;left:0;background:var(--paper)}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:400}
tr.ours th,tr.ours td{font-weight:650}
tr.ours th::before{content:"";display:inline-block;width:.6em;height:.6em;border-radius:50%;background:var(--ours);margin-right:.45em}
td .note{display:block;color:var(--soft);font-size:.78rem;font-weight:400}
td.best{background:var(--tint)}
td.best>.value{text-decoration:underline;text-decoration-thickness:2px;text-underline-offset:.2em}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1.25rem 1.5rem;margin:1rem 0}
figure{margin:0;min-width:0}
figure svg{display:block;width:100%;height:auto;max-width:36rem}
figcaption{margin:.15rem 0 .4rem;color:var(--ink);font-weight:600;font-size:.95rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(46%,7.4rem),1fr));gap:.7rem;margin:.5rem 0 1.1rem}
.tile{font-size:.8rem;line-height:1.35;min-width:0}
.tile img,.tile .none{display:block;width:100%;aspect-ratio:1;object-fit:contain;border-radius:3px;background:var(--tint)}
.tile.ours img{outline:3px solid var(--ours)}
.tile .none{display:flex;align-items:center;justify-content:center;color:var(--soft);border:1px dashed var(--soft)}
.tile b{display:block;margin-top:.3rem;font-weight:600}
.tile.ours b{color:var(--ours)}
.tile .soft{display:block;font-size:.75rem}
.right,.wrong,.said{display:block;padding-left:1em;text-indent:-1em}.wrong{color:var(--soft)}
.right::before{content:"✓ "}.wrong::before{content:"✗ "}
.budget{font-size:.9rem;font-weight:600;margin:.9rem 0 .2rem}
details{border-top:1px solid var(--line);padding:.35rem 0}
summary{cursor:pointer;font-weight:600;padding:.25rem 0}
@media (max-width:480px){th,td{padding:.3rem .45rem}.scroll{font-size:.95em}body{font-size:15px}h1{font-size:1.45rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{details:not([open])>*{display:block}.scroll{overflow:visible}h2{break-after:avoid}.tile,figure{break-inside:avoid}}
"""
