"""Reference stage: labels of the perfect supercell, of the elements and of competing phases."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import HOST, HOST_KEY
from defectscape.engines.base import Engine
from defectscape.engines.registry import make_engine, with_mesh
from defectscape.sampling.host import host_frame, read_unit_cell
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host
from defectscape.study.references import ReferenceLabel, References, write_references


def label_references(context: StudyContext) -> None:
    """Label the host at both fidelities, elements and competing phases at the high one."""
    write_references(
        context, References(_bulk(context, "low"), _bulk(context, "high"), _elements(context), _phases(context))
    )


def _bulk(context: StudyContext, fidelity: str) -> ReferenceLabel:
    record = context.label(host_frame(read_host(context)), fidelity)
    what = f"{context.fidelity_settings(fidelity).name} label of the perfect supercell"
    return _required(HOST, record, what)


def _elements(context: StudyContext) -> tuple[ReferenceLabel, ...]:
    """Labels of the elements' reference phases."""
    thermo, found = context.study.thermo, []
    for element in sorted(thermo.elemental_references):
        mesh = thermo.elemental_kpoints.get(element)
        engine = _engine_with_mesh(context, mesh, f"thermo.elemental_kpoints.{element}")
        record = context.label(_element_frame(context, element), "high", engine)
        what = f"{context.fidelity_settings('high').name} label of elemental {element}"
        found.append(_required(element, record, what))
    return tuple(found)


def _phases(context: StudyContext) -> tuple[ReferenceLabel, ...]:
    """Labels of the competing phases."""
    thermo, found = context.study.thermo, []
    for name, file in sorted(thermo.competing_phases.items()):
        mesh = thermo.competing_kpoints.get(name)
        engine = _engine_with_mesh(context, mesh, f"thermo.competing_kpoints.{name}")
        record = context.label(
            _crystal_frame(file, f"reference/{name}", f"thermo.competing_phases.{name}"), "high", engine
        )
        found.append(_required(name, record, f"{context.fidelity_settings('high').name} label of {name}"))
    return tuple(found)


def _crystal_frame(file: Path, family: str, key: str) -> Frame:
    """A crystal beside the host, as given under a key of the config."""
    structure = read_unit_cell(file, what=key)
    numbers = np.array([site.specie.Z for site in structure])
    return Frame(
        numbers,
        structure.cart_coords,
        structure.lattice.matrix,
        HOST_KEY,
        lowest_multiplicity(numbers, 0),
        Origin.REFERENCE,
        family,
    )


def _element_frame(context: StudyContext, element: str) -> Frame:
    """The reference phase of an element."""
    file = context.study.thermo.elemental_references[element]
    frame = _crystal_frame(file, f"reference/{element}", f"thermo.elemental_references.{element}")
    if set(frame.numbers.tolist()) != {atomic_numbers[element]}:
        raise ThermoError(
            f"elemental reference of {element}",
            f"{file} holds {Atoms(frame.numbers).get_chemical_formula()}",
            f"Give a structure of {element} alone",
        )
    return frame


def _engine_with_mesh(context: StudyContext, mesh: list[int] | None, where: str) -> Engine:
    """The high-fidelity engine, with the mesh that a small crystal is to have."""
    if mesh is None:
        return context.engine("high")
    return make_engine(with_mesh(context.fidelity_settings("high").engine, mesh, where))


def _required(name: str, record: LabelRecord, what: str) -> ReferenceLabel:
    if record.label is None:
        raise ThermoError(what, f"failed: {record.failure}", "Change the engine's settings; this one is needed")
    label = record.label
    numbers = tuple(map(int, record.frame.numbers))
    return ReferenceLabel(
        name, record.key, numbers, label.energy_eV, label.vbm_eV, label.cbm_eV, record.engine_version, record.core_s
    )
