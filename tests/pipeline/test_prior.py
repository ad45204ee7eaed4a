"""The small study over a prior that is its low fidelity, by the real workflow: the model learns the rest alone."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.io import read

from defectscape.cli.stages import call_stage
from defectscape.domain.errors import ModelError
from defectscape.model.committee import Committee
from defectscape.model.saving import load_network
from defectscape.study.calculator import DefectCalculator
from defectscape.study.context import StudyContext
from defectscape.study.labels import round_outcomes
from support.small_study import jobs_of, small_study, write_study
from support.workflow import snakemake

pytestmark = pytest.mark.pipeline


def study_over_low() -> dict[str, Any]:
    study = small_study()
    study["prior"] = {"engine": dict(study["fidelities"]["low"]["engine"])}
    for training in (study["training"], study["exploration"]["training"]):
        training["strategy"] = "high_only"
    return study


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """The finished study; the tests' working directory is its folder."""
    folder = tmp_path_factory.mktemp("prior")
    config = write_study(study_over_low(), folder)
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr[-4000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield StudyContext.load(config, folder / "results")


@pytest.fixture(autouse=True)
def _in_its_folder(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other study of these tests may have been made since, in a folder of its own."""
    monkeypatch.chdir(context.layout.folder.parents[1])


def planned(study: dict[str, Any]) -> Counter[str]:
    write_study(study, Path.cwd())
    done = snakemake(Path.cwd(), "--dry-run")
    write_study(study_over_low(), Path.cwd())
    assert done.returncode == 0, done.stderr + done.stdout
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return Counter({rule: int(count) for rule, count in found if rule not in ("total", "all")})


def test_card_summary_and_page_name_the_prior(context: StudyContext) -> None:
    assert context.prior is not None
    card = load_network(context.layout.final.model(0)).card
    assert card.prior == context.prior.name
    assert json.loads(card.prior)[0]["engine"] == "tblite/GFN1-xTB"
    summary = json.loads(context.layout.summary.read_text())
    found = summary["prior"]
    assert found["text"] == "GFN1-xTB (tblite) in the charge of each state"
    assert found["failed"] == 0
    assert found["frames"] > 20
    assert "prior:" in summary["provenance"]["config"]
    for text in (context.layout.model_card.read_text(), (context.layout.folder / "report.html").read_text()):
        assert "GFN1-xTB (tblite) in the charge of each state" in text
        assert "gives that part alone" in text
        assert "DefectCalculator.of_study(" in text


def test_its_labels_and_their_cost_are_kept_apart(context: StudyContext) -> None:
    assert context.prior is not None
    assert context.prior.store.root != context.store.root
    records = {record.key: record for record in context.prior.store.records()}
    assert {record.engine for record in records.values()} == {"tblite/GFN1-xTB"}
    summary = json.loads(context.layout.summary.read_text())
    (row,) = [row for row in summary["cost"] if row["fidelity"] == "the prior"]
    calls = context.prior.store.calls()
    assert row["labels"] == len(records) == len(calls)
    assert row["core_s"] > 0
    assert row["core_s"] == pytest.approx(sum(call.core_s for call in calls))


def test_labels_are_those_of_the_study_without_it(context: StudyContext, finished: StudyContext) -> None:
    for fidelity in ("low", "high"):
        with_it, without = (
            {outcome.key for outcome in round_outcomes(c, "v_Cd", 0, fidelity)} for c in (context, finished)
        )
        assert with_it == without


def test_cores_for_the_prior_run_nothing(context: StudyContext) -> None:
    study = study_over_low()
    study["prior"]["processes"] = 2
    assert not planned(study)


def test_without_it_everything_is_trained_again_and_nothing_is_labelled_again(
    context: StudyContext, tmp_path: Path
) -> None:
    study = study_over_low()
    del study["prior"]
    rules = planned(study)
    assert (rules["train"], rules["train_final"]) == (4, 2)
    assert not {"host", "host_labels", "references", "starts"} & set(rules)
    before = len(context.store.calls())
    study["label_store"] = str(Path("labels").resolve())
    config = write_study(study, tmp_path)
    other = StudyContext.load(config, Path("results"))
    for job in jobs_of(config, Path("results")):
        if job.rule == "label" and job.arguments[1] == "0":
            call_stage(other, job.rule, job.arguments)
    assert len(context.store.calls()) == before


def test_a_calculator_in_one_line_puts_the_prior_back(context: StudyContext) -> None:
    start = read(context.layout.group("v_Cd").starts, index=-1)
    paths = [context.layout.final.model(member) for member in range(2)]
    by_study = DefectCalculator.of_study("study.yaml", "results", charge=-1)
    by_files = DefectCalculator.of_files(paths, charge=-1)
    frame = by_study._frame(start)
    assert context.prior is not None
    learned = Committee.load(paths, prior=context.prior).alone().evaluate(frame, "ipea1")
    (prior,) = context.prior.evaluate_many([frame])
    for calculator in (by_study, by_files):
        atoms = start.copy()
        atoms.info.pop("total_charge", None)
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(learned.energy_eV + prior.energy_eV, abs=1e-6)
        assert atoms.get_forces() == pytest.approx(learned.forces_eV_A + prior.forces_eV_A, abs=1e-6)
    assert abs(prior.energy_eV) > 100
    with pytest.raises(ModelError, match="charge"):
        DefectCalculator.of_files(paths, charge=3)
