"""The model benchmark: its folds, its learning curves, its descriptors, and outcomes that are found again."""

import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydantic import Field
from scipy.spatial.transform import Rotation

from benchmarks.learning.committees import Models, committee_scales, separations
from benchmarks.learning.curves import CurvePoint, labels_for, make_curves
from benchmarks.learning.data import run_data
from benchmarks.learning.descriptors import describe, draw_projection, project
from benchmarks.learning.digest import run_digest
from benchmarks.learning.folds import draw, make_fold, part
from benchmarks.learning.outcome import RunOutcome, SetError, put_row, read_outcomes, read_rows
from benchmarks.learning.runs import ModelRun, runs_of, training_of
from benchmarks.learning.settings import ModelBenchmark, load_benchmark
from defectscape.domain.errors import ConfigError, ModelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.files.codec import encode
from defectscape.files.tables import read_json
from defectscape.model.saving import load_network
from defectscape.model.training import train_member
from defectscape.settings.training import TrainingSettings
from support import ROOT
from support.morse import frame_of, label_of

# Folds: no family on two sides, fewer labels within more, every charge in turn.


FAMILIES = [f"v_X/{name}" for name in "abcdefg"] + ["v_X/unperturbed"]


def labelled(family: str, charge: int, seed: int) -> LabelledFrame:
    rng = np.random.default_rng([seed, charge % 7, FAMILIES.index(family)])
    frame = Frame(
        np.array([48, 52]),
        rng.uniform(0, 5, (2, 3)),
        6.0 * np.eye(3),
        DefectKey("v_X", charge),
        1 + charge % 2,
        Origin.RATTLE,
        family,
    )
    return LabelledFrame(frame, Label(-1.0, np.zeros((2, 3))), "high")


POOL = [labelled(family, q, seed) for family in FAMILIES for q in (-1, 0, 1) for seed in range(4)]


@pytest.mark.parametrize("repeat", range(6))
def test_families_are_never_divided(repeat: int) -> None:
    fold = make_fold(FAMILIES, 2, 1, 5, repeat)
    assert (len(fold.test), len(fold.valid)) == (2, 1)
    assert not fold.test & fold.valid
    assert not fold.train & (fold.test | fold.valid)
    assert fold.train | fold.valid | fold.test == set(FAMILIES)
    assert "v_X/unperturbed" in fold.train
    sides = [part(POOL, side) for side in (fold.train, fold.valid, fold.test)]
    assert sum(map(len, sides)) == len(POOL)


def test_repetitions_hold_out_every_family_alike() -> None:
    counts = Counter(f for repeat in range(7) for f in make_fold(FAMILIES, 2, 1, 5, repeat).test)
    assert set(counts.values()) == {2}
    assert len(counts) == 7
    assert make_fold(FAMILIES, 2, 1, 5, 0) == make_fold(FAMILIES[::-1], 2, 1, 5, 0)
    assert make_fold(FAMILIES, 2, 1, 5, 0) != make_fold(FAMILIES, 2, 1, 6, 0)


def test_fewer_labels_are_among_more() -> None:
    few, many = draw(POOL, 10, 3, 0), draw(POOL, 40, 3, 0)
    assert [item.frame.frame_id for item in many[:10]] == [item.frame.frame_id for item in few]
    assert set(Counter(item.frame.charge for item in few).values()) <= {3, 4}
    assert len({item.frame.frame_id for item in many}) == 40
    other = draw(POOL, 10, 3, 1)
    assert {i.frame.frame_id for i in other} != {i.frame.frame_id for i in few}
    assert draw(POOL[::-1], 10, 3, 0) == few


@pytest.mark.parametrize("count", [5, len(POOL) + 1])
def test_too_many_or_too_few_labels(count: int) -> None:
    with pytest.raises(ConfigError, match="Between 6 and 96"):
        draw(POOL, count, 3, 0)


def test_too_many_held_out_families() -> None:
    with pytest.raises(ConfigError, match="hold out fewer"):
        make_fold(FAMILIES, 5, 2, 3, 0)


# Learning curves: paired ratios, and what a label of one strategy is worth in another's.


