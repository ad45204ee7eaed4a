"""Evaluation stage: checks and held-out errors of the final committee."""

from collections.abc import Sequence

from defectscape.domain.family import Split
from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.domain.prediction import Prediction
from defectscape.domain.seeds import derive_rng
from defectscape.model.calibration import Scale, calibrate
from defectscape.model.committee import Committee
from defectscape.model.errors import answered, error_table
from defectscape.study.committees import check_committee, load_committee
from defectscape.study.context import StudyContext
from defectscape.study.evaluation import write_calibration, write_errors
from defectscape.study.frames import read_starts
from defectscape.study.labels import read_data
from defectscape.study.splits import of_split, read_final_splits


def check_frame(context: StudyContext) -> Frame:
    """A geometry that the checks are made on: the last start of the first group."""
    return read_starts(context, context.groups[0].name)[-1]


def evaluate_final(context: StudyContext) -> None:
    """Errors per fidelity, defect and charge on the families that no model was trained on.

    The committee's standard deviation is calibrated on the validation families, and the calibration is tried on the
    test families.
    """
    files = context.layout.final
    committee = load_committee(context, files, context.study.training)
    charges = sorted({key.charge for _, key in context.keys})
    check_committee(context, committee, files, check_frame(context), charges, files.gates)
    splits = read_final_splits(context)
    data = [item for fidelity in ("low", "high") for item in read_data(context, files, fidelity)]
    test = of_split(data, splits, Split.TEST)
    write_errors(context, error_table(committee, test))
    rng = derive_rng(context.study.seed, "calibration")
    scales: list[Scale] = []
    for fidelity in committee.card.fidelities:
        sides = [_judged(committee, side, fidelity) for side in (of_split(data, splits, Split.VALID), test)]
        scales += calibrate(sides[0], sides[1], fidelity, rng)
    write_calibration(context, scales)


def _judged(
    committee: Committee, data: Sequence[LabelledFrame], fidelity: str
) -> list[tuple[LabelledFrame, Prediction]]:
    """The frames of a fidelity that the committee answers, with its answers."""
    known = {key.charge for name, key in committee.card.keys if name == fidelity}
    items = [item for item in data if item.fidelity == fidelity and item.frame.charge in known]
    return list(zip(*answered(committee, items, fidelity, []), strict=True))
