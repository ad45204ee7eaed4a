"""Band edges of an engine's eigenvalues, and electrostatic potentials at its atoms."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.io.cube import read_cube_data
from ase.units import Bohr, Hartree

from defectscape.engines.band_edges import band_edges_eV
from defectscape.engines.base import CalculationFailed, PotentialEngine
from defectscape.engines.espresso import EspressoEngine
from defectscape.engines.espresso_input import OUTDIR, PREFIX
from defectscape.engines.espresso_potentials import WINDOW_A, potentials_at
from defectscape.engines.gth import choose_potential, find_table, read_potentials
from defectscape.engines.program import run_program
from defectscape.engines.vasp_output import read_site_potentials
from support.pwx import absent, diamond, settings, write_pseudopotentials

# Band edges follow from the count of electrons.


def test_singlets_fill_pairs() -> None:
    assert band_edges_eV([[np.array([3.0, -1.0, 0.5])]], 4, 1) == (0.5, 3.0)


def test_a_doublet_has_its_electron_in_the_first_channel() -> None:
    up, down = np.array([-1.0, 0.5, 3.0]), np.array([-0.9, 0.8, 3.1])
    assert band_edges_eV([[up], [down]], 3, 2) == (0.5, 0.8)


def test_edges_are_extremes_over_the_mesh() -> None:
    points = [np.array([0.0, 2.0]), np.array([0.4, 1.1]), np.array([-0.2, 3.0])]
    assert band_edges_eV([points], 2, 1) == (0.4, 1.1)


def test_a_channel_that_is_full_or_empty_has_one_edge() -> None:
    assert band_edges_eV([[np.array([1.0])]], 2, 1) == (1.0, None)
    assert band_edges_eV([[np.array([1.0])], [np.array([2.0])]], 1, 2) == (1.0, 2.0)
    assert band_edges_eV([[np.array([1.0])]], 0, 1) == (None, 1.0)


def test_without_a_moment_an_odd_electron_is_shared() -> None:
    levels = [[np.array([-1.0, 0.0, 1.0])]]
    assert band_edges_eV(levels, 3, 0) == (-1.0, 0.0)


# Potentials at atoms: a window on a plane wave, Poisson's equation for pw.x, VASP's OUTCAR.


CELL_A = np.array([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.0, -0.5, 7.0]])


def test_a_plane_wave_is_damped_by_the_window_wherever_the_grid_lies() -> None:
    shape = (20, 24, 27)
    fractions = np.stack(np.meshgrid(*[np.arange(size) / size for size in shape], indexing="ij"), axis=-1)
    wave = np.array([1, -2, 1])
    grid = 0.3 + 2.0 * np.cos(2 * np.pi * fractions @ wave + 0.4)
    where = np.array([[0.1, 0.2, 0.3], [4.4, 1.0, 6.9], [-3.0, 9.0, 2.0]])
    vector = 2 * np.pi * np.linalg.inv(CELL_A) @ wave
    damping = np.exp(-0.5 * WINDOW_A**2 * vector @ vector)
    expected = 0.3 + 2.0 * damping * np.cos(where @ vector + 0.4)
    np.testing.assert_allclose(potentials_at(grid, CELL_A, where), expected, atol=1e-10)


@pytest.mark.dft
@pytest.mark.skipif(absent() is not None, reason=absent() or "pw.x is here")
@pytest.mark.parametrize(("functional", "charge"), [("pbe", 0), ("pbe", 1), ("hse06", 0)])
def test_pwx_potentials_are_those_of_its_ions_and_electrons(tmp_path: Path, functional: str, charge: int) -> None:
    """Differences between atoms from the density and the GTH formula, which pp.x's potential is not made of."""
    write_pseudopotentials(tmp_path)
    engine = EspressoEngine(settings(tmp_path, functional))
    assert isinstance(engine, PotentialEngine)
    frame = diamond(charge)
    with engine._solved(frame, 0) as (folder, label):
        density = density_1_A3(folder)
    found_label, found = engine.compute_potentials(frame, 0)
    assert found_label.energy_eV == pytest.approx(label.energy_eV, abs=1e-5)
    expected = potential_of(density, frame.cell_A, frame.positions_A)
    spread = found - found.mean()
    assert np.ptp(found) > 0.2
    np.testing.assert_allclose(spread, expected - expected.mean(), atol=5e-3)


