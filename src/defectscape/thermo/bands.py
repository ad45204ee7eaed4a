"""The host's density of states near its band edges, as pymatgen's ``FermiDos``, which doped integrates."""

from typing import Any

import numpy as np
from scipy import constants

from defectscape.domain.energies import HostEnergies
from defectscape.domain.errors import ThermoError
from defectscape.domain.site import HostCrystal
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.settings.thermo import Bands, EffectiveMasses

DEPTH_EV = 2.0
"""How far the parabolic bands reach: 20 kT at 1200 K."""

GRID_EV = 1e-3
"""A rectangle rule on a square-root edge is then good to 0.2% at 300 K."""

STATES_PER_EV15_A3 = float((2 * constants.m_e * constants.e) ** 1.5 / (2 * np.pi**2 * constants.hbar**3) * 1e-30)
"""Density of states of free electrons, both spins, over the root of the energy, eV^-3/2 A^-3: 6.81e-3."""


def fermi_dos(host: HostCrystal, energies: HostEnergies, bands: Bands) -> Any:
    """The host's bands as a ``pymatgen.electronic_structure.dos.FermiDos``, on the engine's energy scale.

    Args:
        host: the crystal.
        energies: its band edges, eV.
        bands: where the density of states comes from.

    Raises:
        ThermoError: if a VASP file has no density of states.
    """
    if isinstance(bands, EffectiveMasses):
        return parabolic_dos(host, energies, bands.electron, bands.hole)
    with quiet("doped"):
        from doped.thermodynamics import get_fermi_dos

        try:
            return get_fermi_dos(str(bands.file))
        except (AttributeError, ValueError, OSError) as error:
            raise ThermoError(
                "thermo.concentrations.bands.file",
                f"{bands.file}: {error}",
                "Give a vasprun.xml with a density of states",
            ) from error


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
