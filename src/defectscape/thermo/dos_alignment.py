"""A file's density of states on the energy scale of the study's engine.

The file's own VBM is placed on the engine's, which is the zero of the formation energies. A gap that is not quite
the study's becomes it: the states above the gap are moved rigidly (a scissor), those inside it, tails of a
broadened edge, in proportion.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import constants

from defectscape.domain.energies import HostEnergies
from defectscape.domain.errors import ThermoError
from defectscape.engines.vasp_dos import DOS_KEY, VaspDos
from defectscape.files.structures import to_structure

GAP_TOLERANCE_EV = 0.1
"""A gap farther from the study's is of another functional, crystal or set of k-points."""

KT_EV_PER_K = constants.k / constants.e

BROADENING = 1.2
"""Carriers raised by more than this factor through a broadened edge are named."""

GAUSSIAN = 0
"""ISMEAR of a Gaussian."""


@dataclass(frozen=True, eq=False)
class AlignedDos:
    """A density of states of the host on the engine's scale.

    Attributes:
        fermi_dos: a ``pymatgen.electronic_structure.dos.FermiDos``.
        shift_eV: what was added to all its energies, eV.
        scissor_eV: what was added beside that to the energies above the gap, eV.
    """

    fermi_dos: Any
    shift_eV: float
    scissor_eV: float


def align_dos(dos: VaspDos, energies: HostEnergies) -> AlignedDos:
    """Place a density of states on the engine's band edges.

    Args:
        dos: one that ``check_dos`` accepts.
        energies: the host's band edges by the high-fidelity engine, eV.

    Raises:
        ThermoError: if the gaps differ by more than ``GAP_TOLERANCE_EV``.
    """
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.electronic_structure.dos import Dos, FermiDos

    scissor_eV = energies.gap_eV - dos.gap_eV
    if abs(scissor_eV) > GAP_TOLERANCE_EV:
        raise ThermoError(
            DOS_KEY,
            f"{dos.path} has a gap of {dos.gap_eV:.3f} eV, the host by the study's engine {energies.gap_eV:.3f} eV",
            f"They may differ by {GAP_TOLERANCE_EV:g} eV: compute it as the engine does, at k-points that hold the "
            "band edges of the supercell, or give effective masses",
        )
    # From 0 at the VBM to 1 at the CBM.
    height = np.clip((dos.energies_eV - dos.vbm_eV) / dos.gap_eV, 0.0, 1.0)
    grid_eV = energies.vbm_eV + (dos.energies_eV - dos.vbm_eV) + scissor_eV * height
    states = Dos(energies.vbm_eV + energies.gap_eV / 2, grid_eV, {Spin.up: dos.states_per_eV})
    cell = to_structure(dos.numbers, dos.positions_A, dos.cell_A)
    fermi_dos = FermiDos(states, structure=cell, nelecs=dos.electrons)
    return AlignedDos(fermi_dos, energies.vbm_eV - dos.vbm_eV, scissor_eV)


def alignment_remarks(dos: VaspDos, aligned: AlignedDos, *, is_vasp: bool, coldest_K: float) -> tuple[str, ...]:
    """What was done to a density of states, and what limits it, in words.

    Args:
        dos: as the file has it.
        aligned: as it was placed.
        is_vasp: whether the high-fidelity engine is VASP, so that functionals were compared.
        coldest_K: the lowest temperature of a balance, K.
    """
    vbm_eV = dos.vbm_eV + aligned.shift_eV
    lines = [
        f"The density of states of {dos.path} was shifted by {aligned.shift_eV:+.3f} eV, which brings its VBM, "
        f"{dos.vbm_eV:.3f} eV, to the engine's, {vbm_eV:.3f} eV; its states above the gap were moved by "
        f"{aligned.scissor_eV:+.3f} eV more, which makes its gap, {dos.gap_eV:.3f} eV, the engine's, "
        f"{dos.gap_eV + aligned.scissor_eV:.3f} eV."
    ]
    if not is_vasp:
        lines.append(
            f"The functional of {dos.path} was not compared, since the high-fidelity engine is not VASP: its "
            "composition, crystal and gap were."
        )
    return (*lines, *_resolution(dos, KT_EV_PER_K * coldest_K, coldest_K))


def _resolution(dos: VaspDos, thermal_eV: float, coldest_K: float) -> list[str]:
    """How a broadened edge or a coarse grid changes the number of carriers."""
    lines = []
    kind, width_eV = dos.theory.smearing
    # A Gaussian exp(-(E/s)^2) before Boltzmann's tail: its integral over exp(-E/kT).
    factor = math.exp((width_eV / thermal_eV) ** 2 / 4) if kind == GAUSSIAN else 1.0
    if factor > BROADENING:
        lines.append(
            f"The density of states of {dos.path} is broadened (ISMEAR = 0, SIGMA = {width_eV:g} eV), which gives up "
            f"to {factor:.3g} times too many carriers at {coldest_K:g} K; ISMEAR = -5 does not."
        )
    if dos.step_eV > thermal_eV:
        lines.append(
            f"The density of states of {dos.path} has its energies {dos.step_eV:.3f} eV apart, more than kT at "
            f"{coldest_K:g} K, {thermal_eV:.3f} eV: carriers are rough; raise NEDOS."
        )
    return lines
