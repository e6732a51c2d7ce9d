"""The viewer: the cuts it shows, a page that needs nothing but itself, and what a slider does to it
in a browser.
"""

import base64
import io
import json
import re
import threading
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import progcodec
from progcodec.api import StreamDecoder
from progcodec.bitstream.description import info
from progcodec.cut import truncate
from progcodec.errors import ImageError
from progcodec.metrics import psnr
from progcodec.viewer.cuts import cuts
from progcodec.viewer.frames import embedded, view
from progcodec.viewer.page import page
from progcodec.viewer.server import PageServer
from tests.support.chromium import BROWSER, Chromium
from tests.support.classifying import TREE, write_weights
from tests.support.command import STREAM, errors, run

NAME = "</script><b>a&b \"q\" 'q'.shc"
SIZE = (180, 120)


class Judge:
    """Says another class with every symbol of the coarse block, ever surer."""

    name, classes = "judge <b>", len(TREE.classes)

    def probabilities(self, codec, latents):
        share = np.array([latent.received[1] / latent.total[1] for latent in latents])
        rows = np.ones((len(latents), self.classes))
        rows[share < 0.7, 0] += 20 * share[share < 0.7]
        rows[share >= 0.7, 3] += 40 * share[share >= 0.7]
        return rows / rows.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def picture(photograph) -> Image.Image:
    return photograph.resize(SIZE)


@pytest.fixture(scope="module")
def stream(tiny_codec, picture) -> bytes:
    return tiny_codec.encode(picture)


def seen(codec, data: bytes, **options):
    decoder = StreamDecoder(codec=codec)

    def ask():
        return decoder.classify(classifier=Judge(), hierarchy=TREE, top=0)

    return view(data, decoder, name=NAME, classifier=Judge.name, ask=ask, **options)


@pytest.fixture(scope="module")
def shown(tiny_codec, stream, picture):
    return seen(tiny_codec, stream, original=picture)


def facts(html: str) -> dict:
    """What the script reads."""
    return json.loads(
        re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)[1]
    )


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


# --- cuts and frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 14, 15, 20, 36, 60, 105, 150, 246])
@pytest.mark.parametrize("count", [2, 5, 24])
def test_cuts_have_the_ends_of_all_parts_and_rise_evenly(size, count):
    data = STREAM[:size]
    described = info(data)
    found = cuts(described, count)
    assert found == sorted(set(found))
    assert found[0] == described.header_bytes
    assert found[-1] == len(data)
    assert {
        segment.end
        for segment in described.segments
        if segment.complete and segment.end <= len(data)
    } <= set(found)
    assert len(found) <= count + 6


def test_cuts_of_a_long_file_are_log_spaced():
    from progcodec.bitstream.container import Header, write

    described = info(
        write(Header(4000, 3000, b"abcd"), [bytes(400), bytes(2000), bytes(9000), bytes(90_000)])
    )
    found = cuts(described, 24)
    steps = [after / before for before, after in pairwise(found[2:])]
    assert 20 <= len(found) <= 29 and max(steps) < 1.9 and min(steps) > 1.05


def test_every_frame_is_what_its_cut_gives(shown, stream, tiny_codec, tiny_checkpoint, picture):
    assert [frame.bytes for frame in shown.frames] == cuts(info(stream))
    for frame in shown.frames[::4] + shown.frames[-1:]:
        cut = stream[: frame.bytes]
        decoded = tiny_codec.decode(cut)
        assert frame.picture == embedded(decoded, 960)
        assert frame.psnr == psnr(np.asarray(picture), np.asarray(decoded))
        answer = progcodec.classify(
            cut, model=tiny_checkpoint, device="cpu", classifier=Judge(), hierarchy=TREE, top=0
        )
        assert str(frame.answer) == str(answer)
    assert shown.frames[-1].reached == "fine" and shown.frames[0].reached == "header"


