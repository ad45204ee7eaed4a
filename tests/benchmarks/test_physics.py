"""What summaries say of curves and levels, gathered."""

import json
from pathlib import Path

import pytest

from benchmarks.physics import gather_physics
from defectscape.domain.errors import ConfigError
from defectscape.summary.schema import LevelTestRow, PathPoint
from support.summary_builder import make_summary


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
