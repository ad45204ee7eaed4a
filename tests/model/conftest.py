"""A small world with a known truth: a 7-atom cell, three charges, a charge-dependent Morse crystal.

The truth is an analytic stand-in for an engine, not a model of CdTe: Morse pairs whose equilibrium
distance grows by 0.1 A per electron taken away, on top of a constant per fidelity and charge.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.model.committee import Committee
from defectscape.model.training import train_member
from defectscape.settings.training import TrainingSettings

FIDELITIES = ("low", "high")
CHARGES = (-2, 0, 1)
"""-1 lies inside the range, but is never trained on."""

OFFSET_eV = {"low": -3000.0, "high": -3121.5}


def make_frame(seed: int, charge: int, *, defect: str = "v_Cd", amplitude_A: float = 0.12) -> Frame:
    atoms = bulk("CdTe", "zincblende", 6.48, cubic=True)
    del atoms[0]
    rng = np.random.default_rng(seed)
    positions = atoms.positions + rng.normal(0, amplitude_A, (len(atoms), 3))
    return Frame(
        atoms.numbers,
        positions,
        atoms.cell.array,
        DefectKey(defect, charge),
        1,
        Origin.RATTLE,
        f"family {seed}",
    )


def morse_label(frame: Frame, fidelity: str) -> Label:
    """Energy and forces of the charged Morse crystal."""
    atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
    depth = 0.3 if fidelity == "low" else 0.36
    atoms.calc = MorsePotential(epsilon=depth, rho0=4.0, r0=2.8 + 0.1 * frame.charge, rcut1=3.2, rcut2=4.2)
    energy = atoms.get_potential_energy() + OFFSET_eV[fidelity] - 11.0 * frame.charge
    return Label(energy, atoms.get_forces())


def make_data(seeds: Sequence[int], charges: Sequence[int] = CHARGES) -> list[LabelledFrame]:
    """Every seed in every charge at low fidelity, every other seed at high fidelity too."""
    data = []
    for seed in seeds:
        for charge in charges:
            frame = make_frame(seed, charge)
            for fidelity in FIDELITIES if seed % 2 == 0 else FIDELITIES[:1]:
                data.append(LabelledFrame(frame, morse_label(frame, fidelity), fidelity))
    return data


def make_two_defects(seeds: Sequence[int]) -> list[LabelledFrame]:
    """A vacancy and an antisite in two charges each; the antisite holds its electron less tightly, by 0.7 eV."""
    data = []
    for seed in seeds:
        for charge in (0, 1):
            vacancy = make_frame(seed, charge)
            atoms = bulk("CdTe", "zincblende", 6.48, cubic=True)
            atoms.numbers[0] = 52
            moves = np.random.default_rng(seed + 1000).normal(0, 0.12, (len(atoms), 3))
            key, family = DefectKey("Te_Cd", charge), f"Te_Cd family {seed}"
            antisite = Frame(atoms.numbers, atoms.positions + moves, atoms.cell.array, key, 1, Origin.RATTLE, family)
            for frame in (vacancy, antisite):
                atoms_eV = float(np.where(frame.numbers == 48, -100.0, -200.0).sum())
                own_eV = atoms_eV - (0.7 if frame is antisite and charge == 1 else 0.0)
                for fidelity in FIDELITIES if seed % 2 == 0 else FIDELITIES[:1]:
                    label = morse_label(frame, fidelity)
                    label = Label(label.energy_eV + own_eV, label.forces_eV_A)
                    data.append(LabelledFrame(frame, label, fidelity))
    return data


def make_settings(**changes: object) -> TrainingSettings:
    values: dict[str, object] = {
        "committee": 2,
        "channels": 8,
        "r_max_A": 4.2,
        "steps": 60,
        "batch_size": 5,
        "learning_rate": 0.01,
        "ema_decay": 0.9,
        "validate_every": 20,
        "patience": 10,
    }
    return TrainingSettings(**{**values, **changes})


@pytest.fixture(scope="session")
def frame_of() -> Callable[..., Frame]:
    return make_frame


@pytest.fixture(scope="session")
def data_of() -> Callable[..., list[LabelledFrame]]:
    return make_data


@pytest.fixture(scope="session")
def two_defects_of() -> Callable[..., list[LabelledFrame]]:
    return make_two_defects


@pytest.fixture(scope="session")
def settings_of() -> Callable[..., TrainingSettings]:
    return make_settings


@pytest.fixture(scope="session")
def train_data() -> list[LabelledFrame]:
    return make_data(range(10))


@pytest.fixture(scope="session")
def valid_data() -> list[LabelledFrame]:
    return make_data(range(100, 102))


@pytest.fixture(scope="session")
def model_paths(
    tmp_path_factory: pytest.TempPathFactory,
    train_data: list[LabelledFrame],
    valid_data: list[LabelledFrame],
) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("committee")
    paths = tuple(folder / f"member{member}.model" for member in range(2))
    for member, path in enumerate(paths):
        settings = make_settings(steps=120, validate_every=40)
        train_member(train_data, valid_data, FIDELITIES, settings, 7, member, path)
    return paths


@pytest.fixture(scope="session")
def committee(model_paths: tuple[Path, ...]) -> Committee:
    return Committee.load(model_paths)


@pytest.fixture
def killed_at(caplog) -> Callable[[str], AbstractContextManager[None]]:
    """Ends what runs inside the block, the hard way, once a training reports these words."""
    logger = logging.getLogger("defectscape.model.phase")
    caplog.set_level(logging.INFO, logger.name)

    class PullThePlug(logging.Handler):
        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

        def emit(self, record: logging.LogRecord) -> None:
            if self.words in record.getMessage():
                raise KeyboardInterrupt

    @contextmanager
    def block(words: str) -> Iterator[None]:
        handler = PullThePlug(words)
        logger.addHandler(handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                yield
        finally:
            logger.removeHandler(handler)

    return block
