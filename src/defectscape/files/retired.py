"""Fields that tables of earlier versions have and nothing reads any more: a table with them is still read."""

from typing import Any

RETIRED = frozenset({"point_group", "rmsd_to_unperturbed_A"})
"""Of sites and minima, also of the minimum inside a verified one."""


def without_retired(item: Any) -> Any:
    """Plain JSON data without retired fields, at any depth."""
    if isinstance(item, dict):
        return {name: without_retired(value) for name, value in item.items() if name not in RETIRED}
    return item
