"""Effort: one word that sets how much is sampled, labelled, searched, verified and trained.

``quick`` is what the default study takes: minutes with the embedded engine. ``standard`` is what the antimony
vacancy of Sb2Se3 was computed with (``config/examples/sb2se3_dft.yaml``), verified for longer. ``thorough`` goes
further in every respect. Lengths follow the crystal: they are fractions of the host's bond length or of covalent radii.
"""

from copy import deepcopy
from typing import Any, Literal, get_args

Effort = Literal["quick", "standard", "thorough"]
DEFAULT_EFFORT: Effort = "standard"

PROPOSED: dict[str, Any] = {
    "seed": 1,
    "label_store": "labels",
    "label_jobs": 2,
    "host": {"supercell": {"min_image_distance_A": 10.0}, "relax": "none"},
}
"""What is the same for every effort. A study that leaves it out has it as if it were written."""

_NETWORK: dict[str, Any] = {"committee": 2, "learning_rate": 0.01, "dtype": "float32"}
_SMALL = {**_NETWORK, "channels": 16, "batch_size": 5}
_MEDIUM = {**_NETWORK, "channels": 32, "batch_size": 2, "ema_decay": 0.995, "validate_every": 200}
_LARGE = {**_MEDIUM, "channels": 64, "max_ell": 3}
_BY_RADII: dict[str, Any] = {"shortest_distance_A": None}

EFFORTS: dict[Effort, dict[str, Any]] = {
    "quick": {
        "sampling": {
            "bond_distortions": [-0.4, -0.2, 0.2, 0.4],
            "relaxed_toward": [0.3],
            "test_fraction": 0.1,
            "valid_fraction": 0.1,
        },
        "selection": {"initial_per_charge": 10, "test_per_charge": 4, "per_charge_per_round": 5},
        "exploration": {
            "rounds": 2,
            "training": {**_SMALL, "steps": 400, "patience": 6, "warm_start": True},
            "search": {"fmax_eV_A": 0.05, "max_steps": 80, "cross_seeds_per_charge": 1, **_BY_RADII},
        },
        "search": {"fmax_eV_A": 0.02, "max_steps": 200, "cross_seeds_per_charge": 2, **_BY_RADII},
        "verification": {"minima_per_charge": 2, "relax_steps": 8, "fmax_eV_A": 0.05},
        "training": {**_SMALL, "steps": 1500, "patience": 8},
    },
    "standard": {
        "sampling": {
            "bond_distortions": [-0.4, -0.25, -0.15, 0.15, 0.3],
            "relaxed_toward": [0.4],
            "relaxed_starts": 3,
            "relaxation_steps": 16,
            "test_fraction": 0.12,
            "valid_fraction": 0.12,
        },
        "selection": {
            "initial_per_charge": 12,
            "test_per_charge": 4,
            "per_charge_per_round": 3,
            "low_per_charge_per_round": 8,
            "low_relaxed_minima": 2,
            "low_relaxation_steps": 12,
        },
        "exploration": {
            "rounds": 2,
            "training": {**_MEDIUM, "steps": 4000, "patience": 10, "warm_start": True},
            "search": {
                **_BY_RADII,
                "fmax_eV_A": 0.05,
                "max_steps": 120,
                "max_force_std_eV_A": 0.3,
                "cross_seeds_per_charge": 1,
            },
        },
        "search": {"fmax_eV_A": 0.02, "max_steps": 300, "cross_seeds_per_charge": 2, **_BY_RADII},
        "verification": {"minima_per_charge": 1, "relax_steps": 8, "fmax_eV_A": 0.05},
        "training": {**_MEDIUM, "steps": 12000, "patience": 30},
    },
    "thorough": {
        "sampling": {
            "bond_distortions": [-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            "split_vacancies": 2,
            "off_centre": 0.3,
            "relaxed_toward": [0.3, 0.6],
            "relaxed_starts": 5,
            "relaxation_steps": 20,
            "test_fraction": 0.12,
            "valid_fraction": 0.12,
        },
        "selection": {
            "initial_per_charge": 20,
            "test_per_charge": 6,
            "per_charge_per_round": 5,
            "low_per_charge_per_round": 12,
            "low_relaxed_minima": 3,
            "low_relaxation_steps": 15,
        },
        "exploration": {
            "rounds": 3,
            "training": {**_LARGE, "steps": 8000, "patience": 15, "warm_start": True},
            "search": {
                **_BY_RADII,
                "fmax_eV_A": 0.03,
                "max_steps": 200,
                "max_force_std_eV_A": 0.3,
                "cross_seeds_per_charge": 2,
            },
        },
        "search": {
            **_BY_RADII,
            "fmax_eV_A": 0.01,
            "max_steps": 500,
            "cross_seeds_per_charge": 3,
            "dynamics": {"temperature_K": 600.0, "steps": 1000, "snapshots": 5},
        },
        "verification": {"minima_per_charge": 2, "most_per_charge": 24, "relax_steps": 8, "fmax_eV_A": 0.03},
        "training": {**_LARGE, "steps": 30000, "patience": 40},
    },
}
"""What each effort gives, as it would be written in a study."""

SECTIONS = tuple(EFFORTS[DEFAULT_EFFORT])
"""The sections that an effort gives."""


def with_effort(given: dict[str, Any]) -> dict[str, Any]:
    """A study's plain data with what its effort gives; every key that is given stays as it is.

    A study of all six sections and no effort says all that matters itself: what it leaves out in them has the
    default of its key, as before there were efforts.
    """
    effort = given.get("effort")
    if effort is None and any(section not in given for section in SECTIONS):
        effort = DEFAULT_EFFORT
    known = isinstance(effort, str) and effort in get_args(Effort)
    base = {**PROPOSED, **({"effort": effort, **EFFORTS[effort]} if known else {})}  # type: ignore[index]
    return _merged(base, given)


def proposed(where: str) -> dict[str, Any]:
    """What is given for a key that a study leaves out, by effort; an effort that leaves it to its default is not there.

    Args:
        where: dotted name of the key.
    """
    found: dict[str, Any] = {}
    for effort, sections in EFFORTS.items():
        value: Any = {**PROPOSED, **sections}
        for part in where.split("."):
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
        else:
            found[effort] = value
    return found


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Two mappings as one, with the keys of ``given`` over those of ``base`` at every depth, and before them."""
    merged = {}
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged | {key: deepcopy(value) for key, value in base.items() if key not in given}
