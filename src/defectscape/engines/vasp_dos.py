"""The host's density of states in a vasprun.xml, with what tells whose it is: crystal, band edges, functional."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pymatgen.io.vasp.outputs import Vasprun

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Ints
from defectscape.engines.band_edges import band_edges_eV
from defectscape.engines.vasp_output import (
    PARSE_FAILURES,
    eigenvalue_channels,
    file_fault,
    head_of,
    parse_run,
    spin_of,
    valence_electrons,
)
from defectscape.engines.vasp_tags import RunTags, tags_of_head
from defectscape.engines.vasp_theory import VaspTheory, theory_of_run
from defectscape.files.structures import atomic_numbers
from defectscape.files.text import unpacked

DOS_KEY = "thermo.concentrations.bands.file"
"""The setting that names the file."""


@dataclass(frozen=True, eq=False)
class VaspDos:
    """A density of states, on the energy scale of its own calculation.

    Attributes:
        path: the file.
        numbers, positions_A, cell_A: its crystal, (n,), (n, 3), (3, 3), A.
        electrons: NELECT.
        charge: valence electrons of the neutral cell less NELECT, units of e.
        moment: total moment from the occupations, Bohr magnetons; 0 without spin polarisation.
        vbm_eV, cbm_eV: highest filled and lowest empty eigenvalue at the k-points that have a weight, eV.
        theory: its level of theory.
        tags: what the run was told.
        energies_eV: shape (g,), ascending, eV.
        states_per_eV: shape (g,), of the cell, both spins together, 1/eV.
    """

    path: Path
    numbers: Ints
    positions_A: Floats
    cell_A: Floats
    electrons: float
    charge: float
    moment: float
    vbm_eV: float
    cbm_eV: float
    theory: VaspTheory
    tags: RunTags
    energies_eV: Floats
    states_per_eV: Floats

    @property
    def gap_eV(self) -> float:
        """Gap between the eigenvalues, eV; a metal's is zero or less."""
        return self.cbm_eV - self.vbm_eV

    @property
    def step_eV(self) -> float:
        """The largest distance between two energies, eV."""
        return float(np.max(np.diff(self.energies_eV)))


def read_dos(path: Path) -> VaspDos:
    """Read a density of states, packed or not.

    Raises:
        ThermoError: if the file cannot be read or is cut short, its SCF did not converge, or it has no density
            of states or no eigenvalues.
    """
    try:
        content = unpacked(path.read_bytes())
        # pymatgen stumbles over what is missing from a half file, in words that do not say so.
        fault = file_fault(content)
        if fault:
            raise _refused(path, fault)
        run, complete = parse_run(path, content, states=True)
        fault = _fault(run, complete)
        if fault:
            raise _refused(path, fault)
        return _dos(path, run, head_of(content))
    except PARSE_FAILURES as error:
        raise _refused(path, f"cannot be read ({type(error).__name__}: {error})") from error


def _refused(path: Path, fault: str) -> ThermoError:
    return ThermoError(
        DOS_KEY,
        f"{path} {fault}",
        "Give the vasprun.xml of a finished static calculation of the host with a density of states "
        "(ISMEAR = -5, NEDOS = 3001), or effective masses",
    )


def _fault(run: Vasprun, complete: bool) -> str:
    """Why a run gives no density of states, or nothing."""
    if not complete or not run.ionic_steps:
        return "is cut short"
    if getattr(run, "tdos", None) is None:
        return "has no density of states"
    if not run.eigenvalues:
        return "has no eigenvalues, so that its band edges are unknown"
    if not run.converged_electronic:
        return "ends with an SCF that is not converged"
    if str(run.kpoints.style).lower().startswith("line"):
        return "has its k-points along lines, where a density of states has no meaning"
    return ""


def _dos(path: Path, run: Vasprun, head: str) -> VaspDos:
    structure = run.final_structure
    numbers = atomic_numbers(structure)
    electrons = float(run.parameters["NELECT"])
    multiplicity, moment = spin_of(run)
    # Other k-points, as for a band structure beside a hybrid's mesh, are no part of the density of states.
    weighted = np.array(run.actual_kpoints_weights) > 0
    channels = [[levels for levels, has in zip(c, weighted, strict=True) if has] for c in eigenvalue_channels(run)]
    vbm_eV, cbm_eV = band_edges_eV(channels, round(electrons), multiplicity or 1)
    if vbm_eV is None or cbm_eV is None or moment is None:
        raise ValueError("no empty band, or no occupations")
    energies_eV, states = np.array(run.tdos.energies), np.array(run.tdos.get_densities())
    if not (np.isfinite(energies_eV).all() and np.isfinite(states).all() and np.isfinite([vbm_eV, cbm_eV]).all()):
        raise ValueError("a number of its density of states or eigenvalues overflowed")
    return VaspDos(
        path=path,
        numbers=numbers,
        positions_A=np.array(structure.cart_coords),
        cell_A=np.array(structure.lattice.matrix),
        electrons=electrons,
        charge=valence_electrons(head, Counter(numbers.tolist())) - electrons,
        moment=moment,
        vbm_eV=vbm_eV,
        cbm_eV=cbm_eV,
        theory=theory_of_run(run),
        tags=tags_of_head(head),
        energies_eV=energies_eV,
        states_per_eV=states,
    )
