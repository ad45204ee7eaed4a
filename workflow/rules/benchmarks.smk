# Benchmarks of the methods: not part of a study, asked for by name (`snakemake benchmark_model`).


rule benchmark_arm:
    """Train and measure one arm of the model benchmark; a known outcome is not computed again.

    In: labels. Out: a mark; the outcome itself stays in `benchmarks/<name>/arms`.
    """
    input:
        benchmark_data,
        choosing_arms,
    output:
        touch(str(ARM_FOLDER / "{arm}.done")),
    log:
        str(ARM_FOLDER / "logs" / "{arm}.log"),
    benchmark:
        str(ARM_FOLDER / "times" / "{arm}.tsv")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(480, attempt),
    params:
        file=str(BENCHMARK_FILE),
        settings=json.dumps(
            BENCHMARK and BENCHMARK.model_dump(mode="json"), sort_keys=True
        ),
    message:
        "Benchmark: {wildcards.arm}"
    shell:
        "defectscape --log {log:q} benchmark-arm {params.file:q} {wildcards.arm}"


rule benchmark_throughput:
    """Frames per core-second of our training loop against mace's own command.

    In: labels. Out: `benchmarks/<name>_throughput.json`.
    """
    input:
        [] if BENCHMARK is None else list(map(str, BENCHMARK.data[0].low)),
    output:
        f"benchmarks/{BENCHMARK_NAME}_throughput.json",
    log:
        str(ARM_FOLDER / "logs" / "throughput.log"),
    benchmark:
        str(ARM_FOLDER / "times" / "throughput.tsv")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(6000, attempt),
        runtime=lambda wildcards, attempt: grow(60, attempt),
    params:
        file=str(BENCHMARK_FILE),
    message:
        "Benchmark: training throughput"
    shell:
        "defectscape --log {log:q} benchmark-throughput {params.file:q}"


rule benchmark_model:
    """The learning curves of all strategies.

    In: all arms. Out: `benchmarks/<name>.json` and figures.
    """
    input:
        [str(ARM_FOLDER / f"{arm}.done") for arm in ARMS],
    output:
        f"benchmarks/{BENCHMARK_NAME}.json",
    log:
        str(ARM_FOLDER / "logs" / "benchmark_model.log"),
    benchmark:
        str(ARM_FOLDER / "times" / "benchmark_model.tsv")
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(60, attempt),
    params:
        file=str(BENCHMARK_FILE),
    message:
        "Benchmark: learning curves"
    shell:
        "defectscape --log {log:q} benchmark-model {params.file:q}"


rule benchmark_search:
    """The study's search against direct relaxations of every start with the high-fidelity engine.

    In: a finished study. Out: `benchmarks/search_<study>.json` and a figure.
    """
    input:
        str(LAYOUT.summary),
        str(LAYOUT.energies),
    output:
        f"benchmarks/search_{STUDY.study}.json",
    log:
        log_of("benchmark_search"),
    benchmark:
        benchmark_of("benchmark_search")
    conda:
        "../../envs/engines.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: grow(4000, attempt),
        runtime=lambda wildcards, attempt: grow(720, attempt),
    params:
        settings=settings("search_final"),
    message:
        "Benchmark: the search against the truth"
    shell:
        "defectscape --log {log:q} benchmark-search"
