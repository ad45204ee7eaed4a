"""The workflow as a part of somebody else's: `module`, with a prefix for its rules."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support import ROOT
from support.small_study import small_study, write_study

pytestmark = pytest.mark.deployment

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