def outcome(strategy: str, count: int, repeat: int, force: float, **changes: object) -> RunOutcome:
    run = ModelRun(
        "d",
        "s",
        strategy,
        bool(changes.get("charge", True)),
        count,
        repeat,
        int(changes.get("member", 0)),
    )  # type: ignore[arg-type]
    error = SetError(None, 9, 3.0, 2.0, force)
    return RunOutcome(run, "0", 100, count, 5, (error,), None, error, 10, "step limit", 60.0, "cpu", ())


def point(labels: int, mean: float) -> CurvePoint:
    return CurvePoint(labels, 1, mean, None, None, None, 1.0)


def test_power_law_is_interpolated_exactly() -> None:
    """An error of 100 n^-1/2 is reached at n = (100 / error)^2, whatever the points."""
    base = [point(n, 100 / math.sqrt(n)) for n in (10, 30, 100)]
    for labels in (11, 25, 31, 99):
        assert labels_for(base, 100 / math.sqrt(labels)) == pytest.approx(labels)


def test_nothing_is_extrapolated() -> None:
    base = [point(10, 40.0), point(100, 20.0)]
    assert labels_for(base, 45.0) is None
    assert labels_for(base, 19.0) is None
    assert labels_for([], 30.0) is None


def test_ratios_are_paired_by_repetition() -> None:
    """Repetitions differ threefold in difficulty; the strategy is always a fifth better."""
    data = [outcome("high_only", 10, r, f) for r, f in enumerate((30.0, 60.0, 90.0))]
    data += [outcome("heads", 10, r, 0.8 * f) for r, f in enumerate((30.0, 60.0, 90.0))]
    curves = {(c.label, c.quantity, c.near): c for c in make_curves(data)}
    (found,) = curves["heads", "force_rmse_meV_A", False].points
    assert (found.repeats, found.mean) == (3, pytest.approx(48.0))
    assert found.deviation == pytest.approx(24.0)
    assert found.against_high_only == pytest.approx(0.8)
    assert found.ratio_deviation == pytest.approx(0.0, abs=1e-12)
    assert ("heads", "force_rmse_meV_A", True) not in curves


def test_members_and_ablations_stay_apart() -> None:
    data = [outcome("heads", 10, 0, 30.0), outcome("heads", 10, 0, 99.0, member=1)]
    data.append(outcome("heads", 10, 0, 50.0, charge=False))
    means = {c.label: c.points[0].mean for c in make_curves(data) if c.quantity == "force_rmse_meV_A"}
    assert means == {"heads": 30.0, "heads, no charge": 50.0}


# Descriptors of a model: invariant, aware of the charge, and blind once the charge is forced.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("descriptors") / "m"
    data = [
        LabelledFrame(frame, label_of(frame, depth), name)
        for frame in (frame_of("a", q, seed) for q in (0, 1) for seed in range(6))
        for name, depth in (("low", 0.3), ("high", 0.36))
    ]
    settings = TrainingSettings(
        committee=2,
        channels=6,
        r_max_A=4.2,
        steps=30,
        batch_size=6,
        learning_rate=0.01,
        ema_decay=0.9,
        validate_every=10,
        patience=9,
    )
    train_member(data, data[:4], ("low", "high"), settings, 1, 0, path)
    return path


def test_descriptors_do_not_turn_with_the_structure(model: Path) -> None:
    frame = frame_of("b", 0, 1)
    turn = Rotation.random(random_state=3).as_matrix()
    order = np.random.default_rng(0).permutation(len(frame))
    turned = Frame(
        frame.numbers[order],
        (frame.positions_A @ turn.T)[order],
        frame.cell_A @ turn.T,
        frame.key,
        1,
        frame.origin,
        frame.family,
    )
    one, other = describe(load_network(model), [frame, turned], None)
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert one.shape == (12,)
    assert np.abs(one - describe(load_network(model), [frame_of("b", 0, 2)], None)[0]).max() > 1e-3


def test_with_the_charge_forced_the_same_geometry_is_the_same(model: Path) -> None:
    frame = frame_of("c", 0, 1)
    charged = frame.recharged(1, origin=frame.origin)
    network = load_network(model)
    free = describe(network, [frame, charged], None)
    assert np.abs(free[0] - free[1]).max() > 1e-3
    forced = describe(network, [frame, charged], 0)
    np.testing.assert_allclose(forced[0], forced[1], atol=1e-12)


