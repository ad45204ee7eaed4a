"""Hand-over stage: folders for a last relaxation by hand, and a card of the model.

As in ShakeNBreak's trees there is a folder for each key and in it one for each structure, with its
POSCAR and, where the high-fidelity engine is a program that people run themselves, its input files.
"""

import logging
import shutil
from pathlib import Path

from ase.io import write

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame
from defectscape.engines.base import HandoverEngine
from defectscape.files.atoms import to_atoms
from defectscape.report.model_card import model_card
from defectscape.study.context import StudyContext
from defectscape.study.minima import read_minima, read_verified
from defectscape.summary.file import read_summary
from defectscape.summary.schema import DefectSummary, MinimumSummary

logger = logging.getLogger(__name__)

FMAX_EV_A = 0.01
"""Where the last relaxation is to end, eV/A."""


def hand_over(context: StudyContext) -> None:
    """Write the folders of all minima and the model's card."""
    summary = read_summary(context)
    folder = context.layout.handover
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frames = _frames(context)
    lines = []
    for row in summary.defects:
        for minimum in row.minima:
            name = f"{row.key}/{structure_name(row, minimum)}"
            written = _write(context, frames[row.key, minimum.rank], folder / name)
            lines.append(f"| `{name}` | {_energy(minimum)} | {minimum.distortion} | {written} |")
    (folder / "README.md").write_text(_index(context, lines), encoding="utf-8")
    context.layout.model_card.write_text(model_card(summary), encoding="utf-8")


def structure_name(row: DefectSummary, minimum: MinimumSummary) -> str:
    """Folder of a minimum within its key's."""
    if minimum.rank == row.ground_state_rank:
        return "Ground_State"
    return "Unperturbed" if minimum.from_unperturbed else f"Minimum_{minimum.rank}"


def _frames(context: StudyContext) -> dict[tuple[str, int], Frame]:
    """Structures of all minima, the engine's where there is one."""
    found: dict[tuple[str, int], Frame] = {}
    for group in context.groups:
        for minimum in read_minima(context, group.name):
            found[str(minimum.frame.key), minimum.rank] = minimum.frame
        for key in group.keys:
            for item in read_verified(context, group.name, key):
                if item.final_label is not None:
                    found[str(key), item.minimum.rank] = item.frame
    return found


def _write(context: StudyContext, frame: Frame, folder: Path) -> str:
    """Write one structure's folder; returns the names of its files."""
    folder.mkdir(parents=True)
    engine = context.engine("high")
    texts: dict[str, str] = {}
    if isinstance(engine, HandoverEngine):
        try:
            texts = engine.relaxation_inputs(frame, FMAX_EV_A)
        except EngineError as error:
            logger.warning("%s: only its POSCAR is written: %s", frame.key, error)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    if "POSCAR" not in texts:
        write(folder / "POSCAR", to_atoms(frame), format="vasp", direct=True, sort=True)
    return ", ".join(sorted({*texts, "POSCAR"}))


def _energy(minimum: MinimumSummary) -> str:
    if minimum.verified_above_lowest_eV is not None:
        return f"{1e3 * minimum.verified_above_lowest_eV:.0f} meV (engine)"
    return f"{1e3 * minimum.energy_above_lowest_eV:.0f} meV (model)"


def _index(context: StudyContext, lines: list[str]) -> str:
    method = context.fidelity_settings("high").engine.method
    return "\n".join(
        [
            f"# {context.study.study}: structures to relax on",
            "",
            f"Each folder holds one minimum; inputs, where there are any, relax it with {method} to "
            f"{FMAX_EV_A} eV/A in its charge state and spin. Energies are above the lowest of the charge state.",
            "",
            "| folder | energy | distortion | files |",
            "|---|---|---|---|",
            *lines,
            "",
            "`thermo/thermodynamics.json` is doped's `DefectThermodynamics` of the ground states.",
            "",
        ]
    )
