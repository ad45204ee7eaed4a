"""The host crystal and the site table of a study."""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.cell import same_cell
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.domain.spelling import is_pair
from defectscape.files.tables import load_host_file, load_sites, save_host, save_sites
from defectscape.sampling.dopants import dopants
from defectscape.sampling.host import read_host_file
from defectscape.sampling.orbits import keep_names
from defectscape.sampling.pairs import carried, with_pairs
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import enumerate_sites
from defectscape.search.matching import Operations, host_operations
from defectscape.settings.structure import SupercellSettings
from defectscape.settings.study import Study
from defectscape.study.context import StudyContext

LEAST_DISTANCE_A = 0.1
"""No limit: the relaxed supercell was checked."""


def read_host(context: StudyContext) -> HostCrystal:
    """The host as the study uses it, relaxed if the study asks for that."""
    return load_host_file(context.layout.host)


def write_host(context: StudyContext, host: HostCrystal) -> None:
    """Write the host."""
    save_host(context.layout.host, host)


def dopants_of(study: Study, host: HostCrystal) -> tuple[str, ...]:
    """Elements that the study's defects add and the host lacks."""
    return dopants(host.numbers, (defect.name for defect in study.defects))


def known_host(context: StudyContext, as_given: HostCrystal) -> HostCrystal | None:
    """The host as the study's frames have it: its file's, or relaxed; None while its relaxed cell is not known.

    Args:
        context: the study.
        as_given: the host of its file. One whose atoms alone relax stands for the relaxed one until there is one.
    """
    relax = context.study.host.relax
    if relax == "none":
        return as_given
    if context.layout.host.is_file():
        relaxed = read_host(context)
        # A host of an earlier file or supercell, which the next run replaces, tells nothing.
        same = np.array_equal(relaxed.numbers, as_given.numbers) and np.array_equal(relaxed.matrix, as_given.matrix)
        if same and (relax != "positions" or same_cell(relaxed.cell_A, as_given.cell_A)):
            return relaxed
    return as_given if relax == "positions" else None


def enumerate_named_sites(context: StudyContext, host: HostCrystal, *, interstitials: bool) -> tuple[DefectSite, ...]:
    """Sites of the study's host and dopants, then its pairs; those of a relaxed host have the names of its file's.

    People look at that file, and import by its names.
    """
    settings = context.study.host
    extrinsic = dopants_of(context.study, host)
    names = [defect.name for defect in context.study.defects]
    sites = enumerate_sites(host, interstitials=interstitials, extrinsic=extrinsic)
    if settings.relax == "none" or not (interstitials or any(is_pair(name) for name in names)):
        return with_pairs(host, sites, names)
    supercell = SupercellSettings(matrix=host.matrix.tolist(), min_image_distance_A=LEAST_DISTANCE_A)
    as_given = read_host_file(settings.model_copy(update={"supercell": supercell}))
    given = enumerate_sites(as_given, interstitials=interstitials, extrinsic=extrinsic)
    sites = keep_names(host, given, sites) if interstitials else sites
    return (*sites, *carried(with_pairs(as_given, given, names)[len(given) :], as_given, host, sites))


def read_sites(context: StudyContext) -> tuple[DefectSite, ...]:
    """The site table."""
    return load_sites(context.layout.sites)


def write_sites(context: StudyContext, sites: Sequence[DefectSite]) -> None:
    """Write the site table."""
    save_sites(context.layout.sites, sites)


def site_of(context: StudyContext, defect: str) -> DefectSite:
    """The site of a defect, by our name.

    Raises:
        DefectError: if the table has no such defect.
    """
    return pick_site(read_sites(context), defect)


def site_operations(context: StudyContext, defect: str) -> Operations:
    """Symmetry operations of the host that keep a defect's site."""
    return host_operations(read_host(context), site_of(context, defect).frac_coords)
