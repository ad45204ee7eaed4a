"""Starts of the search: the unperturbed defect, ShakeNBreak's distortions of it, and a rattle.

ShakeNBreak (Mosquera-Lois et al., npj Comput. Mater. 9, 25 (2023)) distorts as many neighbours as
the defect has electrons missing or too many. Its own driver shares one random rattle among all
distortions of a defect, which would tie the training frames together, so its low-level functions
are called here with a seed per start.
"""

import logging
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.seeds import derive_rng, derive_seed
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.sampling.candidates import candidates
from defectscape.sampling.electrons import missing_electrons
from defectscape.sampling.lengths import closest_allowed_A, displacements_A, sampling_lengths, too_close
from defectscape.sampling.pair_distortions import (
    ON_SITE_A,
    Surroundings,
    both_distorted,
    distances_to_A,
    first_shell,
    surroundings,
    where_is,
)
from defectscape.sampling.sites import defect_frame
from defectscape.settings.sampling import SamplingSettings

log = logging.getLogger(__name__)

DIMER = "Dimer"
"""ShakeNBreak's word for it."""


class Rattle(TypedDict):
    """ShakeNBreak's rattle: standard deviation and shortest distance in A, and the seed."""

    stdev: float
    d_min: float
    seed: int


def make_starts(
    host: HostCrystal,
    site: DefectSite,
    charge: int,
    sampling: SamplingSettings,
    seed: int,
    multiplicity: int | None = None,
) -> tuple[Frame, ...]:
    """All starts of one defect and charge; the first is the exact unperturbed geometry.

    The family of a start, ``<defect>/<distortion>``, is the same in every charge state. Starts with
    a contact below ``sampling.shortest_distance_A``, or below ``lengths.COVALENT_SHARE`` of the sum of two radii
    where that is not given, are dropped with a warning in the log.

    Args:
        host: the crystal with its supercell.
        site: the defect.
        charge: charge state, units of e.
        sampling: distortions, dimers, rattle and shortest distance.
        seed: the study's seed.
        multiplicity: of the spin, 2S + 1; None for the lowest.

    Raises:
        DefectError: as ``defect_frame``.
    """
    unperturbed = defect_frame(host, site, charge, multiplicity)
    starts = {unperturbed.frame_id: unperturbed}
    for label, note, positions in _all(unperturbed, host, site, charge, sampling, seed):
        limit_A = sampling.shortest_distance_A
        if positions is None or too_close(unperturbed.numbers, positions, unperturbed.cell_A, limit_A):
            log.warning("start %s of %s dropped: atoms too close", note, unperturbed.key)
            continue
        start = Frame(
            unperturbed.numbers,
            positions,
            unperturbed.cell_A,
            unperturbed.key,
            unperturbed.multiplicity,
            Origin.START,
            f"{site.name}/{label}",
            unperturbed.frame_id,
            note,
        )
        starts.setdefault(start.frame_id, start)
    return tuple(starts.values())


def _all(
    unperturbed: Frame,
    host: HostCrystal,
    site: DefectSite,
    charge: int,
    sampling: SamplingSettings,
    seed: int,
) -> Iterator[tuple[str, str, Floats | None]]:
    """Label, note and positions (None where atoms overlap) of every start but the unperturbed one."""
    neighbours, lengths = distorted_neighbours(host, site, charge), sampling_lengths(sampling, host)
    std_A, limit_A = lengths.start_rattle_A, sampling.shortest_distance_A
    # ShakeNBreak's rattle knows one distance for all pairs.
    floor_A = float(closest_allowed_A(unperturbed.numbers, limit_A).min())
    where = where_is(unperturbed, site.points[0])
    around = surroundings(unperturbed, site, _missing_count(host, site, charge)) if site.partners else ()
    for label, note, factor in _distortions(sampling):
        rattle: Rattle = {
            "stdev": std_A,
            "d_min": floor_A,
            "seed": derive_seed(seed, site.name, charge, label, std_A),
        }
        if around and isinstance(factor, float):
            yield label, note, _both_distorted(unperturbed, around, factor, rattle, limit_A)
        else:
            yield label, note, distorted(unperturbed, where, factor, neighbours, rattle, limit_A)
    for label, note, bare in candidates(unperturbed, site, sampling.split_vacancies, lengths.off_centre_A):
        rng = derive_rng(seed, site.name, charge, label, std_A)
        yield label, note, bare + rng.normal(0.0, std_A, bare.shape)


