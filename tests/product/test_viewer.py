"""The viewer: the cuts it shows, a page that needs nothing but itself, and what a slider does to it
in a browser.
"""

import base64
import io
import json
import re
import socket
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
from progcodec.bitstream.container import Header, write
from progcodec.bitstream.description import info
from progcodec.cut import truncate
from progcodec.errors import ImageError
from progcodec.metrics import psnr
from progcodec.viewer import server
from progcodec.viewer.frames import cuts, embedded, view
from progcodec.viewer.page import page
from progcodec.viewer.server import PageServer
from tests.support.chromium import BROWSER, Chromium
from tests.support.classifying import TREE, Fixed, write_weights
from tests.support.command import STREAM, errors, run

NAME = "</script><b>a&b \"q\" 'q'.shc"
SIZE = (180, 120)


def turning(latent) -> list[float]:
    """Another class with every symbol of the coarse block, ever surer."""
    share = latent.received[1] / latent.total[1]
    row = [1.0] * len(TREE.classes)
    row[0 if share < 0.7 else 3] += (20 if share < 0.7 else 40) * share
    return row


JUDGE = Fixed(turning)


@pytest.fixture(scope="module")
def picture(photograph) -> Image.Image:
    return photograph.resize(SIZE)


@pytest.fixture(scope="module")
def stream(tiny_codec, picture) -> bytes:
    return tiny_codec.encode(picture)


def seen(codec, data: bytes, **options):
    decoder = StreamDecoder(codec=codec)

    def ask():
        return decoder.classify(classifier=JUDGE, hierarchy=TREE, top=0)

    return view(data, decoder, name=NAME, classifier=JUDGE.name, ask=ask, **options)


@pytest.fixture(scope="module")
def shown(tiny_codec, stream, picture):
    return seen(tiny_codec, stream, original=picture)


def facts(html: str) -> dict:
    """What the script reads."""
    return json.loads(
        re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)[1]
    )


# --- cuts and frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 14, 15, 36, 60, 150])
@pytest.mark.parametrize("count", [2, 5, 24])
def test_cuts_have_the_ends_of_all_parts_and_rise_evenly(size, count):
    data = STREAM[:size]
    described = info(data)
    found = cuts(described, count)
    assert found == sorted(set(found)) and len(found) <= count + 6
    assert (found[0], found[-1]) == (described.header_bytes, len(data))
    ends = {part.end for part in described.segments if part.complete and part.end <= len(data)}
    assert ends <= set(found)


def test_cuts_of_a_long_file_are_log_spaced():
    payloads = [bytes(size) for size in (400, 2000, 9000, 90_000)]
    found = cuts(info(write(Header(4000, 3000, b"abcd"), payloads)), 24)
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
            cut, model=tiny_checkpoint, device="cpu", classifier=JUDGE, hierarchy=TREE, top=0
        )
        assert str(frame.answer) == str(answer)
    assert shown.frames[-1].reached == "fine" and shown.frames[0].reached == "header"


def test_pictures_are_of_moderate_size(tiny_codec, stream, picture):
    found = seen(tiny_codec, stream, count=2, max_side=90, original=picture)
    files = [found.original, *(frame.picture for frame in found.frames)]
    assert {Image.open(io.BytesIO(file)).size for file in files} == {(90, 60)}
    with pytest.raises(ImageError, match="180 x 120"):
        seen(tiny_codec, stream, original=picture.resize((90, 60)))


# --- the page -------------------------------------------------------------------------------------


def test_the_page_needs_nothing_but_itself(shown):
    html = page(shown)
    data = facts(html)
    outside = re.sub(r"data:[a-z/+]*(;base64)?,[A-Za-z0-9+/=]*", "", html)
    outside = outside.replace("http://www.w3.org/2000/svg", "")
    reaching = r"https?:|//[a-z]|@import|url\(|src=[^\"]|\bfetch|XMLHttp|import\("
    assert not re.search(reaching, outside)
    assert "default-src 'none'" in html and "{{" not in html and len(html) < 400_000
    assert html.count("</script>") == 2 and "<b>a&b" not in html.replace(data["name"], "")
    assert data["name"] == NAME and "fixed &lt;b&gt;" in html
    assert "&lt;/script&gt;&lt;b&gt;a&amp;b &quot;q&quot;" in html
    for frame, made in zip(data["frames"], shown.frames, strict=True):
        assert base64.b64decode(frame["picture"].partition(",")[2]) == made.picture
        path = [[guess.name, round(guess.probability, 4)] for guess in made.answer.path]
        assert frame["answer"]["path"] == path


