"""The benchmark of defects that reconstruct, on a study whose answer is known to be right, and wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.hard.gathering import gather_hard
from benchmarks.hard.results import HardResult, StateRow, read_hard
from benchmarks.hard.tables import page_tables
from benchmarks.hard.truth import find_truth, known_truths
from benchmarks.hard.variants import (
    TRIALS,
    HardBenchmark,
    find_variant,
    load_hard,
    settings_of,
    truth_context,
    variants_of,
    with_trials,
    write_variant,
)
from defectscape.domain.energies import HostEnergies
from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Origin
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.search.verification_criterion import Assessment
from defectscape.settings.load import load_study
from defectscape.study.context import StudyContext
from defectscape.study.frames import write_pool, write_selected
from defectscape.study.levels import GroundState, Levels, write_levels
from defectscape.study.minima import write_verified
from defectscape.summary.file import write_summary
from support import ROOT
from support.small_study import small_study
from support.summary_builder import make_summary

FILE = ROOT / "benchmarks/config/hard.yaml"


def test_every_variant_is_a_study_and_a_prior_leaves_the_low_level_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    benchmark = load_hard(FILE)
    variants = list(variants_of(benchmark))
    assert len({variant.name for variant in variants}) == len(benchmark.studies) * len(benchmark.seeds) * 2
    for variant in variants:
        target = tmp_path / f"{variant.name}.yaml"
        write_variant(variant, tmp_path / "labels", target)
        study = load_study(target)
        assert (study.study, study.seed, study.label_store) == (variant.name, variant.seed, tmp_path / "labels")
        strategies = {study.training.strategy, study.exploration.training.strategy}
        if variant.prior == "low":
            assert study.prior is not None
            assert study.prior.engine == study.fidelities.low.engine
            assert strategies == {"high_only"}
        else:
            assert study.prior is None
            assert "high_only" not in strategies
    with pytest.raises(ConfigError, match="hard_cdte_9"):
        find_variant(benchmark, "hard_cdte_9")


def test_each_trial_is_a_valid_study_with_what_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    benchmark = load_hard(FILE)
    assert set(benchmark.trials) == set(TRIALS)
    studies = {}
    for trial in benchmark.trials:
        target = tmp_path / f"{trial}.yaml"
        write_variant(find_variant(benchmark, f"hard_cdte_1_{trial}"), tmp_path / "labels", target)
        studies[trial] = load_study(target)
    for trial, study in studies.items():
        assert {defect.learns for defect in study.defects} == {"weights" if trial == "taught" else "none"}
        for search in (study.search, study.exploration.search):
            assert (search.until_nothing_new is not None) == (trial == "more_starts")
        assert (study.exploration.settled_eV, study.exploration.rounds) == (
            (0.05, 6) if trial == "settled" else (None, 2)
        )
        # What is tried replaces nothing beside it.
        assert study.exploration.search.max_steps == 80
    assert studies["recharged"].selection.recharged_per_charge_per_round == 2


def test_a_trial_changes_one_setting_of_a_variant_and_is_not_run_by_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    benchmark = load_hard(FILE)
    trial, plain = (find_variant(benchmark, name) for name in ("hard_si_2_prior_recharged", "hard_si_2_prior"))
    assert trial in list(with_trials(benchmark))
    assert trial not in list(variants_of(benchmark))
    tried, usual = (settings_of(variant, Path("labels")) for variant in (trial, plain))
    assert tried.pop("study") == usual.pop("study") + "_recharged"
    assert tried["selection"].pop("recharged_per_charge_per_round") == 2
    assert tried == usual


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of one small study with the truth about it, and one finished variant of it.

    Charge 0 reports where the lowest direct relaxation ended; charge -1 the same, but off by 0.05 A.
    """
    made = tmp_path_factory.mktemp("hard")
    study = small_study()
    study["search"] |= {"fmax_eV_A": 0.2, "max_steps": 50}
    (made / "small.yaml").write_text(yaml.safe_dump(study))
    benchmark = benchmark_of(made)
    truths = find_truth(truth_context(benchmark, "small", made), made)
    variant = find_variant(benchmark, "small_1")
    context = variant.context(benchmark.label_store, made / "results")
    # The variant has the starts of the truth: its host and sites, too.
    context.layout.folder.parent.mkdir()
    (made / "starts" / "small").rename(context.layout.folder)
    (made / "starts" / "small").symlink_to(context.layout.folder)
    states, frames = [], []
    for truth in truths:
        frame = min((item for item in truth.relaxations if item.converged), key=lambda item: item.energy_eV).final
        if truth.key.charge == -1:
            moves = np.random.default_rng(0).normal(0, 0.05, frame.positions_A.shape)
            frame = frame.moved(frame.positions_A + moves, origin=Origin.MINIMUM)
        label = context.label(frame, "high").label
        assert label is not None
        minimum = Minimum(0, frame, label.energy_eV, (label.energy_eV,) * 2, 0.0, 0.0, (), False)
        verified = VerifiedMinimum(minimum, label, frame, label, 0)
        labels = [LabelledFrame(frame, label, "ipea1")]
        write_verified(context, "v_Cd", truth.key, [verified], labels, Assessment("verified", (), "test"))
        states.append(GroundState(truth.key, "v_Cd", 0, frame, label.energy_eV, 0.0, "test", True, None))
        frames.append([item.start for item in truth.relaxations])
    first, second = frames
    write_pool(context, "v_Cd", [*first, *second])
    # The second round takes a frame of the first once more: it is one label.
    write_selected(context, "v_Cd", "high", 0, [*first[:2], second[0]])
    write_selected(context, "v_Cd", "high", 1, first[1:3])
    write_levels(context, Levels(tuple(states), HostEnergies(0.0, 0.0, 1.0), (), (), (), ()))
    write_summary(context, make_summary())
    return made


