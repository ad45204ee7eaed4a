"""What would stop a study hours later, found before anything is computed: its structures, its limits, its starts."""

from collections.abc import Mapping, Sequence

from ase.data import atomic_numbers, chemical_symbols

from defectscape.domain.errors import ConfigError, DefectError
from defectscape.domain.keys import format_charge
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.engines.registry import with_mesh
from defectscape.engines.vasp_dos import read_dos
from defectscape.sampling.dopants import adding, unbounded_dopants, unbounded_line
from defectscape.sampling.lengths import COVALENT_SHARE
from defectscape.sampling.references import element_frame, reference_frame, reference_numbers, sampling_warning
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.splits import FEWEST_FAMILIES
from defectscape.sampling.starts import make_starts
from defectscape.settings.groups import exploration_groups
from defectscape.settings.study import Study
from defectscape.settings.tblite import HEAVIEST, TbliteSettings
from defectscape.settings.thermo import DensityOfStates
from defectscape.study.host import dopants_of
from defectscape.thermo.chempots import EQUILIBRIUM_TOLERANCE_EV, check_elements, composition, mean_potential_eV
from defectscape.thermo.dos_check import check_dos
from defectscape.tools.check_prior import check_prior, engines_of


def check_inputs(study: Study, host: HostCrystal) -> tuple[str, ...]:
    """Structures, densities of states and limits that the study names; its frames: ``check_imported``.

    Returns:
        What limits the references' energies and the prior.

    Raises:
        DefectscapeError: for the first that cannot be used.
    """
    atoms = composition(host.numbers)
    foreign = dopants_of(study, host)
    elements = (*atoms, *foreign)
    warnings = _check_elements(study, atoms, foreign)
    warnings += _check_phases(study, elements, foreign)
    warnings += check_prior(study, elements)
    _check_pseudopotentials(study, elements)
    _check_parameters(study, elements)
    _check_meshes(study)
    _check_limits(study, atoms, foreign)
    concentrations = study.thermo.concentrations
    if concentrations is not None and isinstance(concentrations.bands, DensityOfStates):
        dos = read_dos(concentrations.bands.file)
        check_dos(dos, host, study.fidelities.high.engine, relaxed=study.host.relax == "none")
    return warnings


def _check_elements(study: Study, atoms: Mapping[str, int], foreign: Sequence[str]) -> tuple[str, ...]:
    """Every element of the host, and every dopant, has a reference of that alone, whose spin is known; the warnings."""
    given, engine = study.thermo.elemental_references, study.fidelities.high.engine
    for element in atoms:
        if element not in given:
            raise ConfigError(
                "thermo.elemental_references", f"nothing for {element}", "Give a structure file of its reference phase"
            )
    for element in foreign:
        if element not in given:
            name = adding([defect.name for defect in study.defects], element)
            vacancy = f"; {name} is vanadium, a vacancy is v{name[1:]}" if name.startswith("V_") else ""
            raise ConfigError(
                "thermo.elemental_references",
                f"nothing for {element}, which {name} adds to the host{vacancy}",
                "Give a structure file of its reference phase, and its compounds with the host's elements as "
                "thermo.competing_phases",
            )
    warnings = []
    for element, reference in given.items():
        if reference.energy_eV_per_atom is None:
            frame = element_frame(study.thermo, element, engine)
            mesh = study.thermo.elemental_kpoints.get(element)
            warnings.append(sampling_warning(frame, element, mesh, engine))
    return tuple(text for text in warnings if text)


def _check_phases(study: Study, elements: Sequence[str], foreign: Sequence[str]) -> tuple[str, ...]:
    """Competing phases are compounds of the host's elements and the dopants, whose spin is known; dopants without."""
    found = []
    for name, phase in study.thermo.competing_phases.items():
        key = f"thermo.competing_phases.{name}"
        numbers = reference_numbers(phase, name)
        found.append(composition(numbers))
        strangers = set(found[-1]) - set(elements)
        if strangers:
            raise ConfigError(
                key,
                f"{phase.file} has {', '.join(sorted(strangers))}",
                f"Only phases of the elements of the host and its dopants, {', '.join(elements)}, bound their "
                "potentials; take it out",
            )
        if phase.energy_eV_per_atom is None:
            reference_frame(phase, name, key, study.fidelities.high.engine)
    if study.thermo.chemical_potentials is not None:
        return ()
    line = unbounded_line(unbounded_dopants(foreign, found))
    return () if line is None else (line,)


def _check_parameters(study: Study, elements: Sequence[str]) -> None:
    """The embedded engine has parameters for every element; of other programs that is not known."""
    for level in (study.fidelities.low, study.fidelities.high):
        if isinstance(level.engine, TbliteSettings):
            for element in elements:
                if atomic_numbers[element] > HEAVIEST:
                    raise ConfigError(
                        f"fidelity {level.name}",
                        f"{level.engine.method} has no parameters for {element}",
                        f"They end at {chemical_symbols[HEAVIEST]}; take another engine, or leave the element out",
                    )


