"""With ``--sdm conda`` the rules run this package from its sources, in environments that lack it.

Stand-ins take conda's place, since channels are no package registry that every machine reaches: an
"environment" is a virtual one that sees the libraries of this interpreter, but not the package. Whether
conda can solve ``envs/*.yaml`` is not tested here.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support import ROOT
from support.small_study import small_study, write_study

pytestmark = pytest.mark.deployment

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
