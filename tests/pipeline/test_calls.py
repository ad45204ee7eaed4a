"""No label is computed twice: engine calls made by re-runs, counted in the store's journal.

Every re-run goes through all stages again; what a change costs is what the engine was called for.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defectscape.cli.stages import call_stage
from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import CONVERGED
from defectscape.files.extxyz import read_frames, read_labelled
from defectscape.files.tables import load_relaxations
from defectscape.model.saving import load_network
from defectscape.model.training import train_member
from defectscape.search.matching import rmsd_A
from defectscape.settings.search import MinimaSettings
from defectscape.stages import verification
from defectscape.stages.search import LOWEST_LABEL
from defectscape.study import relearning
from defectscape.study.frames import relaxed_minima_ends
from defectscape.study.host import site_of, site_operations
from defectscape.study.labels import read_group_data, round_outcomes
from defectscape.study.minima import (
    ground_frame,
    ground_state,
    merged,
    read_relaxations,
    read_verified,
    verification_labels,
    write_relaxations,
)
from defectscape.study.recharging import Found, exchanges
from defectscape.study.splits import read_splits
from defectscape.study.teaching import first_model, training_data
from defectscape.summary.cost import label_costs
from support.small_study import (
    StudyContext,
    calls_since,
    methods_by_key,
    run_study,
    small_study,
    write_study,
)

pytestmark = pytest.mark.pipeline

LOW, HIGH = "GFN1-xTB", "IPEA1-xTB"

Rerun = Callable[[dict[str, Any]], Counter[tuple[str, str]]]


@pytest.fixture
def rerun(finished: StudyContext) -> Rerun:
    """Run a study on the finished one's store and count the engine calls it makes."""
    folder = Path.cwd()

    def run(study: dict[str, Any]) -> Counter[tuple[str, str]]:
        before = len(finished.store.calls())
        context = run_study(write_study(study, folder), folder / "results", page=False)
        return calls_since(context, before)

    return run


def test_the_first_run_labels_both_levels_and_journals_every_call(finished: StudyContext) -> None:
    calls = finished.store.calls()
    assert set(methods_by_key(finished).values()) == {LOW, HIGH}
    assert {call.key for call in calls} == {record.key for record in finished.store.records()}
    succeeded = Counter(call.key for call in calls if call.status == "ok")
    assert set(succeeded.values()) == {1}, "a label was computed twice"


def test_searches_start_from_the_lowest_label_known_before(finished: StudyContext) -> None:
    files = finished.layout.group("v_Cd")
    for number, path in ((0, files.round(0).relaxations), (1, files.relaxations)):
        labels = read_labelled(files.round(number).data_high, "ipea1")
        starts = [r.start for r in load_relaxations(path) if r.start.note == LOWEST_LABEL]
        assert [str(start.key) for start in starts] == ["v_Cd_0", "v_Cd_-1"]
        for start in starts:
            mine = [item for item in labels if item.frame.key == start.key]
            lowest = min(mine, key=lambda item: item.label.energy_eV)
            assert start.geometry_hash == lowest.frame.geometry_hash


def test_nothing_changed_and_results_deleted(rerun: Rerun, finished: StudyContext) -> None:
    text = finished.layout.summary.read_text()
    shutil.rmtree(finished.layout.folder)
    assert rerun(small_study()) == {}
    again = finished.layout.summary.read_text()
    # The time it was finished is all that may differ: the study is reproduced bit for bit.
    assert _without_time(again) == _without_time(text)


def _without_time(text: str) -> list[str]:
    return [line for line in text.splitlines() if '"finished"' not in line]


def test_number_of_label_jobs_changed(rerun: Rerun) -> None:
    assert rerun({**small_study(), "label_jobs": 3}) == {}


def test_final_training_changed(rerun: Rerun) -> None:
    study = small_study()
    study["training"]["steps"] = 80
    assert rerun(study) == {}


def test_final_search_changed_costs_new_verifications_only(rerun: Rerun) -> None:
    study = small_study()
    study["search"]["fmax_eV_A"] = 0.2
    calls = rerun(study)
    # The unperturbed start, what the model makes of it, the lowest label's structure and the minimum nearest to it, and
    # the lowest minima, as many again where doubtful ones are among them.
    turns = 4 + 2 * study["verification"]["minima_per_charge"]
    checks = turns * (1 + study["verification"]["relax_steps"]) + study["ccd"]["engine_points"]
    assert {method for method, _ in calls} <= {HIGH}
    assert all(count <= checks for count in calls.values())
    assert sum(calls.values()) > 0, "the search converged further, so there is something to verify"


