"""Distortions of the perfect crystal, and the curvature of its energy."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from defectscape.domain.site import HostCrystal
from defectscape.files.atoms import to_atoms
from defectscape.sampling.curvature import HostCurvature
from defectscape.sampling.host import host_frame
from defectscape.sampling.host_distortions import host_distortions
from defectscape.sampling.lengths import displacements_A, too_close


def test_distortions_are_a_rattle_and_bonds_of_each_element(cdte, sampling):
    starts = host_distortions(cdte, sampling, 6, seed=3)
    assert [start.note for start in starts] == [
        "rattle by 0.1 A",
        "two bonds of Cd by -40%",
        "two bonds of Te by -40%",
        "rattle by 0.1 A",
        "two bonds of Cd by +40%",
        "two bonds of Te by +40%",
    ]
    assert len({start.frame_id for start in starts}) == 6
    assert {start.multiplicity for start in host_distortions(cdte, sampling, 6, seed=3, ferromagnet=5)} == {5}
    assert {frame.multiplicity for frame in HostCurvature(cdte, 5).frames} == {5}
    perfect = host_frame(cdte)
    for start in starts:
        assert not too_close(start.numbers, start.positions_A, start.cell_A, sampling.shortest_distance_A)
        assert (start.key, start.charge, len(start)) == (perfect.key, 0, len(perfect))


def test_two_neighbours_of_an_atom_are_moved_far(cdte, sampling):
    start = host_distortions(cdte, sampling, 2, seed=3)[1]
    away = np.linalg.norm(displacements_A(cdte.positions_A, start.positions_A, cdte.cell_A), axis=1)
    bond_A = np.sqrt(3) / 4 * 6.62
    assert sorted(away)[-2:] == pytest.approx([0.4 * bond_A] * 2, abs=1e-6)


def test_more_distortions_leave_the_first_as_they_are(cdte, sampling):
    few, more = (host_distortions(cdte, sampling, count, seed=3) for count in (2, 5))
    assert [start.frame_id for start in more[:2]] == [start.frame_id for start in few]
    other = host_distortions(cdte, sampling, 2, seed=4)
    assert {start.frame_id for start in other}.isdisjoint(start.frame_id for start in few)


def test_bonds_are_shortened_as_far_as_the_atoms_allow(cdte, sampling):
    tight = sampling.model_copy(update={"shortest_distance_A": 2.1})
    notes = [start.note for start in host_distortions(cdte, tight, 3, seed=3)]
    assert notes[1:] == ["two bonds of Cd by -20%", "two bonds of Te by -20%"]
    none = sampling.model_copy(update={"shortest_distance_A": 2.86})
    assert len(host_distortions(cdte, none, 3, seed=3)) < 3


def crystal(unit: Atoms) -> HostCrystal:
    cell = unit.repeat((2, 2, 2))
    cell_A, matrix = cell.cell.array, np.diag([2, 2, 2])
    unit_cell = unit.numbers, unit.positions, unit.cell.array
    return HostCrystal("Cu", "?", *unit_cell, matrix, cell.numbers, cell.positions, cell_A, 4.0)


def forces(frame):
    atoms = to_atoms(frame)
    atoms.calc = EMT()
    return atoms.get_forces()


@pytest.mark.parametrize(
    ("unit", "stable"),
    [(bulk("Cu", cubic=True), True), (Atoms("Cu", cell=[2.4] * 3, pbc=True), False)],
    ids=["fcc", "simple cubic"],
)
def test_the_curvature_is_that_of_all_displacements(unit, stable):
    host = crystal(unit)
    found = HostCurvature(host)
    assert len(found.frames) == 1, "symmetry leaves one displacement of one atom"
    mode = found.softest([forces(frame) for frame in found.frames])
    perfect, columns = host_frame(host), []
    for number in range(3 * len(host.numbers)):
        step = np.zeros(3 * len(host.numbers))
        step[number] = 0.01
        ends = [perfect.moved(perfect.positions_A + s * step.reshape(-1, 3), origin=perfect.origin) for s in (1, -1)]
        columns.append((forces(ends[1]) - forces(ends[0])).ravel() / 0.02)
    values = np.linalg.eigvalsh((np.array(columns) + np.array(columns).T) / 2)
    translations = np.argsort(np.abs(values))[:3]
    lowest = np.delete(values, translations).min()
    assert mode.curvature_eV_A2 == pytest.approx(lowest, abs=0.1, rel=0.05)
    assert (mode.curvature_eV_A2 > 0) is stable
    assert np.linalg.norm(mode.direction) == pytest.approx(1.0)
    assert mode.direction.sum(axis=0) == pytest.approx(0.0, abs=1e-6)
