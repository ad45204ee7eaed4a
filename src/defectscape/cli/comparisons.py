"""Subcommands that compare a finished study's search with other ways to the same minima."""

import json
from typing import Annotated, Literal

import typer

from defectscape.domain.errors import ConfigError


def direct_search(
    context: typer.Context,
    level: Annotated[
        Literal["low", "high"],
        typer.Option(help="Engine that relaxes: `high`, or `low` with energies judged by the high one."),
    ] = "high",
    key: Annotated[
        list[str] | None, typer.Option(help="Charge state to relax, such as v_Cd_0. Repeat the option for more.")
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(help="Start to relax, such as `unperturbed` or `dimer`. Repeat the option for more."),
    ] = None,
    fmax: Annotated[float | None, typer.Option(help="Force limit, eV/A. Default: the study's.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="Largest number of relaxation steps. Default: the study's.")
    ] = None,
) -> None:
    """Relax starts of a finished study with the engine itself, and compare ground states and cost."""
    from defectscape.study.context import StudyContext
    from defectscape.tools.direct_relaxations import DirectSearch
    from defectscape.tools.direct_search import compare_search

    study = StudyContext.load(context.obj.study, context.obj.results)
    direct = DirectSearch(
        level,
        None if key is None else tuple(key),
        None if start is None else tuple(start),
        fmax,
        max_steps,
    )
    suffix = "" if direct.whole else f"_{level}"
    target = study.layout.folder / f"direct_search{suffix}.json"
    result = compare_search(study, target, direct)
    typer.echo("energies above the lowest minimum of both searches (meV)")
    typer.echo(f"{'key':14} {'reported':>9} {'relaxed':>9} {'direct':>9} {'plain':>9} {'RMSD (A)':>9}")
    for row in result.keys:
        plain = "none" if row.unperturbed_eV is None else f"{1e3 * row.unperturbed_eV:.1f}"
        typer.echo(
            f"{row.key:14} {1e3 * row.reported_eV:9.1f} {1e3 * row.relaxed_eV:9.1f} "
            f"{1e3 * row.direct_eV:9.1f} {plain:>9} {row.rmsd_A:9.3f}"
        )
        for end in row.ends:
            typer.echo(f"{'':14} {end.start}: {end.reason}, {end.steps} steps, {1e3 * end.above_eV:+.1f} meV")
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


def foundation_search(
    context: typer.Context,
    calculator: Annotated[
        str,
        typer.Option(help="Class of an ASE calculator, such as chgnet.model.dynamics.CHGNetCalculator."),
    ],
    arguments: Annotated[str, typer.Option(help="Keyword arguments of the calculator, as JSON.")] = "{}",
    name: Annotated[
        str | None, typer.Option(help="Name of the calculator in tables. Default: the name of its class.")
    ] = None,
) -> None:
    """Relax the starts of a finished study with a foundation potential, and compare the minima."""
    from defectscape.study.context import StudyContext
    from defectscape.tools.figures import draw_foundation
    from defectscape.tools.foundation import compare_foundation

    try:
        keywords = json.loads(arguments)
    except ValueError as error:
        raise ConfigError("arguments", arguments, f"Give JSON: {error}") from error
    if not isinstance(keywords, dict):
        raise ConfigError("arguments", arguments, "Give a JSON object")
    study = StudyContext.load(context.obj.study, context.obj.results)
    title = name or calculator.rpartition(".")[2]
    target = study.layout.folder / f"foundation_{title}.json"
    result = compare_foundation(study, calculator, keywords, title, target)
    draw_foundation(result, target)
    for row in result.charge_responses:
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


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (direct_search, foundation_search):
        app.command(rich_help_panel="Study")(command)
