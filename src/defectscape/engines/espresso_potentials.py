"""Electrostatic potentials at the atoms of a finished pw.x calculation: pp.x puts them on a grid.

A positive charge's potential in volts. Only differences between supercells of one engine count, so any
window of one size around the atoms will do; a Gaussian is smooth on the grid.
"""

from pathlib import Path

import numpy as np
from ase.io.cube import read_cube_data
from ase.units import Rydberg

from defectscape.domain.frame import Floats, Frame
from defectscape.engines.base import CalculationFailed
from defectscape.engines.espresso_input import OUTDIR, PREFIX
from defectscape.engines.program import run_program

WINDOW_A = 0.5
"""Standard deviation of the Gaussian window, A."""
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


def potentials_at(grid_V: Floats, cell_A: Floats, positions_A: Floats) -> Floats:
    """Averages of a periodic potential in Gaussian windows, (n,), V.

    Args:
        grid_V: the potential on a grid along the lattice vectors, (n1, n2, n3), V.
        cell_A: lattice vectors in rows, (3, 3), A.
        positions_A: centres of the windows, (n, 3), A.
    """
    shape = grid_V.shape
    waves = np.fft.fftn(grid_V) / grid_V.size
    indices = [np.fft.fftfreq(size, 1.0 / size) for size in shape]
    steps = np.stack(np.meshgrid(*indices, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = steps @ (2 * np.pi * np.linalg.inv(cell_A).T)
    damped = waves.ravel() * np.exp(-0.5 * WINDOW_A**2 * np.sum(vectors**2, axis=1))
    kept = np.abs(damped) > 1e-12 * np.abs(damped).max()
    phases = np.exp(1j * (positions_A @ vectors[kept].T))
    return np.asarray((phases @ damped[kept]).real)
