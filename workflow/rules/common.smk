"""What all rules share: the study, its file layout, and the parameters that make rules run again."""

import json
import os
import shlex
import sys
import time
from pathlib import Path

from defectscape.domain.errors import DefectscapeError
from defectscape.settings.groups import exploration_groups, find_group, label_rounds
from defectscape.settings.paths import check_files, reference_files, study_file
from defectscape.study.label_counts import label_jobs
from defectscape.study.layout import PARTIAL, Layout
from defectscape.study.names import load_named_study
from defectscape.study.stage_settings import names_come_from_file
from defectscape.study.stages import find_stage
from defectscape.study.unfinished import read_unfinished

# A study given with `--configfile` is the config itself; a workflow that imports this one gives its own.
AS_CONFIGFILE = "host" in config
GIVEN = dict(workflow.config_settings.config if AS_CONFIGFILE else config)
# `defectscape report --partial` says so: what is made of all groups is made of the finished ones alone.
PART = PARTIAL if GIVEN.pop(PARTIAL, False) else ""
try:
    CONFIG = study_file(GIVEN, workflow.configfiles if AS_CONFIGFILE else [])
    RESULTS = Path(GIVEN.get("results", "results"))
    STUDY = load_named_study(CONFIG, RESULTS)
    check_files(STUDY)
except DefectscapeError as error:
    # One line, not the stack of the workflow's parser.
    sys.exit(f"error: {error}")
LAYOUT = Layout(RESULTS / STUDY.study, PART)
UNFINISHED = {item.group for item in read_unfinished(LAYOUT)}
GROUPS = {
    group.name: group
    for group in exploration_groups(STUDY)
    if group.name not in UNFINISHED
}
ROUNDS = STUDY.exploration.rounds
EXPLORERS = list(range(STUDY.exploration.training.committee))
FINALISTS = list(range(STUDY.training.committee))


def conda_path():
    """In a conda environment, where the package is not installed, rules run it from its sources."""
    methods = workflow.deployment_settings.deployment_method
    if not any(method.name == "CONDA" for method in methods):
        return ""
    programs = Path(workflow.basedir).resolve() / "workflow/bin"
    return f"export PATH={shlex.quote(str(programs))}:$PATH; "


def own_cores():
    """Snakemake says the cores of a job as OMP_NUM_THREADS; a prior takes them for processes of one thread each.

    Packed labels share them out, too.
    """
    if STUDY.prior is None and STUDY.packing is None:
        return ""
    cores = " DEFECTSCAPE_PROCESSES=${{OMP_NUM_THREADS:-1}}"
    if STUDY.prior is None:
        return cores
    single = " ".join(f"{name}_NUM_THREADS=1" for name in ("OMP", "OPENBLAS", "MKL"))
    return f"{cores} {single}"


# Not a parameter of the rules: another name of the config file or folder must not run them again.
shell.prefix(
    f"export DEFECTSCAPE_STUDY={shlex.quote(str(CONFIG))}"
    f" DEFECTSCAPE_RESULTS={shlex.quote(str(RESULTS))} DEFECTSCAPE_PARTIAL={int(bool(PART))}{own_cores()};"
    f" {conda_path()}"
)
# One core per job, since two threads on a busy node are slower than one; a prior computes structures side by side.
PROCESSES = STUDY.prior.processes if STUDY.prior else 1
# Each of them holds an engine, or two; and a geometry of the prior costs seconds where one of a network costs tenths.
PRIOR_PROCESS_MB = (
    0 if STUDY.prior is None else 1000 * (1 + bool(STUDY.prior.landscape))
)
PRIOR_MB = PROCESSES * PRIOR_PROCESS_MB
# Packed jobs have the cores that the study says, and their number is in their name: it differs from round to round.
LABEL_CORES = PROCESSES if STUDY.packing is None else STUDY.packing.job_cores
CHUNK = ("{chunk}", STUDY.label_jobs if STUDY.packing is None else None)
PRIOR_SLOWER = 1 if STUDY.prior is None else 8
# The first snakemake of a batch system's job says when the job ends; the others inherit it.
if STUDY.packing is not None and workflow.remote_exec:
    os.environ.setdefault(
        "DEFECTSCAPE_ENDS_AT", str(time.time() + STUDY.packing.usable_s)
    )
