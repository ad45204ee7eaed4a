"""Text files, compressed where their name says so."""

import bz2
import gzip
import lzma
from pathlib import Path

from defectscape.files.atomic import write_bytes


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    A name that ends in ``.xz`` or ``.gz`` is compressed, the same text to the same bytes.
    """
    content = text.encode("utf-8")
    if path.suffix == ".xz":
        content = lzma.compress(content, preset=9)
    elif path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    write_bytes(path, content)


def read_text(path: Path) -> str:
    """The text of a file, unpacked as its name says.

    Raises:
        OSError, EOFError, lzma.LZMAError, zlib.error: if it cannot be read or unpacked.
    """
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
    elif path.suffix == ".gz":
        content = gzip.decompress(content)
    return content.decode("utf-8")


def unpacked(content: bytes) -> bytes:
    """What packed bytes hold, told from the bytes themselves: a name says little; others stay as they are.

    Raises:
        OSError, EOFError, lzma.LZMAError, zlib.error: if it cannot be unpacked.
    """
    for start, unpack in ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress), (b"\xfd7zXZ", lzma.decompress)):
        if content.startswith(start):
            return unpack(content)
    return content
