"""Stated limits against the host's formation energy, where that is known or known in seconds."""

from collections.abc import Iterable
from dataclasses import dataclass

from defectscape.domain.frame import Frame
from defectscape.domain.site import HostCrystal
from defectscape.engines.base import Engine
from defectscape.sampling.host import host_frame
from defectscape.sampling.references import element_frame
from defectscape.settings.tblite import TbliteSettings
from defectscape.store.labels import label_key
from defectscape.study.context import StudyContext
from defectscape.study.host import dopants_of
from defectscape.study.references import engine_with_mesh
from defectscape.thermo.chempots import composition, given_limits

MOST_ATOMS = 100
"""The embedded engine labels so many atoms in seconds."""


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A frame whose energy is needed."""

    frame: Frame
    engine: Engine


def check_limits(context: StudyContext, host: HostCrystal) -> None:
    """Refuse limits of the study's own that do not have the host's formation energy.

    Labels come from the store; the embedded engine computes what is missing. Where the energy is not known, the
    stage of the references compares: it runs ahead of the defects.

    Args:
        context: the study.
        host: its host; one that is to be relaxed has another energy, and is left to that stage.

    Raises:
        ThermoError: naming the limit, its sum and the formation energy.
    """
    thermo = context.study.thermo
    if thermo.chemical_potentials is None or context.study.host.relax != "none":
        return
    settings = context.fidelity_settings("high").engine
    references_eV, wanted = {}, {"": _Wanted(host_frame(host, context.study.host.ferromagnet), context.engine("high"))}
    foreign = dopants_of(context.study, host)
    for element in (*composition(host.numbers), *foreign):
        stated_eV = thermo.elemental_references[element].energy_eV_per_atom
        if stated_eV is not None:
            references_eV[element] = stated_eV
            continue
        mesh = thermo.elemental_kpoints.get(element)
        engine = engine_with_mesh(context, mesh, f"thermo.elemental_kpoints.{element}")
        wanted[element] = _Wanted(element_frame(thermo, element, settings), engine)
    fast = isinstance(settings, TbliteSettings) and _are_small(wanted.values())
    energies = {name: _energy_per_atom_eV(context, item, fast) for name, item in wanted.items()}
    known = {name: energy for name, energy in energies.items() if energy is not None}
    if len(known) == len(wanted):
        bulk_eV = known.pop("") * len(host.numbers)
        given_limits(host.numbers, bulk_eV, references_eV | known, thermo.chemical_potentials, foreign)


def _are_small(wanted: Iterable[_Wanted]) -> bool:
    return all(len(item.frame) <= MOST_ATOMS for item in wanted)


def _energy_per_atom_eV(context: StudyContext, item: _Wanted, compute: bool) -> float | None:
    """Energy of a label of the store, or computed; None where there is none."""
    engine, frame = item.engine, item.frame
    if compute:
        record = context.label(frame, "high", engine)
    else:
        found = context.store.get(label_key(frame, engine.name, engine.settings_of(frame.numbers)))
        if found is None:
            return None
        record = found
    return None if record.label is None else record.label.energy_eV / len(frame)
