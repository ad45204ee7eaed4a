"""The name of what a defect supercell holds: the plain defect, or what it has reconstructed into.

A verified ground state of ``v_Sb`` may hold ``Se_Sb + v_Se``. Its point defects follow from the sites that its atoms
occupy; short contacts between atoms that are no neighbours in the host are dimers, trimers and bonds.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from ase.data import chemical_symbols
from ase.geometry import find_mic
from numpy.typing import NDArray

from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.sampling.identification import LEFT_SHARE
from defectscape.search.constituents import PointDefect, constituents
from defectscape.search.description import NEW_BOND_SHORTER_A, bond_limits_A, chains, distances_A, length_words
from defectscape.search.matching import Operations, match
from defectscape.search.occupation import Occupation, occupation

_COORDINATED = 3
"""So many contacts of an atom off its own site are its coordination, no dimer or trimer."""
DISORDERED = "disordered"
"""Name of a structure in which too many atoms left their sites to tell what it is made of."""
_SIZES = {2: "dimer", 3: "trimer"}
_SAME_DISTANCE_A = 0.1
"""Two pairs of host sites are as far apart within this difference, A."""
_LOOSE_A = 1.5
"""... and pairs with an interstitial, which is still the one that it was named after."""
SAME_LARGEST_A = 0.5
"""In one structure no atom is further than this from its counterpart, A: the RMSD of a large cell hardly changes where
a dimer forms."""


@dataclass(frozen=True)
class Cluster:
    """Atoms joined by bonds that the host lacks.

    Attributes:
        elements: of its atoms, sorted symbols.
        lengths_A: of its new bonds, the shortest first, A.
    """

    elements: tuple[str, ...]
    lengths_A: tuple[float, ...]

    @property
    def alike(self) -> bool:
        """Whether all its atoms are of one element."""
        return len(set(self.elements)) == 1

    @property
    def kind(self) -> str:
        """As ``Te dimer`` or ``Cd-Te bond``."""
        if not self.alike:
            return f"{'-'.join(self.elements)} bond"
        count = len(self.elements)
        return f"{self.elements[0]} {_SIZES.get(count, f'{count}-atom cluster')}"


@dataclass(frozen=True)
class Reconstruction:
    """What is there.

    Attributes:
        name: short, as ``v_Cd``, ``Se_Sb + v_Se`` or ``Te dimer (2.81 A)``.
        sentence: the same in words.
        defects: the point defects that make it up.
        clusters: dimers, trimers and other new bonds.
        plain: whether it is the defect that it began as, with no new bond and no atom off-centre.
    """

    name: str
    sentence: str
    defects: tuple[PointDefect, ...]
    clusters: tuple[Cluster, ...]
    plain: bool


def reconstruction(host: HostCrystal, sites: Sequence[DefectSite], frame: Frame) -> Reconstruction:
    """Name what a structure holds.

    Args:
        host: the perfect supercell.
        sites: the site table, for the names of inequivalent sites.
        frame: a structure of one of its defects, atoms in any order.

    Returns:
        The name. A structure in which more than a third of the atoms left their sites is called disordered.

    Raises:
        DefectError: if the frame's cell is not the host's.
    """
    found = occupation(host, frame)
    lost = len(found.loose)
    if lost > LEFT_SHARE * len(frame):
        text = f"{lost} of {len(frame)} atoms are on no site of the host."
        return Reconstruction(DISORDERED, text, (), (), plain=False)
    there = constituents(host, sites, frame.numbers, found)
    clusters = _clusters(host, frame.numbers, found, there.shared)
    made = _pair_of(host, sites, frame, there.defects) or _sum_of(there.defects) or "perfect host"
    kept = made == frame.key.defect
    off_A = there.off_centre_A if kept else 0.0
    parts = [] if kept and clusters else [made]
    if off_A:
        parts = [f"{made} off-centre ({off_A:.2f} A)"]
    # Most displacements bring unlike atoms closer: their bonds give a name where nothing else does.
    dimers = [cluster for cluster in clusters if cluster.alike]
    parts += _bond_words(dimers or ([] if parts else clusters))
    sentence = " ".join(_sentences(host, there.defects, clusters, found, off_A))
    return Reconstruction(", ".join(parts), sentence, there.defects, clusters, kept and not clusters and not off_A)


def _pair_of(host: HostCrystal, sites: Sequence[DefectSite], frame: Frame, found: Sequence[PointDefect]) -> str:
    """The pair of the table that two constituents are, the frame's own where it can be that; else nothing."""
    pairs = sorted((site for site in sites if site.partners), key=lambda site: site.name != frame.key.defect)
    for pair in pairs if len(found) == 2 else ():
        if any(_arranged(host, pair.partners, order) for order in permutations(found)):
            return pair.name
    return ""


