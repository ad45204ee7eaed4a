"""Outcomes that are stored are known again: hours of training hang on their digests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import Field

from benchmarks.learning.committees import Models, committee_scales, separations
from benchmarks.learning.curves import make_curves
from benchmarks.learning.data import run_data
from benchmarks.learning.digest import run_digest
from benchmarks.learning.outcome import read_outcomes
from benchmarks.learning.packed import put_row, read_rows
from benchmarks.learning.runs import ModelRun, runs_of, training_of
from benchmarks.learning.settings import ModelBenchmark, load_benchmark
from defectscape.domain.seeds import derive_seed
from defectscape.files.codec import encode
from defectscape.files.tables import read_json
from defectscape.settings.training import TrainingSettings

ROOT = Path(__file__).parents[2]
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
