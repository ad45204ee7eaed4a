# Labels: one job per chunk of a round's frames, and the gathering of all labels known so far.


rule label:
    """Label one chunk of the pool (low, round 0) or of a round's selection, through the store.

    In: the frames. Out: one line per frame that says where its label is, or why it failed.
    """
    input:
        frames_to_label,
    output:
        str(files_of("{group}").round("{round}").labels("{level}", *CHUNK)),
    log:
        log_of("label", "{group}", "{round}", "{level}", "{chunk}"),
    benchmark:
        benchmark_of("label_{level}", "{group}", "{round}", "{chunk}")
    conda:
        "../../envs/engines.yaml"
    threads: LABEL_CORES
    resources:
        mem_mb=memory_of_labels,
        runtime=time_of_labels,
    params:
        settings=settings("label"),
    message:
        "{wildcards.group}: {wildcards.level}-fidelity labels of round {wildcards.round}, job {wildcards.chunk}"
    shell:
        "defectscape --log {log:q} stage label {wildcards.group} {wildcards.round}"
        " {wildcards.level} {wildcards.chunk}"


rule dataset:
    """All labels a group knows after a round, one extended XYZ file per fidelity.

    In: outcomes of the labelling jobs of all rounds so far. Out: labelled frames, and which labels
    their neighbours contradict.
    """
    input:
        label_files("low"),
        label_files("high"),
        frames_so_far("low"),
        frames_so_far("high"),
        IMPORTED,
        lambda wildcards: [
            str(path)
            for name in learned_from(wildcards)
            for path in (
                files_of(name).round(ROUNDS).data_low,
                files_of(name).round(ROUNDS).data_high,
            )
        ],
    output:
        str(files_of("{group}").round("{round}").data_low),
        str(files_of("{group}").round("{round}").data_high),
        str(files_of("{group}").round("{round}").jumps("low")),
        str(files_of("{group}").round("{round}").jumps("high")),
    log:
        log_of("dataset", "{group}", "{round}"),
    benchmark:
        benchmark_of("dataset", "{group}", "{round}")
    conda:
        "../../envs/engines.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(4000),
        runtime=time_with_prior(30),
    params:
        settings=settings("dataset"),
    message:
        "{wildcards.group}: gathering the labels of round {wildcards.round}"
    shell:
        "defectscape --log {log:q} stage dataset {wildcards.group} {wildcards.round}"