def _arranged(host: HostCrystal, partners: Sequence[PointSite], found: Sequence[PointDefect]) -> bool:
    if any(partner.name != defect.name for partner, defect in zip(partners, found, strict=True)):
        return False
    limit_A = _LOOSE_A if any(partner.removed is None for partner in partners) else _SAME_DISTANCE_A
    first, second = (np.asarray(partner.frac_coords) @ host.cell_A for partner in partners)
    meant = _distance_A(host, second - first)
    return abs(_distance_A(host, np.subtract(found[1].position_A, found[0].position_A)) - meant) < limit_A


def _distance_A(host: HostCrystal, vector: np.ndarray) -> float:
    return float(find_mic(vector, host.cell_A, pbc=True)[1])


def same_structures(
    found: Mapping[DefectKey, tuple[Frame, Reconstruction]],
    operations: Callable[[DefectKey, DefectKey], Operations],
    within_A: float,
) -> dict[DefectKey, tuple[DefectKey, ...]]:
    """Which other states ended in the structure of each: charge states of one defect, or defects of equal composition.

    Args:
        found: structures of one supercell with their names.
        operations: symmetry operations of the host to compare two states under.
        within_A: RMSD below which two structures are one, A.

    Returns:
        For each state the others that have its structure, as far as they match the first of them.
    """
    groups: list[list[DefectKey]] = []
    for key in sorted(found, key=lambda key: key.place):
        for group in groups:
            if _same(found[group[0]], found[key], operations, within_A):
                group.append(key)
                break
        else:
            groups.append([key])
    return {key: tuple(other for other in group if other != key) for group in groups for key in group}


def _same(
    one: tuple[Frame, Reconstruction],
    other: tuple[Frame, Reconstruction],
    operations: Callable[[DefectKey, DefectKey], Operations],
    within_A: float,
) -> bool:
    (first, name), (second, other_name) = one, other
    # What is made of other constituents is another structure; no need to lay one over the other.
    if _kinds(name) != _kinds(other_name) or not np.array_equal(np.sort(first.numbers), np.sort(second.numbers)):
        return False
    rmsd_A, largest_A = match(first, second, operations(first.key, second.key))
    return rmsd_A < within_A and largest_A < SAME_LARGEST_A


def _kinds(found: Reconstruction) -> list[str]:
    return sorted(defect.elements for defect in found.defects)


def _sum_of(defects: Sequence[PointDefect]) -> str:
    """Constituents with their numbers, as ``Se_Sb + 2 v_Se``."""
    counts = Counter(defect.name for defect in defects)
    return " + ".join(name if count == 1 else f"{count} {name}" for name, count in counts.items())


def _clusters(
    host: HostCrystal, numbers: Ints, found: Occupation, shared: Sequence[tuple[int, int]]
) -> tuple[Cluster, ...]:
    """Chains of like atoms, then other bonds, that the host lacks; not between two atoms that share a site."""
    lengths = distances_A(host.cell_A, found.positions_A, found.positions_A)
    own = found.own.copy()
    own[[atom for pair in shared for atom in pair]] = False
    new = _new_bonds(host, numbers, found.sites, own, lengths)
    for one, other in shared:
        new[one, other] = new[other, one] = False
    pairs = np.argwhere(np.triu(new, k=1))
    pairs = pairs[np.argsort(lengths[pairs[:, 0], pairs[:, 1]], kind="stable")].astype(np.int64)
    alike = numbers[pairs[:, 0]] == numbers[pairs[:, 1]]
    groups = [*chains(pairs[alike]), *([(i, j)] for i, j in pairs[~alike].tolist())]
    rows = []
    for group in groups:
        atoms = sorted({atom for pair in group for atom in pair})
        bonds = tuple(sorted(float(lengths[i, j]) for i, j in group))
        rows.append(Cluster(tuple(sorted(chemical_symbols[numbers[atom]] for atom in atoms)), bonds))
    return tuple(rows)


