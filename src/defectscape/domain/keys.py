"""Defect keys: which defect, in which charge state, written one way only.

A key reads ``<defect>_<signed charge>``: ``v_Cd_-2``, ``v_Te_+1``, ``v_Sb_1_0``. The sign is always
written, because doped reads a bare ``v_Sb_1`` as charge +1.
"""

import re
from dataclasses import dataclass

from defectscape.domain.errors import DefectError

HOST = "host"
"""The defect name of frames without a defect."""

_CHARGE = re.compile(r"^(0|[+-][1-9][0-9]*)$")
_POINT = r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*"
NAME_PATTERN = rf"^{_POINT}(\+{_POINT})?$"
"""Names of defects, and of pairs of them: they become names of files, and words of commands."""
_NAME = re.compile(NAME_PATTERN)


def parse_charge(text: str) -> int:
    """Read a charge (units of e) written with its sign: ``"0"``, ``"+1"``, ``"-2"``.

    Raises:
        DefectError: for anything else, also for a positive charge without its sign.
    """
    if not _CHARGE.fullmatch(text):
        raise DefectError("charge", repr(text), "Write it with its sign, in quotes: '+1', '-2' or '0'")
    return int(text)


def format_charge(charge: int) -> str:
    """Write a charge (units of e) with its sign; zero has none."""
    return f"{charge:+d}" if charge else "0"


@dataclass(frozen=True, order=True)
class DefectKey:
    """A defect in a charge state.

    Attributes:
        defect: our name of the defect, from the site table (``v_Cd``, ``v_Sb_1``, ``v_Cd+Cl_Te``), or ``host``.
        charge: total charge of the supercell, units of e.
    """

    defect: str
    charge: int

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.defect):
            raise DefectError(
                "defect name",
                repr(self.defect),
                "Use letters, digits and single underscores, as in v_Cd, v_Sb_1 or v_Cd+Cl_Te",
            )

    def __str__(self) -> str:
        return f"{self.defect}_{format_charge(self.charge)}"

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands among others: by defect, then from the highest charge down."""
        return self.defect, -self.charge

    @classmethod
    def parse(cls, text: str) -> "DefectKey":
        """Read ``v_Cd_-2``.

        Raises:
            DefectError: if the charge is missing or has no sign.
        """
        defect, _, charge = text.rpartition("_")
        if not defect or not _CHARGE.fullmatch(charge):
            raise DefectError("defect key", repr(text), "End it with the signed charge, as in v_Cd_-2")
        return cls(defect, int(charge))


HOST_KEY = DefectKey(HOST, 0)
