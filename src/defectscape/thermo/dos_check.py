"""Whether a density of states from a file is that of the study's host, by the study's functional.

Its energies are placed on the engine's scale afterwards (``dos_alignment``). What no shift can mend is refused
here: another composition or crystal, another functional or physics, no gap, a density of states that is not that
of its own eigenvalues.
"""

from typing import Any

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.site import HostCrystal
from defectscape.engines.vasp_dos import DOS_KEY, VaspDos
from defectscape.engines.vasp_input import doped_tags
from defectscape.engines.vasp_tags import DEFAULTS, foreign_tags
from defectscape.engines.vasp_theory import theory_of_settings
from defectscape.files.structures import to_structure
from defectscape.settings.engine import EngineSettings
from defectscape.settings.vasp import VaspSettings

VOLUME_TOLERANCE = 0.01
"""Volumes per atom agree within this share: a gap moves by about 0.1 eV per percent of volume."""

LENGTH_TOLERANCE = 0.01
"""Lattice vectors, scaled to one volume, agree within this share."""

ANGLE_TOLERANCE_DEG = 1.0

SITE_TOLERANCE = 0.05
"""Atoms agree within this share of the cube root of the volume per atom: about 0.15 A."""

ELECTRON_TOLERANCE = 0.02
"""The states below the gap hold NELECT electrons within this share."""

LATE_ONSET_EV = 0.25
"""States may begin so much farther from the gap than the eigenvalues: tetrahedra between a light band's minimum and the
next points of a coarse mesh hold few states (GaAs, 8 x 8 x 8: 0.1 eV)."""
EDGE_TOLERANCE_EV = 0.05
"""The density of states ends at the eigenvalues' band edges within this, beside its grid and its broadening."""

NEGLIGIBLE_STATES_PER_EV = 1e-4
"""VASP prints four decimals."""

WHOLE = 0.05
"""Charge and moment are zero within this."""

TAILS = {0: 4.0, 1: 4.0, 2: 4.0, -1: 10.0, -14: 10.0, -15: 10.0}
"""How far a broadened edge reaches into the gap, by ISMEAR, in units of SIGMA; others are not broadened."""

FUNCTIONAL = {
    "gga": "GGA",
    "metagga": "METAGGA",
    "exx_fraction": "AEXX",
    "screening_1_A": "HFSCREEN",
    "hubbard": "LDAU",
}
"""What of a level of theory moves bands, by VASP's names. Cutoff, k-points and smearing are the file's own."""

SAME_AS_STUDY = "Give the density of states of the study's host by the high-fidelity engine's functional"


def check_dos(dos: VaspDos, host: HostCrystal, engine: EngineSettings, *, relaxed: bool) -> None:
    """Refuse a density of states that is not of this host, or by another functional.

    Args:
        dos: what the file holds.
        host: the study's crystal.
        engine: the high fidelity's settings; a functional can be compared if it is VASP.
        relaxed: whether ``host`` is the crystal that the study computes with; one that is still to be relaxed
            is compared by composition alone.

    Raises:
        ThermoError: for the first difference.
    """
    _check_composition(dos, host)
    _check_electrons(dos)
    _check_physics(dos, engine)
    _check_gap(dos)
    if relaxed:
        _check_crystal(dos, host)
    _check_states(dos)


def _refused(dos: VaspDos, fault: str, remedy: str = SAME_AS_STUDY) -> ThermoError:
    return ThermoError(DOS_KEY, f"{dos.path} {fault}", f"{remedy}, or effective masses")


def _structure(dos: VaspDos) -> Any:
    return to_structure(dos.numbers, dos.positions_A, dos.cell_A)


def _host_structure(host: HostCrystal) -> Any:
    return to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A)


def _check_composition(dos: VaspDos, host: HostCrystal) -> None:
    theirs, mine = (item.composition.reduced_formula for item in (_structure(dos), _host_structure(host)))
    if theirs != mine:
        raise _refused(dos, f"is of {theirs}, the study's host is {mine}")


def _check_electrons(dos: VaspDos) -> None:
    if abs(dos.charge) > WHOLE:
        raise _refused(dos, f"is of a cell with charge {dos.charge:+.2f}", "Give the neutral host's")
    if abs(dos.moment) > WHOLE:
        fault = f"has a moment of {dos.moment:.2f} Bohr magnetons; the study takes its host as paired"
        raise _refused(dos, fault, "Give the host's without a moment")


