"""Runs of VASP, as people have them: found by their names, held against the study, every ionic step as a label."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from defectscape.domain.cell import CELL_TOLERANCE_A, cell_difference_A, onto_cell, same_cell
from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import HOST, DefectKey
from defectscape.domain.label import Label
from defectscape.engines.vasp import VaspEngine
from defectscape.engines.vasp_input import doped_tags
from defectscape.engines.vasp_output import IonicStep, VaspRun, read_run
from defectscape.engines.vasp_tags import foreign_tags
from defectscape.sampling.identification import Identified, check_crystal, identify
from defectscape.sampling.site_names import pick_site
from defectscape.settings.vasp import VaspSettings
from defectscape.tools.import_offers import ImportTarget, LeftOut, Offer, imported_record, refused, short_path

PROGRAM_FOLDERS = re.compile(r"^vasp_(gam|std|ncl|nkred_std)$")
CHARGED_NAME = re.compile(r"_(0|[+-][1-9]\d*)$")
WHOLE_MOMENT = 0.05
"""A total moment this near to a whole number is one, Bohr magnetons; smearing leaves as much."""
MOST_TRIED = 20
"""Steps from which a run's defect is told at most: the first ones may be damaged."""

_RUN_NAME = re.compile(r"(?i)^(?!\.)(.*[._ -])?vasprun([._ (-].*)?\.xml([._ (-].*)?$")
_NO_RUN = re.compile(r"(?i)(~|\.(swp|tmp|part|md5|sha\d+|sum|json|txt|log|png|pdf))$")


def is_run_name(name: str) -> bool:
    """Whether a file is a vasprun.xml by its name.

    Packed ones, and what custodian, ShakeNBreak and people make of the name: ``vasprun.xml.relax2.gz``,
    ``vasprun_rattled.xml``, ``VASPRUN.XML``.
    """
    return _RUN_NAME.match(name) is not None and _NO_RUN.search(name) is None


def offer_run(target: ImportTarget, path: Path) -> Offer:
    """Every ionic step of a VASP run.

    Raises:
        LabelError: if it cannot be read.
    """
    run = read_run(path)
    count = len(run.steps) + len(run.unreadable)
    try:
        what, first = _identify_first(target, run)
    except DefectError as error:
        return refused(path, "-", count, str(error))
    key = DefectKey(what.site.name if what.site is not None else HOST, round(run.charge))
    refusal = _refusal(target, run, key)
    if refusal:
        return refused(path, str(key), count, refusal)
    found, left_out = [], [LeftOut(number, f"no whole label, {reason}") for number, reason in run.unreadable]
    for step in run.steps:
        fault = _fault(target, run, step, what)
        if fault is None:
            frame = onto_cell(_frame(run, step, what, key, _spin(target, run, key)), target.host.cell_A)
            record = imported_record(target.engine, frame, _label(step, what), run.version, {})
            found.append((step.number, record))
        else:
            left_out.append(fault)
    left_out.sort(key=lambda item: item.place)
    return Offer(path, str(key), tuple(found), tuple(left_out), "", _remarks(run, what, first), "ionic step")


def _identify_first(target: ImportTarget, run: VaspRun) -> tuple[Identified, IonicStep]:
    """The defect of a run by its first step that can be recognised; where none can, the first says why."""
    # Where the cell relaxes, steps in the host's cell say what the run is.
    steps = sorted(run.steps, key=lambda step: not same_cell(step.cell_A, target.host.cell_A))[:MOST_TRIED]
    if not steps:
        raise DefectError("ionic steps", f"no whole one; {run.unreadable[0][1]}", "Give a run that has labels")
    first_error: DefectError | None = None
    for step in steps:
        try:
            return _identify(target, run, step), step
        except DefectError as error:
            first_error = first_error or error
    raise first_error or DefectError("ionic steps", "none", "Give a run that has labels")


def _identify(target: ImportTarget, run: VaspRun, step: IonicStep) -> Identified:
    """The defect of a run; a name given by the user overrules the site, not the atoms."""
    structure = (run.numbers, step.positions_A, step.cell_A)
    if target.defect is None:
        return identify(target.host, target.sites, *structure)
    site = pick_site(target.sites, target.defect, target.host)
    found = identify(target.host, [site], *structure, far_A=np.inf)
    return replace(found, site=site)