DEVICE_GPU = int("cuda" in (STUDY.exploration.training.device, STUDY.training.device))


wildcard_constraints:
    group="|".join(name.replace(".", r"\.").replace("+", r"\+") for name in GROUPS),
    round=r"\d+",
    chunk=r"\d+" if STUDY.packing is None else r"\d+-of-\d+",
    member=r"\d+",
    level="low|high",
    key=r"[A-Za-z0-9_+]+_(0|[+-]\d+)",


def settings(stage):
    """Parameter function: the settings that a job of a stage depends on, as text.

    A change of any of them runs the job again; the table of stages says which they are.
    """
    return lambda wildcards: find_stage(stage).settings_text(STUDY, wildcards)


def files_of(group):
    """Files of an exploration group; the wildcard pattern when called with its name in braces."""
    return LAYOUT.group(group)


def learned_from(wildcards):
    """Groups of the same defect that this one learns from."""
    return GROUPS[wildcards.group].learns_from


# No defect has a high-fidelity label before the host has passed its test, where there is one.
HOST_TEST = [] if STUDY.host.stability is None else [str(LAYOUT.host_stability)]


def teachers_files(wildcards):
    """Labels and splits of other defects that a group trains on: those of the last round, and of verification."""
    found = []
    for name in GROUPS[wildcards.group].taught_by:
        files, last = files_of(name), files_of(name).round(ROUNDS)
        found += [last.data_low, last.data_high, files.splits]
        keys = find_group(STUDY, name).keys
        found += [files.verified_labels(key) for key in keys]
    return list(map(str, found))


IMPORTED = [str(path) for path in STUDY.imported]


def relaxed_starts(name):
    """Low-fidelity relaxations of a group's starts, where the study asks for them: frames, and their labels."""
    if not STUDY.sampling.relaxed_starts:
        return []
    files, keys = files_of(name), GROUPS[name].keys
    found = [(files.relaxed(key), files.relaxed_outcomes(key)) for key in keys]
    return [str(path) for paths in found for path in paths]


def relaxed_minima(name, first, last):
    """Frames of low-fidelity relaxations of minima in some rounds, where the study asks for them."""
    if not STUDY.selection.low_relaxed_minima:
        return []
    rounds = [files_of(name).round(number) for number in range(first, last + 1)]
    return [str(here.relaxed(key)) for here in rounds for key in GROUPS[name].keys]


def relaxed_ends(name, number):
    """Where these relaxations were in a round."""
    if not STUDY.selection.low_relaxed_minima or number == 0:
        return []
    here = files_of(name).round(number)
    return [str(here.relaxed_ends(key)) for key in GROUPS[name].keys]


def verified_before(name):
    """Verified minima of the groups that a group learns from, where its charge states label them, too."""
    if not STUDY.selection.recharged_per_charge_per_round:
        return []
    sources = [find_group(STUDY, one) for one in GROUPS[name].learns_from]
    return [
        str(files_of(one.name).verified(key)) for one in sources for key in one.keys
    ]


def passed_files(wildcards):
    """Frames of one charge state's relaxations in the rounds before, and where they ended."""
    number, key = int(wildcards.round), wildcards.key
    rounds = [files_of(wildcards.group).round(n) for n in range(1, number)]
    ends = [here.relaxed_ends(key) for here in rounds[-1:]]
    return [str(path) for path in [*(here.relaxed(key) for here in rounds), *ends]]


def further_starts(name):
    """How many starts a group's final search tried, where their number follows from what is found."""
    if STUDY.search.until_nothing_new is None:
        return []
    return [str(files_of(name).starts_tried)]


def splits_of_search(settings):
    """Who is held out, for a search that makes starts of its own."""
    if settings.until_nothing_new is None:
        return []
    return [str(files_of("{group}").splits)]


def standings(name, number):
    """Which charge states are settled after a round's search, where the study asks for that."""
    if STUDY.exploration.settled_eV is None:
        return []
    return [str(files_of(name).round(number).standings)]


