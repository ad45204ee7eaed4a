"""The extended FNV correction: point charge, and alignment of potentials far from the defect.

    E_corr = E_pc - q < V_defect - V_host - V_pc >

over the atoms outside the sphere that fits into the supercell. V are electrostatic potentials at atoms
(V, as a positive charge feels them), V_pc that of a periodic point charge in the dielectric. Source: Y.
Kumagai and F. Oba, Phys. Rev. B 89, 195205 (2014); computed by doped through pydefect.
"""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.energies import FiniteSizeCorrection, HostEnergies, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.quiet import quiet
from defectscape.thermo.diagram import defect_entry

EFNV_LABEL = "eFNV (point charge and alignment)"
UNCORRECTED = FiniteSizeCorrection(0.0, "none")


def efnv_correction(
    state: StateEnergy,
    host: HostCrystal,
    site: DefectSite,
    energies: HostEnergies,
    dielectric: Sequence[Sequence[float]],
    defect_potentials_V: Floats,
    host_potentials_V: Floats,
) -> FiniteSizeCorrection:
    """The correction of one state; its uncertainty is the standard error of the alignment times |q|.

    Args:
        state: the charge state.
        host, site, energies: the crystal, the defect's site, the host's energies.
        dielectric: static dielectric tensor, (3, 3).
        defect_potentials_V: potential at each atom of the state's frame, (n,), V.
        host_potentials_V: at each atom of the host supercell, (n,), V.

    Raises:
        ThermoError: if the potentials are not those of these atoms, or doped finds too few far away.
    """
    _check(f"potentials of {state.key}", defect_potentials_V, len(state.frame))
    _check("potentials of the host", host_potentials_V, len(host.numbers))
    if state.key.charge == 0:
        return FiniteSizeCorrection(0.0, EFNV_LABEL)
    entry = defect_entry(state, host, site, energies, UNCORRECTED)
    entry.calculation_metadata |= {
        "defect_site_potentials": defect_potentials_V,
        "bulk_site_potentials": host_potentials_V,
    }
    with quiet("doped"):
        try:
            result, error_eV = entry.get_kumagai_correction(
                dielectric=np.array(dielectric, float), return_correction_error=True, verbose=False
            )
        except (ValueError, ZeroDivisionError) as error:
            raise ThermoError(
                f"eFNV correction of {state.key}",
                str(error),
                "Use a larger supercell, or `kind: point_charge`",
            ) from error
    value_eV = float(result.correction_energy)
    if not np.isfinite(value_eV) or not np.isfinite(error_eV):
        raise ThermoError(
            f"eFNV correction of {state.key}",
            f"{value_eV} +- {error_eV} eV",
            "Too few atoms lie outside the sphere that fits into the supercell; use a larger one",
        )
    return FiniteSizeCorrection(value_eV, EFNV_LABEL, float(error_eV))


def _check(thing: str, potentials_V: Floats, atoms: int) -> None:
    if potentials_V.shape != (atoms,) or not np.all(np.isfinite(potentials_V)):
        raise ThermoError(
            thing,
            f"{potentials_V.shape} values for {atoms} atoms, or not all finite",
            "Delete the study's thermo/potentials folder and run again",
        )
