"""Subcommands of the benchmarks; `snakemake benchmark_model` calls some of them."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from defectscape.domain.errors import ConfigError

BenchmarkFile = Annotated[Path, typer.Argument(help="The benchmark's YAML file.")]
Folder = Annotated[Path, typer.Option(help="Folder of the benchmarks' outcomes.")]


def benchmark_arm(
    context: typer.Context,
    benchmark: BenchmarkFile,
    arm: Annotated[str, typer.Argument(help="Name of the arm.")],
    folder: Folder = Path("benchmarks"),
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="Where to train, if not as the file says."),
    ] = None,
) -> None:
    """Train and measure one arm of a model benchmark, unless its outcome is known."""
    from benchmarks.learning.runs import arms_of
    from benchmarks.learning.training import run_arm
    from defectscape.settings.load import load_benchmark

    settings = load_benchmark(benchmark)
    if device is not None:
        training = settings.training.model_copy(update={"device": device})
        settings = settings.model_copy(update={"training": training})
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


def benchmark_model(
    context: typer.Context, benchmark: BenchmarkFile, folder: Folder = Path("benchmarks")
) -> None:
    """Gather the arms that are there into learning curves, as JSON and figures."""
    from benchmarks.learning.gathering import gather
    from defectscape.settings.load import load_benchmark

    settings = load_benchmark(benchmark)
    scratch = context.obj.results / "benchmarks" / settings.name
    result = gather(settings, benchmark, folder, scratch)
    typer.echo(f"{result.arms_done} of {result.arms} arms in {folder / settings.name}.json")


def benchmark_throughput(
    benchmark: BenchmarkFile,
    folder: Folder = Path("benchmarks"),
    repeats: Annotated[int, typer.Option(help="Repetitions, ours and mace's in turn.")] = 3,
    frames: Annotated[int, typer.Option(help="Frames of the first low data set, at most.")] = 120,
) -> None:
    """Frames per core-second of our training loop against mace_run_train, as JSON."""
    from benchmarks.timing.throughput import measure_throughput
    from benchmarks.learning.training import read_pair
    from defectscape.files.tables import write_json
    from defectscape.settings.load import load_benchmark

    settings = load_benchmark(benchmark)
    low, _ = read_pair(settings.data[0])
    result = measure_throughput(low[:frames], settings.training, repeats)
    write_json(folder / f"{settings.name}_throughput.json", result)
    typer.echo(f"ours {result.ours}, mace {result.mace} frames/core-s, ratio {result.ratio:.2f}")


def benchmark_foundation(
    context: typer.Context,
    calculator: Annotated[
        str,
        typer.Option(help="Class of an ASE calculator: chgnet.model.dynamics.CHGNetCalculator."),
    ],
    arguments: Annotated[str, typer.Option(help="Its keyword arguments, as JSON.")] = "{}",
    name: Annotated[str | None, typer.Option(help="Its name in tables; else the class's.")] = None,
) -> None:
    """Relax a finished study's starts with a foundation potential, and compare what it finds."""
    from defectscape.tools.foundation import benchmark_foundation as run
    from defectscape.tools.foundation_figure import draw_foundation
    from defectscape.stages.context import StudyContext

    try:
        keywords = json.loads(arguments)
    except ValueError as error:
        raise ConfigError("arguments", arguments, f"Give JSON: {error}") from error
    if not isinstance(keywords, dict):
        raise ConfigError("arguments", arguments, "Give a JSON object")
    study = StudyContext.load(context.obj.study, context.obj.results)
    title = name or calculator.rpartition(".")[2]
    target = study.layout.folder / "benchmarks" / f"foundation_{title}.json"
    result = run(study, calculator, keywords, title, target)
    draw_foundation(result, target)
    for row in result.blindness:
        typer.echo(
            f"{row.defect}: one geometry in charges {row.charges} differs by {row.energy_eV:.2e} eV, "
            f"{row.force_eV_A:.2e} eV/A"
        )
    typer.echo(f"{'key':14} {'RMSD (A)':>20} {'ground state':>14} {'starts there':>14}")
    for theirs, ours in zip(result.foundation, result.ours, strict=True):
        for who, found in ((title, theirs), ("committee", ours)):
            distance = "none" if found.rmsd_A is None else f"{found.rmsd_A:.3f}"
            typer.echo(
                f"{found.key:14} {distance:>8} {who:>11} {found.finds_ground_state!s:>14} "
                f"{found.starts_at_ground_state:>6} of {found.starts}"
            )
    typer.echo(f"{target}, {result.core_s:.0f} core-s")