def settled_before(wildcards):
    """Which charge states are settled before a round."""
    number = int(wildcards.round)
    return standings(wildcards.group, number - 1) if number else []


def member_before(wildcards):
    """The same member of the round before, which a round takes over where all is settled."""
    number = int(wildcards.round)
    if STUDY.exploration.settled_eV is None or number == 0:
        return []
    before = files_of(wildcards.group).round(number - 1)
    return list(map(str, before.of_member(wildcards.member)))


def search_before(wildcards):
    """The search of the round before, by which charge states are judged, and which a round may take over."""
    number = int(wildcards.round)
    if STUDY.exploration.settled_eV is None or number == 0:
        return []
    before = files_of(wildcards.group).round(number - 1)
    return [str(before.relaxations), str(before.gates)]


def frames_to_label(wildcards):
    """The frames that a labelling job takes its chunk from."""
    group = files_of(wildcards.group)
    return str(group.to_label(wildcards.level, int(wildcards.round)))


def labelled_frames(name, level, last):
    """The frames that a group gave to a fidelity's labelling jobs up to a round, relaxations included."""
    files = files_of(name)
    found = [
        str(files.to_label(level, number))
        for number in label_rounds(STUDY, level, last)
    ]
    if level == "high":
        return found
    starts = [path for path in relaxed_starts(name) if path.endswith(".extxyz")]
    return found + starts + relaxed_minima(name, 1, last)


def taken_files(wildcards):
    """What a round must not choose again: the frames of the rounds before it, and relaxations since."""
    group, before = wildcards.group, int(wildcards.round) - 1
    files = labelled_frames(group, "high", before) + labelled_frames(
        group, "low", before
    )
    return files + relaxed_minima(group, before + 1, before + 1)


def chunk_files(name, level, number):
    """Outcomes of the labelling jobs of one round of a group at a fidelity."""
    chunks, here = (
        label_jobs(STUDY, GROUPS[name], level, number),
        files_of(name).round(number),
    )
    return [str(here.labels(level, chunk, chunks)) for chunk in range(chunks)]


def outcome_files(name, level, last):
    """Outcomes of all labels of a group at a fidelity, up to a round."""
    files, keys = files_of(name), GROUPS[name].keys
    relaxed = []
    if level == "low" and STUDY.sampling.relaxed_starts:
        relaxed += [files.relaxed_outcomes(key) for key in keys]
    if level == "low" and STUDY.selection.low_relaxed_minima:
        rounds = [files.round(number) for number in range(1, last + 1)]
        relaxed += [here.relaxed_outcomes(key) for here in rounds for key in keys]
    labelled = [
        path
        for number in label_rounds(STUDY, level, last)
        for path in chunk_files(name, level, number)
    ]
    return list(map(str, relaxed + labelled))


def label_files(level):
    """Input function: outcomes of all labelling jobs of all rounds up to this one."""
    return lambda wildcards: outcome_files(wildcards.group, level, int(wildcards.round))


def frames_so_far(level):
    """Input function: the frames of all labelling jobs of all rounds up to this one."""
    return lambda wildcards: labelled_frames(
        wildcards.group, level, int(wildcards.round)
    )


def label_outcomes():
    """Outcomes of every label of the study."""
    return [
        path
        for name in GROUPS
        for level in ("low", "high")
        for path in outcome_files(name, level, ROUNDS)
    ]


def search_results():
    """What searches and trainings of all groups left, for the summary."""
    found = []
    for name in GROUPS:
        files = files_of(name)
        found += further_starts(name)
        last = files.round(ROUNDS)
        found += [files.minima, files.relaxations, files.gates]
        found += [last.jumps(level) for level in ("low", "high")]
        rounds = [files.round(number) for number in range(ROUNDS + 1)]
        found += [here.history(member) for here in rounds for member in EXPLORERS]
    return list(map(str, found))


def grow(base, attempt):
    """A resource that doubles with every retry."""
    return base * 2 ** (attempt - 1)


