"""A first study of a crystal: what can be proposed is proposed with its reason, what cannot be known is to fill in."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Poscar

from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import HOST_KEY, format_charge
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.structures import atomic_numbers
from defectscape.sampling.charge_states import ChargeProposal, propose_charges
from defectscape.sampling.dopants import check_dopants, unbounded_line
from defectscape.sampling.electrons import OPEN_DOPANTS, open_shell_ions
from defectscape.sampling.element_crystals import MOLECULES, element_crystal, repeated
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.references import SMALL_CELL_A
from defectscape.sampling.sites import enumerate_sites
from defectscape.sampling.standard_states import reference_multiplicity
from defectscape.settings.effort import Effort
from defectscape.settings.load import FILL_IN
from defectscape.settings.structure import SupercellSettings
from defectscape.thermo.chempots import composition
from defectscape.tools.new_engines import Kind, Levels, check_parameters, kpoints, levels_of

logger = logging.getLogger(__name__)

STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
WIDTH = 52
"""Comments begin at this column where the line before them is shorter."""


@dataclass(frozen=True)
class Wish:
    """What a study is asked to be.

    Attributes:
        name: its name.
        host: file of the crystal.
        engine: kind of the engine.
        effort: the study's effort; None for what fits the engine.
        image_distance_A: smallest distance of a defect to its image, A.
        dopants: symbols of the elements that the host lacks and its defects add.
    """

    name: str
    host: Path
    engine: Kind
    effort: Effort | None
    image_distance_A: float
    dopants: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewStudy:
    """A proposed study.

    Attributes:
        files: contents by path in the study's folder; ``study.yaml`` is the study.
        told: what was found and chosen, in lines.
        open_keys: keys that are to fill in.
    """

    files: dict[Path, bytes]
    told: tuple[str, ...]
    open_keys: tuple[str, ...]


def propose_study(wish: Wish) -> NewStudy:
    """A study of a crystal, in the words of its file.

    Raises:
        ConfigError: for a name that no study can have.
        HostError: as ``read_unit_cell`` and ``build_host``.
        DefectError, EngineError: as ``check_dopants``, ``check_parameters``, ``enumerate_sites`` and ``levels_of``.
    """
    if STUDY_NAME.fullmatch(wish.name) is None:
        raise ConfigError(
            "study", repr(wish.name), "Name the folder with letters, digits, - and _: it is the study's name"
        )
    structure = read_unit_cell(wish.host)
    numbers = atomic_numbers(structure)
    check_dopants(numbers, wish.dopants)
    elements = (*composition(numbers), *wish.dopants)
    check_parameters(wish.engine, elements)
    supercell = SupercellSettings(min_image_distance_A=wish.image_distance_A)
    host = build_host(structure, supercell)
    logger.info("defects of %s in a supercell of %d atoms", host.formula, len(host.numbers))
    proposals = propose_charges(host, enumerate_sites(host, interstitials=True, extrinsic=wish.dopants))
    crystals = {element: _reference(element, wish.engine) for element in elements}
    frames = {e: _frame(e, crystal) for e, crystal in crystals.items() if crystal is not None}
    levels = levels_of(wish.engine, host, elements, frames)
    effort: Effort = wish.effort or ("quick" if wish.engine == "tblite" else "standard")
    text = "".join(_lines(wish, host, effort, proposals, levels, crystals))
    files = {Path("study.yaml"): text.encode(), Path(wish.host.name): wish.host.read_bytes()}
    for element, crystal in crystals.items():
        if crystal is not None:
            files[_reference_file(element)] = str(Poscar(crystal, comment=f"{element}, reference phase")).encode()
    charged = sum(len(proposal.charges) for proposal in proposals if not _left_out(proposal.site))
    told = (
        f"host        {host.formula} ({host.spacegroup}), supercell of {len(host.numbers)} atoms, "
        f"images {host.min_image_distance_A:.2f} A apart",
        f"defects     {_count(proposals, wish.dopants)}; {charged} charge states in all, delete what you do not need",
        *(() if (line := unbounded_line(wish.dopants)) is None else (f"dopants     {line}",)),
        *(f"engine      {line}" for line in levels.told),
    )
    open_keys = levels.open_keys + tuple(
        f"thermo.elemental_references.{e}" for e, crystal in crystals.items() if crystal is None
    )
    if wish.engine != "tblite":
        open_keys += ("thermo.correction.dielectric",)
    if open_shell_ions(host.numbers):
        open_keys = ("host.multiplicity", *open_keys)
    return NewStudy(files, told, open_keys)


def _count(proposals: Sequence[ChargeProposal], dopants: Sequence[str]) -> str:
    """How many defects of which kind, those that are comments apart."""
    proposed = [proposal.site for proposal in proposals if not _left_out(proposal.site)]
    vacancies = sum(site.kind == "vacancy" for site in proposed)
    doping = sum(site.added in dopants for site in proposed)
    counts = [(vacancies, "vacancy"), (len(proposed) - vacancies - doping, "antisite"), (doping, "dopant on a site")]
    words = [_counted(number, noun) for number, noun in counts if number]
    interstitials = sum(proposal.site.kind == "interstitial" for proposal in proposals)
    rest = len(proposals) - len(proposed) - interstitials
    comments = [(interstitials, "interstitial"), (rest, "defect that adds an atom with an open d or f shell")]
    left = [_counted(number, noun) for number, noun in comments if number]
    return ", ".join(words) + (f"; as comments {', '.join(left)}" if left else "")


PLURALS = {
    "vacancy": "vacancies",
    "dopant on a site": "dopants on sites",
    "defect that adds an atom with an open d or f shell": "defects that add atoms with open d or f shells",
}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else PLURALS.get(noun, f'{noun}s')}"


def _left_out(site: DefectSite) -> bool:
    """Interstitials are many; of an atom with an open shell the spin is to be stated before ``check`` takes it."""
    return site.kind == "interstitial" or site.added in OPEN_DOPANTS


def _reference(element: str, engine: Kind) -> Structure | None:
    """The element's crystal as the engine samples it: a supercell where it has one k-point."""
    crystal = element_crystal(element)
    one_point = engine in ("tblite", "ase") and element not in MOLECULES
    return repeated(crystal, SMALL_CELL_A) if crystal is not None and one_point else crystal


