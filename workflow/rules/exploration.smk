# Active learning: train a committee, search with it, harvest what it found, label, and again.


def round_committee(offset):
    """Input function: the committee of the round that lies ``offset`` from the job's own."""

    def inputs(wildcards):
        files = files_of(wildcards.group).round(int(wildcards.round) + offset)
        return [str(files.model(member)) for member in EXPLORERS]

    return inputs


def warm_start(wildcards):
    """The same member of the round before, where training starts from it."""
    if not STUDY.exploration.training.warm_start or int(wildcards.round) == 0:
        return []
    before = files_of(wildcards.group).round(int(wildcards.round) - 1)
    return str(before.model(wildcards.member))


rule train:
    """Train one member of a round's charge-embedded, two-head MACE committee.

    In: labelled frames, splits. Out: the model file, its training history.
    """
    input:
        str(files_of("{group}").round("{round}").data_low),
        str(files_of("{group}").round("{round}").data_high),
        str(files_of("{group}").splits),
        warm_start,
    output:
        str(files_of("{group}").round("{round}").model("{member}")),
        str(files_of("{group}").round("{round}").history("{member}")),
    log:
        log_of("train", "{group}", "{round}", "{member}"),
    benchmark:
        benchmark_of("train", "{group}", "{round}", "{member}")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(720, attempt),
        gpu=DEVICE_GPU,
    params:
        settings=settings("train", "seed", "exploration.training"),
    shell:
        "{COMMAND} --log {log} train {CONFIG} {wildcards.group} {wildcards.round} {wildcards.member}"


rule search:
    """Relax every start, and the other charges' minima, on the model's high-fidelity surface.

    In: starts, the round's committee, teachers' minima. Out: every relaxation, what the gates measured.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").starts),
        str(files_of("{group}").splits),
        round_committee(0),
        lambda wildcards: [str(files_of(name).minima) for name in teachers(wildcards)],
    output:
        str(files_of("{group}").round("{round}").relaxations),
        str(files_of("{group}").round("{round}").gates),
    log:
        log_of("search", "{group}", "{round}"),
    benchmark:
        benchmark_of("search", "{group}", "{round}")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(480, attempt),
        gpu=DEVICE_GPU,
    params:
        settings=settings("search", "exploration.search", "minima"),
    shell:
        "{COMMAND} --log {log} search {CONFIG} {wildcards.group} {wildcards.round}"


rule harvest:
    """Choose a round's new frames from the search before it: minima, disagreement, spread.

    In: relaxations and committee of the round before. Out: frames for either fidelity.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").splits),
        lambda wildcards: str(
            files_of(wildcards.group).round(int(wildcards.round) - 1).relaxations
        ),
        round_committee(-1),
    output:
        str(files_of("{group}").round("{round}").pool),
        str(files_of("{group}").round("{round}").selected),
    log:
        log_of("harvest", "{group}", "{round}"),
    benchmark:
        benchmark_of("harvest", "{group}", "{round}")
    wildcard_constraints:
        round=r"[1-9]\d*",
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(120, attempt),
        gpu=DEVICE_GPU,
    params:
        settings=settings("harvest", "selection", "minima"),
    shell:
        "{COMMAND} --log {log} harvest {CONFIG} {wildcards.group} {wildcards.round}"