def benchmark_of(made: Path) -> HardBenchmark:
    return HardBenchmark(
        name="small", studies=[made / "small.yaml"], seeds=[1, 2], priors=["none"], label_store=made / "labels"
    )


def gathered(made: Path) -> HardResult:
    return gather_hard(benchmark_of(made), made, made / "results", made / "small.json")


def test_a_right_answer_is_right_and_a_wrong_one_is_measured(folder: Path) -> None:
    result = gathered(folder)
    assert read_hard(folder / "small.json") == result
    truths = {row.key: row for row in result.truths}
    states = {row.key: row for row in result.states}
    # The study with the other seed has not run.
    assert {row.seed for row in result.states} == {1}
    right, wrong = states["v_Cd_0"], states["v_Cd_-1"]
    # Where it is converged already, relaxing on moves nothing.
    assert right.error_meV == pytest.approx(0.0, abs=1e-6)
    assert right.direct_error_meV == pytest.approx(0.0, abs=1e-6)
    assert right.rmsd_A < 0.02
    assert wrong.error_meV > 20
    assert wrong.rmsd_A > 0.02
    assert wrong.relaxed_meV is not None
    assert wrong.relaxed_meV < wrong.error_meV
    for row in result.states:
        truth = truths[row.key]
        assert min(row.relaxed_meV, row.direct_error_meV) == pytest.approx(0.0, abs=1e-9)
        assert row.plain_error_meV == pytest.approx(truth.plain_meV + row.direct_error_meV)
        assert truth.ends[0].start == "unperturbed"
        assert row.direct_high_labels == truth.labels >= len(truth.ends)
        assert row.host == "CdTe"
    # Three selected in two rounds and one in verification; one and one.
    assert (right.high_labels, wrong.high_labels) == (4, 2)
    assert right.low_labels == len(truths["v_Cd_0"].ends)


def test_the_truth_is_computed_once(folder: Path) -> None:
    benchmark = benchmark_of(folder)
    context: StudyContext = truth_context(benchmark, "small", folder)
    before = len(context.store.calls())
    (again,) = find_truth(context, folder, ["v_Cd_-1"])
    assert len(context.store.calls()) == before
    assert again.calls == known_truths(folder, "small")[again.key].calls
    with pytest.raises(ConfigError, match="v_Cd_7"):
        find_truth(context, folder, ["v_Cd_7"])


def test_what_is_called_certain_and_is_wrong_is_counted(folder: Path) -> None:
    result = gathered(folder)
    (right, wrong) = result.states
    rows: list[StateRow] = [
        replace(right, error_meV=1.0, certain=True, open=False),
        replace(right, error_meV=2.0, certain=False, open=True, seed=2),
        replace(wrong, error_meV=300.0, certain=True, open=False),
        replace(wrong, error_meV=400.0, certain=False, open=True, seed=2),
        replace(wrong, error_meV=0.0, certain=True, open=False, trial="recharged"),
    ]
    page = page_tables(replace(result, states=tuple(rows)))
    labels = (right.high_labels + wrong.high_labels) / 2
    assert f"| none | 4 | 2 | 2 | 1 | 1 | 2 | {labels:.0f} |" in page
    assert f"| none, recharged | 1 | 1 | 1 | 0 | 0 | 0 | {wrong.high_labels} |" in page
    assert "| 300, 400 |" in page
