"""Labels that every formation energy rests on: the perfect supercell, the elements, competing phases."""

from dataclasses import dataclass

from defectscape.engines.base import Engine
from defectscape.engines.registry import make_engine, with_mesh
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.study.context import StudyContext


@dataclass(frozen=True)
class ReferenceLabel:
    """What is kept of the label of a crystal.

    Attributes:
        name: the element, the phase, or ``host``.
        key: hash of the label in the store.
        numbers: atomic numbers of all its atoms.
        energy_eV: raw energy of all of them, eV.
        vbm_eV, cbm_eV: band edges, eV; None where the engine gives none.
        engine_version: which program.
        core_s: what it cost, core-seconds.
    """

    name: str
    key: str
    numbers: tuple[int, ...]
    energy_eV: float
    vbm_eV: float | None
    cbm_eV: float | None
    engine_version: str
    core_s: float

    @property
    def energy_per_atom_eV(self) -> float:
        """Energy per atom, eV."""
        return self.energy_eV / len(self.numbers)


@dataclass(frozen=True)
class HostLabels:
    """The perfect supercell at both fidelities."""

    low: ReferenceLabel
    high: ReferenceLabel


@dataclass(frozen=True)
class References:
    """All of them.

    Attributes:
        bulk_low, bulk_high: the perfect supercell at both fidelities.
        elements: reference phases of the elements, at the high fidelity.
        phases: competing phases, at the high fidelity.
    """

    bulk_low: ReferenceLabel
    bulk_high: ReferenceLabel
    elements: tuple[ReferenceLabel, ...]
    phases: tuple[ReferenceLabel, ...]

    def bulk(self, fidelity: str) -> ReferenceLabel:
        """The perfect supercell at ``low`` or ``high``."""
        return {"low": self.bulk_low, "high": self.bulk_high}[fidelity]

    @property
    def energies_per_atom_eV(self) -> dict[str, float]:
        """Energy per atom of each element's reference phase, eV."""
        return {item.name: item.energy_per_atom_eV for item in self.elements}


def engine_with_mesh(context: StudyContext, mesh: list[int] | None, where: str) -> Engine:
    """The high-fidelity engine, with the mesh that a small crystal is to have; ``where`` names its setting."""
    if mesh is None:
        return context.engine("high")
    return make_engine(with_mesh(context.fidelity_settings("high").engine, mesh, where))


def read_host_labels(context: StudyContext) -> HostLabels:
    """What the stage of the host's labels wrote."""
    found: HostLabels = decode(HostLabels, read_json(context.layout.host_labels))
    return found


def write_host_labels(context: StudyContext, labels: HostLabels) -> None:
    """Write them."""
    write_json(context.layout.host_labels, labels)


def read_references(context: StudyContext) -> References:
    """What the reference stage wrote."""
    found: References = decode(References, read_json(context.layout.references))
    return found


def write_references(context: StudyContext, references: References) -> None:
    """Write them."""
    write_json(context.layout.references, references)
