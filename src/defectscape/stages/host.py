"""Host stages: the (relaxed) crystal, the labels of the perfect supercell and of the elements."""

import logging
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io import write

from defectscape.domain.errors import ConfigError, ThermoError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import HOST_KEY
from defectscape.domain.site import HostCrystal
from defectscape.engines.base import Engine
from defectscape.engines.labelling import label_frame
from defectscape.engines.registry import make_engine
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.files.tables import load_host_file, save_host, save_sites, write_json
from defectscape.sampling.host import build_host, host_frame, read_unit_cell, relax_host
from defectscape.sampling.sites import enumerate_sites
from defectscape.stages.context import StudyContext
from defectscape.store.record import LabelRecord

logger = logging.getLogger(__name__)


def prepare_host(context: StudyContext) -> None:
    """Validate the host, build the supercell, relax it with the high-fidelity engine if asked."""
    settings = context.study.host
    host = build_host(read_unit_cell(settings.file), settings.supercell)
    if settings.relax != "none":
        fidelity = context.fidelity("high")
        engine = context.engine("high")

        def calculator_for(frame: Frame) -> StoredCalculator:
            return StoredCalculator(
                engine, context.store, frame.key, frame.family, fidelity.max_force_eV_A
            )

        host = relax_host(host, calculator_for, settings)
    save_host(context.layout.host, host)
    _write_poscars(context, host)


def _write_poscars(context: StudyContext, host: HostCrystal) -> None:
    """The unit cell and the supercell, to look at and to give to other studies."""
    for path, numbers, positions_A, cell_A in (
        (context.layout.unitcell, host.unit_numbers, host.unit_positions_A, host.unit_cell_A),
        (context.layout.supercell, host.numbers, host.positions_A, host.cell_A),
    ):
        atoms = Atoms(numbers, positions_A, cell=cell_A, pbc=True)
        write(path, atoms, format="vasp", direct=True, sort=True)


def list_sites(context: StudyContext) -> None:
    """Enumerate the host's defects with doped and give them our names."""
    host = load_host_file(context.layout.host)
    names = [defect.name for defect in context.study.defects]
    wants_interstitials = any(name.startswith("i_") for name in names)
    save_sites(context.layout.sites, enumerate_sites(host, interstitials=wants_interstitials))


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
