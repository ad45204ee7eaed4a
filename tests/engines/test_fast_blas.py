"""OpenBLAS under tblite: the same numbers, and it is really the one that computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from defectscape.engines.fast_blas import LIBRARY, use_openblas
from defectscape.engines.registry import make_engine
from defectscape.engines.tblite import TbliteEngine

WITH_IT = (
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom defectscape.engines.fast_blas import use_openblas\nsys.exit(not use_openblas())",
        ],
        check=False,
    ).returncode
    == 0
)


@pytest.mark.parametrize("method", ["GFN1-xTB", "IPEA1-xTB"])
def test_the_worker_gives_the_numbers_of_tblites_own_blas(crystal, frame_of, tblite_settings, method) -> None:
    settings = tblite_settings(method)
    for charge in (0, -1):
        frame = frame_of(crystal("CdTe", vacancy=True), charge)
        ours, own = make_engine(settings).compute(frame, 0), TbliteEngine(settings).compute(frame, 0)
        assert ours.energy_eV == pytest.approx(own.energy_eV, abs=1e-8)
        assert ours.forces_eV_A == pytest.approx(own.forces_eV_A, abs=1e-7)
        assert np.allclose(ours.stress_eV_A3, own.stress_eV_A3, atol=1e-9)


@pytest.mark.skipif(not WITH_IT, reason="no OpenBLAS on this machine")
def test_the_worker_has_loaded_it_and_this_process_has_not(crystal, frame_of, tblite_settings) -> None:
    engine = make_engine(tblite_settings())
    engine.compute(frame_of(crystal("CdTe")), 0)
    libraries = [Path(f"/proc/{number}/maps").read_text() for number in ("self", engine._worker.number)]
    name = LIBRARY.removesuffix(".so.0")
    assert [f"/{name}" in maps for maps in libraries] == [False, True]


def test_without_it_nothing_is_done(monkeypatch) -> None:
    monkeypatch.setattr("defectscape.engines.fast_blas.LIBRARY", "libnothing.so.99")
    assert not use_openblas()
