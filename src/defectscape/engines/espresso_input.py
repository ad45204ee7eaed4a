"""The input of pw.x for one frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from ase.data import chemical_symbols
from ase.units import Bohr, Rydberg

from defectscape.domain.frame import Frame
from defectscape.engines.pseudopotentials import Pseudopotential
from defectscape.settings.espresso import EspressoSettings
from defectscape.settings.program import Scalar

PREFIX = "label"
OUTDIR = "out"
PSEUDO_FOLDER = "pseudo"

Namelists = dict[str, dict[str, Scalar]]


@dataclass(frozen=True)
class Step:
    """One start of pw.x within an attempt.

    Attributes:
        electrons: keywords of the namelist ELECTRONS that say how the solution is reached.
        smearing_factor: factor on the configured smearing; a step before the last may widen it.
        from_step_before: start from the density and wave functions of the step before.
    """

    electrons: Mapping[str, Scalar]
    smearing_factor: float = 1.0
    from_step_before: bool = False


def pw_input(
    frame: Frame,
    settings: EspressoSettings,
    electrons: float,
    step: Step,
    relax_fmax_eV_A: float | None = None,
) -> str:
    """The input file as text.

    Args:
        frame: the structure; its multiplicity fixes the spin: 1 is not spin-polarised, any other
            fixes the total magnetisation.
        settings: the engine's settings.
        electrons: valence electrons of the charged cell.
        step: how the solution is to be reached.
        relax_fmax_eV_A: relax the atoms down to this force, eV/A; None is a single point.
    """
    species = list(dict.fromkeys(frame.numbers.tolist()))
    lists: Namelists = {
        "control": _control(settings),
        "system": _system(frame, settings, electrons, step, len(species)),
        "electrons": _electrons(settings, step),
    }
    if relax_fmax_eV_A is not None:
        limit = relax_fmax_eV_A * Bohr / Rydberg
        lists["control"] |= {
            "calculation": "relax",
            "forc_conv_thr": limit,
            "nstep": 100,
            "pseudo_dir": str(settings.pseudo_dir),
        }
        lists["ions"] = {"ion_dynamics": "bfgs"}
    for name, entries in settings.keywords.items():
        lists[name] |= {key.lower(): value for key, value in entries.items()}
    lines = [line for name, entries in lists.items() for line in _namelist(name, entries)]
    lines.append("ATOMIC_SPECIES")
    # The mass does not enter a single point.
    for number in species:
        symbol = chemical_symbols[number]
        lines.append(f"{symbol} 1.0 {settings.pseudopotentials[symbol]}")
    lines.append("CELL_PARAMETERS angstrom")
    lines += [" ".join(f"{value:.12f}" for value in row) for row in frame.cell_A]
    lines.append("ATOMIC_POSITIONS angstrom")
    for number, row in zip(frame.numbers, frame.positions_A, strict=True):
        lines.append(f"{chemical_symbols[number]} " + " ".join(f"{value:.12f}" for value in row))
    if settings.kpoints == [1, 1, 1]:
        lines.append("K_POINTS gamma")
    else:
        mesh = " ".join(str(value) for value in settings.kpoints)
        lines += ["K_POINTS automatic", f"{mesh} 0 0 0"]
    return "\n".join(lines) + "\n"


def link_pseudopotentials(files: Mapping[str, Pseudopotential], folder: str) -> dict[str, str]:
    """Where each file is to appear in the calculation's folder, and where it really is.

    Links keep the user's paths, which may be long or hold quotes, out of the input.
    """
    return {
        f"{folder}/{file.path.name}": str(file.path.resolve()) for file in files.values() if file.valence is not None
    }


def _control(settings: EspressoSettings) -> dict[str, Scalar]:
    return {
        "calculation": "scf",
        "prefix": PREFIX,
        "outdir": OUTDIR,
        "pseudo_dir": PSEUDO_FOLDER,
        # With less, pw.x 6.7 removes the XML file at its end.
        "disk_io": "low",
        "tprnfor": True,
        "tstress": settings.stress,
    }


def _system(frame: Frame, settings: EspressoSettings, electrons: float, step: Step, species: int) -> dict[str, Scalar]:
    unpaired = frame.unpaired
    filled = ceil((electrons + unpaired) / 2)
    entries: dict[str, Scalar] = {
        "ibrav": 0,
        "nat": len(frame),
        "ntyp": species,
        "ecutwfc": settings.cutoff_Ry,
        "tot_charge": frame.charge,
        "nosym": True,
        "noinv": True,
        "nbnd": filled + settings.empty_bands,
        "occupations": "smearing",
        "smearing": "gaussian",
        "degauss": settings.smearing_Ry * step.smearing_factor,
        "nspin": 2 if unpaired else 1,
    }
    if unpaired:
        entries["tot_magnetization"] = unpaired
    if settings.density_cutoff_Ry is not None:
        entries["ecutrho"] = settings.density_cutoff_Ry
    # pw.x's own HSE takes the parameters of 2006: fraction and screening are set beside it.
    entries["input_dft"] = {"pbe": "pbe", "pbesol": "pbesol", "hse06": "hse"}[settings.functional]
    if settings.functional == "hse06":
        q1, q2, q3 = settings.fock_kpoints or settings.kpoints
        entries |= {
            "exx_fraction": settings.exx_fraction,
            "screening_parameter": settings.screening_1_bohr,
            "ecutfock": settings.fock_cutoff_Ry or settings.cutoff_Ry,
            "nqx1": q1,
            "nqx2": q2,
            "nqx3": q3,
            # A screened exchange has no divergence to be treated.
            "exxdiv_treatment": "none",
            "x_gamma_extrapolation": False,
        }
    return entries


def _electrons(settings: EspressoSettings, step: Step) -> dict[str, Scalar]:
    entries: dict[str, Scalar] = {"conv_thr": settings.convergence_Ry}
    if settings.functional == "hse06":
        # Without it every outer step of the exchange is converged to the end, at many times the cost.
        entries |= {"adaptive_thr": True, "conv_thr_init": 1e-4, "conv_thr_multi": 0.1}
    if step.from_step_before:
        entries |= {"startingpot": "file", "startingwfc": "file"}
    else:
        # GTH files have no atomic wave functions; pw.x's random numbers are the same at every start.
        entries |= {"startingpot": "atomic", "startingwfc": "random"}
    return entries | dict(step.electrons)


def _namelist(name: str, entries: Mapping[str, Scalar]) -> list[str]:
    return [f"&{name.upper()}", *(f" {key} = {_value(v)}" for key, v in entries.items()), "/"]


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return ".true." if value else ".false."
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
