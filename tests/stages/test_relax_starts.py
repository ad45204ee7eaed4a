"""Relaxations with the low-fidelity engine: real descents whose every step is a label of the pool."""

from pathlib import Path

import pytest

from defectscape.domain.family import Split
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.files.extxyz import read_frames, read_labelled
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.labels import build_round_data, label_chunk
from defectscape.stages.references import label_host
from defectscape.stages.relax_starts import relax_starts
from defectscape.stages.sampling import make_group_starts, select_group_initial
from defectscape.study.context import StudyContext
from defectscape.study.frames import pool_frames
from defectscape.study.labels import round_outcomes
from defectscape.study.splits import read_splits
from support.small_study import small_study, write_study

KEYS = ("v_Cd_0", "v_Cd_-1")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
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
def test_energies_fall_and_forces_with_them(context: StudyContext, key: str) -> None:
    frames = frames_of(context, key)
    families = list(dict.fromkeys(frame.family for frame in frames))
    assert len(families) == 2
    for family in families:
        labels = [context.record(f, "low").label for f in frames if f.family == family]
        assert len(labels) >= 3
        assert labels[-1].energy_eV < labels[0].energy_eV - 0.01


def test_frames_descend_from_starts_of_both_sides_of_the_split(context: StudyContext) -> None:
    starts = {f.frame_id: f for f in read_frames(context.layout.group("v_Cd").starts)}
    splits = read_splits(context, "v_Cd")
    for key in KEYS:
        frames = frames_of(context, key)
        assert {splits[frame.family] for frame in frames} == {Split.TRAIN, Split.TEST}
        for frame in frames:
            assert frame.frame_id in starts or starts[frame.parent].family == frame.family
            assert frame.origin is Origin.START or "gfn1 relaxation step" in frame.note


def test_a_rerun_calls_no_engine(context: StudyContext) -> None:
    before = len(context.store.calls())
    text = context.layout.group("v_Cd").relaxed(KEYS[0]).read_text()
    relax_starts(context, "v_Cd", DefectKey.parse(KEYS[0]))
    assert len(context.store.calls()) == before
    assert context.layout.group("v_Cd").relaxed(KEYS[0]).read_text() == text


def test_they_are_candidates_and_data_of_the_low_level(context: StudyContext) -> None:
    label_chunk(context, "v_Cd", 0, "low", 0)
    select_group_initial(context, "v_Cd")
    label_chunk(context, "v_Cd", 0, "high", 0)
    build_round_data(context, "v_Cd", 0)
    relaxed = {frame.frame_id for key in KEYS for frame in frames_of(context, key)}
    pool = {frame.frame_id for frame in pool_frames(context, "v_Cd")}
    assert relaxed < pool
    assert relaxed <= {o.frame_id for o in round_outcomes(context, "v_Cd", 0, "low")}
    data = read_labelled(context.layout.group("v_Cd").round(0).data_low, "gfn1")
    assert relaxed <= {item.frame.frame_id for item in data}


def test_a_study_without_them_reads_none(tmp_path: Path) -> None:
    context = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    assert context.study.sampling.relaxed_starts == 0
    assert not context.layout.group("v_Cd").relaxed(KEYS[0]).exists()
