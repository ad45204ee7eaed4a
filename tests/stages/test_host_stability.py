"""The host's test: a stable crystal passes, one that has a lower structure stops the study and names it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators import emt
from ase.io import read, write

from defectscape.cli.stages import call_stage
from defectscape.domain.errors import HostError
from defectscape.sampling.host import read_unit_cell
from defectscape.settings.study import Study
from defectscape.study.context import StudyContext
from defectscape.study.host_stability import CAME_BACK, HostStability, read_host_stability
from defectscape.study.stages import find_stage
from support.mistakes import mistake
from support.small_study import small_study, write_study

COPPER = bulk("Cu", cubic=True)
SIMPLE_CUBIC = Atoms("Cu", cell=[2.4] * 3, pbc=True)
"""EMT's copper is a close-packed metal: nothing holds it in rows."""
EMT = "ase.calculators.emt.EMT"
ROUGH = EMT, {"asap_cutoff": True}
LENNARD_JONES = "ase.calculators.lj.LennardJones", {"sigma": 2.0, "epsilon": 0.3, "rc": 5.0}


def fidelity(name: str, calculator: str, arguments: dict[str, object]) -> dict[str, Any]:
    """A fidelity whose labels take no time."""
    engine = {
        "kind": "ase",
        "calculator": calculator,
        "method": calculator.rpartition(".")[2],
        "arguments": arguments,
        "charge": "none",
        "charge_blind": True,
        "multiplicity": "none",
    }
    return {"name": name, "engine": engine}


def examined(
    folder: Path, patch: pytest.MonkeyPatch, crystal: Atoms, low: tuple[str, dict] = ROUGH, **settings: object
) -> StudyContext:
    """A study of a crystal of copper whose host is labelled, and then tested."""
    folder.mkdir(exist_ok=True)
    patch.chdir(folder)
    write("host.vasp", crystal, format="vasp", direct=True)
    study = small_study()
    study["host"] |= {
        "file": "host.vasp",
        "multiplicity": 1,
        "supercell": {"matrix": [[2, 0, 0], [0, 2, 0], [0, 0, 2]], "min_image_distance_A": 4.0},
        "stability": settings,
    }
    study["sampling"]["shortest_distance_A"] = 1.8
    study["defects"] = [{"name": "v_Cu", "charges": ["0"]}]
    study["fidelities"] = {"low": fidelity("rough", *low), "high": fidelity("emt", EMT, {})}
    context = StudyContext.load(write_study(study, folder), folder / "results")
    call_stage(context, "host", [])
    call_stage(context, "host_labels", [])
    call_stage(context, "host_stability", [])
    return context


def result(context: StudyContext) -> HostStability:
    found = read_host_stability(context)
    assert found is not None
    return found


def test_a_stable_host_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = result(examined(tmp_path, monkeypatch, COPPER))
    assert found.lower is None
    assert found.curvature_eV_A2 is not None
    assert found.curvature_eV_A2 > 0.5
    assert [end.reason for end in found.ends] == [CAME_BACK] * 3
    assert all(end.low_eV is not None and end.low_eV > 0 for end in found.ends)
    # One displacement of one atom is all that cubic symmetry leaves to do.
    assert len(found.high) == 2
    assert found.host_fmax_eV_A < 1e-6


def test_an_unstable_host_stops_and_names_the_lower_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError) as error:
        examined(tmp_path, monkeypatch, SIMPLE_CUBIC)
    mistake(
        "hosts",
        "a crystal that has a lower structure (copper in simple cubic)",
        said=error.value,
        when="run",
    )
    layout = StudyContext.load(tmp_path / "study.yaml", tmp_path / "results").layout
    assert str(layout.lower_host) in str(error.value)
    assert not layout.host_stability.exists(), "what waits for the test must not begin"
    told_eV, moved_A = map(float, re.findall(r"(\d+\.\d+) eV below.* (\d+\.\d+) A from", str(error.value))[0])
    lower = read(layout.lower_host)
    assert isinstance(lower, Atoms)
    assert len(lower) == 8
    assert told_eV > 1
    assert moved_A > 0.5
    energies = []
    for atoms in (SIMPLE_CUBIC * (2, 2, 2), lower):
        atoms.calc = emt.EMT()
        energies.append(atoms.get_potential_energy())
    assert energies[0] - energies[1] == pytest.approx(told_eV, abs=0.05)
    # It can be given as a host.
    assert len(read_unit_cell(layout.lower_host)) == 8


def test_the_study_may_accept_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = examined(tmp_path, monkeypatch, SIMPLE_CUBIC, accept_unstable=True, starts=1)
    found = result(context)
    assert found.lower is not None
    assert found.curvature_eV_A2 is not None
    assert found.curvature_eV_A2 < -1
    assert [end.start for end in found.ends] == ["rattle by 0.1 A", "the softest mode"]
    assert found.ends[1].low_eV is None
    assert (found.ends[1].high_eV or 0.0) < -1
    assert np.allclose(found.lower.frame.cell_A, 4.8 * np.eye(3))


def test_no_curvature_is_measured_beyond_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = result(examined(tmp_path, monkeypatch, COPPER, curvature_labels=0, starts=1))
    assert found.curvature_eV_A2 is None
    assert "curvature_labels is 0" in found.not_measured
    assert [end.reason for end in found.ends] == ["relaxed"], "a relaxation goes on to its end"
    assert len(found.high) == 1


def test_a_repeated_test_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = examined(tmp_path, monkeypatch, COPPER)
    before, calls = result(context), len(context.store.calls())
    call_stage(context, "host_stability", [])
    assert len(context.store.calls()) == calls
    assert result(context).ends == before.ends


def texts(stability: dict[str, object] | None) -> dict[str, str]:
    """What the jobs of the host and of the first selection depend on."""
    study = small_study()
    if stability is not None:
        study["host"]["stability"] = stability
    job = {"group": "v_Cd"}
    return {name: find_stage(name).settings_text(Study.model_validate(study), job) for name in ("host", "select")}


def test_the_crystal_and_finished_studies_know_nothing_of_it() -> None:
    without, with_it, otherwise = texts(None), texts({}), texts({"starts": 5})
    assert not any("stability" in text for text in without.values())
    assert with_it["host"] == without["host"]
    assert with_it["select"] == otherwise["select"] != without["select"]


def test_a_fall_with_the_cheap_engine_alone_is_no_change_of_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Lennard-Jones crystal stretched by an eighth tears; the deciding level has copper as it is."""
    context = examined(tmp_path, monkeypatch, COPPER, LENNARD_JONES, starts=2, steps=40, curvature_labels=0)
    found = result(context)
    assert min(end.low_eV or 0.0 for end in found.ends) < -0.5
    assert all(end.high_eV is not None for end in found.ends if (end.low_eV or 0.0) < -0.01)
    assert found.lower is None
