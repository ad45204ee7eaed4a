"""Atomic writing of text files: a reader sees the old file or the new one, never a half."""

import gzip
import lzma
import os
import tempfile
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a temporary file beside ``path``, flush it to disk, rename it.

    A name that ends in ``.xz`` or ``.gz`` is compressed, the same text to the same bytes.
    """
    content = text.encode("utf-8")
    if path.suffix == ".xz":
        content = lzma.compress(content, preset=9)
    elif path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    _write_bytes(path, content)


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
