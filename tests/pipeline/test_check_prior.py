"""What is wrong with a prior is said before anything is computed."""

from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import ConfigError, DefectscapeError, EngineError
from defectscape.settings.load import load_study
from defectscape.study.context import StudyContext
from defectscape.tools.check import Plan, make_plan
from support.small_study import small_study, write_study

IPEA1_HOT = {"kind": "tblite", "method": "IPEA1-xTB", "electronic_temperature_K": 1500.0}
BLIND = {
    "kind": "ase",
    "calculator": "ase.calculators.lj.LennardJones",
    "method": "springs",
    "arguments": {"sigma": 2.5, "epsilon": 0.01, "rc": 5.0},
    "charge": "info.charge",
    "multiplicity": "none",
}
STATED = {**BLIND, "charge": "none", "charge_blind": True}


def study_over(engine: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return small_study() | {"prior": {"engine": engine, **rest}}


def context_of(study: dict[str, Any], folder: Path) -> StudyContext:
    study["label_store"] = str(folder / "labels")
    return StudyContext.load(write_study(study, folder), folder / "results")


def plan_of(study: dict[str, Any], folder: Path) -> Plan:
    return make_plan(context_of(study, folder), measure=True)


def test_a_prior_labels_the_host_in_a_store_of_its_own(tmp_path: Path) -> None:
    context = context_of(study_over(IPEA1_HOT), tmp_path)
    assert make_plan(context, measure=True).warnings == make_plan(context).warnings
    assert context.prior is not None
    assert {record.frame.charge for record in context.prior.store.records()} == {0, -1}
    assert {record.engine for record in context.prior.store.records()} == {"tblite/IPEA1-xTB"}
    assert len(list(context.store.records())) == 2, "one at each fidelity"


def test_a_prior_that_does_not_know_the_charge_is_found_out(tmp_path: Path) -> None:
    (unsure,) = [text for text in make_plan(context_of(study_over(BLIND), tmp_path)).warnings if "prior" in text]
    assert "prior.engine is ase.calculators.lj.LennardJones" in unsure
    assert "check --measure" in unsure
    with pytest.raises(EngineError, match=r"gives charge \+0 and charge \+2 the same energy"):
        plan_of(study_over(BLIND), tmp_path)


def test_as_a_landscape_it_is_fine(tmp_path: Path) -> None:
    plan = plan_of(study_over(IPEA1_HOT, landscape=STATED), tmp_path)
    assert not [text for text in plan.warnings if "prior" in text]


def test_an_element_that_a_hamiltonian_lacks_is_refused_with_its_method(tmp_path: Path) -> None:
    study = study_over(IPEA1_HOT)
    study["defects"][0]["name"] = "U_Cd"
    with pytest.raises(ConfigError, match=r"^prior\.engine: IPEA1-xTB has no parameters for U\. Take another engine"):
        make_plan(context_of(study, tmp_path))


def test_a_prior_that_cannot_run_says_the_reason(tmp_path: Path) -> None:
    broken = {**STATED, "arguments": {"sigma": 0.0, "epsilon": 1e308, "rc": 5.0}}
    with pytest.raises(EngineError, match="prior of the perfect supercell: the prior failed"):
        plan_of(study_over(IPEA1_HOT, landscape=broken), tmp_path)


@pytest.mark.parametrize("block", ["training", "exploration.training"])
def test_a_prior_that_is_the_low_fidelity_leaves_nothing_for_its_head(tmp_path: Path, block: str) -> None:
    study = small_study()
    study["prior"] = {"engine": study["fidelities"]["low"]["engine"]}
    for training in (study["training"], study["exploration"]["training"]):
        training["strategy"] = "high_only"
    assert load_study(write_study(study, tmp_path)).prior is not None
    (study["training"] if block == "training" else study["exploration"]["training"])["strategy"] = "delta"
    with pytest.raises(DefectscapeError, match=rf"low fidelity gfn1.* are zero.*{block}\.strategy delta.*high_only"):
        load_study(write_study(study, tmp_path))


def test_a_prior_that_is_the_high_fidelity_is_refused(tmp_path: Path) -> None:
    study = small_study()
    study["prior"] = {"engine": study["fidelities"]["high"]["engine"]}
    with pytest.raises(DefectscapeError, match="high fidelity ipea1: the model would have nothing to learn"):
        load_study(write_study(study, tmp_path))


def test_a_prior_that_states_that_it_knows_no_charge_is_a_landscape(tmp_path: Path) -> None:
    with pytest.raises(DefectscapeError, match=r"prior\.engine knows no charge .* give it as prior\.landscape"):
        load_study(write_study(study_over(STATED), tmp_path))
    assert load_study(write_study(study_over(IPEA1_HOT, landscape=STATED), tmp_path)).prior is not None


@pytest.mark.parametrize("block", ["training", "exploration.training"])
def test_a_foundation_under_a_prior_would_count_twice(tmp_path: Path, block: str) -> None:
    study = study_over(IPEA1_HOT)
    (study["training"] if block == "training" else study["exploration"]["training"])["foundation"] = "mace.model"
    with pytest.raises(DefectscapeError, match=rf"{block}\.foundation starts from the whole energy surface"):
        load_study(write_study(study, tmp_path))
