"""What was imported: frames that join the data, and the host that they must belong to."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import HostError, LabelError, ThermoError
from defectscape.domain.family import found_family
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import HostCrystal
from defectscape.engines.labelling import label_frame
from defectscape.files.extxyz import read_frames, read_labelled, write_frames
from defectscape.files.tables import load_host_file, load_sites
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.labels import build_round_data, label_chunk
from defectscape.stages.references import label_host, label_references
from defectscape.stages.sampling import make_group_starts, select_group_initial
from defectscape.stages.select_round import taken_frames
from defectscape.study.context import StudyContext
from defectscape.study.host import known_host, write_host
from defectscape.study.splits import read_splits
from defectscape.tools.check import make_plan
from defectscape.tools.data_sets import relabel
from defectscape.tools.import_labels import import_paths
from support.small_study import small_study, write_study

# Imported frames join the data of their group with the labels that the store has, and no others.


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


# What is imported belongs to the host as the study has it, after its relaxation.


STRETCH = 1.01


def stretched(context: StudyContext, factor: float = STRETCH) -> HostCrystal:
    structure = read_unit_cell(context.study.host.file)
    structure.scale_lattice(factor**3 * structure.volume)
    return build_host(structure, context.study.host.supercell)


def study_of(folder: Path, relax: str, imported: tuple[str, ...] = ()) -> StudyContext:
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["host"]["relax"] = relax
    study["imported"] = [str(folder / name) for name in imported]
    return StudyContext.load(write_study(study, folder), folder / "results")


def write_vacancy(context: StudyContext, host: HostCrystal, path: Path) -> None:
    perfect = defect_frame(host, pick_site(enumerate_sites(host), "v_Cd"), 0)
    moves = np.random.default_rng(1).normal(0, 0.05, perfect.positions_A.shape)
    write_frames(path, [perfect.moved(perfect.positions_A + moves, origin=Origin.RELAXATION)])


def test_labels_are_held_against_the_relaxed_host_and_wait_for_it(tmp_path: Path) -> None:
    context = study_of(tmp_path, "volume")
    relaxed = stretched(context)
    write_vacancy(context, relaxed, tmp_path / "mine.extxyz")
    relabel(context, "low", tmp_path / "mine.extxyz", tmp_path / "labelled.extxyz")
    with pytest.raises(HostError, match=r"host\.relax: volume, and the relaxed host is not there yet"):
        import_paths(context, "low", [tmp_path / "labelled.extxyz"])
    write_host(context, relaxed)
    (row,) = import_paths(context, "low", [tmp_path / "labelled.extxyz"])
    assert (row.taken, row.refused, row.reason) == (1, 0, "")
    np.testing.assert_allclose(row.frames[0].cell_A, relaxed.cell_A, atol=1e-5)
    write_host(context, stretched(context, 1.02))
    (row,) = import_paths(context, "low", [tmp_path / "labelled.extxyz"])
    assert row.taken == 0
    assert "lattice vectors differ" in row.reason


def test_check_and_starts_refuse_frames_of_the_host_before_its_relaxation(tmp_path: Path) -> None:
    context = study_of(tmp_path, "volume", ("mine.extxyz",))
    write_vacancy(context, stretched(context, 1.0), tmp_path / "mine.extxyz")
    # The relaxed cell is not known yet.
    make_plan(context)
    write_host(context, stretched(context))
    label_host(context)
    list_sites(context)
    for refusing in (lambda: make_plan(context), lambda: make_group_starts(context, "v_Cd")):
        with pytest.raises(LabelError, match=r"mine\.extxyz, frame 0: supercell: its lattice vectors differ"):
            refusing()
    write_vacancy(context, stretched(context), tmp_path / "mine.extxyz")
    make_plan(context)
    make_group_starts(context, "v_Cd")


@pytest.mark.parametrize("relax", ["positions", "volume"])
def test_a_host_of_an_earlier_file_is_not_taken(tmp_path: Path, relax: str) -> None:
    context = study_of(tmp_path, relax)
    as_given = stretched(context, 1.0)
    double = context.study.host.supercell.model_copy(update={"matrix": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]})
    write_host(context, build_host(read_unit_cell(context.study.host.file), double))
    assert known_host(context, as_given) is (as_given if relax == "positions" else None)
    # Its cell is kept where the atoms alone relax.
    write_host(context, stretched(context))
    found = known_host(context, as_given)
    assert (found is as_given) == (relax == "positions")
    assert found is not None


def test_the_references_refuse_limits_that_are_not_the_hosts(tmp_path: Path) -> None:
    study = small_study()
    study["label_store"] = str(tmp_path / "labels")
    study["thermo"]["chemical_potentials"] = {"poor": {"Cd": -10.0, "Te": 0.0}}
    context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    write_host(context, stretched(context, 1.0))
    label_host(context)
    with pytest.raises(ThermoError, match="poor: they sum to"):
        label_references(context)
    assert not context.layout.references.exists()
