"""Reference stages: labels of the perfect supercell, then of the elements and of competing phases."""

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import HOST
from defectscape.sampling.host import host_frame
from defectscape.sampling.references import element_frame, reference_frame, reference_numbers
from defectscape.settings.references import ReferenceSettings
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host
from defectscape.study.references import (
    HostLabels,
    ReferenceLabel,
    References,
    engine_with_mesh,
    read_host_labels,
    write_host_labels,
    write_references,
)
from defectscape.thermo.chempots import composition, given_limits


def label_host(context: StudyContext) -> None:
    """Label the perfect supercell at both fidelities: an engine that cannot do that gets no other structure."""
    write_host_labels(context, HostLabels(_bulk(context, "low"), _bulk(context, "high")))


def label_references(context: StudyContext) -> None:
    """Label elements and competing phases at the high fidelity, and put the host's labels beside them.

    Raises:
        ThermoError: if the study's own limits do not have the host's formation energy, which is known from here on.
    """
    host = read_host_labels(context)
    found = References(host.low, host.high, _elements(context), _phases(context))
    given = context.study.thermo.chemical_potentials
    if given is not None:
        numbers = np.array(host.high.numbers)
        foreign = sorted({element for limit in given.values() for element in limit} - set(composition(numbers)))
        given_limits(numbers, host.high.energy_eV, found.energies_per_atom_eV, given, foreign)
    write_references(context, found)


def _bulk(context: StudyContext, fidelity: str) -> ReferenceLabel:
    record = context.label(host_frame(read_host(context), context.study.host.ferromagnet), fidelity)
    what = f"{context.fidelity_settings(fidelity).name} label of the perfect supercell"
    return _required(HOST, record, what)


def _elements(context: StudyContext) -> tuple[ReferenceLabel, ...]:
    """Labels of the elements' reference phases."""
    thermo, found = context.study.thermo, []
    settings = context.fidelity_settings("high").engine
    for element, reference in sorted(thermo.elemental_references.items()):
        if reference.energy_eV_per_atom is not None:
            found.append(_stated(element, reference))
            continue
        mesh = thermo.elemental_kpoints.get(element)
        engine = engine_with_mesh(context, mesh, f"thermo.elemental_kpoints.{element}")
        record = context.label(element_frame(thermo, element, settings), "high", engine)
        what = f"{context.fidelity_settings('high').name} label of elemental {element}"
        found.append(_required(element, record, what))
    return tuple(found)


def _phases(context: StudyContext) -> tuple[ReferenceLabel, ...]:
    """Labels of the competing phases."""
    thermo, found = context.study.thermo, []
    settings = context.fidelity_settings("high").engine
    for name, reference in sorted(thermo.competing_phases.items()):
        if reference.energy_eV_per_atom is not None:
            found.append(_stated(name, reference))
            continue
        mesh = thermo.competing_kpoints.get(name)
        engine = engine_with_mesh(context, mesh, f"thermo.competing_kpoints.{name}")
        record = context.label(
            reference_frame(reference, name, f"thermo.competing_phases.{name}", settings), "high", engine
        )
        found.append(_required(name, record, f"{context.fidelity_settings('high').name} label of {name}"))
    return tuple(found)


def _stated(name: str, reference: ReferenceSettings) -> ReferenceLabel:
    """A reference whose energy the study says: no label of the store."""
    numbers = reference_numbers(reference, name)
    energy_eV = len(numbers) * float(reference.energy_eV_per_atom or 0.0)
    source = f"stated: {reference.source}"
    return ReferenceLabel(name, "", tuple(map(int, numbers)), energy_eV, None, None, source, 0.0)


def _required(name: str, record: LabelRecord, what: str) -> ReferenceLabel:
    if record.label is None:
        raise ThermoError(what, f"failed: {record.failure}", "Change the engine's settings; this one is needed")
    label = record.label
    numbers = tuple(map(int, record.frame.numbers))
    return ReferenceLabel(
        name, record.key, numbers, label.energy_eV, label.vbm_eV, label.cbm_eV, record.engine_version, record.core_s
    )