def memory_beside_prior(base):
    """Memory of a job that asks the prior, MB; it doubles with every retry."""
    return lambda wildcards, attempt: grow(base + PRIOR_MB, attempt)


def time_with_prior(base):
    """Time limit of a job that asks the prior, minutes; it doubles with every retry."""
    return lambda wildcards, attempt: grow(base * PRIOR_SLOWER, attempt)


def memory_of_labels(wildcards, attempt):
    """Memory of a labelling job, MB: a packed one asks for what its labels side by side are said to take."""
    if STUDY.packing is None:
        return memory_beside_prior(2000)(wildcards, attempt)
    cost = STUDY.packing.cost(wildcards.level)
    labels_MB = cost.label_MB * STUDY.packing.side_by_side(wildcards.level)
    # A prior takes all cores of the job, however many the study gives it elsewhere.
    return labels_MB + LABEL_CORES * PRIOR_PROCESS_MB


def time_of_labels(wildcards, attempt):
    """Time limit of a labelling job, minutes: a packed one has what the study says, since it goes on where it ended."""
    if STUDY.packing is None:
        return time_with_prior(480)(wildcards, attempt)
    return STUDY.packing.job_minutes


FINAL_COMMITTEE = [str(LAYOUT.final.weights(member)) for member in FINALISTS]
KEYS = [(name, key) for name, group in GROUPS.items() for key in group.keys]
VERIFIED = [str(files_of(name).verified(key)) for name, key in KEYS]
ASSESSMENTS = [str(files_of(name).assessment(key)) for name, key in KEYS]
VERIFICATION_LABELS = [str(files_of(name).verified_labels(key)) for name, key in KEYS]


def group_of(key):
    """The exploration group of a defect key."""
    return next(
        name
        for name, group in GROUPS.items()
        if key in {str(other) for other in group.keys}
    )


def potential_files():
    """Potentials of the host and of all ground states, where the correction compares them."""
    if STUDY.thermo.correction.kind != "efnv":
        return []
    keys = [str(key) for group in GROUPS.values() for key in group.keys]
    return [str(LAYOUT.potentials(name)) for name in ("host", *keys)]


def spin_checks():
    """Ground states at another multiplicity, where the engine tells spins apart."""
    if not STUDY.checks_spin:
        return []
    return [str(files_of(name).spin_check(key)) for name, key in KEYS]


def bands_file():
    """The density of states that holds the carriers, where the study gives one."""
    concentrations = STUDY.thermo.concentrations
    if concentrations is None or concentrations.bands.kind != "vasprun":
        return []
    return [str(concentrations.bands.file)]


def last_committee(wildcards):
    """The committee of a group's last round."""
    files = files_of(wildcards.group).round(ROUNDS)
    return [str(files.weights(member)) for member in EXPLORERS]


def round_committee(offset):
    """Input function: the committee of the round that lies ``offset`` from the job's own."""

    def inputs(wildcards):
        files = files_of(wildcards.group).round(int(wildcards.round) + offset)
        return [str(files.weights(member)) for member in EXPLORERS]

    return inputs


def warm_start(wildcards):
    """The same member of the round before, or of another group's last round, where training starts from it."""
    if int(wildcards.round) == 0:
        teacher = GROUPS[wildcards.group].begins_with
        if teacher is None:
            return []
        return str(files_of(teacher).round(ROUNDS).weights(wildcards.member))
    if not STUDY.exploration.training.warm_start:
        return []
    before = files_of(wildcards.group).round(int(wildcards.round) - 1)
    return str(before.weights(wildcards.member))


def foundation(training):
    """The foundation model that a training starts from, if it does."""
    return [training.foundation] if training.foundation else []


def log_of(rule, *wildcards):
    """Log file pattern of a rule."""
    return str(
        LAYOUT.logs / rule / ("_".join(wildcards) + ".log" if wildcards else "all.log")
    )


def benchmark_of(rule, *wildcards):
    """Benchmark file pattern of a rule."""
    return str(
        LAYOUT.benchmarks
        / rule
        / ("_".join(wildcards) + ".tsv" if wildcards else "all.tsv")
    )
