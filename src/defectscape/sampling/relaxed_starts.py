"""Choice of the starts that the low-fidelity engine relaxes, from training and from held-out families.

The model will be used near minima, where the rattled frames of the pool are rare. The first steps of a few
relaxations put frames there, on both sides of the split: some to learn from, some to be tested on.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle, islice

from defectscape.domain.family import Split, is_unperturbed
from defectscape.domain.frame import Frame
from defectscape.domain.seeds import derive_seed

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
