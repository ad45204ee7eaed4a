"""Consent to model files that run when they are read.

A study from somebody else may name a foundation model, which is a pickle: reading it runs whatever
its writer put there. So a file is read only after its user has said, once, that it is trusted. What
is kept is the hash of its content, in the user's own folder, where no study can write it.
"""

import hashlib
import os
from pathlib import Path

from defectscape.domain.errors import ModelError


def trust_list() -> Path:
    """The user's list: one hash and one path per line."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "defectscape" / "trusted_models.txt"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits.

    Raises:
        ModelError: if it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        remedy = "Give a file that is there and can be read"
        raise ModelError("model file", f"{path}: {error.strerror}", remedy) from error


def trust(path: Path) -> str:
    """Note that a file is trusted; its hash.

    Raises:
        ModelError: if it cannot be read.
    """
    digest = file_hash(path)
    if digest not in _known():
        target = trust_list()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as stream:
            stream.write(f"{digest}  {path.resolve()}\n")
    return digest


def check_trusted(path: Path) -> None:
    """Refuse a file whose content its user has not trusted.

    Raises:
        ModelError: naming the command that does.
    """
    if file_hash(path) not in _known():
        raise ModelError(
            "model file",
            f"{path} is a pickle, which runs when it is read",
            f"If you trust where it comes from: `defectscape trust {path}`",
        )


def _known() -> set[str]:
    try:
        lines = trust_list().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    return {line.split()[0] for line in lines if line.strip()}
