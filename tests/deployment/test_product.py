"""The product as others have it: the wheel alone, and the workflow as a part of somebody else's."""

import os
import stat
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from support import ROOT
from support.small_study import small_study, write_study

pytestmark = pytest.mark.deployment


# The wheel is the product: what is in it, and a study that begins and is planned with nothing else.


MOST_BYTES = 900_000
"""Of the wheel; it had 745 kB when this was written."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def with_libraries(folder: Path) -> Path:
    """The Python of a new environment that sees this one's libraries, and not this package."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin/python"


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which the wheel is installed."""
    program = with_libraries(tmp_path_factory.mktemp("installed") / "environment")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", program, "install", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
    )
    return program


@pytest.fixture(scope="module")
def surroundings() -> dict[str, str]:
    """Of a user who activated nothing."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**others, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def begun(python: Path, surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `defectscape new --example cdte my` was called."""
    folder = tmp_path_factory.mktemp("empty")
    command = [python.with_name("defectscape"), "new", "--example", "cdte", "my"]
    subprocess.run(command, cwd=folder, env=surroundings, check=True, capture_output=True)
    return folder


def test_the_wheel_has_what_a_user_runs_and_nothing_of_the_project_s_own(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    names = set(modes)
    below = "defectscape/assets/"
    for folder in ("workflow", "envs", "profiles"):
        files = {str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*") if p.is_file()}
        here = {name for name in files if "__pycache__" not in name}
        assert len(here) > 3
        assert {below + name for name in here} <= names
    wanted = {
        "Snakefile",
        "config/config.yaml",
        "config/hosts/CdTe.vasp",
        "config/elements/Te.vasp",
    }
    assert {below + name for name in wanted} | {"defectscape/py.typed"} <= names
    assert "defectscape/report/templates/page.html" in names
    for program in ("workflow/bin/defectscape", "profiles/sge/status.sh"):
        assert modes[below + program] & stat.S_IXUSR
    top = {name.partition("/")[0].partition("-")[0] for name in names}
    assert top == {"defectscape"}
    unwanted = ("benchmarks/", "/tests/", "/data/", "__pycache__")
    assert not [name for name in names if any(part in name for part in unwanted)]
    assert wheel.stat().st_size < MOST_BYTES


def test_a_study_is_written_checked_and_planned(python: Path, begun: Path, surroundings: dict[str, str]) -> None:
    done = subprocess.run(
        [python.with_name("defectscape"), "run", "my/study.yaml", "--cores", "2", "--", "-n"],
        cwd=begun,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cdte: valid" in done.stdout
    snakefile = f"{python.parents[1]}/lib/"
    assert f"command     snakemake --snakefile {snakefile}" in done.stdout
    assert "--directory my --cores 2 -n" in done.stdout
    assert f"workflow specific profile {snakefile}" in done.stderr
    assert "train_final" in done.stdout
    assert {path.name for path in begun.iterdir()} == {"my"}


def test_jobs_start_in_the_study_s_folder(python: Path, begun: Path, surroundings: dict[str, str]) -> None:
    """Nothing is activated, so the rules' program has to be found beside this Python."""
    target = "results/cdte/host/host.json"
    done = subprocess.run(
        [python.with_name("defectscape"), "run", "my/study.yaml", "--cores", "1", "--", target],
        cwd=begun,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (begun / "my" / target).is_file()
    assert {path.name for path in begun.iterdir()} == {"my"}


def test_a_conda_environment_runs_the_installed_package(
    python: Path, begun: Path, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """With ``--sdm conda`` a rule's Python is another one, which sees the package and none of its neighbours."""
    other = with_libraries(tmp_path / "conda")
    (package,) = python.parents[1].glob("lib/python*/site-packages/defectscape")
    (package.parent / "neighbour.py").touch()
    path = f"{other.parent}:{surroundings['PATH']}"
    program = package / "assets/workflow/bin/defectscape"
    # A label is computed in a process of its own, which has to find the package, too.
    done = subprocess.run(
        [program, "check", "--measure", "my/study.yaml"],
        cwd=begun,
        capture_output=True,
        text=True,
        env={**surroundings, "PATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "core-s each (mean of 1)" in done.stdout
    look = "import defectscape.cli, sys; print(defectscape.cli.__file__, defectscape.__version__); import neighbour"
    alone = {**surroundings, "PYTHONPATH": str(package / "assets/workflow/alone")}
    seen = subprocess.run([other, "-c", look], env=alone, capture_output=True, text=True, check=False)
    assert seen.stdout.startswith(f"{package}/cli/__init__.py 0.")
    assert "No module named 'neighbour'" in seen.stderr


# The workflow as a part of somebody else's: `module`, with a prefix for its rules.


OUTER = """
module defectscape:
    snakefile: {snakefile!r}
    config: {{"study": "study.yaml", "results": "of_defects"}}


use rule * from defectscape as defects_*


rule answer:
    default_target: True
    input:
        "of_defects/small/summary.json",
    output:
        "answer.txt",
    shell:
        "wc -c {{input}} > {{output}}"
"""


def test_another_workflow_imports_it_under_a_prefix(tmp_path: Path) -> None:
    write_study(small_study(), tmp_path)
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=str(ROOT / "Snakefile")))
    snakemake = Path(sys.executable).parent / "snakemake"
    done = subprocess.run(
        [snakemake, "--cores", "1", "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "defects_train_final" in text
    assert "answer" in text
    made = subprocess.run(
        [snakemake, "--cores", "1", "of_defects/small/host/host.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{snakemake.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert (tmp_path / "of_defects/small/host/host.json").is_file()


def test_the_catalog_s_file_names_flags_that_exist() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    flags = usage["mandatory-flags"]["flags"]
    assert flags.startswith("--config study=")
    assert (ROOT / flags.partition("study=")[2]).is_file()
    assert usage["software-stack-deployment"] == {"conda": True}
