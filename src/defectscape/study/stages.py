"""The stages of a study, each said once, in the order of the DAG.

From this table come the hidden ``defectscape stage`` command, the settings whose change runs a rule again, and
what kind of time a job is counted as. A test runs every stage, records which settings it reads, and compares
them with ``reads``; another compares the files that it opens with the inputs of its rule.
"""

from defectscape.domain.errors import ConfigError
from defectscape.sampling.open_shells import OPEN_DOPANTS, added_atoms
from defectscape.settings.groups import find_group
from defectscape.settings.study import Study
from defectscape.study.stage import WHOLE, Block, Part, Stage, Wildcards, block_of


def _group(study: Study, wildcards: Wildcards) -> object:
    """Charge states of the job's group, and from whom it learns: other groups do not matter to it."""
    group = find_group(study, wildcards["group"])
    return {"charges": list(group.charges), "learns_from": list(group.learns_from)}


def _rounds_of_sources(study: Study, wildcards: Wildcards) -> object:
    """The last round, for a group that learns from others' last data."""
    sources = find_group(study, wildcards["group"]).learns_from
    return study.exploration.rounds if sources else None


def _in_rounds(block: str) -> Part:
    """A setting that matters from round 1 on: the first training has the pool alone."""

    def value(study: Study, wildcards: Wildcards) -> object:
        return None if int(wildcards["round"]) == 0 else block_of(study, block)

    return Part(block, value)


def _engine_of_host(study: Study, _: Wildcards) -> object:
    """The high fidelity, if it relaxes the host."""
    return None if study.host.relax == "none" else block_of(study, "fidelities.high", NOT_FOR_LABELS)


def _fidelity_of_job(study: Study, wildcards: Wildcards) -> object:
    """The fidelity that the job labels with."""
    return block_of(study, f"fidelities.{wildcards['level']}", NOT_FOR_LABELS)


def _interstitials(study: Study, _: Wildcards) -> object:
    """Whether there are any: their sites take a search of their own."""
    return any(defect.name.startswith("i_") for defect in study.defects)


def _open_dopants(study: Study, _: Wildcards) -> object:
    """Atoms that defects add and whose spin must be stated."""
    return sorted(OPEN_DOPANTS.intersection(added_atoms(defect.name for defect in study.defects)))


def names_come_from_file(study: Study) -> bool:
    """Whether the host's file names sites of another, relaxed crystal."""
    return study.host.relax != "none" and any(defect.name.startswith("i_") for defect in study.defects)


def _names_from(study: Study, _: Wildcards) -> object:
    """The file whose crystal names the interstitials of a relaxed host."""
    return str(study.host.file) if names_come_from_file(study) else None


def _everything(study: Study, _: Wildcards) -> object:
    """All settings but how many processes compute the prior, which changes no value."""
    content = block_of(study, WHOLE)
    if study.prior is not None:
        content["prior"] = block_of(study, PRIOR.block, PRIOR.without)
    return content


GROUP = Part("defects", _group)
EVERYTHING = Part(WHOLE, _everything, ("processes",))
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
DESCRIBED = ("symmetry_tolerance_A",)
"""Settings of what is said of minima, not of which there are."""
MINIMA = Block("minima", DESCRIBED)
EXPLORED_MINIMA = Block("exploration.minima", DESCRIBED)
EXPLORERS = ("exploration.training.committee", "exploration.training.device")
FINALISTS = ("training.committee", "training.device")
SEARCHING = ("seed", *NAMES, *EXPLORERS, GROUP)
THERMO = Block("thermo", ("elemental_references", "elemental_kpoints", "competing_phases", "competing_kpoints"))

