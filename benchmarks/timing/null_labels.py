"""A null engine, for measuring everything but engines: labels that cost nothing and mean nothing."""

import json

import numpy as np

from defectscape.domain.frame import Frame, Ints, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import ScfAttempt

ATOMS = 31
"""Of the default study's cells."""
BOX_A = 11.2


class NullEngine:
    """Energy and forces of atoms on springs to the origin: no physics, hardly any time."""

    name = "null"
    version = "null"
    settings_json = json.dumps({"method": "null"})
    attempts = (ScfAttempt("configured", "The only one."),)

    def settings_of(self, numbers: Ints) -> str:
        """All settings."""
        return self.settings_json

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV) and forces (eV/A), finite and different for every frame."""
        forces = -0.01 * frame.positions_A
        return Label(float(0.005 * np.sum(frame.positions_A**2)), forces)


def null_frames(count: int) -> list[Frame]:
    """Random structures of the size of the default study's, all different."""
    rng = np.random.default_rng(7)
    numbers, cell = np.full(ATOMS, 52), BOX_A * np.eye(3)
    return [
        Frame(
            numbers,
            rng.uniform(0, BOX_A, (ATOMS, 3)),
            cell,
            DefectKey("v_Cd", 0),
            1,
            Origin.RATTLE,
            f"family {number % 50}",
        )
        for number in range(count)
    ]