def _reference_file(element: str) -> Path:
    return Path("elements", f"{element}.vasp")


def _frame(element: str, crystal: Structure) -> Frame:
    numbers, cell_A = atomic_numbers(crystal), np.asarray(crystal.lattice.matrix)
    spin = reference_multiplicity(numbers, crystal.cart_coords, cell_A, element, unpolarised=False)
    return Frame(numbers, crystal.cart_coords, cell_A, HOST_KEY, spin, Origin.REFERENCE, f"reference/{element}")


def _commented(line: str, comment: str) -> str:
    return f"{line:<{WIDTH}}  # {comment}\n"


def _lines(
    wish: Wish,
    host: HostCrystal,
    effort: Effort,
    proposals: Sequence[ChargeProposal],
    levels: Levels,
    crystals: dict[str, Structure | None],
) -> list[str]:
    """The study's file."""
    return [
        f"# Defects of {host.formula} ({host.spacegroup}), proposed by `defectscape new`. KEYS.md has all keys,\n",
        "# `defectscape check --full` prints them all with their values. FILL_IN stands for what only you know.\n",
        "# yaml-language-server: $schema=schema.json\n",
        _commented(f"study: {wish.name}", f"results go to results/{wish.name}/"),
        _commented(f"effort: {effort}", "quick, standard or thorough: sets all from sampling to training"),
        _commented("seed: 1", "every random number follows from it"),
        _commented("label_store: labels", "folder of all labels; studies may share one"),
        _commented("label_jobs: 2", "jobs that the labels of a step are spread over"),
        "host:\n",
        _commented(f"  file: {wish.host.name}", "the crystal as it was given"),
        _commented(
            f"  supercell: {{matrix: {host.matrix.tolist()}, min_image_distance_A: {wish.image_distance_A}}}",
            f"{len(host.numbers)} atoms, images {host.min_image_distance_A:.1f} A apart, as near to a cube as it gets",
        ),
        _commented(
            "  relax: none", "the file is taken as relaxed; positions, volume or cell relaxes it at the high level"
        ),
        _commented("  stability: {starts: 3}", "distortions that ask whether the crystal is stable; null: no test"),
        *_spin(host),
        _commented("defects:", "each with its charge states and why; delete what you do not need"),
        *(_defect(proposal) for proposal in proposals),
        *levels.lines,
        "thermo:\n",
        *_references(wish, crystals),
        *_phases(host, wish.dopants),
        _correction(wish.engine),
        "# also: competing_phases (other compounds of these elements), concentrations, ccd, capture: see KEYS.md\n",
    ]


