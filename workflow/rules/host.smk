# The perfect crystal: structure, labels, and the defects it can have.


rule host:
    """Validate the host, build its supercell, relax it with the high-fidelity engine if asked.

    In: the structure file named in the config. Out: unit cell and supercell as JSON.
    """
    input:
        structure=str(STUDY.host.file),
    output:
        str(LAYOUT.host),
        str(LAYOUT.unitcell),
        str(LAYOUT.supercell),
    log:
        log_of("host"),
    benchmark:
        benchmark_of("host")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    params:
        settings=settings("host"),
    message:
        "Validating the host and building its supercell"
    shell:
        "defectscape --log {log:q} stage host"


rule host_labels:
    """Label the perfect supercell at both fidelities, before anything else is labelled.

    In: the host. Out: energies and band edges as JSON.
    """
    input:
        str(LAYOUT.host),
    output:
        str(LAYOUT.host_labels),
    log:
        log_of("host_labels"),
    benchmark:
        benchmark_of("host_labels")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    params:
        settings=settings("host_labels"),
    message:
        "Labelling the perfect supercell"
    shell:
        "defectscape --log {log:q} stage host_labels"


rule host_stability:
    """Distort the perfect supercell and relax it: the study stops where the crystal itself goes down.

    In: the host, its labels. Out: where each distortion ended, as JSON. A lower structure is written beside it.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.host_labels),
    output:
        str(LAYOUT.host_stability),
    log:
        log_of("host_stability"),
    benchmark:
        benchmark_of("host_stability")
    priority: 20
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(480, attempt),
    params:
        settings=settings("host_stability"),
    message:
        "Testing whether the host is stable"
    shell:
        "defectscape --log {log:q} stage host_stability"


rule references:
    """Label the elements and competing phases with the high-fidelity engine, ahead of the defects where both may run.

    In: labels of the host, structures. Out: energies and band edges of all of them as JSON.
    """
    input:
        str(LAYOUT.host_labels),
        [str(path) for path in reference_files(STUDY.thermo)],
    output:
        str(LAYOUT.references),
    log:
        log_of("references"),
    benchmark:
        benchmark_of("references")
    priority: 10
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    params:
        settings=settings("references"),
    message:
        "Labelling the elements and competing phases"
    shell:
        "defectscape --log {log:q} stage references"


rule sites:
    """Enumerate the host's point defects with doped and name them.

    In: the host; its file, which names the interstitials, if it was relaxed. Out: the site table as JSON.
    """
    input:
        str(LAYOUT.host),
        [str(STUDY.host.file)] if names_come_from_file(STUDY) else [],
    output:
        str(LAYOUT.sites),
    log:
        log_of("sites"),
    benchmark:
        benchmark_of("sites")
    conda:
        "../../envs/defects.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(30, attempt),
    params:
        settings=settings("sites"),
    message:
        "Enumerating the host's defects"
    shell:
        "defectscape --log {log:q} stage sites"