def _check_physics(dos: VaspDos, engine: EngineSettings) -> None:
    """Tags that are other physics, and the functional, where the study's engine says which it is."""
    if dos.theory.spin_orbit:
        raise _refused(dos, "was computed with spin-orbit coupling (LSORBIT), the study is not")
    tags = doped_tags(engine) if isinstance(engine, VaspSettings) else {}
    # Not self-consistent on a given density is how many densities of states are made.
    harmless = {"ICHARG": dict(dos.tags.parameters).get("ICHARG", "11")}
    foreign = [text for text in foreign_tags(dos.tags, {**tags, **harmless}) if text.split()[0] in DEFAULTS]
    if foreign:
        raise _refused(dos, f"was computed with {', '.join(foreign)}, the study is not")
    differences = _functional_differences(dos, engine, tags) if isinstance(engine, VaspSettings) else []
    if differences:
        raise _refused(dos, f"is by another functional: {'; '.join(differences)}")


def _functional_differences(dos: VaspDos, engine: VaspSettings, tags: dict[str, Any]) -> list[str]:
    study = theory_of_settings(engine, tags, {})
    pairs = [(name, getattr(dos.theory, field), getattr(study, field)) for field, name in FUNCTIONAL.items()]
    return [
        f"{name} = {theirs or 'none'}, the study's is {mine or 'none'}"
        for name, theirs, mine in pairs
        if theirs != mine
    ]


def _check_gap(dos: VaspDos) -> None:
    if dos.gap_eV <= 0:
        fault = (
            f"is metallic: its highest filled level is {dos.vbm_eV:.3f} eV, its lowest empty one {dos.cbm_eV:.3f} eV"
        )
        raise _refused(dos, fault, "Give one by a functional and at k-points that have a gap")


def _check_crystal(dos: VaspDos, host: HostCrystal) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    theirs, mine = _structure(dos), _host_structure(host)
    volumes_A3 = [item.volume / len(item) for item in (theirs, mine)]
    off = volumes_A3[0] / volumes_A3[1] - 1
    if abs(off) > VOLUME_TOLERANCE:
        raise _refused(
            dos,
            f"has {volumes_A3[0]:.3f} A^3 per atom, the study's host {volumes_A3[1]:.3f} ({100 * off:+.1f}%, allowed "
            f"are {100 * VOLUME_TOLERANCE:g}%)",
            "Compute it in the study's unit cell (host/unitcell.vasp of the results)",
        )
    matcher = StructureMatcher(LENGTH_TOLERANCE, SITE_TOLERANCE, ANGLE_TOLERANCE_DEG)
    if not matcher.fit(theirs, mine):
        raise _refused(
            dos,
            f"has another crystal structure than the study's host ({_space_group(theirs)}, {_space_group(mine)}), "
            "or its atoms are elsewhere",
            "Compute it in the study's unit cell (host/unitcell.vasp of the results)",
        )


def _space_group(structure: Any) -> str:
    return str(structure.get_space_group_info(symprec=0.01)[0])


def _check_states(dos: VaspDos) -> None:
    """The density of states is that of the eigenvalues: whole below the gap, and with its edges."""
    middle_eV = (dos.vbm_eV + dos.cbm_eV) / 2
    filled = dos.energies_eV < middle_eV
    count = float(np.trapezoid(dos.states_per_eV[filled], x=dos.energies_eV[filled]))
    if abs(count / dos.electrons - 1) > ELECTRON_TOLERANCE:
        raise _refused(
            dos,
            f"has a density of states with {count:.2f} electrons below the middle of its gap, NELECT is "
            f"{dos.electrons:g}",
            "Let its energies reach below the lowest band (EMIN, EMAX) and raise NEDOS",
        )
    some = dos.states_per_eV > NEGLIGIBLE_STATES_PER_EV
    vbm_eV = float(np.max(dos.energies_eV[some & filled], initial=-np.inf))
    cbm_eV = float(np.min(dos.energies_eV[some & ~filled], initial=np.inf))
    in_gap_eV = max(vbm_eV - dos.vbm_eV, dos.cbm_eV - cbm_eV)
    kind, width_eV = dos.theory.smearing
    tolerance_eV = 2 * dos.step_eV + TAILS.get(kind, 0.0) * width_eV
    late_eV = max(dos.vbm_eV - vbm_eV, cbm_eV - dos.cbm_eV)
    if in_gap_eV > EDGE_TOLERANCE_EV + tolerance_eV or late_eV > LATE_ONSET_EV + tolerance_eV:
        raise _refused(
            dos,
            f"has a density of states that ends at {vbm_eV:.3f} and {cbm_eV:.3f} eV, its eigenvalues at "
            f"{dos.vbm_eV:.3f} and {dos.cbm_eV:.3f} eV",
            "Make both in one run, with ISMEAR = -5",
        )
