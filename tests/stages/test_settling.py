"""Charge states that settle, and searches that go on: the small study end to end with both."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from defectscape.cli.stages import call_stage
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.minimum import Minimum
from defectscape.search.matching import identity
from defectscape.settings.load import load_study
from defectscape.stages.select_round import choose_round
from defectscape.study.context import StudyContext
from defectscape.study.frames import frames_to_label
from defectscape.study.jobs import jobs_of_group
from defectscape.study.label_counts import label_counts
from defectscape.study.minima import read_relaxations, read_starts_tried
from defectscape.study.settling import error_at_minima_eV, lowest_is_labelled, offset_eV, read_standings
from defectscape.study.stages import find_stage
from defectscape.summary.file import read_summary
from defectscape.tools.status import look_at
from support.small_study import run_study, small_study, write_study

ATOMS = bulk("CdTe", "zincblende", 6.6, cubic=True)
KEY = DefectKey("v_Cd", 0)


def _frame(shift_A: float) -> Frame:
    """One atom moved by so much."""
    positions = ATOMS.positions.copy()
    positions[0, 0] += shift_A
    return Frame(ATOMS.numbers, positions, ATOMS.cell.array, KEY, 1, Origin.MINIMUM, "v_Cd/found")


def _minimum(rank: int, shift_A: float, energy_eV: float, *, doubtful: bool = False) -> Minimum:
    return Minimum(rank, _frame(shift_A), energy_eV, (energy_eV,), 0.0, 0.0, ("a",), False, doubtful)


def _labelled(shift_A: float, energy_eV: float) -> LabelledFrame:
    return LabelledFrame(_frame(shift_A), Label(energy_eV, np.zeros((len(ATOMS), 3))), "high")


def test_the_error_is_that_at_the_lowest_minima_without_what_all_structures_share() -> None:
    operations = identity(ATOMS.cell.array)
    minima = [_minimum(0, 0.0, -1.0), _minimum(1, 1.0, -0.8), _minimum(2, 2.0, 5.0)]
    labels = [_labelled(0.0, -1.5), _labelled(1.0, -1.4), _labelled(2.0, 0.0)]
    # Errors of 0.5 and 0.6 eV, of which the model makes 0.5 everywhere; the third minimum is not judged.
    assert error_at_minima_eV(minima, labels, 0.5, operations) == pytest.approx(0.1)
    assert error_at_minima_eV(minima, labels, 0.0, operations) == pytest.approx(0.6)
    # A label that lies so close that none was asked for again counts, one a tenth of an angstrom away does not.
    near, far = _labelled(0.01, -1.5), _labelled(0.3, -1.5)
    assert error_at_minima_eV(minima, [near], 0.5, operations) == pytest.approx(0.0)
    assert error_at_minima_eV(minima, [far, labels[1]], 0.5, operations) is None
    assert error_at_minima_eV(minima, labels, None, operations) is None
    assert error_at_minima_eV([], labels, 0.5, operations) is None


def test_a_charge_state_is_not_settled_where_its_lowest_minimum_is_new() -> None:
    operations = identity(ATOMS.cell.array)
    labels = [_labelled(0.0, -1.5)]
    assert lowest_is_labelled([_minimum(0, 0.05, -1.0)], labels, operations, 0.1)
    assert not lowest_is_labelled([_minimum(0, 1.0, -1.1), _minimum(1, 0.0, -1.0)], labels, operations, 0.1)
    # Nor where a doubtful one below it has a label, and the lowest sure one has none.
    doubtful = [_minimum(0, 0.0, -2.0, doubtful=True), _minimum(1, 1.0, -1.0)]
    assert not lowest_is_labelled(doubtful, labels, operations, 0.1)
    assert not lowest_is_labelled([], labels, operations, 0.1)


def test_without_labels_there_is_no_offset() -> None:
    assert offset_eV([], []) is None


def test_studies_without_the_options_stay_finished(tmp_path: Path) -> None:
    """What a job depends on is the same text as before there were these settings; with them it is another."""
    plain, with_both = (load_study(write_study(study, tmp_path)) for study in (small_study(), settling_study()))
    job = {"group": "v_Cd", "round": "1", "member": "0", "key": "v_Cd_0"}
    for name in ("search", "search_final", "train", "select_round", "relax_minima"):
        stage = find_stage(name)
        before = json.loads(stage.settings_text(plain, job)).keys()
        assert not before & {"exploration.settled_eV", "sampling"}, name
        added = json.loads(stage.settings_text(with_both, job)).keys() - before
        assert ("sampling" in added) == name.startswith("search")
        assert ("exploration.settled_eV" in added) == (name != "search_final")
    first = json.loads(find_stage("train").settings_text(with_both, job | {"round": "0"}))
    assert "exploration.settled_eV" not in first, "the first training is the same"


def settling_study() -> dict:
    """The small study with both options; whatever its models say, its charge states settle once they are judged."""
    study = small_study()
    study["selection"] |= {"low_per_charge_per_round": 2, "low_relaxed_minima": 1, "low_relaxation_steps": 1}
    study["exploration"] |= {"rounds": 3, "settled_eV": 1000.0, "minima": {"merge_rmsd_A": 20.0}}
    study["exploration"]["training"]["warm_start"] = True
    study["exploration"]["search"]["until_nothing_new"] = {"at_most": 3, "batch": 2, "quench_steps": 5}
    study["search"]["until_nothing_new"] = {"at_most": 9, "batch": 3, "quiet_batches": 1, "quench_steps": 5}
    return study


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    folder = tmp_path_factory.mktemp("settled")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run_study(write_study(settling_study(), folder), folder / "results")


@pytest.mark.pipeline
def test_a_settled_group_s_later_rounds_take_over_what_is_there(settled: StudyContext) -> None:
    files = settled.layout.group("v_Cd")
    assert [s.settled for s in read_standings(settled, "v_Cd", 0)] == [False, False]
    assert all(s.offset_eV is not None and s.error_eV is None for s in read_standings(settled, "v_Cd", 0))
    assert [s.settled for s in read_standings(settled, "v_Cd", 1)] == [True, True]
    assert frames_to_label(settled, "v_Cd", "high", 1)
    last = files.round(1)
    for number in (2, 3):
        here = files.round(number)
        for fidelity in ("low", "high"):
            assert not frames_to_label(settled, "v_Cd", fidelity, number)
        for member in range(2):
            for before, now in zip(last.of_member(member), here.of_member(member), strict=True):
                assert now.read_bytes() == before.read_bytes()
                assert now.stat().st_ino != before.stat().st_ino
        assert here.data_high.read_bytes() == last.data_high.read_bytes()
    assert files.round(2).relaxations.read_bytes() == last.relaxations.read_bytes()
    assert files.round(0).model(0).read_bytes() != last.model(0).read_bytes()


@pytest.mark.pipeline
def test_a_taken_over_round_can_be_made_again(settled: StudyContext) -> None:
    here = settled.layout.group("v_Cd").round(2)
    before = {path: path.read_bytes() for path in (*here.of_member(0), here.relaxations, here.selected)}
    calls = len(settled.store.calls())
    for path in before:
        path.unlink()
    for stage, arguments in (("select_round", ("v_Cd", "2")), ("train", ("v_Cd", "2", "0")), ("search", ("v_Cd", "2"))):
        call_stage(settled, stage, arguments)
    assert {path: path.read_bytes() for path in before} == before
    assert len(settled.store.calls()) == calls


@pytest.mark.pipeline
def test_an_open_charge_state_is_selected_for_beside_a_settled_one(
    settled: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settled.layout.group("v_Cd").round(1)
    kept = {path: path.read_bytes() for path in (here.selected, here.selected_low)}
    before = frames_to_label(settled, "v_Cd", "high", 1)
    assert {frame.key.charge for frame in before} == {0, -1}
    monkeypatch.setattr("defectscape.stages.select_round.settled_before", lambda *_: {DefectKey("v_Cd", -1)})
    choose_round(settled, "v_Cd", 1)
    chosen = frames_to_label(settled, "v_Cd", "high", 1)
    for path, content in kept.items():
        path.write_bytes(content)
    assert [f.frame_id for f in chosen] == [f.frame_id for f in before if f.key == KEY]


@pytest.mark.pipeline
def test_the_summary_says_how_many_starts_were_tried(settled: StudyContext) -> None:
    tried = read_starts_tried(settled, "v_Cd")
    relaxations = read_relaxations(settled, "v_Cd")
    for row in read_summary(settled).defects:
        mine = tried[DefectKey.parse(row.key)]
        assert row.starts_tried is not None
        assert row.starts_tried.text == mine.text
        assert row.relaxations == mine.first + mine.further
        further = [r for r in relaxations if r.start.key == mine.key and r.start.note.startswith("further: ")]
        assert len(further) == mine.further
        assert 3 <= mine.further <= 9
        at_limit = [line for line in read_summary(settled).warnings if "until_nothing_new.at_most" in line]
        assert mine.rested == (not any(row.key in line for line in at_limit))
        assert mine.text in settled.layout.report.read_text(encoding="utf-8")


@pytest.mark.pipeline
def test_status_and_label_counts_are_right(settled: StudyContext) -> None:
    config = Path("study.yaml")
    status = look_at(config, Path("results"))
    assert status.jobs["left"] == 0
    rows = [row for row in status.labels if row.of.startswith("v_Cd")]
    assert all(row.exact and row.left == 0 for row in rows)
    _, low, high = label_counts(load_study(config))
    assert sum(row.done for row in rows if row.fidelity == "gfn1") < low
    assert sum(row.done for row in rows if row.fidelity == "ipea1") < high
    written = {path for job in jobs_of_group(settled.study, settled.layout, settled.groups[0]) for path in job.outputs}
    assert settled.layout.group("v_Cd").starts_tried in written
    assert all(path.exists() for path in written)
