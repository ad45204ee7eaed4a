"""Subcommands of the model benchmark; `snakemake benchmark_model` calls them."""

from pathlib import Path
from typing import Annotated

import typer

from defectscape.domain.errors import ConfigError

BenchmarkFile = Annotated[Path, typer.Argument(help="The benchmark's YAML file.")]
Folder = Annotated[Path, typer.Option(help="Folder of the benchmarks' outcomes.")]


def benchmark_arm(
    context: typer.Context,
    benchmark: BenchmarkFile,
    arm: Annotated[str, typer.Argument(help="Name of the arm.")],
    folder: Folder = Path("benchmarks"),
) -> None:
    """Train and measure one arm of a model benchmark, unless its outcome is known."""
    from defectscape.benchmarks.arms import arms_of
    from defectscape.benchmarks.training import run_arm
    from defectscape.settings.load import load_benchmark

    settings = load_benchmark(benchmark)
    known = {one.name: one for one in arms_of(settings)}
    if arm not in known:
        raise ConfigError("arm", arm, f"The benchmark has {len(known)} others")
    scratch = context.obj.results / "benchmarks" / settings.name
    scratch.mkdir(parents=True, exist_ok=True)
    outcome = run_arm(settings, known[arm], folder / settings.name / "arms", scratch)
    errors = outcome.errors[0]
    typer.echo(
        f"{arm}: {errors.energy_rmse_meV_atom:.2f} meV/atom"
        f" ({errors.energy_centred_rmse_meV_atom:.2f} within a charge),"
        f" {errors.force_rmse_meV_A:.1f} meV/A, {outcome.steps} steps, {outcome.core_s:.0f} core-s"
    )


def benchmark_model(benchmark: BenchmarkFile, folder: Folder = Path("benchmarks")) -> None:
    """Gather the arms that are there into learning curves, as JSON and figures."""
    from defectscape.benchmarks.gathering import gather
    from defectscape.settings.load import load_benchmark

    settings = load_benchmark(benchmark)
    result = gather(settings, benchmark, folder)
    typer.echo(f"{result.arms_done} of {result.arms} arms in {folder / settings.name}.json")


def benchmark_throughput(
    benchmark: BenchmarkFile,
    folder: Folder = Path("benchmarks"),
    repeats: Annotated[int, typer.Option(help="Repetitions, ours and mace's in turn.")] = 3,
    frames: Annotated[int, typer.Option(help="Frames of the first low data set, at most.")] = 120,
) -> None:
    """Frames per core-second of our training loop against mace_run_train, as JSON."""
    from defectscape.benchmarks.throughput import measure_throughput
    from defectscape.benchmarks.training import read_pair
    from defectscape.files.tables import write_json
    from defectscape.settings.load import load_benchmark

    settings = load_benchmark(benchmark)
    low, _ = read_pair(settings.data[0])
    result = measure_throughput(low[:frames], settings.training, repeats)
    write_json(folder / f"{settings.name}_throughput.json", result)
    typer.echo(f"ours {result.ours}, mace {result.mace} frames/core-s, ratio {result.ratio:.2f}")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (benchmark_arm, benchmark_model, benchmark_throughput):
        app.command(rich_help_panel="Benchmarks")(command)