def test_the_control_has_no_separation(model: Path, tmp_path: Path) -> None:
    frames = [frame_of("d", 0, seed) for seed in range(8)]
    frames += [frame.recharged(1, origin=frame.origin) for frame in frames]
    seen, forced = draw_projection(tmp_path / "pca", model, frames)
    assert seen.silhouette > forced.silhouette + 0.2
    assert forced.silhouette < 0.05
    assert (tmp_path / "pca.png").stat().st_size > 5000
    with pytest.raises(ModelError, match="several charge states"):
        project(load_network(model), frames[:3])


# Outcomes that are stored are known again: hours of training hang on their digests.


OURS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModelBenchmark]:
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    yield load_benchmark(OURS / "config/model.yaml")
    patch.undo()


def digest_of(benchmark: ModelBenchmark, run: ModelRun, settings: TrainingSettings | None = None) -> str:
    data = run_data(benchmark, run)
    seed = derive_seed(benchmark.seed, "arm", run.repeat)
    return run_digest(run, settings or training_of(benchmark, run), data.train, data.valid, seed)


@pytest.mark.parametrize(
    "name",
    [
        "dft-converged-heads-64-0-1",
        "dft-converged-heads_no_charge-16-2-0",
        "dft-equal_steps-pretrain_finetune-32-1-0",
        "dft_structures-long-high_only-64-0-0",
        "xtb-converged-delta-200-1-0",
        "xtb-converged-fidelity_embedding-12-0-0",
    ],
)
def test_runs_trained_long_ago_are_known(benchmark: ModelBenchmark, name: str) -> None:
    (run,) = [run for run in runs_of(benchmark) if run.name == name]
    assert digest_of(benchmark, run) == read_outcomes(OURS / "model")[name].digest


def test_every_run_of_the_benchmark_has_its_outcome(benchmark: ModelBenchmark) -> None:
    outcomes = read_outcomes(OURS / "model")
    runs = runs_of(benchmark)
    assert [outcomes[run.name].run for run in runs] == list(runs)
    assert len(outcomes) == len(runs) == 234
    assert len({outcome.digest for outcome in outcomes.values()}) == 234


def test_a_setting_that_came_later_counts_where_it_is_not_its_default(
    benchmark: ModelBenchmark,
) -> None:
    class Later(TrainingSettings):
        colour: str = Field("red", description="A setting of a later version.")

    run = runs_of(benchmark)[0]
    content = training_of(benchmark, run).model_dump()
    before = digest_of(benchmark, run)
    assert digest_of(benchmark, run, Later(**content)) == before
    assert digest_of(benchmark, run, Later(**content, colour="blue")) != before
    assert digest_of(benchmark, run, TrainingSettings(**content | {"learning_rate": 0.1})) != before


def test_the_committed_curves_are_those_of_the_committed_outcomes(benchmark: ModelBenchmark, tmp_path: Path) -> None:
    committed, known = read_json(OURS / "model.json"), read_outcomes(OURS / "model")
    outcomes = [known[run.name] for run in runs_of(benchmark)]
    # The models are not here: what they showed is known.
    models = Models(tmp_path, OURS / "model", {o.run.name: o.digest for o in outcomes})
    assert encode(committee_scales(benchmark, models)) == committed["calibration"]
    assert encode(separations(benchmark, models, tmp_path)) == committed["separations"]
    for mine, theirs in zip(encode(make_curves(outcomes)), committed["curves"], strict=True):
        assert mine["label"] == theirs["label"]
        for point, known_point in zip(mine["points"], theirs["points"], strict=True):
            assert point == pytest.approx(known_point)


def test_a_row_takes_the_place_of_its_own_and_of_no_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.xz"

    def put(number: int, value: str) -> None:
        put_row(path, {"number": number, "value": value}, lambda row: row["number"])

    assert read_rows(path) == []
    # Written at the same time, none is lost.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: put(number, "first"), range(12)))
    assert sorted(row["number"] for row in read_rows(path)) == list(range(12))
    put(5, "second")
    rows = {row["number"]: row["value"] for row in read_rows(path)}
    assert rows == {number: "second" if number == 5 else "first" for number in range(12)}