def test_pictures_are_of_moderate_size(tiny_codec, stream, picture):
    found = seen(tiny_codec, stream, count=2, max_side=90, original=picture)
    pictures = [
        opened("," + base64.b64encode(file).decode())
        for file in (found.original, *(f.picture for f in found.frames))
    ]
    assert {image.size for image in pictures} == {(90, 60)}
    with pytest.raises(ImageError, match="180 x 120"):
        seen(tiny_codec, stream, original=picture.resize((90, 60)))


# --- the page -------------------------------------------------------------------------------------


def test_the_page_needs_nothing_but_itself(shown):
    html = page(shown)
    data = facts(html)
    outside = re.sub(r"data:[a-z/+]*(;base64)?,[A-Za-z0-9+/=]*", "", html).replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert not re.search(
        r"https?:|//[a-z]|@import|url\(|src=[^\"]|\bfetch|XMLHttp|import\(", outside
    )
    assert "default-src 'none'" in html and "{{" not in html
    assert html.count("</script>") == 2 and "<b>a&b" not in html.replace(data["name"], "")
    assert data["name"] == NAME
    assert "&lt;/script&gt;&lt;b&gt;a&amp;b &quot;q&quot;" in html
    assert "judge &lt;b&gt;" in html
    assert len(html) < 400_000
    for frame, made in zip(data["frames"], shown.frames, strict=True):
        assert base64.b64decode(frame["picture"].partition(",")[2]) == made.picture
        assert frame["answer"]["path"] == [
            [guess.name, round(guess.probability, 4)] for guess in made.answer.path
        ]


@pytest.mark.parametrize("size", [15, 30, 100, 300])
def test_a_cut_file_has_a_page_too(tiny_codec, stream, size):
    data = facts(page(view(stream[:size], StreamDecoder(codec=tiny_codec))))
    assert data["bytes"] == size == data["frames"][-1]["bytes"]
    assert data["levels"] == [] and data["original"] is None and data["frames"][0]["answer"] is None
    assert [part["name"] for part in data["segments"]] == [
        "header",
        "hyperlatent",
        "coarse",
        "intermediate",
        "fine",
    ]
    assert data["segments"][-1]["whole"] is False


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch, stream, picture) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.shc").write_bytes(stream)
    picture.save("a.png")
    return tmp_path


def test_the_command(here, stream, tiny_checkpoint):
    pytest.importorskip("timm")
    Path("tree.json").write_text(TREE.to_json(), encoding="utf-8")
    spec = write_weights(here / "small.safetensors")
    model = ["--model", tiny_checkpoint, "--device", "cpu"]
    answering = ["--classifier", spec, "--hierarchy", "tree.json", "--confidence", 0.3]
    result = run(
        "view", "a.shc", *model, *answering, "--original", "a.png", "--cuts", 4, "--max-side", 100
    )
    html = Path("a.html").read_text("utf-8")
    data = facts(html)
    assert (
        result.stdout
        == f"a.shc -> a.html  {len(data['frames'])} cuts  {len(html.encode()):,} bytes\n"
    )
    assert data["confidence"] == 0.3 and data["levels"] == ["coarse", "intermediate", "fine"]
    assert data["frames"][-1]["psnr"].endswith(" dB") and opened(data["original"]).size == (100, 67)
    (line,) = errors(run("view", "a.shc", *model, *answering, code=1))
    assert "--force" in line

    result = run("view", "-", *model, stdin=truncate(stream, level="coarse"))
    assert facts(result.stdout)["levels"] == ["coarse", "intermediate", "fine"]
    (line,) = errors(run("view", "a.shc", *model, "--classifier", "none", "--force", code=1))
    assert "classifier" in line
    (line,) = errors(run("view", "a.png", *model, "--force", code=1))
    assert "magic" in line
    run("view", "--serve", "a.shc", code=2)
    run("view", "-", "--open", code=2)
    run("view", "a.shc", "--serve", "70000", code=2)


