"""From relaxations to distinct minima: merge equal ones, rank them, cut at the energy window.

Two relaxations end in one minimum if they agree in structure (RMSD under the host's symmetry) and in
energy. Both criteria are needed: structures on two sides of a low barrier can be close, and different
structures can be degenerate by accident.
"""

import logging
from collections.abc import Sequence

from defectscape.domain.errors import SearchError
from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame
from defectscape.domain.minimum import Minimum, Relaxation
from defectscape.search.matching import Operations, rmsd_A
from defectscape.settings.search import MinimaSettings

logger = logging.getLogger(__name__)


def merge(
    relaxations: Sequence[Relaxation],
    operations: Operations,
    settings: MinimaSettings,
) -> tuple[Minimum, ...]:
    """Distinct minima of one defect in one charge state, the lowest first.

    Args:
        relaxations: of one defect key; those that did not converge are left out.
        operations: symmetry operations of the host's supercell to compare under.

    Returns:
        The minima inside the energy window, ranked; none if nothing converged. Each is represented by its
        lowest relaxation. The window is counted from the lowest minimum that the committee agrees on.
        The order of ``relaxations`` does not matter.

    Raises:
        SearchError: if the relaxations are of several keys.
    """
    keys = sorted({str(relaxation.start.key) for relaxation in relaxations})
    if len(keys) > 1:
        raise SearchError("relaxations to merge", ", ".join(keys), "Merge each defect key by itself")
    usable = sorted((r for r in relaxations if r.converged), key=_order)
    clusters = _clusters(usable, operations, settings)
    logger.info(
        "%s: %d of %d relaxations converged, %d distinct minima",
        keys[0] if keys else "nothing",
        len(usable),
        len(relaxations),
        len(clusters),
    )
    if not clusters:
        return ()
    lowest = [cluster[0] for cluster in clusters]
    sure = next((relaxation for relaxation in lowest if relaxation.trusted), lowest[0])
    return tuple(
        _minimum(rank, cluster)
        for rank, cluster in enumerate(clusters)
        if cluster[0].energy_eV - sure.energy_eV <= settings.window_eV
    )


def lowest_including_doubtful(minima: Sequence[Minimum], count: int) -> list[Minimum]:
    """The lowest ``count``, and the lowest ``count`` of those that the committee agrees on.

    A doubtful minimum may be the ground state, or an artefact of the model that hides it.

    Args:
        minima: of one defect key, the lowest first.
        count: how many of each.
    """
    sure = [minimum.rank for minimum in minima if not minimum.doubtful][:count]
    return [m for place, m in enumerate(minima) if place < count or m.rank in sure]


def low_minima(minima: Sequence[Minimum], window_eV: float) -> list[Minimum]:
    """The minima up to ``window_eV`` above the lowest that the committee agrees on, or the lowest of all.

    Args:
        minima: of one defect key, the lowest first.
        window_eV: in eV.
    """
    if not minima:
        return []
    sure = next((minimum for minimum in minima if not minimum.doubtful), minima[0])
    return [minimum for minimum in minima if minimum.energy_eV - sure.energy_eV <= window_eV]


def are_one(a: Minimum, b: Minimum, operations: Operations, settings: MinimaSettings) -> bool:
    """Whether two minima of one defect key would be merged."""
    if abs(a.energy_eV - b.energy_eV) >= settings.merge_energy_eV:
        return False
    return rmsd_A(a.frame, b.frame, operations) < settings.merge_rmsd_A


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


def _clusters(usable: Sequence[Relaxation], operations: Operations, settings: MinimaSettings) -> list[list[Relaxation]]:
    """From the lowest up, each joins the first cluster whose lowest member it equals. Clusters and their
    members come in order of energy."""
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


def _minimum(rank: int, cluster: Sequence[Relaxation]) -> Minimum:
    lowest = cluster[0]
    notes = tuple(sorted({relaxation.start.note for relaxation in cluster}))
    return Minimum(
        rank=rank,
        frame=lowest.final,
        energy_eV=lowest.energy_eV,
        member_energies_eV=lowest.member_energies_eV,
        fmax_eV_A=lowest.fmax_eV_A,
        force_std_eV_A=lowest.force_std_eV_A,
        found_from=notes,
        from_unperturbed=UNPERTURBED in notes,
        doubtful=not lowest.trusted,
    )