def test_rounds_may_have_cheap_labels_of_what_the_search_found(rerun: Rerun) -> None:
    study = small_study()
    study["selection"]["low_per_charge_per_round"] = 4
    calls = rerun(study)
    assert {key: n for (method, key), n in calls.items() if method == LOW} == {
        "v_Cd_0": 4,
        "v_Cd_-1": 4,
    }
    files = Path("results/small/groups/v_Cd/round_1")
    chosen = {
        level: read_frames(files / name)
        for level, name in (
            ("low", "selected_low.extxyz"),
            ("high", "selected.extxyz"),
        )
    }
    ids = {level: {frame.frame_id for frame in frames} for level, frames in chosen.items()}
    assert ids["high"] < ids["low"], "what gets the expensive label gets the cheap one, too"
    known = {item.frame.frame_id for item in read_labelled(files / "data_low.extxyz", "gfn1")}
    assert ids["low"] < known


def test_the_cheap_engine_may_relax_what_the_search_found(rerun: Rerun) -> None:
    study = small_study()
    study["exploration"]["rounds"] = 2
    study["selection"] |= {
        "low_per_charge_per_round": 4,
        "low_relaxed_minima": 1,
        "low_relaxation_steps": 3,
    }
    rerun(study)
    context = StudyContext.load(write_study(study, Path()), Path("results"))
    files = context.layout.group("v_Cd").round(1)
    known = {item.frame.frame_id for item in read_labelled(files.data_low, "gfn1")}
    chosen = {frame.frame_id for frame in read_frames(files.selected)}
    for key in ("v_Cd_0", "v_Cd_-1"):
        frames, ends = read_frames(files.relaxed(key)), read_frames(files.relaxed_ends(key))
        assert {frame.family for frame in frames} == {"v_Cd/found"}
        assert {str(frame.key) for frame in frames} == {key}
        energies = {f.frame_id: context.record(f, "low").label.energy_eV for f in frames}
        assert 2 * len(ends) <= len(energies) <= 4 * len(ends)
        assert set(energies) <= known, "every step is a label to train on"
        # The first frame is where the model's minimum is; the engine went down from there.
        assert min(energies[end.frame_id] for end in ends) < energies[frames[0].frame_id] - 0.001
        assert {end.frame_id for end in ends} <= chosen, "where they ended, the high level is asked"
        assert sum(frame.note == "gfn1 relaxation" for frame in frames) == len(frames) - len(ends)
    rounds = {(row.stage, row.fidelity): row.labels for row in label_costs(context)}
    labelled = sum(len(read_frames(files.relaxed(key))) for key in ("v_Cd_0", "v_Cd_-1"))
    # The search is coarse, but these relaxations go on where it would end.
    assert labelled > 2 * 2
    assert rounds["round 1", "gfn1"] == labelled + len(read_frames(files.selected_low))
    _go_on(context)


def _go_on(context: StudyContext) -> None:
    """These relaxations go on in the next round, and searches start from their ends."""
    group, files = context.group("v_Cd")
    limit_eV_A = context.study.sampling.relaxation_fmax_eV_A
    operations = site_operations(context, group.defect)
    apart_A = context.study.exploration.minima.merge_rmsd_A
    for key in group.keys:
        first, second = (read_frames(files.round(n).relaxed(str(key))) for n in (1, 2))
        assert first
        assert not {f.frame_id for f in first} & {f.frame_id for f in second}, "once each"
        before, after = (
            {end.frame_id: context.record(end, "low").label for end in read_frames(path)}
            for path in (files.round(n).relaxed_ends(str(key)) for n in (1, 2))
        )
        assert len(after) >= len(before)
        gone_on = list(after.values())[: len(before)]
        for label, later in zip(before.values(), gone_on, strict=True):
            assert later.energy_eV <= label.energy_eV
            # Below the limit it was at its end, and not a step was taken.
            assert label.fmax_eV_A >= limit_eV_A or later.energy_eV == label.energy_eV
        begun = [frame for frame in second if frame.note != "gfn1 relaxation"]
        assert all(rmsd_A(a, b, operations) >= apart_A for a in begun for b in first)
        # What is at the end of one round is where the searches behind it begin, too.
        for n, path, ends in (
            (1, files.round(1).relaxations, before),
            (2, files.relaxations, after),
        ):
            starts = {relaxation.start.frame_id for relaxation in load_relaxations(path)}
            assert set(ends) <= starts, n
    assert not relaxed_minima_ends(context, "v_Cd", 0), "before the first round there is none"


