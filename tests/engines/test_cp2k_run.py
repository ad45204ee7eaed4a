"""CP2K itself through ASE's calculator: charge and spin reach it, and an unfinished SCF is no label."""

import shutil
from collections.abc import Callable

import pytest

from defectscape.domain.frame import Frame
from defectscape.engines.ase_calculator import AseEngine
from defectscape.engines.base import CalculationFailed
from defectscape.settings.ase_calculator import AseSettings

pytestmark = [
    pytest.mark.dft,
    pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="no cp2k.psmp: install Debian's cp2k"),
]


@pytest.fixture
def silicon(crystal, frame_of) -> Callable[[int, int], Frame]:
    # The crystal itself, whose SCF converges in some ten cycles; a charge and a spin it takes all the same.
    atoms = crystal("Si", rattles=((0.05, 1),))
    return lambda charge, multiplicity: frame_of(atoms, charge, multiplicity)


def settings(**arguments: object) -> dict[str, object]:
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


def engine(**arguments: object) -> AseEngine:
    return AseEngine(AseSettings.model_validate(settings(**arguments)))


def test_charge_and_spin_reach_it(silicon, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    neutral = engine().compute(silicon(0, 1), 0)
    triplet = engine().compute(silicon(0, 3), 0)
    charged = engine().compute(silicon(-1, 2), 0)
    # An electron across the gap of a small basis, and one more above it.
    assert 0.3 < triplet.energy_eV - neutral.energy_eV < 5
    assert 1 < charged.energy_eV - neutral.energy_eV < 20
    assert neutral.fmax_eV_A > 0.1
    assert not list(tmp_path.iterdir()), "its files belong into the scratch folder"


def test_an_unfinished_scf_is_no_label(silicon) -> None:
    with pytest.raises(CalculationFailed, match=r"cp2k\.out says 'SCF run NOT converged'"):
        engine(max_scf=2).compute(silicon(0, 1), 0)


def test_a_refusal_in_its_own_words(silicon) -> None:
    with pytest.raises(CalculationFailed, match="odd number of electrons"):
        engine(uks=False).compute(silicon(-1, 2), 0)
