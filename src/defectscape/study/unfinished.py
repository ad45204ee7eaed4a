"""The groups of a study that a partial page lacks, each with the job that stopped it."""

from collections.abc import Sequence
from dataclasses import dataclass

from defectscape.domain.keys import DefectKey
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.study.layout import Layout
from defectscape.study.progress import State


@dataclass(frozen=True)
class Unfinished:
    """A group that is not finished.

    Attributes:
        group: its name.
        keys: its defect in its charge states.
        stage: the job that stopped it, or that it has come to: the stage with its arguments.
        state: how far that job is: ``failed``, ``running``, ``queued`` or ``left``.
        reason: why it failed, or which group it waits for and how far that one is; empty otherwise.
        log: its log, as a path.
    """

    group: str
    keys: tuple[DefectKey, ...]
    stage: str
    state: State
    reason: str
    log: str


def read_unfinished(layout: Layout) -> tuple[Unfinished, ...]:
    """What was left out when the partial page was asked for; nothing for a whole study."""
    if not layout.part:
        return ()
    return tuple(decode(Unfinished, row) for row in read_json(layout.unfinished))


def write_unfinished(layout: Layout, items: Sequence[Unfinished]) -> None:
    """Write it, unless it is what the file says already: a newer file makes the summary anew."""
    if not layout.unfinished.is_file() or read_unfinished(layout) != tuple(items):
        write_json(layout.unfinished, items)