def test_serving_and_opening(here, tiny_checkpoint, monkeypatch):
    served, opened_at = [], []
    monkeypatch.setattr("webbrowser.open", lambda address: opened_at.append(address) or True)
    monkeypatch.setattr(PageServer, "serve_forever", lambda server: None)
    monkeypatch.setattr(PageServer, "show", lambda server, page: served.append(page))
    model = ["--model", tiny_checkpoint, "--device", "cpu", "--cuts", 2]
    result = run("view", "a.shc", *model, "--serve")
    address = result.stdout.split()[0]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert opened_at == []
    assert not Path("a.html").exists()
    # Until the page is there, another says so, and asks again by itself.
    assert "being loaded" in served[0] and "refresh" in served[0] and "1 of" in served[2]
    assert facts(served[-1])["name"] == "a.shc"
    run("view", "a.shc", *model, "--serve", 0, "--open", "-o", "b.html")
    assert opened_at[0].startswith("http://127.0.0.1:")
    assert Path("b.html").read_text("utf-8") == served[-1]
    run("view", "a.shc", *model, "--open")
    assert opened_at[1] == f"file://{here / 'a.html'}"
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert "no browser" in errors(run("view", "a.shc", *model, "--open", "--force", code=1))[-1]


def test_the_server_serves_one_page_to_this_machine():
    def ask(path: str, host: str | None = None, method: str = "GET"):
        request = urllib.request.Request(
            server.address + path, headers={"Host": host} if host else {}, method=method
        )
        return urllib.request.urlopen(request, timeout=120)

    with PageServer("<p>ä", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            assert ask("").read().decode() == "<p>ä" and ask("", "localhost:9").status == 200
            assert ask("", method="HEAD").read() == b""
            for path, host, code in (
                ("a", None, 404),
                ("../x", None, 404),
                ("", "evil.example:80", 403),
            ):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    ask(path, host)
                assert refused.value.code == code
        finally:
            server.shutdown()
            thread.join()
        with pytest.raises(OSError):
            PageServer("", server.server_port)


# --- as a person sees it --------------------------------------------------------------------------

LOOK = """({
  picture: document.getElementById('picture').src,
  bytes: document.getElementById('bytes').textContent,
  reached: document.getElementById('reached').textContent,
  status: document.getElementById('status').textContent,
  said: document.getElementById('slider').getAttribute('aria-valuetext'),
  answers: [...document.querySelectorAll('.levels .what')].map(each => each.textContent),
  percents: [...document.querySelectorAll('.levels .percent')].map(each => each.textContent),
  arrived: [...document.querySelectorAll('#parts td:last-child')].map(each => each.textContent),
  value: Number(document.getElementById('slider').value),
})"""


def press(browser: Chromium, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        code = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35}[key]
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
        )


