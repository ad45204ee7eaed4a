"""Ground states at another spin multiplicity: which are asked for, what is said of them, and who is not asked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.energies import TransitionLevel
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.files.tables import save_verified
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.search.open_shell import ODD, SEVERAL, open_shell
from defectscape.settings.engine import tells_spins
from defectscape.settings.structure import SupercellSettings
from defectscape.stages.spin_check import check_spin
from defectscape.study.context import StudyContext
from defectscape.study.host import write_host, write_sites
from defectscape.study.label_counts import label_counts, spin_checks
from defectscape.study.spin_checks import read_spin_check, read_spin_checks
from defectscape.summary.cost import _spin_checks
from defectscape.summary.spins import spin_lines, spin_rows
from support import ROOT
from support.small_study import small_study, write_study

HOPPING_EV, DECAY_A, REPULSION_EV = 2.0, 0.5, 3.0
BOND_A = 2.8
HOST = build_host(
    read_unit_cell(ROOT / "config/hosts/CdTe.vasp"),
    SupercellSettings(matrix=[[2, 0, 0], [0, 2, 0], [0, 0, 2]], min_image_distance_A=12.0),
)
SITES = enumerate_sites(HOST)


class TwoElectrons:
    """Two electrons on two tellurium atoms, the closed shell of a Hubbard dimer, or parallel.

    A closed-shell singlet is in a bond, -2t + U/2, and t decays with the distance; a triplet has neither, 0 eV. So the
    triplet is lower where the atoms are far apart. Hubbard, Proc. R. Soc. A 276, 238 (1963).
    """

    name, version, attempts = "two electrons", "1", (ScfAttempt("plain", "as it is"),)
    settings_json = "{}"

    def __init__(self, *, failing: tuple[int, ...] = (), blind: bool = False) -> None:
        self.failing, self.blind = failing, blind
        self.asked: list[tuple[str, int]] = []

    def settings_of(self, numbers: np.ndarray) -> str:
        return "{}"

    def compute(self, frame: Frame, attempt: int) -> Label:
        self.asked.append((str(frame.key), frame.multiplicity))
        if frame.multiplicity in self.failing:
            raise CalculationFailed("no convergence", hopeless=True)
        energy_eV = 0.0 if frame.multiplicity > 1 and not self.blind else singlet_eV(closest_A(frame))
        return Label(energy_eV - 100.0, np.zeros((len(frame), 3)))


def singlet_eV(distance_A: float) -> float:
    return -2 * HOPPING_EV * np.exp(-(distance_A - BOND_A) / DECAY_A) + REPULSION_EV / 2


def closest_A(frame: Frame) -> float:
    """The shortest distance of two tellurium atoms."""
    place = frame.positions_A[frame.numbers == 52]
    gaps = (place[:, None] - place[None, :]) @ np.linalg.inv(frame.cell_A)
    lengths = np.linalg.norm((gaps - np.rint(gaps)) @ frame.cell_A, axis=2)
    return float(lengths[lengths > 1e-6].min())


def vacancy(charge: int, dimer_A: float | None = None) -> Frame:
    """A cadmium vacancy of CdTe, two of its neighbours at a distance."""
    site = pick_site(SITES, "v_Cd")
    frame = defect_frame(HOST, site, charge)
    if dimer_A is None:
        return frame
    gaps = (frame.positions_A - np.array(site.frac_coords) @ HOST.cell_A) @ np.linalg.inv(HOST.cell_A)
    vectors = (gaps - np.rint(gaps)) @ HOST.cell_A
    one, other = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[:2]
    bond = vectors[other] - vectors[one]
    step = bond * (1 - dimer_A / np.linalg.norm(bond)) / 2
    positions = frame.positions_A.copy()
    positions[one] += step
    positions[other] -= step
    return frame.moved(positions, origin=Origin.MINIMUM)


@pytest.fixture
def context(tmp_path: Path) -> StudyContext:
    study = small_study()
    study["label_store"] = str(tmp_path / "labels")
    study["defects"] = [{"name": "v_Cd", "charges": ["0", "-1", "-2"]}]
    study["fidelities"]["high"]["engine"] = {
        "kind": "ase",
        "calculator": "support.faulty.Pairs",
        "method": "two electrons",
        "charge": "charge",
        "multiplicity": "magmoms",
    }
    loaded = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    loaded.layout.host.parent.mkdir(parents=True)
    write_host(loaded, HOST)
    write_sites(loaded, SITES)
    return loaded


def verify(context: StudyContext, frame: Frame | None, key: DefectKey, *, by_engine: bool = True) -> None:
    """Write a verified ground state, with the energy that the toy has of its singlet or doublet."""
    items = []
    if frame is not None:
        label = TwoElectrons().compute(frame, 0) if by_engine else None
        minimum = Minimum(0, frame, -100.0, (-100.0, -100.0), 0.0, 0.0, ("unperturbed",), True)
        items = [VerifiedMinimum(minimum, label, frame, label, 0)]
    path = context.layout.group("v_Cd").verified(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_verified(path, items)


def check(context: StudyContext, frames: dict[int, Frame | None], engine: TwoElectrons, monkeypatch) -> None:
    """Run the stage on every charge state."""
    monkeypatch.setattr(StudyContext, "engine", lambda self, level: engine)
    for charge in (0, -1, -2):
        key = DefectKey("v_Cd", charge)
        verify(context, frames.get(charge, vacancy(charge)), key)
        check_spin(context, "v_Cd", key)


LEVELS = [
    TransitionLevel("v_Cd", 0, -1, 0.2, 0.01, stable=True, in_gap=True),
    TransitionLevel("v_Cd", -1, -2, 0.5, 0.01, stable=True, in_gap=True),
    TransitionLevel("v_Te", 0, -1, 0.5, 0.01, stable=True, in_gap=True),
]


@pytest.mark.parametrize("distance_A", [BOND_A, 3.2])
def test_a_short_bond_pairs_its_electrons_and_a_long_one_does_not(context, monkeypatch, distance_A: float) -> None:
    engine = TwoElectrons()
    check(context, {0: vacancy(0, distance_A)}, engine, monkeypatch)
    assert engine.asked == [("v_Cd_0", 3), ("v_Cd_-1", 4)], (
        "the closed shell of the doubly negative one is not asked for"
    )
    assert read_spin_check(context, "v_Cd", DefectKey("v_Cd", -2)) is None
    row = spin_rows(context, LEVELS)[0]
    assert (row.key, row.multiplicity, row.other_multiplicity) == ("v_Cd_0", 1, 3)
    assert row.difference_eV == pytest.approx(-singlet_eV(distance_A))
    assert row.lower == (singlet_eV(distance_A) > 0)
    assert row.levels == ["(0/-1)"]
    lower = [line for line in spin_lines(context, LEVELS) if "meV below" in line]
    assert len(lower) == row.lower
    if lower:
        assert lower[0].startswith("v_Cd_0: at the geometry of its ground state, multiplicity 3 is ")
        assert f"{1e3 * singlet_eV(distance_A):.0f} meV below 1" in lower[0]
        assert "the levels (0/-1) of v_Cd rest on it" in lower[0]
    # Again: from the store.
    check_spin(context, "v_Cd", DefectKey("v_Cd", 0))
    assert len(engine.asked) == 2


def test_a_failed_label_is_no_answer(context, monkeypatch) -> None:
    check(context, {}, TwoElectrons(failing=(3,)), monkeypatch)
    row = spin_rows(context, LEVELS)[0]
    assert (row.difference_eV, row.lower, row.failure) == (None, False, "plain: no convergence")
    assert any("not known to be higher: v_Cd_0 (3)" in line for line in spin_lines(context, LEVELS))
    (cost,) = _spin_checks(context)
    assert (cost.labels, cost.failed) == (1, 1)


def test_an_engine_that_does_not_look_at_the_spin_is_found_out(context, monkeypatch) -> None:
    check(context, {}, TwoElectrons(blind=True), monkeypatch)
    assert any("it does not look at the spin" in line for line in spin_lines(context, LEVELS))
    assert not any(row.lower for row in spin_rows(context, LEVELS))


def test_a_state_without_a_verified_minimum_is_not_asked_for(context, monkeypatch) -> None:
    engine = TwoElectrons()
    monkeypatch.setattr(StudyContext, "engine", lambda self, level: engine)
    for charge, frame in ((0, None), (-1, vacancy(-1))):
        verify(context, frame, DefectKey("v_Cd", charge), by_engine=False)
        check_spin(context, "v_Cd", DefectKey("v_Cd", charge))
        assert read_spin_check(context, "v_Cd", DefectKey("v_Cd", charge)) is None
    assert engine.asked == []


def test_why_another_multiplicity_is_plausible() -> None:
    assert open_shell(HOST, SITES, vacancy(0)) == SEVERAL
    assert open_shell(HOST, SITES, vacancy(-1)) == ODD
    assert open_shell(HOST, SITES, vacancy(-2)) is None
    assert open_shell(HOST, SITES, vacancy(-2, BOND_A)) == "a Te dimer"
    assert open_shell(HOST, SITES, replace(vacancy(-2), multiplicity=3)) == "multiplicity 3 is stated"


def test_the_spin_of_a_label_is_part_of_its_key_and_of_nothing_else() -> None:
    singlet = vacancy(0, BOND_A)
    triplet = singlet.respun(3)
    assert triplet.geometry_hash != singlet.geometry_hash
    assert (triplet.key, triplet.family, triplet.unpaired) == (singlet.key, singlet.family, 2)
    assert triplet.respun(1).geometry_hash == singlet.geometry_hash


def test_tight_binding_without_exchange_is_not_asked(tmp_path: Path) -> None:
    """Both spins fill the same levels, so that the lowest multiplicity is the lowest in energy in any case."""
    study = small_study()
    quiet = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    assert not quiet.study.checks_spin
    assert spin_checks(quiet.study) == 0
    assert read_spin_checks(quiet) == ()


def test_who_tells_spins_apart_is_asked_once_for_each_state(context) -> None:
    study = context.study
    high = study.fidelities.high.engine
    assert tells_spins(high)
    assert not tells_spins(high.model_copy(update={"multiplicity": "none"}))
    off = study.model_copy(update={"verification": study.verification.model_copy(update={"other_multiplicity": False})})
    assert label_counts(study)[2] - label_counts(off)[2] == spin_checks(study) == 3
