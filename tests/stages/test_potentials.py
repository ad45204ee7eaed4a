"""Potentials at the atoms of the host: the engine's attempts, and the label that they must agree with."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import ConfigError, ThermoError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import HOST
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.labelling import label_frame
from defectscape.sampling.host import build_host, host_frame, read_unit_cell
from defectscape.stages.potentials import host_potentials
from defectscape.study.context import StudyContext
from defectscape.study.host import write_host
from defectscape.study.potentials import read_potentials
from support.small_study import small_study, write_study


class Plain:
    """An engine with two attempts that gives labels alone."""

    name, version, settings_json = "plain", "1", "{}"
    attempts = (ScfAttempt("first", ""), ScfAttempt("second", ""))

    def settings_of(self, numbers: np.ndarray) -> str:
        return self.settings_json

    def compute(self, frame: Frame, attempt: int) -> Label:
        return Label(-1.0, np.zeros((len(frame), 3)))


class WithPotentials(Plain):
    """Its attempts at potentials end in these energies, or fail where one is None."""

    def __init__(self, *energies_eV: float | None) -> None:
        self.energies_eV = energies_eV

    def compute_potentials(self, frame: Frame, attempt: int) -> tuple[Label, np.ndarray]:
        energy_eV = self.energies_eV[attempt]
        if energy_eV is None:
            raise CalculationFailed(f"no solution {attempt}")
        return Label(energy_eV, np.zeros((len(frame), 3))), np.arange(len(frame)) / 7


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A study with its host and the host's label, whose engine is the one given."""
    study = small_study()
    study["label_store"] = str(tmp_path / "labels")
    made = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    host = build_host(read_unit_cell(made.study.host.file), made.study.host.supercell)
    write_host(made, host)
    label_frame(host_frame(host), Plain(), made.store, 30.0)

    def with_engine(engine: Plain) -> StudyContext:
        monkeypatch.setattr(StudyContext, "engine", lambda self, level: engine)
        return made

    return with_engine


def test_the_next_attempt_is_made_where_one_fails(context) -> None:
    study = context(WithPotentials(None, -1.0))
    host_potentials(study)
    found = read_potentials(study, HOST)
    assert (found.energy_eV, found.engine_version) == (-1.0, "1")
    np.testing.assert_array_equal(found.potentials_V, np.arange(len(found.potentials_V)) / 7)


def test_where_all_attempts_fail_each_says_why(context) -> None:
    study = context(WithPotentials(None, None))
    with pytest.raises(ThermoError, match="first: no solution 0; second: no solution 1"):
        host_potentials(study)
    assert not study.layout.potentials(HOST).exists()


def test_another_solution_than_the_label_s_is_refused(context) -> None:
    with pytest.raises(ThermoError, match=r"ended \+0\.020 eV from the label"):
        host_potentials(context(WithPotentials(-0.98)))


def test_an_engine_without_potentials_is_refused(context) -> None:
    with pytest.raises(ConfigError, match="plain gives no potentials"):
        host_potentials(context(Plain()))
