"""Relaxations end in minima, or say why they did not."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Origin
from defectscape.search.matching import host_operations, rmsd_A
from defectscape.search.relaxation import nudged, relax, relax_all
from defectscape.search.symmetry import point_group


def test_distorted_starts_fall_into_the_same_minimum(vacancy, copper, emt, search):
    standard = relax(vacancy, emt, search)
    operations = host_operations(copper, (0.0, 0.0, 0.0))
    for seed, std_A in ((1, 0.05), (2, 0.15), (3, 0.25)):
        found = relax(nudged(vacancy, seed, std_A), emt, search)
        assert found.converged
        assert found.reason == "converged"
        assert found.energy_eV == pytest.approx(standard.energy_eV, abs=1e-3)
        assert rmsd_A(found.final, standard.final, operations) < 0.02
    assert standard.fmax_eV_A <= search.fmax_eV_A
    assert standard.final.origin is Origin.MINIMUM
    assert standard.final.parent == vacancy.frame_id
    assert standard.final.family == vacancy.family


def test_relaxing_is_deterministic(dumbbell, emt, search):
    first, second = (relax(dumbbell((1, 1, 0)), emt, search) for _ in range(2))
    assert first.final.positions_A.tobytes() == second.final.positions_A.tobytes()
    assert first.energy_eV == second.energy_eV


def test_a_symmetric_start_stays_on_its_saddle_and_a_nudged_one_leaves(dumbbell, emt, search):
    """The <100> split interstitial of copper is a saddle point of EMT in this cell: by symmetry
    no force bends it, and a small displacement takes it to the octahedral site."""
    split = dumbbell((1, 0, 0), std_A=0.0)
    saddle = relax(split, emt, search)
    fallen = relax(nudged(split, 2, std_A=0.05), emt, search)
    assert saddle.converged
    assert fallen.converged
    assert point_group(saddle.final, 0.02) == "D4h"
    assert point_group(fallen.final, 0.1) == "Oh"
    assert fallen.energy_eV < saddle.energy_eV - 0.1


def test_nudging_keeps_the_centre_and_follows_its_seed(vacancy):
    a, b, c = nudged(vacancy, 1), nudged(vacancy, 1), nudged(vacancy, 2)
    assert a.frame_id == b.frame_id != c.frame_id
    moves = a.positions_A - vacancy.positions_A
    assert np.allclose(moves.mean(axis=0), 0.0, atol=1e-12)
    assert 0.007 < moves.std() < 0.013
    assert a.note == "unperturbed, nudged"


def test_the_path_is_thin_ordered_and_without_its_ends(dumbbell, emt, search):
    found = relax(dumbbell((1, 1, 1), 0.2), emt, search, path_frames=5)
    assert 1 <= len(found.path) <= 5
    ids = [found.start.frame_id, *(f.frame_id for f in found.path), found.final.frame_id]
    assert len(set(ids)) == len(ids)
    assert all(frame.origin is Origin.RELAXATION for frame in found.path)
    left = [np.linalg.norm(f.positions_A - found.final.positions_A) for f in found.path]
    assert left[0] > left[-1]
    assert relax(dumbbell((1, 1, 1), 0.2), emt, search, path_frames=0).path == ()


def test_step_limit_is_the_total(dumbbell, emt, search):
    found = relax(dumbbell((1, 0, 0), 0.2), emt, search.model_copy(update={"max_steps": 7}))
    assert (found.converged, found.reason, found.steps) == (False, "step limit", 7)
    assert found.final.origin is Origin.RELAXATION


def test_a_charge_changes_the_structure(frame_of, surface_of, search):
    """GFN1-xTB: an electron in the antibonding orbital lengthens N2 by several hundredths of A."""
    tblite = pytest.importorskip("tblite.ase")
    surface = surface_of(lambda charge: tblite.TBLite(method="GFN1-xTB", charge=charge, verbosity=0))
    close = search.model_copy(update={"shortest_distance_A": 0.8})
    lengths = {}
    for charge in (0, -1):
        atoms = Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.15]], cell=[9, 9, 9], pbc=True)
        found = relax(frame_of(atoms, charge=charge), surface, close)
        assert found.converged
        assert found.final.charge == charge
        lengths[charge] = float(np.linalg.norm(np.diff(found.final.positions_A, axis=0)))
    assert lengths[-1] > lengths[0] + 0.03


def _pair(frame_of, distance_A, cell_A=20.0):
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, distance_A]], cell=[cell_A] * 3, pbc=True)
    return frame_of(atoms)


def test_short_contacts_stop_before_the_surface_is_asked(frame_of, surface_of, search):
    """Through the periodic boundary: 19.4 A apart in a cell of 20 A is 0.6 A."""
    surface = surface_of(lambda charge: LennardJones(sigma=3.4, epsilon=0.05))
    found = relax(_pair(frame_of, 19.4), surface, search)
    assert found.reason == "two atoms came within 0.60 A"
    assert np.isnan(found.energy_eV)
    assert found.member_energies_eV == ()
    assert found.final.frame_id == found.start.frame_id


def test_a_contact_through_a_skewed_cell_is_seen(frame_of, surface_of, search):
    """Naive wrapping of fractional coordinates misses the nearest image here."""
    cell = np.array([[6.0, 0, 0], [5.9, 6.0, 0], [0, 0, 12.0]])
    target = -1 * cell[0] + 1 * cell[1]  # (-0.1, 6.0, 0): one atom sits 0.9 A from this image
    atoms = Atoms("Ar2", positions=[[0, 0, 0], target + np.array([0.9, 0, 0])], cell=cell, pbc=True)
    expected = atoms.get_distance(0, 1, mic=True)
    assert expected == pytest.approx(0.9)
    surface = surface_of(lambda charge: LennardJones(sigma=3.4, epsilon=0.05))
    assert relax(frame_of(atoms), surface, search).reason == "two atoms came within 0.90 A"


def test_flying_atoms_stop(frame_of, surface_of, search):
    """Two repelling atoms: the last healthy geometry is kept."""
    surface = surface_of(lambda charge: LennardJones(sigma=5.0, epsilon=0.1, rc=19.0))
    limits = search.model_copy(update={"max_displacement_A": 0.3})
    found = relax(_pair(frame_of, 4.5, 40.0), surface, limits)
    assert found.reason.startswith("an atom moved 0.")
    assert not found.converged
    moved = np.linalg.norm(found.final.positions_A - found.start.positions_A, axis=1)
    assert 0.1 < moved.max() <= 0.3
    assert np.isfinite(found.energy_eV)


class _BreaksLater(EMT):
    """EMT that goes wrong in one way from its fourth geometry on."""

    def __init__(self, how):
        super().__init__()
        self.how, self.calls = how, 0

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.calls += 1
        if self.calls > 3:
            self.how(self.results)


def _set(name, value):
    def change(results):
        results[name] = results[name] * 0 + value

    return change


def _raise(error):
    def change(results):
        raise error

    return change


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (_set("energy", np.nan), "non-finite energy"),
        (_set("forces", np.inf), "non-finite force"),
        (_set("energy", -1e4), "the energy fell by"),
        (_raise(CalculationFailed("no\nSCF")), "calculation failed: no SCF"),
    ],
)
def test_what_goes_wrong_is_recorded(dumbbell, emt, surface_of, search, how, reason):
    breaks = _BreaksLater(how)
    found = relax(dumbbell((1, 0, 0)), surface_of(lambda charge: breaks), search)
    assert found.reason.startswith(reason)
    assert not found.converged
    assert found.steps == 2
    # The last accepted geometry is kept, with its energy.
    assert found.energy_eV == pytest.approx(emt.evaluate(found.final).energy_eV)


def test_errors_of_the_model_are_not_swallowed(dumbbell, surface_of, search):
    error = ModelError("charge", 7, "Train on it first")
    breaks = _BreaksLater(_raise(error))
    with pytest.raises(ModelError, match="charge: 7"):
        relax(dumbbell((1, 0, 0)), surface_of(lambda charge: breaks), search)


def test_progress_reaches_the_log(vacancy, emt, search, caplog):
    with caplog.at_level(logging.INFO, logger="defectscape"):
        found = relax_all([vacancy, nudged(vacancy, 1)], emt, search)
    assert [relaxation.converged for relaxation in found] == [True, True]
    assert "relaxed 2 of 2" in caplog.text
    assert "0 s left" in caplog.text
