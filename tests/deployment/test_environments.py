"""Environments of the rules and of a foundation potential, and the cores that `make` uses."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.io import read
from packaging.requirements import Requirement
from packaging.version import Version

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.labelling import label_frame
from defectscape.engines.registry import make_engine
from defectscape.files.atoms import to_atoms
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore
from defectscape.study.stage import WHOLE, Stage
from defectscape.study.stages import find_stage
from support import ROOT
from support.small_study import small_study, write_study

# The conda files and the container agree with the packages that pip installs, and every rule has one.


ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
# conda's name: PyPI's name
RENAMED = {"matplotlib-base": "matplotlib", "pytorch": "torch", "tblite-python": "tblite"}
CALCULATORS = {"sevennet": "requirements-sevennet.lock"}
"""Environments that no rule runs in, but a calculator of the `ase` engine, and their own lock files."""
ONLY_CONDA = {"python", "pip", "qe"}


def locked(name: str) -> dict[str, Version]:
    """What `make` installs from a lock file."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): Version(version) for name, version in pairs}


def requirements(path: Path) -> list[str]:
    content = yaml.safe_load(path.read_text())
    words: list[str] = []
    for item in content["dependencies"]:
        words += item["pip"] if isinstance(item, dict) else [item]
    return words


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_versions_are_those_of_the_lock_file(path: Path) -> None:
    known = locked(CALCULATORS.get(path.stem, "requirements.lock"))
    for words in requirements(path):
        name, _, bounds = words.partition(" ")
        name = RENAMED.get(name, name)
        if name in ONLY_CONDA or name in ("torch", "torch-ema"):
            continue
        # conda's `=3.2` is pip's `==3.2.*`.
        bounds = re.sub(r"^=(?!=)(.*)$", r"==\1.*", bounds.strip())
        version = known[name.lower().replace("_", "-")]
        assert Requirement(f"{name}{bounds}").specifier.contains(version), (words, version)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_channels_are_free_of_licences_that_bind(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["channels"] == ["conda-forge", "nodefaults"]


def test_every_rule_has_an_environment() -> None:
    names = {path.name for path in ENVIRONMENTS if path.stem not in CALCULATORS}
    used = set()
    for path in RULES:
        text = path.read_text()
        for block in re.split(r"^(?=rule )", text, flags=re.MULTILINE)[1:]:
            found = re.findall(r'"\.\./\.\./envs/(\w+\.yaml)"', block)
            assert len(found) == 1, f"{path.name}: {block.splitlines()[0]}"
            used.add(found[0])
    assert used == names


@pytest.mark.parametrize("name", CALCULATORS.values())
def test_environments_share_versions_where_they_can(name: str) -> None:
    """What differs is what the environment is for: every other package is downloaded once for all."""
    ours, theirs = locked("requirements.lock"), locked(name)
    differing = {package for package in ours.keys() & theirs.keys() if ours[package] != theirs[package]}
    assert differing == {"e3nn"}


IMPORT = """
import importlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
for module in {modules}:
    importlib.import_module(module)
"""


def stages_by_environment() -> dict[str, list[Stage]]:
    """The stages whose rules run in each environment."""
    found: dict[str, list[Stage]] = defaultdict(list)
    for path in RULES:
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            name = re.findall(r'"\.\./\.\./envs/(\w+)\.yaml"', block)[0]
            found[name] += [find_stage(stage) for stage in re.findall(r" stage (\w+)", block)]
    return found


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_stages_import_nothing_that_their_environment_lacks(path: Path) -> None:
    """The whole stage must be there: a rule that ends at an import has waited for its inputs for nothing."""
    names = {words.partition(" ")[0] for words in requirements(path)}
    modules = sorted({f"defectscape.stages.{s.function.partition(':')[0]}" for s in stages_by_environment()[path.stem]})
    missing = {"torch", "mace", "e3nn"} if "pytorch" not in names else set()
    code = IMPORT.format(missing=missing or "()", modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]


def test_stages_that_make_engines_have_the_embedded_one() -> None:
    """Whoever loads a model over a prior makes the prior's engine, too."""
    made = ("prior", "fidelities", "fidelities.low", "fidelities.high", "fidelities.high.engine")
    for name, stages in stages_by_environment().items():
        names = {words.partition(" ")[0] for words in requirements(ROOT / f"envs/{name}.yaml")}
        for stage in stages:
            blocks = {item if isinstance(item, str) else item.block for item in stage.reads}
            if blocks & {*made, WHOLE}:
                assert "tblite-python" in names, f"{stage.name} in {name}"


def test_the_container_has_what_ci_installs() -> None:
    container = (ROOT / "envs/Containerfile").read_text()
    for package in ("quantum-espresso", "cp2k-data", "libopenblas0-serial"):
        assert package in container
    for source in re.findall(r"^COPY (.+) \S+$", container, flags=re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert Requirement(f"python{python}").specifier.contains("3.11")


# `make run` uses the cores that there are.


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not tell")
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT"])
def test_all_cores_are_used_whatever_openmp_is_told(name: str) -> None:
    # nproc listens to both; many users and clusters set the first to 1.
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        pytest.skip("there is one core")
    # What `make test CORES=8` was told would reach the inner make, too.
    told = {"CORES", "MAKEFLAGS", "MFLAGS"}
    environment = {k: v for k, v in os.environ.items() if k not in told} | {name: "1"}
    shown = subprocess.run(
        ["make", "--dry-run", "run"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"defectscape run config/config.yaml --cores {cores}\n" in shown.stdout


# With ``--sdm conda`` the rules run this package from its sources, in environments that lack it.
#
# Stand-ins take conda's place, since channels are no package registry that every machine reaches: an
# "environment" is a virtual one that sees the libraries of this interpreter, but not the package. Whether
# conda can solve ``envs/*.yaml`` is not tested here.


CONDA = """#!{python}
import pathlib, subprocess, sys
words = sys.argv[1:]
if words[:1] == ["info"]:
    print('{{"conda_prefix": "{prefix}", "platform": "linux-64"}}')
elif words[:1] == ["--version"]:
    print("conda 24.11.0")
elif words[:1] == ["config"]:
    print('{{"get": {{"channel_priority": "strict"}}}}')
elif "create" in words:
    place = pathlib.Path(next(w.partition("=")[2] or words[i + 1] for i, w in enumerate(words)
                              if w.startswith(("--prefix", "-p"))).strip('"'))
    subprocess.run(["{python}", "-m", "venv", "--without-pip", str(place)], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text("{libraries}\\n")
elif words[:1] != ["clean"]:
    sys.exit(f"unexpected: {{words}}")
"""


@pytest.fixture
def conda(tmp_path: Path) -> dict[str, str]:
    """Surroundings with a stand-in for conda."""
    prefix = tmp_path / "conda"
    (prefix / "bin").mkdir(parents=True)
    program = prefix / "bin/conda"
    program.write_text(CONDA.format(python=sys.executable, prefix=prefix, libraries=sysconfig.get_path("purelib")))
    program.chmod(0o755)
    # What is installed beside snakemake must not be what runs.
    outer = prefix / "bin/defectscape"
    outer.write_text("#!/bin/sh\necho the outer defectscape ran >&2\nexit 1\n")
    outer.chmod(0o755)
    (prefix / "bin/activate").write_text('export PATH="$1/bin:$PATH"\n')
    path = f"{prefix / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**others, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.mark.deployment
def test_rules_run_from_the_sources(tmp_path: Path, conda: dict[str, str]) -> None:
    write_study(small_study(), tmp_path)
    target = "results/small/host/host.json"
    done = subprocess.run(
        [
            "snakemake",
            "--snakefile",
            ROOT / "Snakefile",
            "--cores",
            "1",
            target,
            "--sdm",
            "conda",
            "--config",
            "study=study.yaml",
        ],
        cwd=tmp_path,
        env=conda,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / target).is_file()
    (environment,) = (tmp_path / ".snakemake/conda").glob("*_")
    python = environment / "bin/python"
    without = subprocess.run([python, "-c", "import defectscape"], cwd=tmp_path, env=conda, check=False)
    assert without.returncode == 1, "the environment has the package, so this test shows nothing"
    subprocess.run([python, "-c", "import pymatgen"], cwd=tmp_path, check=True)


@pytest.mark.deployment
def test_the_wrapper_takes_the_first_python(tmp_path: Path) -> None:
    seen = tmp_path / "python"
    seen.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\n')
    seen.chmod(0o755)
    done = subprocess.run(
        [ROOT / "workflow/bin/defectscape", "check", "a study.yaml"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": "/elsewhere"},
    )
    assert done.stdout.strip() == f"{ROOT / 'src'}:/elsewhere -m defectscape check a study.yaml"


# A foundation potential in the environment that `make setup-sevennet` makes, as docs/engines.md says.


DIRECTLY = """
import json, sys
from ase.io import read
from sevenn.calculator import SevenNetCalculator
atoms = read(sys.argv[1])
atoms.calc = SevenNetCalculator(model="7net-0", device="cpu")
print(json.dumps([float(atoms.get_potential_energy()), atoms.get_forces().tolist()]))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The environment's interpreter; made again only if its lock file is newer."""
    subprocess.run(["make", "setup-sevennet", f"PYTHON={sys.executable}"], cwd=ROOT, check=True)
    return ROOT / ".venv-sevennet/bin/python"


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A potential that asked a hub, or weights that it left in the home folder, would fail."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))


def engine_of_the_page(python: Path) -> dict[str, object]:
    """What docs/engines.md has people write, with this interpreter."""
    blocks = re.findall(r"```yaml\n(engine: .*?)```", (ROOT / "docs/engines.md").read_text(), flags=re.DOTALL)
    (engine,) = (values for block in blocks if "sevenn" in str(values := yaml.safe_load(block)["engine"]))
    assert engine["python"] == str(python.relative_to(ROOT))
    return {**engine, "python": str(python)}


@pytest.fixture
def frame() -> Frame:
    """A rattled cell of CdTe that lacks a Cd, charged."""
    atoms = read(ROOT / "config/hosts/CdTe.vasp")
    atoms.rattle(0.06, seed=4)
    del atoms[0]
    charge = -1
    spin = lowest_multiplicity(atoms.numbers, charge)
    return Frame(
        atoms.numbers, atoms.positions, atoms.cell[:], DefectKey("v_Cd", charge), spin, Origin.RATTLE, "v_Cd/x"
    )


@pytest.mark.usefixtures("_no_network")
@pytest.mark.deployment
def test_its_labels_are_the_calculator_s(python: Path, frame: Frame, tmp_path: Path) -> None:
    to_atoms(frame).write(tmp_path / "frame.json")
    command = [python, "-I", "-W", "ignore", "-c", DIRECTLY, tmp_path / "frame.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    energy_eV, forces_eV_A = json.loads(done.stdout.splitlines()[-1])

    engine = make_engine(AseSettings.model_validate(engine_of_the_page(python)))
    record = label_frame(frame, engine, LabelStore(tmp_path / "labels"), 30.0)
    assert record.label is not None, record.failure
    # In single precision, of the whole cell.
    assert record.label.energy_eV == pytest.approx(energy_eV, abs=1e-4)
    np.testing.assert_allclose(record.label.forces_eV_A, forces_eV_A, atol=1e-5)
    assert record.label.fmax_eV_A > 0.1
    assert record.engine_version == "sevenn 0.13.0"
    assert "python" not in json.loads(record.settings)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.deployment
def test_it_is_found_to_know_no_charge(python: Path, frame: Frame, tmp_path: Path) -> None:
    told = {**engine_of_the_page(python), "charge": "info.charge", "charge_blind": False}
    with pytest.raises(EngineError, match="the same energy"):
        label_frame(frame, make_engine(AseSettings.model_validate(told)), LabelStore(tmp_path), 30.0)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.deployment
def test_a_study_with_it_is_checked(python: Path, tmp_path: Path) -> None:
    study = small_study()
    study["fidelities"]["low"]["engine"] = engine_of_the_page(python)
    path = write_study(study, tmp_path)
    command = [sys.executable, "-m", "defectscape", "check", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "knows no charge (charge_blind)" in done.stdout
    study["fidelities"]["low"]["engine"]["python"] = "nowhere/bin/python"
    command[-1] = str(write_study(study, tmp_path))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere/bin/python: there is no such file. Give the path of an interpreter" in done.stderr
