"""A density of states as VASP prints it: two parabolic edges of made-up masses, the other electrons deep below."""

from dataclasses import dataclass

import numpy as np

from defectscape.thermo.bands import STATES_PER_EV15_A3

ELECTRON, HOLE = 0.11, 0.6
DEEP_EV = 5.5
"""So far below the VBM the other electrons begin."""


@dataclass(frozen=True)
class States:
    """Bands of a run.

    Attributes:
        vbm_eV, cbm_eV: edges, eV.
        step_eV: between two energies, eV.
        decimals: of all printed energies; VASP prints four.
        dos_shift_eV: by which the density of states is off its eigenvalues, eV.
        missing: share of the electrons that the density of states lacks.
        has_dos: whether there is one.
        width_eV: of the Gaussian that broadens the density of states, VASP's SIGMA, eV.
        late_eV: above the CBM, where the states of a light band are seen first between the points of a coarse mesh, eV.
    """

    vbm_eV: float = 2.0
    cbm_eV: float = 3.5
    step_eV: float = 0.01
    decimals: int = 4
    dos_shift_eV: float = 0.0
    missing: float = 0.0
    has_dos: bool = True
    width_eV: float = 0.0
    late_eV: float = 0.0


def dos_text(states: States, volume_A3: float, electrons: float) -> str:
    """The block ``<dos>``."""
    if not states.has_dos:
        return ""
    energies_eV = np.arange(-6.0, states.cbm_eV - states.vbm_eV + 6.0, states.step_eV)
    gap_eV = states.cbm_eV - states.vbm_eV
    per_root = STATES_PER_EV15_A3 * volume_A3
    density = per_root * HOLE**1.5 * np.sqrt(np.clip(-energies_eV, 0, None))
    density += per_root * ELECTRON**1.5 * np.sqrt(np.clip(energies_eV - gap_eV, 0, None))
    density[(energies_eV > gap_eV / 2) & (energies_eV < gap_eV + states.late_eV)] = 0.0
    if states.width_eV:
        density = _broadened(density, states)
    below, deep = energies_eV <= gap_eV / 2, energies_eV < -DEEP_EV
    rest = electrons * (1 - states.missing) - np.trapezoid(density[below], dx=states.step_eV)
    density[deep] += rest / (deep.sum() - 0.5) / states.step_eV
    printed = energies_eV + states.vbm_eV + states.dos_shift_eV
    rows = "".join(f"<r> {e:.{states.decimals}f} {d:.8f} 0.0 </r>\n" for e, d in zip(printed, density, strict=True))
    fields = "<field>energy</field>\n<field>total</field>\n<field>integrated</field>"
    return (
        f'<dos>\n<i name="efermi">{states.vbm_eV:.4f}</i>\n<total>\n<array>\n{fields}\n<set>\n<set comment="spin 1">\n'
        f"{rows}</set>\n</set>\n</array>\n</total>\n</dos>"
    )


def _broadened(density: np.ndarray, states: States) -> np.ndarray:
    """States of a grid behind a Gaussian exp(-(E/SIGMA)^2), as VASP's ISMEAR = 0."""
    reach = round(6 * states.width_eV / states.step_eV)
    gaussian = np.exp(-((np.arange(-reach, reach + 1) * states.step_eV / states.width_eV) ** 2))
    return np.convolve(density, gaussian / gaussian.sum(), "same")


def levels_eV(states: States, bands: np.ndarray, filled: float) -> np.ndarray:
    """Eigenvalues at Gamma, (bands,), eV: half an eV apart up to the VBM, and from the CBM on."""
    below = states.vbm_eV - 0.5 * (filled - 1 - bands)
    return np.where(bands < filled, below, states.cbm_eV + 0.5 * (bands - filled))
