"""The minima of one key as rows of the summary, and how far the plain relaxation ends above the lowest."""

import numpy as np

from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.model.calibration import Scale
from defectscape.sampling.sites import defect_frame
from defectscape.search.description import describe
from defectscape.search.symmetry import lowering, orientations, point_group
from defectscape.summary.calibration import relative_bar_eV
from defectscape.summary.schema import MinimumSummary


def geometry_name(key: DefectKey, rank: int) -> str:
    """POSCAR of a minimum, relative to the study's folder."""
    return f"minima/{key}_min{rank}.vasp"


def _std(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def minimum_rows(
    minima: tuple[Minimum, ...],
    verified: dict[int, VerifiedMinimum],
    reference: HostCrystal,
    site: DefectSite,
    tolerance_A: float,
    scale: Scale | None,
) -> list[MinimumSummary]:
    lowest = np.array(minima[0].member_energies_eV)
    best_eV = min((item.final_energy_eV for item in verified.values()), default=np.inf)
    rows = []
    for minimum in minima:
        item = verified.get(minimum.rank)
        label = item.final_label if item else None
        frame = item.frame if item and label else minimum.frame
        unrelaxed = defect_frame(reference, site, frame.charge)
        site_group, group = (point_group(f, tolerance_A) for f in (unrelaxed, frame))
        rows.append(
            MinimumSummary(
                rank=minimum.rank,
                energy_above_lowest_eV=minimum.energy_eV - minima[0].energy_eV,
                committee_std_eV=_std(np.array(minimum.member_energies_eV) - lowest),
                committee_bar_eV=relative_bar_eV(scale, minimum, minima[0]),
                verified_above_lowest_eV=label.energy_eV - best_eV if label else None,
                verified_energy_eV=label.energy_eV if label else None,
                model_error_eV=item.model_error_eV if item else None,
                engine_fmax_eV_A=label.fmax_eV_A if label else None,
                relax_steps=item.relax_steps if item else 0,
                point_group=group,
                orientations=orientations(site_group, group),
                distortion=_in_words(frame, unrelaxed, site, lowering(site_group, group)),
                found_from=list(minimum.found_from),
                from_unperturbed=minimum.from_unperturbed,
                doubtful=minimum.doubtful,
                geometry_file=geometry_name(frame.key, minimum.rank),
            )
        )
    return rows


def _in_words(frame: Frame, unrelaxed: Frame, site: DefectSite, lowered: str) -> str:
    """The dominant distortion; what has a name of its own needs no group theory."""
    words = describe(frame, unrelaxed, site.frac_coords)
    if lowered and words.startswith(("breathing", "distorted")):
        return f"{lowered}, {words}"
    return words


def gain_over_plain(
    rows: list[MinimumSummary], relaxations: tuple[Relaxation, ...], lowest_eV: float, ground: int
) -> tuple[float | None, bool]:
    """How far the unperturbed relaxation ends above the ground state, eV, and whether by engine."""
    best = next(row for row in rows if row.rank == ground)
    plain = sorted((row for row in rows if row.from_unperturbed), key=lambda row: row.verified_energy_eV is None)
    for row in plain:
        if row.verified_energy_eV is not None and best.verified_energy_eV is not None:
            return row.verified_energy_eV - best.verified_energy_eV, True
        return row.energy_above_lowest_eV - best.energy_above_lowest_eV, False
    for relaxation in relaxations:
        if relaxation.start.note == UNPERTURBED and relaxation.converged:
            # Above the window of listed minima.
            return relaxation.energy_eV - lowest_eV - best.energy_above_lowest_eV, False
    return None, False
