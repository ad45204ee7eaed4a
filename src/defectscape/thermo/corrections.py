"""Finite-size corrections of charged supercells.

A charge in a periodic cell with a neutralising background interacts with its images; the
leading term of that energy is the lattice energy of point charges in the host's dielectric. It is
added without potential alignment, so it is a first-order correction: localised charges in large
cells are served well, delocalised ones are not.
"""

from collections.abc import Sequence

from defectscape.domain.energies import FiniteSizeCorrection, StateEnergy
from defectscape.domain.frame import Floats
from defectscape.domain.site import HostCrystal
from defectscape.settings.thermo import NoCorrection, PointChargeCorrection
from defectscape.thermo.ewald import point_charge_energy_eV

POINT_CHARGE_LABEL = "point charge (no alignment)"


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
