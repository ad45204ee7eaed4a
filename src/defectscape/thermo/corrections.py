"""Finite-size corrections of charged supercells.

A charge in a periodic cell with a neutralising background interacts with its images; the
leading term of that energy is the lattice energy of point charges in the host's dielectric. It is
added without potential alignment, so it is a first-order correction: localised charges in large
cells are served well, delocalised ones are not.
"""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.energies import FiniteSizeCorrection, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.domain.site import HostCrystal
from defectscape.settings.thermo import NoCorrection, PointChargeCorrection

POINT_CHARGE_LABEL = "point charge (no alignment)"
SYMMETRY_TOLERANCE = 1e-6


def charge_corrections(
    states: Sequence[StateEnergy], host: HostCrystal, settings: NoCorrection | PointChargeCorrection
) -> tuple[FiniteSizeCorrection, ...]:
    """The correction of each state where its charge alone decides, all in the host's supercell."""
    by_charge = {
        charge: finite_size_correction(charge, host.cell_A, settings)
        for charge in sorted({state.key.charge for state in states})
    }
    return tuple(by_charge[state.key.charge] for state in states)


def finite_size_correction(
    charge: int, cell_A: Floats, settings: NoCorrection | PointChargeCorrection
) -> FiniteSizeCorrection:
    """The correction of a supercell of total ``charge`` (e) and lattice vectors ``cell_A`` (3, 3).

    Raises:
        ThermoError: if the dielectric tensor is not that of a crystal, or the cell has no volume.
    """
    if isinstance(settings, NoCorrection):
        return FiniteSizeCorrection(0.0, "none")
    value_eV = charge**2 * point_charge_energy_eV(cell_A, settings.tensor)
    return FiniteSizeCorrection(value_eV, POINT_CHARGE_LABEL)


def point_charge_energy_eV(cell_A: Floats, dielectric: Floats) -> float:
    """Minus the lattice energy of one unit charge per cell in an anisotropic dielectric, eV.

    With the coordinates r' = eps^(-1/2) r, Poisson's equation in the dielectric becomes that of
    the vacuum with the charge divided by sqrt(det eps), so this is an isotropic Ewald sum over the
    transformed lattice. Positive: the supercell's energy is too low by it. In a cube of side L it
    is 2.837297 e^2 / (2 eps L) in Gaussian units.

    Args:
        cell_A: lattice vectors in rows, (3, 3), A.
        dielectric: static dielectric tensor, (3, 3).

    Raises:
        ThermoError: see ``finite_size_correction``.

    Source: Y. Kumagai and F. Oba, Phys. Rev. B 89, 195205 (2014), eq. 14; the sum is pymatgen's
    ``EwaldSummation``, whose energy includes the neutralising background.
    """
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    eigenvalues, axes = _principal_dielectric(dielectric)
    stretch = axes @ np.diag(eigenvalues**-0.5) @ axes.T
    if abs(float(np.linalg.det(cell_A))) < 1e-6:
        raise ThermoError("supercell", "no volume", "Give three independent lattice vectors")
    lattice = Lattice(np.asarray(cell_A) @ stretch).get_lll_reduced_lattice()
    ion = Structure(lattice, ["H+"], [[0.0, 0.0, 0.0]])
    energy_eV = float(EwaldSummation(ion).total_energy)
    return -energy_eV / float(np.sqrt(np.prod(eigenvalues)))


def _principal_dielectric(dielectric: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues (3,) and eigenvectors (3, 3) of a tensor that was found to be physical."""
    thing = "thermo.correction.dielectric"
    tensor = np.asarray(dielectric, dtype=float)
    if tensor.shape != (3, 3) or not np.all(np.isfinite(tensor)):
        raise ThermoError(thing, tensor.tolist(), "Give three rows of three finite numbers")
    if not np.allclose(tensor, tensor.T, rtol=0, atol=SYMMETRY_TOLERANCE * np.abs(tensor).max()):
        raise ThermoError(thing, tensor.tolist(), "A static dielectric tensor is symmetric")
    eigenvalues, axes = np.linalg.eigh((tensor + tensor.T) / 2)
    if eigenvalues[0] < 1 - SYMMETRY_TOLERANCE:
        raise ThermoError(
            thing,
            f"smallest eigenvalue {eigenvalues[0]:.4g}",
            "All eigenvalues of a static dielectric tensor are 1 (vacuum) or more",
        )
    return eigenvalues, axes
