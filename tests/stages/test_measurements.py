"""What is measured of a study: its times, the difference of its fidelities, convergence, checks of its model."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.files.tables import read_json
from defectscape.model.checks import CheckReport
from defectscape.store.labels import label_key
from defectscape.store.record import LabelRecord
from defectscape.study.committees import read_check_report, write_check_report
from defectscape.study.context import StudyContext
from defectscape.summary.cost import Job, overhead, read_jobs, rule_times, share_out
from defectscape.summary.fidelity_difference import fidelity_differences
from defectscape.tools.convergence import converge
from support.small_study import small_study, write_study

# Where the jobs' time went: what the engine did not take is the pipeline's own.


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


# What separates two levels: constants are free, spreads are not.


def labelled(number: int, charge: int, energy_eV: float, force: float, fidelity: str) -> LabelledFrame:
    frame = Frame(
        [14, 14],
        [[0, 0, 0], [2.0 + 0.1 * number, 0, 0]],
        np.eye(3) * 8,
        DefectKey("v_Si", charge),
        1,
        Origin.RATTLE,
        "f",
    )
    return LabelledFrame(frame, Label(energy_eV, np.full((2, 3), force)), fidelity)


def test_a_constant_is_no_spread() -> None:
    low = [labelled(n, 0, -10.0 - n, 0.1 * n, "pbe") for n in range(4)]
    high = [labelled(n, 0, -15.0 - n, 0.1 * n, "hse06") for n in range(4)]
    (gap,) = fidelity_differences(low, high)
    assert gap.frames == 4
    assert gap.shift_eV == pytest.approx(-5.0)
    assert gap.spread_meV_atom == pytest.approx(0.0, abs=1e-9)
    assert gap.low_spread_meV_atom == pytest.approx(1e3 * np.std([0, 1, 2, 3]) / 2)
    assert gap.force_rms_meV_A == pytest.approx(0.0, abs=1e-9)


def test_each_charge_is_counted_by_itself_and_only_frames_with_both_labels() -> None:
    low = [labelled(n, q, 0.0, 0.0, "pbe") for q in (1, 0) for n in range(3)]
    high = [labelled(n, q, 0.2 * n, 0.05, "hse06") for q in (0, 1) for n in range(2 + q)]
    positive, neutral = fidelity_differences(low, high)
    assert (positive.key, positive.frames) == ("v_Si_+1", 3)
    assert (neutral.key, neutral.frames) == ("v_Si_0", 2)
    assert neutral.spread_meV_atom == pytest.approx(1e3 * 0.1 / 2)
    assert neutral.force_rms_meV_A == pytest.approx(50.0)
    assert neutral.force_meV_A == pytest.approx(50.0)


# Convergence is measured against the last value, on labels that stay in the store.


def test_a_tighter_setting_is_nearer_to_the_last_one(context: StudyContext) -> None:
    rows = converge(context, "low", "electronic_temperature_K", [9000.0, 2000.0, 300.0])
    assert [row.value for row in rows] == [9000.0, 2000.0, 300.0]
    assert rows[0].force_rms_eV_A > rows[1].force_rms_eV_A > rows[2].force_rms_eV_A == 0.0
    assert all(row.force_max_eV_A >= row.force_rms_eV_A for row in rows)
    calls = len(context.store.calls())
    assert converge(context, "low", "electronic_temperature_K", [2000.0, 300.0])[1].energy_eV == (rows[2].energy_eV)
    assert len(context.store.calls()) == calls


def test_a_setting_that_is_no_number_of_the_engine_is_refused(context: StudyContext) -> None:
    for setting in ("method", "cutoff_Ry"):
        with pytest.raises(ConfigError, match="accuracy"):
            converge(context, "low", setting, [1.0, 2.0])


# What was measured on a committee before its first use is read as it was written, in earlier studies too.


REPORT = CheckReport(
    "2fb8a433e5c07372",
    (-1, 0),
    ("low", "high"),
    {"calculator": {(-1, "low"): -2.5, (0, "high"): 1 / 3}},
    0.1,
    0.2,
    0.3,
    None,
    1e-6,
)


def test_states_are_written_as_pairs_and_read_back(tmp_path: Path) -> None:
    write_check_report(tmp_path / "gates.json", REPORT)
    found = read_json(tmp_path / "gates.json")["energies_eV"]
    assert found == {"calculator": {"(-1, 'low')": -2.5, "(0, 'high')": 1 / 3}}
    back = read_check_report(tmp_path / "gates.json")
    assert back.energies_eV == REPORT.energies_eV
    assert list(asdict(back)["charges"]) == [-1, 0]
