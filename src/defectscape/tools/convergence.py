"""Convergence of forces with a setting of the engine: how good a cutoff is, measured, not assumed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defectscape.domain.errors import ConfigError, LabelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.label import Label
from defectscape.domain.seeds import derive_rng
from defectscape.domain.spelling import has_interstitials
from defectscape.domain.statistics import rms
from defectscape.engines.registry import make_engine
from defectscape.sampling.host import read_host_file
from defectscape.sampling.pairs import with_pairs
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.study.context import StudyContext
from defectscape.study.host import dopants_of

RATTLE_A = 0.1


@dataclass(frozen=True)
class ConvergenceRow:
    """One value of the setting, against the last value of the list.

    Attributes:
        value: the setting's value.
        force_rms_eV_A, force_max_eV_A: root mean square, and largest, difference of a force
            component, eV/A.
        energy_eV: raw energy, eV.
        core_s: processor time of the label, core-seconds.
    """

    value: float
    force_rms_eV_A: float
    force_max_eV_A: float
    energy_eV: float
    core_s: float


def test_frame(context: StudyContext) -> Frame:
    """A rattled frame of the study's first defect in its first charge state.

    The host is taken as it stands in its file, so that this can be asked before it is relaxed.
    """
    study = context.study
    host = read_host_file(study.host)
    defect = study.defects[0]
    extrinsic = dopants_of(study, host)
    points = enumerate_sites(host, interstitials=has_interstitials([defect.name]), extrinsic=extrinsic)
    sites = with_pairs(host, points, [defect.name])
    charge = defect.charges[0]
    frame = defect_frame(host, pick_site(sites, defect.name), charge, defect.multiplicities.get(charge))
    rng = derive_rng(study.seed, "convergence", defect.name, defect.charges[0])
    moved = frame.positions_A + rng.normal(0.0, RATTLE_A, frame.positions_A.shape)
    return frame.moved(moved, origin=Origin.RATTLE, note="convergence test")


def converge(context: StudyContext, fidelity: str, setting: str, values: Sequence[float]) -> tuple[ConvergenceRow, ...]:
    """Label one rattled frame with each value of a setting; labels stay in the store.

    Args:
        level: ``low`` or ``high``.
        setting: a number among the engine's settings, for example ``cutoff_Ry``.
        values: in any order; the last one is what the others are compared with.

    Raises:
        ConfigError: if the engine has no such number.
        LabelError: if a calculation fails.
    """
    frame = test_frame(context)
    computed = [_compute(context, fidelity, setting, value, frame) for value in values]
    reference = computed[-1][0]
    rows = []
    for value, (label, core_s) in zip(values, computed, strict=True):
        change = label.forces_eV_A - reference.forces_eV_A
        largest = float(np.max(np.abs(change)))
        rows.append(ConvergenceRow(value, rms(change), largest, label.energy_eV, core_s))
    return tuple(rows)


def _compute(context: StudyContext, fidelity: str, setting: str, value: float, frame: Frame) -> tuple[Label, float]:
    """The frame's label with one value of the setting, and what it cost, core-seconds."""
    fidelity_settings = context.fidelity_settings(fidelity)
    known = fidelity_settings.engine.model_dump(mode="json")
    if not isinstance(known.get(setting, ""), int | float | None):
        numbers = ", ".join(key for key, item in known.items() if isinstance(item, int | float))
        raise ConfigError("engine setting", setting, f"The {fidelity_settings.name} engine has the numbers {numbers}")
    settings = type(fidelity_settings.engine).model_validate(known | {setting: value}, strict=False)
    record = context.label(frame, fidelity, make_engine(settings))
    if record.label is None:
        raise LabelError(
            f"{fidelity_settings.name} label with {setting} {value:g}",
            f"failed: {record.failure}",
            "Take this value off the list",
        )
    return record.label, record.core_s
