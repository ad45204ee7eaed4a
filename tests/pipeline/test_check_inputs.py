"""What would stop a study later is found by the check, named with the key and the remedy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defectscape.domain.errors import DefectscapeError
from defectscape.domain.spelling import our_name
from defectscape.settings.load import load_study
from defectscape.settings.paths import check_files
from defectscape.study.context import StudyContext
from defectscape.tools.check import Plan, make_plan
from defectscape.tools.site_table import pair_table, site_table
from support.mistakes import mistake
from support.small_study import small_study, write_study
from support.workflow import refused

ZNTE = "ZnTe\n1.0\n0 3.05 3.05\n3.05 0 3.05\n3.05 3.05 0\nZn Te\n1 1\nDirect\n0 0 0\n.25 .25 .25\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("thermo.elemental_references.Cd", "no.vasp"),
        ("thermo.competing_phases.CdTe2", "no.vasp"),
        ("imported", ["no.extxyz"]),
        ("training.foundation", "no.model"),
        ("exploration.training.foundation", "no.model"),
        ("thermo.concentrations.bands", {"kind": "vasprun", "file": "no/vasprun.xml"}),
        ("host.file", "no.vasp"),
    ],
)
def test_every_file_that_is_named_is_there(tmp_path: Path, key: str, value: object) -> None:
    study = small_study()
    *blocks, last = key.split(".")
    block: Any = study
    for name in blocks:
        block = block.setdefault(name, {})
    block[last] = value
    path = write_study(study, tmp_path)
    with pytest.raises(DefectscapeError, match=rf"{key}.*no.*There is no such file"):
        check_files(load_study(path))


def test_all_missing_files_are_named_together(tmp_path: Path) -> None:
    study = small_study() | {"imported": ["one.extxyz", "two.extxyz"]}
    with pytest.raises(DefectscapeError, match=r"one\.extxyz.*two\.extxyz of imported\.1"):
        check_files(load_study(write_study(study, tmp_path)))


def test_phases_and_references_are_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "ZnTe.vasp").write_text(ZNTE)
    study = small_study()
    study["thermo"]["competing_phases"] = {"other": "ZnTe.vasp"}
    assert "thermo.competing_phases.other: ZnTe.vasp has Zn" in refused(tmp_path, study)
    study = small_study()
    study["thermo"]["elemental_references"]["Cd"] = "ZnTe.vasp"
    assert "thermo.elemental_references.Cd: ZnTe.vasp holds Te, Zn" in refused(tmp_path, study)
    del study["thermo"]["elemental_references"]["Cd"]
    assert "nothing for Cd" in refused(tmp_path, study)


def test_a_mesh_is_for_an_engine_that_has_one(tmp_path: Path) -> None:
    study = small_study()
    study["thermo"]["elemental_kpoints"] = {"Cd": [3, 3, 3]}
    assert "thermo.elemental_kpoints.Cd: the tblite engine has no k-points" in refused(tmp_path, study)


def test_what_is_no_data_set_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "frames.extxyz").write_text("3\n\nCd 0 0 0\n")
    assert "frames.extxyz" in refused(tmp_path, small_study() | {"imported": ["frames.extxyz"]})


def test_a_failed_label_of_the_host_says_the_engines_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from defectscape.engines.base import CalculationFailed
    from defectscape.engines.isolated import IsolatedEngine

    def fails(*_: object) -> None:
        raise CalculationFailed("the eigenvalue solver gave up", hopeless=True)

    monkeypatch.setattr(IsolatedEngine, "compute", fails)
    monkeypatch.chdir(tmp_path)  # its failure goes into the store of this test
    context = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    with pytest.raises(DefectscapeError, match=r"gfn1 label of the perfect supercell: .*eigenvalue solver") as caught:
        make_plan(context, measure=True)
    when = "check --measure; run, before any other label"
    mistake("study", "engine that fails on the perfect host", said=caught.value, when=when)


def test_contacts_follow_the_elements() -> None:
    from ase.data import atomic_numbers

    from defectscape.sampling.lengths import too_close

    cell = 20.0 * np.eye(3)
    bonds = {
        "Cd-Te": 2.81,
        "Zn-Se": 2.45,
        "Mg-O": 2.10,
        "Ti-O": 1.93,
        "Si-Si": 2.35,
        "H-H": 0.74,
        "O-H": 0.96,
        "N-N": 1.10,
        "C-O": 1.13,
        "V-O": 1.58,
        "U-O": 1.77,
        "Te-Te": 2.0,
        "Ga-As": 2.45,
        "Zn-O": 1.97,
        "Si-O": 1.61,
        "Li-F": 1.57,
    }
    for pair, length_A in bonds.items():
        numbers = np.array([atomic_numbers[symbol] for symbol in pair.split("-")])
        places = np.array([[0.0, 0.0, 0.0], [length_A, 0.0, 0.0]])
        assert not too_close(numbers, places, cell, None), pair
        assert too_close(numbers, 0.5 * places, cell, None), pair
    assert too_close(np.array([52, 52]), np.array([[0.0, 0.0, 0.0], [1.46, 0.0, 0.0]]), cell, None)
    assert too_close(np.array([8, 8]), np.array([[0.2, 0.0, 0.0], [19.9, 0.0, 0.0]]), cell, None), "images"
    assert too_close(np.array([12, 8]), np.array([[0.0, 0.0, 0.0], [2.1, 0.0, 0.0]]), cell, 2.2)


def test_files_are_there_and_of_the_hosts_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study() | {"imported": ["one.extxyz"]}
    study["thermo"]["elemental_references"]["Cd"] = "Cd.vasp"
    study["training"]["foundation"] = "mace.model"
    with pytest.raises(DefectscapeError) as missing:
        check_files(load_study(write_study(study, tmp_path)))
    mistake(
        "study",
        "files that the study names and that are not there (host, reference, competing phase, import, foundation, "
        "density of states)",
        said=missing.value,
        when="check, snakemake -n, run",
    )
    (tmp_path / "ZnTe.vasp").write_text(ZNTE)
    study = small_study()
    study["thermo"]["competing_phases"] = {"other": "ZnTe.vasp"}
    mistake("study", "competing phase with a foreign element", said=refused(tmp_path, study), when="check")
    study = small_study()
    study["thermo"]["elemental_references"]["Cd"] = "ZnTe.vasp"
    mistake("study", "reference file of another element", said=refused(tmp_path, study), when="check")
    del study["thermo"]["elemental_references"]["Cd"]
    mistake("study", "no reference for an element of the host", said=refused(tmp_path, study), when="check")


def test_an_engine_has_what_the_study_asks_of_it(tmp_path: Path) -> None:
    study = small_study()
    study["thermo"]["elemental_kpoints"] = {"Cd": [3, 3, 3]}
    said = refused(tmp_path, study)
    mistake("study", "k-point mesh of a reference with an engine that has none", said=said, when="check")
    study = small_study()
    (tmp_path / "Cd.upf").write_text('<PP_HEADER element="Cd" z_valence="12.0" pseudo_type="NC"/>')
    study["fidelities"]["low"]["engine"] = {
        "kind": "espresso",
        "functional": "pbe",
        "command": "pw.x",
        "pseudo_dir": str(tmp_path),
        "pseudopotentials": {"Cd": "Cd.upf"},
        "cutoff_Ry": 30.0,
        "kpoints": [1, 1, 1],
    }
    said = refused(tmp_path, study)
    mistake("study", "engine without a pseudopotential of an element of the host", said=said, when="check")


def test_limits_have_the_hosts_elements_and_one_negative_sum(tmp_path: Path) -> None:
    def said(limits: object) -> str:
        study = small_study()
        study["thermo"]["chemical_potentials"] = limits
        return refused(tmp_path, study)

    some = said({"poor": {"Cd": -0.5}})
    mistake("study", "limits without all elements of the host", said=some, when="check")
    differ = said({"poor": {"Cd": 0.0, "Te": -1.0}, "rich": {"Cd": -1.4, "Te": 0.0}})
    right = "the host's formation energy"
    mistake("study", "limits whose sums over the host differ", said=differ, when="check", right=right)
    zero = said({"poor": {"Cd": 0.0, "Te": 0.0}})
    mistake("study", "limits whose sum is not negative", said=zero, when="check", right=right)


def test_names_of_other_programs_and_of_no_site_are_told(tmp_path: Path) -> None:
    def said(name: str) -> str:
        study = small_study()
        study["defects"][0]["name"] = name
        return refused(tmp_path, study)

    assert {our_name(name) for name in ("V_Cd", "Vac_Cd", "Va_Cd1")} == {"v_Cd"}
    assert "Write v_Cd" in said("Va_Cd1")
    mistake("study", "`Vac_Cd` or `Va_Cd1` as a defect", said=said("Vac_Cd"), when="load", right="v_Cd")
    mistake("study", "`V_Cd`, a vacancy or vanadium, as a defect", said=said("V_Cd"), when="check", right="v_Cd")
    several = (said("i_Cd"), said("Cd_i_Td"))
    mistake("study", "`i_Cd` or `Cd_i_Td` as a defect of CdTe, which has several", said=several, when="check, load")
    mistake("study", "a defect that the host cannot have, `v_Zn`", said=said("v_Zn"), when="check")


def test_a_defect_may_have_doped_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study()
    study["defects"][0]["name"] = "v_Cd_Td_Te2.83"
    study["defects"].append({"name": "Cd_i_C3v", "charges": ["0", "+1"]})
    study["ccd"]["pairs"] = [{"defect": "Cd_i_C3v", "initial": "+1", "final": "0"}]
    path = write_study(study, tmp_path)
    context = StudyContext.load(path, Path("results"))
    names = [defect.name for defect in context.study.defects]
    assert names == ["v_Cd", "i_Cd_3"]
    assert context.study.ccd.pairs is not None
    assert context.study.ccd.pairs[0].defect == "i_Cd_3"
    mistake("study", "`v_Cd_Td_Te2.83`, doped's name, as a defect", said="", when="load", right="v_Cd is taken")

    # It is looked up once for a host, not by every job.
    def again(*_: object, **__: object) -> None:
        raise AssertionError("doped is asked again")

    with monkeypatch.context() as patch:
        patch.setattr("defectscape.sampling.sites.enumerate_sites", again)
        assert StudyContext.load(path, Path("results")).study == context.study
        (tmp_path / "study.yaml").write_text(path.read_text().replace("Cd_i_C3v", "Cd_i_Td_Te2.80"))
        with pytest.raises(AssertionError, match="asked again"):
            StudyContext.load(path, Path("results"))
    assert [defect.name for defect in StudyContext.load(path, Path("results")).study.defects] == ["v_Cd", "i_Cd_2"]
    study["defects"][0]["name"] = "i_Cd_3"
    with pytest.raises(DefectscapeError, match="Cd_i_C3v is i_Cd_3, which is listed already"):
        StudyContext.load(write_study(study, tmp_path), Path("results"))


def doped_study(folder: Path) -> dict[str, Any]:
    """CdTe with chlorine, whose molecule and chloride lie in a folder."""
    (folder / "Cl.vasp").write_text("Cl2\n1.0\n9 0 0\n0 9 0\n0 0 10\nCl\n2\nCartesian\n4 4 4\n4 4 6\n")
    cell = "3.3 1.9053 0\n-3.3 1.9053 0\n0 0 5.9\n"
    (folder / "CdCl2.vasp").write_text(
        f"CdCl2\n1.0\n{cell}Cd Cl\n1 2\nDirect\n0 0 0\n.333333 .666667 .25\n.666667 .333333 .75\n"
    )
    study = small_study()
    study["defects"] = [{"name": "Cl_Te", "charges": ["+1", "0"]}]
    study["thermo"]["elemental_references"]["Cl"] = "Cl.vasp"
    study["thermo"]["competing_phases"] = {"CdCl2": "CdCl2.vasp"}
    return study


def test_a_dopant_needs_its_reference_and_is_bounded_by_its_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = doped_study(tmp_path)

    def plan() -> Plan:
        return make_plan(StudyContext.load(write_study(study, tmp_path), Path("results")))

    done = plan()
    assert [str(key) for key in done.keys] == ["Cl_Te_+1", "Cl_Te_0"]
    assert done.warnings == ()
    rows = {row.site.name: row for row in done.sites}
    assert {"v_Cd", "Cl_Te", "Cl_Cd", "i_Cl_1", "i_Cd_3"} <= set(rows)
    lines = site_table(done.sites, done.proposed)
    (line,) = [line for line in lines if line.startswith("Cl_Te")]
    assert line.split()[:8] == ["Cl_Te", "Cl_Te", "4c", "1", "0.2500", "0.2500", "0.2500", "4"]
    assert line.endswith("0 to +1")
    del study["thermo"]["competing_phases"]
    (alone,) = plan().warnings
    when, right = "check; run (in the report)", "its compounds as `thermo.competing_phases`"
    mistake("study", "dopant that no competing phase holds", said=alone, when=when, right=right)
    study["thermo"]["chemical_potentials"] = {"poor": {"Cd": -0.5, "Te": -0.5}}
    said = refused(tmp_path, study)
    mistake("study", "stated limits without a dopant", said=said, when="check")
    del study["thermo"]["chemical_potentials"]
    del study["thermo"]["elemental_references"]["Cl"]
    mistake("study", "no reference for a dopant", said=refused(tmp_path, study), when="check")
    study["defects"][0]["name"] = "U_Cd"
    study["thermo"]["elemental_references"]["U"] = {"energy_eV_per_atom": -11.0, "source": "own run"}
    mistake("study", "dopant that the engine has no parameters for", said=refused(tmp_path, study), when="check")


def test_pairs_are_listed_and_what_is_no_pair_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = doped_study(tmp_path)
    study["defects"] = [{"name": "Cl_Te+v_Cd", "charges": ["0", "-1", "-3"]}]
    plan = make_plan(StudyContext.load(write_study(study, tmp_path), Path("results")))
    assert [str(key) for key in plan.keys] == ["v_Cd+Cl_Te_0", "v_Cd+Cl_Te_-1", "v_Cd+Cl_Te_-3"]
    head, row = pair_table(plan.host, plan.pairs, plan.proposed)
    assert head.split() == ["pair", "A", "apart", "ways", "per", "cell", "proposed"]
    assert row.split() == ["v_Cd+Cl_Te", "2.80", "4", "4", "-1", "to", "+1"]
    assert "v_Cd+Cl_Te" not in {row.site.name for row in plan.sites}
    assert any(line.startswith("v_Cd+Cl_Te in charge -3: proposed are -1 to +1") for line in plan.warnings)

    def said(name: str) -> str:
        asked = doped_study(tmp_path) if "Cl" in name else small_study()
        asked["defects"] = [{"name": name, "charges": ["0"]}]
        return refused(tmp_path, asked)

    nothing = said("v_Cd+v_Zn")
    mistake("study", "pair with a partner that the host cannot have, `v_Cd+v_Zn`", said=nothing, when="check")
    one = said("v_Cd+Cl_Cd_shell0")
    right = "`Cl_Cd`, or the nearest two sites: `v_Cd+Cl_Cd`"
    mistake("study", "pair on one site, `v_Cd+Cl_Cd_shell0`", said=one, when="load", right=right)
    far = said("v_Cd+Cl_Te_shell2")
    mistake("study", "pair that is further apart than the supercell holds", said=far, when="check")
    none = (said("host+host"), said("Cd_Cd+Te_Te"))
    mistake("study", "pair of host and host, `host+host` or `Cd_Cd+Te_Te`", said=none, when="load, check")
    three = said("v_Cd+Cl_Te+Cl_Te")
    mistake("study", "complex of three point defects", said=three, when="load", right="pairs")
    several = said("v_Cd+i_Cl")
    mistake("study", "pair with `i_Cl`, of which CdTe has several", said=several, when="check")


def test_a_pair_at_one_distance_may_have_several_arrangements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wurtzite = "ZnO\n1.0\n3.25 0 0\n-1.625 2.81458 0\n0 0 5.207\nZn O\n2 2\nDirect\n"
    places = ".333333 .666667 0\n.666667 .333333 .5\n.333333 .666667 .3819\n.666667 .333333 .8819\n"
    Path("ZnO.vasp").write_text(wurtzite + places)
    study = small_study()
    study["host"] = {
        "file": "ZnO.vasp",
        "supercell": {"matrix": [[2, 0, 0], [0, 2, 0], [0, 0, 1]], "min_image_distance_A": 5.0},
        "relax": "none",
    }
    energy = {"energy_eV_per_atom": -1.0, "source": "own run"}
    study["thermo"]["elemental_references"] = {"Zn": energy, "O": energy}
    study["defects"] = [{"name": "v_Zn+v_O", "charges": ["0"]}]
    said = refused(tmp_path, study)
    mistake("study", "pair with several arrangements at its distance, `v_Zn+v_O` of ZnO", said=said, when="check")


def test_charges_beyond_what_doped_proposes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study()
    study["defects"][0] |= {"charges": ["+1", "0", "-1", "-2"], "added_charges": ["+7"]}
    plan = make_plan(StudyContext.load(write_study(study, tmp_path), tmp_path / "results"))
    (told,) = [line for line in plan.warnings if "proposed" in line]
    assert told.startswith("v_Cd in charge +7: proposed are -2 to +1")
    mistake("study", "charge state that is not proposed, `+7` of v_Cd", said=told, when="check")


def test_too_few_starts_are_found_before_anything_is_computed(tmp_path: Path) -> None:
    study = small_study()
    study["sampling"]["shortest_distance_A"] = 2.9
    mistake(
        "study",
        "`shortest_distance_A: 2.9`, longer than the bonds that distortions shorten",
        said=refused(tmp_path, study),
        when="check",
        right="left out, so that it follows the elements",
    )


def test_stated_limits_have_the_hosts_formation_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study()

    def plan(potentials: dict[str, float]) -> None:
        study["thermo"]["chemical_potentials"] = {"poor": potentials}
        make_plan(StudyContext.load(write_study(study, tmp_path), tmp_path / "results"))

    with pytest.raises(DefectscapeError, match=r"poor: they sum to -5\.0000 eV per atom") as caught:
        plan({"Cd": -10.0, "Te": 0.0})
    per_atom_eV = float(str(caught.value).partition("formation energy is ")[2].split(". ")[0])
    assert -2.0 < per_atom_eV < 0.0
    plan({"Cd": 2 * per_atom_eV, "Te": 0.0})
    plan({"Cd": per_atom_eV, "Te": per_atom_eV})


def test_a_slow_engine_is_not_run_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study()
    study["thermo"]["chemical_potentials"] = {"poor": {"Cd": -10.0, "Te": 0.0}}
    monkeypatch.setattr("defectscape.tools.check_limits.MOST_ATOMS", 1)
    context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    make_plan(context)
    assert list(context.store.records()) == []
    # What another study or an earlier run has labelled is used.
    from defectscape.sampling.host import host_frame, read_host_file
    from defectscape.sampling.references import element_frame

    host = read_host_file(context.study.host)
    engine = context.study.fidelities.high.engine
    for frame in (host_frame(host), *(element_frame(context.study.thermo, e, engine) for e in ("Cd", "Te"))):
        context.label(frame, "high")
    with pytest.raises(DefectscapeError, match="poor: they sum to"):
        make_plan(context)


def test_the_check_says_where_the_lowest_spin_is_a_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = small_study()
    study["defects"][0]["charges"] = ["0", "-1", "-2"]
    plan = make_plan(StudyContext.load(write_study(study, tmp_path), tmp_path / "results"))
    (told,) = [line for line in plan.warnings if "spin multiplicity" in line]
    assert told.startswith("v_Cd_0: the lowest spin multiplicity is taken")


CAPTURE = {
    "defect": "v_Cd",
    "initial": "0",
    "final": "-1",
    "coupling_eV_amu05_A": 0.02,
    "coupling_at": "initial",
    "volume_A3": 1000.0,
    "degeneracy": 1,
    "temperatures_K": [300.0],
}


@pytest.mark.parametrize(
    ("changes", "pairs", "telling"),
    [
        ({}, None, ""),
        ({"defect": "v_Te"}, None, r"ccd\.capture: v_Te from \+0 to -1 is not of this study"),
        ({"initial": "-2"}, None, r"ccd\.capture: v_Cd from -2 to -1 is not of this study"),
        ({"initial": "-1", "final": "0"}, [{"defect": "v_Cd", "initial": "0", "final": "-1"}], ""),
        ({}, [{"defect": "v_Zn", "initial": "0", "final": "-1"}], r"ccd\.pairs: v_Zn .* is not of this study"),
        ({}, [], r"ccd\.capture: v_Cd from \+0 to -1 has no diagram"),
    ],
)
def test_captures_and_diagrams_are_of_the_study(
    tmp_path: Path, changes: dict[str, str], pairs: object, telling: str
) -> None:
    study = small_study()
    study["ccd"] |= {"capture": [{**CAPTURE, **changes}]}
    if pairs is not None:
        study["ccd"]["pairs"] = pairs
    path = write_study(study, tmp_path)
    if not telling:
        load_study(path)
        return
    with pytest.raises(DefectscapeError, match=telling):
        load_study(path)
