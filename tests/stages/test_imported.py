"""Imported frames join the data of their group with the labels that the store has, and no others."""

import numpy as np
import pytest

from defectscape.domain.family import found_family
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.engines.labelling import label_frame
from defectscape.files.extxyz import read_frames, read_labelled, write_frames
from defectscape.files.tables import load_host_file, load_sites
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.labels import build_round_data, label_chunk
from defectscape.stages.references import label_host
from defectscape.stages.sampling import make_group_starts, select_group_initial
from defectscape.stages.select_round import taken_frames
from defectscape.study.context import StudyContext
from defectscape.study.splits import read_splits
from support.small_study import small_study, write_study


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    """A study with four imported frames: two labelled at both levels, one at the low one, one never."""
    folder = tmp_path_factory.mktemp("imported")
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["imported"] = [str(folder / "imported.extxyz")]
    context = StudyContext.load(write_study(study, folder), folder / "results")
    prepare_host(context)
    label_host(context)
    list_sites(context)
    host = load_host_file(context.layout.host)
    perfect = defect_frame(host, pick_site(load_sites(context.layout.sites), "v_Cd"), 0)
    frames = []
    for seed in range(4):
        moves = np.random.default_rng(seed).normal(0, 0.05, perfect.positions_A.shape)
        frame = perfect.moved(perfect.positions_A + moves, origin=Origin.RELAXATION)
        frames.append(_of_family(frame, f"v_Cd/imported_{seed}"))
    stranger = _of_family(frames[0].recharged(1, origin=Origin.RELAXATION), "v_Cd/stranger")
    write_frames(folder / "imported.extxyz", [*frames, stranger])
    for level, count in (("low", 3), ("high", 2)):
        for frame in frames[:count]:
            label_frame(frame, context.engine(level), context.store, 30.0)
    make_group_starts(context, "v_Cd")
    label_chunk(context, "v_Cd", 0, "low", 0)
    select_group_initial(context, "v_Cd")
    label_chunk(context, "v_Cd", 0, "high", 0)
    build_round_data(context, "v_Cd", 0)
    return context


def _of_family(frame, family):
    from dataclasses import replace

    return replace(frame, family=family)


def imported(context: StudyContext, level: str) -> list[str]:
    """Families of the imported frames among a level's data."""
    files = context.layout.group("v_Cd").round(0)
    path = files.data_low if level == "low" else files.data_high
    data = read_labelled(path, context.fidelity_settings(level).name)
    return sorted(item.frame.family for item in data if "imported" in item.frame.family)


def test_they_bring_the_labels_that_the_store_has(context: StudyContext) -> None:
    assert imported(context, "low") == [f"v_Cd/imported_{k}" for k in range(3)]
    assert imported(context, "high") == [f"v_Cd/imported_{k}" for k in range(2)]


def test_nothing_is_computed_for_them(context: StudyContext) -> None:
    records = {record.key: record for record in context.store.records()}
    called = {call.key for call in context.store.calls()}
    families = [records[key].frame.family for key in called]
    # Three low labels and two high ones were made before the study began, and no more since.
    assert sum("imported" in family for family in families) == 5


def test_their_families_are_split_like_any_other_and_other_charges_stay_out(
    context: StudyContext,
) -> None:
    splits = read_splits(context, "v_Cd")
    assert {f"v_Cd/imported_{k}" for k in range(4)} <= set(splits)
    assert "v_Cd/stranger" not in splits
    assert DefectKey("v_Cd", 1) not in context.group("v_Cd")[0].keys


def test_rounds_know_what_they_have_labels_of(context: StudyContext) -> None:
    for level, count in (("low", 3), ("high", 2)):
        families = [frame.family for frame in taken_frames(context, "v_Cd", 1, level)]
        assert sum("imported" in family for family in families) == count


def test_imported_minima_leave_the_other_splits_alone(context: StudyContext, tmp_path) -> None:
    splits = read_splits(context, "v_Cd")
    study = small_study()
    study["label_store"] = context.study.label_store.as_posix()
    study["imported"] = [str(tmp_path / "imported.extxyz")]
    found = _of_family(read_frames(context.study.imported[0])[0], found_family("v_Cd"))
    write_frames(tmp_path / "imported.extxyz", [*read_frames(context.study.imported[0]), found])
    other = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    prepare_host(other)
    label_host(other)
    list_sites(other)
    make_group_starts(other, "v_Cd")
    assert read_splits(other, "v_Cd") == splits
    assert splits[found_family("v_Cd")] == "train"
