"""The minima of a study: of one key as rows of the summary, and all of them as files.

A row says how far the plain relaxation ends above the lowest minimum; the files are POSCARs and one extended XYZ file.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.io import write

from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.atoms import to_atoms
from defectscape.files.extxyz import write_frames
from defectscape.model.calibration import Scale
from defectscape.sampling.sites import defect_frame
from defectscape.search.description import describe
from defectscape.search.symmetry import lowering, orientations, point_group
from defectscape.study.context import StudyContext
from defectscape.summary.calibration import relative_bar_eV
from defectscape.summary.schema import MinimumSummary
from defectscape.summary.searched import Searched, names_of


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
    # Of a pair the distortion is told from its first partner: between the two there may be nothing.
    words = describe(frame, unrelaxed, site.points[0].frac_coords)
    if lowered and words.startswith(("breathing", "distorted")):
        return f"{lowered}, {words}"
    return words


def gain_over_plain(
    rows: list[MinimumSummary], relaxations: tuple[Relaxation, ...], lowest_eV: float, ground: int
) -> tuple[float | None, bool]:
    """How far the unperturbed relaxation ends above the ground state, eV, and whether by engine."""
    best = next(row for row in rows if row.rank == ground)
    plain = sorted((row for row in rows if row.from_unperturbed), key=lambda row: row.verified_energy_eV is None)
    if plain:
        row = plain[0]
        if row.verified_energy_eV is not None and best.verified_energy_eV is not None:
            return row.verified_energy_eV - best.verified_energy_eV, True
        return row.energy_above_lowest_eV - best.energy_above_lowest_eV, False
    for relaxation in relaxations:
        if relaxation.start.note == UNPERTURBED and relaxation.converged:
            # Above the window of listed minima.
            return relaxation.energy_eV - lowest_eV - best.energy_above_lowest_eV, False
    return None, False


def write_structures(context: StudyContext, groups: Sequence[Searched]) -> None:
    """POSCARs and one extended XYZ file of all minima, the verified geometry where there is one.

    The first line of a POSCAR says what it holds.
    """
    folder = context.layout.minima_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frames = []
    for searched in groups:
        structures = searched.structures()
        names = names_of(context, structures)
        for (key, rank), frame in structures.items():
            frames.append(frame)
            path = context.layout.together / geometry_name(key, rank)
            write(path, to_atoms(frame), format="vasp", direct=True, sort=True)
            _title(path, f"{key} minimum {rank}: {names[key, rank]}; total charge {key.charge:+d} e")
    write_frames(context.layout.minima_extxyz, frames)


def _title(path: Path, text: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text, *lines[1:]]) + "\n", encoding="utf-8")
