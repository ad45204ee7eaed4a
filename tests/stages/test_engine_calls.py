"""Stages that call an engine themselves: relaxed starts, and potentials at the host's atoms."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import ConfigError, ThermoError
from defectscape.domain.family import Split
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import HOST, DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.labelling import label_frame
from defectscape.files.extxyz import read_frames, read_labelled
from defectscape.sampling.host import build_host, host_frame, read_unit_cell
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.labels import build_round_data, label_chunk
from defectscape.stages.potentials import host_potentials
from defectscape.stages.references import label_host
from defectscape.stages.relax_starts import relax_starts
from defectscape.stages.sampling import make_group_starts, select_group_initial
from defectscape.study.context import StudyContext
from defectscape.study.frames import pool_frames
from defectscape.study.host import write_host
from defectscape.study.labels import round_outcomes
from defectscape.study.potentials import read_potentials
from defectscape.study.splits import read_splits
from support.small_study import small_study, write_study

# Relaxations with the low-fidelity engine: real descents whose every step is a label of the pool.


KEYS = ("v_Cd_0", "v_Cd_-1")


@pytest.fixture(scope="module")
def descents(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    folder = tmp_path_factory.mktemp("descents")
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["sampling"] |= {"relaxed_starts": 2, "relaxation_steps": 5}
    context = StudyContext.load(write_study(study, folder), folder / "results")
    prepare_host(context)
    label_host(context)
    list_sites(context)
    make_group_starts(context, "v_Cd")
    for key in KEYS:
        relax_starts(context, "v_Cd", DefectKey.parse(key))
    return context


def frames_of(context: StudyContext, key: str):
    return read_frames(context.layout.group("v_Cd").relaxed(key))


@pytest.mark.parametrize("key", KEYS)
def test_energies_fall_and_forces_with_them(descents: StudyContext, key: str) -> None:
    frames = frames_of(descents, key)
    families = list(dict.fromkeys(frame.family for frame in frames))
    assert len(families) == 2
    for family in families:
        labels = [descents.record(f, "low").label for f in frames if f.family == family]
        assert len(labels) >= 3
        assert labels[-1].energy_eV < labels[0].energy_eV - 0.01


def test_frames_descend_from_starts_of_both_sides_of_the_split(descents: StudyContext) -> None:
    starts = {f.frame_id: f for f in read_frames(descents.layout.group("v_Cd").starts)}
    splits = read_splits(descents, "v_Cd")
    for key in KEYS:
        frames = frames_of(descents, key)
        assert {splits[frame.family] for frame in frames} == {Split.TRAIN, Split.TEST}
        for frame in frames:
            assert frame.frame_id in starts or starts[frame.parent].family == frame.family
            assert frame.origin is Origin.START or "gfn1 relaxation step" in frame.note


def test_a_rerun_calls_no_engine(descents: StudyContext) -> None:
    before = len(descents.store.calls())
    text = descents.layout.group("v_Cd").relaxed(KEYS[0]).read_text()
    relax_starts(descents, "v_Cd", DefectKey.parse(KEYS[0]))
    assert len(descents.store.calls()) == before
    assert descents.layout.group("v_Cd").relaxed(KEYS[0]).read_text() == text


def test_they_are_candidates_and_data_of_the_low_level(descents: StudyContext) -> None:
    label_chunk(descents, "v_Cd", 0, "low", 0)
    select_group_initial(descents, "v_Cd")
    label_chunk(descents, "v_Cd", 0, "high", 0)
    build_round_data(descents, "v_Cd", 0)
    relaxed = {frame.frame_id for key in KEYS for frame in frames_of(descents, key)}
    pool = {frame.frame_id for frame in pool_frames(descents, "v_Cd")}
    assert relaxed < pool
    assert relaxed <= {o.frame_id for o in round_outcomes(descents, "v_Cd", 0, "low")}
    data = read_labelled(descents.layout.group("v_Cd").round(0).data_low, "gfn1")
    assert relaxed <= {item.frame.frame_id for item in data}


def test_a_study_without_them_reads_none(tmp_path: Path) -> None:
    context = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    assert context.study.sampling.relaxed_starts == 0
    assert not context.layout.group("v_Cd").relaxed(KEYS[0]).exists()


# Potentials at the atoms of the host: the engine's attempts, and the label that they must agree with.


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
def study_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
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


def test_the_next_attempt_is_made_where_one_fails(study_with) -> None:
    study = study_with(WithPotentials(None, -1.0))
    host_potentials(study)
    found = read_potentials(study, HOST)
    assert (found.energy_eV, found.engine_version) == (-1.0, "1")
    np.testing.assert_array_equal(found.potentials_V, np.arange(len(found.potentials_V)) / 7)


def test_where_all_attempts_fail_each_says_why(study_with) -> None:
    study = study_with(WithPotentials(None, None))
    with pytest.raises(ThermoError, match="first: no solution 0; second: no solution 1"):
        host_potentials(study)
    assert not study.layout.potentials(HOST).exists()


def test_another_solution_than_the_label_s_is_refused(study_with) -> None:
    with pytest.raises(ThermoError, match=r"ended \+0\.020 eV from the label"):
        host_potentials(study_with(WithPotentials(-0.98)))


def test_an_engine_without_potentials_is_refused(study_with) -> None:
    with pytest.raises(ConfigError, match="plain gives no potentials"):
        host_potentials(study_with(Plain()))
