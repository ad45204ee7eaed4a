"""Structures of the ground states, to be turned in the browser: the atoms around each defect, and their bonds."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from itertools import product

import ase.io
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from defectscape.report.names import key_text
from defectscape.summary.schema import Summary

logger = logging.getLogger(__name__)

RADIUS_A = 6.0
"""Atoms further from the defect's site are not drawn."""

BOND = 1.2
"""Atoms closer than this times the sum of their covalent radii are joined."""


@dataclass(frozen=True)
class StructureView:
    """One drawing.

    Attributes:
        caption: which ground state, and what it holds.
        data: atoms (element's number in the list, x, y, z in A from the site), bonds, elements, as JSON.
        atoms: how many are drawn.
    """

    caption: str
    data: str
    atoms: int


def structure_views(summary: Summary, geometries: Mapping[str, str]) -> tuple[StructureView, ...]:
    """A drawing of every ground state whose geometry is at hand."""
    found = []
    for row in summary.defects:
        text = geometries.get(row.geometry_file)
        if text is None or len(row.site_frac) != 3:
            continue
        try:
            atoms = ase.io.read(StringIO(text), format="vasp")
        except (ValueError, IndexError, KeyError, OSError, RuntimeError) as error:
            logger.warning("%s cannot be drawn: %s", row.geometry_file, error)
            continue
        assert isinstance(atoms, Atoms)
        words = f"{row.found.name}. {row.found.sentence}" if row.found else row.distortion
        caption = f"{key_text(row.defect, row.charge)}: {words}"
        found.append(_view(caption, atoms, np.array(row.site_frac)))
    return tuple(found)


def _view(caption: str, atoms: Atoms, site_frac: np.ndarray) -> StructureView:
    cell = np.asarray(atoms.cell)
    shifts = np.array(list(product((-1, 0, 1), repeat=3))) @ cell
    away = (atoms.positions[None] + shifts[:, None]).reshape(-1, 3) - site_frac @ cell
    numbers = np.tile(atoms.numbers, len(shifts))
    near = np.linalg.norm(away, axis=1) < RADIUS_A
    away, numbers = away[near], numbers[near]
    elements = sorted(set(numbers.tolist()))
    distances = np.linalg.norm(away[:, None] - away[None], axis=2)
    reach = BOND * (covalent_radii[numbers][:, None] + covalent_radii[numbers][None])
    first, second = np.nonzero(np.triu(distances < reach, k=1))
    content = {
        "reach": RADIUS_A,
        "elements": [
            {
                "name": chemical_symbols[n],
                "colour": "#" + "".join(f"{round(255 * v):02x}" for v in jmol_colors[n]),
                "radius": round(0.45 * float(covalent_radii[n]), 2),
            }
            for n in elements
        ],
        "atoms": [
            [elements.index(int(n)), *(round(float(v), 2) for v in position)]
            for n, position in zip(numbers, away, strict=True)
        ],
        "bonds": np.stack([first, second], axis=1).tolist(),
    }
    return StructureView(caption, json.dumps(content), len(numbers))
