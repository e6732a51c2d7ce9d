"""``Image.open`` for ``.shc``."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from progcodec.bitstream.container import (
    CRC_SIZE,
    HEADER_ROOM,
    MAGIC,
    MAX_VARINT_SIZE,
    SEGMENT_NAMES,
    VERSION,
    Header,
    parse,
    parse_header,
    read_varint,
)
from progcodec.config import LEVELS
from progcodec.cut import Cut
from progcodec.errors import CorruptError, LimitError, ProgcodecError, WrongModelError
from progcodec.pillow.settings import CURRENT, FORMAT

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec

DRAFT_LEVELS = ((16, "coarse"), (4, "intermediate"))
"""From how many times fewer pixels a side on a level is enough for a draft: some 38 dB from the
shrunk originals (Kodak, shipped model).
"""


class ShcImageFile(ImageFile.ImageFile):
    """A ``.shc`` file, whole or cut, mode RGB.

    ``info`` holds, from the moment it is opened:
        ``bytes``: length of the file.
        ``levels``: names of the levels that are there entirely, a tuple.
        ``model``: fingerprint of the model that wrote it, hexadecimal.
        ``checksums``: whether damage can be told from picture.
        ``quality_step``: what it was encoded with, −7 to 7.
    """

    format = FORMAT
    format_description = "progcodec progressive image"

    # Defaults on the class, as Pillow makes unpickled images without _open().
    _header: Header | None = None
    _pending = False  # Pixels are still to be decoded.
    _ends: dict[str, int]
    _cut = Cut()
    _own_model: str | Path | None = None
    _own_device: str | None = None

    def _open(self) -> None:
        assert self.fp is not None
        try:
            header = parse_header(self.fp.read(HEADER_ROOM), CURRENT.max_pixels)
        except LimitError as error:
            told = f"{error} (progcodec.pillow.register sets it)"
            raise Image.DecompressionBombError(told) from error
        except ProgcodecError as error:
            # By this, Pillow knows that the file is none of ours.
            raise SyntaxError(str(error)) from error
        size = self.fp.seek(0, os.SEEK_END)
        segments = list(_walk(self.fp, header, size))
        levels = tuple(
            name for name, payload_end, _ in segments if name in LEVELS and payload_end <= size
        )
        self._header = header
        self._pending = True
        self._ends = {name: min(end, size) for name, _, end in segments}
        self._mode = "RGB"
        self._size = header.width, header.height
        self.tile = []  # Nothing for Pillow's own decoders. Its releases before 11 leave None here.
        self.info |= {"bytes": size, "levels": levels, "model": header.fingerprint.hex()}
        self.info |= {"checksums": header.checksums, "quality_step": header.quality}

    @property
    def level(self) -> str | None:
        """Use nothing beyond this level's end: "coarse", "intermediate", "fine"; None, the default,
        for all there is.

        To be set before the pixels are loaded: ValueError after that, and for a name that is no
        level. A file that was cut before the level's end gives what it holds.
        """
        return self._cut.level

    @level.setter
    def level(self, level: str | None) -> None:
        self._choose(Cut(level, self._cut.max_bytes))

    @property
    def max_bytes(self) -> int | None:
        """Use only that many first bytes; None: all. Goes with ``level``, and is set as it is."""
        return self._cut.max_bytes

    @max_bytes.setter
    def max_bytes(self, max_bytes: int | None) -> None:
        if max_bytes is not None and self._header is not None and max_bytes < self._header.size:
            raise ValueError(
                f"{max_bytes} bytes cannot hold the header of {self._header.size} bytes"
            )
        self._choose(Cut(self._cut.level, max_bytes))

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Chooses a level that is good enough for about ``size``, as ``Image.thumbnail`` asks:
        never more than was chosen before, nothing after loading. Size and mode stay.
        """
        if not self._pending or size is None or min(size) < 1:
            return None
        scale = min(self.width / size[0], self.height / size[1])
        enough = next((level for least, level in DRAFT_LEVELS if scale >= least), None)
        chosen = self.level or LEVELS[-1]
        if enough is None or LEVELS.index(chosen) <= LEVELS.index(enough):
            return None
        self.level = enough
        return self.mode, (0, 0, self.width, self.height)

    def load(self) -> Any:
        """Decodes, once. Raises OSError if the file is damaged or its model is not at hand."""
        if self._pending:
            fp = self._file()
            data = self._prefix(fp)
            try:
                picture = self._codec(data).decode(data, max_pixels=CURRENT.max_pixels)
            except WrongModelError as error:
                raise OSError(f"{error} (progcodec.pillow.register(model=...) does)") from error
            except ProgcodecError as error:
                raise OSError(f"cannot load this .shc file: {error}") from error
            self.im = picture.im
            self.readonly = 0
            self._pending = False
            if self._exclusive_fp:
                fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Checks all of the file without decoding it; raises OSError if it is damaged. Without
        checksums little can be found. As Pillow has it, the file must be opened again afterwards.
        """
        try:
            if self._pending:
                fp = self._file()
                fp.seek(0)
                parse(fp.read(), max_pixels=None)
        except ProgcodecError as error:
            raise OSError(f"broken .shc file: {error}") from error
        finally:
            super().verify()

    def _choose(self, cut: Cut) -> None:
        if cut != self._cut and not self._pending:
            raise ValueError(
                "the pixels are loaded already; open the file again to choose another part of it"
            )
        self._cut = cut

    def _file(self) -> IO[bytes]:
        if self.fp is None or self.fp.closed:
            raise ValueError("Operation on closed image")
        return self.fp

    def _prefix(self, fp: IO[bytes]) -> bytes:
        """The bytes that ``level`` and ``max_bytes`` select; no more than these are read."""
        level, limit, size = self._cut.level, self._cut.max_bytes, self.info["bytes"]
        fp.seek(0)
        return fp.read(min(self._ends.get(level or "", size), size if limit is None else limit))

    def _codec(self, data: bytes) -> "Codec":
        """The named model where it wrote the file, else the shipped one that did."""
        from progcodec.codec.loaded import codec_for

        model, device = self._own_model or CURRENT.model, self._own_device or CURRENT.device
        limit = CURRENT.max_pixels
        if model is not None:
            codec = codec_for(data, model=model, device=device, max_pixels=limit)
            if codec.fingerprint == parse_header(data, limit).fingerprint:
                return codec
        return codec_for(data, device=device, max_pixels=limit)


def accept(prefix: bytes) -> bool | str:
    if not prefix.startswith(MAGIC):
        return False
    if prefix[len(MAGIC) :][:1] not in (b"", bytes([VERSION])):
        version = f".shc version {prefix[len(MAGIC)]}"  # Pillow warns.
        return f"image file could not be identified because {version} is not known"
    return True


def _walk(fp: IO[bytes], header: Header, size: int) -> Iterator[tuple[str, int, int]]:
    """(name, payload's end, segment's end) of each segment whose length is there."""
    start = header.size
    for name in SEGMENT_NAMES:
        if start >= size:
            return
        fp.seek(start)
        try:
            declared, length_size = read_varint(fp.read(MAX_VARINT_SIZE), 0)
        except CorruptError:
            return  # Told when it is loaded, as Pillow's formats do.
        if declared is None:
            return
        payload_end = start + length_size + declared
        start = payload_end + (CRC_SIZE if header.checksums else 0)
        yield name, payload_end, start
