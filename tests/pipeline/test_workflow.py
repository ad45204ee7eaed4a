"""The real workflow, as users call it: a study to its report, nothing to do the second time, what
each change of the config runs again, and a run that is killed while it labels."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from defectscape.settings.ccd import CcdSettings
from defectscape.settings.search import SearchSettings
from support import ROOT
from support.small_study import Job, jobs_of, small_study, write_study
from support.workflow import BIN, ENVIRONMENT, snakemake

pytestmark = pytest.mark.pipeline


def rules_to_run(folder: Path, study: dict[str, Any]) -> Counter[str]:
    """What a dry run would do after a change of the config."""
    write_study(study, folder)
    done = snakemake(folder, "--dry-run")
    write_study(small_study(), folder)
    assert done.returncode == 0, done.stderr + done.stdout
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return Counter({rule: int(count) for rule, count in found if rule != "total"})


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study killed while it labels, started again, and finished by the workflow."""
    folder = tmp_path_factory.mktemp("workflow")
    write_study(small_study(), folder)
    running = subprocess.Popen(
        [BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2", "--config", "study=study.yaml"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    # The host and the elements are five labels; beyond them, labelling of frames has begun.
    while len(list(folder.glob("labels/records/*/*.json"))) < 8:
        assert time.monotonic() < deadline, "no label in four minutes"
        assert running.poll() is None, "the workflow ended before it was killed"
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    (folder / "killed").write_text(str(len(list(folder.glob("labels/records/*/*.json")))))
    unlocked = snakemake(folder, "--unlock")
    assert unlocked.returncode == 0, unlocked.stderr
    finished = snakemake(folder)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return folder


def test_the_kill_lost_no_finished_label(study_folder: Path) -> None:
    assert int((study_folder / "killed").read_text()) < len(list(study_folder.glob("labels/records/*/*.json")))
    calls = [
        json.loads(line)
        for path in study_folder.glob("labels/journal/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    computed = Counter(call["key"] for call in calls if call["status"] == "ok")
    assert set(computed.values()) == {1}, "a finished label was computed again"


def test_the_outputs_are_there(study_folder: Path) -> None:
    results = study_folder / "results/small"
    summary = json.loads((results / "summary.json").read_text())
    assert [row["key"] for row in summary["defects"]] == ["v_Cd_0", "v_Cd_-1"]
    for row in summary["defects"]:
        assert row["verified"]
        assert (results / row["geometry_file"]).is_file()
        assert len(row["minima"]) == row["distinct_minima"]
    page = (results / "report.html").read_text()
    assert "v_Cd" in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', page)
    for name in ("minima.extxyz", "thermo/thermodynamics.json", *summary["model_files"]):
        assert (results / name).stat().st_size > 0
    assert {row["fidelity"] for row in summary["errors"]} == {"gfn1", "ipea1"}
    assert sum(row["labels"] for row in summary["cost"]) > 30


def test_the_final_model_loads_in_a_plain_calculator(study_folder: Path) -> None:
    from ase.io import read
    from mace.calculators import MACECalculator

    results = study_folder / "results/small"
    atoms = read(results / "groups/v_Cd/starts.extxyz", index=-1)
    energies = []
    for charge in (0, -1):
        atoms.calc = MACECalculator(
            model_paths=str(results / "final/model_0.model"),
            device="cpu",
            head="ipea1",
            info_keys={"total_charge": "total_charge"},
        )
        atoms.info["total_charge"] = charge
        energies.append(atoms.get_potential_energy())
    assert abs(energies[0] - energies[1]) > 0.1


def test_nothing_to_do_the_second_time(study_folder: Path) -> None:
    again = snakemake(study_folder)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


FINAL = {"train_final", "evaluate", "thermo", "ccd", "ccd_check", "summary", "handover", "report"}


def test_a_default_written_out_runs_nothing(study_folder: Path) -> None:
    study = small_study()
    study["search"]["max_force_std_eV_A"] = SearchSettings.model_fields["max_force_std_eV_A"].default
    study["ccd"]["extend"] = CcdSettings.model_fields["extend"].default
    assert not rules_to_run(study_folder, study)


def test_final_training_runs_only_what_follows_it(study_folder: Path) -> None:
    study = small_study()
    study["training"]["steps"] = 80
    assert set(rules_to_run(study_folder, study)) - {"all"} == FINAL


def test_final_search_runs_no_exploration(study_folder: Path) -> None:
    study = small_study()
    study["search"]["fmax_eV_A"] = 0.2
    rules = set(rules_to_run(study_folder, study)) - {"all"}
    assert rules == FINAL | {"search_final", "minima", "verify", "dataset_final"}


def subjects(folder: Path, study: dict[str, Any]) -> set[str]:
    """Groups and keys that the messages of a dry run name."""
    write_study(study, folder)
    done = snakemake(folder, "--dry-run")
    write_study(small_study(), folder)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^Job \d+: (\S+): ", done.stdout + done.stderr, flags=re.MULTILINE))


@pytest.mark.parametrize("learns", ["none", "labels", "weights"])
def test_a_new_defect_runs_nothing_of_the_others(study_folder: Path, learns: str) -> None:
    study = small_study()
    study["defects"].append({"name": "v_Te", "charges": ["0"], "learns": learns})
    assert subjects(study_folder, study) == {"v_Te", "v_Te_0"}


def test_an_added_charge_runs_nothing_of_the_others(study_folder: Path) -> None:
    study = small_study()
    study["defects"][0]["added_charges"] = ["-2"]
    assert subjects(study_folder, study) == {"v_Cd.-2", "v_Cd_-2"}


def test_a_defect_that_learned_runs_nothing_when_another_or_a_charge_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study()
    study["defects"].append({"name": "v_Te", "charges": ["0"], "learns": "weights"})
    before = {(job.rule, *job.arguments): job for job in jobs_of(write_study(study, Path()), Path("results"))}
    study["defects"][0]["added_charges"] = ["-2"]
    study["defects"].append({"name": "Te_Cd", "charges": ["0"], "learns": "weights"})
    after = {(job.rule, *job.arguments): job for job in jobs_of(write_study(study, Path()), Path("results"))}
    explored = {given: job for given, job in before.items() if given[1:2] in (("v_Cd",), ("v_Te",))}
    assert {job.rule for job in explored.values()} >= {"starts", "label", "dataset", "train", "search", "verify"}
    assert {given: after[given] for given in explored} == explored
    waits = {path for path in after["train", "v_Te", "0", "1"].inputs if "/v_Cd/" in path}
    assert any(path.endswith("round_1/model_1.weights") for path in waits)
    assert sum("/verified/" in path for path in waits) == 2
    assert not any("/v_Cd/" in path for path in after["train", "v_Te", "1", "1"].inputs if path.endswith(".weights"))


def test_relaxed_minima_are_jobs_of_each_charge_and_round(study_folder: Path) -> None:
    study = small_study()
    study["selection"] |= {"low_per_charge_per_round": 4, "low_relaxed_minima": 1}
    study["exploration"]["rounds"] = 2
    rules = rules_to_run(study_folder, study)
    assert rules["relax_minima"] == 4
    assert rules["train"] == 4
    assert "relax_starts" not in rules
    assert rules["label"] == 4, "two rounds at two levels"


def test_a_deleted_report_is_made_again_alone(study_folder: Path) -> None:
    report = study_folder / "results/small/report.html"
    report.unlink()
    assert set(rules_to_run(study_folder, small_study())) - {"all"} == {"report"}


CHANGES: tuple[tuple[str, object, set[str]], ...] = (
    (
        "prior",
        {"engine": {"kind": "tblite", "method": "IPEA1-xTB", "electronic_temperature_K": 1500.0}},
        {
            *("label", "dataset", "train", "search", "select_round", "search_final", "verify"),
            *("dataset_final", "train_final", "evaluate", "thermo", "ccd"),
        },
    ),
    ("seed", 7, {"starts", "train", "search", "search_final", "train_final", "evaluate"}),
    ("host.supercell.min_image_distance_A", 5.9, {"host"}),
    ("fidelities.low.max_energy_jump_eV", 3.0, {"dataset"}),
    ("fidelities.high.max_energy_jump_eV", 3.0, {"dataset"}),
    ("fidelities.low.max_force_eV_A", 25.0, {"host_labels", "label", "dataset", "select_round"}),
    ("sampling.start_rattle_A", 0.12, {"starts"}),
    ("sampling.shortest_distance_A", 1.9, {"starts", "select_round"}),
    ("selection.initial_per_charge", 5, {"select", "select_round"}),
    ("selection.per_charge_per_round", 3, {"select_round"}),
    ("selection.recharged_per_charge_per_round", 1, {"select_round"}),
    ("exploration.training.steps", 50, {"train"}),
    ("exploration.search.max_steps", 61, {"search"}),
    ("exploration.minima.merge_rmsd_A", 0.06, {"search", "select_round"}),
    ("exploration.settled_eV", 0.05, {"train", "search", "select_round"}),
    ("search.fmax_eV_A", 0.2, {"search_final", "verify", "thermo"}),
    ("search.until_nothing_new", {"at_most": 20}, {"search_final"}),
    ("minima.window_eV", 0.7, {"search_final", "minima"}),
    ("verification.relax_steps", 2, {"verify"}),
    ("training.steps", 80, {"train_final"}),
    ("thermo.correction", {"kind": "none"}, {"thermo"}),
    ("ccd.points", 7, {"ccd"}),
    ("ccd.engine_points", 3, {"ccd_check"}),
)
"""A change of a setting, and the stages that read it; the summary, which holds the study, reads every one."""


def with_change(setting: str, value: object) -> dict[str, Any]:
    """The small study with one setting changed."""
    study = small_study()
    *blocks, name = setting.split(".")
    block = study
    for part in blocks:
        block = block.setdefault(part, {})
    block[name] = value
    return study


def followers(folder: Path, stages: set[str]) -> set[str]:
    """The stages and all that use what they write, by the files that the rules declare."""
    jobs = jobs_of(folder / "study.yaml", Path("results"))
    found, made = set(stages), {path for job in jobs if job.rule in stages for path in job.outputs}
    for job in jobs:
        if made & set(job.inputs):
            found.add(job.rule)
            made |= set(job.outputs)
    return found


@pytest.mark.parametrize(("setting", "value", "stages"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_setting_runs_the_stages_that_read_it_and_what_follows(
    study_folder: Path,
    setting: str,
    value: object,
    stages: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(study_folder)
    expected = followers(study_folder, stages | {"summary"})
    assert set(rules_to_run(study_folder, with_change(setting, value))) - {"all"} == expected


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """The jobs of a study with all kinds of labels."""
    folder = tmp_path_factory.mktemp("order")
    study = small_study()
    study["host"]["stability"] = {}
    study["sampling"] |= {"relaxed_starts": 1}
    study["selection"] |= {"low_per_charge_per_round": 2, "low_relaxed_minima": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return jobs_of(write_study(study, folder), Path("results"))


def comes_after(job: Job, rule: str, jobs: list[Job]) -> bool:
    """Whether a job waits for one of a rule."""
    before = [other for other in jobs if set(other.outputs) & set(job.inputs)]
    return any(other.rule == rule or comes_after(other, rule, jobs) for other in before)


def test_no_defect_is_labelled_before_the_host(jobs: list[Job]) -> None:
    labelling = [job for job in jobs if job.rule in {"label", "relax_starts", "relax_minima", "verify", "ccd_check"}]
    assert len({job.rule for job in labelling}) == 5
    assert all(comes_after(job, "host_labels", jobs) for job in labelling)


def test_no_defect_has_an_expensive_label_before_the_host_is_tested(jobs: list[Job]) -> None:
    labelling = [job for job in jobs if job.rule in {"label", "relax_minima", "verify", "ccd_check"}]
    early = [job for job in labelling if not comes_after(job, "host_stability", jobs)]
    assert early
    assert all(job.rule == "label" and job.arguments[1:3] == ("0", "low") for job in early), "the pool's alone"
