"""How far two levels of theory differ on the same frames: what a multi-fidelity model must learn.

A constant between the levels is free; what costs is how much the difference varies from structure to
structure within a charge state, and the difference of forces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from defectscape.domain.label import LabelledFrame
from defectscape.domain.statistics import rms
from defectscape.study.context import StudyContext
from defectscape.study.labels import read_data


@dataclass(frozen=True)
class FidelityDifference:
    """Differences of one defect key, high less low fidelity.

    Attributes:
        key: defect key.
        frames: frames that have both labels.
        shift_eV: mean difference of the supercell's energy, eV.
        spread_meV_atom: standard deviation of that difference, meV/atom; 0 for one frame.
        low_spread_meV_atom: standard deviation of the low energies themselves, meV/atom.
        force_rms_meV_A: RMS difference of a force component, meV/A.
        force_meV_A: RMS of a high-fidelity force component, meV/A.
    """

    key: str
    frames: int
    shift_eV: float
    spread_meV_atom: float
    low_spread_meV_atom: float
    force_rms_meV_A: float
    force_meV_A: float


def fidelity_differences(low: Sequence[LabelledFrame], high: Sequence[LabelledFrame]) -> tuple[FidelityDifference, ...]:
    """Differences per defect key over the frames that have both labels, the most positive first."""
    known = {item.frame.frame_id: item for item in low}
    pairs = [(known[item.frame.frame_id], item) for item in high if item.frame.frame_id in known]
    keys = dict.fromkeys(item.frame.key for _, item in pairs)
    ordered = sorted(keys, key=attrgetter("place"))
    return tuple(_gap(str(k), [p for p in pairs if p[1].frame.key == k]) for k in ordered)


def _gap(key: str, pairs: Sequence[tuple[LabelledFrame, LabelledFrame]]) -> FidelityDifference:
    atoms = len(pairs[0][0].frame)
    low = np.array([one.label.energy_eV for one, _ in pairs])
    high = np.array([two.label.energy_eV for _, two in pairs])
    forces = np.concatenate([two.label.forces_eV_A for _, two in pairs])
    change = forces - np.concatenate([one.label.forces_eV_A for one, _ in pairs])
    return FidelityDifference(
        key,
        len(pairs),
        float(np.mean(high - low)),
        1e3 * float(np.std(high - low)) / atoms,
        1e3 * float(np.std(low)) / atoms,
        1e3 * rms(change),
        1e3 * rms(forces),
    )


def study_differences(context: StudyContext) -> tuple[FidelityDifference, ...]:
    """The differences on all labels of a finished study."""
    low, high = (read_data(context, context.layout.final, level) for level in ("low", "high"))
    return fidelity_differences(low, high)
