"""Runs of a benchmark: a run is trained once, measured on what it has not seen, and remembered."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.learning.data import KnownPrior, read_pair, read_prior, run_data, with_values
from benchmarks.learning.figures import draw_parity
from benchmarks.learning.gathering import gather
from benchmarks.learning.novel import novel_rows
from benchmarks.learning.outcome import keep_outcome, read_outcomes
from benchmarks.learning.runs import runs_of, training_of
from benchmarks.learning.selection_trials import draw_selection
from benchmarks.learning.settings import ModelBenchmark, load_benchmark
from benchmarks.learning.training import train_run
from defectscape.domain.errors import ConfigError
from defectscape.domain.label import LabelledFrame
from defectscape.files.extxyz import write_labelled
from defectscape.files.tables import read_json, write_json
from defectscape.tools.data_sets import Card, card_path
from support.morse import FAMILIES, frame_of, label_of


def write_set(path: Path, fidelity: str, depth_eV: float, first: int = 0) -> None:
    seeds = range(first, first + 3)
    frames = [frame_of(f, q, seed) for f in FAMILIES for q in (0, 1) for seed in seeds]
    data = [LabelledFrame(frame, label_of(frame, depth_eV), fidelity) for frame in frames]
    write_labelled(path, data)
    card = Card(
        1,
        fidelity,
        fidelity,
        "analytic",
        "{}",
        ("1",),
        (("v_Cd_+1", 15), ("v_Cd_0", 15)),
        0.0,
        "then",
        "then",
        (),
    )
    write_json(card_path(path), card)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_set(tmp_path / "low.extxyz", "low", 0.3)
    write_set(tmp_path / "high.extxyz", "high", 0.36)
    content: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "data": [
            {
                "name": "morse",
                "low": str(tmp_path / "low.extxyz"),
                "high": str(tmp_path / "high.extxyz"),
                "high_labels": [6, 12],
                "test_families": 1,
                "valid_families": 1,
            }
        ],
        "strategies": ["high_only", "delta"],
        "without_charge": ["high_only"],
        "repeats": 2,
        "schedules": [
            {"name": "long", "steps": 60, "patience": 9},
            {"name": "short", "steps": 20, "patience": 99, "high_labels": [12]},
        ],
        "training": {
            "committee": 2,
            "channels": 4,
            "r_max_A": 4.2,
            "steps": 1,
            "batch_size": 5,
            "learning_rate": 0.01,
            "ema_decay": 0.9,
            "validate_every": 10,
            "patience": 9,
        },
    }
    path = tmp_path / "benchmark.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_every_combination_is_a_run_once(file: Path) -> None:
    runs = runs_of(load_benchmark(file))
    # Long: 2 points x 3 kinds x 2 repetitions, and second members of the last point's charged runs;
    # short: 1 point, charged runs alone.
    assert len(runs) == len({run.name for run in runs}) == 2 * 3 * 2 + 2 * 2 + 2 * 2
    assert {run.high_labels for run in runs if run.schedule == "short"} == {12}
    assert all(run.charge_embedding or run.strategy == "high_only" for run in runs)


def test_runs_without_charge_may_be_trained_at_some_points_only(file: Path) -> None:
    benchmark = load_benchmark(file)
    fewer = benchmark.model_copy(update={"without_charge_labels": [12]})
    blind = {run.high_labels for run in runs_of(fewer) if not run.charge_embedding}
    assert blind == {12}
    left_out = set(runs_of(benchmark)) - set(runs_of(fewer))
    assert {(run.high_labels, run.charge_embedding) for run in left_out} == {(6, False)}


def test_several_data_sets_of_one_fidelity_are_one(file: Path, tmp_path: Path) -> None:
    low, _ = read_pair(load_benchmark(file).data[0])
    both = [str(tmp_path / "low.extxyz"), str(tmp_path / "low_too.extxyz")]
    write_set(tmp_path / "low_too.extxyz", "low", 0.3)
    same, _ = read_pair(changed(file, "data", low=both).data[0])
    assert [item.frame.frame_id for item in same] == [item.frame.frame_id for item in low]
    write_set(tmp_path / "low_too.extxyz", "low", 0.3, first=99)
    more, _ = read_pair(load_benchmark(file).data[0])
    assert len(more) == 2 * len(low)
    mixed = changed(file, "data", low=[str(tmp_path / "low.extxyz"), str(tmp_path / "high.extxyz")])
    with pytest.raises(ConfigError, match="hold high and low"):
        read_pair(mixed.data[0])


def changed(file: Path, section: str, **changes: Any) -> ModelBenchmark:
    """The benchmark with changes of the last entry of a section."""
    content = yaml.safe_load(file.read_text())
    content[section][-1] |= changes
    file.write_text(yaml.safe_dump(content))
    return load_benchmark(file)


def test_a_schedule_may_be_for_some_strategies_only(file: Path) -> None:
    runs = runs_of(changed(file, "schedules", strategies=["delta"]))
    assert {run.strategy for run in runs if run.schedule == "short"} == {"delta"}
    assert {run.strategy for run in runs if run.schedule == "long"} == {"delta", "high_only"}
    with pytest.raises(ConfigError, match="schedule short has heads"):
        changed(file, "schedules", strategies=["heads"])


def test_a_schedule_may_be_for_some_data_only(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    content["data"].append({**content["data"][0], "name": "other"})
    file.write_text(yaml.safe_dump(content))
    runs = runs_of(changed(file, "schedules", data=["other"]))
    assert {(run.data, run.schedule) for run in runs} == {
        ("morse", "long"),
        ("other", "long"),
        ("other", "short"),
    }
    with pytest.raises(ConfigError, match="schedule short of 'third'; data are morse, other"):
        changed(file, "schedules", data=["third"])


def test_a_data_set_may_be_for_some_strategies_only(file: Path) -> None:
    runs = runs_of(changed(file, "data", strategies=["delta"]))
    assert {(run.strategy, run.charge_embedding) for run in runs} == {("delta", True)}
    with pytest.raises(ConfigError, match="data set morse has heads"):
        changed(file, "data", strategies=["heads"])


def test_structures_may_be_held_out_one_by_one(file: Path) -> None:
    benchmark = changed(file, "data", split="structures", test_families=5, valid_families=4)
    data = run_data(benchmark, runs_of(benchmark)[0])
    sides = [{item.frame.geometry_hash for item in side} for side in (data.train, data.valid, data.test)]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert (len(sides[1]), len(sides[2])) == (4, 5)
    # Of the 30 structures all others train at the low level, whichever start they were made from.
    assert sum(item.fidelity == "low" for item in data.train) == 30 - 9


def test_both_phases_share_the_steps(file: Path) -> None:
    benchmark = load_benchmark(file)
    for run in runs_of(benchmark):
        settings = training_of(benchmark, run)
        total = settings.steps + (settings.pretrain_steps or 0)
        assert total == (60 if run.schedule == "long" else 20)


def test_a_run_never_sees_the_families_it_is_measured_on(file: Path) -> None:
    benchmark = load_benchmark(file)
    tests = {}
    for run in runs_of(benchmark):
        data = run_data(benchmark, run)
        sides = [{item.frame.family for item in side} for side in (data.train, data.valid, data.test)]
        assert not sides[0] & sides[2]
        assert not sides[1] & (sides[0] | sides[2])
        assert sum(item.fidelity == "high" for item in data.train) == run.high_labels
        tests.setdefault(run.repeat, set()).add(tuple(item.frame.frame_id for item in data.test))
    assert all(len(same) == 1 for same in tests.values()), "runs of a repetition are not paired"
    assert tests[0] != tests[1]


def test_a_run_is_trained_once_and_again_only_if_it_changes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = load_benchmark(file)
    run = next(a for a in runs_of(benchmark) if a.strategy == "delta" and a.schedule == "short")
    folder = tmp_path / "outcomes"
    first = train_run(benchmark, run, folder, tmp_path)
    assert first.errors[0].frames == 6
    assert [row.charge for row in first.errors] == [None, 0, 1]
    assert first.errors[0].force_rmse_meV_A > 0
    pooled = np.mean([row.force_rmse_meV_A**2 for row in first.errors[1:]])
    assert first.errors[0].force_rmse_meV_A == pytest.approx(np.sqrt(pooled))
    assert first.steps == 20
    assert (first.train_low, first.train_high) == (18, 12)

    def never(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("benchmarks.learning.training.train_member", never)
    assert train_run(benchmark, run, folder, tmp_path) == first
    elsewhere = benchmark.model_copy(update={"training": benchmark.training.model_copy(update={"device": "cuda"})})
    monkeypatch.setattr("torch.__version__", "99")
    assert train_run(elsewhere, run, folder, tmp_path) == first
    changed = benchmark.model_copy(update={"training": benchmark.training.model_copy(update={"learning_rate": 0.02})})
    with pytest.raises(AssertionError, match="trained again"):
        train_run(changed, run, folder, tmp_path)


def test_label_counts_share_the_first_phase_and_end_as_if_they_did_not(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    benchmark = load_benchmark(file)
    few, many = (
        next(
            run
            for run in runs_of(benchmark)
            if (run.strategy, run.high_labels, run.repeat, run.schedule) == ("delta", count, 0, "long")
        )
        for count in (6, 12)
    )
    train_run(benchmark, few, tmp_path / "outcomes", tmp_path / "shared")
    with caplog.at_level("INFO"):
        shared = train_run(benchmark, many, tmp_path / "outcomes", tmp_path / "shared")
    # Finished before, it goes on from its last step, and the training finds it so, too.
    for phase in ("first phase", "low model"):
        assert f"{phase}: continuing from step 30" in caplog.text
    alone = train_run(benchmark, many, tmp_path / "outcomes_alone", tmp_path / "alone")
    assert shared.errors == alone.errors
    assert shared.frames == alone.frames
    assert shared.core_s > 0.5 * alone.core_s


def test_what_is_there_is_gathered(file: Path, tmp_path: Path) -> None:
    benchmark = load_benchmark(file)
    runs = [a for a in runs_of(benchmark) if a.schedule == "long" and a.high_labels == 12]
    mine = [run for run in runs if run.repeat == 0]
    for run in mine:
        train_run(benchmark, run, tmp_path / "small", tmp_path)
    (tmp_path / "small" / "parity_morse.png").touch()
    result = gather(benchmark, file, tmp_path, tmp_path)
    assert (result.runs, result.runs_done) == (len(runs_of(benchmark)), len(mine))
    labels = {curve.label for curve in result.curves}
    assert labels == {"high_only", "delta", "high_only, no charge"}
    content = read_json(tmp_path / "small.json")
    assert content["runs_done"] == len(mine)
    for name in ("curves_morse_long", "parity_morse", "calibration_morse"):
        for ending in ("png", "pdf"):
            assert (tmp_path / "figures" / f"{name}.{ending}").stat().st_size > 5000
    # Only figures that lie beside the outcomes already are renewed there.
    assert [path.name for path in (tmp_path / "small").glob("*.png")] == ["parity_morse.png"]
    assert (tmp_path / "small" / "parity_morse.png").stat().st_size > 5000
    # A committee of two for each strategy, and its descriptors with their control.
    kinds = {(row.label, row.scale.quantity) for row in result.calibration}
    assert kinds == {(s, q) for s in ("high_only", "delta") for q in ("force", "within", "between")}
    forces = next(row.scale for row in result.calibration if row.scale.quantity == "force")
    assert forces.factor68 is not None
    assert forces.frames == forces.test_frames == 6
    assert {row.label for row in result.separations} == {"high_only", "delta"}
    # On another machine, where the models are not, what they showed is still known; of other runs it is not.
    elsewhere = gather(benchmark, file, tmp_path, tmp_path / "no models")
    assert elsewhere.calibration == result.calibration
    assert elsewhere.separations == result.separations
    known = read_outcomes(tmp_path / "small")
    changed = known[next(run.name for run in mine if run.strategy == "delta")]
    keep_outcome(tmp_path / "small", replace(changed, digest="another"))
    later = gather(benchmark, file, tmp_path, tmp_path / "no models")
    assert {row.label for row in later.calibration} == {"high_only"}
    assert {row.label for row in later.separations} == {"high_only"}
    # A benchmark under way may have none but blind runs of a point yet.
    blind_runs = [known[run.name] for run in mine if not run.charge_embedding]
    assert len(blind_runs) == 1
    assert draw_parity(blind_runs, tmp_path) == []
    # The blind model cannot know energies of charges that differ by 11 eV.
    blind, seeing = (
        known[run.name].errors[0]
        for run in sorted(mine, key=lambda run: run.charge_embedding)
        if run.strategy == "high_only" and run.member == 0
    )
    assert blind.energy_rmse_meV_atom > 10 * seeing.energy_rmse_meV_atom


def test_a_committee_chooses_among_labels_of_families_that_train(file: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(file.read_text())
    content["selection"] = [
        {
            "data": "morse",
            "strategy": "high_only",
            "first": 6,
            "second": 12,
            "committee": 2,
            "selectors": ["random", "disagreement", "spread"],
        }
    ]
    content["schedules"][0]["steps"] = 20
    file.write_text(yaml.safe_dump(content))
    benchmark = load_benchmark(file)
    runs = [a for a in runs_of(benchmark) if a.repeat == 0 and a.strategy == "high_only"]
    trial = [a for a in runs if a.schedule == "long" and a.charge_embedding]
    chosen = [run for run in trial if run.chosen]
    assert [run.selector for run in chosen] == ["disagreement", "spread"]
    folder = tmp_path / "small"
    for run in trial:
        train_run(benchmark, run, folder, tmp_path)
    disagreement, spread = (read_outcomes(folder)[run.name] for run in chosen)
    assert disagreement.train_high == spread.train_high == 12
    assert disagreement.frames != spread.frames, "both chose alike"
    rows = {(r.selector, r.quantity): r for r in gather(benchmark, file, tmp_path, tmp_path).selection}
    random = rows["random", "force_rmse_meV_A"]
    assert (random.first, random.second, random.against_random) == (6, 12, 1.0)
    row = rows["spread", "force_rmse_meV_A"]
    assert row.mean == pytest.approx(spread.errors[0].force_rmse_meV_A)
    assert row.against_random == pytest.approx(row.mean / random.mean)
    figure = tmp_path / "figures" / "selection_morse_high_only.png"
    assert figure.stat().st_size > 5000
    # Without the random labels of a repetition there is nothing to compare with.
    figure.unlink()
    alone = [replace(r, against_random=None) for r in rows.values()]
    assert draw_selection(alone, figure.parent) == []
    assert not figure.exists()


def test_a_typo_in_a_benchmark_is_named(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    content["repeat"] = content.pop("repeats")
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="Did you mean 'repeats'"):
        load_benchmark(file)


def test_a_model_told_no_charge_is_handed_none_and_judged_by_the_true_ones(file: Path) -> None:
    benchmark = load_benchmark(file)
    run = next(run for run in runs_of(benchmark) if not run.charge_embedding)
    data = run_data(benchmark, run)
    told = data.without_charge()
    for known, handed in (
        (data.train, told.train),
        (data.valid, told.valid),
        (data.test, told.test),
    ):
        assert {item.frame.charge for item in known} == {0, 1}
        assert {item.frame.charge for item in handed} == {0}
        assert [item.label for item in handed] == [item.label for item in known]


def test_delta_cannot_do_without_the_charge(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(content | {"without_charge": ["delta"]}))
    with pytest.raises(ConfigError, match="delta needs the charge"):
        load_benchmark(file)


def with_prior(file: Path, tmp_path: Path, **changes: Any) -> ModelBenchmark:
    """The benchmark with a prior that leaves an eighth of the bonds' energy to the model."""
    values = {0: str(tmp_path / "prior.extxyz"), 50: str(tmp_path / "prior_later.extxyz")}
    for first, path in values.items():
        write_set(Path(path), "prior", 0.315, first)
    content = yaml.safe_load(file.read_text())
    content["priors"] = [{"name": "morse_prior", "values": list(values.values())}]
    content["data"][0] |= {"priors": ["", "morse_prior"], **changes}
    file.write_text(yaml.safe_dump(content))
    return load_benchmark(file)


