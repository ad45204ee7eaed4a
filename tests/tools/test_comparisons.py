"""Comparisons of a study's search: with direct relaxations, with their growth, with a foundation potential."""

from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from typer.testing import CliRunner

from defectscape.cli.app import app
from defectscape.domain.energies import HostEnergies
from defectscape.domain.errors import ConfigError, EngineError, StoreError
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.files.codec import decode
from defectscape.files.extxyz import read_frames
from defectscape.files.tables import read_json, save_relaxations, save_verified, write_json
from defectscape.search.relaxation import relax_all
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.references import label_host
from defectscape.stages.sampling import make_group_starts
from defectscape.study.context import StudyContext
from defectscape.study.levels import GroundState, Levels
from defectscape.tools.direct_relaxations import DirectSearch, ends_of
from defectscape.tools.direct_search import chance, growth
from defectscape.tools.figures import draw_foundation, draw_truth
from defectscape.tools.foundation import compare_foundation
from defectscape.tools.search_truth import KeyTruth, all_truths, level_truths
from defectscape.tools.surfaces import AseSurface, EngineSurface
from support.small_study import small_study, write_study
from support.summary_builder import make_summary


def with_starts(folder: Path, **search: float) -> StudyContext:
    """A small study in a folder of its own, up to its starts."""
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["search"] |= {"batch_size": 1, **search}
    made = StudyContext.load(write_study(study, folder), folder / "results")
    prepare_host(made)
    label_host(made)
    list_sites(made)
    make_group_starts(made, "v_Cd")
    return made


# The search against direct relaxations: on a study whose answer is known to be right, and wrong.


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    """Charge 0: the direct search's own ground state. Charge -1: the same kind, but off by 0.05 A."""
    made = with_starts(tmp_path_factory.mktemp("truth"), fmax_eV_A=0.2, max_steps=50)
    files = made.layout.group("v_Cd")
    surface = EngineSurface(made, "high", "v_Cd")
    relaxations = relax_all(read_frames(files.starts), surface, made.study.search)
    states = []
    for key in sorted({r.start.key for r in relaxations}):
        own = [r for r in relaxations if r.start.key == key and r.converged]
        frame = min(own, key=lambda r: r.energy_eV).final
        if key.charge == -1:
            moves = np.random.default_rng(0).normal(0, 0.05, frame.positions_A.shape)
            frame = frame.moved(frame.positions_A + moves, origin=Origin.MINIMUM)
        energy = surface.label(frame).energy_eV
        states.append(GroundState(key, "v_Cd", 0, frame, energy, 0.0, "test", False, None))
        save_verified(files.verified(str(key)), [])
    write_json(made.layout.energies, Levels(tuple(states), HostEnergies(0.0, 0.0, 1.0), (), (), (), ()))
    return made


def test_a_right_answer_is_right_and_a_wrong_one_is_measured(context: StudyContext) -> None:
    before = len(context.store.calls())
    rows = {row.key: row for row in all_truths(context, DirectSearch())}
    right, wrong = rows["v_Cd_0"], rows["v_Cd_-1"]
    assert right.reported_eV == pytest.approx(0.0, abs=2e-3)
    assert right.rmsd_A < 0.02
    assert 1 <= right.right_starts <= right.converged
    assert right.direct_eV == pytest.approx(0.0, abs=2e-3)
    assert wrong.reported_eV > 0.02
    assert wrong.rmsd_A > 0.02
    assert abs(wrong.relaxed_eV) < wrong.reported_eV
    for row in rows.values():
        assert min(row.relaxed_eV, row.direct_eV) == pytest.approx(0.0, abs=1e-9)
        assert row.starts == 4
        assert row.converged + sum(count for _, count in row.failures) == row.starts
        assert row.calls >= row.converged
        assert row.core_s > 0
    # The direct relaxations were in the store: asking again computes what was new alone.
    again = all_truths(context, DirectSearch())
    assert len(context.store.calls()) - before < sum(row.calls for row in again)
    assert [row.reported_eV for row in again] == [row.reported_eV for row in rows.values()]


