"""Which outputs of a folder are finished: proven by fingerprints, never by times.

Beside the outputs lies ``.progcodec-journal``, one JSON line for each output that was written::

    {"output": "cat.shc", "made_of": "9f2c...", "sha256": "51ab..."}

``made_of`` is the SHA-256 over what is done, every option and the model fingerprint that decide the
bytes, and the SHA-256 of the input's content. ``sha256`` is that of the output. An output is
*finished* if a line has what it would be made of now, and the file still has the content that this
line says. Both are computed from the files as they are: so a changed picture, another option,
another model, or an output that was edited, cut or replaced is made again; a copied or touched file
is not.

A line is written before its output gets its name. So there may be a line too many when a program
was killed, and it proves nothing; but there is no output that no line knows, and
:meth:`Journal.wrote` tells those of earlier runs, which may be replaced, from files of other
origin, which may not. (Lines are not forced to the disk: a power cut can lose the last ones, and
their outputs then pass for files of other origin.)
"""

import contextlib
import hashlib
import json
import os
import threading

from progcodec.files import append_line, open_plain

NAME = ".progcodec-journal"


def made_of(signature: dict[str, object], data: bytes) -> str:
    """What an output is made of: an operation with its options, and an input's content."""
    content = {"operation": signature, "input": hashlib.sha256(data).hexdigest()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Journal:
    """The journal of one folder, for several threads; several programs may add to it."""

    def __init__(self, folder: str) -> None:
        """Reads what is there; damaged lines count as none. Writes nothing yet."""
        self.path = os.path.join(folder, NAME)
        self._known: dict[str, set[tuple[str, str]]] = {}
        self._lock = threading.Lock()
        self._torn = False
        content = b""
        with contextlib.suppress(OSError), open_plain(self.path) as file:
            content = file.read()
        for line in content.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                self._known.setdefault(entry["output"], set()).add(
                    (str(entry["made_of"]), str(entry["sha256"]))
                )
        self._torn = bool(content) and not content.endswith(b"\n")

    def wrote(self, output: str, made_of: str | None = None) -> bool:
        """Whether this output of the folder is as a run that kept this journal wrote it, and, if
        that is given, made of just that.
        """
        entries = self._known.get(os.path.basename(output), set())
        digests = {digest for source, digest in entries if made_of in (None, source)}
        return bool(digests) and _digest_of(output) in digests

    def note(self, output: str, made_of: str, data: bytes) -> None:
        """Add a line about an output that is about to be written. Raises OSError."""
        name, digest = os.path.basename(output), hashlib.sha256(data).hexdigest()
        entry = {"output": name, "made_of": made_of, "sha256": digest}
        with self._lock:
            mend = b"\n" if self._torn else b""
            append_line(self.path, mend + json.dumps(entry).encode())
            self._torn = False
            self._known.setdefault(name, set()).add((made_of, digest))


def _digest_of(path: str) -> str | None:
    try:
        with open_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