def benchmark_search(
    context: typer.Context,
    folder: Folder = Path("benchmarks"),
    level: Annotated[
        Literal["low", "high"],
        typer.Option(help="Whose engine relaxes: `high`, or `low`, with the high one as judge."),
    ] = "high",
    key: Annotated[
        list[str] | None, typer.Option(help="Defect key to relax, such as v_Cd_0; again for more.")
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(help="Start to relax, such as `unperturbed` or `dimer`; again for more."),
    ] = None,
    fmax: Annotated[
        float | None, typer.Option(help="Convergence, eV/A; left out, the study's.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="Step limit of a relaxation; left out, the study's.")
    ] = None,
) -> None:
    """Relax starts of a finished study with the engine itself, and compare: truth and cost."""
    from defectscape.tools.direct_relaxations import DirectSearch
    from defectscape.tools.direct_search import benchmark_search as run
    from defectscape.stages.context import StudyContext

    study = StudyContext.load(context.obj.study, context.obj.results)
    direct = DirectSearch(
        level,
        None if key is None else tuple(key),
        None if start is None else tuple(start),
        fmax,
        max_steps,
    )
    suffix = "" if direct.whole else f"_{level}"
    target = folder / f"search_{study.study.study}{suffix}.json"
    result = run(study, target, direct)
    typer.echo("energies above the lowest minimum of both searches (meV)")
    typer.echo(
        f"{'key':14} {'reported':>9} {'relaxed':>9} {'direct':>9} {'plain':>9} {'RMSD (A)':>9}"
    )
    for row in result.keys:
        plain = "none" if row.unperturbed_eV is None else f"{1e3 * row.unperturbed_eV:.1f}"
        typer.echo(
            f"{row.key:14} {1e3 * row.reported_eV:9.1f} {1e3 * row.relaxed_eV:9.1f} "
            f"{1e3 * row.direct_eV:9.1f} {plain:>9} {row.rmsd_A:9.3f}"
        )
        for end in row.ends:
            typer.echo(
                f"{'':14} {end.start}: {end.reason}, {end.steps} steps, {1e3 * end.above_eV:+.1f} meV"
            )
        for whose, energy_eV in (
            ("the direct search's lowest", row.direct_at_high_eV),
            ("our ground state relaxed further", row.relaxed_at_high_eV),
        ):
            if energy_eV is not None:
                typer.echo(
                    f"{'':14} {whose} is {1e3 * energy_eV:+.1f} meV from the reported ground state at the high level"
                )
    cost = result.cost
    typer.echo(
        f"ours {cost.our_low_calls} + {cost.our_high_calls} calls, {cost.our_label_core_s:.0f} core-s, "
        f"trainings {cost.our_training_core_s:.0f}, searches {cost.our_search_core_s:.0f} core-s; "
        f"direct {cost.direct_calls} calls, {cost.direct_core_s:.0f} core-s"
    )
    for point in result.growth:
        typer.echo(
            f"{point.starts} starts: direct {point.direct_core_s:.0f} core-s, finds {point.direct_found:.1f} of "
            f"{len(result.keys)} ground states; ours {point.our_core_s:.0f} core-s, ratio {point.ratio:.2f}"
        )
    typer.echo(str(target))


def benchmark_speed(
    context: typer.Context,
    matrices: Annotated[
        str, typer.Option(help="Supercell matrices of the study's host, as JSON.")
    ] = "[[[-1,1,1],[1,-1,1],[1,1,-1]], [[2,0,0],[0,2,0],[0,0,2]], [[3,0,0],[0,3,0],[0,0,3]]]",
    starts: Annotated[int, typer.Option(help="Relaxations of each size.")] = 16,
    folder: Folder = Path("benchmarks"),
) -> None:
    """Relaxations a minute of a finished study's committee, together and one by one."""
    from benchmarks.timing.speed import benchmark_speed as run
    from defectscape.stages.context import StudyContext

    try:
        sizes = json.loads(matrices)
    except ValueError as error:
        raise ConfigError("matrices", matrices, f"Give JSON: {error}") from error
    study = StudyContext.load(context.obj.study, context.obj.results)
    rows = run(study, sizes, (4, 16), starts, folder / f"speed_{study.study.study}.json")
    for row in rows:
        typer.echo(
            f"{row.atoms:5d} atoms, {row.batch_size:3d} together: {row.per_minute:8.1f} a minute of "
            f"processor time, {row.converged} of {row.relaxations} converged"
        )


def benchmark_scale(
    labels: Annotated[
        str, typer.Option(help="Numbers of labels of the store, ascending, as JSON.")
    ] = "[1000, 10000, 100000]",
    plans: Annotated[
        str, typer.Option(help="Numbers of labels of the studies to plan, as JSON.")
    ] = "[1000, 10000, 50000]",
    snakefile: Annotated[Path, typer.Option(help="The workflow.")] = Path("Snakefile"),
    folder: Folder = Path("benchmarks"),
) -> None:
    """Times of the store, of gathering, of selection and of planning, by number of labels."""
    from benchmarks.timing.scale import benchmark_scale as run

    try:
        sizes, studies = json.loads(labels), json.loads(plans)
    except ValueError as error:
        raise ConfigError("labels or plans", f"{labels} {plans}", f"Give JSON: {error}") from error
    result = run(sizes, studies, folder / "scale.json", snakefile)
    for timing in result.timings:
        memory = "" if timing.memory_mb is None else f"  {timing.memory_mb:6.0f} MB"
        typer.echo(f"{timing.what:36} {timing.items:8d} {timing.seconds:10.3f} s{memory}")
    for row in result.growth:
        typer.echo(f"{row.what:36} grows as n^{row.exponent:.2f}")


def benchmark_physics(
    summaries: Annotated[list[Path], typer.Argument(help="summary.json of finished studies.")],
    folder: Folder = Path("benchmarks"),
) -> None:
    """Levels and configuration-coordinate curves of finished studies, model against engine."""
    from benchmarks.physics import benchmark_physics as run

    result = run(summaries, folder / "physics.json")
    for row in result.curves:
        name = f"{row.study} {row.defect} {row.initial_charge:+d} to {row.final_charge:+d}"
        error = "no engine points" if row.rms_meV is None else f"{row.rms_meV:.1f} meV (RMS)"
        typer.echo(f"{name:40} {row.points:3d} points, {error}")
    for level in result.levels:
        error = "" if level.rms_meV is None else f", {level.rms_meV:.1f} meV (RMS)"
        typer.echo(f"{level.study:40} {level.levels:3d} levels{error}")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (
        benchmark_arm, benchmark_model, benchmark_throughput, benchmark_foundation,
        benchmark_search, benchmark_speed, benchmark_scale, benchmark_physics,
    ):  # fmt: skip
        app.command(rich_help_panel="Benchmarks")(command)
