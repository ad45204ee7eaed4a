"""A study small enough for tests: 8-atom CdTe, real tight-binding labels, tiny real models."""

import json
import os
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from defectscape.cli.stages import call_stage
from defectscape.domain.keys import DefectKey
from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.study.context import StudyContext
from support import ROOT

TRAINING: dict[str, Any] = {
    "committee": 2,
    "channels": 4,
    "max_L": 0,
    "r_max_A": 4.0,
    "charge_embedding_dim": 4,
    "steps": 40,
    "batch_size": 4,
    "learning_rate": 0.01,
    "validate_every": 20,
    "patience": 5,
}
SEARCH: dict[str, Any] = {"fmax_eV_A": 0.5, "max_steps": 60, "cross_seeds_per_charge": 1}


def small_study() -> dict[str, Any]:
    """Settings of the small study, to be changed at will."""
    study = deepcopy(DEFAULT_STUDY)
    del study["effort"]
    study["study"] = "small"
    study["label_store"] = "labels"
    study["label_jobs"] = 1
    study["host"]["file"] = str(ROOT / "config/hosts/CdTe.vasp")
    study["host"]["supercell"] = {
        "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "min_image_distance_A": 6.0,
    }
    # The cheap level leads a cell this small far down, where the other one has it far up: own tests ask for it.
    del study["host"]["stability"]
    study["defects"] = [{"name": "v_Cd", "charges": ["0", "-1"]}]
    study["sampling"] = {
        "shortest_distance_A": 2.2,
        "test_fraction": 0.1,
        "valid_fraction": 0.1,
        "bond_distortions": [-0.2, 0.2],
        "dimers": False,
        "start_rattle_A": 0.1,
        "rattle_amplitudes_A": [0.05, 0.1],
        "relaxed_toward": [],
    }
    study["selection"] = {
        "initial_per_charge": 4,
        "test_per_charge": 1,
        "per_charge_per_round": 2,
    }
    study["exploration"] = {"rounds": 1, "training": dict(TRAINING), "search": dict(SEARCH)}
    study["search"] = {**SEARCH, "max_steps": 80}
    # Models this small err by electronvolts: without limits they would search again and again.
    study["verification"] = {"minima_per_charge": 1, "relax_steps": 1, "most_per_charge": 4, "search_again": 0}
    study["training"] = {**TRAINING, "steps": 60}
    study["thermo"]["elemental_references"] = {
        element: str(ROOT / f"config/elements/{element}.vasp") for element in ("Cd", "Te")
    }
    study["ccd"] = {"points": 5, "engine_points": 2}
    return study


def write_study(study: dict[str, Any], folder: Path) -> Path:
    """Write the settings as a config file."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        rule: its rule, which is called like its stage.
        arguments: of the stage's command.
        inputs, outputs: the files that the rule declares.
        settings: text of the settings that it depends on.
        log, benchmark: Snakemake's files of it.
        memory_MB: that it asks for; None where it says nothing.
    """

    rule: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: str
    log: str
    benchmark: str
    memory_MB: int | None


def jobs_of(config: Path, results: Path) -> list[Job]:
    """All stages that Snakemake would run for a study, each after those that it needs."""
    paths = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "support.list_jobs", str(config), str(results)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [
        Job(
            job["rule"],
            tuple(job["command"].split(f" stage {job['rule']}")[1].split()),
            tuple(job["input"]),
            tuple(job["output"]),
            job["settings"],
            *job["log"],
            job["benchmark"],
            job["memory_MB"],
        )
        for job in json.loads(done.stdout)
        if " stage " in job["command"]
    ]


def run_study(config: Path, results: Path, *, page: bool = True) -> StudyContext:
    """Every stage of the workflow in this process, in its order; drawing the page may be left out.

    Saves the start-up of one process per job; what a stage reads and writes is the same.
    """
    context = StudyContext.load(config, results)
    for job in jobs_of(config, results):
        if page or job.rule != "report":
            call_stage(context, job.rule, job.arguments)
    return context


def calls_since(context: StudyContext, before: int) -> Counter[tuple[str, str]]:
    """Engine calls made after the first ``before`` ones, by method and defect key."""
    methods = methods_by_key(context)
    return Counter(
        (methods[call.key], str(DefectKey(call.defect, call.charge))) for call in context.store.calls()[before:]
    )


def methods_by_key(context: StudyContext) -> dict[str, str]:
    """The method of each label in the store, by its key."""
    return {record.key: json.loads(record.settings)["method"] for record in context.store.records()}
