"""The table of stages against what stages do: the settings they read, and the files they open."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import chemical_symbols

from defectscape.cli.stages import call_stage
from defectscape.engines.registry import make_local_engine
from defectscape.files.extxyz import write_frames
from defectscape.sampling.host import build_host, host_frame, read_unit_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.settings.load import load_study
from defectscape.settings.structure import SupercellSettings
from defectscape.study.context import StudyContext
from defectscape.study.stage import Part
from defectscape.study.stages import STAGES, find_stage
from support.recorder import SettingsRecorder, covers, files_read, leaves, watched_study
from support.small_study import jobs_of, small_study, write_study
from support.vasprun import Run, States, Step, vasprun_text

pytestmark = pytest.mark.pipeline

PLACES = {"study", "label_store"}
"""Names of folders: another name is another place for the same results."""
CORES = {"prior.processes"}
"""How many processes compute it changes no value."""
SUPERCELL = SupercellSettings(matrix=[[1, 0, 0], [0, 1, 0], [0, 0, 1]], min_image_distance_A=6.0)
BANDS = {"kind": "vasprun", "file": "dos.xml"}
NOT_RUN = {"potentials_host", "potentials", "spin_check"}
"""The embedded engine gives no potentials, and does not tell spins apart."""


@dataclass
class Read:
    """What the jobs of a stage read, beside what their rule declares.

    Attributes:
        settings: dotted names of settings.
        undeclared: files opened that are no inputs of the rule.
        unopened: inputs that no job of the stage opened.
    """

    settings: set[str] = field(default_factory=set)
    undeclared: set[str] = field(default_factory=set)
    unopened: list[set[str]] = field(default_factory=list)


def full_study() -> dict[str, Any]:
    """The small study with whatever a stage may be asked for."""
    study = small_study()
    study["imported"] = ["imported.extxyz"]
    study["host"] |= {"relax": "positions", "stability": {"starts": 1, "steps": 3}}
    study["defects"][0]["added_charges"] = ["-2"]
    study["defects"].append({"name": "v_Te", "charges": ["0"], "learns": "weights"})
    study["sampling"] |= {"relaxed_starts": 1, "relaxation_steps": 2}
    study["selection"] |= {
        "low_per_charge_per_round": 2,
        "low_relaxed_minima": 1,
        "low_relaxation_steps": 1,
        "recharged_per_charge_per_round": 1,
    }
    # Hot electrons, so that it has a value everywhere: a geometry without one costs its diagram.
    study["prior"] = {
        "engine": {**study["fidelities"]["high"]["engine"], "electronic_temperature_K": 5000.0},
        "landscape": study["fidelities"]["low"]["engine"],
    }
    # Charge states are judged and never settled: every round does all that it may.
    study["exploration"] |= {"rounds": 2, "settled_eV": 1e-9}
    for search in (study["search"], study["exploration"]["search"]):
        search["until_nothing_new"] = {"at_most": 6, "batch": 6, "quench_steps": 2}
    cost = {"label_s": 10.0}
    study["packing"] = {"job_minutes": 10, "job_cores": 2, "low": cost, "high": cost}
    # A model that errs by more than nothing learns and searches again.
    study["verification"] |= {"search_error_eV": 1e-6, "search_again": 1, "most_per_charge": 8}
    study["search"]["dynamics"] = {"temperature_K": 300.0, "steps": 4, "snapshots": 1}
    study["search"]["hopping"] = {"hops": 1, "step_A": 0.1}
    study["thermo"]["concentrations"] = {"annealing_K": [900.0], "bands": BANDS}
    return study


def _write_bands(study: dict[str, Any], config: Path) -> None:
    """Write a density of states with the gap that the engine gives the host, at another zero of energy."""
    host = build_host(read_unit_cell(Path(study["host"]["file"])), SUPERCELL)
    found = make_local_engine(load_study(config).fidelities.high.engine).compute(host_frame(host), 0)
    assert found.vbm_eV is not None
    assert found.cbm_eV is not None
    step = Step(host.unit_cell_A, host.unit_positions_A @ np.linalg.inv(host.unit_cell_A))
    symbols = [chemical_symbols[number] for number in host.unit_numbers]
    states = States(vbm_eV=3.0, cbm_eV=3.0 + found.cbm_eV - found.vbm_eV)
    Path(BANDS["file"]).write_text(vasprun_text(Run(symbols, [step], written={"ISMEAR": "-5"}, states=states)))


def _import_a_frame(study: dict[str, Any], path: Path) -> None:
    """Write a frame of the study's defect, as ``import --frames`` would."""
    host = build_host(read_unit_cell(Path(study["host"]["file"])), SUPERCELL)
    frame = defect_frame(host, pick_site(enumerate_sites(host, interstitials=False), "v_Cd"), 0)
    write_frames(path, [frame])


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all settings of the full study."""
    config = write_study(full_study(), tmp_path_factory.mktemp("all"))
    return leaves(load_study(config))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the full study is run."""
    return tmp_path_factory.mktemp("reads")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Read]:
    """What every stage of the full study read."""
    read: dict[str, Read] = defaultdict(Read)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config, results = write_study(full_study(), folder), Path("results")
        _import_a_frame(small_study(), folder / "imported.extxyz")
        _write_bands(small_study(), config)
        recorder = SettingsRecorder(patch)
        for job in jobs_of(config, results):
            # As a command does: nothing is kept from job to job.
            context = StudyContext.load(config, results)
            before = {path.resolve() for path in results.rglob("*") if path.is_file()}
            watched_study(recorder, context.study)
            with files_read() as opened:
                call_stage(context, job.rule, job.arguments)
            stage = read[job.rule]
            stage.settings |= recorder.found
            inputs = {Path(path).resolve() for path in job.inputs}
            opened_before = {path.resolve() for path in opened} & before
            strange = {path for path in opened_before - inputs if not inputs & set(path.parents)}
            stage.undeclared |= {str(path.relative_to(folder)) for path in strange}
            stage.unopened.append({path.name for path in inputs & before - opened_before})
    return read


