"""The HTML report: what it says follows from the numbers, it needs nothing but itself, and it reads well on a phone."""

import dataclasses
import re
import zlib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from progcodec.config import LEVELS
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate import measurements
from progcodec.lab.evaluate.measurements import CLEAN, CUT, LADDER, OURS, Measurement
from progcodec.lab.evaluate.report import paper, pictures, plots, style, verdict, write_report
from progcodec.lab.evaluate.report.pictures import Answer, Sender, Shown, Subject
from progcodec.lab.evaluate.report.reading import studies
from progcodec.lab.evaluate.report.spread import spread
from progcodec.lab.evaluate.report.study import BEST, Interval, Point, Series, Study
from tests.support.chromium import BROWSER, Chromium

BUDGETS = (200, 400, 800, 1600, 3200)
IMAGES = 24
JUDGE = "mobilenet<v2>#1a2b3c4d"
"""With characters that a page must escape."""

# --- rows made up of one number a codec: the bytes at which it is half as accurate as it will be ---------------------------


def rows(
    halves: dict[str, int], *, rivals: bool = False, images: int = IMAGES
) -> list[Measurement]:
    made = []
    for number in range(images):
        name = f"n0{number}/{number:03d}.jpg"
        made.append(row(name, number, CLEAN, CLEAN, None, 0))
        for codec, half in halves.items():
            if codec == OURS:
                made += [
                    row(name, number, codec, LADDER, None, 300 * 3**step, half, level)
                    for step, level in enumerate(LEVELS)
                ]
            else:
                made += [
                    row(
                        name,
                        number,
                        codec,
                        LADDER,
                        None,
                        int(size * scale),
                        int(half / scale**0.5),
                        f"{quality}",
                        scale,
                    )
                    for scale in (1.0, 0.5)
                    for quality, size in enumerate((150, 300, 600, 1200, 2400))
                ]
            for budget in BUDGETS:
                torn = codec == "AVIF"
                made.append(
                    row(
                        name,
                        number,
                        codec,
                        CUT,
                        budget,
                        budget - 3,
                        3 * half if codec != OURS else half,
                        torn=torn,
                    )
                )
        if rivals:
            made += [row(name, number, "plonq", CUT, budget, budget, 700) for budget in BUDGETS]
    return made


def row(
    name, number, codec, mode, budget, size, half=0, setting="", scale=1.0, torn=False
) -> Measurement:
    chance = zlib.crc32(name.encode()) % 997 / 997
    hits = [
        not torn and chance < top / (1 + (half * (1 + step) / max(size, 1)) ** 2)
        for step, top in enumerate((0.95, 0.9, 0.8))
    ]
    if codec == CLEAN:
        hits = [chance < top for top in (0.95, 0.9, 0.8)]
    coded = codec != CLEAN and not torn
    return Measurement(
        name, number, 227, 227, codec, "" if codec == CLEAN else f"{codec}-1.0", mode, setting, scale, budget, None, size,
        not torn, JUDGE, 0.5, 0.5, 0.5, *hits, 0.0 if torn else 0.4 + 0.6 * hits[2], *hits,
        18 + 3 * np.log2(max(size, 2) / half) if coded else None, 0.9 if coded else None,
        0.02 if coded else None, 0.01 if coded else None, f"{number:016x}", "abcdef01",
    )  # fmt: skip


def report(folder: Path, halves=None, shown=None, **options) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    halves = halves or {OURS: 250, "JPEG": 900, "AVIF": 450}
    measurements.write(folder / measurements.MEASUREMENTS, rows(halves, **options))
    return write_report(folder, shown).read_text("utf-8")