def _spin(host: HostCrystal) -> list[str]:
    """Of ions with open shells the spin is not known here."""
    ions = ", ".join(open_shell_ions(host.numbers))
    why = f"{ions} may have unpaired electrons: 1 if they are paired (low spin), a ferromagnet's plus one"
    return [_commented(f"  multiplicity: {FILL_IN}", why)] if ions else []


def _defect(proposal: ChargeProposal) -> str:
    charges = ", ".join(f'"{format_charge(charge)}"' for charge in proposal.charges)
    begin = "  # - " if _left_out(proposal.site) else "  - "
    return _commented(f"{begin}{{name: {proposal.site.name}, charges: [{charges}]}}", _why(proposal))


def _why(proposal: ChargeProposal) -> str:
    site: DefectSite = proposal.site
    what = f"{site.doped_name}; " if site.kind == "interstitial" else ""
    spin = "; it may have unpaired electrons: host.multiplicity" if site.added in OPEN_DOPANTS else ""
    return f"{what}{proposal.reason}{spin}"


def _references(wish: Wish, crystals: dict[str, Structure | None]) -> list[str]:
    known = ", ".join(
        f"{element}: {_reference_file(element)}"
        if crystal is not None
        else f"{element}: {{energy_eV_per_atom: {FILL_IN}, source: {FILL_IN}}}"
        for element, crystal in crystals.items()
    )
    lines = [
        _commented(f"  elemental_references: {{{known}}}", "crystals as measured, from ASE and AFLOW's prototypes")
    ]
    meshes = {
        element: kpoints(crystal.lattice.abc)
        for element, crystal in crystals.items()
        if crystal is not None and element not in MOLECULES
    }
    if wish.engine in ("espresso", "vasp") and meshes:
        text = ", ".join(f"{element}: {mesh}" for element, mesh in meshes.items())
        lines.append(_commented(f"  elemental_kpoints: {{{text}}}", "converge them: metals need most"))
    return lines


def _phases(host: HostCrystal, dopants: Sequence[str]) -> list[str]:
    """What bounds the dopants is not known here: a line of it as a comment."""
    if not dopants:
        return []
    what = f"compounds of {' and of '.join(dopants)} with {', '.join(composition(host.numbers))}"
    return [_commented("  # competing_phases: {NAME: NAME.vasp}", f"the stable {what}: they limit the solubility")]


def _correction(engine: Kind) -> str:
    if engine == "tblite":
        return _commented(
            "  correction: {kind: none}", "point_charge corrects charged cells; it needs the dielectric tensor"
        )
    kind = "efnv" if engine in ("espresso", "vasp") else "point_charge"
    return _commented(
        f"  correction: {{kind: {kind}, dielectric: {FILL_IN}}}",
        "static dielectric tensor, ions included: [[e, 0, 0], [0, e, 0], [0, 0, e]]",
    )
