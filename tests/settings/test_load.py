"""Bad configuration ends in one line that names the key, the value and the remedy."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from defectscape.domain.errors import ConfigError
from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.settings.effort import EFFORTS, SECTIONS, Effort
from defectscape.settings.load import _UniqueKeyLoader, full_yaml, load_study, read_study, read_yaml
from defectscape.settings.study import Study
from defectscape.settings.thermo import DielectricSettings
from defectscape.settings.training import TrainingSettings
from defectscape.study.stages import STAGES, find_stage
from support import ROOT
from support.mistakes import mistake


def write(folder: Path, **changes: Any) -> Path:
    """The default study with values at dotted keys replaced."""
    study = deepcopy(DEFAULT_STUDY)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        place: Any = study
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
        place[last] = value
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_default_study_is_valid(tmp_path: Path) -> None:
    assert load_study(write(tmp_path)).study == "cdte"


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    """The default study less some keys, with others."""
    return {key: value for key, value in deepcopy(DEFAULT_STUDY).items() if key not in keys} | deepcopy(changes)


@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_gives_what_is_left_out_and_nothing_that_is_given(effort: Effort) -> None:
    bare = Study.model_validate(without(*SECTIONS, effort=effort))
    for section in SECTIONS:
        for key, value in EFFORTS[effort][section].items():
            held = getattr(getattr(bare, section), key)
            assert value.items() <= held.model_dump().items() if isinstance(value, dict) else held == value
    given = {"exploration": {"training": {"channels": 3}}, "verification": {"most_per_charge": 5}}
    some = Study.model_validate(without(*SECTIONS, effort=effort, **given))
    training = bare.exploration.training.model_copy(update={"channels": 3})
    exploration = bare.exploration.model_copy(update={"training": training})
    verification = bare.verification.model_copy(update={"most_per_charge": 5})
    assert some == bare.model_copy(update={"exploration": exploration, "verification": verification})


def test_a_study_that_says_all_itself_has_no_effort() -> None:
    said = {name: section for name, section in EFFORTS["standard"].items() if name != "selection"}
    own = {"selection": {"initial_per_charge": 12, "test_per_charge": 4, "per_charge_per_round": 3}}
    study = Study.model_validate(without("effort", **said, **own))
    assert study.effort is None
    assert (study.selection.low_per_charge_per_round, study.selection.low_relaxed_minima) == (0, 0)
    # Left out, or with the word, it is the effort's.
    for left in (without("effort", "selection", **said), without(**said, selection={}, effort="standard")):
        assert Study.model_validate(left).selection.low_relaxed_minima == 2
        assert Study.model_validate(left).effort == "standard"


def test_an_effort_is_no_setting_of_a_stage_but_what_it_gives_is() -> None:
    # Only the summary, which prints the study, knows that there is such a word.
    short = Study.model_validate(without(*SECTIONS, effort="quick"))
    said = Study.model_validate(without("effort", **short.model_dump(include=set(SECTIONS))))
    more = Study.model_validate(without(*SECTIONS, effort="quick", training={"steps": 1501}))
    wildcards = {"group": "v_Cd", "round": "1", "level": "low", "chunk": "0", "member": "0", "key": "v_Cd_0"}
    texts = [[stage.settings_text(study, wildcards) for stage in STAGES] for study in (short, said, more)]
    names = [stage.name for stage in STAGES]
    assert [n for n, one, two in zip(names, texts[0], texts[1], strict=True) if one != two] == ["summary"]
    assert [n for n, one, two in zip(names, texts[0], texts[2], strict=True) if one != two] == [
        "train_final",
        "summary",
    ]


@pytest.mark.parametrize(("name", "foreign"), [("Te_Cd", False), ("Cl_Te", True)])
def test_an_antisite_asks_for_no_other_sites_and_a_dopant_does(name: str, foreign: bool) -> None:
    host = {**DEFAULT_STUDY["host"], "file": str(ROOT / DEFAULT_STUDY["host"]["file"])}
    defects = [{"name": "v_Cd", "charges": ["0"]}, {"name": name, "charges": ["0"]}]
    one, two = (Study.model_validate(without(host=host, defects=defects[:count])) for count in (1, 2))
    sites = find_stage("sites")
    assert (sites.settings_text(one, {}) != sites.settings_text(two, {})) == foreign


def test_a_missing_key_of_an_effort_says_so_and_a_wrong_effort_too(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    whole = without("effort", **EFFORTS["quick"])
    del whole["training"]["channels"]
    path.write_text(yaml.safe_dump(whole))
    assert "training.channels" in refused(path)
    assert "or give `effort`, which sets it" in refused(path)
    assert "'quick', 'standard' or 'thorough'" in refused(write(tmp_path, effort="fast"))


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_study_in_full_reads_as_the_same_study(tmp_path: Path, effort: Effort) -> None:
    study = read_study(write(tmp_path, effort=effort))
    path = tmp_path / "full.yaml"
    path.write_text(full_yaml(study))
    assert read_study(path) == study
    assert set(read_yaml(path)["training"]) == set(TrainingSettings.model_fields)


def test_a_typo_names_the_key_that_was_meant(tmp_path: Path) -> None:
    message = refused(write(tmp_path, sampling__bond_distortion=[0.1]))
    assert "sampling.bond_distortion" in message
    assert "Did you mean 'bond_distortions'?" in message


def test_a_typo_within_a_union_or_a_list_is_found(tmp_path: Path) -> None:
    assert "colour" in refused(write(tmp_path, defects__0__colour="red"))
    assert "temperatur" in refused(write(tmp_path, fidelities__low__engine__temperatur=300))


@pytest.mark.parametrize(
    ("charges", "telling"),
    [
        ([2], "write '+2'"),
        (["2"], "sign"),
        (["+9"], "less than or equal to 8"),
        (["0", "0"], "twice"),
        ([1.0], "sign"),
        ([True], "sign"),
        ([], "at least 1"),
    ],
)
def test_bad_charges_are_refused(tmp_path: Path, charges: list[Any], telling: str) -> None:
    assert telling in refused(write(tmp_path, defects__0__charges=charges))


def test_bare_zero_and_negative_charges_carry_their_sign(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, defects__0__charges=[0, -1, -2]))
    assert study.defects[0].charges == [0, -1, -2]


def test_clashing_fidelity_names_are_refused(tmp_path: Path) -> None:
    message = refused(write(tmp_path, fidelities__low__name="ipea1"))
    assert "clash" in message
    assert "ipea1" in message


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = yaml.safe_load(path.read_text())
    del data["thermo"]["correction"]
    path.write_text(yaml.safe_dump(data))
    assert "thermo.correction" in refused(path)


def test_a_study_of_an_earlier_version_may_say_that_networks_see_the_charge(tmp_path: Path) -> None:
    said = write(tmp_path, training__charge_embedding=True, exploration__training__charge_embedding=True)
    study = load_study(said)
    assert study == load_study(write(tmp_path))
    for value in (False, "yes"):
        message = refused(write(tmp_path, training__charge_embedding=value))
        assert "every network sees the charge; remove the key" in message


def test_strict_types_are_not_coerced(tmp_path: Path) -> None:
    assert "search.max_steps" in refused(write(tmp_path, search__max_steps="80"))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("study: [unclosed")
    assert "not valid YAML" in refused(broken)
    broken.write_text("- a\n- b\n")
    assert "mapping" in refused(broken)
    broken.write_text("study: a\nstudy: b\n")
    assert "given twice" in refused(broken)


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "a b", "$(rm)"])
def test_names_that_are_not_safe_in_paths_are_refused(tmp_path: Path, name: str) -> None:
    assert "study" in refused(write(tmp_path, study=name))


def engine(kind: str, **changes: Any) -> dict[str, Any]:
    """Settings of an engine that runs a program."""
    common = {"kind": kind, "functional": "pbe", "command": "program", "kpoints": [1, 1, 1]}
    own: dict[str, dict[str, Any]] = {
        "espresso": {"pseudo_dir": "p", "pseudopotentials": {"Cd": "Cd.upf"}, "cutoff_Ry": 30.0},
        "vasp": {"potcar_dir": "p", "potcars": {"Cd": "Cd"}, "cutoff_eV": 400.0},
    }
    return {**common, **own[kind], **changes}


@pytest.mark.parametrize(
    ("settings", "telling"),
    [
        (engine("espresso", cutoff=3.0), "Did you mean 'cutoff_Ry'"),
        (engine("vasp", cutoff=3.0), "Did you mean 'cutoff_eV'"),
        (engine("espresso", command="'pw.x"), "fidelities.low.engine.command"),
        (engine("vasp", command=" "), "program's name"),
        (engine("espresso", kpoints=[1, 0, 1]), "positive integers"),
        (engine("espresso", functional="hse06", stress=True), "stress of a hybrid"),
        (engine("espresso", keywords={"system": {"tot_charge": 1}}), "follows from the frame"),
        (engine("vasp", incar={"NELECT": 8}), "follows from the frame"),
        (engine("vasp", functional="lda"), "'pbesol'"),
    ],
)
def test_engines_of_programs_are_checked(tmp_path: Path, settings: dict[str, Any], telling: str) -> None:
    message = refused(write(tmp_path, fidelities__low__engine=settings))
    assert telling in message
    assert ".espresso" not in message
    assert ".vasp" not in message


def test_merged_yaml_keys_may_be_given_again_but_not_twice(tmp_path: Path) -> None:
    path = write(tmp_path)
    text = path.read_text()
    assert "seed: 2026" in text
    merged = text.replace("seed: 2026", "<<: {seed: 7}\nseed: 2026")
    path.write_text(merged)
    assert load_study(path).seed == 2026
    path.write_text(text.replace("seed: 2026", "seed: 2026\nseed: 7"))
    assert "twice" in refused(path)


@pytest.mark.parametrize("text", ["1e-2", "1E-2", "1.0e-2", ".1e-1", "+1e-2", "0.1e-1", "1_0e-3"])
def test_numbers_as_people_write_them_are_numbers(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, training__learning_rate=0.5)
    path.write_text(path.read_text().replace("learning_rate: 0.5", f"learning_rate: {text}"))
    assert load_study(path).training.learning_rate == pytest.approx(0.01)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_way_to_print_a_number_is_read_as_it(value: float) -> None:
    for text in (repr(value), f"{value:e}", f"{value:.17E}", f"{value:g}"):
        found = yaml.load(text, Loader=_UniqueKeyLoader)
        assert not isinstance(found, str)
        assert float(found) == float(text)


@pytest.mark.parametrize("text", ["e5", "1e", "1e5a", "v_Cd", "1.e", "--1e5", "1-2", "'1e5'"])
def test_what_is_no_number_stays_text(text: str) -> None:
    assert isinstance(yaml.load(text, Loader=_UniqueKeyLoader), str)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_setting_is_nan_or_infinite(tmp_path: Path, value: float) -> None:
    assert "finite" in refused(write(tmp_path, thermo__concentrations__dopant_cm3=value))


@pytest.mark.parametrize("value", [-40.0, 40.0, -1.0, 1.0, 20])
def test_percentages_are_no_fractions(tmp_path: Path, value: float) -> None:
    told = f"write {value / 100:g} for {value:g}%"
    assert told in refused(write(tmp_path, sampling__bond_distortions=[-0.2, value]))
    assert told in refused(write(tmp_path, sampling__relaxed_toward=[value]))


@pytest.mark.parametrize(
    ("tensor", "telling"),
    [
        (10.3, "three rows of three numbers"),
        ([10.3, 10.3, 10.3], "three rows of three numbers"),
        ([[2.0, 5.0, 0.0], [5.0, 2.0, 0.0], [0.0, 0.0, 10.3]], "principal value -3"),
        ([[0.9, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]], "principal value 0.9"),
        ([[5.0, 1.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]], "differ by 1"),
        ([[float("nan"), 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]], "finite"),
    ],
)
def test_what_is_no_dielectric_tensor(tmp_path: Path, tensor: object, telling: str) -> None:
    assert telling in refused(write(tmp_path, thermo__correction__dielectric=tensor))


@given(
    st.lists(st.floats(1.0, 1000.0), min_size=3, max_size=3),
    st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1),
    st.lists(st.floats(-4e-4, 4e-4), min_size=9, max_size=9),
)
def test_a_crystals_tensor_is_taken_in_any_axes_and_with_rounding(
    principal: list[float], quaternion: list[float], noise: list[float]
) -> None:
    axes = Rotation.from_quat(quaternion).as_matrix()
    exact = axes @ np.diag([value + 0.01 for value in principal]) @ axes.T
    skew = np.reshape(noise, (3, 3)) * np.abs(exact).max()
    given_rows = (exact + (skew - skew.T) / 2).tolist()
    settings = DielectricSettings(dielectric=given_rows)
    np.testing.assert_allclose(settings.tensor, exact, atol=1e-12 * np.abs(exact).max())


@pytest.mark.parametrize(
    ("limits", "telling"),
    [
        ({"Zn-rich": {"Zn": 0.0, "Te": -1.0}}, "Zn has no elemental reference"),
        ({"x": {"Cd": 1.0, "Te": -2.5}}, "Cd is 1 eV above its reference"),
        ({"limits": {"Cd-CdTe": {"Cd": -1.0}}, "elemental_refs": {"Cd": -1.0}}, "limits_wrt_el_refs"),
    ],
)
def test_limits_that_cannot_be(tmp_path: Path, limits: object, telling: str) -> None:
    assert telling in refused(write(tmp_path, thermo__chemical_potentials=limits))


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("v_Cd Td", "write v_Cd;"),
        ("Cd_i-Td", "write i_Cd;"),
        ("Te_Cd_", "write Te_Cd;"),
        ("?", "letters"),
    ],
)
def test_names_that_cannot_be_ours_are_told(tmp_path: Path, name: str, telling: str) -> None:
    assert telling in refused(write(tmp_path, defects__0__name=name))


def test_numbers_that_people_write_wrongly(tmp_path: Path) -> None:
    percent = refused(write(tmp_path, sampling__bond_distortions=[-40, 40]))
    mistake("study", "`bond_distortions: [-40, 40]`", said=percent, when="load", right="fractions: -0.4, 0.4")
    path = write(tmp_path, training__learning_rate=0.5)
    path.write_text(path.read_text().replace("learning_rate: 0.5", "learning_rate: 1e-2"))
    rate = load_study(path).training.learning_rate
    mistake("study", "`learning_rate: 1e-2`, which is a text in YAML", said="", when="load", right=f"taken as {rate:g}")
    path = write(tmp_path, thermo__concentrations__dopant_cm3=float("nan"))
    assert ".nan" in path.read_text()
    mistake("study", "`.nan` or `.inf` as a setting", said=refused(path), when="load", right="a number")
    other = refused(write(tmp_path, defects__0__charges=[2]))
    mistake("study", "`charges: [2]`", said=other, when="load", right="every charge but 0 with its sign")
    typo = refused(write(tmp_path, sampling__bond_distortion=[0.1]))
    mistake("study", "a typo in a key, `bond_distortion`", said=typo, when="load")
    path.write_text("study: a\nstudy: b\n")
    mistake("study", "a key given twice in the file", said=refused(path), when="load")


def test_dielectric_tensors_that_people_write(tmp_path: Path) -> None:
    def said(tensor: object) -> str:
        return refused(write(tmp_path, thermo__correction__dielectric=tensor))

    number = (said(10.3), said([10.3, 10.3, 10.3]))
    mistake("study", "`dielectric: 10.3`, or three numbers", said=number, when="load", right="a tensor")
    less = said([[0.9, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    mistake("study", "dielectric tensor with a principal value below 1", said=less, when="load")
    skew = said([[5.0, 1.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
    mistake("study", "dielectric tensor that is not symmetric", said=skew, when="load")
    rounded = [[5.0, 0.004, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]]
    tensor = load_study(write(tmp_path, thermo__correction__dielectric=rounded)).thermo.correction.tensor
    assert tensor[0, 1] == tensor[1, 0] == pytest.approx(0.002)
    mistake(
        "study",
        "dielectric tensor asymmetric by rounding (up to 0.1% of its largest element)",
        said="",
        when="load",
        right="its symmetric part is taken",
    )


def test_limits_that_people_give(tmp_path: Path) -> None:
    def said(limits: object) -> str:
        return refused(write(tmp_path, thermo__chemical_potentials=limits))

    above = said({"x": {"Cd": 1.0, "Te": -2.5}})
    mistake("study", "chemical potential above its reference", said=above, when="load")
    other = said({"Zn-rich": {"Zn": 0.0, "Te": -1.0}})
    mistake("study", "limits of elements without a reference", said=other, when="load", right="the host's elements")
    doped = said({"limits": {"Cd-CdTe": {"Cd": -1.0}}, "elemental_refs": {"Cd": -1.0}})
    mistake("study", "doped's dictionary of limits", said=doped, when="load")


def test_references_that_people_give(tmp_path: Path) -> None:
    def said(**reference: object) -> str:
        return refused(write(tmp_path, thermo__elemental_references__Cd=reference))

    energy = said(file="Cd.vasp", energy_eV_per_atom=-1.0)
    mistake("hosts", "a reference's energy without its source", said=energy, when="load", right="both, or neither")
    both = said(energy_eV_per_atom=-1.0, source="me", multiplicity=3)
    mistake("hosts", "a reference's energy with a multiplicity", said=both, when="load")
    triplet = refused(write(tmp_path, host__multiplicity=3))
    right = "1, or engines that tell spins apart and multiplicities of every charge state"
    mistake("hosts", "`host.multiplicity: 3` with tblite", said=triplet, when="load", right=right)


@pytest.mark.parametrize("text", ["0400", "1:30", "0x1F", "0b11", "1:30.5", "-010", "08"])
def test_numbers_of_other_bases_are_never_taken_for_others(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.yaml").write_text(f"steps: {text}\n")
    assert read_yaml(tmp_path / "one.yaml") == {"steps": text}


def test_quotes_that_are_missing_or_too_many_are_told(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = (ROOT / "config/config.yaml").read_text(encoding="utf-8")
    for old, new, telling in (
        ("study: cdte", "study: no", "study: False.*write it in quotes"),
        ("study: cdte", "study: 2026", "study: 2026.*write it in quotes"),
        ("seed: 2026", 'seed: "2026"', "seed: '2026'.*without quotes"),
        ("ccd:", "training: {steps: 400.0}\nccd:", "steps.*400.0.*without a point or exponent"),
        ("study: cdte", "\tstudy: cdte", "not valid YAML.*YAML takes no tabs"),
        ("ccd:", "training: {learning_rate: 1d-2}\nccd:", "learning_rate: '1d-2'.*write it as 0.01, 1e-2"),
    ):
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigError, match=telling):
            load_study(path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_study_in_another_encoding_is_told_to_be_saved_as_utf_8(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "study.yaml").write_text("# Für Å\nstudy: cdte\n", encoding=encoding)
    with pytest.raises(ConfigError, match=r"not UTF-8 text.*save it as UTF-8"):
        load_study(tmp_path / "study.yaml")
