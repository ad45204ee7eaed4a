"""``python -m benchmarks``: what measures this project, from the root of a clone."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

import defectscape.cli.app  # noqa: F401  one thread for each process, said before numpy is imported
from defectscape.cli.logs import start_logging, write_to_log
from defectscape.cli.options import RESULTS, STUDY, LogFile, Paths
from defectscape.domain.errors import ConfigError, DefectscapeError

BenchmarkFile = Annotated[Path, typer.Argument(help="The benchmark's YAML file.")]
Folder = Annotated[Path, typer.Option(help="Folder of the benchmarks' outcomes.")]

app = typer.Typer(
    help="Benchmarks of the methods and of the pipeline itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _root(
    context: typer.Context,
    study: Annotated[Path, typer.Option(help="YAML file of the study that is timed.")] = STUDY,
    results: Annotated[Path, typer.Option(help="Folder of results, models among them.")] = RESULTS,
    log: LogFile = None,
) -> None:
    start_logging(log)
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    context.obj = Paths(study, results)


def _scratch(context: typer.Context, name: str) -> Path:
    """Where the models of a benchmark are."""
    folder: Path = context.obj.results / "benchmarks" / name
    return folder


@app.command()
def run(
    context: typer.Context,
    benchmark: BenchmarkFile,
    name: Annotated[str, typer.Argument(help="Name of the run.")],
    folder: Folder = Path("benchmarks"),
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="Where to train, if not as the file says."),
    ] = None,
) -> None:
    """Train and measure one run of the model benchmark, unless its outcome is known."""
    from benchmarks.learning.runs import runs_of
    from benchmarks.learning.settings import load_benchmark
    from benchmarks.learning.training import train_run

    settings = load_benchmark(benchmark)
    if device is not None:
        training = settings.training.model_copy(update={"device": device})
        settings = settings.model_copy(update={"training": training})
    known = {one.name: one for one in runs_of(settings)}
    if name not in known:
        raise ConfigError("run", name, f"The benchmark has {len(known)} others")
    scratch = _scratch(context, settings.name)
    scratch.mkdir(parents=True, exist_ok=True)
    outcome = train_run(settings, known[name], folder / settings.name, scratch)
    errors = outcome.errors[0]
    typer.echo(
        f"{name}: {errors.energy_rmse_meV_atom:.2f} meV/atom"
        f" ({errors.energy_centred_rmse_meV_atom:.2f} within a charge),"
        f" {errors.force_rmse_meV_A:.1f} meV/A, {outcome.steps} steps, {outcome.core_s:.0f} core-s"
    )


@app.command()
def model(context: typer.Context, benchmark: BenchmarkFile, folder: Folder = Path("benchmarks")) -> None:
    """Gather the runs that are there into learning curves, as JSON and figures."""
    from benchmarks.learning.gathering import gather
    from benchmarks.learning.settings import load_benchmark

    settings = load_benchmark(benchmark)
    scratch = _scratch(context, settings.name)
    result = gather(settings, benchmark, folder, scratch)
    typer.echo(
        f"{result.runs_done} of {result.runs} runs in {folder / settings.name}.json, figures in {scratch / 'figures'}"
    )


@app.command()
def throughput(
    benchmark: BenchmarkFile,
    folder: Folder = Path("benchmarks"),
    repeats: Annotated[int, typer.Option(help="Repetitions, ours and mace's in turn.")] = 3,
    frames: Annotated[int, typer.Option(help="Frames of the first low data set, at most.")] = 120,
) -> None:
    """Frames per core-second of our training loop against mace_run_train, as JSON."""
    from benchmarks.learning.data import read_pair
    from benchmarks.learning.settings import load_benchmark
    from benchmarks.timing.throughput import measure_throughput
    from defectscape.files.tables import write_json

    settings = load_benchmark(benchmark)
    low, _ = read_pair(settings.data[0])
    result = measure_throughput(low[:frames], settings.training, repeats)
    write_json(folder / f"{settings.name}_throughput.json", result)
    typer.echo(f"ours {result.ours}, mace {result.mace} frames/core-s, ratio {result.ratio:.2f}")


@app.command()
def speed(
    context: typer.Context,
    matrices: Annotated[
        str, typer.Option(help="Supercell matrices of the study's host, as JSON.")
    ] = "[[[-1,1,1],[1,-1,1],[1,1,-1]], [[2,0,0],[0,2,0],[0,0,2]], [[3,0,0],[0,3,0],[0,0,3]]]",
    starts: Annotated[int, typer.Option(help="Relaxations of each size.")] = 16,
    folder: Folder = Path("benchmarks"),
) -> None:
    """Relaxations a minute of a finished study's committee, together and one by one."""
    from benchmarks.timing.speed import measure_speed
    from defectscape.study.context import StudyContext

    try:
        sizes = json.loads(matrices)
    except ValueError as error:
        raise ConfigError("matrices", matrices, f"Give JSON: {error}") from error
    study = StudyContext.load(context.obj.study, context.obj.results)
    rows = measure_speed(study, sizes, (4, 16), starts, folder / f"speed_{study.study.study}.json")
    for row in rows:
        typer.echo(
            f"{row.atoms:5d} atoms, {row.batch_size:3d} together: {row.per_minute:8.1f} a minute of "
            f"processor time, {row.converged} of {row.relaxations} converged"
        )


