"""Whether a ground state may have unpaired electrons that its multiplicity does not know of, and why.

The lowest multiplicity is right where all electrons are paired in bonds and closed shells. Two electrons or holes may
be parallel; those of a dimer are paired in its bond at one length and parallel at another, as in O2.
"""

from collections.abc import Sequence

from defectscape.domain.frame import Frame, lowest_multiplicity
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.electrons import may_be_parallel
from defectscape.sampling.site_names import pick_site
from defectscape.search.reconstruction import DISORDERED, reconstruction

ODD = "an odd number of electrons"
SEVERAL = "two or more electrons or holes"


def open_shell(host: HostCrystal, sites: Sequence[DefectSite], frame: Frame) -> str | None:
    """Why another multiplicity is plausible, in words; None where all electrons are surely paired.

    Args:
        host: the perfect supercell.
        sites: the site table.
        frame: a ground state.
    """
    lowest = lowest_multiplicity(frame.numbers, frame.charge)
    if frame.multiplicity != lowest:
        return f"multiplicity {frame.multiplicity} is stated"
    if lowest > 1:
        return ODD
    if may_be_parallel(host, pick_site(sites, frame.key.defect), frame.key):
        return SEVERAL
    found = reconstruction(host, sites, frame)
    if found.name == DISORDERED:
        return "a disordered structure"
    pairs = [cluster.kind for cluster in found.clusters if cluster.alike]
    pairs += [defect.elements for defect in found.defects if defect.kind == "split interstitial"]
    return f"a {pairs[0]}" if pairs else None
