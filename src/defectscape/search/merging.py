"""From relaxations to distinct minima: merge what is the same, rank, cut.

Two minima are the same if they agree in structure (RMSD under the host's symmetry) and in energy.
Both are asked: structures on two sides of a low barrier can be close, and different structures can
be degenerate by accident.
"""

import logging
from collections.abc import Sequence

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Frame
from defectscape.domain.minimum import Minimum, Relaxation
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.symmetry import point_group
from defectscape.settings.search import Minima

logger = logging.getLogger(__name__)

DEGENERATE_EV = 0.002
"""Members of one minimum this close in energy (whole supercell) may represent it alike."""


def merge(
    relaxations: Sequence[Relaxation],
    operations: Operations,
    settings: Minima,
    unperturbed_note: str,
    held_out_families: frozenset[str] = frozenset(),
) -> tuple[Minimum, ...]:
    """Distinct minima of one defect in one charge state, the lowest first.

    Args:
        relaxations: of one defect key; those that did not converge are left out.
        operations: symmetry operations of the host's supercell to compare under.
        unperturbed_note: the ``note`` of the unperturbed start.
        held_out_families: families that must not enter training: a minimum is represented by its
            lowest member, or by another one within 2 meV if only that one may be trained on.

    Returns:
        The minima inside the energy window above the lowest that the committee agrees on, ranked; none
        if nothing converged. The result does not depend on the order of ``relaxations``.

    Raises:
        SearchError: if the relaxations are of several keys.
    """
    keys = sorted({str(relaxation.start.key) for relaxation in relaxations})
    if len(keys) > 1:
        raise SearchError(
            "relaxations to merge", ", ".join(keys), "Merge each defect key by itself"
        )
    usable = sorted((r for r in relaxations if r.converged), key=_order)
    clusters = _clusters(usable, operations, settings)
    logger.info(
        "%s: %d of %d relaxations converged, %d distinct minima",
        keys[0] if keys else "nothing", len(usable), len(relaxations), len(clusters),
    )  # fmt: skip
    pairs = [(_representative(cluster, held_out_families), cluster) for cluster in clusters]
    pairs.sort(key=lambda pair: _order(pair[0]))
    if not pairs:
        return ()
    sure = next((best for best, _ in pairs if best.trusted), pairs[0][0])
    standard = [r.final for r in usable if r.start.note == unperturbed_note]
    return tuple(
        _minimum(rank, best, cluster, operations, settings, unperturbed_note, standard)
        for rank, (best, cluster) in enumerate(pairs)
        if best.energy_eV - sure.energy_eV <= settings.window_eV
    )


def foremost(minima: Sequence[Minimum], count: int) -> list[Minimum]:
    """The lowest ``count``, and the lowest ``count`` of those that the committee agrees on.

    A minimum where it does not may be the ground state, or nonsense that hides it.

    Args:
        minima: of one defect key, the lowest first.
        count: how many of each.
    """
    sure = [minimum.rank for minimum in minima if not minimum.doubtful][:count]
    return [m for place, m in enumerate(minima) if place < count or m.rank in sure]


def nearest(frame: Frame, minima: Sequence[Minimum], operations: Operations) -> Minimum:
    """The minimum whose structure is closest to a frame's (RMSD under the host's symmetry).

    Args:
        frame: a structure.
        minima: of the frame's defect key, at least one.
        operations: symmetry operations of the host's supercell to compare under.
    """
    return min(minima, key=lambda minimum: rmsd_A(frame, minimum.frame, operations))


def _order(relaxation: Relaxation) -> tuple[float, str, str]:
    return relaxation.energy_eV, relaxation.final.geometry_hash, relaxation.start.note


def _clusters(
    usable: Sequence[Relaxation], operations: Operations, settings: Minima
) -> list[list[Relaxation]]:
    """From the lowest up, each joins the first cluster whose lowest member it equals."""
    clusters: list[list[Relaxation]] = []
    for relaxation in usable:
        for cluster in clusters:
            lowest = cluster[0]
            if abs(relaxation.energy_eV - lowest.energy_eV) >= settings.merge_energy_eV:
                continue
            if rmsd_A(relaxation.final, lowest.final, operations) < settings.merge_rmsd_A:
                cluster.append(relaxation)
                break
        else:
            clusters.append([relaxation])
    return clusters


def _representative(cluster: Sequence[Relaxation], held_out: frozenset[str]) -> Relaxation:
    lowest = cluster[0]
    for relaxation in cluster:
        degenerate = relaxation.energy_eV - lowest.energy_eV <= DEGENERATE_EV
        if degenerate and relaxation.final.family not in held_out:
            return relaxation
    return lowest


def _minimum(
    rank: int,
    best: Relaxation,
    cluster: Sequence[Relaxation],
    operations: Operations,
    settings: Minima,
    unperturbed_note: str,
    standard: Sequence[Frame],
) -> Minimum:
    notes = tuple(sorted({relaxation.start.note for relaxation in cluster}))
    return Minimum(
        rank=rank,
        frame=best.final,
        energy_eV=best.energy_eV,
        member_energies_eV=best.member_energies_eV,
        fmax_eV_A=best.fmax_eV_A,
        force_std_eV_A=best.force_std_eV_A,
        found_from=notes,
        point_group=point_group(best.final, settings.symmetry_tolerance_A),
        rmsd_to_unperturbed_A=rmsd_A(best.final, standard[0], operations) if standard else None,
        from_unperturbed=unperturbed_note in notes,
        doubtful=not best.trusted,
    )
