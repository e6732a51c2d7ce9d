"""Other codecs as peers, each at its best, with nothing in its files that need not be there.

base.py       what a peer is
jpeg.py       JPEG
jpeg2000.py   JPEG 2000
modern.py     WebP, AVIF, JPEG XL

To add one, write its class and list it here.
"""

from typing import NamedTuple

from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.peers.base import Peer
from progcodec.lab.evaluate.peers.jpeg import Jpeg
from progcodec.lab.evaluate.peers.jpeg2000 import Jpeg2000
from progcodec.lab.evaluate.peers.modern import Avif, JpegXl, WebP

PEERS: dict[str, Peer] = {peer.key: peer for peer in (Jpeg(), Jpeg2000(), WebP(), Avif(), JpegXl())}
ALL, NONE = "all", "none"


class Choice(NamedTuple):
    peers: tuple[Peer, ...]
    missing: tuple[str, ...]
    """One line for each that was asked for and is not installed: its name, and why."""


def choose(names: str) -> Choice:
    """Peers by their keys, ``"jpeg,webp"``; ``"all"``; ``"none"``.

    Raises EvaluationError on others.
    """
    asked = [name.strip() for name in names.split(",") if name.strip() not in ("", NONE)]
    keys = [key for name in asked for key in (PEERS if name == ALL else [name])]
    there: list[Peer] = []
    missing: list[str] = []
    for key in dict.fromkeys(keys):
        if key not in PEERS:
            known = ", ".join([*PEERS, ALL, NONE])
            raise EvaluationError(f"there is no peer {key!r}; there are: {known}")
        try:
            PEERS[key].library()
            there.append(PEERS[key])
        except EvaluationError as error:
            missing.append(f"{PEERS[key].name}: {error}")
    return Choice(tuple(there), tuple(missing))
