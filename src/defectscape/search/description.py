"""The distortion of a defect in words: dimers, new bonds, split and off-centre atoms, breathing."""

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.geometry import get_distances

from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.search.matching import displacements_A

UNCHANGED_A = 0.05
"""Largest displacement of a defect that counts as undistorted."""
CENTRED_A = 0.25
"""An atom is on the site, or stays on it, within this distance."""
BREATHING = 0.01
"""Least relative change of the first shell's mean distance that is named."""
_SHELL = 1.2
"""The first shell reaches to this factor times the nearest distance."""
BOND = 1.2
"""Bonded: closer than this factor times the sum of the covalent radii."""
NEW_BOND_SHORTER_A = 0.3
"""A new bond is at least this much shorter than the distance was."""
_NEIGHBOUR = 1.7
"""Reach of the neighbours in nearest distances. It includes second neighbours: the atom that moves into a vacancy
is of the missing atom's element."""
_HALFWAY = 0.6
"""Split vacancy: the atom's distance to the empty site falls below this fraction."""
_OUT_OF_THE_WAY_A = 0.8
"""Split interstitial: a host atom is displaced by more than this."""


def describe(frame: Frame, reference: Frame, centre_frac: tuple[float, float, float]) -> str:
    """The dominant distortion of a defect.

    Args:
        frame: the relaxed structure.
        reference: the unrelaxed defect, with the same atoms.
        centre_frac: the defect's site in fractional coordinates.

    Returns:
        Words, the most specific first, joined by commas:
        ``split vacancy, Sb 1.31 A from its site`` where an atom has moved towards an empty site,
        ``split with Te 1.20 A from its site`` where a host atom makes room for the atom on the site,
        new short contacts (``Te-Te dimer 2.78 A``, ``new Cd-Te bond 2.90 A``; bonded: closer than 1.2
        times the sum of the covalent radii),
        ``Te off-centre 0.41 A`` for an atom on the site, ``breathing inward 4%`` for the mean
        distance of the first shell to the site; ``unchanged`` below 0.05 A.

    Raises:
        SearchError: if the two have other atoms or other cells.
    """
    moves = displacements_A(reference, frame)
    largest = float(np.max(np.linalg.norm(moves, axis=1)))
    if largest < UNCHANGED_A:
        return "unchanged"
    relaxed = reference.positions_A + moves
    centre = np.array(centre_frac) @ reference.cell_A
    from_centre = distances_A(reference.cell_A, centre[None], reference.positions_A)[0]
    on_site = np.flatnonzero(from_centre < CENTRED_A)
    words = [
        *_split(reference, moves, from_centre, on_site, centre),
        *_contacts(reference, relaxed),
    ]
    for atom in on_site:
        moved_A = float(np.linalg.norm(moves[atom]))
        if moved_A > CENTRED_A:
            words.append(f"{chemical_symbols[reference.numbers[atom]]} off-centre {moved_A:.2f} A")
    others = np.setdiff1d(np.arange(len(reference)), on_site)
    shell = others[from_centre[others] < _SHELL * np.min(from_centre[others])]
    after = distances_A(reference.cell_A, centre[None], relaxed[shell])[0]
    words += _breathing(float(np.mean(after / from_centre[shell]) - 1.0))
    return ", ".join(words) or f"distorted, largest displacement {largest:.2f} A"


def _split(reference: Frame, moves: Floats, from_centre: Floats, on_site: Ints, centre: Floats) -> list[str]:
    """The neighbour that has moved furthest, if it shares an empty site or makes room for the atom on it."""
    lengths = np.linalg.norm(moves, axis=1)
    lengths[on_site] = 0.0
    near = np.flatnonzero(from_centre < _NEIGHBOUR * np.min(from_centre[lengths > 0], initial=np.inf))
    if not len(near):
        return []
    atom = int(near[np.argmax(lengths[near])])
    name, moved_A = chemical_symbols[reference.numbers[atom]], float(lengths[atom])
    after = distances_A(reference.cell_A, centre[None], reference.positions_A[atom][None] + moves[atom])[0, 0]
    if not len(on_site) and after < _HALFWAY * from_centre[atom]:
        return [f"split vacancy, {name} {moved_A:.2f} A from its site"]
    if len(on_site) and moved_A > _OUT_OF_THE_WAY_A:
        return [f"split with {name} {moved_A:.2f} A from its site"]
    return []


def _breathing(change: float) -> list[str]:
    if abs(change) < BREATHING:
        return []
    return [f"breathing {'inward' if change < 0 else 'outward'} {100 * abs(change):.0f}%"]


def _contacts(reference: Frame, relaxed_A: Floats) -> list[str]:
    """New bonds: homonuclear chains as dimer, trimer or cluster, then the two shortest others."""
    numbers = reference.numbers
    limit = bond_limits_A(numbers)
    before = distances_A(reference.cell_A, reference.positions_A, reference.positions_A)
    after = distances_A(reference.cell_A, relaxed_A, relaxed_A)
    new = (after < limit) & (before > limit) & (after < before - NEW_BOND_SHORTER_A)
    first, second = np.nonzero(np.triu(new, k=1))
    order = np.argsort(after[first, second], kind="stable")
    pairs = np.stack([first, second], axis=1)[order].astype(np.int64)
    alike = numbers[pairs[:, 0]] == numbers[pairs[:, 1]]
    words = [_cluster_words(members, numbers, after) for members in chains(pairs[alike])]
    for i, j in pairs[~alike][:2]:
        names = "-".join(sorted((chemical_symbols[numbers[i]], chemical_symbols[numbers[j]])))
        words.append(f"new {names} bond {after[i, j]:.2f} A")
    return words


def chains(pairs: Ints) -> list[list[tuple[int, int]]]:
    """Groups of pairs that share atoms, each group in order of length."""
    groups: list[list[tuple[int, int]]] = []
    for i, j in pairs.tolist():
        touching = [group for group in groups if any({i, j} & set(pair) for pair in group)]
        merged = [pair for group in touching for pair in group] + [(i, j)]
        position = groups.index(touching[0]) if touching else len(groups)
        groups = [group for group in groups if group not in touching]
        groups.insert(position, merged)
    return groups


def _cluster_words(pairs: list[tuple[int, int]], numbers: Ints, after_A: Floats) -> str:
    symbol = chemical_symbols[numbers[pairs[0][0]]]
    count = len({atom for pair in pairs for atom in pair})
    kind = {2: "dimer", 3: "trimer"}.get(count, f"cluster of {count}")
    name = "-".join([symbol] * min(count, 3)) if count <= 3 else symbol
    return f"{name} {kind} {length_words(sorted(float(after_A[i, j]) for i, j in pairs))} A"


def length_words(lengths_A: Sequence[float]) -> str:
    """The three shortest of sorted lengths, each once, as ``2.32/2.71``."""
    return "/".join(dict.fromkeys(f"{length:.2f}" for length in lengths_A[:3]))


def bond_limits_A(numbers: Ints) -> Floats:
    """Distance below which each pair of atoms counts as bonded, shape (n, n), A."""
    radii = np.asarray(covalent_radii)[numbers]
    return np.asarray(BOND * (radii[:, None] + radii[None, :]))


def distances_A(cell_A: Floats, a: Floats, b: Floats) -> Floats:
    """Minimum-image distances, shape (len(a), len(b)), A."""
    _, distances = get_distances(a, b, cell=cell_A, pbc=True)
    return np.asarray(distances)
