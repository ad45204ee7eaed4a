"""Split of the geometry families into training, validation (early stopping) and test, and the starts to relax of each.

Frames made from one start resemble one another, across charge states too, so a family is never
divided. The order is a hash of the family's own name: another defect changes nothing here.

The low-fidelity engine relaxes starts of training and of held-out families. The model will be used near minima, where
the rattled frames of the pool are rare. The first steps of a few relaxations put frames there, on both sides of the
split: some to learn from, some to be tested on.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, cycle, islice
from math import ceil

from defectscape.domain.errors import DefectError
from defectscape.domain.family import Split, is_unperturbed
from defectscape.domain.frame import Frame
from defectscape.domain.keys import HOST
from defectscape.domain.seeds import derive_seed
from defectscape.settings.sampling import SamplingSettings

FEWEST_FAMILIES = 3
"""One to train, one to validate and one to test."""


def assign_splits(families: Iterable[str], sampling: SamplingSettings, seed: int) -> dict[str, Split]:
    """The split of every geometry family.

    Per defect, ``test_fraction`` and ``valid_fraction`` of its families are rounded up, at least a
    third (rounded up) trains, and the unperturbed family always trains.

    Args:
        families: names ``<defect>/<distortion>``; the host's family ``host`` trains.
        sampling: the two fractions.
        seed: the study's seed.

    Raises:
        DefectError: for a defect with fewer than three families.
    """
    groups: dict[str, list[str]] = {}
    for family in sorted(set(families)):
        groups.setdefault(family.partition("/")[0], []).append(family)
    splits: dict[str, Split] = {}
    for defect, members in groups.items():
        if defect == HOST:
            splits |= dict.fromkeys(members, Split.TRAIN)
        else:
            splits |= _split_one(defect, members, sampling, seed)
    return splits


def _split_one(defect: str, members: list[str], sampling: SamplingSettings, seed: int) -> dict[str, Split]:
    """The splits of one defect's families."""
    count = len(members)
    if count < FEWEST_FAMILIES:
        raise DefectError(
            f"geometry families of {defect}",
            f"only {', '.join(members)}",
            "Add sampling.bond_distortions: one family each must train, validate and test",
        )
    test, valid = ceil(sampling.test_fraction * count), ceil(sampling.valid_fraction * count)
    while test + valid > count - ceil(count / 3):
        test, valid = (test - 1, valid) if test >= valid else (test, valid - 1)
    free = [family for family in members if not is_unperturbed(family)]
    free.sort(key=lambda family: (derive_seed(seed, "split", family), family))
    splits = dict.fromkeys(members, Split.TRAIN)
    splits |= dict.fromkeys(free[:test], Split.TEST)
    splits |= dict.fromkeys(free[test : test + valid], Split.VALID)
    return splits


TURNS = (Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALID)


def starts_to_relax(starts: Sequence[Frame], splits: Mapping[str, Split], count: int, seed: int) -> tuple[Frame, ...]:
    """Up to ``count`` starts of one defect and charge, in turn by the split of their family.

    Within a split the order is a hash of the family, the same in every charge state. The exact
    unperturbed start is left out, as its relaxation would keep the symmetry; the rattled one replaces it.

    Args:
        starts: the starts.
        splits: split of every family.
        count: how many.
        seed: the study's seed.
    """
    able = [start for start in starts if not is_unperturbed(start.family)]
    able.sort(key=lambda start: (derive_seed(seed, "relax", start.family), start.family))
    queues = {split: [s for s in able if splits[s.family] == split] for split in Split}
    turns = islice(cycle(TURNS), len(TURNS) * max(len(able), 1))
    return tuple(islice(chain.from_iterable(_take(queues[turn]) for turn in turns), count))


def _take(queue: list[Frame]) -> list[Frame]:
    """The next of a queue, if there is one."""
    return [queue.pop(0)] if queue else []
