"""ICC profiles, written from their specification, and what colours they mean."""

import struct

import numpy as np

SRGB_TO_XYZ = np.array(  # of D50, as profiles have it
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
WIDE_TO_XYZ = np.array(  # the primaries of Adobe RGB (1998)
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
WHITE = np.array([0.9642, 1.0, 0.8249])
GAMMA = 2.25
INK_LAB = {0: (100.0, 0.0, 0.0), 1: (60.0, -24.0, -28.0), 8: (12.0, 0.0, 0.0)}
"""CIELAB of paper, of cyan alone and of black alone."""


def wide_rgb() -> bytes:
    columns = {name: _xyz(column) for name, column in zip(("rXYZ", "gXYZ", "bXYZ"), WIDE_TO_XYZ.T)}
    return _profile(
        "mntr", "RGB ", "XYZ ", {**columns, **dict.fromkeys(("rTRC", "gTRC", "bTRC"), _gamma())}
    )


def grey() -> bytes:
    return _profile("mntr", "GRAY", "XYZ ", {"kTRC": _gamma()})


def inks() -> bytes:
    """CMYK, of two levels an ink; what INK_LAB does not tell is mid grey."""
    corners = [INK_LAB.get(_inks_of(place), (50.0, 0.0, 0.0)) for place in range(16)]
    table = bytes(round(v) for L, a, b in corners for v in (L * 2.55, a + 128, b + 128))
    ramp = bytes(range(256))
    head = struct.pack(">4s4x4B9i", b"mft1", 4, 3, 2, 0, *(65536 * (n % 4 == 0) for n in range(9)))
    return _profile("prtr", "CMYK", "Lab ", {"A2B0": head + 4 * ramp + table + 3 * ramp})


def wide_as_srgb(rgb: tuple[int, int, int]) -> np.ndarray:
    return _encoded(np.linalg.inv(SRGB_TO_XYZ) @ WIDE_TO_XYZ @ (np.array(rgb) / 255) ** GAMMA)


def grey_as_srgb(value: int) -> float:
    return float(_encoded(np.array((value / 255) ** GAMMA)))


def lab_as_srgb(lab: tuple[float, float, float]) -> np.ndarray:
    y = (lab[0] + 16) / 116
    f = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    xyz = WHITE * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return _encoded(np.linalg.inv(SRGB_TO_XYZ) @ xyz)


def _encoded(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _inks_of(place: int) -> int:
    """Bits of cyan, magenta, yellow, black (1, 2, 4, 8) of a corner; the last ink runs fastest."""
    return int(f"{place:04b}"[::-1], 2)


def _profile(kind: str, space: str, connection: str, tags: dict[str, bytes]) -> bytes:
    tags = {"wtpt": _xyz(WHITE), **tags}
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name.encode(), start + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x12s",
        start + len(body), 0x02400000, kind.encode(), space.encode(), connection.encode(), b"acsp",
        _xyz(WHITE)[8:],
    )  # fmt: skip
    return head.ljust(128, b"\0") + table + body


def _xyz(values: np.ndarray) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * value) for value in values))


def _gamma() -> bytes:
    return struct.pack(">4s4xIH", b"curv", 1, round(256 * GAMMA))