def comparisons():
    pixels = np.asarray(Image.linear_gradient("L").convert("RGB").resize((64, 48)))

    def cut(image, budgets):
        return [None, *(Shown(budget - 1, image) for budget in budgets[1:])]

    def reply(images, subject):
        return [[Answer("bird 0.9", True), Answer("kite 0.5", False)] for _ in images]

    senders = [
        Sender(OURS, cut, ours=True),
        Sender("JPEG", lambda image, budgets: [Shown(b, image, "at 5") for b in budgets]),
    ]
    subjects = [Subject("a.jpg", pixels, 'the "true" <class>', 3), Subject("b.jpg", pixels)]
    return pictures.compare(subjects, senders, (800, 200, 400), reply)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures cost a second or two; tests of words alone do without."""
    monkeypatch.setattr("progcodec.lab.evaluate.report.plots.draw_all", lambda *_: [])
    monkeypatch.setattr("progcodec.lab.evaluate.report.paper.draw", lambda *_: [])


class Structure(HTMLParser):
    """Tags with their attributes, the text, and whether every element is closed."""

    VOID = frozenset(("meta", "link", "img", "br", "use"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> tuple[Path, str, Structure]:
    """A report with everything: peers, a rival, pictures."""
    folder = tmp_path_factory.mktemp("report")
    html = report(folder, shown=comparisons(), rivals=True)
    return folder, html, Structure(html)


# --- the page ---------------------------------------------------------------------------------------------------------------


def test_it_needs_nothing_but_itself(full):
    _, html, page = full
    assert page.open == []
    assert not page.all("script")
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes
    assert "http:" not in html and "https:" not in html and "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert len(html) < 3_000_000


def test_ids_are_unique_and_links_lead_somewhere(full):
    _, html, page = full
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for attributes in page.all("a") + page.all("use")} | set(
        re.findall(r"url\(#([^)]+)\)", html)
    )
    assert targets and targets <= set(ids)


def test_every_picture_has_words(full):
    _, _, page = full
    images, drawings = page.all("img"), page.all("svg")
    assert len(images) == 2 * (3 * 3) - 2, (
        "original, ours and a peer in three rows; ours has nothing at the least budget"
    )
    assert all(
        image["alt"].strip() and image["src"].startswith("data:image/webp;base64,")
        for image in images
    )
    assert len(drawings) >= 11 and all(
        svg["role"] == "img" and len(svg["aria-label"]) > 40 for svg in drawings
    )
    assert page.text.count("no answer") >= 2


def test_tables_of_every_budget_level_and_codec(full):
    _, _, page = full
    for budget in BUDGETS:
        for words in ("best setting within the budget", "cut at the budget"):
            assert f"{budget:,} bytes, {words}" in page.text
    for name in (OURS, "JPEG", "AVIF", "PLONQ"):
        assert name in page.text
    assert len(page.all("details")) == len(BUDGETS)
    wide = [attributes for attributes in page.all("div") if attributes.get("class") == "scroll"]
    assert len(wide) == len(page.all("table")) and all(
        box["aria-label"] and box["tabindex"] == "0" for box in wide
    )


def test_what_was_measured_is_said(full):
    _, html, page = full
    assert f"{IMAGES}" in page.text and JUDGE in page.text and "mobilenet<v2>" not in html
    for fact in ("progcodec-1.0", "JPEG-1.0", "abcdef01", "227"):
        assert fact in page.text
    assert "non-commercial" in page.text
    assert "<class>" not in html and "the &quot;true&quot; &lt;class&gt;" in html


def test_plots_are_written_as_png_and_svg(full):
    folder, _, _ = full
    names = {path.name for path in (folder / "plots").iterdir()}
    stems = [f"accuracy-{level}-{mode}" for level in LEVELS for mode in (BEST, CUT, "rivals")]
    stems += ["wup-best", "wup-cut", "psnr-best", "psnr-cut", "time"]
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")} <= names
    assert all(Image.open(path).width > 600 for path in (folder / "plots").glob("*.png"))
    assert all(
        "http" not in path.read_text("utf-8").split("<defs>", 1)[1]
        for path in (folder / "plots").glob("*.svg")
    )


def test_the_same_measurements_give_the_same_bytes(full, tmp_path):
    folder, html, _ = full
    assert report(tmp_path, shown=comparisons(), rivals=True) == html
    for path in (folder / "plots").iterdir():
        assert (tmp_path / "plots" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_page_follows_the_measurements(full, tmp_path, undrawn):
    text = Structure(report(tmp_path, {OURS: 250, "JPEG": 100, "AVIF": 450})).text
    assert "JPEG wins." in text and "JPEG wins." not in full[2].text


def test_without_pictures_rivals_and_peers(tmp_path, undrawn):
    page = Structure(report(tmp_path, {OURS: 250}))
    assert "No peer was measured." in page.text and not page.all("img")
    assert "Rivals" not in page.text and "Pictures" not in page.text


def test_without_ours(tmp_path, undrawn):
    assert "Ours is missing." in Structure(report(tmp_path, {"JPEG": 900})).text


def test_nothing_to_report(tmp_path):
    with pytest.raises(EvaluationError, match="no measurements"):
        write_report(tmp_path)
    measurements.write(tmp_path / measurements.MEASUREMENTS, [])
    with pytest.raises(EvaluationError, match="no measurements"):
        write_report(tmp_path)


# --- who wins ----------------------------------------------------------------------------------------------------------------


def series(
    name: str,
    kind: str,
    bytes_to: dict,
    values: dict | None = None,
    psnr: float | None = 25.0,
    decoded=1.0,
) -> Series:
    values = values or {400: 0.5}
    points = tuple(
        Point(b, b, "", decoded, dict.fromkeys(LEVELS, Interval(v, v - 0.05, v + 0.05)), None, psnr)
        for b, v in values.items()
    )
    return Series(
        name, CUT if kind == "ours" else BEST, kind, points, {**dict.fromkeys(LEVELS), **bytes_to}
    )


def study(*all_series: Series) -> Study:
    return Study("judge", 8, dict.fromkeys(LEVELS, 0.8), all_series)


@pytest.mark.parametrize(
    ("mine", "theirs", "standing", "words"),
    [
        (500, 1000, "ahead", ["progcodec wins", "500 bytes", "AVIF, 1,000", "2.00 times as many"]),
        (1000, 500, "behind", ["AVIF wins", "ours is 2.00 times as many"]),
        (500, 504, "open", ["level"]),
        (None, 500, "behind", ["AVIF wins", "progcodec does not reach 90 %"]),
        (500, None, "ahead", ["progcodec wins", "no peer does"]),
        (None, None, "open", ["nobody wins"]),
    ],
)
def test_the_headline_names_the_winner(mine, theirs, standing, words):
    others = (
        series("AVIF", "peer", {"coarse": theirs}),
        series("JPEG", "peer", {"coarse": theirs and theirs + 9}),
    )
    first, *_ = verdict.headline(study(series(OURS, "ours", {"coarse": mine}), *others))
    assert first.standing == standing
    for part in ("Coarse:", *words):
        assert part in f"{first.head} {first.text}"


@pytest.mark.parametrize(
    ("span", "said"),
    [((450.0, 900.0), True), ((700.0, None), False), ((None, None), False), ((590.0, None), True)],
)
def test_a_win_within_the_intervals_is_told_as_such(span, said):
    mine = dataclasses.replace(
        series(OURS, "ours", {"coarse": 500}), spans={"coarse": (400.0, 600.0)}
    )
    other = dataclasses.replace(series("AVIF", "peer", {"coarse": 800}), spans={"coarse": span})
    assert ("The intervals overlap." in verdict.headline(study(mine, other))[0].text) is said


def test_a_peer_that_is_more_accurate_somewhere_is_named_with_its_budget():
    mine = series(OURS, "ours", {}, {400: 0.5, 800: 0.7, 1600: 0.8}, psnr=25)
    peer = series("WebP", "peer", {}, {400: 0.4, 800: 0.74, 1600: 0.95}, psnr=26.5)
    coarse, *_, psnr = verdict.at_equal_bytes(study(mine, peer))
    assert coarse.standing == "behind" and "400 bytes" not in coarse.text
    assert "800 bytes (WebP 74.0 % against 70.0 %, within the intervals)" in coarse.text
    assert "1,600 bytes (WebP 95.0 % against 80.0 %)" in coarse.text
    assert psnr.standing == "behind" and "by up to 1.5 dB" in psnr.text


def test_no_peer_ahead_is_said_as_such():
    found = verdict.at_equal_bytes(
        study(series(OURS, "ours", {}, psnr=30), series("WebP", "peer", {}, {400: 0.3}))
    )
    assert [sentence.standing for sentence in found] == ["ahead"] * 4


def test_psnr_over_the_few_that_decode_does_not_win():
    mine, peer = series(OURS, "ours", {}, psnr=20), series("AVIF", "peer", {}, psnr=40, decoded=0.5)
    assert all(
        "PSNR" not in sentence.head for sentence in verdict.at_equal_bytes(study(mine, peer))
    )


def test_rivals_are_no_peers():
    rival = Series("PLONQ", CUT, "rival", (), dict.fromkeys(LEVELS, 1.0))
    found = verdict.headline(
        study(series(OURS, "ours", dict.fromkeys(LEVELS, 500)), series("JPEG", "peer", {}), rival)
    )
    assert [sentence.standing for sentence in found] == ["ahead"] * 3


def test_the_page_says_it_when_a_peer_wins(tmp_path, undrawn):
    text = Structure(report(tmp_path, {OURS: 900, "AVIF": 100})).text
    assert "progcodec wins at 0 and a peer wins at 3." in text
    assert text.count("AVIF wins.") >= 3 and "a peer is ahead" in text


# --- pieces ------------------------------------------------------------------------------------------------------------------


def test_every_codec_has_a_colour_of_its_own():
    names = ["JPEG", "AVIF", "x1", "x2", "x3", OURS]
    table = style.looks(names, [OURS])
    lights = [look.light for look in table.values()]
    assert set(names) <= set(table) and len(set(lights)) == len(lights)
    assert not set(lights) & {style.INK, style.FAINT, style.PAPER}
    assert table["AVIF"] == style.looks(["AVIF", "another"], [OURS])["AVIF"], (
        "the same in every report"
    )


def test_colours_stand_out_from_the_page():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(
            w * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4)
            for w, p in zip((0.2126, 0.7152, 0.0722), parts)
        )

    for look in style.looks([f"x{i}" for i in range(6)], [OURS]).values():
        assert 1.05 / (luminance(look.light) + 0.05) >= 3, look
        assert (luminance(look.dark) + 0.05) / (luminance("#14171a") + 0.05) >= 3, look


def test_a_codec_that_spends_more_than_the_budget_is_refused():
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="300 bytes of a where 200 are allowed"):
        pictures.compare(
            [Subject("a", pixels)], [Sender("X", lambda image, budgets: [Shown(300, image)])], [200]
        )


def test_our_sender_cuts_one_file(tiny_codec, small_photograph):
    from progcodec.lab.evaluate.report import senders

    pixels = np.asarray(small_photograph)
    whole = tiny_codec.encode(pixels)
    found = senders.ours(tiny_codec).send(pixels, (2, 60, len(whole) + 50))
    assert found[0] is None and [shown.bytes for shown in found[1:]] == [60, len(whole)]
    assert np.array_equal(found[2].pixels, np.asarray(tiny_codec.decode(whole)))


def test_a_peers_sender_finds_the_best_that_fits(small_photograph):
    from progcodec.lab.evaluate.coders.registry import CODERS
    from progcodec.lab.evaluate.report import senders
    from progcodec.metrics import psnr

    pixels = np.asarray(small_photograph)
    nothing, little, much = senders.peer(CODERS["jpeg"]).send(pixels, (50, 500, 1500))
    assert nothing is None and little.bytes <= 500 < much.bytes <= 1500
    assert (
        psnr(pixels, much.pixels) > psnr(pixels, little.pixels)
        and little.pixels.shape == pixels.shape
    )


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([], []),
        ([5.0], [5.0]),
        ([2.0, 6.0, 4.0], [2.0, 6.0, 4.0]),  # nothing meets, nothing moves
        ([5.0, 5.0], [4.5, 5.5]),  # equals part, the first below
        ([5.0, 5.5, 5.25], [4.25, 6.25, 5.25]),
        ([9.9, 9.8, 9.7, 3.0], [10.0, 9.0, 8.0, 3.0]),  # against the top
        ([0.0, 0.1, 20.0], [0.0, 1.0, 10.0]),
        ([5.0] * 21, [0.5 * place for place in range(21)]),  # no room: evenly over all there is
    ],
)
def test_labels_part_by_as_little_as_can_be(wanted, places):
    assert spread(wanted, 1.0, 0.0, 10.0) == pytest.approx(places)


@given(st.lists(st.floats(-1, 11), max_size=11))
def test_parted_labels_keep_their_distance_and_their_order(wanted):
    places = spread(wanted, 1.0, 0.0, 10.0)
    ordered = sorted(places)
    assert [place for _, place in sorted(zip(wanted, places, strict=True))] == pytest.approx(
        ordered
    )
    assert all(later - earlier >= 1 - 1e-9 for earlier, later in pairwise(ordered))
    assert not places or -1e-9 <= ordered[0] <= ordered[-1] <= 10 + 1e-9


@pytest.mark.parametrize(
    "values",
    [
        [50.0] * 11,
        [99.0 + number / 10 for number in range(11)],
        [0.0, 0.5, 1.0, 1.0, 50.0, 51.0, 99.0, 100.0],
    ],
)
def test_names_of_curves_that_meet_do_not_overlap(values):
    from matplotlib.text import Text

    with plots._figure("test") as (figure, axes):
        axes.set_xlim(100, 4800)
        axes.set_ylim(0, 102)
        figure.subplots_adjust(left=0.125, right=0.6, bottom=0.135, top=plots.TOP)
        plots.end_labels(
            axes,
            [(4800, value, f"Jpgq codec {n}", "#000000", n == 3) for n, value in enumerate(values)],
        )
        for top in (plots.TOP, plots.TOP_TITLED):
            figure.subplots_adjust(top=top)
            figure.canvas.draw()
            drawn = [text for text in axes.texts if text.get_text().startswith("Jpgq")]
            boxes = sorted((Text.get_window_extent(text) for text in drawn), key=lambda box: box.y0)
            assert len(boxes) == len(values)
            assert all(upper.y0 >= lower.y1 for lower, upper in pairwise(boxes))
            assert (
                min(box.x0 for box in boxes) > axes.get_window_extent().x1
                and max(box.x1 for box in boxes) < figure.bbox.x1
            )


# --- as a person sees it -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_from_disk(full, tmp_path, width, height, scheme):
    folder, _, _ = full
    with Chromium(tmp_path / "profile") as browser:
        browser.open(folder / "report.html", width, height, scheme)
        assert browser.value("innerWidth") == width
        browser.value("document.querySelectorAll('details').forEach(each => each.open = true)")
        browser.value("document.querySelectorAll('img').forEach(each => each.loading = 'eager')")
        assert browser.value("document.documentElement.scrollWidth") == width
        assert browser.value("document.body.scrollWidth") <= width
        # nothing but a table's own box is wider than the page, and a drawing's text stays inside of it
        wide = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && !e.closest('svg')"
        assert (
            browser.value(
                f"{wide} && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
            )
            == []
        )
        assert browser.value(SPILLED) == []
        decoded = "Promise.all([...document.images].map(i => i.decode())).then(() => document.images.length)"
        assert (
            browser.call("Runtime.evaluate", expression=decoded, awaitPromise=True)["result"][
                "value"
            ]
            == 16
        )
        background = browser.value("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
        assert browser.complaints() == []
        browser.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        assert image.size == (width, height) and len(image.convert("RGB").getcolors(1 << 20)) > 50


SPILLED = """
[...document.querySelectorAll('figure svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const own = text.getBoundingClientRect();
    return own.right > box.right + 6 || own.left < box.left - 6;
  }).map(text => text.textContent);
})
"""


# --- the paper's own figures ---------------------------------------------------------------------------------------------


def two_judges(folder: Path) -> list[Measurement]:
    """The same rows twice, the second judge being one that always errs by a little."""
    first = rows({OURS: 250, "JPEG": 900})
    second = [
        one._replace(classifier="judge#00000000", wup=one.wup and 0.9 * one.wup) for one in first
    ]
    folder.mkdir(parents=True, exist_ok=True)
    measurements.write(folder / measurements.MEASUREMENTS, [*first, *second])
    return [*first, *second]


def test_the_papers_figures_keep_judges_apart(tmp_path, monkeypatch):
    """Fig. 4 is of the classifier that took part in training, Fig. 5 of the others, whatever their order."""
    made = two_judges(tmp_path)
    monkeypatch.setattr(paper, "teachers", lambda rows: frozenset({"judge"}))
    text = write_report(tmp_path).read_text("utf-8")
    start = text.index('<section id="paper">')
    part = text[start : text.index("</section>", start)]
    fourth, fifth = part.split("Fig. 5: Wu-Palmer", 1)
    assert (
        "judged by judge#00000000" in fourth
        and "mobilenet" not in fourth.split("Fig. 4: accuracy")[1]
    )
    assert (
        "mobilenet" in fifth and "80,000 ImageNet pictures" in part and "trained with judge" in part
    )
    for end in ("coarse end", "intermediate end", "fine end"):
        assert end in fourth and end in fifth
    found = [study for study in studies(made) if study.series]
    coarse = next(study for study in found if study.classifier.startswith("judge")).ends[0]
    assert f"{100 * coarse.accuracy['coarse'].value:.1f}\N{NO-BREAK SPACE}%" in fourth
    assert (tmp_path / "plots" / "paper-4.svg").is_file() and (
        tmp_path / "plots" / "paper-5.png"
    ).is_file()


def test_without_a_record_the_page_says_so(tmp_path):
    text = write_report(tmp_path).read_text("utf-8") if two_judges(tmp_path) else ""
    assert "is not recorded" in text  # these rows name no checkpoint of the package
    assert "no other classifier judged" in report(tmp_path / "one")
    none = [study for study in studies(rows({OURS: 250})) if study.series]
    assert paper.chosen(none, frozenset()) == (None, none) and paper.chosen(none, None) == (
        none[0],
        [],
    )
    assert not paper.section(none[:0] or [dataclasses.replace(none[0], series=())], None, "")


def test_what_weights_were_trained_with_is_in_their_metadata():
    from progcodec.assets import find
    from progcodec.network.checkpoint import Checkpoint

    shipped = Checkpoint.load(find())
    names = paper.teachers(
        [rows({OURS: 250})[1]._replace(codec=OURS, weights=shipped.fingerprint.hex())]
    )
    said = " ".join(shipped.metadata.values())
    assert names == frozenset(paper.TRAINED_WITH.findall(said)) and (
        "class term of" in said
    ) == bool(names)
