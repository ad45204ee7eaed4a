"""Convergence is measured against the last value, on labels that stay in the store."""

from pathlib import Path

import pytest

from defectscape.domain.errors import ConfigError
from defectscape.study.context import StudyContext
from defectscape.tools.convergence import converge
from support.small_study import small_study, write_study


@pytest.fixture
def context(tmp_path: Path) -> StudyContext:
    study = small_study()
    study["label_store"] = str(tmp_path / "labels")
    return StudyContext.load(write_study(study, tmp_path), tmp_path / "results")


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
