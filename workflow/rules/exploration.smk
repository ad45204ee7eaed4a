# Active learning: train a committee, search with it, choose frames of what it found, label, and again.


rule train:
    """Train one member of a round's charge-embedded MACE committee.

    In: labelled frames, splits, those of the defects that teach it. Out: the model file, its weights file, its training history.
    """
    input:
        str(files_of("{group}").round("{round}").data_low),
        str(files_of("{group}").round("{round}").data_high),
        str(files_of("{group}").splits),
        teachers_files,
        warm_start,
        settled_before,
        member_before,
        foundation(STUDY.exploration.training),
    output:
        str(files_of("{group}").round("{round}").model("{member}")),
        str(files_of("{group}").round("{round}").weights("{member}")),
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
        settings=settings("train"),
    message:
        "{wildcards.group}: training member {wildcards.member} of round {wildcards.round}"
    shell:
        "defectscape --log {log:q} stage train {wildcards.group} {wildcards.round} {wildcards.member}"


rule search:
    """Relax every start, and the other charges' minima, on the model's high-fidelity surface.

    In: starts, the round's committee and labels, ends of relaxations, minima of groups learned from. Out: every relaxation, what the gates measured.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").starts),
        splits_of_search(STUDY.exploration.search),
        settled_before,
        search_before,
        str(files_of("{group}").round("{round}").data_high),
        round_committee(0),
        lambda wildcards: relaxed_ends(wildcards.group, int(wildcards.round)),
        lambda wildcards: [
            str(files_of(name).minima) for name in learned_from(wildcards)
        ],
    output:
        str(files_of("{group}").round("{round}").relaxations),
        str(files_of("{group}").round("{round}").gates),
        standings("{group}", "{round}"),
    log:
        log_of("search", "{group}", "{round}"),
    benchmark:
        benchmark_of("search", "{group}", "{round}")
    conda:
        "../../envs/model.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(6000),
        runtime=time_with_prior(480),
        gpu=DEVICE_GPU,
    params:
        settings=settings("search"),
    message:
        "{wildcards.group}: searching with the committee of round {wildcards.round}"
    shell:
        "defectscape --log {log:q} stage search {wildcards.group} {wildcards.round}"


rule relax_minima:
    """Relax the lowest minima of the search before a round with the low-fidelity engine.

    In: search and committee of the round before, relaxations before it. Out: frames, ends, where their labels are.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        settled_before,
        passed_files,
        lambda wildcards: str(
            files_of(wildcards.group).round(int(wildcards.round) - 1).relaxations
        ),
        round_committee(-1),
    output:
        str(files_of("{group}").round("{round}").relaxed("{key}")),
        str(files_of("{group}").round("{round}").relaxed_ends("{key}")),
        str(files_of("{group}").round("{round}").relaxed_outcomes("{key}")),
    log:
        log_of("relax_minima", "{group}", "{round}", "{key}"),
    benchmark:
        benchmark_of("relax_minima", "{group}", "{round}", "{key}")
    wildcard_constraints:
        round=r"[1-9]\d*",
    conda:
        "../../envs/verification.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(4000),
        runtime=time_with_prior(480),
    params:
        settings=settings("relax_minima"),
    message:
        "{wildcards.key}: relaxing minima of the search before round {wildcards.round} with the low-fidelity engine"
    shell:
        "defectscape --log {log:q} stage relax_minima {wildcards.group} {wildcards.round} {wildcards.key}"


rule select_round:
    """Choose a round's new frames from the search before it: minima, disagreement, spread.

    In: relaxations and committee of the round before, what was labelled so far, verified minima of groups learned from
    where their structures are recharged. Out: frames for both levels.
    """
    input:
        taken_files,
        settled_before,
        IMPORTED,
        lambda wildcards: relaxed_ends(wildcards.group, int(wildcards.round)),
        lambda wildcards: verified_before(wildcards.group),
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").splits),
        lambda wildcards: str(
            files_of(wildcards.group).round(int(wildcards.round) - 1).relaxations
        ),
        round_committee(-1),
    output:
        str(files_of("{group}").round("{round}").selected),
        str(files_of("{group}").round("{round}").selected_low),
    log:
        log_of("select_round", "{group}", "{round}"),
    benchmark:
        benchmark_of("select_round", "{group}", "{round}")
    wildcard_constraints:
        round=r"[1-9]\d*",
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(120, attempt),
        gpu=DEVICE_GPU,
    params:
        settings=settings("select_round"),
    message:
        "{wildcards.group}: choosing the frames of round {wildcards.round}"
    shell:
        "defectscape --log {log:q} stage select_round {wildcards.group} {wildcards.round}"