def click(browser: Chromium, selector: str, x: float = 0.5, y: float = 0.5) -> None:
    """Presses and releases at a place of an element, in parts of its width and height."""
    find = f"const b = document.querySelector('{selector}').getBoundingClientRect()"
    at = browser.value(
        f"(() => {{ {find}; return [b.left + {x} * b.width, b.top + {y} * b.height]; }})()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1
        )


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_slider_moves_picture_and_answers(shown, stream, tmp_path):
    path = tmp_path / "a b.html"
    path.write_text(page(shown), encoding="utf-8")
    data = facts(page(shown))
    last = len(data["frames"]) - 1
    with Chromium(tmp_path / "profile") as browser:
        browser.open(path, 390, 844)

        def check(index: int) -> dict:
            look, frame = browser.value(LOOK), data["frames"][index]
            assert look["value"] == index and look["picture"] == frame["picture"]
            assert look["bytes"] == f"{frame['bytes']:,} bytes"
            assert look["reached"] == frame["reached"].removeprefix("hyperlatent + ").replace(
                "%", " %"
            )
            assert frame["psnr"] in look["status"]
            assert [name.removesuffix("?") for name in look["answers"]] == [
                name for name, _ in frame["answer"]["path"]
            ]
            assert [name.endswith("?") for name in look["answers"]] == [
                p < 0.5 for _, p in frame["answer"]["path"]
            ]
            assert frame["answer"]["text"] in look["said"]
            return look

        meaning = [frame["answer"]["stated"] > 0 for frame in data["frames"]]
        check(meaning.index(True))
        assert browser.value("document.title") == NAME
        browser.value("document.getElementById('slider').focus()")
        press(browser, "End")
        assert check(last)["arrived"] == ["all"] * 5
        browser.value("document.getElementById('slider').focus()")
        press(browser, "Home")
        assert check(0)["arrived"] == ["all", "–", "–", "–", "–"]
        first, looks = browser.value(LOOK), []
        for index in range(1, last + 1):
            press(browser, "ArrowRight")
            looks.append(check(index))
        assert len({look["picture"] for look in looks}) > last - 4, (
            "few cuts bring no further symbol"
        )
        assert {look["answers"][0].strip("?") for look in looks} == {
            "bird",
            "instrument",
        } and first["answers"] != looks[-1]["answers"]
        browser.value("document.activeElement.blur()")
        press(browser, "ArrowLeft")
        check(last - 1)

        click(browser, "#slider", 0.02)
        check(0)
        click(browser, "#jumps button:first-child")
        coarse = [frame["bytes"] for frame in data["frames"]].index(
            len(truncate(stream, level="coarse"))
        )
        assert check(coarse)["arrived"] == ["all", "all", "all", "–", "–"]
        click(browser, "#chart", 0.97)
        check(last)
        for leave in (
            lambda: click(browser, "#original"),
            lambda: click(browser, "#jumps button:first-child"),
        ):
            click(browser, "#original")
            assert browser.value(LOOK)["picture"] == data["original"]
            leave()
        check(coarse)  # whoever moves on sees the cut again
        click(browser, "#chart", 0.97)
        # Playing starts over, and ends by itself.
        click(browser, "#play")
        assert browser.value(LOOK)["value"] < last
        click(browser, "#play")
        assert browser.complaints() == []


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_it_plays_once(shown, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(shown), encoding="utf-8")
    last = len(facts(page(shown))["frames"]) - 1
    with Chromium(tmp_path / "profile") as browser:
        browser.open(path, 390, 844, motion=True)
        values = [browser.value(LOOK)["value"]]
        while values[-1] < last:
            values.append(browser.value(LOOK)["value"])
        assert values == sorted(values)
        assert browser.value("document.getElementById('play').textContent") == "▶"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("width", "height"), [(320, 640), (390, 844), (1280, 800)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(shown, tmp_path, width, height, scheme):
    path = tmp_path / "page.html"
    path.write_text(page(shown), encoding="utf-8")
    with Chromium(tmp_path / "profile") as browser:
        browser.open(path, width, height, scheme)
        assert browser.value("document.documentElement.scrollWidth") == width
        wide = (
            "[...document.querySelectorAll('main *')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        )
        assert browser.value(f"{wide}.map(e => e.outerHTML.slice(0, 90))") == []
        small = (
            "[...document.querySelectorAll('button:not([hidden]), input')]"
            ".filter(e => e.getBoundingClientRect().height < 44)"
        )
        assert browser.value(f"{small}.length") == 0, "fingers need 44 pixels"
        for name in ("picture", "slider", "levels")[: 2 if width < 390 else 3]:  # without scrolling
            assert (
                browser.value(f"document.getElementById('{name}').getBoundingClientRect().bottom")
                <= height
            )
        background = browser.value("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
        assert browser.complaints() == []


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("size", [15, 40, 200])
def test_a_cut_file_in_a_browser(tiny_codec, stream, tmp_path, size):
    path = tmp_path / "page.html"
    path.write_text(
        page(view(stream[:size], StreamDecoder(codec=tiny_codec), name="cut")), encoding="utf-8"
    )
    with Chromium(tmp_path / "profile") as browser:
        browser.open(path, 390, 844)
        browser.value("document.getElementById('slider').focus()")
        press(browser, "End")
        look = browser.value(LOOK)
        assert look["bytes"] == f"{size} bytes" and look["answers"] == []
        assert browser.value("document.getElementById('absent').hidden") is False
        assert (
            browser.value(
                "document.getElementById('answers').hidden"
                " && document.getElementById('chart').hidden"
            )
            is True
        )
        assert browser.complaints() == []