def test_the_low_level_relaxes_a_part_and_the_high_one_judges(context: StudyContext) -> None:
    search = DirectSearch("low", ("v_Cd_-1",), ("unperturbed", "rattle"), fmax_eV_A=0.25)
    (row,) = all_truths(context, search)
    assert (row.key, row.starts) == ("v_Cd_-1", 2)
    assert row.calls > row.starts
    assert row.our_minima == 1
    assert row.missed_by_us is None
    # The reported structure is off by 0.05 A: what the low level found is better at the high one, too.
    assert row.direct_at_high_eV is not None
    assert row.direct_at_high_eV < -0.02
    # The loose convergence leaves ours nearly where it was.
    assert row.relaxed_at_high_eV is not None
    assert row.direct_at_high_eV < row.relaxed_at_high_eV < 0
    assert [end.start for end in row.ends] == ["unperturbed", "rattle"]
    assert {end.reason for end in row.ends} == {"converged"}
    # The high level judges every end; the lowest of them stands for the direct search.
    judged = [end.at_high_eV for end in row.ends]
    assert row.unperturbed_at_high_eV == judged[0]
    assert row.direct_at_high_eV == min(judged)
    # Cut short, it says so, and where it stood.
    cut = DirectSearch("low", fmax_eV_A=1e-3, max_steps=1)
    starts = search.of(read_frames(context.layout.group("v_Cd").starts), DefectKey("v_Cd", -1))
    cut_off = cut.relax(starts, EngineSurface(context, "low", "v_Cd"), context.study.search)
    assert [(end.reason, end.steps) for end in ends_of(cut_off, 0.0, lambda frame: 0.0)] == [("step limit", 1)] * 2
    for asked, name in (({"keys": ("v_Cd_7",)}, "v_Cd_7"), ({"starts": ("dimers",)}, "dimers")):
        with pytest.raises(ConfigError, match=name):
            all_truths(context, DirectSearch(**asked))


