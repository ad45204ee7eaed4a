# Starts, the initial pool, and the initial high-fidelity selection of each exploration group.


rule starts:
    """Distorted starts of every charge of a group, its initial pool, and who is held out.

    In: host, its labels, site table, splits of groups learned from. Out: starts, pool (extended XYZ), splits (JSON).

    No defect is labelled before the host is.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(LAYOUT.host_labels),
        lambda wildcards: [
            str(files_of(name).splits) for name in learned_from(wildcards)
        ],
        IMPORTED,
    output:
        str(files_of("{group}").starts),
        str(files_of("{group}").pool),
        str(files_of("{group}").splits),
    log:
        log_of("starts", "{group}"),
    benchmark:
        benchmark_of("starts", "{group}")
    conda:
        "../../envs/defects.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(60, attempt),
    params:
        settings=settings("starts"),
    message:
        "{wildcards.group}: making starts and the initial pool"
    shell:
        "defectscape --log {log:q} stage starts {wildcards.group}"


rule relax_starts:
    """Relax some starts of a charge state with the low-fidelity engine; every step is a label.

    In: starts, splits. Out: the frames (extended XYZ), and where their labels are.
    """
    input:
        str(files_of("{group}").starts),
        str(files_of("{group}").splits),
    output:
        str(files_of("{group}").relaxed("{key}")),
        str(files_of("{group}").relaxed_outcomes("{key}")),
    log:
        log_of("relax_starts", "{group}", "{key}"),
    benchmark:
        benchmark_of("relax_starts", "{group}", "{key}")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(480, attempt),
    params:
        settings=settings("relax_starts"),
    message:
        "{wildcards.key}: relaxing some starts with the low-fidelity engine"
    shell:
        "defectscape --log {log:q} stage relax_starts {wildcards.group} {wildcards.key}"


rule select:
    """Choose the first frames that get a high-fidelity label: spread, charge by charge.

    In: the initial pool, what became of its cheap labels, the host's test. Out: the selection (extended XYZ).
    """
    input:
        HOST_TEST,
        str(LAYOUT.sites),
        str(files_of("{group}").pool),
        str(files_of("{group}").splits),
        lambda wildcards: chunk_files(wildcards.group, "low", 0),
        lambda wildcards: relaxed_starts(wildcards.group),
    output:
        str(files_of("{group}").round(0).selected),
    log:
        log_of("select", "{group}"),
    benchmark:
        benchmark_of("select", "{group}")
    conda:
        "../../envs/defects.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(60, attempt),
    params:
        settings=settings("select"),
    message:
        "{wildcards.group}: selecting the first high-fidelity frames"
    shell:
        "defectscape --log {log:q} stage select {wildcards.group}"
