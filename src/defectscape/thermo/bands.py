"""The host's density of states near its band edges, as pymatgen's ``FermiDos``, which doped integrates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import constants

from defectscape.domain.energies import HostEnergies
from defectscape.domain.site import HostCrystal
from defectscape.engines.vasp_dos import read_dos
from defectscape.files.structures import to_structure
from defectscape.settings.engine import EngineSettings
from defectscape.settings.thermo import ConcentrationsSettings, EffectiveMasses
from defectscape.settings.vasp import VaspSettings
from defectscape.thermo.dos_alignment import align_dos, alignment_remarks
from defectscape.thermo.dos_check import check_dos

DEPTH_EV = 2.0
"""How far the parabolic bands reach: 20 kT at 1200 K."""

GRID_EV = 1e-3
"""A rectangle rule on a square-root edge is then good to 0.2% at 300 K."""

STATES_PER_EV15_A3 = float((2 * constants.m_e * constants.e) ** 1.5 / (2 * np.pi**2 * constants.hbar**3) * 1e-30)
"""Density of states of free electrons, both spins, over the root of the energy, eV^-3/2 A^-3: 6.81e-3."""


@dataclass(frozen=True, eq=False)
class HostBands:
    """The host's bands on the engine's energy scale.

    Attributes:
        fermi_dos: a ``pymatgen.electronic_structure.dos.FermiDos``.
        remarks: what was done to place them there, and what limits them, in words.
    """

    fermi_dos: Any
    remarks: tuple[str, ...] = ()


def host_bands(
    host: HostCrystal, energies: HostEnergies, settings: ConcentrationsSettings, engine: EngineSettings
) -> HostBands:
    """The bands that a study asks for.

    Args:
        host: the crystal, relaxed if the study asks for that.
        energies: its band edges, eV.
        settings: where the density of states comes from, and the temperatures.
        engine: the high fidelity's settings, whose functional a file must have.

    Raises:
        ThermoError: if a file's density of states is not of this host and functional.
    """
    bands = settings.bands
    if isinstance(bands, EffectiveMasses):
        return HostBands(parabolic_dos(host, energies, bands.electron, bands.hole))
    dos = read_dos(bands.file)
    check_dos(dos, host, engine, relaxed=True)
    aligned = align_dos(dos, energies)
    is_vasp = isinstance(engine, VaspSettings)
    return HostBands(
        aligned.fermi_dos, alignment_remarks(dos, aligned, is_vasp=is_vasp, coldest_K=settings.operating_K)
    )


def parabolic_dos(host: HostCrystal, energies: HostEnergies, electron_mass: float, hole_mass: float) -> Any:
    """Two parabolic edges, g(E) = V (2 m / hbar^2)^(3/2) sqrt(E) / (2 pi^2), both spins.

    Args:
        host: the crystal; the density of states is that of its unit cell.
        energies: its band edges, eV.
        electron_mass, hole_mass: density-of-states masses, electron masses.
    """
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.electronic_structure.dos import Dos, FermiDos

    cell = to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A)
    vbm, cbm = energies.vbm_eV, energies.vbm_eV + energies.gap_eV
    grid = np.arange(vbm - DEPTH_EV, cbm + DEPTH_EV, GRID_EV)
    per_root = STATES_PER_EV15_A3 * cell.volume
    states = per_root * hole_mass**1.5 * np.sqrt(np.clip(vbm - grid, 0.0, None))
    states += per_root * electron_mass**1.5 * np.sqrt(np.clip(grid - cbm, 0.0, None))
    filled = grid <= vbm
    electrons = float(np.trapezoid(states[filled], x=grid[filled]))
    dos = Dos((vbm + cbm) / 2, grid, {Spin.up: states / 2, Spin.down: states / 2})
    return FermiDos(dos, structure=cell, nelecs=electrons)