def test_over_a_prior_a_run_learns_what_it_leaves_and_is_measured_on_the_whole(file: Path, tmp_path: Path) -> None:
    before = runs_of(load_benchmark(file))
    benchmark = with_prior(file, tmp_path)
    runs = runs_of(benchmark)
    assert [run for run in runs if not run.prior] == list(before)
    plain = next(r for r in before if (r.strategy, r.high_labels, r.schedule) == ("high_only", 12, "long"))
    over = next(r for r in runs if r.prior and replace(r, prior="") == plain)
    alone, best = (train_run(benchmark, run, tmp_path / "outcomes", tmp_path) for run in (plain, over))
    assert [frame[:3] for frame in alone.frames] == [frame[:3] for frame in best.frames]
    assert best.errors[0].force_rmse_meV_A < 0.5 * alone.errors[0].force_rmse_meV_A
    assert read_outcomes(tmp_path / "outcomes")[over.name].run.label == "high_only over morse_prior"
    assert train_run(benchmark, over, tmp_path / "outcomes", tmp_path) == best


def test_what_a_prior_does_not_know_is_left_out_on_every_side(file: Path, tmp_path: Path) -> None:
    benchmark = with_prior(file, tmp_path)
    run = next(run for run in runs_of(benchmark) if run.prior and run.high_labels == 12)
    prior = read_prior(benchmark, run)
    data = run_data(benchmark, run)
    assert with_values(data, prior).train == data.train
    poor = KnownPrior("poor", [item for item in data.train if item.frame.charge == 0])
    left = with_values(data, poor)
    assert {item.frame.charge for item in left.train} == {0}
    assert not left.test
    with pytest.raises(ConfigError, match="prior poor"):
        poor.evaluate_many([data.test[0].frame])


