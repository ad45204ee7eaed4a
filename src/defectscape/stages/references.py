"""Reference stage: labels of the perfect supercell, of the elements and of competing phases."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from defectscape.domain.errors import ConfigError, ThermoError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import HOST_KEY
from defectscape.engines.base import Engine
from defectscape.engines.labelling import label_frame
from defectscape.engines.registry import make_engine
from defectscape.files.tables import load_host_file, write_json
from defectscape.sampling.host import host_frame, read_unit_cell
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext


def _crystal_frame(file: Path, family: str) -> Frame:
    """A crystal beside the host, as given in the config."""
    structure = read_unit_cell(file)
    numbers = np.array([site.specie.Z for site in structure])
    return Frame(
        numbers, structure.cart_coords, structure.lattice.matrix, HOST_KEY,
        lowest_multiplicity(numbers, 0), Origin.REFERENCE, family,
    )  # fmt: skip


def _reference_frame(context: StudyContext, element: str) -> Frame:
    """The reference phase of an element."""
    file = context.study.thermo.elemental_references[element]
    frame = _crystal_frame(file, f"reference/{element}")
    if set(frame.numbers.tolist()) != {atomic_numbers[element]}:
        raise ThermoError(
            f"elemental reference of {element}",
            f"{file} holds {Atoms(frame.numbers).get_chemical_formula()}",
            f"Give a structure of {element} alone",
        )
    return frame


def _required(record: LabelRecord, what: str) -> dict[str, object]:
    if record.label is None:
        raise ThermoError(
            what, f"failed: {record.failure}", "Change the engine's settings; this one is needed"
        )
    label = record.label
    return {
        "key": record.key,
        "atoms": len(record.frame),
        "energy_eV": label.energy_eV,
        "vbm_eV": label.vbm_eV,
        "cbm_eV": label.cbm_eV,
        "engine_version": record.engine_version,
        "core_s": record.core_s,
    }


def _engine_with_mesh(context: StudyContext, mesh: list[int] | None, where: str) -> Engine:
    """The high-fidelity engine, with the mesh that a small crystal is to have."""
    if mesh is None:
        return context.engine("high")
    settings = context.fidelity("high").engine
    if "kpoints" not in type(settings).model_fields:
        raise ConfigError(
            where, f"the {settings.kind} engine has no k-points",
            "Take it out, and give a supercell as reference",
        )  # fmt: skip
    return make_engine(settings.model_copy(update={"kpoints": mesh}))


def label_references(context: StudyContext) -> None:
    """Label the host at both fidelities, elements and competing phases at the high one."""
    host = load_host_file(context.layout.host)
    table: dict[str, object] = {}
    for level in ("low", "high"):
        fidelity = context.fidelity(level)
        record = label_frame(
            host_frame(host), context.engine(level), context.store, fidelity.max_force_eV_A
        )
        table[f"bulk_{level}"] = _required(
            record, f"{fidelity.name} label of the perfect supercell"
        )
    fidelity = context.fidelity("high")
    thermo = context.study.thermo
    elements: dict[str, object] = {}
    for element in sorted(thermo.elemental_references):
        mesh = thermo.elemental_kpoints.get(element)
        engine = _engine_with_mesh(context, mesh, f"thermo.elemental_kpoints.{element}")
        frame = _reference_frame(context, element)
        record = label_frame(frame, engine, context.store, fidelity.max_force_eV_A)
        elements[element] = _required(record, f"{fidelity.name} label of elemental {element}")
    phases: dict[str, object] = {}
    for name, file in sorted(thermo.competing_phases.items()):
        mesh = thermo.competing_kpoints.get(name)
        engine = _engine_with_mesh(context, mesh, f"thermo.competing_kpoints.{name}")
        frame = _crystal_frame(file, f"reference/{name}")
        record = label_frame(frame, engine, context.store, fidelity.max_force_eV_A)
        phases[name] = _required(record, f"{fidelity.name} label of {name}") | {
            "numbers": frame.numbers.tolist()
        }
    table |= {"elements": elements, "phases": phases}
    write_json(context.layout.references, table)
