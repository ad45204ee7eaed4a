# What the study says: formation energies, levels, diagrams, the summary and the page.


rule thermo:
    """Ground states, formation energies and transition levels, through doped.

    In: host, labels of the perfect crystal, verified minima, density of states, final committee. Out: levels, doped's JSON.
    """
    input:
        str(LAYOUT.host),
        str(LAYOUT.sites),
        str(LAYOUT.references),
        VERIFIED,
        potential_files(),
        bands_file(),
        FINAL_COMMITTEE,
    output:
        str(LAYOUT.energies),
        str(LAYOUT.thermodynamics),
    log:
        log_of("thermo"),
    benchmark:
        benchmark_of("thermo")
    conda:
        "../../envs/model.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(6000),
        runtime=time_with_prior(60),
        gpu=DEVICE_GPU,
    params:
        settings=settings("thermo"),
    message:
        "Formation energies and transition levels"
    shell:
        "defectscape --log {log:q} stage thermo"


rule ccd:
    """Configuration-coordinate diagrams between the ground states of adjacent charges.

    In: ground states and levels, final committee. Out: diagrams as JSON.
    """
    input:
        str(LAYOUT.energies),
        FINAL_COMMITTEE,
    output:
        str(LAYOUT.ccd),
    log:
        log_of("ccd"),
    benchmark:
        benchmark_of("ccd")
    conda:
        "../../envs/model.yaml"
    threads: PROCESSES
    resources:
        mem_mb=memory_beside_prior(6000),
        runtime=time_with_prior(60),
        gpu=DEVICE_GPU,
    params:
        settings=settings("ccd"),
    message:
        "Configuration-coordinate diagrams"
    shell:
        "defectscape --log {log:q} stage ccd"


rule ccd_check:
    """Some points of the diagrams by the high-fidelity engine, to test the model there.

    In: diagrams. Out: energies of engine and model as JSON; an empty list if no points are asked for.
    """
    input:
        str(LAYOUT.ccd),
    output:
        str(LAYOUT.ccd_check),
    log:
        log_of("ccd_check"),
    benchmark:
        benchmark_of("ccd_check")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(480, attempt),
    params:
        settings=settings("ccd_check"),
    message:
        "Points of the diagrams by the engine"
    shell:
        "defectscape --log {log:q} stage ccd_check"


rule summary:
    """Everything the study found, machine-readable, with the structures of all minima.

    In: all results. Out: summary.json, minima as extended XYZ and POSCARs.
    """
    input:
        str(LAYOUT.host),
        HOST_TEST,
        str(LAYOUT.sites),
        str(LAYOUT.references),
        str(LAYOUT.energies),
        str(LAYOUT.ccd),
        str(LAYOUT.ccd_check),
        str(LAYOUT.errors),
        str(LAYOUT.calibration),
        str(LAYOUT.final.gates),
        str(LAYOUT.final.data_low),
        str(LAYOUT.final.data_high),
        [str(LAYOUT.final.history(member)) for member in FINALISTS],
        potential_files(),
        VERIFIED,
        ASSESSMENTS,
        VERIFICATION_LABELS,
        spin_checks(),
        search_results(),
        label_outcomes(),
        IMPORTED if STUDY.prior else [],
        str(LAYOUT.unfinished) if PART else [],
    output:
        str(LAYOUT.summary),
        str(LAYOUT.minima_extxyz),
        directory(str(LAYOUT.minima_folder)),
    log:
        log_of("summary"),
    benchmark:
        benchmark_of("summary")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(30, attempt),
    params:
        settings=settings("summary"),
    message:
        "Writing summary.json and the structures of the minima"
    shell:
        "defectscape --log {log:q} stage summary"


rule handover:
    """A folder for each minimum with inputs for a last relaxation by hand, and the model's card.

    In: summary, minima, the engine's verdict on them. Out: folders, card.
    """
    input:
        str(LAYOUT.summary),
        [str(files_of(name).minima) for name in GROUPS],
        VERIFIED,
    output:
        directory(str(LAYOUT.handover)),
        str(LAYOUT.model_card),
    log:
        log_of("handover"),
    benchmark:
        benchmark_of("handover")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(2000, attempt),
        runtime=lambda wildcards, attempt: grow(30, attempt),
    params:
        settings=settings("handover"),
    message:
        "Writing folders for a last relaxation by hand"
    shell:
        "defectscape --log {log:q} stage handover"


rule report:
    """One self-contained HTML page from the summary, with its figures and tables as files.

    In: summary.json, structures of the minima. Out: report.html, figures, tables.
    """
    input:
        str(LAYOUT.summary),
        str(LAYOUT.minima_folder),
    output:
        report(
            str(LAYOUT.report),
            caption="../report/report.rst",
            category="Results",
        ),
        directory(str(LAYOUT.figures)),
        directory(str(LAYOUT.tables)),
    log:
        log_of("report"),
    benchmark:
        benchmark_of("report")
    conda:
        "../../envs/defects.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(30, attempt),
    params:
        settings=settings("report"),
    message:
        "Writing the report"
    shell:
        "defectscape --log {log:q} stage report"
