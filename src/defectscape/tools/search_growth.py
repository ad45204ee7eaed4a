"""How the costs of both searches grow with the number of starts, from one comparison with all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from defectscape.tools.search_truth import KeyTruth


@dataclass(frozen=True)
class GrowthRow:
    """Both searches with ``starts`` starts per defect and charge.

    Attributes:
        starts: number of starts.
        direct_calls, direct_core_s: of relaxing that many with the engine, mean over all choices of them.
        direct_found: ground states among them that are right, mean over all choices.
        our_core_s: labels, trainings and searches; the searches alone grow with the starts.
        ratio: direct over ours, core-seconds.
    """

    starts: int
    direct_calls: float
    direct_core_s: float
    direct_found: float
    our_core_s: float
    ratio: float


def growth(rows: Sequence[KeyTruth], fixed_core_s: float, search_core_s: float) -> tuple[GrowthRow, ...]:
    """A row for every number of starts that all keys have.

    Args:
        rows: of all keys.
        fixed_core_s: ours, whatever the number of starts: labels and trainings.
        search_core_s: of our relaxations of all starts.
    """
    most = min((row.starts for row in rows), default=0)
    found = []
    for starts in range(1, most + 1):
        calls = sum(row.calls * starts / row.starts for row in rows)
        direct = sum(row.core_s * starts / row.starts for row in rows)
        ours = fixed_core_s + search_core_s * starts / most
        right = sum(chance(row.starts, row.right_starts, starts) for row in rows)
        found.append(
            GrowthRow(
                starts, round(calls, 1), round(direct, 1), round(right, 2), round(ours, 1), round(direct / ours, 3)
            )
        )
    return tuple(found)


def chance(all_starts: int, right: int, drawn: int) -> float:
    """Probability that among ``drawn`` of ``all_starts`` is one at least of the ``right`` ones."""
    return 1 - math.comb(all_starts - right, drawn) / math.comb(all_starts, drawn)