STAGES = (
    Stage(
        "host",
        "host:prepare_host",
        version=1,
        kind="engine",
        reads=(
            "host",
            Part("defects.name", _open_dopants),
            Part("fidelities.high", _engine_of_host, (*NOT_FOR_LABELS, "name")),
        ),
    ),
    Stage("host_labels", "references:label_host", version=1, kind="engine", reads=LABELS),
    Stage(
        "references",
        "references:label_references",
        version=4,
        kind="engine",
        reads=(
            HIGH_LABELS,
            "thermo.elemental_references",
            "thermo.elemental_kpoints",
            "thermo.competing_phases",
            "thermo.competing_kpoints",
        ),
    ),
    Stage(
        "sites",
        "host:list_sites",
        version=2,
        kind="other",
        reads=(
            Part("defects.name", _interstitials),
            Part("host", _names_from, ("supercell", "multiplicity", "relax_fmax_eV_A", "relax_max_steps")),
        ),
    ),
    Stage(
        "starts",
        "sampling:make_group_starts",
        version=2,
        kind="other",
        takes=("group",),
        reads=("seed", Block("sampling", RELAXED_STARTS), "imported", GROUP),
    ),
    Stage(
        "relax_starts",
        "relax_starts:relax_starts",
        version=1,
        kind="engine",
        takes=("group", "key"),
        reads=(
            "seed",
            "sampling.relaxed_starts",
            "sampling.relaxation_steps",
            "sampling.relaxation_fmax_eV_A",
            "sampling.shortest_distance_A",
            LOW_LABELS,
        ),
    ),
    Stage(
        "label",
        "labels:label_chunk",
        version=1,
        kind="engine",
        takes=("group", "round", "fidelity", "chunk"),
        reads=(PRIOR, "label_jobs", Part("fidelities", _fidelity_of_job, NOT_FOR_LABELS)),
    ),
    Stage(
        "select",
        "sampling:select_group_initial",
        version=1,
        kind="other",
        takes=("group",),
        reads=(
            "selection.initial_per_charge",
            "selection.test_per_charge",
            "sampling.relaxed_starts",
            "label_jobs",
            GROUP,
        ),
    ),
    Stage(
        "dataset",
        "labels:build_round_data",
        version=2,
        kind="other",
        takes=("group", "round"),
        reads=(
            PRIOR,
            "fidelities",
            "imported",
            "label_jobs",
            "sampling.relaxed_starts",
            _in_rounds("selection.low_relaxed_minima"),
            _in_rounds("selection.low_per_charge_per_round"),
            Part("exploration.rounds", _rounds_of_sources),
            GROUP,
        ),
    ),
    Stage(
        "train",
        "training:train_round",
        version=4,
        kind="training",
        takes=("group", "round", "member"),
        reads=(PRIOR, "seed", Block("exploration.training", ("committee",)), *NAMES),
    ),
    Stage(
        "search",
        "search:search_round",
        version=4,
        kind="relaxation",
        takes=("group", "round"),
        reads=(PRIOR, "exploration.search", EXPLORED_MINIMA, _in_rounds("selection.low_relaxed_minima"), *SEARCHING),
    ),
    Stage(
        "relax_minima",
        "relax_minima:relax_minima",
        version=1,
        kind="engine",
        takes=("group", "round", "key"),
        reads=(
            PRIOR,
            "selection.low_relaxed_minima",
            "selection.low_relaxation_steps",
            "sampling.relaxation_fmax_eV_A",
            Block("exploration.search", BEYOND_RELAXING),
            EXPLORED_MINIMA,
            LOW_LABELS,
            *EXPLORERS,
            GROUP,
        ),
    ),
    Stage(
        "select_round",
        "select_round:choose_round",
        version=1,
        kind="other",
        takes=("group", "round"),
        reads=(
            PRIOR,
            Block("selection", INITIAL),
            EXPLORED_MINIMA,
            "sampling.shortest_distance_A",
            "sampling.relaxed_starts",
            "imported",
            *LABELS,
            *EXPLORERS,
            GROUP,
        ),
    ),
    Stage(
        "search_final",
        "search:search_final",
        version=4,
        kind="relaxation",
        takes=("group",),
        reads=(PRIOR, "search", MINIMA, "exploration.rounds", "selection.low_relaxed_minima", *SEARCHING),
    ),
    Stage("minima", "search:merge_minima", version=1, kind="other", takes=("group",), reads=(MINIMA, GROUP)),
    Stage(
        "verify",
        "verification:verify_key",
        version=4,
        kind="engine",
        takes=("group", "key"),
        reads=(
            PRIOR,
            Block("verification", ("tolerance_eV",)),
            HIGH_LABELS,
            "fidelities.low.name",
            Block("search", BEYOND_RELAXING),
            "exploration.rounds",
            *EXPLORERS,
        ),
    ),
    Stage(
        "dataset_final",
        "training:build_final_data",
        version=2,
        kind="other",
        reads=(PRIOR, "exploration.rounds", "defects", *NAMES),
    ),
    Stage(
        "train_final",
        "training:train_final",
        version=4,
        kind="training",
        takes=("member",),
        reads=(PRIOR, "seed", Block("training", ("committee", "warm_start")), *NAMES),
    ),
    Stage(
        "evaluate",
        "evaluation:evaluate_final",
        version=3,
        kind="other",
        reads=(PRIOR, "seed", "defects", *NAMES, *FINALISTS),
    ),
    Stage("potentials_host", "potentials:host_potentials", version=1, kind="engine", reads=("fidelities.high.engine",)),
    Stage(
        "potentials",
        "potentials:key_potentials",
        version=1,
        kind="engine",
        takes=("group", "key"),
        reads=("fidelities.high.engine",),
    ),
    Stage(
        "thermo",
        "thermo:compute_levels",
        version=5,
        kind="other",
        reads=(
            PRIOR,
            THERMO,
            Block("search", BEYOND_RELAXING),
            "minima.symmetry_tolerance_A",
            "defects",
            *NAMES,
            *FINALISTS,
        ),
    ),
    Stage(
        "ccd",
        "ccd:compute_diagrams",
        version=4,
        kind="other",
        reads=(PRIOR, "ccd.points", "ccd.extend", "ccd.pairs", *NAMES, *FINALISTS),
    ),
    Stage(
        "ccd_check",
        "ccd_check:check_diagrams",
        version=1,
        kind="engine",
        reads=(Block("fidelities.high", ("max_energy_jump_eV", "name")), "ccd.engine_points"),
    ),
    Stage("summary", "summary:summarise", version=9, kind="other", reads=(EVERYTHING,)),
    Stage("handover", "handover:hand_over", version=1, kind="other", reads=("fidelities.high.engine", "defects")),
    Stage("report", "report:write_page", version=1, kind="other", reads=()),
)
_BY_NAME = {stage.name: stage for stage in STAGES}


def find_stage(name: str) -> Stage:
    """The stage of that name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in _BY_NAME:
        raise ConfigError("stage", repr(name), f"There are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