def test_structures_found_later_are_ranked(file: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "later.extxyz", "high", 0.36, first=50)
    later = str(tmp_path / "later.extxyz")
    with pytest.raises(ConfigError, match="either test_families above 0 or novel"):
        with_prior(file, tmp_path, novel=later, novel_charges=[1])
    benchmark = with_prior(file, tmp_path, novel=later, novel_charges=[1], test_families=0)
    run = next(run for run in runs_of(benchmark) if run.prior and run.high_labels == 12 and run.schedule == "long")
    outcome = train_run(benchmark, run, tmp_path / "small", tmp_path)
    assert len(outcome.frames) == 15
    (row,) = novel_rows(benchmark, [outcome])
    assert (row.label, row.charge, row.frames, row.repetitions) == ("high_only over morse_prior", 1, 15, 1)
    labels, models = (np.array(column, dtype=float) for column in list(zip(*outcome.frames, strict=True))[2:])
    order = labels.argsort()
    assert row.lowest_error_eV == pytest.approx((models - labels)[order[:10]].mean())
    assert row.scatter_eV == pytest.approx((models - labels).std(ddof=1))
    ranks = [np.argsort(np.argsort(values)) for values in (labels, models)]
    assert row.rank_correlation == pytest.approx(np.corrcoef(ranks)[0, 1])
    # Structures that were known in the same charge are none that were found later.
    pair = benchmark.data[0].model_copy(update={"novel": benchmark.data[0].high})
    again = benchmark.model_copy(update={"data": [pair]})
    assert run_data(again, run).test == ()
