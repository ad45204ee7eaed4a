"""Spin check stage: a verified ground state at the other plausible multiplicity, at the same geometry.

One label says whether the spin that was taken for the state is the lowest; it trains no model.
"""

import logging

from defectscape.domain.frame import next_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.search.open_shell import open_shell
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, read_sites
from defectscape.study.minima import ground_state, read_verified
from defectscape.study.spin_checks import SpinCheck, write_spin_check

logger = logging.getLogger(__name__)


def check_spin(context: StudyContext, name: str, key: DefectKey) -> None:
    """Label the ground state of one charge state at the other multiplicity, if it may have unpaired electrons."""
    write_spin_check(context, name, key, _checked(context, name, key))


def _checked(context: StudyContext, name: str, key: DefectKey) -> SpinCheck | None:
    """What came out; None where no minimum was found or verified, or all electrons are paired."""
    items = read_verified(context, name, key)
    best = ground_state(items) if items else None
    if best is None or best.final_label is None:
        logger.warning("%s has no verified ground state, so its spin is not checked", key)
        return None
    frame = best.frame
    reason = open_shell(read_host(context), read_sites(context), frame)
    if reason is None:
        logger.info("%s: all electrons are paired, so its spin is not checked", key)
        return None
    other = next_multiplicity(frame.numbers, frame.charge, frame.multiplicity)
    record = context.label(frame.respun(other, note="spin check"), "high")
    energy_eV = None if record.label is None else record.label.energy_eV
    found = SpinCheck(
        key,
        frame.frame_id,
        frame.multiplicity,
        other,
        reason,
        best.final_label.energy_eV,
        energy_eV,
        record.failure or "",
        record.core_s,
    )
    if found.difference_eV is None:
        logger.warning("%s: multiplicity %d failed: %s", key, other, record.failure)
    else:
        above_eV = found.difference_eV
        logger.info("%s, %s: multiplicity %d is %+.3f eV from %d", key, reason, other, above_eV, frame.multiplicity)
    return found