CONDITIONAL = {
    "label_jobs": "labels that are not packed",
    "rattle_amplitudes": "amplitudes that are given in A",
    "pretrain_steps": "another strategy of training",
    "finetune_rate": "another strategy of training",
    "off_centre_A": "an added atom, which a vacancy has not",
    "kind": "says which class the block is of",
    "file": "interstitials of a relaxed host, named by its file",
    "taken_as_perfect": "interstitials of a relaxed host, named by its file",
    "max_steps": "a relaxation that does not end before its first step",
    "competing_kpoints": "a competing phase",
    "accept_unstable": "a host that has a lower structure",
    "source": "a reference whose energy is stated",
}
"""Settings that some stage reads under conditions that the full study does not have."""


@pytest.mark.parametrize("stage", [s.name for s in STAGES if s.name not in NOT_RUN])
def test_a_stage_reads_the_settings_that_it_names(found: dict[str, Read], everything: set[str], stage: str) -> None:
    named: set[str] = set()
    beside: set[str] = set()
    for item in find_stage(stage).reads:
        block = item if isinstance(item, str) else item.block
        sources = item.follows_from if isinstance(item, Part) else ()
        beside |= {setting for setting in everything for source in sources if covers(source, setting)}
        left_out = set() if isinstance(item, str) else set(item.without)
        mine = {setting for setting in everything if covers(block, setting)}
        named |= {s for s in mine if not left_out & set(s.removeprefix(block).split("."))}
    read = found[stage].settings - PLACES - CORES
    assert not read - named - beside, f"{stage} reads them and does not name them"
    idle = {setting for setting in named - read if setting.split(".")[-1] not in CONDITIONAL}
    assert not idle - PLACES, f"{stage} names them and does not read them"


@pytest.mark.parametrize("stage", [s.name for s in STAGES if s.name not in NOT_RUN])
def test_a_rule_declares_the_files_that_its_stage_opens(found: dict[str, Read], stage: str) -> None:
    assert not found[stage].undeclared, f"{stage} opens them, and they are no inputs of its rule"
    assert not set.intersection(*found[stage].unopened), f"{stage} does not open these inputs"


def test_the_summary_says_how_the_bands_were_placed(found: dict[str, Read], folder: Path) -> None:
    summary = json.loads(StudyContext.load(folder / "study.yaml", folder / "results").layout.summary.read_text())
    placed = [line for line in summary["warnings"] if "dos.xml was shifted by" in line]
    assert len(placed) == 1
    assert any("dos.xml was not compared" in line for line in summary["warnings"])
    fermi_eV = [item["operating_fermi_eV"] for item in summary["equilibria"]]
    assert fermi_eV
    assert all(0 <= value_eV <= summary["host"]["gap_eV"] for value_eV in fermi_eV)


def test_every_stage_ran(found: dict[str, Read]) -> None:
    assert set(found) | NOT_RUN == {stage.name for stage in STAGES}
