"""Tables as JSON: hosts, sites, relaxations, minima and verified minima.

A table is ``{"content": ..., "items": [...]}``; its items are encoded by ``codec``. A table of an earlier version may
have fields that nothing reads any more.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from defectscape.domain.errors import DefectscapeError, StoreError
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.codec import decode, encode
from defectscape.files.text import write_text

T = TypeVar("T")
RETIRED = frozenset({"point_group", "rmsd_to_unperturbed_A"})
"""Fields of sites and minima of earlier versions, also of the minimum inside a verified one."""


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


def save_host(path: Path, host: HostCrystal) -> None:
    """Write the host crystal."""
    _save(path, "host", [host])


def load_host_file(path: Path) -> HostCrystal:
    """Read the host crystal. Raises StoreError if the file is not one."""
    (host,) = _load(path, "host", HostCrystal)
    return host


def save_sites(path: Path, sites: Sequence[DefectSite]) -> None:
    """Write the site table; a point defect has no partners to tell of."""
    plain = [encode(site) for site in sites]
    _save(path, "sites", [{k: v for k, v in site.items() if k != "partners" or v} for site in plain])


def load_sites(path: Path) -> tuple[DefectSite, ...]:
    """Read the site table. Raises StoreError if the file is not one."""
    return _load(path, "sites", DefectSite, {"partners": []})


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


def _load(path: Path, content: str, kind: type[T], absent: Mapping[str, Any] = MappingProxyType({})) -> tuple[T, ...]:
    """The items of a table; ``absent`` are fields that they may lack, with their values."""
    data = read_json(path)
    found = data.get("content") if isinstance(data, dict) else type(data).__name__
    if found != content:
        raise StoreError(str(path), f"holds {found}", f"Give a file that holds {content}")
    try:
        return tuple(decode(kind, {**absent, **without_retired(item)}) for item in data["items"])
    except (KeyError, TypeError, ValueError, DefectscapeError) as error:
        raise StoreError(
            str(path), f"{content} cannot be read ({error})", "Delete it and run its step again"
        ) from error


def without_retired(item: Any) -> Any:
    """Plain JSON data without retired fields, at any depth."""
    if isinstance(item, dict):
        return {name: without_retired(value) for name, value in item.items() if name not in RETIRED}
    return item
