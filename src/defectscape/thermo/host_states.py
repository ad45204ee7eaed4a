"""Suspects of perturbed host states: charge that sits in the host's bands, not at the defect.

In a supercell such a state has an energy like any other, but the defect is not in the charge state that
its name says; its level is that of a band edge with a finite-size error. Eigenvalues of supercells with
different charges share no exact zero, so this raises a suspicion, no verdict. See Kumagai et al., Phys.
Rev. Materials 5, 123803 (2021).
"""

from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label

TOLERANCE_EV = 0.1
"""How near to a band edge a level must be to be suspected, eV."""


def host_state_suspicion(key: DefectKey, label: Label, vbm_eV: float, cbm_eV: float) -> str | None:
    """Why the state may be one of the host's, or None.

    Args:
        key: defect and charge.
        label: the engine's label of its ground state, with the defect cell's band edges.
        vbm_eV, cbm_eV: band edges of the perfect supercell from the same engine, eV.
    """
    if label.vbm_eV is not None and label.vbm_eV > cbm_eV - TOLERANCE_EV:
        return (
            f"{key}: its highest filled level lies {label.vbm_eV - cbm_eV:+.2f} eV from the host's "
            "conduction band; an electron may sit in the host, not at the defect."
        )
    if label.cbm_eV is not None and label.cbm_eV < vbm_eV + TOLERANCE_EV:
        return (
            f"{key}: its lowest empty level lies {label.cbm_eV - vbm_eV:+.2f} eV from the host's "
            "valence band; a hole may sit in the host, not at the defect."
        )
    return None
