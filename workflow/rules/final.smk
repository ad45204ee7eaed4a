# The map: final search, minima, verification with the engine, final model and its errors.


rule search_final:
    """The final search of a group, with the committee of its last round.

    In: starts, last committee and labels, ends of relaxations, minima of groups learned from. Out: every relaxation, what the gates measured.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").starts),
        splits_of_search(STUDY.search),
        str(files_of("{group}").round(ROUNDS).data_high),
        last_committee,
        lambda wildcards: relaxed_ends(wildcards.group, ROUNDS),
        lambda wildcards: [
            str(files_of(name).minima) for name in learned_from(wildcards)
        ],
    output:
        str(files_of("{group}").relaxations),
        str(files_of("{group}").gates),
        further_starts("{group}"),
    log:
        log_of("search_final", "{group}"),
    benchmark:
        benchmark_of("search_final", "{group}")
    conda:
        "../../envs/model.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(6000),
        runtime=time_with_prior(480),
        gpu=DEVICE_GPU,
    params:
        settings=settings("search_final"),
    message:
        "{wildcards.group}: final search"
    shell:
        "defectscape --log {log:q} stage search_final {wildcards.group}"


rule minima:
    """Merge the relaxations of the final search into distinct minima and rank them.

    In: relaxations. Out: minima as JSON.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").relaxations),
    output:
        str(files_of("{group}").minima),
    log:
        log_of("minima", "{group}"),
    benchmark:
        benchmark_of("minima", "{group}")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(60, attempt),
    params:
        settings=settings("minima"),
    message:
        "{wildcards.group}: merging and ranking minima"
    shell:
        "defectscape --log {log:q} stage minima {wildcards.group}"


rule verify:
    """Relax the best minima and the unperturbed start of a charge state with the high-fidelity engine.

    In: minima, starts, the committee that found them, what it learned from. Out: the engine's verdict on each, and the labels.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").starts),
        str(files_of("{group}").minima),
        str(files_of("{group}").round(ROUNDS).data_low),
        str(files_of("{group}").round(ROUNDS).data_high),
        str(files_of("{group}").splits),
        teachers_files,
        last_committee,
    output:
        str(files_of("{group}").verified("{key}")),
        str(files_of("{group}").verified_labels("{key}")),
        str(files_of("{group}").assessment("{key}")),
    log:
        log_of("verify", "{group}", "{key}"),
    benchmark:
        benchmark_of("verify", "{group}", "{key}")
    conda:
        "../../envs/verification.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(4000),
        runtime=time_with_prior(480),
    params:
        settings=settings("verify"),
    message:
        "{wildcards.key}: verifying the best minima with the high-fidelity engine"
    shell:
        "defectscape --log {log:q} stage verify {wildcards.group} {wildcards.key}"


rule spin_check:
    """The ground state of a charge state at another spin multiplicity, where the lowest one may be the wrong one.

    In: verified minima. Out: both energies as JSON; null where there is nothing to check.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(files_of("{group}").verified("{key}")),
    output:
        str(files_of("{group}").spin_check("{key}")),
    log:
        log_of("spin_check", "{group}", "{key}"),
    benchmark:
        benchmark_of("spin_check", "{group}", "{key}")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    params:
        settings=settings("spin_check"),
    message:
        "{wildcards.key}: its ground state at another spin multiplicity"
    shell:
        "defectscape --log {log:q} stage spin_check {wildcards.group} {wildcards.key}"


rule dataset_final:
    """Every label of every group, verification included, with all splits.

    In: the groups' last data, verification labels. Out: labelled frames, splits.
    """
    input:
        [str(files_of(name).round(ROUNDS).data_low) for name in GROUPS],
        [str(files_of(name).round(ROUNDS).data_high) for name in GROUPS],
        [str(files_of(name).splits) for name in GROUPS],
        VERIFICATION_LABELS,
    output:
        str(LAYOUT.final.data_low),
        str(LAYOUT.final.data_high),
        str(LAYOUT.final_splits),
    log:
        log_of("dataset_final"),
    benchmark:
        benchmark_of("dataset_final")
    conda:
        "../../envs/model.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(4000),
        runtime=time_with_prior(30),
    params:
        settings=settings("dataset_final"),
    message:
        "Gathering all labels of the study"
    shell:
        "defectscape --log {log:q} stage dataset_final"


rule train_final:
    """Train one member of the final committee, on all groups together.

    In: labelled frames, splits. Out: the model file, its weights file, its training history.
    """
    input:
        str(LAYOUT.final.data_low),
        str(LAYOUT.final.data_high),
        str(LAYOUT.final_splits),
        foundation(STUDY.training),
    output:
        str(LAYOUT.final.model("{member}")),
        str(LAYOUT.final.weights("{member}")),
        str(LAYOUT.final.history("{member}")),
    log:
        log_of("train_final", "{member}"),
    benchmark:
        benchmark_of("train_final", "{member}")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(720, attempt),
        gpu=DEVICE_GPU,
    params:
        settings=settings("train_final"),
    message:
        "Training final member {wildcards.member}"
    shell:
        "defectscape --log {log:q} stage train_final {wildcards.member}"


rule evaluate:
    """Gates and held-out errors of the final committee, per fidelity, defect and charge.

    In: final committee and data. Out: error tables and parity data, calibration, gates.
    """
    input:
        FINAL_COMMITTEE,
        str(LAYOUT.final.data_low),
        str(LAYOUT.final.data_high),
        str(LAYOUT.final_splits),
        str(files_of(next(iter(GROUPS))).starts),
    output:
        str(LAYOUT.errors),
        str(LAYOUT.calibration),
        str(LAYOUT.final.gates),
    log:
        log_of("evaluate"),
    benchmark:
        benchmark_of("evaluate")
    conda:
        "../../envs/model.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(6000),
        runtime=time_with_prior(60),
        gpu=DEVICE_GPU,
    params:
        settings=settings("evaluate"),
    message:
        "Measuring the final committee on held-out frames"
    shell:
        "defectscape --log {log:q} stage evaluate"
