"""Where the jobs' time went: what the engine did not take is the pipeline's own."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.store.labels import label_key
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.summary.times import Job, overhead, read_jobs, rule_times, share_out
from support.small_study import small_study, write_study

END_S = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def context(tmp_path: Path) -> StudyContext:
    study = small_study()
    study["label_store"] = str(tmp_path / "labels")
    return StudyContext.load(write_study(study, tmp_path), tmp_path / "results")


def finish(context: StudyContext, rule: str, name: str, wall_s: float, end_s: float) -> None:
    path = context.layout.benchmarks / rule / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + f"{wall_s}\t-\t1\t1\t1\t1\t0\t0\t0\t{wall_s / 2}\n")
    os.utime(path, (end_s, end_s))


def put(context: StudyContext, number: int, wall_s: float, end_s: float, defect: str) -> None:
    frame = Frame(
        [48, 52],
        [[0, 0, 0], [2.0 + 0.1 * number, 0, 0]],
        np.eye(3) * 8,
        DefectKey(defect, 0),
        1,
        Origin.RATTLE,
        "f",
    )
    label = Label(-1.0, np.zeros((2, 3)))
    stamp = datetime.fromtimestamp(end_s, UTC).isoformat(timespec="milliseconds")
    context.store.put(
        LabelRecord(
            label_key(frame, "e", "{}"),
            frame,
            "e",
            "{}",
            "1",
            label,
            None,
            (),
            0,
            wall_s,
            wall_s,
            "n",
            stamp,
        )
    )


def test_labels_of_the_jobs_are_the_engines_and_others_are_not(context: StudyContext) -> None:
    finish(context, "label_low", "0", 100.0, END_S)
    finish(context, "train", "0", 50.0, END_S + 60)
    finish(context, "search", "0", 30.0, END_S + 100)
    finish(context, "select", "0", 5.0, END_S + 110)
    put(context, 1, 60.0, END_S - 30, "v_Cd")
    put(context, 2, 29.0, END_S - 1, "v_Cd")
    put(context, 3, 500.0, END_S - 5000, "v_Cd")  # of an earlier run: from the store
    put(context, 4, 40.0, END_S - 20, "v_Te")  # of another study
    found = overhead(context, read_jobs(context))
    assert found is not None
    assert (found.engine_s, found.labels) == (pytest.approx(89.0), 2)
    assert (found.training_s, found.relaxation_s) == (50.0, 30.0)
    assert found.other_s == pytest.approx(16.0)
    assert found.share_percent == pytest.approx(100 * 16 / 185)
    assert found.share_of_minutes_percent == pytest.approx(100 * 16 / (16 + 50 + 30 + 120))


def test_rules_are_summed_and_named_by_what_they_are_for(context: StudyContext) -> None:
    finish(context, "label_high", "0", 10.0, END_S)
    finish(context, "label_high", "1", 14.0, END_S)
    finish(context, "report", "all", 3.0, END_S)
    rows = rule_times(read_jobs(context))
    assert [(row.rule, row.kind, row.jobs, row.wall_s) for row in rows] == [
        ("label_high", "engine", 2, 24.0),
        ("report", "other", 1, 3.0),
    ]


def test_without_benchmark_files_nothing_is_claimed(context: StudyContext) -> None:
    assert read_jobs(context) == ()
    assert overhead(context, ()) is None


def test_the_engine_takes_no_more_than_its_jobs() -> None:
    found = share_out([Job("label_low", END_S, 10.0, 5.0)], 50.0, 1)
    assert found is not None
    assert (found.engine_s, found.other_s) == (10.0, 0.0)
