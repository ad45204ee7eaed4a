# The perfect crystal: structure, labels, and the defects it can have.


rule host:
    """Validate the host, build its supercell, relax it with the high-fidelity engine if asked.

    In: the structure file named in the config. Out: unit cell and supercell as JSON.
    """
    input:
        structure=str(STUDY.host.file),
    output:
        str(LAYOUT.host),
    params:
        settings=settings("host", "host", "fidelities.high"),
    log:
        log_of("host"),
    benchmark:
        benchmark_of("host")
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    conda:
        "../../envs/engines.yaml"
    shell:
        "{COMMAND} --log {log} host {CONFIG}"


rule references:
    """Label the perfect supercell at both fidelities, and the elements at the high one.

    In: the host. Out: energies and band edges as JSON.
    """
    input:
        str(LAYOUT.host),
        [str(path) for path in STUDY.thermo.elemental_references.values()],
    output:
        str(LAYOUT.references),
    params:
        settings=settings("references", "fidelities", "thermo.elemental_references"),
    log:
        log_of("references"),
    benchmark:
        benchmark_of("references")
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    conda:
        "../../envs/engines.yaml"
    shell:
        "{COMMAND} --log {log} references {CONFIG}"


rule sites:
    """Enumerate the host's point defects with doped and name them.

    In: the host. Out: the site table as JSON.
    """
    input:
        str(LAYOUT.host),
    output:
        str(LAYOUT.sites),
    params:
        settings=settings("sites", interstitials=any(d.name.startswith("i_") for d in STUDY.defects)),
    log:
        log_of("sites"),
    benchmark:
        benchmark_of("sites")
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(30, attempt),
    conda:
        "../../envs/defects.yaml"
    shell:
        "{COMMAND} --log {log} sites {CONFIG}"
