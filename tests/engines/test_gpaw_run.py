"""GPAW itself: charge and spin reach it, and an unfinished SCF is no label."""

import importlib.util
from collections.abc import Callable

import pytest

from defectscape.domain.frame import Frame
from defectscape.engines.ase_calculator import AseEngine
from defectscape.engines.base import CalculationFailed
from defectscape.settings.ase_calculator import AseSettings

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gpaw") is None or importlib.util.find_spec("gpaw_data") is None,
    reason="no gpaw with its data: pip install gpaw gpaw-data, which needs libxc and a compiler",
)


@pytest.fixture
def silicon(crystal, frame_of) -> Callable[[int, int], Frame]:
    atoms = crystal("Si", rattles=((0.05, 1),))
    return lambda charge, multiplicity: frame_of(atoms, charge, multiplicity)


def engine(**arguments: object) -> AseEngine:
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


def test_charge_and_spin_reach_it(silicon) -> None:
    singlet = engine().compute(silicon(0, 1), 0)
    plain = {"spinpol": False, "occupations": {"name": "fermi-dirac", "width": 0.05}}
    paired = engine(**plain).compute(silicon(0, 1), 0)
    assert singlet.energy_eV == pytest.approx(paired.energy_eV, abs=1e-5)
    triplet = engine().compute(silicon(0, 3), 0)
    charged = engine().compute(silicon(-1, 2), 0)
    assert 0.05 < abs(triplet.energy_eV - singlet.energy_eV) < 5
    assert 1 < charged.energy_eV - singlet.energy_eV < 20


def test_a_spin_that_runs_away_is_a_failure(silicon) -> None:
    free = {"name": "fermi-dirac", "width": 0.05}
    with pytest.raises(CalculationFailed, match="unpaired electrons instead of 1"):
        engine(occupations=free).compute(silicon(-1, 2), 0)


def test_an_unfinished_scf_is_no_label(silicon) -> None:
    with pytest.raises(CalculationFailed, match="KohnShamConvergenceError"):
        engine(maxiter=3).compute(silicon(0, 1), 0)
