"""Files and bytes that tests are fed with."""

import io
import tarfile

from PIL import Image


def file_of(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """A picture's file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def tar_of(*members: tuple[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 7
            tar.addfile(header, io.BytesIO(data))
    return file.getvalue()


def flipped(data: bytes, at: int, mask: int = 1) -> bytes:
    """With other bits in one byte."""
    changed = bytearray(data)
    changed[at] ^= mask
    return bytes(changed)
