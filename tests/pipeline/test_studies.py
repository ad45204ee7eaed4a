"""Small studies through the whole workflow: with real DFT, and over a prior."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase.io import read

from defectscape.cli.stages import call_stage
from defectscape.domain.errors import EngineError, ModelError
from defectscape.engines.gth import find_table
from defectscape.files.tables import load_host_file
from defectscape.model.committee import Committee
from defectscape.model.saving import load_network
from defectscape.store.labels import LabelStore
from defectscape.study.calculator import DefectCalculator
from defectscape.study.context import StudyContext
from defectscape.study.labels import round_outcomes
from defectscape.study.potentials import read_potentials
from defectscape.summary.schema import Summary
from defectscape.thermo.ewald import point_charge_energy_eV
from support import ROOT
from support.small_study import jobs_of, small_study, write_study
from support.workflow import BIN, ENVIRONMENT, snakemake

# The small live study with real PBE and HSE06 by pw.x, through the whole workflow as a user calls it.


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study."""
    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not installed")
    try:
        find_table()
    except EngineError:
        pytest.skip("no table of GTH pseudopotentials is installed")
    folder = tmp_path_factory.mktemp("dft")
    study = yaml.safe_load((ROOT / "config/examples/si_dft.yaml").read_text())
    for block in (study["host"], study["thermo"]["elemental_references"]):
        for name in ("file", "Si"):
            if name in block:
                block[name] = str(ROOT / block[name])
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    run(folder, BIN / "defectscape", "pseudos", "gth", "Si")
    run(folder, BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2", "--config", "study=study.yaml")
    return folder


@pytest.fixture(scope="module")
def summary(folder: Path) -> Summary:
    text = (folder / "results/si_dft/summary.json").read_text()
    return Summary.model_validate_json(text)


@pytest.mark.dft
def test_the_levels_are_what_their_names_say(summary: Summary) -> None:
    assert (summary.low.method, summary.high.method) == ("PBE", "HSE06")
    assert summary.high.engine_versions[0].startswith("pw.x ")
    assert json.loads(summary.high.settings)["exx_fraction"] == 0.25
    assert "exx_fraction" not in summary.low.settings


@pytest.mark.dft
def test_every_label_of_the_study_is_in_the_store_with_its_cost(folder: Path, summary: Summary) -> None:
    records = [r for r in LabelStore(folder / "labels/si_dft").records() if r.label is not None]
    engines = {record.engine for record in records}
    assert engines == {"espresso/PBE", "espresso/HSE06"}
    assert all(record.core_s > 0.1 for record in records)
    ledger = sum(row.labels for row in summary.cost)
    assert ledger >= len(records) > 30
    odd = [r for r in records if r.frame.charge == -1]
    assert odd
    assert all(r.label.absolute_magnetisation > 0.9 for r in odd)


@pytest.mark.dft
def test_relaxation_frames_of_the_low_level_join_the_data(folder: Path) -> None:
    for key in ("v_Si_0", "v_Si_-1"):
        relaxed = folder / f"results/si_dft/groups/v_Si/relaxed/{key}.extxyz"
        data = (folder / "results/si_dft/final/data_low.extxyz").read_text()
        ids = [
            word for line in relaxed.read_text().splitlines() for word in line.split() if word.startswith("frame_id=")
        ]
        assert ids
        assert all(word in data for word in ids)


@pytest.mark.dft
def test_ground_states_are_verified_and_hse06_opens_the_gap(folder: Path, summary: Summary) -> None:
    assert {row.key for row in summary.defects} == {"v_Si_0", "v_Si_-1"}
    assert all(row.verified for row in summary.defects)
    table = json.loads((folder / "results/si_dft/host/references.json").read_text())
    gaps = {name: table[name]["cbm_eV"] - table[name]["vbm_eV"] for name in ("bulk_low", "bulk_high")}
    assert gaps["bulk_high"] > gaps["bulk_low"] + 0.3 > 0.3
    assert summary.host.gap_eV == pytest.approx(gaps["bulk_high"])


@pytest.mark.dft
def test_what_separates_the_levels_is_reported_for_each_charge(summary: Summary) -> None:
    assert {gap.key for gap in summary.level_gaps} == {"v_Si_0", "v_Si_-1"}
    for gap in summary.level_gaps:
        assert gap.frames >= 5
        assert abs(gap.shift_eV) > 1.0
        assert 0.0 < gap.spread_meV_atom < abs(1e3 * gap.shift_eV)


@pytest.mark.dft
def test_potentials_align_the_charged_state(folder: Path, summary: Summary) -> None:
    rows = {row.key: row for row in summary.defects}
    assert rows["v_Si_-1"].correction_label.startswith("eFNV")
    assert rows["v_Si_0"].correction_eV == 0.0
    host = load_host_file(folder / "results/si_dft/host/host.json")
    point_eV = point_charge_energy_eV(host.cell_A, 11.7 * np.eye(3))
    alignment_eV = rows["v_Si_-1"].correction_eV - point_eV
    # Most of it is there without a charge, too: an atom that is missing shifts the zero of the potential, by
    # about a volt in so small a cell (how much depends on the minimum), and by more than the charge adds.
    charge_adds_V = 0.6
    context = StudyContext.load(folder / "study.yaml", folder / "results")
    potentials = {name: read_potentials(context, name).potentials_V for name in ("host", "v_Si_0")}
    shift_V = float(potentials["v_Si_0"].mean() - potentials["host"].mean())
    assert alignment_eV == pytest.approx(shift_V, abs=charge_adds_V)
    assert shift_V > charge_adds_V
    assert next(row for row in summary.cost if row.stage == "potentials").labels == 3


@pytest.mark.dft
def test_the_engine_checked_the_path(summary: Summary) -> None:
    (ccd,) = summary.ccd
    assert len(ccd.initial_checks) == len(ccd.final_checks) == 1
    assert ccd.engine_rms_eV is not None


@pytest.mark.dft
def test_a_second_run_does_nothing(folder: Path) -> None:
    said = run(
        folder, BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2", "--config", "study=study.yaml"
    )
    assert "Nothing to be done" in said


# The small study over a prior that is its low fidelity, by the real workflow: the model learns the rest alone.


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


@pytest.fixture
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


@pytest.mark.usefixtures("_in_its_folder")
@pytest.mark.pipeline
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


@pytest.mark.usefixtures("_in_its_folder")
@pytest.mark.pipeline
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


@pytest.mark.usefixtures("_in_its_folder")
@pytest.mark.pipeline
def test_labels_are_those_of_the_study_without_it(context: StudyContext, finished: StudyContext) -> None:
    for fidelity in ("low", "high"):
        with_it, without = (
            {outcome.key for outcome in round_outcomes(c, "v_Cd", 0, fidelity)} for c in (context, finished)
        )
        assert with_it == without


@pytest.mark.usefixtures("_in_its_folder")
@pytest.mark.pipeline
def test_cores_for_the_prior_run_nothing(context: StudyContext) -> None:
    study = study_over_low()
    study["prior"]["processes"] = 2
    assert not planned(study)


@pytest.mark.usefixtures("_in_its_folder")
@pytest.mark.pipeline
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


@pytest.mark.usefixtures("_in_its_folder")
@pytest.mark.pipeline
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
