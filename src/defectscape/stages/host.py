"""Host stages: the (relaxed) crystal, the labels of the perfect supercell and of the elements."""

import logging

from ase import Atoms
from ase.io import write

from defectscape.domain.frame import Frame
from defectscape.domain.site import HostCrystal
from defectscape.domain.spelling import has_interstitials
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.sampling.electrons import added_atoms, check_host_spin
from defectscape.sampling.host import read_host_file, relax_host
from defectscape.study.context import StudyContext
from defectscape.study.host import enumerate_named_sites, read_host, write_host, write_sites

logger = logging.getLogger(__name__)


def prepare_host(context: StudyContext) -> None:
    """Validate the host, build the supercell, relax it with the high-fidelity engine if asked."""
    settings = context.study.host
    host = read_host_file(settings)
    added = added_atoms(defect.name for defect in context.study.defects)
    check_host_spin(host, settings.multiplicity, added)
    if settings.relax != "none":
        fidelity_settings = context.fidelity_settings("high")
        engine = context.engine("high")

        def calculator_for(frame: Frame) -> StoredCalculator:
            limit_eV_A = fidelity_settings.max_force_eV_A
            return StoredCalculator(engine, context.store, frame.key, frame.family, limit_eV_A, frame.multiplicity)

        host = relax_host(host, calculator_for, settings)
    write_host(context, host)
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
    """Enumerate the host's defects with doped and give them our names.

    Interstitials of a relaxed host have the names of the host in its file, which people look at and import by.
    """
    names = [defect.name for defect in context.study.defects]
    sites = enumerate_named_sites(context, read_host(context), interstitials=has_interstitials(names))
    write_sites(context, sites)
