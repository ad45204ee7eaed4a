"""The conda files and the container agree with the packages that pip installs, and every rule has one."""

import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from defectscape.study.stage import WHOLE, Stage
from defectscape.study.stages import find_stage
from support import ROOT

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
