"""A study small enough for tests: 8-atom CdTe, real tight-binding labels, tiny real models."""

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from defectscape.domain.keys import DefectKey
from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.settings.groups import Group, exploration_groups, label_rounds
from defectscape.stages.ccd import compute_diagrams
from defectscape.stages.ccd_check import check_diagrams
from defectscape.stages.evaluation import evaluate_final
from defectscape.stages.handover import hand_over
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.labels import build_round_data, label_chunk
from defectscape.stages.references import label_references
from defectscape.stages.relax_minima import relax_minima
from defectscape.stages.report import write_page
from defectscape.stages.sampling import make_group_starts, select_group_initial
from defectscape.stages.search import merge_minima, search_final, search_round
from defectscape.stages.select_round import harvest
from defectscape.stages.summary import summarise
from defectscape.stages.thermo import compute_levels
from defectscape.stages.training import build_final_data, train_final, train_round
from defectscape.stages.verification import verify_key
from defectscape.study.context import StudyContext
from support import ROOT

TRAINING: dict[str, Any] = {
    "committee": 2, "channels": 4, "max_L": 0, "r_max_A": 4.0, "charge_embedding_dim": 4,
    "steps": 40, "batch_size": 4, "learning_rate": 0.01, "validate_every": 20, "patience": 5,
}  # fmt: skip
SEARCH: dict[str, Any] = {"fmax_eV_A": 0.5, "max_steps": 60, "cross_seeds_per_charge": 1}


def small_study() -> dict[str, Any]:
    """Settings of the small study, to be changed at will."""
    study = deepcopy(DEFAULT_STUDY)
    study["study"] = "small"
    study["label_store"] = "labels"
    study["label_jobs"] = 1
    study["host"]["file"] = str(ROOT / "config/hosts/CdTe.vasp")
    study["host"]["supercell"] = {
        "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "min_image_distance_A": 6.0,
    }  # fmt: skip
    study["defects"] = [{"name": "v_Cd", "charges": ["0", "-1"]}]
    study["sampling"] |= {
        "bond_distortions": [-0.2, 0.2], "dimers": False, "start_rattle_A": 0.1,
        "rattle_amplitudes_A": [0.05, 0.1], "relaxed_toward": [],
    }  # fmt: skip
    study["selection"] = {
        "initial_per_charge": 4, "test_per_charge": 1,
        "per_charge_per_round": 2,
    }  # fmt: skip
    study["exploration"] = {"rounds": 1, "training": dict(TRAINING), "search": dict(SEARCH)}
    study["search"] = {**SEARCH, "max_steps": 80}
    study["verification"] = {"minima_per_charge": 1, "relax_steps": 1, "fmax_eV_A": 0.05}
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


def _explore(context: StudyContext, group: Group) -> None:
    study = context.study
    make_group_starts(context, group.name)
    for number in range(study.exploration.rounds + 1):
        if number > 0:
            search_round(context, group.name, number - 1)
            if study.selection.low_relaxed_minima:
                for key in group.keys:
                    relax_minima(context, group.name, number, str(key))
            harvest(context, group.name, number)
        for level in ("low", "high"):
            if number not in label_rounds(study, level, number):
                continue
            if (number, level) == (0, "high"):
                select_group_initial(context, group.name)
            for chunk in range(study.label_jobs):
                label_chunk(context, group.name, number, level, chunk)
        build_round_data(context, group.name, number)
        for member in range(study.exploration.training.committee):
            train_round(context, group.name, number, member)
    search_final(context, group.name)
    merge_minima(context, group.name)
    for key in group.keys:
        verify_key(context, group.name, str(key))


def run_study(config: Path, results: Path, *, page: bool = True) -> StudyContext:
    """Every stage of the DAG in this process, in the workflow's order; drawing the page may be left out.

    Saves the start-up of one process per job; what a stage reads and writes is the same.
    """
    context = StudyContext.load(config, results)
    prepare_host(context)
    label_references(context)
    list_sites(context)
    for group in exploration_groups(context.study):
        _explore(context, group)
    build_final_data(context)
    for member in range(context.study.training.committee):
        train_final(context, member)
    evaluate_final(context)
    compute_levels(context)
    compute_diagrams(context)
    check_diagrams(context)
    summarise(context)
    hand_over(context)
    if page:
        write_page(context)
    return context


def calls_since(context: StudyContext, before: int) -> Counter[tuple[str, str]]:
    """Engine calls made after the first ``before`` ones, by method and defect key."""
    methods = methods_by_key(context)
    return Counter(
        (methods[call.key], str(DefectKey(call.defect, call.charge)))
        for call in context.store.calls()[before:]
    )


def methods_by_key(context: StudyContext) -> dict[str, str]:
    """The method of each label in the store, by its key."""
    return {record.key: json.loads(record.settings)["method"] for record in context.store.records()}
