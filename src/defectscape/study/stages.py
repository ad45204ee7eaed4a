"""The stages of a study, each said once, in the order of the DAG.

From this table come the hidden ``defectscape stage`` command, the settings whose change runs a rule again, and
what kind of time a job is counted as. A test runs every stage, records which settings it reads, and compares
them with ``reads``; another compares the files that it opens with the inputs of its rule.
"""

from defectscape.domain.errors import ConfigError
from defectscape.settings.groups import find_group
from defectscape.settings.study import Study
from defectscape.study.stage import WHOLE, Part, Stage, Wildcards, block_of


def _group(study: Study, wildcards: Wildcards) -> object:
    """Charge states of the job's group, and from whom it learns: other groups do not matter to it."""
    group = find_group(study, wildcards["group"])
    return {"charges": list(group.charges), "learns_from": list(group.teachers)}


def _rounds_of_teachers(study: Study, wildcards: Wildcards) -> object:
    """The last round, for a group that learns from others' last data."""
    teachers = find_group(study, wildcards["group"]).teachers
    return study.exploration.rounds if teachers else None


def _engine_of_host(study: Study, _: Wildcards) -> object:
    """The high fidelity, if it relaxes the host."""
    return None if study.host.relax == "none" else block_of(study, "fidelities.high")


def _fidelity_of_job(study: Study, wildcards: Wildcards) -> object:
    """The fidelity that the job labels with."""
    return block_of(study, f"fidelities.{wildcards['level']}")


def _interstitials(study: Study, _: Wildcards) -> object:
    """Whether there are any: their sites take a search of their own."""
    return any(defect.name.startswith("i_") for defect in study.defects)


GROUP = Part("defects", _group)
NAMES = ("fidelities.low.name", "fidelities.high.name")
EXPLORERS = ("exploration.training.committee", "exploration.training.device")
FINALISTS = ("training.committee", "training.device")
SEARCH = ("seed", "exploration.rounds", GROUP, *NAMES, *EXPLORERS, "selection.low_relaxed_minima")

STAGES = (
    Stage(
        "host",
        "host:prepare_host",
        version=1,
        kind="engine",
        reads=("host", Part("fidelities.high", _engine_of_host)),
    ),
    Stage(
        "references",
        "references:label_references",
        version=3,
        kind="engine",
        reads=(
            "fidelities",
            "thermo.elemental_references",
            "thermo.elemental_kpoints",
            "thermo.competing_phases",
            "thermo.competing_kpoints",
        ),
    ),
    Stage(
        "sites",
        "host:list_sites",
        version=1,
        kind="other",
        reads=(Part("defects", _interstitials),),
    ),
    Stage(
        "starts",
        "sampling:make_group_starts",
        version=2,
        kind="other",
        takes=("group",),
        reads=("seed", "sampling", "imported", GROUP),
    ),
    Stage(
        "relax_starts",
        "relax_starts:relax_starts",
        version=1,
        kind="engine",
        takes=("group", "key"),
        reads=("seed", "sampling", "fidelities.low"),
    ),
    Stage(
        "label",
        "labels:label_chunk",
        version=1,
        kind="engine",
        takes=("group", "round", "fidelity", "chunk"),
        reads=("label_jobs", Part("fidelities", _fidelity_of_job)),
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
            GROUP,
            Part("exploration.rounds", _rounds_of_teachers),
            "sampling.relaxed_starts",
            "selection.low_relaxed_minima",
            "selection.low_per_charge_per_round",
        ),
    ),
    Stage(
        "train",
        "training:train_round",
        version=3,
        kind="training",
        takes=("group", "round", "member"),
        reads=("seed", "exploration.training", *NAMES),
    ),
    Stage(
        "search",
        "search:search_round",
        version=4,
        kind="relaxation",
        takes=("group", "round"),
        reads=("exploration.search", "exploration.minima", *SEARCH),
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
            "exploration.search",
            "exploration.minima",
            "fidelities.low",
        ),
    ),
    Stage(
        "select_round",
        "select_round:choose_round",
        version=1,
        kind="other",
        takes=("group", "round"),
        reads=("selection", "exploration.minima", "sampling.shortest_distance_A"),
    ),
    Stage(
        "search_final",
        "search:search_final",
        version=4,
        kind="relaxation",
        takes=("group",),
        reads=("search", "minima", *SEARCH),
    ),
    Stage(
        "minima",
        "search:merge_minima",
        version=1,
        kind="other",
        takes=("group",),
        reads=("minima", GROUP),
    ),
    Stage(
        "verify",
        "verification:verify_key",
        version=4,
        kind="engine",
        takes=("group", "key"),
        reads=("verification", "fidelities.high", "search"),
    ),
    Stage(
        "dataset_final",
        "training:build_final_data",
        version=2,
        kind="other",
        reads=("fidelities", "defects"),
    ),
    Stage(
        "train_final",
        "training:train_final",
        version=3,
        kind="training",
        takes=("member",),
        reads=("seed", "training", *NAMES),
    ),
    Stage(
        "evaluate",
        "evaluation:evaluate_final",
        version=2,
        kind="other",
        reads=("seed", "defects", *NAMES, *FINALISTS),
    ),
    Stage(
        "potentials_host",
        "potentials:host_potentials",
        version=1,
        kind="engine",
        reads=("fidelities.high",),
    ),
    Stage(
        "potentials",
        "potentials:key_potentials",
        version=1,
        kind="engine",
        takes=("group", "key"),
        reads=("fidelities.high",),
    ),
    Stage("thermo", "thermo:compute_levels", version=3, kind="other", reads=("thermo", "search")),
    Stage(
        "ccd",
        "ccd:compute_diagrams",
        version=3,
        kind="other",
        reads=("ccd.points", "ccd.extend", "ccd.pairs"),
    ),
    Stage(
        "ccd_check",
        "ccd_check:check_diagrams",
        version=1,
        kind="engine",
        reads=("fidelities.high", "ccd.engine_points"),
    ),
    Stage("summary", "summary:summarise", version=9, kind="other", reads=(WHOLE,)),
    Stage(
        "handover",
        "handover:hand_over",
        version=1,
        kind="other",
        reads=("fidelities.high", "study", "defects"),
    ),
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
