"""Geometry families and their splits: frames made from one start, in every charge state, stay together.

A family is named ``<defect>/<start>``. Two starts have fixed names: the unperturbed one, and the one
that stands for every structure a search or a verification found.
"""

from enum import StrEnum

UNPERTURBED = "unperturbed"
"""Note, and end of the family name, of the start without any distortion."""
FOUND = "found"


class Split(StrEnum):
    """What the frames of a family are used for."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


def unperturbed_family(defect: str) -> str:
    """Geometry family of a defect's unperturbed start."""
    return f"{defect}/{UNPERTURBED}"


def is_unperturbed(family: str) -> bool:
    """Whether a family is that of an unperturbed start, whatever its defect."""
    return family.partition("/")[2] == UNPERTURBED


def found_family(defect: str) -> str:
    """Geometry family of the minima that searches and verification found."""
    return f"{defect}/{FOUND}"
