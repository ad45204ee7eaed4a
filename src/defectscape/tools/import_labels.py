"""Import: labels that people have already, checked, into the label store.

Nothing is taken on trust: defect and site come from the structure, the charge from the electrons, the
level of theory from what the program says that it did. What does not agree with the study is refused
with its reason; labels of differing settings never stand under one fidelity.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from defectscape.domain.errors import DefectError, DefectscapeError, LabelError
from defectscape.domain.frame import Frame, Ints, Origin, lowest_multiplicity
from defectscape.domain.keys import HOST, DefectKey
from defectscape.domain.label import Label
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.engines.base import Engine
from defectscape.engines.vasp import VaspEngine
from defectscape.engines.vasp_output import VaspRun, read_run
from defectscape.sampling.host import read_host_file
from defectscape.sampling.identification import Identified, identify
from defectscape.sampling.sites import enumerate_sites, pick_site
from defectscape.settings.vasp import VaspSettings
from defectscape.store.labels import label_key
from defectscape.store.record import LabelRecord, timestamp_now
from defectscape.study.context import StudyContext
from defectscape.tools.data_sets import DATA_ENDINGS, Card, read_card, read_data_set

RUN_FILES = ("vasprun.xml", "vasprun.xml.gz")
PROGRAM_FOLDERS = re.compile(r"^vasp_(gam|std|ncl|nkred_std)$")
CHARGED_NAME = re.compile(r"_(0|[+-][1-9]\d*)$")


@dataclass(frozen=True, eq=False)
class ImportRow:
    """What became of one file.

    Attributes:
        path: the file.
        key: defect and charge that it holds, or what could be found out.
        taken: labels that are in the store now.
        refused: labels that were not taken.
        reason: why not, or what was unusual.
        frames: the frames of the labels that were taken.
    """

    path: Path
    key: str
    taken: int
    refused: int
    reason: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, eq=False)
class _Target:
    """What all files of one import are held against."""

    context: StudyContext
    fidelity: str
    engine: Engine
    host: HostCrystal
    sites: tuple[DefectSite, ...]
    defect: str | None


def import_paths(
    context: StudyContext, fidelity: str, paths: Sequence[Path], defect: str | None = None
) -> tuple[ImportRow, ...]:
    """Read runs and data sets and put their labels into the study's store.

    Args:
        context: the study.
        level: ``low`` or ``high``: the fidelity that the labels are to be of.
        paths: files, or folders that are searched for ``vasprun.xml[.gz]`` and ``*.extxyz[.xz|.gz]``.
        defect: our name of the defect, where its site cannot be told from the structure.

    Returns:
        One row for each file, in their order.

    Raises:
        LabelError: if a path holds no such file.
        DefectscapeError: as for the study's host and engine.
    """
    study = context.study
    files = [file for path in paths for file in _find(path)]
    host = read_host_file(study.host)
    target = _Target(
        context, fidelity, context.engine(fidelity), host, enumerate_sites(host, interstitials=True), defect
    )
    rows = []
    for file in files:
        try:
            is_run = file.name in RUN_FILES
            rows.append(_import_run(target, file) if is_run else _import_data(target, file))
        except DefectscapeError as error:
            rows.append(ImportRow(file, "-", 0, 0, str(error), ()))
    return tuple(rows)


def _find(path: Path) -> Iterator[Path]:
    """The files of a path, by name."""
    if path.is_file():
        yield path
        return
    found = sorted(file for file in path.rglob("*") if file.name in RUN_FILES or file.name.endswith(DATA_ENDINGS))
    if not found:
        raise LabelError(
            str(path),
            "holds no vasprun.xml and no extended XYZ" if path.is_dir() else "not there",
            "Give runs of VASP, folders of them, or *.extxyz files",
        )
    yield from found


def _import_run(target: _Target, path: Path) -> ImportRow:
    """Every ionic step of a VASP run."""
    run = read_run(path)
    first = run.steps[0]
    try:
        what = _identify(target, run, first.positions_A, first.cell_A)
    except DefectError as error:
        return ImportRow(path, "-", 0, len(run.steps), str(error), ())
    charge = round(run.charge)
    name = what.site.name if what.site is not None else HOST
    key = DefectKey(name, charge)
    refusal = _refusal(target, run, key)
    if refusal:
        return ImportRow(path, str(key), 0, len(run.steps), refusal, ())
    frames, records = [], []
    for number, step in enumerate(run.steps):
        if not step.converged:
            continue
        frame = Frame(
            run.numbers[what.order],
            step.positions_A[what.order],
            step.cell_A,
            key,
            lowest_multiplicity(run.numbers, charge),
            Origin.RELAXATION,
            _family(name, path),
            None,
            f"imported from {_short(path)}, ionic step {number + 1}",
        )
        label = Label(
            step.label.energy_eV,
            step.label.forces_eV_A[what.order],
            step.label.stress_eV_A3,
            step.label.vbm_eV,
            step.label.cbm_eV,
        )
        frames.append(frame)
        records.append(_record(target.engine, frame, label, run.version, {}))
    _put(target, records)
    return ImportRow(path, str(key), len(records), len(run.steps) - len(records), _remarks(run, what), tuple(frames))


def _identify(target: _Target, run: VaspRun, positions_A: Any, cell_A: Any) -> Identified:
    """The defect of a run; a name given by the user overrules the site, not the atoms."""
    if target.defect is None:
        return identify(target.host, target.sites, run.numbers, positions_A, cell_A)
    site = pick_site(target.sites, target.defect)
    found = identify(target.host, [site], run.numbers, positions_A, cell_A, far_A=np.inf)
    return Identified(site, found.order, found.distance_A)


def _refusal(target: _Target, run: VaspRun, key: DefectKey) -> str:
    """Why none of a run's labels can be of the study's level, or nothing."""
    fidelity_settings = target.context.fidelity_settings(target.fidelity)
    if not isinstance(target.engine, VaspEngine) or not isinstance(fidelity_settings.engine, VaspSettings):
        return f"fidelity {fidelity_settings.name} is computed with {target.engine.name}, not with VASP"
    differences = run.theory.differences(target.engine.theory)
    if differences:
        return f"another level of theory than {fidelity_settings.name}: {'; '.join(differences)}"
    if run.convergence_eV > 1.01 * fidelity_settings.engine.convergence_eV:
        return (
            f"converged to {run.convergence_eV:g} eV, fidelity {fidelity_settings.name} asks for "
            f"{fidelity_settings.engine.convergence_eV:g} eV"
        )
    if abs(run.charge - key.charge) > 1e-3:
        return f"NELECT makes the charge {run.charge:+.3f}, which is no integer"
    rule = lowest_multiplicity(run.numbers, key.charge)
    if run.multiplicity is None:
        return "cut short before it said its spin state, which NUPDOWN did not fix"
    if run.multiplicity != rule:
        return f"ended with multiplicity {run.multiplicity}, the study's rule is {rule}"
    return ""


def _remarks(run: VaspRun, what: Identified) -> str:
    remarks = []
    if not run.complete:
        remarks.append("the run was cut short")
    elif not run.relaxed and len(run.steps) > 1:
        remarks.append("its relaxation had not converged")
    skipped = sum(not step.converged for step in run.steps)
    if skipped:
        remarks.append(f"{skipped} steps without a converged SCF left out")
    if what.distance_A > 0.3:
        remarks.append(f"defect {what.distance_A:.2f} A from its site at the start")
    return ", ".join(remarks)


def _import_data(target: _Target, path: Path) -> ImportRow:
    """A data set with its card."""
    card = read_card(path)
    data = read_data_set(path, card)
    numbers = np.unique(np.concatenate([item.frame.numbers for item, _ in data]))
    refusal = _card_refusal(target, card, numbers)
    count = sum(number for _, number in card.labels)
    keys = ", ".join(key for key, _ in card.labels)
    if refusal:
        return ImportRow(path, keys, 0, count, refusal, ())
    records, strangers = [], set()
    for labelled, info in data:
        frame = labelled.frame
        if not _belongs(target, frame):
            strangers.add(str(frame.key))
            continue
        version = str(info.get("engine_version", ", ".join(card.engine_versions)))
        records.append(_record(target.engine, frame, labelled.label, version, info))
    _put(target, records)
    reason = f"not of this host or its defects: {', '.join(sorted(strangers))}" if strangers else ""
    frames = tuple(record.frame for record in records)
    return ImportRow(path, keys, len(records), count - len(records), reason, frames)


def _card_refusal(target: _Target, card: Card, numbers: Ints) -> str:
    fidelity_settings = target.context.fidelity_settings(target.fidelity)
    if card.engine != target.engine.name:
        return f"labels of {card.engine}, fidelity {fidelity_settings.name} is {target.engine.name}"
    theirs = json.loads(card.settings)
    mine = json.loads(target.engine.settings_of(numbers))
    differing = sorted(name for name in {*theirs, *mine} if theirs.get(name) != mine.get(name))
    if differing:
        names = "; ".join(f"{n}: {theirs.get(n)}, not {mine.get(n)}" for n in differing)
        return f"other settings than fidelity {fidelity_settings.name}: {names}"
    return ""


def _belongs(target: _Target, frame: Frame) -> bool:
    """Whether a frame is of this host or its defects, or an element's reference."""
    if frame.key.defect == HOST:
        return True
    names = {site.name for site in target.sites}
    return frame.key.defect in names


