"""Engines as the check sees them: their Pythons start, and one that knows no charge is named."""

from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import DefectscapeError
from defectscape.study.context import StudyContext
from defectscape.tools.check import Plan, make_plan
from support.small_study import small_study, write_study


def lennard_jones(**changes: object) -> dict[str, Any]:
    engine = {"kind": "ase", "calculator": "ase.calculators.lj.LennardJones", "method": "Lennard-Jones"}
    return engine | {"charge": "none", "charge_blind": True, "multiplicity": "none"} | changes


def plan_with(engine: dict[str, Any], folder: Path) -> Plan:
    study = small_study()
    study["fidelities"]["low"]["engine"] = engine
    return make_plan(StudyContext.load(write_study(study, folder), folder / "results"))


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("nowhere/python", "nowhere/python: there is no such file. Give the path"),
        ("/bin/true", "engine.python /bin/true: is no Python interpreter"),
    ],
)
def test_an_engine_s_python_is_started(tmp_path: Path, python: str, words: str) -> None:
    with pytest.raises(DefectscapeError) as caught:
        plan_with(lennard_jones(python=python), tmp_path)
    assert words in str(caught.value)


def test_an_engine_that_knows_no_charge_is_named(tmp_path: Path) -> None:
    warnings = plan_with(lennard_jones(), tmp_path).warnings
    name = small_study()["fidelities"]["low"]["name"]
    assert [line for line in warnings if f"The {name} engine knows no charge" in line]
    with pytest.raises(DefectscapeError, match="charge_blind: true"):
        plan_with(lennard_jones(charge_blind=False), tmp_path)
