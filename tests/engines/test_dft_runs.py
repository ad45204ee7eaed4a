"""DFT programs for real, on few atoms: pw.x, CP2K and GPAW."""

import importlib.util
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest

from defectscape.domain.frame import Frame, Origin
from defectscape.engines.ase_calculator import AseEngine
from defectscape.engines.base import CalculationFailed
from defectscape.engines.espresso import ATTEMPTS, EspressoEngine
from defectscape.engines.labelling import label_frame
from defectscape.engines.program import run_program
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore
from support.pwx import absent, diamond, settings, write_pseudopotentials

pytestmark = pytest.mark.dft

needs_pw = pytest.mark.skipif(absent() is not None, reason=absent() or "pw.x is here")
needs_cp2k = pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="no cp2k.psmp: install Debian's cp2k")
needs_gpaw = pytest.mark.skipif(
    importlib.util.find_spec("gpaw") is None or importlib.util.find_spec("gpaw_data") is None,
    reason="no gpaw with its data: pip install gpaw gpaw-data, which needs libxc and a compiler",
)


# pw.x for real, on eight atoms: derivatives, invariances, and that HSE06 is HSE06.


TIGHT = {"pbe": 1e-9, "hse06": 1e-8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gth")
    write_pseudopotentials(folder)
    return folder


def moved(frame: Frame, step_A: np.ndarray) -> Frame:
    return frame.moved(frame.positions_A + step_A, origin=Origin.RATTLE)


@needs_pw
@pytest.mark.parametrize(
    ("functional", "charge", "error"),
    [("pbe", 0, 1.2e-2), ("pbe", 1, 1.2e-2), ("hse06", 0, 1.5e-2)],
)
def test_a_force_is_minus_the_slope(folder: Path, functional: str, charge: int, error: float) -> None:
    engine = EspressoEngine(settings(folder, functional, convergence_Ry=TIGHT[functional]))
    frame, step = diamond(charge), np.zeros((8, 3))
    step[2, 0] = 0.005
    force = engine.compute(frame, 0).forces_eV_A[2, 0]
    up, down = (engine.compute(moved(frame, s * step), 0).energy_eV for s in (1, -1))
    assert abs(force) > 0.5
    assert -(up - down) / 0.01 == pytest.approx(force, abs=error)


# The grid sees the atoms move: at this low cutoff, against forces of 3 eV/A, measured were 1.6 meV and
# 36 meV/A with PBE, 14 meV and 51 meV/A with HSE06.
@needs_pw
@pytest.mark.parametrize(("functional", "energy_eV", "force"), [("pbe", 4e-3, 6e-2), ("hse06", 2.5e-2, 8e-2)])
def test_rigid_shifts_and_reordering_change_nothing(
    folder: Path, functional: str, energy_eV: float, force: float
) -> None:
    engine = EspressoEngine(settings(folder, functional, convergence_Ry=1e-7))
    frame = diamond()
    label = engine.compute(frame, 0)
    shifted = engine.compute(moved(frame, np.array([0.31, 0.12, -0.2])), 0)
    assert shifted.energy_eV == pytest.approx(label.energy_eV, abs=energy_eV)
    np.testing.assert_allclose(shifted.forces_eV_A, label.forces_eV_A, atol=force)
    order = np.random.default_rng(0).permutation(8)
    other = Frame(frame.numbers, frame.positions_A[order], frame.cell_A, frame.key, 1, frame.origin, "x")
    reordered = engine.compute(other, 0)
    assert reordered.energy_eV == pytest.approx(label.energy_eV, abs=1e-4)
    np.testing.assert_allclose(reordered.forces_eV_A, label.forces_eV_A[order], atol=5e-3)


@needs_pw
@pytest.mark.parametrize("functional", ["pbe", "hse06"])
def test_a_label_is_reproduced_to_the_bit(folder: Path, functional: str) -> None:
    engine = EspressoEngine(settings(folder, functional, convergence_Ry=1e-5))
    first, again = (engine.compute(diamond(1), 0) for _ in range(2))
    assert first.energy_eV == again.energy_eV
    assert first.forces_eV_A.tobytes() == again.forces_eV_A.tobytes()
    assert engine.version.startswith("pw.x ")


@needs_pw
def test_stress_is_the_strain_derivative_per_volume(folder: Path) -> None:
    engine = EspressoEngine(settings(folder, stress=True, convergence_Ry=1e-9, cutoff_Ry=40.0))
    frame, h = diamond(a=3.62), 0.002
    stress = engine.compute(frame, 0).stress_eV_A3
    energies = [
        engine.compute(
            Frame(
                frame.numbers,
                frame.positions_A * (1 + s * h),
                frame.cell_A * (1 + s * h),
                frame.key,
                1,
                frame.origin,
                "x",
            ),
            0,
        ).energy_eV
        for s in (1, -1)
    ]
    slope = (energies[0] - energies[1]) / (2 * h) / np.linalg.det(frame.cell_A)
    assert slope > 0.5
    assert np.trace(stress) == pytest.approx(slope, rel=0.02)


@needs_pw
def test_the_hybrid_s_energy_is_the_last_one_and_ase_reads_the_first(folder: Path, tmp_path: Path) -> None:
    shown = settings(folder, "hse06", convergence_Ry=1e-6)
    engine = EspressoEngine(shown.model_copy(update={"command": f"{_tee(tmp_path)} {tmp_path}/pw.out"}))
    label = engine.compute(diamond(), 0)
    text = (tmp_path / "pw.out").read_text()
    last = float(re.findall(r"^!!\s+total energy\s+=\s+(\S+) Ry", text, re.MULTILINE)[-1])
    assert label.energy_eV == pytest.approx(last * 13.605693, abs=1e-3)
    theirs = ase.io.read(io.StringIO(text), format="espresso-out").get_potential_energy()
    assert abs(theirs - label.energy_eV) > 1.0


def _tee(folder: Path) -> str:
    """A program that runs pw.x and keeps what it prints in the file that is its first argument."""
    path = folder / "tee.sh"
    path.write_text('#!/bin/sh\nout="$1"; shift\npw.x "$@" > "$out"\n')
    path.chmod(0o755)
    return str(path)


@needs_pw
def test_exact_exchange_opens_the_gap_and_charge_empties_a_level(folder: Path) -> None:
    pbe = EspressoEngine(settings(folder)).compute(diamond(), 0)
    hse = EspressoEngine(settings(folder, "hse06", convergence_Ry=1e-5)).compute(diamond(), 0)
    assert pbe.cbm_eV - pbe.vbm_eV > 0.5
    assert hse.cbm_eV - hse.vbm_eV > pbe.cbm_eV - pbe.vbm_eV + 0.5
    assert pbe.absolute_magnetisation == 0.0
    hole = EspressoEngine(settings(folder)).compute(diamond(1), 0)
    assert hole.absolute_magnetisation >= 0.99
    assert hole.energy_eV - pbe.energy_eV == pytest.approx(-pbe.vbm_eV, abs=2.0)


@needs_pw
def test_every_rung_finds_the_same_solution(folder: Path) -> None:
    engine = EspressoEngine(settings(folder, convergence_Ry=1e-8))
    energies = [engine.compute(diamond(), attempt).energy_eV for attempt in range(len(ATTEMPTS))]
    assert np.ptp(energies) < 1e-4


@needs_pw
def test_too_few_cycles_are_a_failure_that_says_so(folder: Path, tmp_path: Path) -> None:
    few = settings(folder, keywords={"electrons": {"electron_maxstep": 2}}, convergence_Ry=1e-9)
    record = label_frame(diamond(), EspressoEngine(few), LabelStore(tmp_path / "labels"), 30.0)
    assert record.label is None
    assert "convergence NOT achieved after 2 iterations" in record.failure
    assert record.rung == len(ATTEMPTS) - 1


@needs_pw
def test_the_program_s_time_is_the_label_s(folder: Path, tmp_path: Path) -> None:
    record = label_frame(diamond(), EspressoEngine(settings(folder)), LabelStore(tmp_path / "labels"), 30.0)
    assert 0.2 < record.core_s < 60.0
    assert record.engine_version.startswith("pw.x ")


@needs_pw
def test_our_pseudopotential_is_read_as_the_element_it_is(folder: Path, tmp_path: Path) -> None:
    EspressoEngine(settings(folder)).compute(diamond(), 0)
    done = run_program("pw.x", ["-in", "/dev/null"], tmp_path, 60.0)
    assert "Program PWSCF" in done.output


# CP2K itself through ASE's calculator: charge and spin reach it, and an unfinished SCF is no label.


@pytest.fixture
def silicon(crystal, frame_of) -> Callable[[int, int], Frame]:
    # The crystal itself, whose SCF converges in some ten cycles; a charge and a spin it takes all the same.
    atoms = crystal("Si", rattles=((0.05, 1),))
    return lambda charge, multiplicity: frame_of(atoms, charge, multiplicity)


def cp2k_settings(**arguments: object) -> dict[str, object]:
    # A small basis and a coarse grid: seconds, and still a calculation.
    small = {"xc": "PBE", "cutoff": 2000, "basis_set": "SZV-MOLOPT-SR-GTH", "uks": True}
    return {
        "kind": "ase",
        "calculator": "ase.calculators.cp2k.CP2K",
        "method": "PBE",
        "charge": "charge",
        "multiplicity": "multiplicity",
        "folder": "directory",
        "failed_if": {"cp2k.out": "SCF run NOT converged"},
        "arguments": small | arguments,
    }


def cp2k(**arguments: object) -> AseEngine:
    return AseEngine(AseSettings.model_validate(cp2k_settings(**arguments)))


@needs_cp2k
def test_charge_and_spin_reach_cp2k(silicon, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    neutral = cp2k().compute(silicon(0, 1), 0)
    triplet = cp2k().compute(silicon(0, 3), 0)
    charged = cp2k().compute(silicon(-1, 2), 0)
    # An electron across the gap of a small basis, and one more above it.
    assert 0.3 < triplet.energy_eV - neutral.energy_eV < 5
    assert 1 < charged.energy_eV - neutral.energy_eV < 20
    assert neutral.fmax_eV_A > 0.1
    assert not list(tmp_path.iterdir()), "its files belong into the scratch folder"


@needs_cp2k
def test_an_unfinished_scf_of_cp2k_is_no_label(silicon) -> None:
    with pytest.raises(CalculationFailed, match=r"cp2k\.out says 'SCF run NOT converged'"):
        cp2k(max_scf=2).compute(silicon(0, 1), 0)


@needs_cp2k
def test_a_refusal_in_cp2k_s_own_words(silicon) -> None:
    with pytest.raises(CalculationFailed, match="odd number of electrons"):
        cp2k(uks=False).compute(silicon(-1, 2), 0)


# GPAW itself: charge and spin reach it, and an unfinished SCF is no label.


def gpaw(**arguments: object) -> AseEngine:
    fixed = {"name": "fermi-dirac", "width": 0.05, "fixmagmom": True}
    small: dict[str, object] = {
        "mode": {"name": "pw", "ecut": 200},
        "xc": "PBE",
        "kpts": [1, 1, 1],
        "spinpol": True,
        "occupations": fixed,
        "txt": None,
    }
    values = {
        "kind": "ase",
        "calculator": "gpaw.GPAW",
        "method": "PBE",
        "charge": "charge",
        "multiplicity": "magmoms",
        "arguments": small | arguments,
    }
    return AseEngine(AseSettings.model_validate(values))


@needs_gpaw
def test_charge_and_spin_reach_gpaw(silicon) -> None:
    singlet = gpaw().compute(silicon(0, 1), 0)
    plain = {"spinpol": False, "occupations": {"name": "fermi-dirac", "width": 0.05}}
    paired = gpaw(**plain).compute(silicon(0, 1), 0)
    assert singlet.energy_eV == pytest.approx(paired.energy_eV, abs=1e-5)
    triplet = gpaw().compute(silicon(0, 3), 0)
    charged = gpaw().compute(silicon(-1, 2), 0)
    assert 0.05 < abs(triplet.energy_eV - singlet.energy_eV) < 5
    assert 1 < charged.energy_eV - singlet.energy_eV < 20


@needs_gpaw
def test_a_spin_that_runs_away_is_a_failure(silicon) -> None:
    free = {"name": "fermi-dirac", "width": 0.05}
    with pytest.raises(CalculationFailed, match="unpaired electrons instead of 1"):
        gpaw(occupations=free).compute(silicon(-1, 2), 0)


@needs_gpaw
def test_an_unfinished_scf_of_gpaw_is_no_label(silicon) -> None:
    with pytest.raises(CalculationFailed, match="KohnShamConvergenceError"):
        gpaw(maxiter=3).compute(silicon(0, 1), 0)
