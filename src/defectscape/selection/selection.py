"""Which frames get a high-fidelity label, per defect and charge.

The first labels are spread over the pool by farthest points; later ones go where the committee disagrees and
far from everything labelled. Each defect and charge is decided from its own frames alone.
"""

import logging
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np

from defectscape.domain.errors import DefectError
from defectscape.domain.family import Split, unperturbed_family
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.selection.farthest_points import farthest_points
from defectscape.settings.sampling import SelectionSettings

log = logging.getLogger(__name__)

SAME = 1e-3
"""Two fingerprints are equal below this distance, relative to their length: all atoms
then agree within some 0.005 A."""


def select_initial(
    frames: Sequence[Frame],
    features: Floats,
    splits: Mapping[str, Split],
    settings: SelectionSettings,
    key: DefectKey,
) -> list[int]:
    """The first frames of one defect and charge to label, as indices into ``frames``.

    ``initial_per_charge`` from training and validation families, the unperturbed start first, with
    validation frames in proportion to their families and at least one; then ``test_per_charge``
    from held-out families. Within each split by farthest points.

    Args:
        frames: the pool; frames of other keys are ignored.
        features: fingerprints, shape (n, d).
        splits: split of every family.
        settings: the budget.
        key: defect and charge.

    Raises:
        DefectError: if a family has no split.
    """
    own = [index for index, frame in enumerate(frames) if frame.key == key]
    values = np.asarray(features)[own]
    members = {split: _members(frames, own, splits, split) for split in Split}
    first = _unperturbed(frames, own, key)
    families = {split: len({frames[own[place]].family for place in members[split]}) for split in members}
    seen = families[Split.TRAIN] + families[Split.VALID]
    share = max(1, round(settings.initial_per_charge * families[Split.VALID] / seen))
    valid = min(share, settings.initial_per_charge - 1, len(members[Split.VALID]))
    train = settings.initial_per_charge - valid
    chosen = first + _spread(values, members[Split.TRAIN], first, train - len(first))
    missing = settings.initial_per_charge - len(chosen)
    chosen += _spread(values, members[Split.VALID], chosen, missing)
    # The test frames do not depend on the training budget.
    chosen += _spread(values, members[Split.TEST], [], settings.test_per_charge)
    wanted = settings.initial_per_charge + settings.test_per_charge
    if len(chosen) < wanted:
        log.warning("%s: %d frames to label instead of %d; the pool is small", key, len(chosen), wanted)
    return [own[place] for place in chosen]


def _members(frames: Sequence[Frame], own: Sequence[int], splits: Mapping[str, Split], split: Split) -> list[int]:
    """Places in ``own`` whose family belongs to a split."""
    return [place for place, index in enumerate(own) if _split_of(frames[index], splits) == split]


def _split_of(frame: Frame, splits: Mapping[str, Split]) -> Split:
    if frame.family not in splits:
        raise DefectError("geometry family", repr(frame.family), "It has no split; assign all families together")
    return splits[frame.family]


def _unperturbed(frames: Sequence[Frame], own: Sequence[int], key: DefectKey) -> list[int]:
    """Place in ``own`` of the unperturbed start, where it is a candidate at all."""
    for place, index in enumerate(own):
        frame = frames[index]
        if frame.origin is Origin.START and frame.family == unperturbed_family(key.defect):
            return [place]
    log.warning("the unperturbed start of %s is no candidate; its label failed or is flagged", key)
    return []


def _spread(values: Floats, allowed: Sequence[int], taken: Sequence[int], count: int) -> list[int]:
    """Farthest points among ``allowed`` places, away from ``taken`` ones."""
    places = [*taken, *(place for place in allowed if place not in taken)]
    found = farthest_points(values[places], range(len(taken)), count)
    return [places[index] for index in found]


def select_round(
    candidates: Sequence[Frame],
    features: Floats,
    disagreement: Floats,
    taken_features: Floats,
    must: Sequence[int],
    splits: Mapping[str, Split],
    settings: SelectionSettings,
) -> list[int]:
    """The frames of a round to label for one defect and charge, as indices into ``candidates``.

    First ``must``, then a ``disagreement_share`` of the rest of the budget by highest committee
    disagreement, then by farthest points from everything taken. Candidates of held-out families and
    near-copies of anything taken are passed over.

    Args:
        candidates: frames of one defect and charge, from the search.
        features: their fingerprints, shape (n, d).
        disagreement: committee disagreement, shape (n,); higher is less certain.
        taken_features: fingerprints of frames labelled before, shape (m, d); m may be zero.
        must: indices that come first (the lowest minima).
        splits: split of every family.
        settings: the budget.

    Raises DefectError if a family has no split, or candidates of two keys are mixed.
    """
    if not candidates:
        return []
    key = _only_key(candidates)
    budget = settings.per_charge_per_round
    values, scores = np.asarray(features, dtype=np.float64), np.asarray(disagreement)
    before = np.asarray(taken_features, dtype=np.float64).reshape(-1, values.shape[-1])
    open_ = [i for i, frame in enumerate(candidates) if _split_of(frame, splits) != Split.TEST]
    allowed = set(open_)
    chosen: list[int] = []

    def take(order: Sequence[int], limit: int) -> None:
        for index in order:
            if len(chosen) >= limit:
                return
            if index in allowed and not _known(values[index], before, values[chosen]):
                chosen.append(index)

    take(list(dict.fromkeys(must)), budget)
    share = len(chosen) + ceil(settings.disagreement_share * (budget - len(chosen)))
    take(sorted(open_, key=lambda index: (-scores[index], index)), share)
    take(_outward(values, before, chosen, open_), budget)
    if len(chosen) < budget:
        log.warning("%s: %d new frames instead of %d", key, len(chosen), budget)
    return chosen


def without_copies(features: Floats, taken_features: Floats) -> list[int]:
    """Indices of frames that are near-copies of nothing taken and of none before them.

    Args:
        features: fingerprints, shape (n, d).
        taken_features: fingerprints of frames labelled before, shape (m, d); m may be zero.
    """
    kept: list[int] = []
    for index, values in enumerate(features):
        if not _known(values, taken_features, features[kept]):
            kept.append(index)
    return kept


def _only_key(candidates: Sequence[Frame]) -> DefectKey:
    keys = sorted({frame.key for frame in candidates})
    if len(keys) > 1:
        names = ", ".join(str(key) for key in keys)
        raise DefectError("candidates of a round", names, "Select for one key at a time")
    return keys[0]


def _outward(values: Floats, before: Floats, chosen: Sequence[int], allowed: Sequence[int]) -> list[int]:
    """Allowed indices that are not chosen, farthest from all taken first."""
    rest = [index for index in allowed if index not in chosen]
    rows = np.concatenate([before, values[[*chosen, *rest]]])
    taken = len(before) + len(chosen)
    return [rest[row - taken] for row in farthest_points(rows, range(taken), len(rest))]


def _known(one: Floats, *others: Floats) -> bool:
    """Whether a fingerprint (d,) is among others (m, d), within ``SAME``."""
    scale = SAME * max(float(np.linalg.norm(one)), np.finfo(np.float64).tiny)
    return any(len(rows) > 0 and float(np.linalg.norm(rows - one, axis=1).min()) < scale for rows in others)
