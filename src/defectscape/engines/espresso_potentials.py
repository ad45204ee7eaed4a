"""The electrostatic potential of a finished pw.x calculation, through pp.x."""

from pathlib import Path

import numpy as np
from ase.io.cube import read_cube_data
from ase.units import Rydberg

from defectscape.domain.frame import Floats, Frame
from defectscape.engines.base import CalculationFailed
from defectscape.engines.espresso_input import OUTDIR, PREFIX
from defectscape.engines.program import run_program
from defectscape.engines.site_potentials import potentials_at

CUBE = "potential.cube"
INPUT = f"""&INPUTPP
 prefix = '{PREFIX}'
 outdir = '{OUTDIR}'
 filplot = 'potential'
 plot_num = 11
/
&PLOT
 iflag = 3
 output_format = 6
 fileout = '{CUBE}'
/
"""
"""plot_num 11: the ions' local potential and Hartree's, an electron's energy in Ry."""


def run_potentials(command: str, folder: Path, time_limit_s: float, frame: Frame) -> Floats:
    """Electrostatic potential at each atom, (n,), V, on the scale of pw.x's eigenvalues.

    Args:
        command: pp.x as typed.
        folder: where pw.x has run.
        time_limit_s: wall time, s.
        frame: the structure.

    Raises:
        CalculationFailed: if pp.x fails.
        EngineError: if there is no such program.
    """
    (folder / "pp.in").write_text(INPUT, encoding="utf-8")
    finished = run_program(command, ["-in", "pp.in"], folder, time_limit_s)
    path = folder / CUBE
    if finished.returncode != 0 or not path.is_file():
        last = (finished.output.strip().splitlines() or ["no output"])[-1]
        raise CalculationFailed(f"pp.x ended with status {finished.returncode}: {last}")
    energies_Ry, _ = read_cube_data(str(path))
    return potentials_at(-Rydberg * np.asarray(energies_Ry), frame.cell_A, frame.positions_A)
