"""Energies of charge states, chemical potentials, formation energies and transition levels."""

import math
import statistics
from dataclasses import dataclass

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey, format_charge


def _require_finite(thing: str, *values: float) -> None:
    if not all(math.isfinite(value) for value in values):
        raise ThermoError(thing, "NaN or infinity", "Such an energy is never used; compute it again")


@dataclass(frozen=True)
class HostEnergies:
    """Energy and band edges of the perfect supercell, by the high-fidelity engine.

    Attributes:
        bulk_energy_eV: raw energy of the host supercell, eV.
        vbm_eV: highest occupied eigenvalue of the host supercell, eV, on the engine's scale.
        gap_eV: band gap, eV.

    Raises:
        ThermoError: if a value is not finite or there is no gap.
    """

    bulk_energy_eV: float
    vbm_eV: float
    gap_eV: float

    def __post_init__(self) -> None:
        _require_finite("host energies", self.bulk_energy_eV, self.vbm_eV, self.gap_eV)
        if self.gap_eV <= 0:
            raise ThermoError(
                "band gap of the host",
                f"{self.gap_eV:.3f} eV",
                "Charged defects need a host with a gap; check the engine and its k-points",
            )


@dataclass(frozen=True)
class MemberEnergies:
    """The energy of one state by each member of a committee.

    Attributes:
        committee: name of the committee.
        energies_eV: raw supercell energy by each member, two or more, eV.
    """

    committee: str
    energies_eV: tuple[float, ...]

    @property
    def std_eV(self) -> float:
        """Standard deviation over the members, eV."""
        return statistics.stdev(self.energies_eV)

    def difference_std_eV(self, other: "MemberEnergies") -> float | None:
        """Standard deviation over the members of the difference to ``other``, eV.

        What a member gets wrong in both states alike cancels. None for another committee, whose members
        correspond to none of these.
        """
        if self.committee != other.committee:
            return None
        pairs = zip(self.energies_eV, other.energies_eV, strict=True)
        return statistics.stdev(one - two for one, two in pairs)


@dataclass(frozen=True, eq=False)
class StateEnergy:
    """The ground state of one defect in one charge state, at the high fidelity.

    Attributes:
        key: defect and charge.
        frame: its structure in the host supercell.
        energy_eV: raw supercell energy, uncorrected, eV.
        uncertainty_eV: one standard deviation of that energy, that of ``members`` included, eV.
        verified: whether the energy is the engine's own; otherwise it is the model's.
        members: the committee's energies, where the energy is the model's.
        degeneracy: orientational degeneracy of the structure, or None where it is not known.
        point_groups: Schoenflies symbols before and after relaxation, where somebody looked.
        spin_degeneracy: 2S + 1 of its unpaired electrons; 1 where the host's magnetic order holds their direction.

    Raises:
        ThermoError: if the frame is of another key, or a number is not finite.
    """

    key: DefectKey
    frame: Frame
    energy_eV: float
    uncertainty_eV: float
    verified: bool
    members: MemberEnergies | None = None
    degeneracy: float | None = None
    point_groups: tuple[str, str] | None = None
    spin_degeneracy: int | None = None

    def __post_init__(self) -> None:
        members = self.members.energies_eV if self.members else ()
        _require_finite(f"energy of {self.key}", self.energy_eV, self.uncertainty_eV, *members)
        if self.spin_degeneracy is None:
            object.__setattr__(self, "spin_degeneracy", self.frame.multiplicity)
        if self.frame.key != self.key:
            raise ThermoError(f"structure of {self.key}", self.frame.key, "Pass the frame of the same key")


@dataclass(frozen=True)
class ChemicalPotentialLimit:
    """One corner of the host's stability region.

    Attributes:
        name: the elements at their reference there: ``Cd-rich``, in a ternary ``A-B-rich``; then the phases that are
            there, those of dopants among them: ``Cd-rich with CdCl2``.
        phases: formulas of the phases in equilibrium.
        potentials_eV: (element, absolute chemical potential per atom, eV), sorted by element.
        references_eV: (element, energy per atom of its reference phase, eV), sorted by element.
    """

    name: str
    phases: tuple[str, ...]
    potentials_eV: tuple[tuple[str, float], ...]
    references_eV: tuple[tuple[str, float], ...]

    def absolute_eV(self, element: str) -> float:
        """Absolute chemical potential of ``element``, eV.

        Raises:
            ThermoError: if the limit has no potential of that element.
        """
        for symbol, value in self.potentials_eV:
            if symbol == element:
                return value
        raise ThermoError(
            f"chemical potential of {element}",
            f"not in the limit {self.name}",
            "Limits have the host's elements and the dopants that the study names among its defects",
        )

    @property
    def relative_eV(self) -> tuple[tuple[str, float], ...]:
        """(element, chemical potential relative to its reference phase, eV): zero or below."""
        references = dict(self.references_eV)
        return tuple((el, value - references[el]) for el, value in self.potentials_eV)


@dataclass(frozen=True)
class FiniteSizeCorrection:
    """What is added to the energy of a charged supercell.

    Attributes:
        value_eV: the correction, eV.
        label: in words how it was computed.
        uncertainty_eV: one standard deviation, as far as the method tells, eV.
    """

    value_eV: float
    label: str
    uncertainty_eV: float = 0.0


@dataclass(frozen=True)
class FormationEnergy:
    """Formation energy of one charge state in one limit, with the Fermi level at the VBM.

    Attributes:
        key: defect and charge; the charge is the slope against the Fermi level.
        limit: name of the chemical potential limit.
        energy_eV: formation energy at E_F = VBM, correction included, eV.
        uncertainty_eV: one standard deviation, that of ``members`` included, eV.
        verified: whether it rests on the engine's own energy.
        correction_eV: the finite-size correction contained in ``energy_eV``, eV.
        correction_label: how that was computed.
        members: the committee's energies of the supercell, where ``energy_eV`` is the model's.
    """

    key: DefectKey
    limit: str
    energy_eV: float
    uncertainty_eV: float = 0.0
    verified: bool = True
    correction_eV: float = 0.0
    correction_label: str = "none"
    members: MemberEnergies | None = None

    @property
    def charge(self) -> int:
        """Total charge, units of e: the slope against the Fermi level."""
        return self.key.charge


@dataclass(frozen=True)
class TransitionLevel:
    """The Fermi level at which two charge states of one defect have the same formation energy.

    Attributes:
        defect: our name of the defect.
        upper: the more positive charge, stable below the level.
        lower: the more negative charge, stable above it.
        level_eV: position above the VBM, eV.
        uncertainty_eV: one standard deviation, eV.
        stable: whether both states are ground states there (a thermodynamic level); False for a
            one-electron level that involves a state that is never the ground state.
        in_gap: whether the level lies between the band edges.
    """

    defect: str
    upper: int
    lower: int
    level_eV: float
    uncertainty_eV: float
    stable: bool
    in_gap: bool

    @property
    def label(self) -> str:
        """``(+1/0)``."""
        return f"({format_charge(self.upper)}/{format_charge(self.lower)})"
