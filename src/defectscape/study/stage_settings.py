"""Settings as stages read them: blocks less what a stage does not read, and parts that matter to a job.

The table of stages (``stages``) names them in ``reads``.
"""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from defectscape.domain.spelling import has_interstitials, is_pair
from defectscape.sampling.electrons import OPEN_DOPANTS, added_atoms, removed_atoms
from defectscape.settings.groups import find_group, label_rounds
from defectscape.settings.structure import StabilitySettings
from defectscape.settings.study import Study
from defectscape.study.label_counts import label_jobs
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


def _teachers(study: Study, wildcards: Wildcards) -> object:
    """Whose labels join the group's trainings."""
    return list(find_group(study, wildcards["group"]).taught_by) or None


def _taught(study: Study, wildcards: Wildcards) -> object:
    """Whose labels join the training, and whose models the first one starts from."""
    group = find_group(study, wildcards["group"])
    found = {"taught_by": list(group.taught_by)} if group.taught_by else {}
    if wildcards["round"] == "0" and group.begins_with is not None:
        found["begins_with"] = [group.begins_with]
    return found or None


def _last_round_of_teachers(study: Study, wildcards: Wildcards) -> object:
    """The last round, for a training that begins with what others ended with."""
    return None if _taught(study, wildcards) is None else study.exploration.rounds


def _first_budget(study: Study, wildcards: Wildcards) -> object:
    """What a group that learns from others is given in place of the first budget, if it is another."""
    group = find_group(study, wildcards["group"])
    return study.selection.initial_per_charge_taught if group.sources else None


def in_rounds(block: str, *, added: bool = False) -> Part:
    """A setting that matters from round 1 on: the first training has the pool alone."""

    def value(study: Study, wildcards: Wildcards) -> object:
        return None if int(wildcards["round"]) == 0 else block_of(study, block)

    return Part(block, value, added=added)


def engine_of_host(study: Study, _: Wildcards) -> object:
    """The high fidelity, if it relaxes the host."""
    return None if study.host.relax == "none" else block_of(study, "fidelities.high", NOT_FOR_LABELS)


def fidelity_of_job(study: Study, wildcards: Wildcards) -> object:
    """The fidelity that the job labels with."""
    return block_of(study, f"fidelities.{wildcards['level']}", NOT_FOR_LABELS)


def interstitials(study: Study, _: Wildcards) -> object:
    """Whether there are any, whose sites take a search of their own, and dopants and pairs, which have sites, too."""
    names = [defect.name for defect in study.defects]
    found = has_interstitials(names)
    added = set(added_atoms(names)) - set(removed_atoms(names))
    # An antisite adds an element that no other defect takes out, and brings no site: only the host tells it apart.
    foreign = sorted(added - _elements(study.host.file)) if added else []
    pairs = sorted(name for name in names if is_pair(name))
    told = {"interstitials": found, **({"added": foreign} if foreign else {}), **({"pairs": pairs} if pairs else {})}
    return told if len(told) > 1 else found


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
    names = [defect.name for defect in study.defects]
    return study.host.relax != "none" and (has_interstitials(names) or any(is_pair(name) for name in names))


def names_from(study: Study, _: Wildcards) -> object:
    """The file whose crystal names the interstitials and pairs of a relaxed host."""
    return str(study.host.file) if names_come_from_file(study) else None


def _jobs_of(rounds: Callable[[Study, Wildcards], Iterable[tuple[str, int]]]) -> Part:
    """How many labelling jobs some levels and rounds of a group are spread over: a number, or one for each of them."""

    def value(study: Study, wildcards: Wildcards) -> object:
        if study.packing is None:
            return study.label_jobs
        group = find_group(study, wildcards["group"])
        return [label_jobs(study, group, level, number) for level, number in rounds(study, wildcards)]

    return Part("label_jobs", value, follows_from=("packing", "sampling", "selection", "verification", "defects"))


def _of_rounds_so_far(study: Study, wildcards: Wildcards) -> list[tuple[str, int]]:
    last = int(wildcards["round"])
    return [(level, number) for level in ("low", "high") for number in label_rounds(study, level, last)]


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


def host_is_tested(study: Study, _: Wildcards) -> object:
    """Whether there is a test of the host to wait for."""
    return True if study.host.stability is not None else None


def _sampled_further(block: str) -> Part:
    """Sampling, for a search that makes starts of its own."""

    def value(study: Study, _: Wildcards) -> object:
        search = study.search if block == "search" else study.exploration.search
        return None if search.until_nothing_new is None else block_of(study, "sampling", OTHER_SAMPLING)

    return Part("sampling", value, OTHER_SAMPLING, added=True)


def ferromagnet(study: Study, _: Wildcards) -> object:
    """The multiplicity of the perfect supercell, if it is a ferromagnet."""
    return study.host.ferromagnet


MOMENTS = Part("host.multiplicity", ferromagnet, added=True)
GROUP = Part("defects", _group)
CRYSTAL = Block("host", ("stability",))
"""The test comes after the crystal."""
TESTED = Part("host.stability", host_is_tested, tuple(StabilitySettings.model_fields), added=True)
TEACHERS = Part("defects", _teachers, added=True)
TAUGHT = (
    Part("defects", _taught, added=True),
    Part("exploration.rounds", _last_round_of_teachers, added=True),
)
FIRST_BUDGET = Part("selection.initial_per_charge_taught", _first_budget, added=True)
EVERYTHING = Part(WHOLE, everything, ("processes",))
JOBS_OF_POOL = _jobs_of(lambda _, __: [("low", 0)])
JOBS_OF_STEP = _jobs_of(lambda _, wildcards: [(wildcards["level"], int(wildcards["round"]))])
JOBS_SO_FAR = _jobs_of(_of_rounds_so_far)
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
OTHER_SAMPLING = (
    *RELAXED_STARTS,
    "dimers",
    "relaxed_toward",
    "test_fraction",
    "valid_fraction",
)
"""Settings of sampling that no further start of a search follows."""
SAMPLED_FURTHER = _sampled_further("search")
SAMPLED_FURTHER_IN_ROUNDS = _sampled_further("exploration.search")
SETTLED = Block("exploration.settled_eV", (), added=True)
INITIAL = ("initial_per_charge", "initial_per_charge_taught", "test_per_charge", "low_relaxation_steps")
"""Settings of other stages than the selection of a round."""
BEYOND_RELAXING = ("cross_seeds_per_charge", "dynamics", "hopping", "until_nothing_new")
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