@pytest.mark.parametrize("size", [15, 30, 300])
def test_a_cut_file_has_a_page_too(tiny_codec, stream, size):
    data = facts(page(view(stream[:size], StreamDecoder(codec=tiny_codec))))
    assert data["bytes"] == size == data["frames"][-1]["bytes"]
    assert data["levels"] == [] and data["original"] is None and data["frames"][0]["answer"] is None
    names = "header hyperlatent coarse intermediate fine"
    assert [part["name"] for part in data["segments"]] == names.split()
    assert data["segments"][-1]["whole"] is False


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch, stream, picture) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.shc").write_bytes(stream)
    picture.save("a.png")
    return tmp_path


def test_the_command(here, stream, tiny):
    pytest.importorskip("timm")
    Path("tree.json").write_text(TREE.to_json(), encoding="utf-8")
    spec = write_weights(here / "small.safetensors")
    options = ["--classifier", spec, "--hierarchy", "tree.json", "--confidence", 0.3]
    options += ["--original", "a.png", "--cuts", 4, "--max-side", 100]
    told = run("view", "a.shc", *tiny, *options).stdout
    html = Path("a.html").read_text("utf-8")
    data = facts(html)
    assert told.split("  ")[1:] == [
        f"{len(data['frames'])} cuts",
        f"{len(html.encode()):,} bytes\n",
    ]
    assert data["confidence"] == 0.3 and data["levels"] == ["coarse", "intermediate", "fine"]
    assert data["frames"][-1]["psnr"].endswith(" dB")
    original = base64.b64decode(data["original"].partition(",")[2])
    assert Image.open(io.BytesIO(original)).size == (100, 67)
    assert "--force" in errors(run("view", "a.shc", *tiny, code=1))[0]

    result = run("view", "-", *tiny, stdin=truncate(stream, level="coarse"))
    assert facts(result.stdout)["levels"] == ["coarse", "intermediate", "fine"]
    assert "magic" in errors(run("view", "a.png", *tiny, "--force", code=1))[0]
    for wrong in (["--serve", "a.shc"], ["-", "--open"], ["a.shc", "--serve", "70000"]):
        run("view", *wrong, code=2)


