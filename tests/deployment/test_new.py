"""`defectscape new` writes a study that is whole in its folder; `defectscape run` gives snakemake its words."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Poscar
from typer.testing import CliRunner

from defectscape.cli.app import app
from defectscape.cli.new import EXAMPLES
from defectscape.cli.run import snakemake_words
from defectscape.domain.errors import ConfigError, DefectscapeError, EngineError
from defectscape.domain.frame import Frame
from defectscape.sampling.charge_states import propose_charges
from defectscape.sampling.dopants import dopants
from defectscape.sampling.host import build_host, host_frame
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import enumerate_sites
from defectscape.settings.load import load_study, read_study
from defectscape.settings.paths import input_files
from defectscape.settings.structure import SupercellSettings
from defectscape.tools import hamiltonians
from defectscape.tools.hamiltonians import METHODS, Trial, choose_pair, find_pair
from support import ROOT
from support.small_study import small_study, write_study


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> str:
    return CliRunner().invoke(app, ["new", *words], catch_exceptions=False).output


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_all_its_files_beside_it(here: Path, name: str) -> None:
    new("--example", name, "my")
    study = here / "my/study.yaml"
    written, original = read_study(study), read_study(ROOT / "config" / EXAMPLES[name])
    for mine, source in zip(input_files(written), input_files(original), strict=True):
        assert (here / "my" / mine).read_bytes() == (ROOT / source).read_bytes()
    # Nothing but the places of files is another.
    places = {"host", "thermo"}
    assert written.model_dump(exclude=places) == original.model_dump(exclude=places)
    loaded = load_study(Path("my/study.yaml"))
    assert loaded.host.file.is_file()
    assert loaded.label_store == "my" / original.label_store
    text = study.read_text()
    assert "config/" not in text
    schema = text.partition("$schema=")[2].split()[0]
    assert (here / "my" / schema).read_text() == (ROOT / "config/schema.json").read_text()
    assert (here / "my/KEYS.md").read_text() == (ROOT / "config/README.md").read_text()


@pytest.mark.parametrize("theirs", ["study.yaml", "hosts/CdTe.vasp"])
def test_nothing_is_overwritten(here: Path, theirs: str) -> None:
    (here / "my" / theirs).parent.mkdir(parents=True)
    (here / "my" / theirs).write_text("mine")
    with pytest.raises(ConfigError, match=theirs):
        new("--example", "cdte", "my")
    assert [p for p in (here / "my").rglob("*") if p.is_file()] == [here / "my" / theirs]
    assert (here / "my" / theirs).read_text() == "mine"


@pytest.mark.parametrize("words", [["--example", "cdt", "my"], ["my"]])
def test_a_wrong_name_is_told_the_right_ones(here: Path, words: list[str]) -> None:
    with pytest.raises(ConfigError, match=", ".join(EXAMPLES)):
        new(*words)
    assert not (here / "my").exists()


@pytest.fixture(scope="module")
def poscar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The primitive cell of GaAs."""
    path = tmp_path_factory.mktemp("host") / "POSCAR"
    primitive = Structure.from_file(ROOT / "config/hosts/GaAs.vasp").get_primitive_structure()
    Poscar(primitive).write_file(path)
    return path


def proposed_defects(text: str) -> dict[str, list[str]]:
    """Names and charges of the defects that a study has, and of those in its comments."""
    found = re.findall(r"^  (?:# )?- \{name: (\w+), charges: \[(.*)\]\}", text, re.MULTILINE)
    return {name: charges.replace('"', "").split(", ") for name, charges in found}


