"""Other codecs as peers: each with what its own library offers, and nothing in its file that need not be there.

base.py       what a peer is
jpeg.py       JPEG
jpeg2000.py   JPEG 2000
modern.py     WebP, AVIF, JPEG XL
learned.py    compressai's models, with weights from the user's files

To add one, write its class and list it here.
"""

from typing import NamedTuple

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.peers.base import Peer
from progcodec.lab.evaluate.peers.jpeg import Jpeg
from progcodec.lab.evaluate.peers.jpeg2000 import Jpeg2000
from progcodec.lab.evaluate.peers.learned import PREFIX, learned
from progcodec.lab.evaluate.peers.modern import Avif, JpegXl, WebP

PEERS: dict[str, Peer] = {peer.key: peer for peer in (Jpeg(), Jpeg2000(), WebP(), Avif(), JpegXl())}
"""Those that need no files of the user's."""
ALL, NONE = "all", "none"


class Choice(NamedTuple):
    peers: tuple[Peer, ...]
    missing: tuple[str, ...]
    """One line for each that was asked for and is not installed: its name, and why."""


def choose(names: str) -> Choice:
    """Peers by their keys, ``"jpeg,webp"``; ``"all"``; ``"none"``; ``compressai:MODEL@FILE`` beside or instead of these.

    "all" is all that need no file. Raises EvaluationError on a name that is none, and on files that do not fit.
    """
    asked = [name.strip() for name in names.split(",") if name.strip() not in ("", NONE)]
    keys = [key for name in asked for key in (PEERS if name == ALL else [name])]
    there: list[Peer] = []
    missing: list[str] = []
    for peer in map(peer_of, dict.fromkeys(keys)):
        try:
            peer.version()
            there.append(peer)
        except (ImportError, EvaluationError) as error:
            missing.append(f"{peer.name}: {error}")
    return Choice(tuple(there), tuple(missing))


def peer_of(key: str) -> Peer:
    """A peer by its key, in any process. Raises EvaluationError if there is none of that key."""
    if key.startswith(PREFIX):
        return learned(key)
    if key not in PEERS:
        known = f"{', '.join(PEERS)}, {ALL}, {NONE}, {PREFIX}MODEL@FILE"
        raise EvaluationError(f"there is no peer {key!r}; there are: {known}")
    return PEERS[key]
