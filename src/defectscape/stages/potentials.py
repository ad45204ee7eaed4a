"""Potentials stage: electrostatic potentials at the atoms of the host and of each ground state.

The finite-size correction eFNV compares them. Each is one more calculation of a structure whose label is
known, so its energy must be that label's.
"""

import logging

from defectscape.domain.errors import ConfigError, ThermoError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import HOST, DefectKey
from defectscape.domain.label import Label
from defectscape.engines.attempts import try_attempts
from defectscape.engines.base import PotentialEngine
from defectscape.engines.processor_time import core_seconds
from defectscape.sampling.host import host_frame
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host
from defectscape.study.minima import ground_frame, ground_state, read_verified
from defectscape.study.potentials import SitePotentials, write_potentials

logger = logging.getLogger(__name__)

SAME_ENERGY_EV = 5e-3
"""Two solutions of one structure that differ by more are of different states."""


def host_potentials(context: StudyContext) -> None:
    """Potentials of the perfect supercell."""
    frame = host_frame(read_host(context), context.study.host.ferromagnet)
    record = context.record(frame, "high")
    _write(context, frame, record.label if record else None, HOST)


def key_potentials(context: StudyContext, group: str, key: DefectKey) -> None:
    """Potentials of the ground state of one key; an empty file where the search found no minimum."""
    items = read_verified(context, group, key)
    if not items:
        logger.warning("%s has no minimum, so no potentials", key)
        write_potentials(context, str(key), None)
        return
    best = ground_state(items)
    _write(context, ground_frame(best), best.final_label, str(key))


def _write(context: StudyContext, frame: Frame, known: Label | None, name: str) -> None:
    engine = context.engine("high")
    if not isinstance(engine, PotentialEngine):
        raise ConfigError(
            "thermo.correction.kind",
            f"efnv, but {engine.name} gives no potentials",
            "Use `point_charge`, or the espresso or vasp engine",
        )
    began = core_seconds()
    made = try_attempts(engine, frame, engine.compute_potentials)
    if made.result is None:
        raise ThermoError(
            f"potentials of {frame.key}",
            made.failure,
            "Its label is there, so look at what else is needed: pp.x, or OUTCAR",
        )
    label, potentials_V = made.result
    if known is not None and abs(label.energy_eV - known.energy_eV) > SAME_ENERGY_EV:
        raise ThermoError(
            f"potentials of {frame.key}",
            f"their calculation ended {label.energy_eV - known.energy_eV:+.3f} eV from the label",
            "The SCF has two solutions there; converge it tighter, or use `kind: point_charge`",
        )
    write_potentials(
        context,
        name,
        SitePotentials(frame.frame_id, label.energy_eV, potentials_V, engine.version, core_seconds() - began),
    )
