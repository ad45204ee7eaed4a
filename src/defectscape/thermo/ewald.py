"""Potential and energy of a periodic point charge in an anisotropic dielectric, by one Ewald sum.

With the coordinates r' = eps^(-1/2) r, Poisson's equation in the dielectric becomes that of the vacuum
with the charge divided by sqrt(det eps). So the sum is isotropic, over a stretched lattice, and its splitting
and its cutoffs follow from that lattice alone: they are as good at a dielectric constant of 1000 as at 1.
pydefect, through which doped goes, cuts off by lengths of the lattice that is not stretched; pymatgen's sum
gives the energy, but no potential at other places.

Source: Y. Kumagai and F. Oba, Phys. Rev. B 89, 195205 (2014), eqs. 14 and 15.
"""

from functools import partial

import numpy as np
from scipy.constants import elementary_charge, epsilon_0
from scipy.special import erfc

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats

COULOMB_V_A = elementary_charge / (4 * np.pi * epsilon_0) * 1e10
"""Potential of a unit charge at 1 A in vacuum, V."""

REACH = 6.5
"""Cutoff of both sums in widths of the Gaussian; what is left out is some exp(-REACH^2) of the whole."""

SYMMETRY_TOLERANCE = 1e-6


def point_charge_potentials_V(
    cell_A: Floats, dielectric: Floats, offsets_A: Floats, *, splitting: float = 1.0
) -> Floats:
    """Potential of a unit charge per cell, with its neutralising background, at places of the cell, (n,), V.

    Args:
        cell_A: lattice vectors in rows, (3, 3), A, of any shape and handedness.
        dielectric: static dielectric tensor, (3, 3).
        offsets_A: places as seen from the charge, (n, 3), A; none of them at the charge or an image of it.
        splitting: factor on the Gaussian's inverse width; the result does not depend on it.

    Raises:
        ThermoError: if the dielectric tensor is not that of a crystal, or the cell has no volume.
    """
    cell, stretch, screening = _stretched(cell_A, dielectric)
    offsets = np.asarray(offsets_A, float).reshape(-1, 3) @ stretch
    offsets -= np.rint(offsets @ np.linalg.inv(cell)) @ cell
    gamma = _gamma(cell, splitting)
    farthest = float(np.linalg.norm(offsets, axis=1).max(initial=0.0))
    images = _lattice_points(cell, REACH / gamma + farthest)
    waves, weights, background = _reciprocal(cell, gamma)
    near = partial(_near, images=images, gamma=gamma)
    values = [near(offset) + weights @ np.cos(waves @ offset) - background for offset in offsets]
    return COULOMB_V_A * screening * np.array(values)


def point_charge_energy_eV(cell_A: Floats, dielectric: Floats, *, splitting: float = 1.0) -> float:
    """Minus the lattice energy of one unit charge per cell in an anisotropic dielectric, eV.

    Positive: the supercell's energy is too low by it. In a cube of side L it is 2.837297 e^2 / (2 eps L) in
    Gaussian units. Arguments and errors are those of ``point_charge_potentials_V``.
    """
    cell, _, screening = _stretched(cell_A, dielectric)
    gamma = _gamma(cell, splitting)
    images = _lattice_points(cell, REACH / gamma)
    images = images[np.any(images != 0, axis=1)]
    _, weights, background = _reciprocal(cell, gamma)
    own = 2 * gamma / np.sqrt(np.pi)
    potential = _near(np.zeros(3), images, gamma) + weights.sum() - background - own
    return float(-COULOMB_V_A * screening * potential / 2)


def _stretched(cell_A: Floats, dielectric: Floats) -> tuple[Floats, Floats, float]:
    """The lattice in stretched coordinates, reduced; what stretches (3, 3); the factor on the charge."""
    from pymatgen.core.lattice import Lattice

    eigenvalues, axes = _principal_dielectric(dielectric)
    cell_A = np.asarray(cell_A, float)
    lengths = float(np.prod(np.linalg.norm(cell_A, axis=1)))
    if not abs(float(np.linalg.det(cell_A))) > 1e-6 * lengths:
        raise ThermoError("supercell", "no volume", "Give three independent lattice vectors")
    stretch = axes @ np.diag(eigenvalues**-0.5) @ axes.T
    reduced = Lattice(cell_A @ stretch).get_lll_reduced_lattice().matrix
    return np.array(reduced), stretch, float(np.prod(eigenvalues) ** -0.5)


def _gamma(cell: Floats, splitting: float) -> float:
    """Inverse width of the Gaussian that gives both sums of a cube the same number of terms."""
    return float(splitting * np.sqrt(np.pi) / abs(np.linalg.det(cell)) ** (1 / 3))


def _near(offset: Floats, images: Floats, gamma: float) -> float:
    """The sum over images, in units of charge per length."""
    distances = np.linalg.norm(images - offset, axis=1)
    return float(np.sum(erfc(gamma * distances) / distances))


def _reciprocal(cell: Floats, gamma: float) -> tuple[Floats, Floats, float]:
    """Wave vectors (n, 3), their weights (n,), and the background's share."""
    volume = abs(float(np.linalg.det(cell)))
    vectors: Floats = np.asarray(2 * np.pi * np.linalg.inv(cell).T, dtype=np.float64)
    waves = _lattice_points(vectors, 2 * gamma * REACH)
    waves = waves[np.any(waves != 0, axis=1)]
    squares = np.einsum("ij,ij->i", waves, waves)
    weights = 4 * np.pi / volume * np.exp(-squares / (4 * gamma**2)) / squares
    return waves, weights, np.pi / (volume * gamma**2)


def _lattice_points(vectors: Floats, radius: float) -> Floats:
    """All points of a lattice within a radius of the origin, (n, 3)."""
    # The planes of a lattice are one over the length of a reciprocal vector apart, however skewed it is.
    counts = np.floor(radius * np.linalg.norm(np.linalg.inv(vectors), axis=0)).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij"), axis=-1)
    points = steps.reshape(-1, 3) @ vectors
    return np.asarray(points[np.einsum("ij,ij->i", points, points) <= radius**2])


def _principal_dielectric(dielectric: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues (3,) and eigenvectors (3, 3) of a tensor that was found to be physical."""
    thing = "thermo.correction.dielectric"
    tensor = np.asarray(dielectric, dtype=float)
    if tensor.shape != (3, 3) or not np.all(np.isfinite(tensor)):
        raise ThermoError(thing, tensor.tolist(), "Give three rows of three finite numbers")
    if not np.allclose(tensor, tensor.T, rtol=0, atol=SYMMETRY_TOLERANCE * np.abs(tensor).max()):
        raise ThermoError(thing, tensor.tolist(), "A static dielectric tensor is symmetric")
    eigenvalues, axes = np.linalg.eigh((tensor + tensor.T) / 2)
    if eigenvalues[0] < 1 - SYMMETRY_TOLERANCE:
        raise ThermoError(
            thing,
            f"smallest eigenvalue {eigenvalues[0]:.4g}",
            "All eigenvalues of a static dielectric tensor are 1 (vacuum) or more",
        )
    return eigenvalues, axes