def _distortions(sampling: SamplingSettings) -> Iterator[tuple[str, str, float | str | None]]:
    """Label (for families and seeds), note (for people) and ShakeNBreak's factor of each start."""
    for distortion in sampling.bond_distortions:
        label = bond_label(distortion)
        yield label, f"bond distortion {label.removeprefix('bond')}", 1.0 + distortion
    if sampling.dimers:
        yield "dimer", "dimer", DIMER
    yield "rattle", "rattle", None


def bond_label(distortion: float) -> str:
    """Label of a bond distortion, given as a fraction."""
    return f"bond{100 * distortion:+g}%"


def distorted_neighbours(host: HostCrystal, site: DefectSite, charge: int) -> int:
    """How many neighbours are distorted: ShakeNBreak's octet rule, or else the first shell.

    The rule counts the electrons that the defect misses (or has in excess) against the host's
    oxidation states, n + charge; more than four count as 8 - n. A charge state with none would not
    be distorted at all, so all nearest neighbours are distorted there.
    """
    return _missing_count(host, site, charge) or coordination(host, site)


def _missing_count(host: HostCrystal, site: DefectSite, charge: int) -> int:
    """Neighbours that the electrons missing or in excess ask for; 0 where there are none."""
    missing = abs(missing_electrons(host, site, charge))
    return abs(8 - missing) if missing > 4 else missing


def coordination(host: HostCrystal, site: DefectSite) -> int:
    """Atoms in the first shell of the site, of a pair that of its first partner."""
    lengths_A = distances_to_A(defect_frame(host, site, 0), site.points[0])
    return first_shell(lengths_A[lengths_A > ON_SITE_A])


def _both_distorted(
    frame: Frame, around: tuple[Surroundings, ...], factor: float, rattle: Rattle, limit_A: float | None
) -> Floats | None:
    """As ``distorted``, around both partners of a pair."""
    structure = to_structure(frame.numbers, frame.positions_A, frame.cell_A)
    with quiet("ShakeNBreak"):
        from shakenbreak import distortions

        bare, loose = both_distorted(structure, around, factor)
        if too_close(frame.numbers, np.asarray(bare.cart_coords), frame.cell_A, limit_A):
            return None
        moved = distortions.rattle(bare, active_atoms=loose, **rattle)
    return _onto(frame, moved, limit_A)


def distorted(
    frame: Frame,
    where: dict[str, Any],
    factor: float | str | None,
    neighbours: int,
    rattle: Rattle,
    limit_A: float | None,
) -> Floats | None:
    """Positions (n, 3) of one start, next to those of ``frame``, A; None if atoms overlap, or
    would be drawn to their own images.

    ShakeNBreak keeps the defect and its distorted neighbours out of the rattle.
    """
    structure = to_structure(frame.numbers, frame.positions_A, frame.cell_A)
    with quiet("ShakeNBreak"):
        from shakenbreak import distortions

        if factor is None:
            moved = distortions.rattle(structure, **rattle)
        else:
            # Its Monte Carlo never ends where the distortion alone has atoms closer than d_min.
            if isinstance(factor, str):
                try:
                    bare = distortions.apply_dimer_distortion(structure.copy(), **where)
                except ValueError as error:
                    if "must not be the same" not in str(error):
                        raise
                    return None  # in a thin cell the closest neighbours can be an atom and its own image
            else:
                bare = distortions.distort(structure.copy(), neighbours, factor, **where)
            positions = np.asarray(bare["distorted_structure"].cart_coords)
            if too_close(frame.numbers, positions, frame.cell_A, limit_A):
                return None
            moved = distortions.distort_and_rattle(
                structure.copy(), factor, num_nearest_neighbours=neighbours, **where, **rattle
            )["distorted_structure"]
    return _onto(frame, moved, limit_A)


def _onto(frame: Frame, moved: Any, limit_A: float | None) -> Floats | None:
    """Positions (n, 3) of a structure next to those of a frame, A; None if atoms overlap."""
    if too_close(frame.numbers, np.asarray(moved.cart_coords), frame.cell_A, limit_A):
        return None
    return frame.positions_A + displacements_A(frame.positions_A, np.asarray(moved.cart_coords), frame.cell_A)
