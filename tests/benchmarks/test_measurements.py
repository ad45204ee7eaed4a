"""Timings of relaxations, training and planning, and the physics of finished studies."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.physics import gather_physics
from benchmarks.timing.scale import measure_scale
from benchmarks.timing.speed import measure_speed
from benchmarks.timing.throughput import _rate, measure_throughput
from defectscape.domain.errors import ConfigError, ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.files.tables import read_json
from defectscape.model.training import train_member
from defectscape.settings.training import TrainingSettings
from defectscape.study.context import StudyContext
from defectscape.summary.schema import LevelTestRow, PathPoint
from support import ROOT
from support.morse import frame_of, label_of
from support.small_study import small_study, write_study
from support.summary_builder import make_summary

# Timings of relaxations: the same outcome whatever the batch, on sizes that were not trained on.


def test_together_and_one_by_one_come_to_the_same(tmp_path: Path) -> None:
    study = small_study()
    study["search"] |= {"fmax_eV_A": 0.2, "max_steps": 6}
    context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    data = [
        LabelledFrame(frame, label_of(frame, depth), name)
        for frame in (frame_of("a", q, seed) for q in (0, 1) for seed in range(4))
        for name, depth in (("gfn1", 0.3), ("ipea1", 0.36))
    ]
    for member in range(2):
        train_member(
            data,
            data[:4],
            context.fidelity_names,
            context.study.training,
            1,
            member,
            context.layout.final.model(member),
        )
    matrices = [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[2, 0, 0], [0, 1, 0], [0, 0, 1]]]
    target = tmp_path / "speed.json"
    rows = measure_speed(context, matrices, (3,), 3, target)
    assert [(row.atoms, row.batch_size) for row in rows] == [(7, 1), (7, 3), (15, 1), (15, 3)]
    for alone, together in zip(rows[::2], rows[1::2], strict=True):
        assert together.energy_spread_eV < 1e-2
        assert together.steps == pytest.approx(alone.steps, abs=3)
        assert together.per_minute > 0
    assert len(read_json(target)) == 4


# Our loop against mace's own command: both train the same network on the same frames.


def test_our_loop_is_not_slower_than_mace_s() -> None:
    frames = [frame_of("a", charge, seed) for charge in (0, 1) for seed in range(24)]
    data = [LabelledFrame(frame, label_of(frame, 0.3), "low") for frame in frames]
    settings = TrainingSettings(
        committee=2,
        channels=16,
        r_max_A=5.0,
        steps=1,
        batch_size=4,
        learning_rate=0.01,
        patience=9,
        dtype="float32",
    )
    # Twenty epochs of 44 small frames: six core-seconds and more beyond the imports, which vary by one.
    result = measure_throughput(data, settings, 1, (1, 21))
    assert result.frames == 44
    assert result.atoms == 7
    assert np.isfinite(result.ratio)
    # A half leaves room for a busy machine.
    assert result.ratio > 0.5
    assert result.mace[0] > 0


def test_a_difference_that_imports_hide_is_refused() -> None:
    taken = iter([7.0, 6.5])
    with pytest.raises(ModelError, match=r"4 epochs took 6\.5 core-s, 1 took 7\.0"):
        _rate(44, (1, 4), lambda _: next(taken))


# Scale: the store and the selection grow in proportion, and the planning of a study works.


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    target = tmp_path_factory.mktemp("scale") / "scale.json"
    found = measure_scale([100, 400, 1600], [400, 2000], target, ROOT / "Snakefile")
    assert json.loads(target.read_text())["timings"]
    return found


def test_no_operation_of_the_store_grows_faster_than_its_content(result) -> None:
    exponents = {row.what: row.exponent for row in result.growth}
    # A quadratic one would have 2; noise on a busy machine is some tenths.
    for what in ("write records", "list all records", "gather labels", "write and read a data set"):
        assert exponents[what] < 1.5, (what, exponents)
    assert exponents["look 1000 records up"] < 0.6
    assert exponents["open the store"] < 0.9


def test_a_study_is_planned_before_its_first_job(result) -> None:
    plans = [row for row in result.timings if row.what.startswith("plan")]
    assert [row.items for row in plans] == [400, 2000]
    assert all(row.memory_mb is not None and row.memory_mb > 50 for row in plans)


def test_a_null_label_says_what_it_is(tmp_path: Path) -> None:
    from benchmarks.timing.scale import NullEngine, null_frames
    from defectscape.engines.labelling import label_frame
    from defectscape.store.labels import LabelStore

    frames = null_frames(3)
    assert len({frame.geometry_hash for frame in frames}) == 3
    store = LabelStore(tmp_path)
    label_frame(frames[0], NullEngine(), store, 30.0)
    (record,) = store.records()
    assert record.engine == "null"


# What summaries say of curves and levels, gathered.


def test_errors_are_over_all_points_of_both_curves(tmp_path: Path) -> None:
    summary = make_summary()
    points = [PathPoint(Q_amu05_A=1.0, engine_eV=0.1, model_eV=value) for value in (0.103, 0.096)]
    first = summary.ccd[0].model_copy(update={"initial_checks": points[:1], "final_checks": points[1:]})
    tests = [
        LevelTestRow(defect="v_Cd", upper_charge=0, lower_charge=-1, model_error_eV=e, bar_eV=bar)
        for e, bar in ((0.03, 0.02), (-0.01, 0.02), (0.02, None))
    ]
    changed = summary.model_copy(update={"ccd": [first, summary.ccd[1]], "level_tests": tests})
    path = tmp_path / "summary.json"
    path.write_text(changed.model_dump_json())
    result = gather_physics([path], tmp_path / "out/physics.json")
    curve, without = result.curves
    assert (curve.points, without.points) == (2, 0)
    assert curve.rms_meV == pytest.approx((12.5) ** 0.5)
    assert curve.largest_meV == pytest.approx(4.0)
    assert without.rms_meV is None
    (levels,) = result.levels
    assert (levels.levels, levels.with_bar, levels.inside_bar) == (3, 2, 1)
    assert levels.largest_meV == pytest.approx(30.0)
    assert json.loads((tmp_path / "out/physics.json").read_text())["curves"][0]["points"] == 2


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"summary\.json"):
        gather_physics([path], tmp_path / "physics.json")
