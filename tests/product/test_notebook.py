"""What a notebook shows of results: short lines and small tables, never a thousand numbers."""

import numpy as np

import progcodec
from progcodec.classification.answer import answers
from progcodec.markup import table
from tests.conftest import noise_image
from tests.support.classifying import TREE


def test_a_table_is_escaped_text():
    html = table("a < b", ("x", "y"), [(1234567, None), ("<b>", 0.5)])
    assert html.startswith("<table><caption>a &lt; b</caption><tr><th>x</th><th>y</th></tr>")
    assert html.endswith(
        "<tr><td>1,234,567</td><td></td></tr><tr><td>&lt;b&gt;</td><td>0.5</td></tr></table>"
    )


def test_a_stream(tiny_codec):
    data = tiny_codec.encode(noise_image(40, 60))
    whole = progcodec.info(data)
    assert [part.state for part in whole.segments] == ["whole, checked"] * 4
    coarse = whole.segments[1].end
    cut = progcodec.info(data[: coarse + 9])
    assert [part.state for part in cut.segments] == [
        "whole, checked",
        "whole, checked",
        "cut",
        "absent",
    ]
    html = cut._repr_html_()
    assert f"60 × 40 pixels, {coarse + 9:,} bytes" in html
    assert f"<td>coarse</td><td>{whole.segments[1].start}</td>" in html
    assert html.count("<tr>") == 5 and "quality +0" in html


def test_an_answer():
    (answer,) = answers(np.array([[0.7, 0.1, 0.05, 0.05, 0.05, 0.05]]), TREE, confidence=0.75)
    html = answer._repr_html_()
    assert all(
        f"<td>{guess.level}</td><td>{guess.name}</td><td>{guess.probability:.1%}</td>" in html
        for guess in answer.path
    )
    assert html.count("<td>sure</td>") == 2
    assert html.count("<td>unsure</td>") == 1
    assert f"<caption>{answer}</caption>" in html


def test_reprs_are_one_short_line(tiny_codec):
    data = tiny_codec.encode(noise_image(40, 60))
    latent = tiny_codec.decode_latent(data[: len(data) // 2])
    decoder = progcodec.StreamDecoder(codec=tiny_codec)
    decoder.feed(data)
    assert repr(latent).startswith("Latent(60x40, ") and " of " in repr(latent)
    assert repr(decoder) == f"StreamDecoder({len(data)} bytes, fine)"
    assert repr(progcodec.Hierarchy.load()) == "Hierarchy(10 + 100 groups, 1,000 classes)"
    for thing in (latent, decoder, tiny_codec, TREE):
        assert len(repr(thing)) < 160 and "\n" not in repr(thing)


def test_a_decoded_picture_shows_itself(tiny_codec):
    picture = tiny_codec.decode(tiny_codec.encode(noise_image(20, 30)))
    assert picture._repr_png_().startswith(b"\x89PNG")