def _fault(target: ImportTarget, run: VaspRun, step: IonicStep, what: Identified) -> LeftOut | None:
    """Why one step's label cannot be taken."""
    if not step.converged:
        return LeftOut(step.number, "SCF not converged")
    off_A = cell_difference_A(step.cell_A, target.host.cell_A)
    if off_A > CELL_TOLERANCE_A:
        return LeftOut(step.number, f"its cell is not the host's to {CELL_TOLERANCE_A} A", off_A)
    try:
        positions_A = _sign(what) * step.positions_A
        check_crystal(target.host, run.numbers, positions_A, step.cell_A, perfect=what.site is None)
    except DefectError as error:
        return LeftOut(step.number, str(error))
    return None


def _spin(target: ImportTarget, run: VaspRun, key: DefectKey) -> int:
    """The multiplicity that the study computes a charge state with."""
    return target.context.study.stated_multiplicities.get(key, lowest_multiplicity(run.numbers, key.charge))


def _frame(run: VaspRun, step: IonicStep, what: Identified, key: DefectKey, spin: int) -> Frame:
    return Frame(
        run.numbers[what.order],
        _sign(what) * step.positions_A[what.order],
        step.cell_A,
        key,
        spin,
        Origin.RELAXATION,
        _family(key.defect, run.path),
        None,
        f"imported from {short_path(run.path)}, ionic step {step.number}",
    )


def _label(step: IonicStep, what: Identified) -> Label:
    label = step.label
    return Label(
        label.energy_eV, _sign(what) * label.forces_eV_A[what.order], label.stress_eV_A3, label.vbm_eV, label.cbm_eV
    )


def _sign(what: Identified) -> float:
    """What positions and forces are multiplied by to lie over the host; energy and stress stay."""
    return -1.0 if what.inverted else 1.0


def _refusal(target: ImportTarget, run: VaspRun, key: DefectKey) -> str:
    """Why none of a run's labels can be of the study's level, or nothing."""
    fidelity_settings = target.context.fidelity_settings(target.fidelity)
    name, settings = fidelity_settings.name, fidelity_settings.engine
    if not isinstance(target.engine, VaspEngine) or not isinstance(settings, VaspSettings):
        return f"fidelity {name} is computed with {target.engine.name}, not with VASP"
    tags: Mapping[str, Any] = doped_tags(settings)
    differences = [*run.theory.differences(target.engine.theory), *foreign_tags(run.tags, tags)]
    if differences:
        return f"another level of theory than {name}: {'; '.join(differences)}"
    if run.convergence_eV > 1.01 * settings.convergence_eV:
        return f"converged to {run.convergence_eV:g} eV, fidelity {name} asks for {settings.convergence_eV:g} eV"
    if abs(run.charge - key.charge) > 1e-3:
        return f"NELECT makes the charge {run.charge:+.3f}, which is no integer"
    rule = _spin(target, run, key)
    if run.multiplicity is None or run.moment is None:
        return "cut short before it said its spin state, which NUPDOWN did not fix"
    if abs(run.moment - round(run.moment)) > WHOLE_MOMENT:
        return (
            f"ended with a total moment of {run.moment:.3f} Bohr magnetons, which is no whole number: a mixture of "
            "spin states; fix it with NUPDOWN"
        )
    if run.multiplicity != rule:
        return f"ended with multiplicity {run.multiplicity}, the study's rule is {rule}"
    return ""


def _remarks(run: VaspRun, what: Identified, first: IonicStep) -> tuple[str, ...]:
    remarks = []
    if not run.complete:
        remarks.append("the run was cut short")
    elif not run.relaxed and len(run.steps) > 1:
        remarks.append("its relaxation had not converged")
    if what.distance_A > 0.3:
        remarks.append(f"defect {what.distance_A:.2f} A from its site at ionic step {first.number}")
    if what.inverted:
        remarks.append("its crystal is the host's inverted through a point, and was turned back")
    return tuple(remarks)


def _family(defect: str, path: Path) -> str:
    """Geometry family of a run: ShakeNBreak's distortions apart, the same in all charge states."""
    if defect == HOST:
        return HOST
    folders = [part for part in path.resolve().parts[:-1] if not PROGRAM_FOLDERS.match(part)]
    name = folders[-1] if folders else ""
    if not name or CHARGED_NAME.search(name):
        return f"{defect}/imported"
    return f"{defect}/{re.sub(r'[^A-Za-z0-9.+-]', '_', name)}"
