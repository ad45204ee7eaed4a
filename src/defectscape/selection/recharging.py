"""Structures that the charge states of a defect hand to each other, to be labelled where they are in another charge.

One geometry in several charges says what a charge does and nothing else: its energies differ by vertical transition
energies alone, and a minimum of one charge state may lie low, or lead down, in the next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey


@dataclass(frozen=True, eq=False)
class Handed:
    """A structure that a charge state hands to the others.

    Attributes:
        frame: in the charge state that it is labelled in.
        source: frame_id where it comes from.
        lowest: whether it is the lowest of its charge state, or the lowest that the committee agrees on.
        doubtful: whether the committee disagrees on the forces there.
    """

    frame: Frame
    source: str
    lowest: bool
    doubtful: bool = False


def handed_to(
    key: DefectKey, handed: Mapping[DefectKey, Sequence[Handed]], multiplicity: int | None = None
) -> list[Handed]:
    """What the other charge states hand to one, recharged: the lowest of each, then the next of each.

    Args:
        key: who is given them.
        handed: what each charge state gives, the lowest first.
        multiplicity: of the spin in the charge of ``key``, 2S + 1; None for the lowest.

    Returns:
        At each turn the nearest charges come first; of two equally near ones the first in ``handed``. A geometry that
        two of them give comes once.
    """
    others = sorted((other for other in handed if other != key), key=lambda other: abs(other.charge - key.charge))
    turns = range(max((len(handed[other]) for other in others), default=0))
    given = [handed[other][turn] for turn in turns for other in others if turn < len(handed[other])]
    found: dict[str, Handed] = {}
    for item in given:
        note = f"found at {item.frame.key}, recharged"
        frame = item.frame.recharged(key.charge, origin=Origin.MINIMUM, note=note, multiplicity=multiplicity)
        found.setdefault(frame.frame_id, replace(item, frame=frame))
    return list(found.values())


def at_most(items: Sequence[Handed], count: int) -> list[Handed]:
    """The first ``count`` that their committee agrees on, and the first ``count`` that it does not, in their order."""
    kept: list[Handed] = []
    for item in items:
        if sum(other.doubtful == item.doubtful for other in kept) < count:
            kept.append(item)
    return kept


def in_turn(first: Sequence[Frame], second: Sequence[Frame]) -> list[Frame]:
    """One of the first, one of the second, and so on."""
    turns = range(max(len(first), len(second)))
    return [frames[turn] for turn in turns for frames in (first, second) if turn < len(frames)]