def _family(defect: str, path: Path) -> str:
    """Geometry family of a run: ShakeNBreak's distortions apart, the same in all charge states."""
    if defect == HOST:
        return HOST
    folders = [part for part in path.resolve().parts[:-1] if not PROGRAM_FOLDERS.match(part)]
    name = folders[-1] if folders else ""
    if not name or CHARGED_NAME.search(name):
        return f"{defect}/imported"
    return f"{defect}/{re.sub(r'[^A-Za-z0-9.+-]', '_', name)}"


def _short(path: Path) -> str:
    """The last folders of a path: where a label came from, without the user's home."""
    return "/".join(path.parts[-3:])


def _record(engine: Engine, frame: Frame, label: Label, version: str, info: dict[str, Any]) -> LabelRecord:
    """A record as if it had been computed here; its time is what the data say, or none."""
    settings = engine.settings_of(frame.numbers)
    key = label_key(frame, engine.name, settings)
    return LabelRecord(
        key,
        frame,
        engine.name,
        settings,
        version,
        label,
        None,
        (),
        int(info.get("rung", 0)),
        float(info.get("wall_s", 0.0)),
        float(info.get("core_s", 0.0)),
        "imported",
        str(info.get("computed", timestamp_now())),
    )


def _put(target: _Target, records: Iterable[LabelRecord]) -> None:
    for record in records:
        target.context.store.put(record)
