"""The page: a template, a style sheet, a script and the view's facts as JSON, in one HTML file."""

import base64
import html
import json
import math
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from progcodec import __version__
from progcodec.bitstream.description import StreamInfo
from progcodec.viewer.frames import Frame, View

if TYPE_CHECKING:
    from progcodec.classification.answer import Answer

DIGITS = 4
"""Decimals of probabilities."""


def page(view: View) -> str:
    """A whole HTML document, which asks for nothing, and whose own policy allows nothing."""
    template, sheet, script = (
        files(__package__).joinpath(f"page.{kind}").read_text("utf-8")
        for kind in ("html", "css", "js")
    )
    described = view.description
    last = view.frames[-1]
    alt = f"{view.name}, decoded from its first {last.bytes:,} bytes"
    filled = {
        "title": html.escape(view.name),
        "facts": html.escape(_facts(described)),
        "width": str(described.width),
        "height": str(described.height),
        "last": str(len(view.frames) - 1),
        "picture": _uri(last.picture),
        "alt": html.escape(alt),
        "version": html.escape(__version__),
        "classifier": html.escape(view.classifier or ""),
        "sheet": sheet,
        "data": _json(_data(view)),
        "script": script,
    }
    # Each value is put in once, and never searched for further placeholders.
    parts = template.split("{{")
    return parts[0] + "".join(
        filled[name] + rest for name, _, rest in (part.partition("}}") for part in parts[1:])
    )


def waiting(name: str, ready: int, total: int) -> str:
    """What is shown until the page is there; asks again by itself."""
    name = html.escape(name)
    state = f"{ready} of {total} cuts are decoded." if total else "The model is being loaded."
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta http-equiv="refresh" content="1"><meta name="color-scheme" content="light dark">'
        f"</head><body><h1>{name}</h1><p>{state}</p></body></html>"
    )


def _facts(described: StreamInfo) -> str:
    size = f"{described.width} × {described.height} · {described.file_bytes:,} bytes"
    return f"{size} · {described.bits_per_pixel:.3f} bpp · model {described.fingerprint}"


def _data(view: View) -> dict[str, Any]:
    described = view.description
    segments = [{"name": "header", "start": 0, "end": described.header_bytes, "whole": True}]
    for part in described.segments:
        place = {"start": part.start, "end": part.end}
        segments.append({"name": part.name, **place, "whole": part.complete})
    first = next((frame.answer for frame in view.frames if frame.answer is not None), None)
    return {
        "name": view.name,
        "bytes": described.file_bytes,
        "pixels": described.width * described.height,
        "segments": segments,
        "confidence": first and first.confidence,
        "levels": [guess.level for guess in first.path] if first else [],
        "opens": _first_with_meaning(view),
        "original": view.original and _uri(view.original),
        "frames": [_frame(frame) for frame in view.frames],
    }


def _first_with_meaning(view: View) -> int:
    """The first frame whose answer says something; without answers, with coarse bytes."""
    coarse = view.description.segments[1].start
    for index, frame in enumerate(view.frames):
        if frame.answer.stated if frame.answer else coarse is not None and frame.bytes > coarse:
            return index
    return len(view.frames) - 1


def _frame(frame: Frame) -> dict[str, Any]:
    psnr = None
    if frame.psnr is not None:
        psnr = f"{frame.psnr:.2f} dB" if math.isfinite(frame.psnr) else "exact"
    return {
        "bytes": frame.bytes,
        "reached": frame.reached,
        "picture": _uri(frame.picture),
        "psnr": psnr,
        "answer": frame.answer and _answer(frame.answer),
    }


def _answer(answer: "Answer") -> dict[str, Any]:
    path = [[guess.name, round(guess.probability, DIGITS)] for guess in answer.path]
    return {"text": str(answer), "stated": answer.stated, "path": path}


def _uri(picture: bytes) -> str:
    kind = "webp" if picture[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _json(value: object) -> str:
    """JSON that no text in it can end: the sign that begins every tag is written as an escape."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
