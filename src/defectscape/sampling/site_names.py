"""Sites by the names that people type: ours, doped's, and either without what is not needed to tell sites apart."""

from collections.abc import Iterable

from defectscape.domain.errors import DefectError
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.domain.spelling import names_meant, says, turned
from defectscape.sampling.site_words import describe_sites


def pick_site(sites: Iterable[DefectSite], name: str, host: HostCrystal | None = None) -> DefectSite:
    """The site that a name means.

    Args:
        sites: the site table.
        name: our name; doped's, whole or without its last words (``Cd_i_C3v``); or ours without its index (``i_Cd``),
            where the host has one such site.
        host: the host, so that an error can say what tells its sites apart.

    Raises:
        DefectError: for a name of no site, or of several, listing those that can be meant.
    """
    table = {site.name: site for site in sites}
    typed = turned(name)
    if typed in table:
        return table[typed]
    meant = names_meant(typed, {site.name: site.doped_name for site in table.values()})
    clear = [table[ours] for ours in meant if says(typed, *_said(table[ours]))]
    if len(meant) == len(clear) == 1:
        return clear[0]
    if len(meant) > 1:
        told = list(meant) if host is None else [row.short for row in describe_sites(host, [table[n] for n in meant])]
        raise DefectError("defect", repr(name), f"The host has {len(meant)} such sites. Write {' or '.join(told)}")
    hint = f"Write {meant[0]}. " if meant else ""
    listed = any(site.kind == "interstitial" for site in table.values())
    kinds = "" if listed else "; interstitials are listed when one is asked for, as i_Cd_1"
    raise DefectError("defect", repr(name), f"{hint}The host has {', '.join(table)}{kinds}")


def _said(site: DefectSite) -> tuple[str, str | None, str | None]:
    return site.kind, site.added, site.removed