def test_serving_and_opening(here, tiny, monkeypatch):
    served, opened_at = [], []
    monkeypatch.setattr("webbrowser.open", lambda address: opened_at.append(address) or True)
    monkeypatch.setattr(PageServer, "serve_forever", lambda server: None)
    monkeypatch.setattr(PageServer, "show", lambda server, page: served.append(page))
    line = ["view", "a.shc", *tiny, "--cuts", 2]
    address = run(*line, "--serve").stdout.split()[0]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert opened_at == [] and not Path("a.html").exists()
    # Until the page is there, another says so, and asks again by itself.
    assert "being loaded" in served[0] and "refresh" in served[0] and "1 of" in served[2]
    assert facts(served[-1])["name"] == "a.shc"
    run(*line, "--serve", 0, "--open", "-o", "b.html")
    assert opened_at[0].startswith("http://127.0.0.1:")
    assert Path("b.html").read_text("utf-8") == served[-1]
    run(*line, "--open")
    assert opened_at[1] == f"file://{here / 'a.html'}"
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert "no browser" in errors(run(*line, "--open", "--force", code=1))[-1]


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


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_the_server_drops_who_says_nothing(monkeypatch, said):
    monkeypatch.setattr(server._Handler, "timeout", 0.1)
    with PageServer("", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        try:
            with socket.create_connection(("127.0.0.1", serving.server_port), 120) as idle:
                idle.sendall(said)
                assert idle.recv(1) == b""
        finally:
            serving.shutdown()
            thread.join()


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


KEYS = {"End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with Chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def visit(browser, tmp_path):
    """Shows a page in a window, of a telephone unless told otherwise."""

    def call(html: str, width: int = 390, height: int = 844, **options: object) -> None:
        path = tmp_path / "a page.html"
        path.write_text(html, encoding="utf-8")
        browser.open(path, width, height, **options)
        browser.value("document.getElementById('slider').focus()")

    return call


def press(browser: Chromium, key: str) -> None:
    code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, **code)


def click(browser: Chromium, selector: str, x: float = 0.5) -> None:
    """Presses and releases half way down an element, at a part of its width."""
    find = f"const b = document.querySelector('{selector}').getBoundingClientRect()"
    where = f"[b.left + {x} * b.width, b.top + 0.5 * b.height]"
    left, top = browser.value(f"(() => {{ {find}; return {where}; }})()")
    for kind in ("mousePressed", "mouseReleased"):
        at = {"x": left, "y": top, "button": "left", "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=kind, **at)


def test_the_slider_moves_picture_and_answers(shown, stream, browser, visit):
    data = facts(page(shown))
    last = len(data["frames"]) - 1
    visit(page(shown))

    def check(index: int) -> dict:
        look, frame = browser.value(LOOK), data["frames"][index]
        assert look["value"] == index and look["picture"] == frame["picture"]
        assert look["bytes"] == f"{frame['bytes']:,} bytes"
        reached = frame["reached"].removeprefix("hyperlatent + ").replace("%", " %")
        assert look["reached"] == reached and frame["psnr"] in look["status"]
        path = frame["answer"]["path"]
        assert look["answers"] == [f"{name}{'?' if p < 0.5 else ''}" for name, p in path]
        assert frame["answer"]["text"] in look["said"]
        return look

    meaning = [frame["answer"]["stated"] > 0 for frame in data["frames"]]
    check(meaning.index(True))
    assert browser.value("document.title") == NAME
    press(browser, "End")
    assert check(last)["arrived"] == ["all"] * 5
    press(browser, "Home")
    assert check(0)["arrived"] == ["all", "–", "–", "–", "–"]
    looks = []
    for index in range(1, last + 1):
        press(browser, "ArrowRight")
        looks.append(check(index))
    # few cuts bring no further symbol
    assert len({look["picture"] for look in looks}) > last - 4
    assert {look["answers"][0].strip("?") for look in looks} == {"bird", "instrument"}
    browser.value("document.activeElement.blur()")
    press(browser, "ArrowLeft")
    check(last - 1)

    click(browser, "#slider", 0.02)
    check(0)
    jump = "#jumps button:first-child"
    click(browser, jump)
    end = len(truncate(stream, level="coarse"))
    coarse = [frame["bytes"] for frame in data["frames"]].index(end)
    assert check(coarse)["arrived"] == ["all", "all", "all", "–", "–"]
    click(browser, "#chart", 0.97)
    check(last)
    for leave in ("#original", jump):
        click(browser, "#original")
        assert browser.value(LOOK)["picture"] == data["original"]
        click(browser, leave)
    check(coarse)  # whoever moves on sees the cut again
    click(browser, "#chart", 0.97)
    # Playing starts over, and ends by itself.
    click(browser, "#play")
    assert browser.value(LOOK)["value"] < last
    click(browser, "#play")
    assert browser.complaints() == []


@pytest.mark.slow
def test_it_plays_once(shown, browser, visit):
    visit(page(shown), motion=True)
    values = [browser.value(LOOK)["value"]]
    while values[-1] < len(shown.frames) - 1:
        values.append(browser.value(LOOK)["value"])
    assert values == sorted(values)
    assert browser.value("document.getElementById('play').textContent") == "▶"


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(320, 640, "light"), (390, 844, "dark"), (1280, 800, "light"), (1280, 800, "dark")],
)
def test_it_fits_the_screen(shown, browser, visit, width, height, scheme):
    visit(page(shown), width, height, scheme=scheme)
    assert browser.value("document.documentElement.scrollWidth") == width
    box = "e.getBoundingClientRect()"
    wide = f"[...document.querySelectorAll('main *')].filter(e => {box}.right > innerWidth + 1)"
    assert browser.value(f"{wide}.map(e => e.outerHTML.slice(0, 90))") == []
    touched = "[...document.querySelectorAll('button:not([hidden]), input')]"
    small = f"{touched}.filter(e => {box}.height < 44).length"
    assert browser.value(small) == 0, "fingers need 44 pixels"
    for name in ("picture", "slider", "levels")[: 2 if width < 390 else 3]:  # without scrolling
        bottom = f"document.getElementById('{name}').getBoundingClientRect().bottom"
        assert browser.value(bottom) <= height
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    assert browser.complaints() == []


@pytest.mark.parametrize("size", [15, 200])
def test_a_cut_file_in_a_browser(tiny_codec, stream, browser, visit, size):
    visit(page(view(stream[:size], StreamDecoder(codec=tiny_codec), name="cut")))
    press(browser, "End")
    look = browser.value(LOOK)
    assert look["bytes"] == f"{size} bytes" and look["answers"] == []
    for name, hidden in (("absent", False), ("answers", True), ("chart", True)):
        assert browser.value(f"document.getElementById('{name}').hidden") is hidden
    assert browser.complaints() == []