def test_a_crystal_becomes_a_study_that_can_run(here: Path, poscar: Path) -> None:
    said = new("gaas", "--host", str(poscar), "--image-distance", "7.5", "--dopants", "Se")
    text = (here / "gaas/study.yaml").read_text()
    assert f"defectscape check {Path('gaas/study.yaml')}" in said
    assert f"defectscape run {Path('gaas/study.yaml')}" in said
    assert (here / "gaas/POSCAR").read_bytes() == poscar.read_bytes()
    bare = [line for line in text.splitlines() if "#" not in line and not line.endswith(":")]
    assert bare == []
    assert len(text.splitlines()) <= 50
    study = read_study(here / "gaas/study.yaml")
    assert (study.study, study.effort, study.host.relax) == ("gaas", "quick", "none")
    # What did not converge is in neither level, and is told.
    methods = {study.fidelities.low.engine.method, study.fidelities.high.engine.method}
    converge = set(re.findall(r"(\S+) converges: ", said))
    assert len(methods) == 2
    assert methods <= converge
    # doped's: a vacancy from its ion's charge to one beyond neutral; an antisite between the ions' charges at least.
    defects = proposed_defects(text)
    assert defects["v_Ga"] == ["+1", "0", "-1", "-2", "-3"]
    assert defects["v_As"] == ["+3", "+2", "+1", "0", "-1"]
    assert {"0", "-6"} <= set(defects["As_Ga"])
    assert {"0", "+6"} <= set(defects["Ga_As"])
    assert [defect.name for defect in study.defects] == ["v_As", "v_Ga", "As_Ga", "Ga_As", "Se_As", "Se_Ga"]
    assert any(name.startswith("i_Ga") for name in defects)
    # Selenium is a donor on arsenic, and its reference and what bounds it are thought of.
    assert {"+1", "0"} <= set(defects["Se_As"])
    assert "Se on As -3: " in text
    assert any(name.startswith("i_Se") for name in defects)
    assert study.thermo.elemental_references["Se"].file == Path("elements/Se.vasp")
    assert "the stable compounds of Se with As, Ga" in text
    assert "no competing phase holds Se" in said
    checked = CliRunner().invoke(app, ["check", "gaas/study.yaml"], catch_exceptions=False).output
    assert "gaas: valid" in checked
    # All are named as the host has them, with the charges that the check proposes: the first and the last one.
    table = re.findall(r"^ {12}(\w+) .* ([-+0]\d*) to ([-+0]\d*)$", checked, re.MULTILINE)
    assert {name: (last, first) for name, last, first in table} == {
        name: (charges[-1], charges[0]) for name, charges in defects.items()
    }
    full = CliRunner().invoke(app, ["check", "--full", "gaas/study.yaml"], catch_exceptions=False).output
    (here / "gaas/full.yaml").write_text(full)
    assert read_study(here / "gaas/full.yaml") == read_study(here / "gaas/study.yaml")
    with pytest.raises(ConfigError, match=r"study.yaml already"):
        new("gaas", "--host", str(poscar))


def test_a_dopant_with_an_open_shell_is_a_comment(here: Path, poscar: Path) -> None:
    """The check refuses it until its spin is stated; its reference is magnetic, so the energy is to fill in."""
    said = new("mn", "--host", str(poscar), "--image-distance", "7.5", "--dopants", "Mn,Zn", "--engine", "vasp")
    text = (here / "mn/study.yaml").read_text()
    assert re.search(r"^  # - \{name: Mn_Ga, .*host\.multiplicity", text, re.MULTILINE)
    assert re.search(r"^  - \{name: Zn_Ga, .*on Ga \+3: \+2 gives -1", text, re.MULTILINE)
    assert "thermo.elemental_references.Mn" in said
    assert "Mn: {energy_eV_per_atom: FILL_IN" in text
    potcars = re.search("potcars: {(.*)}", text)[1]
    assert [entry.split(":")[0] for entry in potcars.split(", ")] == ["As", "Ga", "Mn", "Zn"]
    assert (here / "mn/elements/Zn.vasp").is_file()


FILLED = {
    "vasp": {"potcar_dir": "potcars", "cutoff_eV": "400.0"},
    "espresso": {"pseudo_dir": "pseudos", "cutoff_Ry": "60.0", "pseudopotentials": "{Ga: Ga.upf, As: As.upf}"},
    "ase": {"calculator": "gpaw.GPAW", "method": "PBE", "charge": "charge", "multiplicity": "none"},
}


