"""Active selection, with the study's own code, among labels that are all known."""

from collections.abc import Sequence

import numpy as np

from benchmarks.learning.runs import ModelRun
from defectscape.domain.family import Split
from defectscape.domain.label import LabelledFrame
from defectscape.model.committee import Committee
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.selection import select_round
from defectscape.settings.sampling import SelectionSettings

SHARES = {"spread": 0.0, "disagreement": 1.0, "half": 0.5}


def choose(
    run: ModelRun,
    first: Sequence[LabelledFrame],
    pool: Sequence[LabelledFrame],
    committee: Committee,
    centre: Sequence[float] | None,
) -> list[LabelledFrame]:
    """The run's labels: the first ones, and what its selector takes from the pool, charge by charge.

    Args:
        run: says how many, and how.
        first: labels before the choice.
        pool: all labels of the families that train; those of ``first`` are passed over.
        committee: trained on ``first``.
        centre: fractional coordinates of the defect, or None.
    """
    taken = {(item.frame.key, item.frame.frame_id) for item in first}
    chosen = list(first)
    keys = sorted({item.frame.key for item in first})
    extra, rest = divmod(run.high_labels - len(first), len(keys))
    point = None if centre is None else np.array(centre)
    for place, key in enumerate(keys):
        candidates = [
            item for item in pool if item.frame.key == key and (item.frame.key, item.frame.frame_id) not in taken
        ]
        frames = [item.frame for item in candidates]
        before = [item.frame for item in first if item.frame.key == key]
        settings = SelectionSettings(
            initial_per_charge=1,
            test_per_charge=1,
            per_charge_per_round=extra + (place < rest),
            disagreement_share=SHARES[run.selector],
        )
        points = committee.evaluate_many(frames, committee.card.fidelities[-1])
        found = select_round(
            frames,
            frame_descriptors(frames, point),
            np.array([float(np.max(p.force_std_eV_A)) for p in points]),
            frame_descriptors(before, point),
            [],
            dict.fromkeys([frame.family for frame in frames], Split.TRAIN),
            settings,
        )
        chosen += [candidates[index] for index in found]
    return chosen
