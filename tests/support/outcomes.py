"""What a fault did to a study: labels lost, computed twice, wrong; rows of docs/reliability.md."""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from defectscape.files.atoms import to_atoms
from defectscape.store.labels import LabelStore
from defectscape.store.record import LabelRecord
from support.faulty import Pairs

TABLE = "DEFECTSCAPE_FAULT_TABLE"
"""Environment variable: the folder that rows are written into, to be made a table of."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: what went wrong.
        happens: what defectscape does.
        seen: what the user sees.
        lost: finished labels that were gone afterwards.
        twice: labels that an engine computed more than once.
        wrong: records that differ from a clean calculation of their structure.
    """

    name: str
    happens: str
    seen: str
    lost: int
    twice: int
    wrong: int


def finished_keys(folder: Path) -> set[str]:
    """Keys of the labels that are in the store now."""
    return {path.stem for path in folder.glob("records/*/*.json") if len(path.stem) == 64}


def computed_twice(store: LabelStore) -> int:
    """Labels that the journal has more than one success of."""
    counts = Counter(call.key for call in store.calls() if call.status == "ok")
    return sum(count > 1 for count in counts.values())


def cut_off(store: LabelStore, killed_at: str) -> int:
    """Labels whose process died while their record was on its way to the disk.

    Args:
        store: the label store.
        killed_at: when the processes were killed, ISO 8601, UTC.

    Returns:
        Successes in the journal from before then whose records were made after it.
    """
    made = {record.key: record.timestamp for record in store.records()}
    ended = {c.key for c in store.calls() if c.status == "ok" and c.timestamp <= killed_at}
    return sum(made[key] > killed_at for key in ended)


def wrong_records(store: LabelStore) -> int:
    """Records that differ from a clean calculation of the structure that they hold."""
    return sum(not _is_right(record) for record in store.records() if record.label is not None)


def _is_right(record: LabelRecord) -> bool:
    arguments = json.loads(record.settings)["arguments"]
    atoms = to_atoms(record.frame)
    atoms.calc = Pairs(charge=record.frame.charge, **arguments)
    label = record.label
    return label is not None and bool(
        abs(atoms.get_potential_energy() - label.energy_eV) < 1e-8
        and np.abs(atoms.get_forces() - label.forces_eV_A).max() < 1e-8
    )


def report(
    name: str,
    happens: str,
    seen: str,
    store: LabelStore,
    before: set[str],
    most_twice: int = 0,
    killed_at: str | None = None,
) -> Fault:
    """Measure, check that nothing was lost or wrong, and note the row.

    Where processes were killed, a label whose record was just being written may come twice besides.
    """
    lost = len(before - finished_keys(store.root))
    fault = Fault(name, happens, seen, lost, computed_twice(store), wrong_records(store))
    assert (fault.lost, fault.wrong) == (0, 0), fault
    most = most_twice + (0 if killed_at is None else cut_off(store, killed_at))
    assert fault.twice <= most, (fault, killed_at, store.calls())
    note(fault)
    return fault


def note(fault: Fault) -> None:
    """Write the row where the table is made from, if it is being made."""
    folder = os.environ.get(TABLE)
    if folder:
        name = "".join(c if c.isalnum() else "_" for c in fault.name)
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.json").write_text(json.dumps(asdict(fault)))
