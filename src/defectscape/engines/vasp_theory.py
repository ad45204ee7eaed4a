"""The level of theory of a VASP calculation: what must agree before two labels may be mixed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pymatgen.io.vasp.outputs import Vasprun

from defectscape.settings.vasp import VaspSettings


@dataclass(frozen=True)
class VaspTheory:
    """All that changes a converged energy or force.

    How the solution is reached (ALGO, mixing, NELM) is not among it, nor ISPIN, which follows from the
    spin of the frame, nor EDIFF, which is compared by itself.

    Attributes:
        gga: ``PE`` or ``PS``; what ``--`` stands for is read off the POTCAR.
        metagga: name of the meta-GGA, or empty.
        exx_fraction: share of exact exchange; 0 without.
        screening_1_A: its screening, 1/A; 0 is unscreened.
        fock_grid: PRECFOCK, or empty without exact exchange.
        fock_reduction: NKRED, reduction of the mesh of the exchange.
        dispersion: IVDW.
        hubbard: LDAU tags as text, or empty.
        cutoff_eV: ENCUT.
        kpoints: divisions of the Gamma-centred mesh; other meshes are written as text.
        smearing: ISMEAR and SIGMA in eV.
        precision: first four letters of PREC.
        aspherical: LASPH.
        real_space: LREAL.
        fine_grid: ADDGRID.
        spin_orbit: LSORBIT.
        potcars: (element, TITEL), by element.
    """

    gga: str
    metagga: str
    exx_fraction: float
    screening_1_A: float
    fock_grid: str
    fock_reduction: int
    dispersion: int
    hubbard: str
    cutoff_eV: float
    kpoints: tuple[int, ...] | str
    smearing: tuple[int, float]
    precision: str
    aspherical: bool
    real_space: bool
    fine_grid: bool
    spin_orbit: bool
    potcars: tuple[tuple[str, str], ...]

    @property
    def canonical(self) -> str:
        """As canonical JSON, for a label's key."""
        return json.dumps(asdict(self), sort_keys=True)

    def differences(self, other: "VaspTheory") -> list[str]:
        """What differs from another theory, each as ``name: mine, not theirs``.

        POTCARs are compared for the elements that both have.
        """
        found = []
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "potcars":
                known = dict(theirs)
                found += [
                    f"POTCAR of {element}: {title}, not {known[element]}"
                    for element, title in mine
                    if known.get(element, title) != title
                ]
            elif mine != theirs:
                found.append(f"{field.name}: {mine}, not {theirs}")
        return found


def theory_of_settings(settings: VaspSettings, tags: Mapping[str, Any], titles: Mapping[str, str]) -> VaspTheory:
    """The level of theory that an engine's settings ask for.

    Args:
        settings: the engine's settings.
        tags: doped's tags under the user's (``doped_tags``).
        titles: TITEL of each element's POTCAR.
    """
    a, b, c = settings.kpoints
    mesh, smearing = (a, b, c), (0, settings.smearing_eV)
    return _theory(tags, settings.functional == "hse06", settings.cutoff_eV, mesh, smearing, titles)


def theory_of_run(run: Vasprun) -> VaspTheory:
    """The level of theory that a run was made with, from the parameters that VASP reports."""
    tags: dict[str, Any] = {**run.incar, **run.parameters}
    titles = {}
    for title in run.potcar_symbols:
        words = title.split()
        titles[words[1].partition("_")[0]] = title
    gamma = str(run.kpoints.style).lower().endswith("gamma")
    mesh: tuple[int, ...] | str = tuple(int(value) for value in run.kpoints.kpts[0])
    points = [tuple(float(x) for x in point) for point in run.actual_kpoints]
    if points == [(0.0, 0.0, 0.0)]:
        mesh = (1, 1, 1)
    elif not gamma:
        mesh = f"{run.kpoints.style} {points[:4]}"
    smearing = (int(tags["ISMEAR"]), float(tags["SIGMA"]))
    hybrid = bool(tags.get("LHFCALC", False))
    return _theory(tags, hybrid, float(tags["ENMAX"]), mesh, smearing, titles)


def _theory(
    tags: Mapping[str, Any],
    hybrid: bool,
    cutoff_eV: float,
    mesh: tuple[int, ...] | str,
    smearing: tuple[int, float],
    titles: Mapping[str, str],
) -> VaspTheory:
    gga = str(tags.get("GGA", "--")).strip().upper() or "--"
    if gga == "--":
        gga = "PE" if all("PBE" in title for title in titles.values()) else "LDA"
    hubbard = bool(tags.get("LDAU", False))
    metagga = str(tags.get("METAGGA") or "").strip().upper()
    return VaspTheory(
        gga=gga,
        metagga="" if metagga in ("--", "NONE") else metagga,
        exx_fraction=float(tags.get("AEXX", 0.25)) if hybrid else 0.0,
        screening_1_A=float(tags.get("HFSCREEN", 0.0)) if hybrid else 0.0,
        fock_grid=str(tags.get("PRECFOCK", "")).strip().lower()[:4] if hybrid else "",
        fock_reduction=int(tags.get("NKREDX") or tags.get("NKRED") or 1) if hybrid else 1,
        dispersion=int(tags.get("IVDW") or 0),
        hubbard=" ".join(f"{n}={tags.get(n)}" for n in ("LDAUTYPE", "LDAUL", "LDAUU", "LDAUJ")) if hubbard else "",
        cutoff_eV=cutoff_eV,
        kpoints=mesh,
        smearing=smearing,
        precision=str(tags.get("PREC", "Normal")).strip().lower()[:4],
        aspherical=bool(tags.get("LASPH", False)),
        real_space=str(tags.get("LREAL", False)).strip().upper() in ("T", "TRUE", "AUTO", "A", "O", "ON"),
        fine_grid=bool(tags.get("ADDGRID", False)),
        spin_orbit=bool(tags.get("LSORBIT", False)),
        potcars=tuple(sorted(titles.items())),
    )
