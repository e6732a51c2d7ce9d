"""The ``progcodec`` command. Each command parses, calls the library, prints; one line and an exit code for every error.

    inputs.py    which files a command works on, and where their results go
    files.py     what goes in and what comes out: standard streams, safe writing
    messages.py  lines about outputs, errors and progress
    many.py      one operation on many files, by progcodec.fleet; finished outputs skipped
    cluster.py   the same on shards, over a Ray cluster
    options.py   options that several commands share
    coding.py    encode, decode
    streams.py   truncate, info
    classify.py  classify; models.py finds what it needs, answers.py prints what it finds
    stdin.py     standard input while it arrives
    view.py      view
    demo.py      demo
    hierarchy.py hierarchy show
    laboratory.py  finds the commands of ``lab/``: train, export, train-classifier, ablate, evaluate, hierarchy build

Nothing here imports torch, numpy or Pillow before a command that needs them runs.
"""

import sys
from typing import Any

import click

from progcodec import __version__
from progcodec.cli.classify import classify_command
from progcodec.cli.coding import decode_command, encode_command
from progcodec.cli.demo import demo_command
from progcodec.cli.hierarchy import hierarchy_command
from progcodec.cli.laboratory import WithLaboratory
from progcodec.cli.messages import EXPECTED_ERRORS, complain, reason
from progcodec.cli.streams import info_command, truncate_command
from progcodec.cli.view import view_command

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""


class Program(WithLaboratory):
    """A group whose expected errors end in one line on stderr and exit code 1, never in a traceback."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            complain(None, "interrupted")
            context.exit(INTERRUPTED)
        except EXPECTED_ERRORS as error:
            complain(None, reason(error))
            context.exit(1)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:  # Help and usage messages are printed outside of invoke().
            complain(None, reason(error))
            sys.exit(1)


@click.group(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="progcodec")
def main() -> None:
    """Progressive image compression: one .shc file, and any cut of it decodes.

    \b
    progcodec encode photo.jpg                  writes photo.shc
    progcodec truncate photo.shc --bytes 2000   writes photo.2000B.shc, its first 2000 bytes
    progcodec decode photo.2000B.shc            writes photo.2000B.png
    progcodec demo                              shows it all in one picture

    Inputs are files, folders (the fitting files directly inside; at any depth with --recursive), globs ("**" reaches
    into folders) and lists of files; "-" is a standard stream. Nothing is overwritten without --force. Exit code: 0 all done, 1 some input failed, 2 wrong usage.

    Tab completion for bash: eval "$(_PROGCODEC_COMPLETE=bash_source progcodec)"; zsh_source and fish_source likewise.
    """


for _command in (
    encode_command,
    decode_command,
    truncate_command,
    info_command,
    classify_command,
    view_command,
    demo_command,
    hierarchy_command,
):
    main.add_command(_command)
