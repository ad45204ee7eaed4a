"""Tight binding: labels that are functions of frames, derivatives that are derivatives, and OpenBLAS under it."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase.units import Hartree, kB

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Origin
from defectscape.engines.base import CalculationFailed
from defectscape.engines.registry import make_engine
from defectscape.engines.tblite import TbliteEngine
from defectscape.engines.worker import LIBRARY, use_openblas

# The embedded engine: forces and stress are derivatives of the energy, labels are functions of frames.


CASES = [
    ("CdTe", "GFN1-xTB", 0, False),
    ("CdTe", "GFN1-xTB", 1, False),
    ("CdTe", "IPEA1-xTB", 0, True),
    ("CdTe", "IPEA1-xTB", -1, True),
    ("CdTe", "IPEA1-xTB", 1, False),
    ("MgO", "GFN1-xTB", 2, True),
    ("Si", "IPEA1-xTB", 1, False),
]


def _moved(frame, step_A):
    return frame.moved(frame.positions_A + step_A, origin=Origin.RATTLE)


@pytest.mark.parametrize(("name", "method", "charge", "vacancy"), CASES)
def test_forces_are_minus_the_gradient(crystal, frame_of, tblite_settings, name, method, charge, vacancy):
    engine = TbliteEngine(tblite_settings(method))
    frame = frame_of(crystal(name, vacancy=vacancy), charge)
    forces = engine.compute(frame, 0).forces_eV_A
    h = 1e-3
    for atom, axis in ((0, 0), (5, 2)):
        step = np.zeros((len(frame), 3))
        step[atom, axis] = h
        up, down = (engine.compute(_moved(frame, s * step), 0).energy_eV for s in (1, -1))
        assert -(up - down) / (2 * h) == pytest.approx(forces[atom, axis], abs=2e-4)


@pytest.mark.parametrize(("name", "method", "charge", "vacancy"), CASES[:4])
def test_stress_is_the_strain_derivative_per_volume(crystal, frame_of, tblite_settings, name, method, charge, vacancy):
    engine = TbliteEngine(tblite_settings(method, accuracy=0.01))
    atoms = crystal(name, vacancy=vacancy)
    stress = engine.compute(frame_of(atoms, charge), 0).stress_eV_A3
    np.testing.assert_allclose(stress, stress.T, atol=1e-10)
    h = 2e-4
    for i, j in ((0, 0), (0, 1)):
        strain = np.zeros((3, 3))
        strain[i, j] += h / 2
        strain[j, i] += h / 2
        energies = []
        for sign in (1, -1):
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * strain), scale_atoms=True)
            energies.append(engine.compute(frame_of(strained, charge), 0).energy_eV)
        slope = (energies[0] - energies[1]) / (2 * h) / atoms.get_volume()
        assert slope == pytest.approx(stress[i, j], abs=5e-5)


@pytest.mark.parametrize("method", ["GFN1-xTB", "IPEA1-xTB"])
def test_rigid_shifts_and_reordering_change_nothing(crystal, frame_of, tblite_settings, method):
    engine = TbliteEngine(tblite_settings(method))
    atoms = crystal("CdTe")
    label = engine.compute(frame_of(atoms, 1), 0)
    shifted = engine.compute(_moved(frame_of(atoms, 1), np.array([0.37, 0.11, -0.2])), 0)
    assert shifted.energy_eV == pytest.approx(label.energy_eV, abs=1e-5)
    np.testing.assert_allclose(shifted.forces_eV_A, label.forces_eV_A, atol=2e-4)
    order = np.random.default_rng(0).permutation(len(atoms))
    reordered = engine.compute(frame_of(atoms[order], 1), 0)
    assert reordered.energy_eV == pytest.approx(label.energy_eV, abs=1e-8)
    np.testing.assert_allclose(reordered.forces_eV_A, label.forces_eV_A[order], atol=1e-7)
    np.testing.assert_allclose(label.forces_eV_A.sum(axis=0), 0, atol=1e-10)


def test_a_label_is_a_function_of_its_frame(crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings())
    frame = frame_of(crystal("CdTe"), -1)
    first = engine.compute(frame, 0)
    engine.compute(frame_of(crystal("CdTe", rattles=((0.2, 5),)), -1), 0)
    for again in (engine.compute(frame, 0), TbliteEngine(tblite_settings()).compute(frame, 0)):
        # Sums depend on how arrays happen to lie in memory, in the last bits.
        assert again.energy_eV == pytest.approx(first.energy_eV, abs=1e-10)
        np.testing.assert_allclose(again.forces_eV_A, first.forces_eV_A, rtol=0, atol=1e-10)


def test_charge_and_method_reach_the_energy(crystal, frame_of, tblite_settings):
    atoms = crystal("CdTe")
    energies = {
        (method, charge): TbliteEngine(tblite_settings(method)).compute(frame_of(atoms, charge), 0)
        for method in ("GFN1-xTB", "IPEA1-xTB")
        for charge in (-1, 0, 1)
    }
    values = sorted(label.energy_eV for label in energies.values())
    assert min(b - a for a, b in pairwise(values)) > 1.0
    for method in ("GFN1-xTB", "IPEA1-xTB"):
        # An insulating cell resists both: E(+1) + E(-1) > 2 E(0), by about the gap.
        plus, zero, minus = (energies[method, charge].energy_eV for charge in (1, 0, -1))
        assert plus + minus > 2 * zero


def test_an_odd_electron_moves_on_a_smooth_surface(crystal, frame_of, tblite_settings):
    """Along a rattle, energies must follow the forces: no jump from one occupation to another."""
    engine = TbliteEngine(tblite_settings())
    frame = frame_of(crystal("CdTe"), 1)
    assert frame.multiplicity == 2
    direction = np.random.default_rng(3).normal(size=(len(frame), 3))
    points = np.linspace(0, 0.1, 11)
    labels = [engine.compute(_moved(frame, x * direction), 0) for x in points]
    slopes = [-float(np.sum(label.forces_eV_A * direction)) for label in labels]
    for i in range(10):
        climb = labels[i + 1].energy_eV - labels[i].energy_eV
        assert climb == pytest.approx((slopes[i] + slopes[i + 1]) / 2 * 0.01, abs=2e-4)


def test_multiplicity_fixes_the_spins_and_is_never_altered(crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings("IPEA1-xTB"))
    atoms = crystal("CdTe")
    labels = {m: engine.compute(frame_of(atoms, 0, m), 0) for m in (1, 3)}
    gap_eV = labels[1].cbm_eV - labels[1].vbm_eV
    # A triplet takes one electron across the gap.
    assert labels[3].energy_eV - labels[1].energy_eV == pytest.approx(gap_eV, abs=1.0)
    assert labels[3].vbm_eV == pytest.approx(labels[1].cbm_eV, abs=1.0)
    for charge, multiplicity in ((0, 2), (1, 1), (0, 99)):
        with pytest.raises(CalculationFailed, match=r"multiplicity|not compatible") as caught:
            engine.compute(frame_of(atoms, charge, multiplicity), 0)
        assert caught.value.hopeless


def test_frontier_levels_bracket_the_gap(crystal, frame_of, tblite_settings):
    """An electron taken or added costs about the level it leaves or enters (Koopmans)."""
    engine = TbliteEngine(tblite_settings("IPEA1-xTB"))
    minus, zero, plus = (engine.compute(frame_of(crystal("CdTe"), q), 0) for q in (-1, 0, 1))
    assert 2.0 < zero.cbm_eV - zero.vbm_eV < 3.0
    assert plus.energy_eV - zero.energy_eV == pytest.approx(-zero.vbm_eV, abs=1.0)
    assert zero.energy_eV - minus.energy_eV == pytest.approx(-zero.cbm_eV, abs=1.0)
    # The added electron fills the first level above the gap.
    assert minus.vbm_eV - zero.vbm_eV > 1.5


def test_hotter_electrons_have_a_lower_free_energy(crystal, frame_of, tblite_settings):
    frame = frame_of(crystal("CdTe"), 1)
    cold, hot = (
        TbliteEngine(tblite_settings(electronic_temperature_K=kelvin)).compute(frame, 0).energy_eV
        for kelvin in (300.0, 1500.0)
    )
    assert hot < cold - 0.05


def test_every_attempt_solves_the_same_problem(crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings())
    frame = frame_of(crystal("CdTe", vacancy=True), -1)
    labels = [engine.compute(frame, attempt) for attempt in range(len(engine.attempts))]
    assert len(labels) == 3
    for label in labels[1:]:
        assert label.energy_eV == pytest.approx(labels[0].energy_eV, abs=1e-4)
        np.testing.assert_allclose(label.forces_eV_A, labels[0].forces_eV_A, atol=2e-3)


def test_a_chaotic_iteration_gives_the_one_label_or_a_failure(crystal, frame_of, tblite_settings):
    """A strongly rattled vacancy, whose iterations mostly end nowhere or 4000 eV too low."""
    engine = TbliteEngine(tblite_settings("IPEA1-xTB"))
    hot = crystal("CdTe", vacancy=True, rattles=((0.08, 0), (0.3, 5)))
    frame = frame_of(hot, -2)
    energies, failures = [], []
    for attempt in range(3):
        # How far a chaotic iteration comes depends on the machine; that it is no label does not.
        try:
            energies.append(engine.compute(frame, attempt).energy_eV)
        except CalculationFailed as error:
            failures.append(error)
    assert not any(failure.hopeless for failure in failures)
    assert all(re.search("not converged|unphysical", failure.reason) for failure in failures)
    assert len(energies) + len(failures) == 3
    assert energies == pytest.approx([-473.0007] * len(energies), abs=1e-3)


def test_impossible_frames_fail_before_tblite_sees_them(crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings())
    with pytest.raises(CalculationFailed, match=r"charge \+8") as caught:
        engine.compute(frame_of(crystal("MgO")[:2], 8), 0)
    assert caught.value.hopeless
    close = crystal("MgO")
    close.positions[1] = close.positions[0]
    with pytest.raises(CalculationFailed, match="Too close") as caught:
        engine.compute(frame_of(close), 0)
    assert caught.value.hopeless
    uranium = crystal("MgO")
    uranium.numbers[0] = 92
    with pytest.raises(EngineError, match="92"):
        engine.compute(frame_of(uranium), 0)


def test_settings_in_the_key_are_those_that_change_a_label(tblite_settings):
    engine = TbliteEngine(tblite_settings(electronic_temperature_K=400))
    assert json.loads(engine.settings_json) == {
        "method": "GFN1-xTB",
        "electronic_temperature_K": 400.0,
        "accuracy": 1.0,
    }
    patient = TbliteEngine(tblite_settings(electronic_temperature_K=400.0, max_iterations=999))
    assert patient.settings_json == engine.settings_json
    names = {TbliteEngine(tblite_settings(m)).name for m in ("GFN1-xTB", "IPEA1-xTB")}
    assert names == {"tblite/GFN1-xTB", "tblite/IPEA1-xTB"}
    assert 300 * kB / Hartree == pytest.approx(9.5e-4, rel=1e-3)


# OpenBLAS under tblite: the same numbers, and it is really the one that computes.


WITH_IT = (
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom defectscape.engines.worker import use_openblas\nsys.exit(not use_openblas())",
        ],
        check=False,
    ).returncode
    == 0
)


@pytest.mark.parametrize("method", ["GFN1-xTB", "IPEA1-xTB"])
def test_the_worker_gives_the_numbers_of_tblites_own_blas(crystal, frame_of, tblite_settings, method) -> None:
    settings = tblite_settings(method)
    for charge in (0, -1):
        frame = frame_of(crystal("CdTe", vacancy=True), charge)
        ours, own = make_engine(settings).compute(frame, 0), TbliteEngine(settings).compute(frame, 0)
        assert ours.energy_eV == pytest.approx(own.energy_eV, abs=1e-8)
        assert ours.forces_eV_A == pytest.approx(own.forces_eV_A, abs=1e-7)
        assert np.allclose(ours.stress_eV_A3, own.stress_eV_A3, atol=1e-9)


@pytest.mark.skipif(not WITH_IT, reason="no OpenBLAS on this machine")
def test_the_worker_has_loaded_it_and_this_process_has_not(crystal, frame_of, tblite_settings) -> None:
    engine = make_engine(tblite_settings())
    engine.compute(frame_of(crystal("CdTe")), 0)
    libraries = [Path(f"/proc/{number}/maps").read_text() for number in ("self", engine._worker.number)]
    name = LIBRARY.removesuffix(".so.0")
    assert [f"/{name}" in maps for maps in libraries] == [False, True]


def test_without_it_nothing_is_done(monkeypatch) -> None:
    monkeypatch.setattr("defectscape.engines.worker.LIBRARY", "libnothing.so.99")
    assert not use_openblas()
