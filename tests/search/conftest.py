"""Crystals, defects and real surfaces for the search."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.prediction import Prediction
from defectscape.domain.site import HostCrystal
from defectscape.files.atoms import to_atoms
from defectscape.settings.search import SearchSettings


class AseSurface:
    """The surface of an ASE calculator; ``make(charge)`` builds one."""

    def __init__(self, make):
        self.make = make

    def calculator(self, charge):
        return self.make(charge)

    def evaluate(self, frame):
        atoms = to_atoms(frame)
        atoms.calc = self.calculator(frame.charge)
        energy = atoms.get_potential_energy()
        return Prediction(energy, (energy,), atoms.get_forces(), np.zeros(len(frame)))

    def evaluate_many(self, frames):
        return [self.evaluate(frame) for frame in frames]


def make_host(unit, repeats):
    cell = unit.repeat(repeats)
    return HostCrystal(
        unit.get_chemical_formula("reduce"),
        "?",
        unit.numbers,
        unit.positions,
        unit.cell[:],
        np.diag(repeats),
        cell.numbers,
        cell.positions,
        cell.cell[:],
        9.0,
    )


def make_frame(atoms: Atoms, note="", defect="v_X", charge=0, family=None):
    return Frame(
        atoms.numbers,
        atoms.positions,
        atoms.cell[:],
        DefectKey(defect, charge),
        lowest_multiplicity(atoms.numbers, charge),
        Origin.START,
        family or f"{defect}/{note}",
        note=note,
    )


@pytest.fixture(scope="session")
def surface_of():
    return AseSurface


@pytest.fixture(scope="session")
def frame_of():
    return make_frame


@pytest.fixture(scope="session")
def host_of():
    return make_host


@pytest.fixture(scope="session")
def emt():
    return AseSurface(lambda charge: EMT())


@pytest.fixture(scope="session")
def search():
    return SearchSettings(fmax_eV_A=0.005, max_steps=300, cross_seeds_per_charge=0)


@pytest.fixture(scope="session")
def copper():
    """Conventional copper, 32 atoms."""
    return make_host(bulk("Cu", cubic=True), (2, 2, 2))


@pytest.fixture(scope="session")
def cdte():
    """Conventional CdTe, 64 atoms."""
    return make_host(bulk("CdTe", "zincblende", a=6.6, cubic=True), (2, 2, 2))


@pytest.fixture(scope="session")
def vacancy(copper):
    """Copper without the atom at the origin, unrelaxed."""
    atoms = Atoms(copper.numbers[1:], copper.positions_A[1:], cell=copper.cell_A, pbc=True)
    return make_frame(atoms, "unperturbed", "v_Cu")


@pytest.fixture(scope="session")
def dumbbell(copper):
    """Split interstitials at the origin: ``dumbbell(axis, std_A, seed)``, 33 atoms."""

    def make(axis, std_A=0.05, seed=0, note=None):
        atoms = Atoms(copper.numbers, copper.positions_A, cell=copper.cell_A, pbc=True)
        half = 0.95 * np.array(axis) / np.linalg.norm(axis)
        atoms.positions[0] += half
        atoms += Atoms("Cu", positions=[copper.positions_A[0] - half])
        rng = np.random.default_rng(seed)
        atoms.positions += rng.normal(0.0, std_A, atoms.positions.shape) if std_A else 0.0
        return make_frame(atoms, note or f"along {axis}", "i_Cu")

    return make


@pytest.fixture(scope="session")
def v_cd(cdte):
    """CdTe without the cadmium at the origin, unrelaxed, 63 atoms."""
    assert cdte.numbers[0] == 48
    atoms = Atoms(cdte.numbers[1:], cdte.positions_A[1:], cell=cdte.cell_A, pbc=True)
    return make_frame(atoms, "unperturbed", "v_Cd")
