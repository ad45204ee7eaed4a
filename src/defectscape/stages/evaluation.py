"""Evaluation stage: gates and held-out errors of the final committee."""

from defectscape.domain.frame import Frame
from defectscape.files.extxyz import read_frames, read_labelled
from defectscape.files.tables import write_json
from defectscape.model.errors import error_table
from defectscape.sampling.splits import Split
from defectscape.settings.groups import exploration_groups
from defectscape.stages.context import StudyContext
from defectscape.stages.surface import gate, load_committee
from defectscape.stages.training import of_split, read_final_splits


def gate_frame(context: StudyContext) -> Frame:
    """A geometry that the gates are tried on: the last start of the first group."""
    first = exploration_groups(context.study)[0]
    return read_frames(context.layout.group(first.name).starts)[-1]


def evaluate_final(context: StudyContext) -> None:
    """Errors per fidelity, defect and charge on the families that no model was trained on."""
    files = context.layout.final
    committee = load_committee(files, context.study.training)
    charges = sorted({k.charge for g in exploration_groups(context.study) for k in g.keys})
    gate(context, committee, files, gate_frame(context), charges, files.gates)
    splits = read_final_splits(context)
    low, high = context.fidelity_names
    data = [*read_labelled(files.data_low, low), *read_labelled(files.data_high, high)]
    write_json(context.layout.errors, error_table(committee, of_split(data, splits, Split.TEST)))
