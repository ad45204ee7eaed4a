"""The small live study with real PBE and HSE06 by pw.x, through the whole workflow as a user calls it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from defectscape.domain.errors import EngineError
from defectscape.engines.gth import find_table
from defectscape.files.tables import load_host_file
from defectscape.store.labels import LabelStore
from defectscape.study.context import StudyContext
from defectscape.study.potentials import read_potentials
from defectscape.summary.schema import Summary
from defectscape.thermo.ewald import point_charge_energy_eV

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
}

pytestmark = pytest.mark.dft


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


def test_the_levels_are_what_their_names_say(summary: Summary) -> None:
    assert (summary.low.method, summary.high.method) == ("PBE", "HSE06")
    assert summary.high.engine_versions[0].startswith("pw.x ")
    assert json.loads(summary.high.settings)["exx_fraction"] == 0.25
    assert "exx_fraction" not in summary.low.settings


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


def test_relaxation_frames_of_the_low_level_join_the_data(folder: Path) -> None:
    for key in ("v_Si_0", "v_Si_-1"):
        relaxed = folder / f"results/si_dft/groups/v_Si/relaxed/{key}.extxyz"
        data = (folder / "results/si_dft/final/data_low.extxyz").read_text()
        ids = [
            word for line in relaxed.read_text().splitlines() for word in line.split() if word.startswith("frame_id=")
        ]
        assert ids
        assert all(word in data for word in ids)


def test_ground_states_are_verified_and_hse06_opens_the_gap(folder: Path, summary: Summary) -> None:
    assert {row.key for row in summary.defects} == {"v_Si_0", "v_Si_-1"}
    assert all(row.verified for row in summary.defects)
    table = json.loads((folder / "results/si_dft/host/references.json").read_text())
    gaps = {name: table[name]["cbm_eV"] - table[name]["vbm_eV"] for name in ("bulk_low", "bulk_high")}
    assert gaps["bulk_high"] > gaps["bulk_low"] + 0.3 > 0.3
    assert summary.host.gap_eV == pytest.approx(gaps["bulk_high"])


def test_what_separates_the_levels_is_reported_for_each_charge(summary: Summary) -> None:
    assert {gap.key for gap in summary.level_gaps} == {"v_Si_0", "v_Si_-1"}
    for gap in summary.level_gaps:
        assert gap.frames >= 5
        assert abs(gap.shift_eV) > 1.0
        assert 0.0 < gap.spread_meV_atom < abs(1e3 * gap.shift_eV)


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


def test_the_engine_checked_the_path(summary: Summary) -> None:
    (ccd,) = summary.ccd
    assert len(ccd.initial_checks) == len(ccd.final_checks) == 1
    assert ccd.engine_rms_eV is not None


def test_a_second_run_does_nothing(folder: Path) -> None:
    said = run(
        folder, BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2", "--config", "study=study.yaml"
    )
    assert "Nothing to be done" in said
