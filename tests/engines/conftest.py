"""Small rattled cells for the tests of engines."""

import numpy as np
import pytest
from ase.build import bulk

from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.settings.engine import TbliteSettings

CRYSTALS = {"CdTe": ("zincblende", 6.48), "Si": ("diamond", 5.43), "MgO": ("rocksalt", 4.21)}


def _crystal(name, *, vacancy=False, rattles=((0.08, 0),)):
    structure, a = CRYSTALS[name]
    atoms = bulk(name, structure, a=a, cubic=True)
    for amplitude, seed in rattles:
        atoms.rattle(amplitude, seed=seed)
    if vacancy:
        del atoms[0]
    return atoms


def _frame_of(atoms, charge=0, multiplicity=None, family="v_Cd/x"):
    spin = multiplicity or lowest_multiplicity(atoms.numbers, charge)
    return Frame(
        atoms.numbers,
        atoms.positions,
        np.array(atoms.cell),
        DefectKey("v_Cd", charge),
        spin,
        Origin.START,
        family,
    )


def _settings(method="GFN1-xTB", **changes):
    return TbliteSettings(kind="tblite", method=method, **changes)


@pytest.fixture(name="crystal")
def _crystal_fixture():
    return _crystal


@pytest.fixture(name="frame_of")
def _frame_of_fixture():
    return _frame_of


@pytest.fixture(name="tblite_settings")
def _tblite_settings_fixture():
    return _settings
