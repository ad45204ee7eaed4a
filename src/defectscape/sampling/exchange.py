"""Atoms that a structure has more or fewer than the host, and what is said where they make no known defect."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ase.data import chemical_symbols

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Ints
from defectscape.domain.site import DefectSite, HostCrystal

MOST = 2
"""So many atoms more, and as many fewer, make a pair of point defects."""


def exchanged(host: HostCrystal, numbers: Ints) -> dict[str, int]:
    """Atoms per element that a structure has more (negative: fewer) than the host, of a point defect or a pair.

    Raises:
        DefectError: if more atoms differ than those of a pair.
    """
    mine, theirs = Counter(numbers.tolist()), Counter(host.numbers.tolist())
    if (mine - theirs).total() > MOST or (theirs - mine).total() > MOST:
        raise strange(host, numbers)
    changes = {chemical_symbols[number]: mine[number] - theirs[number] for number in {*mine, *theirs}}
    return {symbol: changes[symbol] for symbol in sorted(changes) if changes[symbol]}


def is_point(changes: Mapping[str, int]) -> bool:
    """Whether one point defect makes these changes: at most one atom more, and one fewer."""
    return sorted(changes.values()) in ([1], [-1], [-1, 1])


def strange(host: HostCrystal, numbers: Ints) -> DefectError:
    """A composition of none of the study's defects."""
    mine, theirs = Counter(numbers.tolist()), Counter(host.numbers.tolist())
    return DefectError(
        "atoms",
        f"{formula(mine)}, the perfect supercell is {formula(theirs)}",
        "One vacancy, substitution or interstitial of the study's host is expected, or a pair that the study names",
    )


def unknown_site(host: HostCrystal, sites: Sequence[DefectSite], changes: Mapping[str, int]) -> DefectError:
    """A point defect at none of the known sites."""
    added = next((symbol for symbol, change in changes.items() if change > 0), None)
    removed = next((symbol for symbol, change in changes.items() if change < 0), None)
    name = f"{added or 'v'}_{removed}" if removed else f"i_{added}"
    known = {point.added for site in sites for point in site.points} | {None}
    known |= {chemical_symbols[number] for number in host.numbers.tolist()}
    if added not in known:
        return DefectError(
            "defect",
            f"{name}, and {added} is no element of the host or of its dopants",
            "Name a defect that adds it among the study's defects",
        )
    return DefectError(
        "defect", f"{name} at no site that the host is known to have", "Name its site with --defect if you know it"
    )


def unknown_pair(host: HostCrystal, pairs: Sequence[DefectSite], numbers: Ints) -> DefectError:
    """Two point defects that are no pair of the study."""
    if not pairs:
        return strange(host, numbers)
    names = ", ".join(pair.name for pair in pairs)
    return DefectError(
        "defect",
        f"the atoms of {names}, in another arrangement",
        "Name that arrangement among the study's defects, as v_Cd+Cl_Te_shell2, or with --defect if you know it",
    )


def formula(counts: Counter[int]) -> str:
    return "".join(f"{chemical_symbols[number]}{counts[number]}" for number in sorted(counts))
