"""Folds: which families are held out, and which high-fidelity labels a run may train on.

A family (a start and all that was made from it, in every charge state) is never divided, and a
repetition is the same for all runs: their differences are paired. More labels contain the fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from defectscape.domain.errors import ConfigError
from defectscape.domain.family import is_unperturbed
from defectscape.domain.keys import HOST
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed

LEAST_PER_CHARGE = 2


@dataclass(frozen=True)
class Fold:
    """Families of one repetition.

    Attributes:
        train, valid, test: names of geometry families.
    """

    train: frozenset[str]
    valid: frozenset[str]
    test: frozenset[str]


def make_fold(families: Sequence[str], test: int, valid: int, seed: int, repeat: int) -> Fold:
    """The families of a repetition; over the repetitions each is held out about equally often.

    The families stand in one random circle, and a repetition holds out the next ``test`` of them, with
    the ``valid`` after those for validation. The unperturbed family, whatever its defect, always trains.

    Args:
        families: all families with labels of the high fidelity.
        test, valid: how many.
        seed: of the benchmark.
        repeat: number of the repetition.

    Raises:
        ConfigError: if less than two families would remain.
    """
    free = sorted(f for f in set(families) if f != HOST and not is_unperturbed(f))
    if len(free) - test - valid < 1:
        raise ConfigError(
            "test_families and valid_families",
            f"{test} and {valid} of {len(free)}",
            "Some families must train: hold out fewer",
        )
    free.sort(key=lambda family: (derive_seed(seed, "circle", family), family))
    first = (repeat * test) % len(free)
    circle = [*free[first:], *free[:first]]
    held = frozenset(circle[:test])
    stopping = frozenset(circle[test : test + valid])
    return Fold(frozenset(families) - held - stopping, stopping, held)


def part(data: Sequence[LabelledFrame], families: frozenset[str]) -> list[LabelledFrame]:
    """The labels of some families."""
    return [item for item in data if item.frame.family in families]


def draw(pool: Sequence[LabelledFrame], count: int, seed: int, repeat: int) -> list[LabelledFrame]:
    """``count`` labels of a pool, at random, charge states in turn, two of each first.

    Raises:
        ConfigError: if the pool is too small, or the charges are too many for the count.
    """
    queues: dict[str, list[LabelledFrame]] = {}
    for item in pool:
        if item.frame.key.defect != HOST:
            queues.setdefault(str(item.frame.key), []).append(item)
    available = sum(map(len, queues.values()))
    if count > available or count < LEAST_PER_CHARGE * len(queues):
        raise ConfigError(
            "high_labels",
            str(count),
            f"Between {LEAST_PER_CHARGE * len(queues)} and {available} can be drawn in repetition {repeat}",
        )
    for queue in queues.values():
        queue.sort(key=lambda item: _rank(item, seed, repeat))
    order = sorted(queues, key=lambda key: derive_seed(seed, "turn", repeat, key))
    drawn: list[LabelledFrame] = []
    turn = 0
    while len(drawn) < count:
        for key in order:
            if turn < len(queues[key]) and len(drawn) < count:
                drawn.append(queues[key][turn])
        turn += 1
    return drawn


def _rank(item: LabelledFrame, seed: int, repeat: int) -> tuple[int, str]:
    identity = f"{item.frame.key} {item.frame.frame_id}"
    return derive_seed(seed, "draw", repeat, identity), identity
