# Starts, the initial pool, and the initial high-fidelity selection of each exploration group.


rule starts:
    """Distorted starts of every charge of a group, its initial pool, and who is held out.

    In: host, site table, teachers' splits. Out: starts, pool (extended XYZ), splits (JSON).
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        lambda wildcards: [str(files_of(name).splits) for name in teachers(wildcards)],
    output:
        str(files_of("{group}").starts),
        str(files_of("{group}").round(0).pool),
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
        settings=lambda wildcards: settings(
            "starts", "seed", "sampling", charges=charges_of(wildcards.group)
        ),
    shell:
        "{COMMAND} --log {log} starts {CONFIG} {wildcards.group}"


rule select:
    """Choose the first frames that get a high-fidelity label: spread, charge by charge.

    In: the initial pool. Out: the selection (extended XYZ).
    """
    input:
        str(LAYOUT.sites),
        str(files_of("{group}").round(0).pool),
        str(files_of("{group}").splits),
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
        settings=settings("select", "selection"),
    shell:
        "{COMMAND} --log {log} select {CONFIG} {wildcards.group}"