def test_the_command_writes_truth_and_cost_beside_the_summary(context: StudyContext) -> None:
    summary = make_summary()
    context.layout.summary.write_text(summary.model_dump_json())
    folder = context.layout.folder
    words = ["--study", str(folder.parents[1] / "study.yaml"), "--results", str(folder.parent)]
    words += ["direct-search", "--key", "v_Cd_0", "--start", "unperturbed"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    content = read_json(folder / "direct_search_high.json")
    found = decode(tuple[KeyTruth, ...], content["keys"])
    assert [truth.key for truth in found] == ["v_Cd_0"]
    assert f"{1e3 * found[0].reported_eV:.1f}" in done.output
    assert (folder / "direct_search_high.png").stat().st_size > 5000
    cost = content["cost"]
    assert cost["our_high_calls"] == 12 + 186 + 2 + 74
    assert cost["our_low_calls"] == 1480 + 9
    assert (cost["our_training_core_s"], cost["our_search_core_s"]) == (4210.3, 1180.7)
    assert (cost["direct_calls"], cost["direct_core_s"]) == (found[0].calls, found[0].core_s)
    # A part says nothing of what the whole costs.
    assert content["growth"] == []


def row(key: str, reported: float, direct: float = 0.0, plain: float | None = 0.0) -> KeyTruth:
    return KeyTruth(key, 1, 1, 1, (), 1, 1.0, 1, 1, 0, 0, reported, 0.0, direct, plain, 0.0)


def test_levels_are_off_by_the_difference_per_electron() -> None:
    rows = [row("v_X_+1", 0.01, plain=0.3), row("v_X_0", 0.05), row("v_X_-2", 0.01, plain=None)]
    one, other = level_truths(rows)
    assert (one.upper, one.lower) == (1, 0)
    assert one.reported_eV == pytest.approx(0.04)
    assert one.unperturbed_eV == pytest.approx(-0.3)
    assert (other.upper, other.lower, other.unperturbed_eV) == (0, -2, None)
    assert other.reported_eV == pytest.approx(-0.02)
    # The same error in both charges is no error of the level.
    assert level_truths([row("v_X_0", 0.2), row("v_X_-1", 0.2)])[0].reported_eV == 0.0


@pytest.mark.parametrize("level", ["high", "low"])
def test_the_figure_takes_what_failed(tmp_path: Path, level: Literal["high", "low"]) -> None:
    rows = (row("v_X_0", 0.01, plain=None), row("v_X_-1", 0.0, direct=float("inf")))
    draw_truth(rows, DirectSearch(level), "PBE", "HSE06", tmp_path / "search.json")
    assert (tmp_path / "search.png").stat().st_size > 5000


def test_only_the_study_s_own_search_in_full_is_its_truth() -> None:
    assert DirectSearch().whole
    for part in (
        DirectSearch("low"),
        DirectSearch(keys=("v_X_0",)),
        DirectSearch(starts=("dimer",)),
        DirectSearch(fmax_eV_A=0.3),
        DirectSearch(max_steps=5),
    ):
        assert not part.whole


# Growth of the costs with the starts, against counting by hand.


@pytest.mark.parametrize(("right", "drawn"), [(0, 3), (1, 1), (2, 3), (5, 1), (2, 5)])
def test_the_chance_is_the_share_of_all_choices(right, drawn) -> None:
    choices = list(combinations(range(5), drawn))
    lucky = sum(any(start < right for start in choice) for choice in choices)
    assert chance(5, right, drawn) == pytest.approx(lucky / len(choices))


def test_direct_costs_grow_with_the_starts_and_ours_with_its_searches() -> None:
    rows = [
        KeyTruth(key, 4, 4, right, (), 40, 100.0, 1, 1, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
        for key, right in (("v_X_0", 4), ("v_X_-1", 1))
    ]
    table = growth(rows, fixed_core_s=50.0, search_core_s=8.0)
    assert [row.starts for row in table] == [1, 2, 3, 4]
    assert [row.direct_core_s for row in table] == [50, 100, 150, 200]
    assert [row.direct_calls for row in table] == [20, 40, 60, 80]
    assert [row.our_core_s for row in table] == [52, 54, 56, 58]
    assert [row.direct_found for row in table] == [1.25, 1.5, 1.75, 2.0]
    assert table[-1].ratio == pytest.approx(200 / 58, abs=1e-3)


# A foundation potential whose weights come in its wheel, on a study made to be known.


# The warning is CHGNet's own, with a newer torch than it was written for.
with_chgnet = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning:chgnet")
CALCULATOR = "chgnet.model.dynamics.CHGNetCalculator"
ARGUMENTS = {"use_device": "cpu"}


@pytest.fixture(scope="module")
def known_study(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    """A study whose search and ground states are CHGNet's own, but for one charge state.

    The reference of charge -1 has an atom 0.6 A off, so nobody can find it.
    """
    dynamics = pytest.importorskip("chgnet.model.dynamics", reason="chgnet is not installed")
    made = with_starts(tmp_path_factory.mktemp("foundation"), fmax_eV_A=0.05, max_steps=150)
    files = made.layout.group("v_Cd")
    surface = AseSurface(lambda: dynamics.CHGNetCalculator(**ARGUMENTS))
    relaxations = relax_all(read_frames(files.starts), surface, made.study.search)
    save_relaxations(files.relaxations, relaxations)
    states = []
    for key in sorted({r.start.key for r in relaxations}):
        own = [r for r in relaxations if r.start.key == key and r.converged]
        best = min(own, key=lambda r: r.energy_eV)
        frame = best.final
        if key.charge == -1:
            positions = frame.positions_A.copy()
            positions[0] += [0.6, 0.0, 0.0]
            frame = frame.moved(positions, origin=Origin.MINIMUM)
        states.append(GroundState(key, "v_Cd", 0, frame, best.energy_eV, 0.0, "test", False, None))
        save_verified(files.verified(str(key)), [])
    levels = Levels(tuple(states), HostEnergies(0.0, 0.0, 1.0), (), (), (), ())
    write_json(made.layout.energies, levels)
    return made


@with_chgnet
def test_it_finds_its_own_minima_is_blind_and_misses_what_it_must(known_study: StudyContext, tmp_path: Path) -> None:
    target = tmp_path / "foundation_CHGNet.json"
    result = compare_foundation(known_study, CALCULATOR, ARGUMENTS, "CHGNet", target)
    assert result.version.startswith("chgnet 0.")
    rows = {row.key: row for row in result.foundation}
    assert rows["v_Cd_0"].finds_ground_state
    assert rows["v_Cd_0"].rmsd_A < 0.02
    assert not rows["v_Cd_-1"].finds_ground_state
    assert rows["v_Cd_-1"].rmsd_A > 0.1
    # The study's relaxations are CHGNet's here: both columns must agree.
    for theirs, ours in zip(result.foundation, result.ours, strict=True):
        assert theirs.rmsd_A == pytest.approx(ours.rmsd_A, abs=0.02)
        assert theirs.starts == ours.starts
    (blind,) = result.charge_responses
    assert (blind.charges, blind.energy_eV, blind.force_eV_A) == ((-1, 0), 0.0, 0.0)
    (pair,) = result.pairs
    assert (pair.one, pair.other) == ("v_Cd_-1", "v_Cd_0")
    assert pair.reference_A > 0.1
    assert pair.foundation_A is not None
    content = read_json(target)
    assert content["arguments"] == ARGUMENTS
    assert content["relaxations"] == sum(row.starts for row in result.foundation)
    assert np.isfinite(content["core_s"])
    draw_foundation(result, target)
    assert target.with_suffix(".png").stat().st_size > 5000


@with_chgnet
def test_what_is_missing_is_named(known_study: StudyContext, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Install its package"):
        compare_foundation(known_study, "nowhere.Potential", {}, "x", tmp_path / "x.json")
    with pytest.raises(EngineError, match="Correct its arguments"):
        compare_foundation(known_study, "ase.calculators.mixing.SumCalculator", {"colour": 1}, "x", tmp_path / "x.json")
    empty = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    with pytest.raises(StoreError, match="no such file"):
        compare_foundation(empty, CALCULATOR, ARGUMENTS, "x", tmp_path / "x.json")