@pytest.mark.parametrize("engine", FILLED)
def test_what_only_the_user_knows_is_to_fill_in(here: Path, poscar: Path, engine: str) -> None:
    said = new("my", "--host", str(poscar), "--engine", engine, "--effort", "thorough", "--image-distance", "7.5")
    path = here / "my/study.yaml"
    with pytest.raises(ConfigError, match="FILL_IN") as refused:
        load_study(path)
    told = re.search("fill in:\n((?: +(?:fidelities|thermo)\\..*\n)+)", said)[1].split()
    assert told
    for key in told:
        assert key in str(refused.value)
    text = path.read_text()
    for key, value in FILLED[engine].items():
        text = re.sub(rf"(?<= {key}: )(FILL_IN|\{{.*FILL_IN.*\}})", value, text)
    path.write_text(text.replace("FILL_IN", "[[12.9, 0, 0], [0, 12.9, 0], [0, 0, 12.9]]"))
    study = load_study(path)
    assert study.effort == "thorough"
    assert study.fidelities.low.engine.kind == study.fidelities.high.engine.kind == engine
    assert study.thermo.correction.kind == ("point_charge" if engine == "ase" else "efnv")
    assert len(study.thermo.elemental_kpoints) == (0 if engine == "ase" else 2)


RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])


@pytest.mark.parametrize(
    ("crystal", "defect", "charges", "reason"),
    [
        (RUTILE, "v_O", (2, 1, 0, -1), "O is -2"),
        (RUTILE, "v_Ti", (1, 0, -1, -2, -3, -4), "Ti is +4"),
        (SILICON, "v_Si", (1, 0, -1), "Si is neutral in the host"),
        (SILICON, "P_Si", (1, 0, -1), "P has 1 more outer electrons"),
        (SILICON, "Zn_Si", (1, 0, -1, -2), "Zn has 2 fewer outer electrons"),
        (SILICON, "Ge_Si", (1, 0, -1), "Ge has as many outer electrons"),
    ],
)
def test_charge_states_are_doped_s_with_the_reason(
    crystal: Structure, defect: str, charges: tuple[int, ...], reason: str
) -> None:
    supercell = SupercellSettings(matrix=[[1, 0, 0], [0, 1, 0], [0, 0, 1]], min_image_distance_A=2.0)
    host = build_host(crystal, supercell)
    sites = enumerate_sites(host, extrinsic=dopants(host.numbers, [defect]))
    (found,) = propose_charges(host, [pick_site(sites, defect)])
    assert found.charges == charges
    assert reason in found.reason


def test_the_pair_of_hamiltonians_is_of_those_that_converge() -> None:
    one, two, three = Trial("GFN1-xTB", 0.9, 2.0), Trial("GFN2-xTB", 0.5, 1.0), Trial("IPEA1-xTB", 1.4, 3.0)
    assert choose_pair((one, two, three)) == (two, three)
    # The high level alone computes the elements.
    no_reference = replace(three, reference_failure="Ga (no)")
    assert choose_pair((one, two, no_reference)) == (two, one)
    assert choose_pair((replace(one, reference_failure="Ga (no)"), two, replace(three, failure="no")))[1] == two
    alone = (one, replace(two, failure="no SCF"), replace(three, failure="no SCF"))
    for trials in (alone, [replace(trial, reference_failure="Ga (no SCF)") for trial in (one, two)]):
        with pytest.raises(EngineError, match=r"no SCF.*larger supercell.*--engine"):
            choose_pair(trials)
    with pytest.raises(EngineError, match="Without a gap"):
        choose_pair((Trial("GFN1-xTB", 0.0, 1.0), Trial("GFN2-xTB", 0.01, 1.0)))