def density_1_A3(folder: Path) -> np.ndarray:
    """The electrons' density by pp.x."""
    (folder / "rho.in").write_text(
        f"&INPUTPP\n prefix='{PREFIX}'\n outdir='{OUTDIR}'\n filplot='rho'\n plot_num=0\n/\n"
        "&PLOT\n iflag=3\n output_format=6\n fileout='rho.cube'\n/\n"
    )
    assert run_program("pp.x", ["-in", "rho.in"], folder, 60.0).returncode == 0
    data, _ = read_cube_data(str(folder / "rho.cube"))
    return np.asarray(data) / Bohr**3


def potential_of(density: np.ndarray, cell_A: np.ndarray, atoms_A: np.ndarray) -> np.ndarray:
    """Electrostatic potential in the window at each atom, V, up to a constant."""
    text = find_table().read_text(encoding="utf-8")
    carbon = choose_potential(read_potentials(text, "C", "pbe"), "C", None)
    r_loc, coefficients = carbon.radius_bohr, carbon.local
    volume = abs(np.linalg.det(cell_A)) / Bohr**3
    indices = [np.fft.fftfreq(size, 1.0 / size) for size in density.shape]
    steps = np.stack(np.meshgrid(*indices, indexing="ij"), axis=-1).reshape(-1, 3)
    g = steps @ (2 * np.pi * np.linalg.inv(cell_A).T) * Bohr
    g2 = np.sum(g**2, axis=1)
    wave = np.divide(1.0, g2, out=np.zeros_like(g2), where=g2 > 0)
    electrons = (np.fft.fftn(density) / density.size).ravel() * Bohr**3
    hartree = 4 * np.pi * electrons * wave
    x2 = g2 * r_loc**2
    c1, c2 = [*coefficients, 0.0, 0.0][:2]
    local = (
        np.exp(-x2 / 2) / volume * (-4 * np.pi * 4.0 * wave + np.sqrt(8 * np.pi**3) * r_loc**3 * (c1 + c2 * (3 - x2)))
    )
    positions = atoms_A / Bohr
    structure = np.exp(-1j * g @ positions.T).sum(axis=1)
    total = (hartree + local * structure) * np.exp(-0.5 * (WINDOW_A / Bohr) ** 2 * g2)
    total[g2 == 0] = 0.0
    return -Hartree * (np.exp(1j * positions @ g.T) @ total).real


def outcar(potentials_V: np.ndarray) -> str:
    """An ionic step's table in VASP's fixed format, (5(I8,F9.4)): long numbers touch, as 12-171.2345."""
    cells = [f"{k:8d}{-value:9.4f}" for k, value in enumerate(potentials_V, start=1)]
    lines = ["".join(cells[k : k + 5]) for k in range(0, len(cells), 5)]
    return (
        " average (electrostatic) potential at core\n"
        "  the test charge radii are     0.9746  0.9746\n"
        "  (the norm of the test charge is              1.0000)\n"
        + "".join(f"{line}\n" for line in lines)
        + " \n \n \n E-fermi :   2.5000     XC(G=0):  -9.9999     alpha+bet : -9.9999\n"
    )


@pytest.mark.parametrize("atoms", [3, 5, 216, 1234])
def test_vasp_potentials_are_turned_into_those_of_a_positive_charge(tmp_path: Path, atoms: int) -> None:
    path = tmp_path / "OUTCAR"
    first, last = np.random.default_rng(atoms).uniform(20.0, 180.0, (2, atoms)).round(4)
    last[0] = 171.2345
    path.write_text(outcar(first) + outcar(last))
    assert "1-171.2345" in path.read_text()
    np.testing.assert_array_equal(read_site_potentials(path, atoms), last)
    with pytest.raises(CalculationFailed, match=f"of {atoms} atoms, not 4"):
        read_site_potentials(path, 4)


@pytest.mark.parametrize("fault", ["absent", "none", "cut", "overflow"])
def test_an_outcar_without_potentials_is_a_failed_calculation(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "OUTCAR"
    whole = outcar(np.array([71.1234, 71.2345, 58.0123]))
    texts = {
        "none": "vasp\n",
        "cut": whole[: whole.index("58.0")],
        "overflow": whole.replace(" -71.2345", "*********"),
    }
    if fault in texts:
        path.write_text(texts[fault])
    with pytest.raises(CalculationFailed, match="no OUTCAR with potentials"):
        read_site_potentials(path, 3)


@pytest.mark.dft
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
def test_a_failing_ppx_is_a_failed_calculation(tmp_path: Path) -> None:
    write_pseudopotentials(tmp_path)
    engine = EspressoEngine(settings(tmp_path, potentials_command="false"))
    with pytest.raises(CalculationFailed, match=r"pp\.x ended with status 1"):
        engine.compute_potentials(diamond(), 0)
