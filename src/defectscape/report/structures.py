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
from defectscape.report.tables.table import number
from defectscape.summary.schema import DefectSummary, Summary

logger = logging.getLogger(__name__)

RADIUS_A = 6.0
"""Atoms further from the defect's site are not drawn."""

BOND = 1.2
"""Atoms closer than this times the sum of their covalent radii are joined."""


@dataclass(frozen=True)
class StructureView:
    """One drawing.

    Attributes:
        title: which ground state.
        text: what it holds, in whole sentences.
        data: atoms (element's number in the list, x, y, z in A from the site), bonds, elements, as JSON.
        atoms: how many are drawn.
    """

    title: str
    text: str
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
        title, text = key_text(row.defect, row.charge), structure_text(row)
        found.append(StructureView(title, text, *_drawing(atoms, np.array(row.site_frac))))
    return tuple(found)


def undrawn(summary: Summary, views: tuple[StructureView, ...]) -> tuple[str, ...]:
    """The same words for the ground states that have no drawing."""
    drawn = {view.title for view in views}
    titles = [(key_text(row.defect, row.charge), structure_text(row)) for row in summary.defects]
    return tuple(f"{title}: {text}" for title, text in titles if title not in drawn)


def structure_text(row: DefectSummary) -> str:
    """Everything that is known in words of a ground state's structure."""
    parts = [f"Distortion: {row.distortion}", f"Point group {row.point_group}"]
    if row.found:
        parts = [row.found.sentence.rstrip("."), *parts]
        if row.found.name != row.defect and row.found.name not in row.found.sentence:
            parts.insert(0, row.found.name)
        if row.found.same_as:
            parts.append(f"Same structure as {', '.join(row.found.same_as)}")
    if row.far and row.far.displaced:
        parts.append(
            f"Of the {row.far.atoms} atoms beyond {number(row.far.radius_A, 1)} Å from the site, {row.far.displaced} "
            f"have left their places in the host (RMS displacement {number(row.far.rms_A, 2)} Å)"
        )
    return " ".join(f"{part}." for part in parts)


def _drawing(atoms: Atoms, site_frac: np.ndarray) -> tuple[str, int]:
    """Atoms, bonds and elements as JSON, and how many atoms there are."""
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
    return json.dumps(content, separators=(",", ":")), len(numbers)
