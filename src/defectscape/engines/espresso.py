"""Quantum ESPRESSO's pw.x: energies, forces and stresses of charged cells with PBE and HSE06.

Source of the code: doi:10.1088/1361-648X/aa8f79. Spin follows the frame's multiplicity: singlets are
computed without spin polarisation, everything else with a fixed total magnetisation; free moments end
in spurious open shells now and then. The energy is the Mermin free energy, of which the forces are
derivatives; charged cells sit in a uniform background, without any correction.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from defectscape.domain.frame import NO_MOMENT, Floats, Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt, settings_of_species
from defectscape.engines.espresso_input import (
    OUTDIR,
    PREFIX,
    PSEUDO_FOLDER,
    Step,
    link_pseudopotentials,
    pw_input,
)
from defectscape.engines.espresso_output import failure_reason, is_final, read_result
from defectscape.engines.espresso_potentials import run_potentials
from defectscape.engines.program import run_program, scratch_folder
from defectscape.engines.pseudopotentials import (
    Pseudopotential,
    find_pseudopotentials,
    pseudopotential_of,
    valence_electrons,
)
from defectscape.settings.espresso import EspressoSettings

ATTEMPTS = (
    ScfAttempt("configured", "As configured; screened mixing of 0.7 of the new density, 100 cycles."),
    ScfAttempt("damped", "Plain mixing of a fifth of the new density, a history of 12, 300 cycles."),
    ScfAttempt(
        "robust",
        "A tenth of the new density, screened for inhomogeneous cells, conjugate gradients instead "
        "of Davidson's diagonalisation, 500 cycles.",
    ),
    ScfAttempt(
        "annealed",
        "Solved with eight times the smearing first, then started again from that density with the "
        "configured one; damped mixing in both.",
    ),
)
DAMPED = {"mixing_beta": 0.2, "mixing_ndim": 12, "electron_maxstep": 300}
STEPS: tuple[tuple[Step, ...], ...] = (
    (Step({"mixing_beta": 0.7, "mixing_mode": "local-TF", "electron_maxstep": 100}),),
    (Step(DAMPED),),
    (
        Step(
            {
                "mixing_beta": 0.1,
                "mixing_mode": "local-TF",
                "mixing_ndim": 12,
                "electron_maxstep": 500,
                "diagonalization": "cg",
            }
        ),
    ),
    (Step(DAMPED, smearing_factor=8.0), Step(DAMPED, from_step_before=True)),
)


class EspressoEngine:
    """pw.x with fixed settings.

    Args:
        settings: functional, cutoffs, mesh, pseudopotentials, command.

    Raises:
        EngineError: as ``find_pseudopotentials``.
    """

    def __init__(self, settings: EspressoSettings) -> None:
        self.settings = settings
        self.name = f"espresso/{settings.method}"
        self.version = "pw.x, version unknown"
        self.attempts = ATTEMPTS
        self.files: dict[str, Pseudopotential] = find_pseudopotentials(settings)

    @cached_property
    def settings_json(self) -> str:
        """What changes a converged label; the functional is in the name, files are by content.

        Written out one by one: a setting that is added later must not give old labels new keys.
        """
        settings = self.settings
        content: dict[str, object] = {
            "cutoff_Ry": settings.cutoff_Ry,
            "density_cutoff_Ry": settings.density_cutoff_Ry or 4 * settings.cutoff_Ry,
            "kpoints": settings.kpoints,
            "smearing_Ry": settings.smearing_Ry,
            "empty_bands": settings.empty_bands,
            "convergence_Ry": settings.convergence_Ry,
            "pseudopotentials": {name: file.sha256 for name, file in self.files.items()},
        }
        if settings.functional == "hse06":
            content |= {
                "exx_fraction": settings.exx_fraction,
                "screening_1_bohr": settings.screening_1_bohr,
                "fock_cutoff_Ry": settings.fock_cutoff_Ry or settings.cutoff_Ry,
                "fock_kpoints": settings.fock_kpoints or settings.kpoints,
            }
        if settings.stress:
            content["stress"] = True
        if settings.keywords:
            content["keywords"] = settings.keywords
        return json.dumps(content, sort_keys=True)

    def settings_of(self, numbers: Ints) -> str:
        """The settings with the pseudopotentials of these species alone."""
        return settings_of_species(self.settings_json, "pseudopotentials", numbers)

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV), forces (eV/A), stress (eV/A^3, ASE's sign) if asked for, band edges (eV).

        Raises:
            CalculationFailed: if pw.x does not converge, crashes, takes too long, or answers another
                question than it was asked.
            EngineError: if pw.x or a pseudopotential is not there.
        """
        with self._solved(frame, attempt) as (_, label):
            return label

    def compute_potentials(self, frame: Frame, attempt: int) -> tuple[Label, Floats]:
        """As ``compute``, with the electrostatic potential at each atom, (n,), V, from pp.x.

        Raises:
            CalculationFailed: as ``compute``, or if pp.x fails.
            EngineError: if a program or a pseudopotential is not there.
        """
        settings = self.settings
        with self._solved(frame, attempt) as (folder, label):
            potentials_V = run_potentials(settings.potentials_command, folder, settings.time_limit_s, frame)
        return label, potentials_V

    def relaxation_inputs(self, frame: Frame, fmax_eV_A: float) -> dict[str, str]:
        """Inputs of pw.x that relax a frame down to ``fmax_eV_A``, by file name.

        Raises:
            EngineError: if a pseudopotential is not there: its valence is needed.
        """
        electrons = valence_electrons(self.files, frame.numbers, self.name) - frame.charge
        step = STEPS[0][0]
        return {"pw.in": pw_input(frame, self.settings, electrons, step, fmax_eV_A)}

    @contextmanager
    def _solved(self, frame: Frame, attempt: int) -> Iterator[tuple[Path, Label]]:
        """The folder of a finished calculation, for as long as the block lasts, and its label."""
        valence = valence_electrons(self.files, frame.numbers, self.name)
        electrons = valence - frame.charge
        odd = frame.multiplicity != NO_MOMENT and (round(electrons) - frame.unpaired) % 2
        if electrons < frame.unpaired or odd:
            raise CalculationFailed(
                f"multiplicity {frame.multiplicity} is impossible with {electrons:g} valence electrons",
                hopeless=True,
            )
        with scratch_folder(self.settings.scratch) as folder:
            self._link(frame, folder)
            for step in STEPS[attempt]:
                self._run(frame, folder, electrons, step)
            result = read_result(folder / OUTDIR / f"{PREFIX}.xml", frame, self.settings, valence)
            self.version = result.version
            yield folder, result.label

    def _link(self, frame: Frame, folder: Path) -> None:
        used = {
            file.element: file
            for file in (pseudopotential_of(self.files, int(n), self.name) for n in set(frame.numbers))
        }
        (folder / PSEUDO_FOLDER).mkdir()
        for link, target in link_pseudopotentials(used, PSEUDO_FOLDER).items():
            (folder / link).symlink_to(target)

    def _run(self, frame: Frame, folder: Path, electrons: float, step: Step) -> None:
        """One start of pw.x; a step that does not converge is a failure."""
        text = pw_input(frame, self.settings, electrons, step)
        (folder / "pw.in").write_text(text, encoding="utf-8")
        finished = run_program(self.settings.command, ["-in", "pw.in"], folder, self.settings.time_limit_s)
        broken = "NOT achieved after" in finished.output
        if finished.returncode != 0 or broken:
            reason = failure_reason(finished.output, finished.returncode)
            raise CalculationFailed(reason, hopeless=is_final(reason))
