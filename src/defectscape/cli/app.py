"""The command line. Its stage commands are what the workflow's rules call."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from defectscape.cli.logs import start_logging, write_to_log
from defectscape.cli.options import RESULTS, STUDY, LogFile, Paths
from defectscape.domain.errors import DefectscapeError

# One thread per process: the workflow runs one job per core, and two threads on a busy core are
# slower than one. This must be set before numpy or torch is imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

app = typer.Typer(
    help="Ground states, levels and formation energies of charged point defects, searched with one learned potential.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _root(
    context: typer.Context,
    study: Annotated[
        Path,
        typer.Option(
            help="YAML file of the study, for commands that take no study argument.", envvar="DEFECTSCAPE_STUDY"
        ),
    ] = STUDY,
    results: Annotated[
        Path,
        typer.Option(help="Folder for the results of all studies.", envvar="DEFECTSCAPE_RESULTS"),
    ] = RESULTS,
    log: LogFile = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of cores of the job. A prior computes as many structures in parallel, and packed labels share "
            "them. Default: the study's value.",
            envvar="DEFECTSCAPE_PROCESSES",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option(hidden=True, help="Use the finished groups only.", envvar="DEFECTSCAPE_PARTIAL")
    ] = False,
    ends_at: Annotated[
        float | None,
        typer.Option(
            hidden=True, help="Time at which the job must have ended, Unix time in s.", envvar="DEFECTSCAPE_ENDS_AT"
        ),
    ] = None,
) -> None:
    start_logging(log)
    context.obj = Paths(study, results, processes, partial, ends_at)


def register() -> None:
    """Add the subcommands; they live in modules of their own and import their stages lazily."""
    from defectscape.cli import comparisons, data, people, stages
    from defectscape.cli.new import new
    from defectscape.cli.pseudos import pseudos
    from defectscape.cli.run import report, run, status

    for command in (new, run, status, report):
        app.command(rich_help_panel="Study")(command)
    stages.register(app)
    people.register(app)
    data.register(app)
    comparisons.register(app)
    app.add_typer(pseudos, name="pseudos", rich_help_panel="Study")


register()


def main() -> None:
    """Entry point: a user's mistake ends in one line on standard error and exit status 1."""
    try:
        app()
    except DefectscapeError as error:
        sys.stderr.write(f"error: {error}\n")
        write_to_log(f"error: {error}")
        sys.exit(1)