def _check_pseudopotentials(study: Study, elements: Sequence[str]) -> None:
    """An engine with files for each element has those of the host and the dopants."""
    engines = [(f"fidelity {level.name}", level.engine) for level in (study.fidelities.low, study.fidelities.high)]
    for owner, engine in (*engines, *engines_of(study.prior)):
        for name in ("pseudopotentials", "potcars"):
            given = getattr(engine, name, None)
            missing = [element for element in elements if given is not None and element not in given]
            if missing:
                raise ConfigError(
                    f"{name} of {owner}",
                    f"nothing for {', '.join(missing)}",
                    "Name the file of each element of the host and of each dopant",
                )


def _check_meshes(study: Study) -> None:
    """Meshes of references are for engines that have one."""
    thermo = study.thermo
    for name, meshes in (
        ("elemental_kpoints", thermo.elemental_kpoints),
        ("competing_kpoints", thermo.competing_kpoints),
    ):
        for owner, mesh in meshes.items():
            with_mesh(study.fidelities.high.engine, mesh, f"thermo.{name}.{owner}")


def _check_limits(study: Study, atoms: Mapping[str, int], foreign: Sequence[str]) -> None:
    """Limits have the host's elements and the dopants, and one sum over the host, its formation energy: negative."""
    given = study.thermo.chemical_potentials
    if given is None:
        return
    sums_eV = {}
    for name, potentials in given.items():
        check_elements(name, potentials, atoms, foreign)
        sums_eV[name] = mean_potential_eV(potentials, atoms)
    low, high = min(sums_eV, key=sums_eV.__getitem__), max(sums_eV, key=sums_eV.__getitem__)
    if sums_eV[high] - sums_eV[low] > 2 * EQUILIBRIUM_TOLERANCE_EV:
        raise ConfigError(
            "thermo.chemical_potentials",
            f"{low} sums to {sums_eV[low]:.4f} eV per atom of the host, {high} to {sums_eV[high]:.4f}",
            "In equilibrium with the host both are its formation energy; correct one of them",
        )
    if len(atoms) > 1 and sums_eV[high] >= 0:
        raise ConfigError(
            f"thermo.chemical_potentials.{high}",
            f"sums to {sums_eV[high]:.4f} eV per atom of the host",
            "The sum is the host's formation energy, which is negative; give potentials relative to the references",
        )


def unusual_charges(study: Study, proposed: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Charge states that are not proposed for their defect, in words.

    Args:
        study: the study.
        proposed: charge states proposed, by name of the defect.
    """
    lines = []
    for defect in study.defects:
        low, high = min(proposed[defect.name]), max(proposed[defect.name])
        others = sorted(charge for charge in {*defect.charges, *defect.added_charges} if not low <= charge <= high)
        if others:
            asked = ", ".join(format_charge(charge) for charge in others)
            lines.append(
                f"{defect.name} in charge {asked}: proposed are {format_charge(low)} to {format_charge(high)}, from "
                "oxidation states, or in an element from outer electrons; beyond them the charge usually sits in the "
                "host's bands"
            )
    return tuple(lines)


def check_starts(study: Study, host: HostCrystal, sites: Sequence[DefectSite]) -> None:
    """Make every start, and see that geometry families are left to train, to validate and to test.

    Raises:
        DefectError: if too few starts are without contacts that are too short.
    """
    for group in exploration_groups(study):
        site, spins = pick_site(sites, group.defect), dict(group.multiplicities)
        families = {
            start.family
            for charge in group.charges
            for start in make_starts(host, site, charge, study.sampling, study.seed, spins.get(charge))
        }
        if len(families) < FEWEST_FAMILIES:
            raise DefectError(
                f"starts of {group.name}",
                f"{len(families)} of {_wanted(study)} have no atoms closer than {_limit_words(study)}",
                f"{FEWEST_FAMILIES} are needed, to train, to validate and to test: "
                f"{_remedy(study)}, or give sampling.bond_distortions that are smaller",
            )


def _wanted(study: Study) -> int:
    sampling = study.sampling
    return 2 + len(sampling.bond_distortions) + int(sampling.dimers)


def _limit_words(study: Study) -> str:
    limit_A = study.sampling.shortest_distance_A
    share = f"{COVALENT_SHARE:g} of the sum of their covalent radii"
    return share if limit_A is None else f"sampling.shortest_distance_A, {limit_A:g} A"


def _remedy(study: Study) -> str:
    if study.sampling.shortest_distance_A is None:
        return "set sampling.shortest_distance_A to less than that"
    return "lower sampling.shortest_distance_A, or leave it out, so that it follows the elements"
