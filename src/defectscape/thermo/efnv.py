"""The extended FNV correction: point charge, and alignment of potentials far from the defect.

    E_corr = E_pc - q < V_defect - V_host - V_pc >

over the atoms outside the sphere that fits into the supercell. V are electrostatic potentials at atoms
(V, as a positive charge feels them), V_pc that of a periodic point charge in the dielectric. Source: Y.
Kumagai and F. Oba, Phys. Rev. B 89, 195205 (2014). Which atoms are far is decided as in doped and pydefect,
whose Ewald sum has one fixed accuracy and is wrong at large dielectric constants; ours is `ewald`.
"""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.energies import FiniteSizeCorrection, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.thermo.ewald import point_charge_energy_eV, point_charge_potentials_V

EFNV_LABEL = "eFNV (point charge and alignment)"

LARGE_ERROR_EV = 0.05
"""Standard error of a correction above which doped warns, too."""

MATCHED_A = 1.0
"""An atom of the defect's cell and one of the host's that are farther apart are not the same one; pydefect's."""

FEWEST_ATOMS = 2
"""Far atoms that are needed: with one alone the alignment has no error."""

ON_SPHERE_A = 1e-3
"""Atoms on the sphere itself, as symmetry often puts them, are inside whatever the rounding says."""


def efnv_correction(
    state: StateEnergy,
    host: HostCrystal,
    site: DefectSite,
    dielectric: Sequence[Sequence[float]],
    defect_potentials_V: Floats,
    host_potentials_V: Floats,
) -> FiniteSizeCorrection:
    """The correction of one state; its uncertainty is the standard error of the alignment times |q|.

    Args:
        state: the charge state.
        host, site: the crystal and the defect's site.
        dielectric: static dielectric tensor, (3, 3).
        defect_potentials_V: potential at each atom of the state's frame, (n,), V.
        host_potentials_V: at each atom of the host supercell, (n,), V.

    Raises:
        ThermoError: if the potentials are not those of these atoms, too few atoms are far away, or
            as ``point_charge_energy_eV``.
    """
    _check(f"potentials of {state.key}", defect_potentials_V, len(state.frame))
    _check("potentials of the host", host_potentials_V, len(host.numbers))
    charge = state.key.charge
    if charge == 0:
        return FiniteSizeCorrection(0.0, EFNV_LABEL)
    tensor = np.array(dielectric, float)
    center_A = np.array(site.frac_coords) @ host.cell_A
    atoms, partners = _far_atoms(state.frame, host, center_A)
    if len(atoms) < FEWEST_ATOMS:
        raise ThermoError(
            f"eFNV correction of {state.key}",
            f"{len(atoms)} atoms outside the sphere that fits into the supercell",
            "Use a larger supercell, or `kind: point_charge`",
        )
    offsets_A = state.frame.positions_A[atoms] - center_A
    expected_V = charge * point_charge_potentials_V(host.cell_A, tensor, offsets_A)
    left_V = defect_potentials_V[atoms] - host_potentials_V[partners] - expected_V
    value_eV = charge**2 * point_charge_energy_eV(host.cell_A, tensor) - charge * float(left_V.mean())
    error_eV = abs(charge) * float(left_V.std(ddof=1)) / len(atoms) ** 0.5
    return FiniteSizeCorrection(value_eV, EFNV_LABEL, error_eV)


def alignment_warnings(states: Sequence[StateEnergy], corrections: Sequence[FiniteSizeCorrection]) -> list[str]:
    """States whose alignment scatters so much that their energies are in doubt, a line each."""
    return [
        f"{state.key}: the potential far from the defect is not flat, so its finite-size correction is uncertain by "
        f"{1e3 * added.uncertainty_eV:.0f} meV. The supercell is small, or the charge is not localised."
        for state, added in zip(states, corrections, strict=True)
        if added.uncertainty_eV > LARGE_ERROR_EV
    ]


def _far_atoms(frame: Frame, host: HostCrystal, center_A: Floats) -> tuple[Ints, Ints]:
    """Atoms of a frame outside the sphere around its defect, and the host's atoms that they are, (n,) each.

    The sphere touches the two faces of the supercell that are farthest apart, as in pydefect, or the next two where
    that leaves fewer than ``FEWEST_ATOMS``, as in long cells. The supercell is reduced first, so that the choice
    of its vectors does not matter.
    """
    from pymatgen.core.lattice import Lattice

    lattice = Lattice(host.cell_A)
    places, host_places, center = (
        lattice.get_fractional_coords(positions_A) for positions_A in (frame.positions_A, host.positions_A, center_A)
    )
    gaps_A = lattice.get_all_distances(places, host_places)
    gaps_A[frame.numbers[:, None] != host.numbers[None, :]] = np.inf
    partners, back = gaps_A.argmin(axis=1), gaps_A.argmin(axis=0)
    atoms = np.arange(len(frame))
    same = (back[partners] == atoms) & (gaps_A[atoms, partners] <= MATCHED_A)
    distances_A = lattice.get_all_distances(center, places)[0]
    reduced = lattice.get_niggli_reduced_lattice().matrix
    radii_A = 0.5 / np.linalg.norm(np.linalg.inv(reduced), axis=0)
    for radius_A in sorted(radii_A, reverse=True):
        chosen = np.flatnonzero(same & (distances_A > radius_A + ON_SPHERE_A))
        if len(chosen) >= FEWEST_ATOMS:
            break
    return chosen, partners[chosen]


def _check(thing: str, potentials_V: Floats, atoms: int) -> None:
    if potentials_V.shape != (atoms,) or not np.all(np.isfinite(potentials_V)):
        raise ThermoError(
            thing,
            f"{potentials_V.shape} values for {atoms} atoms, or not all finite",
            "Delete the study's thermo/potentials folder and run again",
        )
