"""Tables as JSON: hosts, sites, relaxations, minima and verified minima, floats exact.

A table is ``{"content": ..., "items": [...]}``. Dataclasses are written field by field and built
again from their type hints, so a new field needs no change here, and a table that lacks a field
is refused. Floats that are not finite (the energy of a relaxation that failed) are ``null``.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from defectscape.domain.errors import DefectscapeError, StoreError
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.retired import without_retired
from defectscape.files.text import write_text

T = TypeVar("T")


def write_json(path: Path, obj: object) -> None:
    """Write plain data, arrays and dataclasses as JSON, atomically; non-finite floats are null."""
    write_text(path, json.dumps(encode(obj), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file as plain data.

    Raises:
        StoreError: if there is no such file or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(str(path), "no such file", "Run the step that writes it") from error
    except ValueError as error:
        remedy = "Delete it and run its step again"
        raise StoreError(str(path), f"not JSON ({error})", remedy) from error


def encode(value: object) -> Any:
    """Plain JSON data of a value: dataclasses by field, arrays and tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return encode(value.value)
    if isinstance(value, np.ndarray | np.generic):
        return encode(value.tolist())
    if isinstance(value, dict):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def decode(kind: Any, data: Any) -> Any:
    """Build a value of the type ``kind`` from what ``encode`` made of it.

    Raises:
        KeyError, TypeError, ValueError: if the data are not those of the type.
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_fields(kind, data)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [item for item in arguments if item is not type(None)]
        return None if data is None else decode(inner, data)
    if origin is typing.Literal:
        if data not in arguments:
            raise ValueError(f"{data!r} is not one of {arguments}")
        return data
    if kind is np.ndarray:
        return np.array([np.nan if item is None else item for item in data])
    if origin is np.ndarray:
        dtype = typing.get_args(arguments[1])[0]
        if issubclass(dtype, np.floating) and any(item is None for item in data):
            data = [np.nan if item is None else item for item in data]
        return np.array(data, dtype=dtype)
    if origin is tuple:
        if arguments[-1] is not ...:
            return tuple(decode(item, part) for item, part in zip(arguments, data, strict=True))
        return tuple(decode(arguments[0], part) for part in data)
    if kind is float:
        return math.nan if data is None else float(data)
    if issubclass(kind, Enum):
        return kind(data)
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is not of type {kind.__name__}")
    return data


def _decode_fields(kind: type, data: Any) -> Any:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    if set(data) != set(names):
        raise KeyError(f"fields of {kind.__name__}: {sorted(set(data) ^ set(names))}")
    return kind(**{name: decode(hints[name], data[name]) for name in names})


def save_host(path: Path, host: HostCrystal) -> None:
    """Write the host crystal."""
    _save(path, "host", [host])


def load_host_file(path: Path) -> HostCrystal:
    """Read the host crystal. Raises StoreError if the file is not one."""
    (host,) = _load(path, "host", HostCrystal)
    return host


def save_sites(path: Path, sites: Sequence[DefectSite]) -> None:
    """Write the site table."""
    _save(path, "sites", sites)


def load_sites(path: Path) -> tuple[DefectSite, ...]:
    """Read the site table. Raises StoreError if the file is not one."""
    return _load(path, "sites", DefectSite)


def save_relaxations(path: Path, relaxations: Sequence[Relaxation]) -> None:
    """Write relaxations, failed ones included."""
    _save(path, "relaxations", relaxations)


def load_relaxations(path: Path) -> tuple[Relaxation, ...]:
    """Read relaxations. Raises StoreError if the file does not hold them."""
    return _load(path, "relaxations", Relaxation)


def save_minima(path: Path, minima: Sequence[Minimum]) -> None:
    """Write minima."""
    _save(path, "minima", minima)


def load_minima(path: Path) -> tuple[Minimum, ...]:
    """Read minima. Raises StoreError if the file does not hold them."""
    return _load(path, "minima", Minimum)


def save_verified(path: Path, verified: Sequence[VerifiedMinimum]) -> None:
    """Write verified minima."""
    _save(path, "verified minima", verified)


def load_verified(path: Path) -> tuple[VerifiedMinimum, ...]:
    """Read verified minima. Raises StoreError if the file does not hold them."""
    return _load(path, "verified minima", VerifiedMinimum)


def _save(path: Path, content: str, items: Sequence[object]) -> None:
    """One item per line: the large ones (frames) stay compact, and the file can be compared."""
    lines = ",\n".join(json.dumps(encode(item), allow_nan=False) for item in items)
    write_text(path, f'{{"content": {json.dumps(content)}, "items": [\n{lines}\n]}}\n')


def _load(path: Path, content: str, kind: type[T]) -> tuple[T, ...]:
    data = read_json(path)
    found = data.get("content") if isinstance(data, dict) else type(data).__name__
    if found != content:
        raise StoreError(str(path), f"holds {found}", f"Give a file that holds {content}")
    try:
        return tuple(decode(kind, without_retired(item)) for item in data["items"])
    except (KeyError, TypeError, ValueError, DefectscapeError) as error:
        raise StoreError(
            str(path), f"{content} cannot be read ({error})", "Delete it and run its step again"
        ) from error
