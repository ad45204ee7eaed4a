"""Relaxations through the store: the same path, the second time without an engine call."""

import numpy as np
import pytest
from ase.calculators.calculator import (
    CalculationFailed,
    CalculatorSetupError,
    PropertyNotImplementedError,
)
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import ScfAttempt
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.engines.tblite import TbliteEngine
from defectscape.store.labels import LabelStore

KEY = DefectKey("v_Cd", -1)


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path)


def test_values_are_the_engine_s(store, crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings())
    atoms = crystal("CdTe", vacancy=True)
    atoms.calc = StoredCalculator(engine, store, KEY, "v_Cd/x", 30.0)
    label = engine.compute(frame_of(atoms, -1), 0)
    # Two calls with several threads may differ in the last bits.
    assert atoms.get_potential_energy() == pytest.approx(label.energy_eV, abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), label.forces_eV_A, atol=1e-9)
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    np.testing.assert_allclose(stress, label.stress_eV_A3, atol=1e-12)
    (record,) = store.records()
    assert (record.frame.key, record.frame.origin, record.frame.multiplicity) == (
        KEY,
        Origin.RELAXATION,
        2,
    )
    assert len(store.calls()) == 1


def test_a_relaxation_replays_from_the_store(store, crystal, tblite_settings):
    paths = []
    for _ in range(2):
        atoms = crystal("CdTe")
        engine = TbliteEngine(tblite_settings())
        atoms.calc = StoredCalculator(engine, store, DefectKey("host", 0), "host", 30.0)
        path = []
        relaxation = BFGS(atoms, logfile=None)
        relaxation.attach(lambda a=atoms, p=path: p.append(a.positions.copy()))
        relaxation.run(fmax=0.05, steps=4)
        paths.append(np.array(path))
    assert len(paths[0]) == 5
    np.testing.assert_array_equal(paths[0], paths[1])
    assert len(store.calls()) == 5


def test_a_failed_label_says_why(store, crystal, tblite_settings):
    atoms = crystal("CdTe")
    atoms.calc = StoredCalculator(
        TbliteEngine(tblite_settings(max_iterations=1)), store, DefectKey("host", 0), "host", 30.0
    )
    with pytest.raises(CalculationFailed, match="SCF not converged in 1 cycles"):
        atoms.get_forces()
    assert [record.label for record in store.records()] == [None]


class StresslessEngine:
    name, version, settings_json, attempts = "plain", "0", "{}", (ScfAttempt("only", ""),)

    def settings_of(self, numbers):
        return self.settings_json

    def compute(self, frame, attempt):
        return Label(0.0, np.zeros((len(frame), 3)))


def test_a_missing_stress_is_not_a_zero_stress(store, crystal):
    atoms = crystal("CdTe")
    atoms.calc = StoredCalculator(StresslessEngine(), store, DefectKey("host", 0), "host", 30.0)
    assert atoms.get_potential_energy() == 0.0
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_a_cluster_is_refused(store, crystal):
    atoms = crystal("CdTe")
    atoms.pbc = [True, True, False]
    atoms.calc = StoredCalculator(StresslessEngine(), store, DefectKey("host", 0), "host", 30.0)
    with pytest.raises(LabelError, match="pbc"):
        atoms.get_potential_energy()


def test_no_structure_is_an_error_with_a_name(store):
    with pytest.raises(CalculatorSetupError, match="v_Cd_-1"):
        StoredCalculator(StresslessEngine(), store, KEY, "v_Cd/x", 30.0).calculate()
