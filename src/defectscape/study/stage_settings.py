"""Settings as stages read them: blocks less what a stage does not read, and parts that matter to a job.

The table of stages (``stages``) names them in ``reads``.
"""

from functools import cache
from pathlib import Path

from defectscape.sampling.electrons import OPEN_DOPANTS, added_atoms, removed_atoms
from defectscape.settings.groups import find_group
from defectscape.settings.study import Study
from defectscape.study.stage import WHOLE, Block, Part, Wildcards, block_of


def _group(study: Study, wildcards: Wildcards) -> object:
    """Charge states of the job's group, and from whom it learns: other groups do not matter to it."""
    group = find_group(study, wildcards["group"])
    content: dict[str, object] = {"charges": list(group.charges), "learns_from": list(group.learns_from)}
    spins = {charge: spin for charge, spin in group.multiplicities if charge in group.charges}
    # Where none is stated, finished studies stay finished.
    return content | {"multiplicities": spins} if spins else content


def rounds_of_sources(study: Study, wildcards: Wildcards) -> object:
    """The last round, for a group that learns from others' last data."""
    sources = find_group(study, wildcards["group"]).learns_from
    return study.exploration.rounds if sources else None


def in_rounds(block: str) -> Part:
    """A setting that matters from round 1 on: the first training has the pool alone."""

    def value(study: Study, wildcards: Wildcards) -> object:
        return None if int(wildcards["round"]) == 0 else block_of(study, block)

    return Part(block, value)


def engine_of_host(study: Study, _: Wildcards) -> object:
    """The high fidelity, if it relaxes the host."""
    return None if study.host.relax == "none" else block_of(study, "fidelities.high", NOT_FOR_LABELS)


def fidelity_of_job(study: Study, wildcards: Wildcards) -> object:
    """The fidelity that the job labels with."""
    return block_of(study, f"fidelities.{wildcards['level']}", NOT_FOR_LABELS)


def interstitials(study: Study, _: Wildcards) -> object:
    """Whether there are any, whose sites take a search of their own, and the dopants, which have sites, too."""
    names = [defect.name for defect in study.defects]
    found = any(name.startswith("i_") for name in names)
    added = set(added_atoms(names)) - set(removed_atoms(names))
    # An antisite adds an element that no other defect takes out, and brings no site: only the host tells it apart.
    foreign = sorted(added - _elements(study.host.file)) if added else []
    return {"interstitials": found, "added": foreign} if foreign else found


@cache
def _elements(host: Path) -> frozenset[str]:
    """The elements of the host's file; reading it takes seconds, so it is read only where it matters."""
    from defectscape.sampling.host import read_unit_cell

    return frozenset(element.symbol for element in read_unit_cell(host, taken_as_perfect=True).elements)


def open_dopants(study: Study, _: Wildcards) -> object:
    """Atoms that defects add and whose spin must be stated."""
    return sorted(OPEN_DOPANTS.intersection(added_atoms(defect.name for defect in study.defects)))


def names_come_from_file(study: Study) -> bool:
    """Whether the host's file names sites of another, relaxed crystal."""
    return study.host.relax != "none" and any(defect.name.startswith("i_") for defect in study.defects)


def names_from(study: Study, _: Wildcards) -> object:
    """The file whose crystal names the interstitials of a relaxed host."""
    return str(study.host.file) if names_come_from_file(study) else None


def _of_functional(name: str) -> Part:
    """A setting of the functional, with which the bands in a file are compared."""
    block = f"fidelities.high.engine.{name}"

    def value(study: Study, _: Wildcards) -> object:
        settings = study.thermo.concentrations
        return None if settings is None or settings.bands.kind != "vasprun" else block_of(study, block)

    return Part(block, value)


def everything(study: Study, _: Wildcards) -> object:
    """All settings but how many processes compute the prior, which changes no value."""
    content = block_of(study, WHOLE)
    if study.prior is not None:
        content["prior"] = block_of(study, PRIOR.block, PRIOR.without)
    return content


def ferromagnet(study: Study, _: Wildcards) -> object:
    """The multiplicity of the perfect supercell, if it is a ferromagnet."""
    return study.host.ferromagnet


MOMENTS = Part("host.multiplicity", ferromagnet, added=True)
GROUP = Part("defects", _group)
EVERYTHING = Part(WHOLE, everything, ("processes",))
PRIOR = Block("prior", ("processes",), added=True)
"""How many processes compute it changes no value."""
NAMES = ("fidelities.low.name", "fidelities.high.name")
NOT_FOR_LABELS = ("max_energy_jump_eV",)
"""It sorts labels out after they were made."""
LOW_LABELS = Block("fidelities.low", NOT_FOR_LABELS)
HIGH_LABELS = Block("fidelities.high", NOT_FOR_LABELS)
LABELS = (LOW_LABELS, HIGH_LABELS)
RELAXED_STARTS = ("relaxed_starts", "relaxation_steps", "relaxation_fmax_eV_A")
"""Settings of the stage that relaxes them."""
INITIAL = ("initial_per_charge", "test_per_charge", "low_relaxation_steps")
"""Settings of other stages than the selection of a round."""
BEYOND_RELAXING = ("cross_seeds_per_charge", "dynamics", "hopping")
"""What a search does beside relaxing."""
OTHER_SPIN = ("other_multiplicity",)
"""A setting of the stage after the verification."""
DESCRIBED = ("symmetry_tolerance_A",)
"""Settings of what is said of minima, not of which there are."""
MINIMA = Block("minima", DESCRIBED)
EXPLORED_MINIMA = Block("exploration.minima", DESCRIBED)
EXPLORERS = ("exploration.training.committee", "exploration.training.device")
FINALISTS = ("training.committee", "training.device")
SEARCHING = ("seed", *NAMES, *EXPLORERS, GROUP)
FUNCTIONAL = tuple(_of_functional(name) for name in ("functional", "exx_fraction", "screening_1_A", "incar"))
THERMO = Block("thermo", ("elemental_references", "elemental_kpoints", "competing_phases", "competing_kpoints"))