def _new_bonds(host: HostCrystal, numbers: Ints, sites: Ints, own: NDArray[np.bool_], lengths: Floats) -> np.ndarray:
    """Which atoms (n, n) are bonded that are no neighbours in the host.

    Two atoms on sites of their own: the sites are too far apart for a bond. An atom elsewhere: it is bonded to few of
    its own element, which no atom of the host is.
    """
    limit = bond_limits_A(numbers)
    bonded = (lengths < limit) & ~np.eye(len(numbers), dtype=bool)
    before = distances_A(host.cell_A, host.positions_A, host.positions_A)
    apart = before[np.ix_(sites, sites)]
    new = bonded & (apart > limit) & (lengths < apart - NEW_BOND_SHORTER_A) & own[:, None] & own[None, :]
    near = (before < bond_limits_A(host.numbers)) & ~np.eye(len(host.numbers), dtype=bool)
    pairs = near & (host.numbers[:, None] == host.numbers[None, :])
    usual = set(host.numbers[np.any(pairs, axis=1)].tolist())
    for atom in np.flatnonzero(~own):
        contacts = np.flatnonzero(bonded[atom] & (numbers == numbers[atom]))
        if 0 < len(contacts) < _COORDINATED and int(numbers[atom]) not in usual:
            new[atom, contacts] = new[contacts, atom] = True
    return np.asarray(new)


def _bond_words(clusters: Sequence[Cluster]) -> list[str]:
    """Those of a kind together, as ``Te dimer (2.81 A)`` or ``2 Sb-Se bonds (2.79/2.83 A)``."""
    kinds: dict[str, list[Cluster]] = {}
    for cluster in clusters:
        kinds.setdefault(cluster.kind, []).append(cluster)
    rows = []
    for kind, members in kinds.items():
        lengths_A = sorted(length for cluster in members for length in cluster.lengths_A)
        several = f"{len(members)} {kind}s" if len(members) > 1 else kind
        rows.append(f"{several} ({_range_words(lengths_A)} A)")
    return rows


def _range_words(lengths_A: Sequence[float]) -> str:
    """Up to three sorted lengths as they are, more of them as a range."""
    return length_words(lengths_A) if len(lengths_A) <= 3 else f"{lengths_A[0]:.2f} to {lengths_A[-1]:.2f}"


def _sentences(
    host: HostCrystal, defects: Sequence[PointDefect], clusters: Sequence[Cluster], found: Occupation, off_A: float
) -> list[str]:
    text = "; ".join(defect.words for defect in defects) or "every site has its atom"
    rows = [f"{text[0].upper()}{text[1:]}."]
    if off_A:
        rows.append(f"The added atom is {off_A:.2f} A off its site.")
    rows += _frenkel_pairs(host, defects)
    if clusters:
        rows.append(f"Bonds that the host lacks: {', '.join(_bond_words(clusters))}.")
    own = np.flatnonzero(found.own)
    if len(own):
        furthest_A = float(np.max(found.away_A[own, found.sites[own]]))
        rows.append(f"The other atoms are within {furthest_A:.2f} A of their sites.")
    return rows


def _frenkel_pairs(host: HostCrystal, defects: Sequence[PointDefect]) -> list[str]:
    """Atoms that left their site empty and are between sites, with the distance from it."""
    rows = []
    for loose in (defect for defect in defects if defect.kind == "interstitial"):
        element = loose.elements.removeprefix("i_")
        gaps = [
            float(find_mic(np.subtract(defect.position_A, loose.position_A), host.cell_A, pbc=True)[1])
            for defect in defects
            if defect.kind == "vacancy" and defect.elements == f"v_{element}"
        ]
        if gaps:
            rows.append(f"{element} and its empty site are a Frenkel pair, {min(gaps):.2f} A apart.")
    return rows
