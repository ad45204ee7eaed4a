"""Fingerprints of frames: smooth overlaps of atomic positions (SOAP), near the defect and far.

SOAP (Bartok, Kondor, Csanyi, Phys. Rev. B 87, 184115 (2013)) is invariant under rotation,
translation and permutation. A plain average over the supercell drowns the defect in the bulk, so
the atoms near the defect are averaged apart from the rest.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from defectscape.domain.frame import Floats, Frame

R_CUT_A = 5.0
N_MAX = 6
L_MAX = 4
SIGMA_A = 0.5
NEAR_A = 5.0
"""The weight of an atom in the near part falls from one at the defect to zero here."""


def frame_descriptors(frames: Sequence[Frame], centre: Floats | None) -> Floats:
    """One fingerprint per frame, shape (n, d).

    Frames that are to be compared must be given in one call, or hold the same elements: d depends
    on them.

    Args:
        frames: frames of any defects and charges; the charge does not enter.
        centre: the defect's fractional coordinates (3,), for a near and a far part side by side;
            None for one average over all atoms.
    """
    from dscribe.descriptors import SOAP

    if not frames:
        return np.zeros((0, 0))
    species = sorted({int(number) for frame in frames for number in frame.numbers})
    soap = SOAP(
        species=species,
        periodic=True,
        r_cut=R_CUT_A,
        n_max=N_MAX,
        l_max=L_MAX,
        sigma=SIGMA_A,
        average="off",
        sparse=False,
        dtype="float64",
    )
    return np.stack([_fingerprint(soap, frame, centre) for frame in frames])


def _fingerprint(soap: object, frame: Frame, centre: Floats | None) -> Floats:
    atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
    atoms.wrap()  # dscribe misses neighbours of atoms outside the cell
    vectors = np.asarray(soap.create(atoms, n_jobs=1))  # type: ignore[attr-defined]
    if centre is None:
        return np.asarray(vectors.mean(axis=0))
    near = _weights(frame, np.asarray(centre))
    return np.concatenate([_mean(vectors, near), _mean(vectors, 1.0 - near)])


def _weights(frame: Frame, centre: Floats) -> Floats:
    """Weight (n,) of each atom in the near part: a cosine, so that no atom jumps in or out."""
    _, distances = find_mic(frame.positions_A - centre @ frame.cell_A, frame.cell_A, pbc=True)
    inside = np.minimum(np.asarray(distances) / NEAR_A, 1.0)
    return np.asarray(0.5 * (1.0 + np.cos(np.pi * inside)))


def _mean(vectors: Floats, weights: Floats) -> Floats:
    total = float(weights.sum())
    return np.asarray(weights @ vectors / total) if total > 1e-9 else np.zeros(vectors.shape[1])
