"""The host crystal and the site table of a study."""

from collections.abc import Sequence

from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.tables import load_host_file, load_sites, save_host, save_sites
from defectscape.sampling.sites import pick_site
from defectscape.search.matching import Operations, host_operations
from defectscape.study.context import StudyContext


def read_host(context: StudyContext) -> HostCrystal:
    """The host as the study uses it, relaxed if the study asks for that."""
    return load_host_file(context.layout.host)


def write_host(context: StudyContext, host: HostCrystal) -> None:
    """Write the host."""
    save_host(context.layout.host, host)


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
