"""`make run` uses the cores that there are."""

import os
import subprocess

import pytest

from support import ROOT


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
