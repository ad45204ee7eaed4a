"""What is imported belongs to the host as the study has it, after its relaxation."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import HostError, LabelError, ThermoError
from defectscape.domain.frame import Origin
from defectscape.domain.site import HostCrystal
from defectscape.files.extxyz import write_frames
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.stages.host import list_sites
from defectscape.stages.references import label_host, label_references
from defectscape.stages.sampling import make_group_starts
from defectscape.study.context import StudyContext
from defectscape.study.host import known_host, write_host
from defectscape.tools.check import make_plan
from defectscape.tools.data_sets import relabel
from defectscape.tools.import_labels import import_paths
from support.small_study import small_study, write_study

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
