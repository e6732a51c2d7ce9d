"""The ``progcodec`` command.

Each command parses, calls the library, prints; one line and an exit code for every error.

    inputs.py    which files a command works on, and where their results go
    files.py     what goes in and what comes out: standard streams, safe writing
    options.py   options that several commands share
    engine.py    one operation on many inputs: files here, or shards over a Ray cluster
    report.py    outcomes of many inputs, failures at the end; messages.py: lines, a bar
    stdin.py     standard input while it arrives
    encode.py, decode.py, truncate.py, info.py, view.py, demo.py, hierarchy.py
    classify.py  what it finds is printed by sheet.py, in the forms of answers.py
    laboratory.py  imports a command when it is asked for, and knows those of ``lab/``

Nothing here imports torch, numpy or Pillow before a command that needs them runs, and torch only
once an input is ready.
"""

import sys
import warnings
from typing import Any

import click

from progcodec import __version__
from progcodec.cli.laboratory import LazyGroup, commands
from progcodec.cli.messages import complain, expected, reason
from progcodec.errors import PictureWarning

OWN = ("encode", "decode", "truncate", "info", "classify", "view", "demo", "hierarchy")
"""The product's commands, in the order of use; each in a file of its name."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""


class Program(LazyGroup):
    """A group whose expected errors end in one line on stderr and exit code 1."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            complain(None, "interrupted")
            context.exit(INTERRUPTED)
        except Exception as error:
            if not expected(error):
                raise
            complain(None, reason(error))
            context.exit(1)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                if not sys.warnoptions:  # Libraries tell of odd files in lines without their names.
                    warnings.simplefilter("ignore")
                    warnings.simplefilter("always", PictureWarning)
                    warnings.showwarning = lambda text, *place: complain(None, str(text))
                return super().main(*args, **kwargs)
        except OSError as error:  # Help and usage messages are printed outside of invoke().
            complain(None, reason(error))
            sys.exit(1)


@click.group(
    cls=Program,
    places={name: f"{__name__}.{name}:{name}_command" for name in OWN} | commands(),
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="progcodec")
def main() -> None:
    """Progressive image compression: one .shc file, and any cut of it decodes.

    \b
    progcodec encode photo.jpg                  writes photo.shc
    progcodec truncate photo.shc --bytes 2000   writes photo.2000B.shc, its first 2000 bytes
    progcodec decode photo.2000B.shc            writes photo.2000B.png
    progcodec demo                              shows it all in one picture

    Inputs are files, folders (the fitting files directly inside; at any depth with --recursive),
    globs ("**" reaches into folders) and lists of files; "-" is a standard stream. Nothing is
    overwritten without --force. Exit code: 0 all done, 1 some input failed, 2 wrong usage.

    Tab completion for bash: eval "$(_PROGCODEC_COMPLETE=bash_source progcodec)"; zsh_source and
    fish_source likewise.
    """
