"""A prediction: energy and forces of one structure, with the disagreement of the models that made it."""

from dataclasses import dataclass

from defectscape.domain.frame import Floats


@dataclass(frozen=True, eq=False)
class Prediction:
    """Energy and forces of one structure by a committee, or by anything that answers like one.

    Attributes:
        energy_eV: mean over members, raw supercell energy at the fidelity asked for, eV.
        member_energies_eV: one per member, eV; a single one where there is no committee.
        forces_eV_A: mean over members, shape (n, 3), eV/A.
        force_std_eV_A: per atom, norm over x, y, z of the members' standard deviation (n - 1 in
            the denominator), shape (n,), eV/A; NaN for a single member.
    """

    energy_eV: float
    member_energies_eV: tuple[float, ...]
    forces_eV_A: Floats
    force_std_eV_A: Floats
