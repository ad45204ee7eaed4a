# Potentials at the atoms, for the finite-size correction that compares them (`kind: efnv`).


rule potentials_host:
    """Electrostatic potentials at the atoms of the perfect supercell.

    In: the host, whose label is known. Out: potentials as JSON.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.references),
    output:
        str(LAYOUT.potentials("host")),
    log:
        log_of("potentials_host"),
    benchmark:
        benchmark_of("potentials_host")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    params:
        settings=settings("potentials_host"),
    message:
        "Potentials at the host's atoms"
    shell:
        "defectscape --log {log:q} stage potentials_host"


rule potentials:
    """Electrostatic potentials at the atoms of the ground state of a charge state.

    In: verified minima. Out: potentials as JSON.
    """
    input:
        lambda wildcards: str(files_of(group_of(wildcards.key)).verified(wildcards.key)),
    output:
        str(LAYOUT.potentials("{key}")),
    log:
        log_of("potentials", "{key}"),
    benchmark:
        benchmark_of("potentials", "{key}")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(240, attempt),
    params:
        settings=settings("potentials"),
        group=lambda wildcards: group_of(wildcards.key),
    message:
        "{wildcards.key}: potentials at the atoms of its ground state"
    shell:
        "defectscape --log {log:q} stage potentials {params.group} {wildcards.key}"
