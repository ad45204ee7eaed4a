"""The model's error between the geometries where the engine has labelled it.

A Gaussian process on energies and gradients with a squared-exponential kernel,

    r(x) = sum_i k_i [a_i + (b_i . u_i) / l^2],    u_i = x - x_i,    k_i = exp(-u_i^2 / 2 l^2),

as in Koistinen et al., J. Chem. Phys. 147, 152720 (2017), but with the model as its mean: it has to learn the
model's error and not the crystal. (ASE's ``gpmin.GaussianProcess`` has one noise, which the kernel's length
turns into that of the energies; here energies and forces have their own.)
"""

import numpy as np

from defectscape.domain.frame import Floats

LENGTH_A = 0.5
"""Length of the kernel: the distance, over all atoms together, at which the model's errors are still correlated.

Relaxing starts of a cadmium vacancy with an early committee took 76 labels with 0.5 A (all 17 arrived),
84 with 1 A (15 arrived), and 95 with the lowest geometry alone.
"""

ENERGY_NOISE_EV = 1e-3
FORCE_NOISE_EV_A = 1e-2
"""Noise of a label (grid, self-consistency); the variance of the residual is 1 eV^2."""


class Residual:
    """A smooth function with given values and gradients at some geometries, up to noise.

    Args:
        positions_A: shape (m, n, 3), A.
        values_eV: shape (m,), eV.
        gradients_eV_A: shape (m, n, 3), eV/A.
    """

    def __init__(self, positions_A: Floats, values_eV: Floats, gradients_eV_A: Floats) -> None:
        count = len(positions_A)
        self.points_A = positions_A.reshape(count, -1)
        size = self.points_A.shape[1]
        noise = np.concatenate([np.full(count, ENERGY_NOISE_EV**2), np.full(count * size, FORCE_NOISE_EV_A**2)])
        known = np.concatenate([values_eV, gradients_eV_A.ravel()])
        weights = np.linalg.solve(self._covariance() + np.diag(noise), known)
        self.of_values = weights[:count]
        self.of_gradients = weights[count:].reshape(count, size)

    def __call__(self, positions_A: Floats) -> tuple[float, Floats]:
        """Value (eV) and gradient, shape (n, 3) (eV/A), at ``positions_A`` (n, 3)."""
        away = positions_A.ravel() - self.points_A
        square = LENGTH_A**2
        kernel = np.exp(-np.sum(away**2, axis=1) / (2 * square))
        along = kernel * (self.of_values + np.sum(self.of_gradients * away, axis=1) / square)
        gradient = (kernel @ self.of_gradients - along @ away) / square
        return float(along.sum()), gradient.reshape(positions_A.shape)

    def _covariance(self) -> Floats:
        """Of values and gradients at all points, values first: shape (m + 3nm, m + 3nm)."""
        count, size = self.points_A.shape
        square = LENGTH_A**2
        away = self.points_A[:, None, :] - self.points_A[None, :, :]
        kernel = np.exp(-np.sum(away**2, axis=2) / (2 * square))
        mixed = kernel[:, :, None] * away / square
        both = kernel[:, :, None, None] * (
            np.eye(size) / square - away[:, :, :, None] * away[:, :, None, :] / square**2
        )
        upper = mixed.reshape(count, count * size)
        lower = both.transpose(0, 2, 1, 3).reshape(count * size, count * size)
        return np.block([[kernel, upper], [upper.T, lower]])
