"""The stages of a study, each said once, in the order of the DAG.

From this table come the hidden ``defectscape stage`` command, the settings whose change runs a rule again, and
what kind of time a job is counted as. A test runs every stage, records which settings it reads, and compares
them with ``reads``; another compares the files that it opens with the inputs of its rule.
"""

from defectscape.domain.errors import ConfigError
from defectscape.study.stage import WHOLE, Block, Part, Stage
from defectscape.study.stage_settings import (
    BEYOND_RELAXING,
    EXPLORED_MINIMA,
    EXPLORERS,
    FINALISTS,
    FUNCTIONAL,
    GROUP,
    HIGH_LABELS,
    INITIAL,
    LABELS,
    LOW_LABELS,
    MINIMA,
    NAMES,
    NOT_FOR_LABELS,
    RELAXED_STARTS,
    SEARCHING,
    THERMO,
    engine_of_host,
    fidelity_of_job,
    in_rounds,
    interstitials,
    names_from,
    open_dopants,
    rounds_of_sources,
)

STAGES = (
    Stage(
        "host",
        "host:prepare_host",
        version=1,
        kind="engine",
        reads=(
            "host",
            Part("defects.name", open_dopants),
            Part("fidelities.high", engine_of_host, (*NOT_FOR_LABELS, "name")),
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
            "thermo.chemical_potentials",
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
            Part("defects.name", interstitials),
            Part("host", names_from, ("supercell", "multiplicity", "relax_fmax_eV_A", "relax_max_steps")),
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
        reads=("label_jobs", Part("fidelities", fidelity_of_job, NOT_FOR_LABELS)),
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
            "fidelities",
            "imported",
            "label_jobs",
            "sampling.relaxed_starts",
            in_rounds("selection.low_relaxed_minima"),
            in_rounds("selection.low_per_charge_per_round"),
            Part("exploration.rounds", rounds_of_sources),
            GROUP,
        ),
    ),
    Stage(
        "train",
        "training:train_round",
        version=4,
        kind="training",
        takes=("group", "round", "member"),
        reads=("seed", Block("exploration.training", ("committee",)), *NAMES),
    ),
    Stage(
        "search",
        "search:search_round",
        version=4,
        kind="relaxation",
        takes=("group", "round"),
        reads=("exploration.search", EXPLORED_MINIMA, in_rounds("selection.low_relaxed_minima"), *SEARCHING),
    ),
    Stage(
        "relax_minima",
        "relax_minima:relax_minima",
        version=1,
        kind="engine",
        takes=("group", "round", "key"),
        reads=(
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
        reads=("search", MINIMA, "exploration.rounds", "selection.low_relaxed_minima", *SEARCHING),
    ),
    Stage("minima", "search:merge_minima", version=1, kind="other", takes=("group",), reads=(MINIMA, GROUP)),
    Stage(
        "verify",
        "verification:verify_key",
        version=4,
        kind="engine",
        takes=("group", "key"),
        reads=(
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
        reads=("exploration.rounds", "defects", *NAMES),
    ),
    Stage(
        "train_final",
        "training:train_final",
        version=4,
        kind="training",
        takes=("member",),
        reads=("seed", Block("training", ("committee", "warm_start")), *NAMES),
    ),
    Stage(
        "evaluate", "evaluation:evaluate_final", version=3, kind="other", reads=("seed", "defects", *NAMES, *FINALISTS)
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
        version=6,
        kind="other",
        reads=(
            THERMO,
            Block("search", BEYOND_RELAXING),
            "minima.symmetry_tolerance_A",
            "defects",
            *FUNCTIONAL,
            *NAMES,
            *FINALISTS,
        ),
    ),
    Stage(
        "ccd",
        "ccd:compute_diagrams",
        version=4,
        kind="other",
        reads=("ccd.points", "ccd.extend", "ccd.pairs", *NAMES, *FINALISTS),
    ),
    Stage(
        "ccd_check",
        "ccd_check:check_diagrams",
        version=1,
        kind="engine",
        reads=(Block("fidelities.high", ("max_energy_jump_eV", "name")), "ccd.engine_points"),
    ),
    Stage("summary", "summary:summarise", version=10, kind="other", reads=(WHOLE,)),
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