@app.command()
def scale(
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
    from benchmarks.timing.scale import measure_scale

    try:
        sizes, studies = json.loads(labels), json.loads(plans)
    except ValueError as error:
        raise ConfigError("labels or plans", f"{labels} {plans}", f"Give JSON: {error}") from error
    result = measure_scale(sizes, studies, folder / "scale.json", snakefile)
    for timing in result.timings:
        memory = "" if timing.memory_mb is None else f"  {timing.memory_mb:6.0f} MB"
        typer.echo(f"{timing.what:36} {timing.items:8d} {timing.seconds:10.3f} s{memory}")
    for row in result.growth:
        typer.echo(f"{row.what:36} grows as n^{row.exponent:.2f}")


@app.command()
def physics(
    summaries: Annotated[list[Path], typer.Argument(help="summary.json of finished studies.")],
    folder: Folder = Path("benchmarks"),
) -> None:
    """Levels and configuration-coordinate curves of finished studies, model against engine."""
    from benchmarks.physics import gather_physics

    result = gather_physics(summaries, folder / "physics.json")
    for row in result.curves:
        name = f"{row.study} {row.defect} {row.initial_charge:+d} to {row.final_charge:+d}"
        error = "no engine points" if row.rms_meV is None else f"{row.rms_meV:.1f} meV (RMS)"
        typer.echo(f"{name:40} {row.points:3d} points, {error}")
    for level in result.levels:
        error = "" if level.rms_meV is None else f", {level.rms_meV:.1f} meV (RMS)"
        typer.echo(f"{level.study:40} {level.levels:3d} levels{error}")


@app.command()
def hard_study(
    context: typer.Context,
    benchmark: BenchmarkFile,
    name: Annotated[
        str,
        typer.Argument(help="Name of the study, such as hard_cdte_1, hard_cdte_1_prior or hard_cdte_1_prior_weights."),
    ],
) -> None:
    """Write the file of one study of the benchmark of defects that reconstruct; `defectscape run` runs it."""
    from benchmarks.hard.variants import find_variant, load_hard, write_variant

    settings = load_hard(benchmark)
    target = _scratch(context, settings.name) / "studies" / f"{name}.yaml"
    write_variant(find_variant(settings, name), settings.label_store, target)
    typer.echo(str(target))


@app.command()
def truth(
    context: typer.Context,
    benchmark: BenchmarkFile,
    study: Annotated[str, typer.Argument(help="Name of a study of the benchmark, such as hard_cdte.")],
    key: Annotated[list[str] | None, typer.Option(help="State, such as v_Cd_0; again for more.")] = None,
) -> None:
    """Relax every start of a study with its high-level engine; needs no model, and goes on where it was stopped."""
    from benchmarks.hard.truth import find_truth
    from benchmarks.hard.variants import load_hard, truth_context

    settings = load_hard(benchmark)
    scratch = _scratch(context, settings.name)
    for found in find_truth(truth_context(settings, study, scratch), scratch, key):
        ends = sum(item.converged for item in found.relaxations)
        lowest = "no energy" if found.lowest_eV is None else f"lowest {found.lowest_eV:.4f} eV"
        typer.echo(
            f"{found.key!s:12} {ends} of {len(found.relaxations)} converged, {lowest}, "
            f"{found.calls} labels, {found.core_s:.0f} core-s"
        )


@app.command()
def hard(context: typer.Context, benchmark: BenchmarkFile, folder: Folder = Path("benchmarks")) -> None:
    """Compare finished studies of defects that reconstruct with the truth about their states, as JSON."""
    from benchmarks.hard.gathering import gather_hard
    from benchmarks.hard.tables import state_lines
    from benchmarks.hard.variants import load_hard

    settings = load_hard(benchmark)
    scratch = _scratch(context, settings.name)
    result = gather_hard(settings, scratch, context.obj.results, folder / f"{settings.name}.json")
    for line in state_lines(result):
        typer.echo(line)


@app.command()
def hard_relaxations(
    context: typer.Context, benchmark: BenchmarkFile, name: str, folder: Folder = Path("benchmarks")
) -> None:
    """Count the labels that relaxations take in a study of the benchmark of defects that reconstruct, by three ways."""
    from benchmarks.hard.relaxations import measure_relaxations, relaxation_table
    from benchmarks.hard.variants import find_variant, load_hard

    settings = load_hard(benchmark)
    study = find_variant(settings, name).context(settings.label_store, context.obj.results)
    typer.echo(relaxation_table(measure_relaxations(study, folder / f"{settings.name}_relaxations.json")))


@app.command()
def documents(
    folder: Annotated[Path, typer.Argument(help="Root of the repository.")] = Path(),
) -> None:
    """Write the generated documents: the page and the JSON schema of a benchmark's file, and tables of results."""
    from benchmarks.hard.tables import RESULTS_DOCUMENTS
    from benchmarks.learning.settings import DOCUMENTS

    for name, make in {**DOCUMENTS, **RESULTS_DOCUMENTS}.items():
        (folder / name).write_text(make(), encoding="utf-8")
        typer.echo(name)


def main() -> None:
    """As the package's own program: a mistake ends in one line and exit status 1."""
    try:
        app()
    except DefectscapeError as error:
        sys.stderr.write(f"error: {error}\n")
        write_to_log(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