def test_a_large_supercell_is_left_to_the_two_that_a_small_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three are tried on it only where one of those two fails there."""
    small, large = (
        host_frame(build_host(SILICON, SupercellSettings(matrix=np.diag(times).tolist(), min_image_distance_A=3.0)))
        for times in ([1, 1, 1], [2, 1, 1])
    )
    gaps_eV = {"GFN1-xTB": 0.9, "GFN2-xTB": 1.5, "IPEA1-xTB": 1.2}
    fails: set[str] = set()
    tried: list[tuple[str, int, int]] = []

    def fake(method: str, host: Frame, references: dict[str, Frame], attempts: int | None) -> Trial:
        tried.append((method, len(host), len(references)))
        failure = "no SCF" if method in fails and host is large else None
        return Trial(method, None if failure else gaps_eV[method], float(len(method)), failure)

    monkeypatch.setattr(hamiltonians, "_try", fake)
    trials, low, high = find_pair(large, small, {"Si": small})
    assert (low.method, high.method) == ("GFN1-xTB", "GFN2-xTB")
    assert trials == (low, high)
    assert [atoms for _, atoms, _ in tried] == [8, 8, 8, 16, 16]
    tried.clear()
    fails.add("GFN2-xTB")
    _, low, high = find_pair(large, small, {"Si": small})
    assert (low.method, high.method) == ("GFN1-xTB", "IPEA1-xTB")
    # The references of the new pair are tried, too.
    assert tried[-3:] == [(method, 16, 1) for method in METHODS]


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (["--engine", "siesta"], "tblite, espresso, vasp, ase"),
        (["--effort", "fast"], "quick, standard, thorough"),
        (["--example", "cdte"], "Give one"),
        (["--dopants", "Cl,Xx"], "dopant: 'Xx'. Give chemical symbols"),
        (["--dopants", "Ga"], "Ga is an element of the host"),
        (["--dopants", "Fr"], "tight binding has no parameters for Fr"),
    ],
)
def test_what_cannot_be_proposed_is_refused(here: Path, poscar: Path, words: list[str], telling: str) -> None:
    with pytest.raises(DefectscapeError, match=telling):
        new("my", "--host", str(poscar), *words)
    with pytest.raises(ConfigError, match="Name the folder"):
        new("my study", "--host", str(poscar))
    assert not (here / "my").exists()


def test_a_study_of_its_own_folder_runs_there(here: Path) -> None:
    new("--example", "cdte", "my")
    words = snakemake_words(Path("my/study.yaml"), ["-n", "report"], 2)
    assert words[:2] == ["--snakefile", str(ROOT / "Snakefile")]
    assert words[2:] == [
        "--config",
        "study=study.yaml",
        "--directory",
        "my",
        "--cores",
        "2",
        "-n",
        "report",
    ]
    # Told another directory, snakemake has to find the study from there.
    words = snakemake_words(Path("my/study.yaml"), ["--directory", "other"])
    assert f"study={here / 'my/study.yaml'}" in words
    assert words.count("--directory") == 1


def test_a_study_of_a_clone_runs_in_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    words = snakemake_words(Path("config/config.yaml"), results=tmp_path)
    assert words[2:] == [
        "--config",
        "study=config/config.yaml",
        f"results={tmp_path}",
        "--cores",
        "all",
    ]


def test_settings_given_to_snakemake_keep_the_study(here: Path) -> None:
    study = write_study(small_study(), here)
    for given in (["--config", "results=x"], ["-C", "results=x"], ["--config=results=x"]):
        words = snakemake_words(study, [*given, "-n"])
        place = words.index("--config")
        assert words[place:] == ["--config", f"study={study}", "results=x", "-n"]
        assert words.count("--config") == 1


def test_a_profile_says_how_many_jobs_there_are(here: Path) -> None:
    study = write_study(small_study(), here)
    words = snakemake_words(study, profile="sge")
    assert words[words.index("--profile") + 1] == str(ROOT / "profiles/sge")
    assert "--cores" not in words
    assert "--cores" not in snakemake_words(study, ["--profile=mine"])
    assert "--cores" in snakemake_words(study, profile="sge", cores=1)
    assert snakemake_words(study, profile="mine")[-1] == "mine"


def test_the_words_and_the_end_are_snakemake_s(here: Path) -> None:
    """A target that no rule makes: the check passes, the command is shown, snakemake ends with 1."""
    write_study(small_study(), here)
    done = subprocess.run(
        [sys.executable, "-m", "defectscape", "run", "study.yaml", "--", "-n", "no-such-file"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    command = f"snakemake --snakefile {ROOT / 'Snakefile'} --config study=study.yaml --cores all -n no-such-file"
    assert command in done.stdout
    assert "MissingRuleException" in done.stdout


@pytest.mark.parametrize("name", ["cluster-generic", "sge"])
def test_a_profile_finds_its_script_from_any_folder(here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake.profiles import ProfileConfigFileParser

    with (ROOT / "profiles" / name / "config.yaml").open() as file:
        options = ProfileConfigFileParser().parse(file)
    assert os.access(options["cluster-generic-status-cmd"], os.X_OK)
