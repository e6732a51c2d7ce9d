"""``info``: how far .shc files go. Needs only the bytes: starts without torch and numpy."""

from collections.abc import Callable

import click

from progcodec.bitstream.description import SegmentInfo, StreamInfo, info
from progcodec.cli import options
from progcodec.cli.answers import csv_line, json_line
from progcodec.cli.files import STANDARD_STREAM, Job, read_stream, show
from progcodec.cli.inputs import gather
from progcodec.cli.messages import say, terminal_width
from progcodec.cli.options import Many
from progcodec.cli.report import Report, one_by_one, see_through
from progcodec.files import STREAM_SUFFIX


@click.command("info", short_help="Say how far .shc files go.")
@options.inputs("FILE...", tree=False)
@options.form
@options.grouped(many=Many)
def info_command(many: Many, form: str) -> None:
    """Say how far .shc files go: size, rate, level reached, checks, model.

    A file that was cut is no error. Under "reached" stands the last whole segment and how much
    there is of the next; under "coarse", "intermediate" and "fine" the byte at which the level
    ends, in brackets if the file is cut before; "quality" is what it was encoded with, "checked"
    tells whether every whole segment's checksum is there and right, "model" is the checkpoint's
    fingerprint. On a terminal too narrow for the table, each file gets a block of lines.

    \b
    Examples:
      progcodec info photo.shc
      progcodec info photos/ --recursive --format csv > photos.csv
      head -c 3000 photo.shc | progcodec info -
    """
    found = gather(many, [STREAM_SUFFIX])
    jobs = [Job(source, STANDARD_STREAM) for source in found.paths]
    kinds = {"table": _line if _fits(found.paths) else _block, "csv": _csv, "jsonl": _json}
    first = True

    def done(report: Report, job: Job, description: StreamInfo) -> None:
        nonlocal first
        say(kinds[form](job.source, description, first))
        first = False

    see_through(jobs, one_by_one(jobs, lambda job: info(read_stream(job.source))), "reading", done)


COLUMNS: dict[str, tuple[str, Callable[[StreamInfo], str]]] = {
    "bytes": (">10", lambda found: f"{found.file_bytes:,}"),
    "pixels": (">11", lambda found: f"{found.width}x{found.height}"),
    "bpp": (">6", lambda found: f"{found.bits_per_pixel:.3f}"),
    "quality": (">7", lambda found: f"{found.quality:+d}"),
    "reached": ("<34", lambda found: found.reached),
    "coarse": (">11", lambda found: _end(found.segments[1])),
    "intermediate": (">12", lambda found: _end(found.segments[2])),
    "fine": (">12", lambda found: _end(found.segments[3])),
    "checked": ("<7", lambda found: _checked(found)),
    "model": ("<8", lambda found: found.fingerprint),
}
"""Of the table: what each is called, how it is set, and what it tells."""
HEADING = "  ".join(f"{name:{setting}}" for name, (setting, _) in COLUMNS.items()) + "  file"


def _fits(sources: list[str]) -> bool:
    """Whether the table fits the terminal."""
    width = terminal_width()
    longest = max((len(show(source)) for source in sources), default=0)
    return width is None or len(HEADING) - len("file") + longest <= width


def _line(source: str, description: StreamInfo, first: bool) -> str:
    cells = [f"{tell(description):{setting}}" for setting, tell in COLUMNS.values()]
    line = "  ".join([*cells, show(source)])
    return f"{HEADING}\n{line}" if first else line


def _block(source: str, description: StreamInfo, first: bool) -> str:
    width = max(map(len, COLUMNS))
    lines = [f"  {name:<{width}}  {tell(description)}" for name, (_, tell) in COLUMNS.items()]
    return "\n".join([*([] if first else [""]), show(source), *lines])


def _csv(source: str, description: StreamInfo, first: bool) -> str:
    record = {"file": source, **description.to_dict()}
    line = csv_line(record.values())
    return f"{csv_line(record)}\n{line}" if first else line


def _json(source: str, description: StreamInfo, first: bool) -> str:
    return json_line({"file": source, **description.to_dict()})


def _end(segment: SegmentInfo) -> str:
    """Where a level ends, in bytes; in brackets where the file is cut before; "-" if unknown."""
    if segment.end is None:
        return "-"
    return f"{segment.end:,}" if segment.complete else f"({segment.end:,})"


def _checked(description: StreamInfo) -> str:
    if not description.checksums:
        return "off"
    whole = [segment.verified for segment in description.segments if segment.complete]
    return ("yes" if all(whole) else "partly") if whole else "none"