@pytest.fixture
def recharging(finished: StudyContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyContext:
    """A copy of the finished study with a charge state more, in which charge states label each other's structures."""
    folder = tmp_path / "recharging"
    shutil.copytree(Path.cwd(), folder)
    monkeypatch.chdir(folder)
    study = small_study()
    study["defects"][0]["added_charges"] = ["-2"]
    study["selection"]["recharged_per_charge_per_round"] = 1
    return StudyContext.load(write_study(study, folder), folder / "results")


def _found_lower(context: StudyContext, charge: int, seed: int) -> Frame:
    """Let the first search have found a minimum of its own at a charge, 1 eV below all others."""
    found = list(read_relaxations(context, "v_Cd", 0))
    lowest_eV = min(item.energy_eV for item in found if item.start.charge == charge)
    one = next(item for item in found if item.start.charge == charge)
    moves = np.random.default_rng(seed).normal(0, 0.1, one.final.positions_A.shape)
    final = one.final.moved(one.final.positions_A + moves, origin=Origin.RELAXATION)
    lower = replace(one, final=final, energy_eV=lowest_eV - 1.0, converged=True, reason=CONVERGED)
    write_relaxations(context, "v_Cd", 0, [*found, lower])
    return final


def test_charge_states_label_each_other_s_lowest_structures(recharging: StudyContext) -> None:
    lowest = [_found_lower(recharging, charge, seed) for seed, charge in enumerate((0, -1))]
    before = len(recharging.store.calls())
    call_stage(recharging, "select_round", ("v_Cd", "1"))
    for level in ("low", "high"):
        call_stage(recharging, "label", ("v_Cd", "1", level, "0"))
    call_stage(recharging, "dataset", ("v_Cd", "1"))
    calls = recharging.store.calls()[before:]
    assert len(calls) == 2 * 2 * 2, "two geometries in two charges at two levels; the high budget holds no more"
    assert len({call.key for call in calls if call.status == "ok"}) == len(calls), "once each"
    for fidelity, name in (("low", "gfn1"), ("high", "ipea1")):
        data = {item.frame.frame_id: item for item in read_group_data(recharging, "v_Cd", 1, fidelity)}
        for frame in lowest:
            other = frame.recharged(-1 - frame.charge, origin=Origin.MINIMUM)
            here, there = data[frame.frame_id], data[other.frame_id]
            assert there.frame.charge != here.frame.charge
            assert {here.frame.family, there.frame.family} == {"v_Cd/found"}
            assert (here.fidelity, there.fidelity) == (name, name)
            # An electron more or less, and nothing else.
            assert 5.0 < abs(here.label.energy_eV - there.label.energy_eV) < 20.0
    # The ledger and the cost table count these.
    assert [len(round_outcomes(recharging, "v_Cd", 1, fidelity)) for fidelity in ("low", "high")] == [4, 4]
    # What both charges know is handed over no more, and what one of them knows is not asked again.
    site = site_of(recharging, "v_Cd")
    known = [item.frame for fidelity in ("low", "high") for item in read_group_data(recharging, "v_Cd", 1, fidelity)]
    group = recharging.group("v_Cd")[0]
    found = {
        key: Found((), merged(recharging, "v_Cd", read_relaxations(recharging, "v_Cd", 0), key, MinimaSettings()))
        for key in group.keys
    }
    again = exchanges(recharging, group, found, group.keys, known, np.array(site.frac_coords))
    assert not any(exchange.given or exchange.taken for exchange in again.values())
    # A charge state that is settled hands on, is handed nothing, and nobody labels anything for its sake.
    open_key, settled_key = group.keys
    one_way = exchanges(recharging, group, found, [open_key], [], np.array(site.frac_coords))
    assert [len(one_way[open_key].taken), len(one_way[settled_key].given)] == [1, 1]
    assert not one_way[open_key].given
    assert not one_way[settled_key].taken


def test_a_later_charge_state_labels_the_verified_ground_states_before_it(recharging: StudyContext) -> None:
    group = recharging.group("v_Cd.-2")[0]
    (key,) = group.keys
    centre = np.array(site_of(recharging, "v_Cd").frac_coords)
    taken = exchanges(recharging, group, {key: Found((), ())}, [key], [], centre)[key].taken
    ground = ground_frame(ground_state(read_verified(recharging, "v_Cd", DefectKey("v_Cd", -1))))
    # The nearest charge's; and this is the geometry at which their diagram asks for a label.
    assert [item.frame.frame_id for item in taken] == [ground.recharged(-2, origin=Origin.MINIMUM).frame_id]
    assert [item.lowest for item in taken] == [True]


def test_relaxed_minima_without_cheap_labels_in_the_rounds_are_refused() -> None:
    study = small_study()
    study["selection"]["low_relaxed_minima"] = 1
    with pytest.raises(ConfigError, match="give low_per_charge_per_round, too"):
        StudyContext.load(write_study(study, Path()), Path("results"))


def test_one_more_defect_costs_its_own_labels_only(rerun: Rerun) -> None:
    study = small_study()
    study["defects"].append({"name": "v_Te", "charges": ["0"]})
    calls = rerun(study)
    assert {key for _, key in calls} == {"v_Te_0"}
    assert {method for method, _ in calls} == {LOW, HIGH}


def test_a_defect_that_learns_costs_its_own_labels_only(rerun: Rerun, finished: StudyContext) -> None:
    files = finished.layout.group("v_Cd")
    weights = [files.round(number).weights(member) for number in (0, 1) for member in (0, 1)]
    before = [path.read_bytes() for path in weights]
    study = small_study()
    study["defects"].append({"name": "v_Te", "charges": ["0"], "learns": "weights"})
    study["selection"]["initial_per_charge_taught"] = 2
    calls = rerun(study)
    assert {key for _, key in calls} == {"v_Te_0"}
    assert [path.read_bytes() for path in weights] == before
    context = StudyContext.load(write_study(study, Path()), Path("results"))
    own = context.layout.group("v_Te")
    assert len(read_frames(own.round(0).selected)) == 2 + 1
    # What it knows itself is of its own atoms; what it trains on is not.
    known, taught = (
        {(item.frame.frame_id, item.fidelity) for item in data}
        for data in (read_group_data(context, "v_Te", 0, "high"), training_data(context, "v_Te", 0).train)
    )
    assert known - taught, "a frame of its own is held out"
    theirs = [item for item in training_data(context, "v_Te", 0).train if item.frame.key.defect == "v_Cd"]
    assert {item.fidelity for item in theirs} == {"gfn1", "ipea1"}
    splits = read_splits(context, "v_Cd")
    assert {splits[item.frame.family] for item in theirs} == {"train"}
    verified = {item.frame.frame_id for item in verification_labels(context, [context.group("v_Cd")[0]])}
    assert verified <= {item.frame.frame_id for item in theirs}
    card = load_network(own.round(0).model(0)).card
    assert {str(key) for _, key in card.keys} == {"v_Cd_0", "v_Cd_-1", "v_Te_0"}
    assert {relaxation.start.key.defect for relaxation in load_relaxations(own.relaxations)} == {"v_Te"}
    # Its first training began with the last models of the other, and kept what their weights rely on.
    start = first_model(context, "v_Te", 0, (48, 52))
    assert start == context.layout.group("v_Cd").round(1).model(0)
    assert load_network(own.round(0).model(0)).normalisation == load_network(start).normalisation
    assert len(load_network(own.round(0).model(0)).references.compositions) == 2
    assert first_model(context, "v_Te", 0, (17, 48, 52)) is None, "its weights belong to two elements"


def test_one_more_charge_costs_its_own_labels_only(rerun: Rerun) -> None:
    study = small_study()
    study["defects"][0]["added_charges"] = ["-2"]
    calls = rerun(study)
    # The diagram of the added charge asks the engine in the charge that it meets, too, where the two differ.
    diagram = calls.pop((HIGH, "v_Cd_-1"), 0)
    assert diagram <= study["ccd"]["engine_points"]
    assert {key for _, key in calls} == {"v_Cd_-2"}
    assert {method for method, _ in calls} == {LOW, HIGH}


def test_high_fidelity_settings_changed_and_back(rerun: Rerun) -> None:
    changed = deepcopy(small_study())
    changed["fidelities"]["high"]["engine"]["electronic_temperature_K"] = 3000.0
    calls = rerun(changed)
    assert {method for method, _ in calls} == {HIGH}
    assert {key for _, key in calls} == {"host_0", "v_Cd_0", "v_Cd_-1"}
    assert rerun(small_study()) == {}


def test_a_killed_verification_goes_on_with_the_model_that_had_learned(
    finished: StudyContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.layout.folder, tmp_path / "results/small")
    study = small_study()
    study["label_store"] = str(finished.store.root.absolute())
    study["verification"] |= {"search_error_eV": 1e-6, "search_again": 1, "most_per_charge": 8}
    context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    group, key = context.keys[0]
    trained: list[Path] = []

    def train(*arguments: Any, **words: Any) -> object:
        trained.append(words["output"])
        return train_member(*arguments, **words)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(relearning, "train_member", train)
    with monkeypatch.context() as once:
        once.setattr(verification, "write_verified", killed)
        with pytest.raises(KeyboardInterrupt):
            verification.verify_key(context, group.name, key)
    assert len(trained) == study["exploration"]["training"]["committee"]
    before = len(context.store.calls())
    verification.verify_key(context, group.name, key)
    assert len(trained) == study["exploration"]["training"]["committee"], "no model is trained again"
    assert len(context.store.calls()) == before
    assert not list(context.layout.group(group.name).folder.glob("relearn*")), "nothing is left behind"
